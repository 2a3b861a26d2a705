// SPDX-License-Identifier: Apache-2.0
#include "decide/flapping.h"

#include <stdio.h>

enum { minute_ms = 60 * 1000, second_ms = 1000 };

void flapping_init(struct flapping *flapping, u64 now_ms)
{
	*flapping = (struct flapping){.since_ms = now_ms};
}

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

u64 flapping_span_ms(const struct flapping *flapping, u64 now_ms)
{
	return MIN(now_ms - flapping->since_ms, (u64)FLAPPING_MINUTES * minute_ms);
}

void flapping_describe(u32 changes, u64 span_ms, char text[static FLAPPING_TEXT_BYTES])
{
	bool short_one = span_ms < 2 * minute_ms;
	u32 span = (u32)MAX(span_ms / (short_one ? second_ms : minute_ms), 1);

	snprintf(text, FLAPPING_TEXT_BYTES, "%u change%s within %u %s%s", changes,
		changes == 1 ? "" : "s", span, short_one ? "second" : "minute",
		span == 1 ? "" : "s");
}
