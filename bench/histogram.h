// SPDX-License-Identifier: Apache-2.0
// Durations in buckets of at most 1/128 relative width, from 1 ns to a day, in 40 KiB. Recording
// costs a few instructions; the owner is one thread.
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_OCTAVES  40
#define HISTOGRAM_BUCKETS  (HISTOGRAM_OCTAVES << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t count, sum_ns, max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);

// The upper edge, in ns, of the bucket below which the given share (0 to 1) of the durations lies.
// 0 if there are none.
uint64_t histogram_quantile(const struct histogram *histogram, double share);
