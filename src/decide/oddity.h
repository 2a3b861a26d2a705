// SPDX-License-Identifier: Apache-2.0
// What is odd about a backend although it takes requests: it fails, it is slow, it flaps. The one
// rule for the verdict, the dashboard and weir top.
//
// Slow is who is slow beside its peers, those of its pool: its median is four times that of theirs
// and a millisecond more, or its p99 is four times theirs and ten milliseconds more. Of theirs the
// lower median counts, so that it takes more than half of a pool to make slowness look normal. Few
// requests say nothing about a median, and many are needed for a p99 that is more than one of them.
//
// What one look finds may be gone with the next. What is told (the log, events) is what has lasted,
// and since when: struct oddity_course. One that begins and ends all the time is told to do so.
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
	ODDITY_LASTS_MS = 5000, // before it is told, and before it is told to be over
	ODDITY_TEXT_BYTES = 72,
};

// What is known of one backend.
struct oddity_facts {
	bool takes;   // requests
	u64 requests; // that the latencies are of
	double requests_per_s, errors_per_s;
	u32 p50_us, p99_us;
	u32 changes; // flapping_changes
	u64 changes_span_ms;
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

// By which figure it is slow, and how many times slower than its peers; `times` 0: it is not.
struct oddity_slowness {
	const char *figure; // "p50", "p99"
	u32 own_us, peers_us, times;
};

struct oddity_slowness oddity_slowness(
	const struct oddity_facts *facts, const struct oddity_finding *finding);

// The figures behind a finding: "4 changes within 20 seconds", "12 % of its requests",
// "p50 412 ms, its peers 9.0 ms".
void oddity_describe(enum oddity oddity, const struct oddity_facts *facts,
	const struct oddity_finding *finding, char text[static ODDITY_TEXT_BYTES]);

// Whether a finding says anything: who gets no requests is neither well nor odd.
bool oddity_is_known(const struct oddity_facts *facts, enum oddity oddity);

// ---- What lasts ---------------------------------------------------------------------------------

// One oddity of one backend, over all looks.
struct oddity_course {
	bool is;	  // by the last look
	bool is_told;	  // that it is so
	bool is_unsteady; // it was told to come and go; until then single changes are not
	u64 moved_ms;	  // when `is` became what it is
	u64 since_ms;	  // when what is told began
	struct flapping flips;
};

enum oddity_news {
	ODDITY_NOTHING_NEW,
	ODDITY_BEGINS,
	ODDITY_ENDS,
	ODDITY_COMES_AND_GOES,
};

void oddity_course_init(struct oddity_course *course, u64 now_ms);

// What a look has found that says something.
enum oddity_news oddity_course_look(struct oddity_course *course, bool is, u64 now_ms);

// The backend takes no requests: what was found before is over, which needs no telling.
void oddity_course_break(struct oddity_course *course, u64 now_ms);

// Since when it has been so; 0: it is not.
u64 oddity_course_since_ms(const struct oddity_course *course);
