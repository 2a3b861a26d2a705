// SPDX-License-Identifier: Apache-2.0
// A backend that has just come (back) gets its share of requests little by little: from a tenth of
// its weight to the whole, in even steps, so that orders built from weights change seldom.
#pragma once

#include "base/base.h"

enum { SLOW_START_WHOLE = 20, SLOW_START_FLOOR = 2 };

// How much of its weight, in parts of SLOW_START_WHOLE, a backend gets that has been eligible for
// since_ms, with a ramp of window_ms (0 = none, at most 2^40): SLOW_START_FLOOR to
// SLOW_START_WHOLE, never falling with time. A pool's weights are multiplied with these shares.
u32 slow_start_share(u64 since_ms, u64 window_ms);

// After how many milliseconds more the share changes; 0 when it is whole for good.
u64 slow_start_next_ms(u64 since_ms, u64 window_ms);
