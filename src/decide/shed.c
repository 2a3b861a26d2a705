// SPDX-License-Identifier: Apache-2.0
#include "decide/shed.h"

bool shed_is_overload(const struct shed_rules *rules, u64 empty_ms, u32 waiting, u64 now_ms)
{
	return rules->target_ms && waiting > 0 && now_ms - empty_ms >= rules->interval_ms;
}
