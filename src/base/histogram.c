// SPDX-License-Identifier: Apache-2.0
#include "base/histogram.h"

const struct histogram_bound histogram_bounds[HISTOGRAM_BUCKETS] = {
#define CLASSIC(bound, seconds) {.us = bound, .is_classic = true, .text = seconds},
#define FINE(bound)		{.us = bound, .text = ""},
#include "base/histogram.def"
	{.us = UINT32_MAX, .text = ""},
};

// The same bounds alone, closer together.
const u32 histogram_tops[HISTOGRAM_BUCKETS] = {
#define CLASSIC(bound, seconds) bound,
#define FINE(bound)		bound,
#include "base/histogram.def"
	UINT32_MAX,
};

// The bucket of the shortest span of each cell. The unit test compares it with the bounds.
const u8 histogram_first[HISTOGRAM_CELLS] = {
	// clang-format off
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4,
	5, 5, 6, 6, 7, 7, 8, 8, 8, 9, 10, 10, 11, 11, 12, 12,
	13, 13, 14, 15, 15, 15, 16, 16, 17, 17, 18, 19, 19, 19, 20, 20,
	21, 21, 22, 23, 23, 23, 24, 24, 25, 25, 26, 26, 27, 27, 28, 28,
	28, 29, 30, 30, 31, 31, 32, 32, 32, 33, 34, 34, 35, 35, 36, 36,
	36, 37, 38, 38, 38, 39, 39, 40, 40, 41, 41, 42, 42, 43, 43, 44,
	44, 44, 45, 46, 46, 47, 47, 48, 48, 49, 49, 50, 50, 51, 51, 51,
	52, 52, 53, 54, 54, 55, 55, 55, 56, 56, 57, 57, 58, 59, 59, 59,
	60, 60, 61, 62, 62, 63, 63, 63, 64, 64, 65, 65, 66, 66, 67, 67,
	67, 68, 69, 69, 70, 70, 70, 71, 71, 72, 73, 73, 73, 73, 73, 74,
	74, 74, 75, 75, 75, 75, 75, 76, 76, 76, 76, 77, 77, 77, 77, 78,
	78, 78, 78, 78, 78, 78, 78, 79, 79, 79, 79, 79, 79, 79, 79, 79,
	79, 80, 80, 80, 80, 80, 80, 80, 80, 81, 81, 81, 81, 81, 81, 81,
	81, 81, 81, 81, 81, 81, 82, 82, 82, 82, 82, 82, 82, 82, 83, 83,
	// clang-format on
};

static u64 read_cell(const u64 *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

void histogram_add(const struct histogram *from, struct histogram *sum)
{
	u64 max_us = read_cell(&from->max_us);

	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->counts[i] += read_cell(&from->counts[i]);
	sum->sum_us += read_cell(&from->sum_us);
	sum->max_us = MAX(sum->max_us, max_us);
}

void histogram_fold(const struct histogram *from, struct histogram_classic *sum)
{
	u32 to = 0;

	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
		sum->counts[to] += read_cell(&from->counts[i]);
		to += histogram_bounds[i].is_classic;
	}
	sum->sum_us += read_cell(&from->sum_us);
}

void histogram_minus(
	const struct histogram *now, const struct histogram *before, struct histogram *ret_between)
{
	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++)
		ret_between->counts[i] = now->counts[i] - before->counts[i];
	ret_between->sum_us = now->sum_us - before->sum_us;
	ret_between->max_us = now->max_us;
}

u64 histogram_count(const struct histogram *histogram)
{
	u64 count = 0;

	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += histogram->counts[i];
	return count;
}

// No span of this bucket was longer. The last one has no bound of its own.
static u64 top_of(const struct histogram *histogram, u32 at)
{
	u64 top = at + 1 < HISTOGRAM_BUCKETS ? histogram_tops[at] : UINT64_MAX;

	return MIN(top, histogram->max_us);
}

// Spans of a bucket lie evenly between its bounds, as far as anybody knows.
static u64 within(const struct histogram *histogram, u32 at, double share)
{
	u64 low = at ? histogram_tops[at - 1] : 0, high = MAX(low, top_of(histogram, at));

	return low + (u64)((double)(high - low) * share);
}

u64 histogram_quantile_us(const struct histogram *histogram, double share)
{
	double wanted = (double)histogram_count(histogram) * share, seen = 0;
	u32 last = 0;

	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
		double count = (double)histogram->counts[i];

		if (count <= 0)
			continue;
		if (seen + count >= wanted)
			return within(histogram, i, MAX(wanted - seen, 0) / count);
		seen += count;
		last = i;
	}
	return seen > 0 ? within(histogram, last, 1) : 0;
}

u64 histogram_max_us(const struct histogram *histogram)
{
	for (u32 i = HISTOGRAM_BUCKETS; i-- > 0;)
		if (histogram->counts[i])
			return top_of(histogram, i);
	return 0;
}

void sizes_add(const struct sizes *from, struct sizes *sum)
{
	for (u32 i = 0; i < SIZES_BUCKETS; i++)
		sum->counts[i] += read_cell(&from->counts[i]);
	sum->sum += read_cell(&from->sum);
}
