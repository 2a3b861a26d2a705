// SPDX-License-Identifier: Apache-2.0
// How many requests a backend can take at once, found by watching it: while answers are as fast as
// they used to be, the limit grows; when they become slower than usual, it shrinks before the queue
// inside the backend does harm (the Gradient2 limit of Netflix' concurrency-limits).
//
// One struct per backend, of one owner. Times are those from sending a request to its answer's
// head.
#pragma once

#include "base/base.h"

struct gradient_rules {
	u32 limit_min, limit_max, limit_start; // 1 or more; min <= start <= max
};

#define GRADIENT_RULES ((struct gradient_rules){20, 200, 20})

struct gradient {
	double limit;
	double long_us; // what is usual: a slow average
	u32 samples;	// of the warm-up
};

void gradient_init(struct gradient *gradient, const struct gradient_rules *rules);

// An answer came after rtt_us while in_flight requests (this one too) were running.
void gradient_note(
	struct gradient *gradient, const struct gradient_rules *rules, u64 rtt_us, u32 in_flight);

// Requests that may run at the same time, within [limit_min, limit_max].
u32 gradient_limit(const struct gradient *gradient);
