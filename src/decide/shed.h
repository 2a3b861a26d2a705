// SPDX-License-Identifier: Apache-2.0
// Load shedding by queue time: a queue that empties again and again is a buffer for bursts and may
// be waited in; one that has not been empty for a whole interval is a standing queue, in which
// everybody would wait long and get nothing for it. Then a request may wait only target_ms, and the
// rest is told 503 at once, so that those who get through are served fast (controlled delay after
// Nichols and Jacobson 2012, in the form for request queues of Maurer, Fail at Scale, 2015).
#pragma once

#include "base/base.h"

struct shed_rules {
	u64 target_ms;	 // waiting allowed in a standing queue; 0 = no shedding
	u64 interval_ms; // without an empty moment: the queue is a standing one
};

// Whether the queue is a standing one. empty_ms: when it was empty last (or became non-empty).
bool shed_is_overload(const struct shed_rules *rules, u64 empty_ms, u32 waiting, u64 now_ms);
