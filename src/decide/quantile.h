// SPDX-License-Identifier: Apache-2.0
// A running estimate of how long things take, as a histogram with eight buckets per doubling: any
// quantile to within an eighth, never below the truth of its bucket. It forgets: when it has seen
// QUANTILE_SAMPLES_MAX, all counts are halved, so recent ones weigh most. One owner.
#pragma once

#include "base/base.h"

enum {
	QUANTILE_BUCKETS = 193,
	QUANTILE_SAMPLES_MAX = 4096,
	QUANTILE_VALUE_MAX =
		1 << 29, // larger values count as this one; with microseconds 9 minutes
};

struct quantile {
	u32 count;
	u16 counts[QUANTILE_BUCKETS];
};

void quantile_add(struct quantile *quantile, u64 value);

// The upper end of the bucket that holds this quantile (permille 1 to 1000); 0 without samples.
u64 quantile_get(const struct quantile *quantile, u32 permille);

static inline u32 quantile_count(const struct quantile *quantile)
{
	return quantile->count;
}
