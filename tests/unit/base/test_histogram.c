// SPDX-License-Identifier: Apache-2.0
#include "base/histogram.h"

#include <stdlib.h>

#include "test.h"

static u32 bucket_by_search(u64 us)
{
	u32 at = 0;

	while (at + 1 < HISTOGRAM_BUCKETS && us > histogram_bounds[at].us)
		at++;
	return at;
}

static void test_bounds_grow_evenly(void **state)
{
	u32 classics = 0;

	(void)state;
	for (u32 i = 1; i < HISTOGRAM_BUCKETS; i++) {
		u64 before = histogram_bounds[i - 1].us, bound = histogram_bounds[i].us;

		assert_true(bound > before);
		assert_int_equal(histogram_tops[i], bound);
		if (before >= 30 && bound <= 10 * 1000 * 1000)
			assert_true(bound * 3 <= before * 4);
	}
	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
		const struct histogram_bound *bound = &histogram_bounds[i];

		classics += bound->is_classic;
		if (bound->is_classic)
			assert_int_equal((u64)(strtod(bound->text, NULL) * 1e6 + 0.5), bound->us);
	}
	assert_int_equal(classics, HISTOGRAM_CLASSICS - 1);
}

static void test_every_span_finds_its_bucket(void **state)
{
	struct rng rng;

	(void)state;
	for (u32 us = 0; us < 200 * 1000; us++)
		assert_int_equal(histogram_index(us), bucket_by_search(us));
	for (u32 i = 0; i + 1 < HISTOGRAM_BUCKETS; i++)
		for (u32 by = 0; by < 3; by++) {
			u32 us = histogram_bounds[i].us - 1 + by;

			assert_int_equal(histogram_index(us), bucket_by_search(us));
		}
	rng_init(&rng, 1);
	for (u32 i = 0; i < 1000 * 1000; i++) {
		u32 us = (u32)(rng_u64(&rng) >> 32) >> rng_below(&rng, 32);

		assert_int_equal(histogram_index(us), bucket_by_search(us));
	}
	assert_int_equal(histogram_index(UINT32_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_quantiles(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	assert_int_equal(histogram_quantile_us(&histogram, 0.5), 0);
	assert_int_equal(histogram_max_us(&histogram), 0);
	for (u32 us = 1; us <= 10000; us++) // evenly to 10 ms
		histogram_note(&histogram, us);
	assert_int_equal(histogram_count(&histogram), 10000);
	assert_int_equal(histogram.sum_us, 10000 * 10001 / 2);
	for (u32 percent = 1; percent <= 100; percent++) {
		u64 got = histogram_quantile_us(&histogram, percent / 100.0);

		assert_in_range(got, percent * 100 - 2, percent * 100 + 2);
	}
	assert_int_equal(histogram_max_us(&histogram), 10000);
	histogram_note(&histogram, 10ull * 3600 * 1000 * 1000); // hours
	assert_int_equal(histogram_max_us(&histogram), 10ull * 3600 * 1000 * 1000);
	assert_in_range(histogram_quantile_us(&histogram, 0.5), 4990, 5010);
}

// One value alone is told exactly at the top, and within its bucket below.
static void test_one_span(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	histogram_note(&histogram, 333);
	assert_in_range(histogram_quantile_us(&histogram, 0.5), 300, 333);
	assert_int_equal(histogram_quantile_us(&histogram, 1), 333);
	assert_int_equal(histogram_max_us(&histogram), 333);
}

static void test_differences_have_their_own_maximum(void **state)
{
	struct histogram histogram = {0}, before = {0}, between;

	(void)state;
	histogram_note(&histogram, 5 * 1000 * 1000);
	histogram_add(&histogram, &before);
	histogram_note(&histogram, 800);
	histogram_note(&histogram, 900);
	histogram_minus(&histogram, &before, &between);
	assert_int_equal(histogram_count(&between), 2);
	assert_int_equal(between.sum_us, 1700);
	assert_int_equal(histogram_max_us(&between), 1000); // the bound above 900
	assert_int_equal(histogram_max_us(&histogram), 5 * 1000 * 1000);
}

static void test_folding_keeps_every_count(void **state)
{
	struct histogram histogram = {0};
	struct histogram_classic folded = {0};
	u64 seen = 0, us = 0;
	u32 at = 0;

	(void)state;
	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++, us += 7)
		histogram_note(&histogram, histogram_bounds[i].us);
	histogram_fold(&histogram, &folded);
	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen++;
		if (!histogram_bounds[i].is_classic && i + 1 < HISTOGRAM_BUCKETS)
			continue;
		assert_int_equal(folded.counts[at], seen);
		at++;
		seen = 0;
	}
	assert_int_equal(at, HISTOGRAM_CLASSICS);
	assert_int_equal(folded.sum_us, histogram.sum_us);
}

static void test_sizes(void **state)
{
	struct sizes sizes = {0}, sum = {0};

	(void)state;
	for (u32 i = 0; i + 1 < SIZES_BUCKETS; i++) {
		assert_int_equal(sizes_index(sizes_bound(i)), i);
		assert_int_equal(sizes_index(sizes_bound(i) + 1), i + 1);
		assert_int_equal(sizes_index(sizes_bound(i) - 1), i);
	}
	assert_int_equal(sizes_bound(0), 256);
	assert_int_equal(sizes_bound(SIZES_BUCKETS - 2), 1 << 30);
	assert_int_equal(sizes_index(0), 0);
	assert_int_equal(sizes_index(UINT64_MAX), SIZES_BUCKETS - 1);
	sizes_note(&sizes, 0);
	sizes_note(&sizes, 1000);
	sizes_add(&sizes, &sum);
	sizes_add(&sizes, &sum);
	assert_int_equal(sum.counts[0], 2);
	assert_int_equal(sum.counts[1], 2);
	assert_int_equal(sum.sum, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_grow_evenly),
		cmocka_unit_test(test_every_span_finds_its_bucket),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_one_span),
		cmocka_unit_test(test_differences_have_their_own_maximum),
		cmocka_unit_test(test_folding_keeps_every_count),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
