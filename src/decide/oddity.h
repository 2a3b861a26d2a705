// SPDX-License-Identifier: Apache-2.0
// What is odd about a backend although it takes requests: it fails, it is slow, it flaps. The one
// rule for the verdict, the dashboard and weir top.
//
// Slow is who is slow beside its peers, those of its pool: its median is four times that of theirs
// and a millisecond more, or its p99 is four times theirs and ten milliseconds more. Of theirs the
// lower median counts, so that it takes more than half of a pool to make slowness look normal. Few
// requests say nothing about a median, and many are needed for a p99 that is more than one of them.
#pragma once

#include "base/base.h"
#include "decide/flapping.h"

// X(NAME, word): the heaviest first.
#define ODDITIES(X)             \
	X(FLAPPING, "flapping") \
	X(FAILS, "fails")       \
	X(SLOW, "slow")

enum oddity {
#define X(name, word) ODDITY_##name,
	ODDITIES(X)
#undef X
		ODDITY_COUNT
};

enum {
	ODDITY_REQUESTS_MIN = 10, // for latencies to say something
	ODDITY_P99_PER_S_MIN = 20,
	ODDITY_TIMES = 4,
	ODDITY_P50_MORE_US = 1000,
	ODDITY_P99_MORE_US = 10 * 1000,
	ODDITY_ERRORS_PERCENT = 5,
};

// What is known of one backend.
struct oddity_facts {
	bool takes;   // requests
	u64 requests; // that the latencies are of
	double requests_per_s, errors_per_s;
	u32 p50_us, p99_us;
	u32 changes; // flapping_changes
};

struct oddity_finding {
	bool is[ODDITY_COUNT];
	u32 peers_p50_us, peers_p99_us; // 0: there are none to be compared with
};

const char *oddity_word(enum oddity oddity);

// Of all backends of one pool. `room`: memory for `count` numbers.
void oddity_judge(const struct oddity_facts *facts, u32 count, u32 *room,
	struct oddity_finding *ret_findings);

// Of its requests of the last second, how many fail: 0 to 100.
u32 oddity_errors_percent(const struct oddity_facts *facts);

// How many times slower than its peers it is, by the rule that found it slow; 0: by none.
u32 oddity_slow_times(const struct oddity_facts *facts, const struct oddity_finding *finding);
