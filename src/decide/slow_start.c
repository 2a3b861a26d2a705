// SPDX-License-Identifier: Apache-2.0
#include "decide/slow_start.h"

enum { steps = SLOW_START_WHOLE - SLOW_START_FLOOR };

static u64 step_of(u64 since_ms, u64 window_ms)
{
	return since_ms >= window_ms ? steps : since_ms * steps / window_ms;
}

u32 slow_start_share(u64 since_ms, u64 window_ms)
{
	return SLOW_START_FLOOR + (u32)step_of(since_ms, window_ms);
}

u64 slow_start_next_ms(u64 since_ms, u64 window_ms)
{
	u64 step = step_of(since_ms, window_ms);

	if (step == steps)
		return 0;
	return ((step + 1) * window_ms + steps - 1) / steps - since_ms;
}
