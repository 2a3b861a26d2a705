// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "decide/ejection.h"
#include "decide/outlier.h"

static const struct ejection_rules rules = {.connect_failures = 3,
	.errors = 5,
	.timeouts = 2,
	.base_ms = 30000,
	.max_ms = 100000,
	.share_percent = 50};

static void a_streak_ends_with_a_success(void **state)
{
	struct misses misses = {0};

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
		assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
		assert_int_equal(misses_note(&misses, &rules, MISS_NONE), EJECTION_NONE);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
	assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_CONNECT);
	// And anew; the last one says of what kind they are.
	assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
	assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
	assert_int_equal(misses_note(&misses, &rules, MISS_REFUSED), EJECTION_REFUSED);
	assert_true(ejection_is_connect(EJECTION_REFUSED) && ejection_is_connect(EJECTION_CONNECT));
	assert_false(ejection_is_connect(EJECTION_NONE) || ejection_is_connect(EJECTION_ERRORS));
}

static void each_kind_has_its_own_streak(void **state)
{
	struct misses misses = {0};
	struct ejection_rules off = rules;

	(void)state;
	assert_int_equal(misses_note(&misses, &rules, MISS_TIMEOUT), EJECTION_NONE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(misses_note(&misses, &rules, i % 2 ? MISS_STATUS : MISS_RESET),
			EJECTION_NONE);
	assert_int_equal(misses_note(&misses, &rules, MISS_TIMEOUT), EJECTION_TIMEOUTS);
	assert_int_equal(misses_note(&misses, &rules, MISS_STATUS), EJECTION_ERRORS);
	// A status or a time-out needs a connection, so refused ones in a row are over.
	assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
	assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
	assert_int_equal(misses_note(&misses, &rules, MISS_STATUS), EJECTION_NONE);
	assert_int_equal(misses_note(&misses, &rules, MISS_CONNECT), EJECTION_NONE);
	off.connect_failures = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(misses_note(&misses, &off, MISS_CONNECT), EJECTION_NONE);
}

static void the_time_out_grows_to_its_bound_and_shrinks_with_good_conduct(void **state)
{
	static const u64 spans_ms[] = {30000, 60000, 90000, 100000, 100000};
	struct share share = {.total = 4};
	struct ejection ejection = {0};
	u64 now_ms = 1000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spans_ms); i++) {
		assert_true(ejection_begin(&ejection, &rules, &share, EJECTION_ERRORS, 0, now_ms));
		assert_int_equal(ejection.until_ms, now_ms + spans_ms[i]);
		assert_true(ejection_is_out(&ejection));
		assert_false(ejection_begin(&ejection, &rules, &share, EJECTION_ERRORS, 0, now_ms));
		assert_false(ejection_tick(&ejection, &rules, ejection.until_ms - 1));
		now_ms = ejection.until_ms;
		assert_true(ejection_tick(&ejection, &rules, now_ms));
		assert_false(ejection_is_out(&ejection));
		assert_false(ejection_tick(&ejection, &rules, now_ms));
	}
	// It counts to what the longest time needs, and one goes with each base time.
	assert_int_equal(ejection.times, 4);
	(void)ejection_tick(&ejection, &rules, now_ms + 29999);
	assert_int_equal(ejection.times, 4);
	(void)ejection_tick(&ejection, &rules, now_ms + 60001);
	assert_int_equal(ejection.times, 2);
	(void)ejection_tick(&ejection, &rules, now_ms + 90000);
	assert_int_equal(ejection.times, 1);
	(void)ejection_tick(&ejection, &rules, now_ms + 9000000);
	assert_int_equal(ejection.times, 0);
}

static void at_most_a_share_of_the_pool_but_refusing_ones_always(void **state)
{
	struct ejection ejection = {0};
	struct share full = {.total = 4, .ejected = 2};

	(void)state;
	assert_false(ejection_begin(&ejection, &rules, &full, EJECTION_OUTLIER, 0, 0));
	assert_false(ejection_is_out(&ejection));
	assert_int_equal(ejection.times, 0);
	assert_true(ejection_begin(&ejection, &rules, &full, EJECTION_CONNECT, 0, 0));
	assert_true(ejection_forgive_connect(&ejection, 500));
	assert_false(ejection_is_out(&ejection));
	full.ejected = 1;
	assert_true(ejection_begin(&ejection, &rules, &full, EJECTION_OUTLIER, 0, 1000));
	assert_false(ejection_forgive_connect(&ejection, 2000));
	assert_true(ejection_is_out(&ejection));
}

static void shares(void **state)
{
	(void)state;
	assert_false(share_has_room(&(struct share){.total = 1}, 50));
	assert_true(share_has_room(&(struct share){.total = 2}, 50));
	assert_false(share_has_room(&(struct share){.total = 3, .ejected = 1}, 50));
	assert_true(share_has_room(&(struct share){.total = 10, .ejected = 4}, 50));
	assert_false(share_has_room(&(struct share){.total = 10}, 0));
	assert_true(share_has_room(&(struct share){.total = 3, .ejected = 2}, 100));
}

static void panic_overrules_ejections_but_not_death(void **state)
{
	(void)state;
	assert_false(share_is_panic(&(struct share){.total = 4, .ejected = 2, .left = 2}, 50));
	assert_true(share_is_panic(
		&(struct share){.total = 4, .ejected = 2, .down = 1, .left = 1}, 50));
	// Nobody is left who could be let in.
	assert_false(share_is_panic(&(struct share){.total = 4, .down = 4}, 50));
	assert_false(share_is_panic(&(struct share){.total = 4, .down = 3, .left = 1}, 50));
	assert_false(share_is_panic(
		&(struct share){.total = 4, .down = 3, .ejected = 2, .left = 1}, 50));
	assert_false(share_is_panic(&(struct share){.total = 4, .ejected = 3, .left = 1}, 0));
	assert_false(share_is_panic(&(struct share){0}, 50));
}

static const struct outlier_rules outlier_rules = {
	.backends_min = 5, .requests_min = 100, .factor_thousandths = 1900, .margin_percent = 5};

static void one_bad_among_good_ones_is_found(void **state)
{
	struct outlier_sample samples[] = {
		{1000, 999}, {1000, 1000}, {1000, 800}, {1000, 998}, {1000, 997}, {50, 0}};
	bool is_outlier[ARRAY_LEN(samples)];

	(void)state;
	assert_int_equal(outlier_find(&outlier_rules, samples, ARRAY_LEN(samples), is_outlier), 1);
	for (u32 i = 0; i < ARRAY_LEN(samples); i++)
		assert_int_equal(is_outlier[i], i == 2); // the last one has too few requests
}

static void small_differences_and_small_pools_are_left_alone(void **state)
{
	struct outlier_sample samples[] = {
		{1000, 999}, {1000, 999}, {1000, 960}, {1000, 999}, {1000, 999}, {1000, 999}};
	bool is_outlier[ARRAY_LEN(samples)];

	(void)state;
	assert_int_equal(outlier_find(&outlier_rules, samples, ARRAY_LEN(samples), is_outlier), 0);
	samples[2].successes = 100;
	assert_int_equal(outlier_find(&outlier_rules, samples, 4, is_outlier), 0);
	assert_int_equal(outlier_find(&outlier_rules, samples, 6, is_outlier), 1);
	// All equally bad: nobody is worse than the others.
	for (u32 i = 0; i < ARRAY_LEN(samples); i++)
		samples[i].successes = 100;
	assert_int_equal(outlier_find(&outlier_rules, samples, 6, is_outlier), 0);
	assert_int_equal(outlier_find(&outlier_rules, samples, 0, is_outlier), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_streak_ends_with_a_success),
		cmocka_unit_test(each_kind_has_its_own_streak),
		cmocka_unit_test(the_time_out_grows_to_its_bound_and_shrinks_with_good_conduct),
		cmocka_unit_test(at_most_a_share_of_the_pool_but_refusing_ones_always),
		cmocka_unit_test(shares),
		cmocka_unit_test(panic_overrules_ejections_but_not_death),
		cmocka_unit_test(one_bad_among_good_ones_is_found),
		cmocka_unit_test(small_differences_and_small_pools_are_left_alone),
	};

	return cmocka_run_group_tests_name("ejection", tests, NULL, NULL);
}
