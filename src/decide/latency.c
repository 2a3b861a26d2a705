// SPDX-License-Identifier: Apache-2.0
#include "decide/latency.h"

enum {
	parts = 8, // buckets per doubling
	fine = 3,  // the finest bucket is 2^fine wide
};

// The first 2 * parts buckets are equally wide; each doubling above them has `parts`.
static u32 bucket_of(u64 value)
{
	u64 scaled = MIN(value, (u64)LATENCY_VALUE_MAX) >> fine;
	u32 top;

	if (scaled < 2 * parts)
		return (u32)scaled;
	top = 63 - (u32)__builtin_clzll(scaled);
	return (top - 2) * parts + (u32)(scaled >> (top - 3)) % parts;
}

// The largest value of a bucket.
static u64 end_of(u32 bucket)
{
	u32 top = bucket / parts + 2;
	u64 scaled = bucket + 1;

	if (bucket >= 2 * parts)
		scaled = (u64)(parts + bucket % parts + 1) << (top - 3);
	return (scaled << fine) - 1;
}

static void forget_half(struct latency *latency)
{
	latency->count = 0;
	for (u32 i = 0; i < LATENCY_BUCKETS; i++) {
		latency->counts[i] /= 2;
		latency->count += latency->counts[i];
	}
}

void latency_add(struct latency *latency, u64 value)
{
	u32 bucket = bucket_of(value);

	ASSERT(bucket < LATENCY_BUCKETS);
	if (latency->count >= LATENCY_SAMPLES_MAX)
		forget_half(latency);
	latency->counts[bucket]++;
	latency->count++;
}

u64 latency_quantile(const struct latency *latency, u32 permille)
{
	u64 wanted, seen = 0;
	u32 bucket = 0;

	ASSERT(permille >= 1 && permille <= 1000);
	if (latency->count == 0)
		return 0;
	wanted = ((u64)latency->count * permille + 999) / 1000;
	while (bucket < LATENCY_BUCKETS && seen + latency->counts[bucket] < wanted)
		seen += latency->counts[bucket++];
	ASSERT(bucket < LATENCY_BUCKETS);
	return end_of(bucket);
}
