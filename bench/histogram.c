// SPDX-License-Identifier: Apache-2.0

#include "histogram.h"

// Values below 2^SUB_BITS have a bucket each; above, every octave has 2^SUB_BITS buckets.
static uint32_t bucket_of(uint64_t ns)
{
	if (ns < (1u << HISTOGRAM_SUB_BITS))
		return (uint32_t)ns;
	uint32_t shift = (uint32_t)(63 - __builtin_clzll(ns)) - HISTOGRAM_SUB_BITS;
	uint32_t bucket = ((shift + 1) << HISTOGRAM_SUB_BITS) +
			  (uint32_t)((ns >> shift) - (1u << HISTOGRAM_SUB_BITS));
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge(uint32_t bucket)
{
	if (bucket < (1u << HISTOGRAM_SUB_BITS))
		return bucket;
	uint32_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	uint64_t sub = (bucket & ((1u << HISTOGRAM_SUB_BITS) - 1)) + (1u << HISTOGRAM_SUB_BITS);
	return ((sub + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->sum_ns += ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram->buckets[bucket_of(ns)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)histogram->count);
	uint64_t seen = 0;

	if (!histogram->count)
		return 0;
	for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen > wanted || seen == histogram->count) {
			uint64_t edge = upper_edge(bucket);

			return edge < histogram->max_ns ? edge : histogram->max_ns;
		}
	}
	return histogram->max_ns;
}
