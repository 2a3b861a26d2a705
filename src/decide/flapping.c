// SPDX-License-Identifier: Apache-2.0
#include "decide/flapping.h"

enum { minute_ms = 60 * 1000 };

void flapping_note(struct flapping *flapping, u64 now_ms)
{
	u64 minute = now_ms / minute_ms;
	u64 passed = MIN(minute - flapping->minute, (u64)FLAPPING_MINUTES);
	u16 *count = &flapping->counts[minute % FLAPPING_MINUTES];

	for (u64 i = 0; i < passed; i++)
		flapping->counts[(minute - i) % FLAPPING_MINUTES] = 0;
	flapping->minute = minute;
	if (*count < UINT16_MAX)
		++*count;
}

u32 flapping_changes(const struct flapping *flapping, u64 now_ms)
{
	u64 passed = now_ms / minute_ms - flapping->minute;
	u32 changes = 0;

	for (u64 i = 0; i + passed < FLAPPING_MINUTES; i++)
		changes += flapping->counts[(flapping->minute + FLAPPING_MINUTES - i) %
					    FLAPPING_MINUTES];
	return changes;
}
