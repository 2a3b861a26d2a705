// SPDX-License-Identifier: Apache-2.0
#include "decide/quantile.h"

#include <string.h>

static u32 bucket_of(u32 value)
{
	u32 octave;

	if (value < 64)
		return value;
	octave = 26 - (u32)__builtin_clz(value); // 1 for 64 to 127
	return octave * 32 + (value >> octave);
}

void quantile_init(struct quantile *quantile, u32 percent)
{
	memset(quantile, 0, sizeof(*quantile));
	quantile->percent = percent;
}

void quantile_add(struct quantile *quantile, u32 value)
{
	u32 bucket = bucket_of(value), wanted;

	if (quantile->filled == QUANTILE_WINDOW) {
		u32 oldest = quantile->samples[quantile->at];

		quantile->counts[oldest]--;
		quantile->upto -= oldest <= quantile->bucket;
	} else {
		quantile->filled++;
	}
	quantile->samples[quantile->at] = (u16)bucket;
	quantile->at = (quantile->at + 1) % QUANTILE_WINDOW;
	quantile->counts[bucket]++;
	quantile->upto += bucket <= quantile->bucket;
	// The smallest bucket with at least that part of the samples in or below it.
	wanted = (quantile->filled * quantile->percent + 99) / 100;
	while (quantile->upto < wanted)
		quantile->upto += quantile->counts[++quantile->bucket];
	while (quantile->upto - quantile->counts[quantile->bucket] >= wanted)
		quantile->upto -= quantile->counts[quantile->bucket--];
}

bool quantile_is_above(const struct quantile *quantile, u32 value)
{
	return quantile->filled > 0 && bucket_of(value) > quantile->bucket;
}
