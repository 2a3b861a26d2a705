// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "decide/hedge.h"

static const struct hedge_rules rules = {.percent = 95, .samples_min = 100, .delay_min_ms = 1};
static const struct budget_rules budget_rules = {.percent = 5, .least = 2, .window_ms = 10000};
static const struct hedge_facts first = {.idempotent = true, .attempts = 1, .others = 2};

static void every_value_has_a_bucket_that_holds_it(void **state)
{
	u64 value = 0;

	(void)state;
	while (value <= LATENCY_VALUE_MAX) {
		struct latency latency = {0};
		u64 end;

		latency_add(&latency, value);
		end = latency_quantile(&latency, 500);
		assert_true(end >= value);
		assert_true(end - value <= value / 8 + 7);
		value += value / 1000 + 1;
	}
	// Larger ones count as the largest.
	struct latency latency = {0};

	latency_add(&latency, UINT64_MAX);
	assert_true(latency_quantile(&latency, 1000) >= LATENCY_VALUE_MAX);
}

static void quantiles_of_a_known_set(void **state)
{
	struct latency latency = {0};

	(void)state;
	assert_int_equal(latency_quantile(&latency, 950), 0);
	for (u64 i = 1; i <= 1000; i++)
		latency_add(&latency, i * 1000);
	assert_in_range(latency_quantile(&latency, 1), 1000, 1000 * 9 / 8);
	assert_in_range(latency_quantile(&latency, 500), 500000, 500000 * 9 / 8);
	assert_in_range(latency_quantile(&latency, 950), 950000, 950000 * 9 / 8);
	assert_in_range(latency_quantile(&latency, 1000), 1000000, 1000000 * 9 / 8);
}

static void it_forgets(void **state)
{
	struct latency latency = {0};

	(void)state;
	for (int i = 0; i < LATENCY_SAMPLES_MAX; i++)
		latency_add(&latency, 1000000);
	for (int i = 0; i < 3 * LATENCY_SAMPLES_MAX; i++)
		latency_add(&latency, 1000);
	assert_in_range(latency_count(&latency), LATENCY_SAMPLES_MAX / 2, LATENCY_SAMPLES_MAX);
	assert_in_range(latency_quantile(&latency, 950), 1000, 1125);
}

static void the_delay_is_the_quantile_once_enough_is_known(void **state)
{
	struct hedge hedge = {0};

	(void)state;
	for (u64 i = 0; i < 99; i++) {
		hedge_note(&hedge, &rules, 20000);
		assert_true(hedge_delay_us(&hedge, &rules, &first) == HEDGE_NEVER);
	}
	hedge_note(&hedge, &rules, 20000);
	assert_in_range(hedge_delay_us(&hedge, &rules, &first), 20000, 22500);
	for (u64 i = 0; i < 5000; i++)
		hedge_note(&hedge, &rules, 90000);
	assert_in_range(hedge_delay_us(&hedge, &rules, &first), 90000, 101250);
	for (u64 i = 0; i < 50000; i++)
		hedge_note(&hedge, &rules, 10);
	assert_int_equal(hedge_delay_us(&hedge, &rules, &first), 1000);
}

static void without_a_quantile_nothing_is_doubled(void **state)
{
	struct hedge_rules off = rules;
	struct hedge hedge = {0};

	(void)state;
	off.percent = 0;
	for (u64 i = 0; i < 200; i++)
		hedge_note(&hedge, &off, 20000);
	assert_int_equal(latency_count(&hedge.latency), 0);
	for (u64 i = 0; i < 200; i++)
		hedge_note(&hedge, &rules, 20000);
	assert_true(hedge_delay_us(&hedge, &off, &first) == HEDGE_NEVER);
}

static void only_first_attempts_of_what_may_be_repeated(void **state)
{
	struct hedge hedge = {0};
	struct hedge_facts facts[5];
	struct budget budget = {0};

	(void)state;
	for (u64 i = 0; i < 100; i++)
		hedge_note(&hedge, &rules, 20000);
	for (size_t i = 0; i < ARRAY_LEN(facts); i++)
		facts[i] = first;
	facts[0].idempotent = false;
	facts[1].has_body = true;
	facts[2].attempts = 2;
	facts[3].others = 0;
	facts[4].answer_begun = true;
	for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
		assert_true(hedge_delay_us(&hedge, &rules, &facts[i]) == HEDGE_NEVER);
		assert_false(hedge_ask(&facts[i], &budget, &budget_rules, 0));
	}
	assert_int_equal(budget_left(&budget, &budget_rules, 0), 2);
}

static void copies_draw_from_the_budget(void **state)
{
	struct budget budget = {0};

	(void)state;
	assert_true(hedge_ask(&first, &budget, &budget_rules, 0));
	assert_true(hedge_ask(&first, &budget, &budget_rules, 0));
	assert_false(hedge_ask(&first, &budget, &budget_rules, 0));
	budget_note(&budget, &budget_rules, 60, 0);
	assert_true(hedge_ask(&first, &budget, &budget_rules, 0));
	assert_false(hedge_ask(&first, &budget, &budget_rules, 0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_has_a_bucket_that_holds_it),
		cmocka_unit_test(quantiles_of_a_known_set),
		cmocka_unit_test(it_forgets),
		cmocka_unit_test(the_delay_is_the_quantile_once_enough_is_known),
		cmocka_unit_test(without_a_quantile_nothing_is_doubled),
		cmocka_unit_test(only_first_attempts_of_what_may_be_repeated),
		cmocka_unit_test(copies_draw_from_the_budget),
	};

	return cmocka_run_group_tests_name("hedge", tests, NULL, NULL);
}
