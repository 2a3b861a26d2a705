// SPDX-License-Identifier: Apache-2.0
// A running estimate of how long things take, as a histogram with eight buckets per doubling: any
// quantile to within an eighth, never below the truth of its bucket. It forgets: when it has seen
// LATENCY_SAMPLES_MAX, all counts are halved, so recent ones weigh most. One owner.
#pragma once

#include "base/base.h"

enum {
	LATENCY_BUCKETS = 193,
	LATENCY_SAMPLES_MAX = 4096,
	LATENCY_VALUE_MAX = 1 << 29, // larger values count as this one; with microseconds 9 minutes
};

struct latency {
	u32 count;
	u16 counts[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, u64 value);

// The upper end of the bucket that holds this quantile (permille 1 to 1000); 0 without samples.
u64 latency_quantile(const struct latency *latency, u32 permille);

static inline u32 latency_count(const struct latency *latency)
{
	return latency->count;
}
