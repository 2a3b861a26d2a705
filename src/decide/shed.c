// SPDX-License-Identifier: Apache-2.0
#include "decide/shed.h"

enum { retry_after_max_s = 30 };

bool shed_is_overload(const struct shed_rules *rules, u64 empty_ms, u32 waiting, u64 now_ms)
{
	return rules->target_ms && waiting > 0 && now_ms - empty_ms >= rules->interval_ms;
}

u64 shed_deadline_ms(
	const struct shed_rules *rules, bool overload, u64 since_ms, u64 queue_timeout_ms)
{
	return since_ms + (overload ? MIN(rules->target_ms, queue_timeout_ms) : queue_timeout_ms);
}

u32 shed_retry_after_s(u32 waiting, u32 places, u32 random)
{
	u64 span = 1 + MIN((u64)waiting / MAX(places, 1u), (u64)retry_after_max_s / 2 - 1);

	// In [span, 2 * span): those who were refused together do not come back together.
	return (u32)(span + (span * random >> 32));
}
