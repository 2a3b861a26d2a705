// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "decide/breaker.h"

static const struct breaker_rules rules = {.failure_threshold = 5,
	.success_threshold = 2,
	.trials_max = 1,
	.open_ms = 30000,
	.open_ms_max = 100000,
	.share_percent = 50};

static const struct share pool = {.total = 3};

// One request from its question to its end; false: it was refused.
static bool request(struct breaker *breaker, const struct breaker_rules *with,
	enum breaker_outcome outcome, u64 now_ms, struct breaker_step *ret_step)
{
	u32 ticket;

	(void)breaker_tick(breaker, with, now_ms);
	if (breaker_ask(breaker, with, &ticket) == BREAKER_REFUSE)
		return false;
	*ret_step = breaker_done(breaker, with, &pool, ticket, outcome, now_ms);
	return true;
}

static void open_it(struct breaker *breaker, u64 now_ms)
{
	struct breaker_step step = {0};

	for (u32 i = 0; i < rules.failure_threshold; i++)
		assert_true(request(breaker, &rules, BREAKER_BAD, now_ms, &step));
	assert_true(step.changed);
	assert_int_equal(step.to, BREAKER_OPEN);
	assert_int_equal(step.cause, BREAKER_IN_A_ROW);
}

static void failures_in_a_row_open_it(void **state)
{
	struct breaker breaker;
	struct breaker_step step = {0};

	(void)state;
	breaker_init(&breaker, 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			assert_true(request(&breaker, &rules, BREAKER_BAD, 10, &step));
		assert_true(request(&breaker, &rules, BREAKER_VOID, 10, &step));
		assert_false(step.changed);
		assert_true(request(&breaker, &rules, BREAKER_GOOD, 10, &step));
	}
	open_it(&breaker, 10);
	assert_true(breaker_is_out(&breaker));
	assert_false(request(&breaker, &rules, BREAKER_GOOD, 30009, &step));
}

static void closed_open_half_open_closed(void **state)
{
	struct breaker breaker;
	struct breaker_step step;
	u32 first, second;

	(void)state;
	breaker_init(&breaker, 0);
	open_it(&breaker, 1000);
	assert_false(breaker_tick(&breaker, &rules, 30999).changed);
	step = breaker_tick(&breaker, &rules, 31000);
	assert_true(step.changed);
	assert_int_equal(step.to, BREAKER_HALF_OPEN);
	assert_int_equal(step.cause, BREAKER_TIME);
	assert_int_equal(breaker_ask(&breaker, &rules, &first), BREAKER_TRIAL);
	assert_int_equal(breaker_ask(&breaker, &rules, &second), BREAKER_REFUSE);
	assert_false(breaker_done(&breaker, &rules, &pool, first, BREAKER_VOID, 31010).changed);
	assert_int_equal(breaker_ask(&breaker, &rules, &first), BREAKER_TRIAL);
	assert_false(breaker_done(&breaker, &rules, &pool, first, BREAKER_GOOD, 31010).changed);
	assert_int_equal(breaker_ask(&breaker, &rules, &first), BREAKER_TRIAL);
	step = breaker_done(&breaker, &rules, &pool, first, BREAKER_GOOD, 31020);
	assert_true(step.changed);
	assert_int_equal(step.from, BREAKER_HALF_OPEN);
	assert_int_equal(step.to, BREAKER_CLOSED);
	assert_int_equal(step.cause, BREAKER_TRIALS_GOOD);
	assert_int_equal(breaker_ask(&breaker, &rules, &first), BREAKER_PASS);
}

static void a_bad_trial_opens_it_for_longer(void **state)
{
	static const u64 spans_ms[] = {30000, 60000, 100000, 100000};
	struct breaker breaker;
	struct breaker_step step = {0};
	u64 now_ms = 500;

	(void)state;
	breaker_init(&breaker, 0);
	open_it(&breaker, now_ms);
	for (size_t i = 0; i < ARRAY_LEN(spans_ms); i++) {
		assert_int_equal(breaker.until_ms, now_ms + spans_ms[i]);
		now_ms = breaker.until_ms;
		assert_true(request(&breaker, &rules, BREAKER_BAD, now_ms, &step));
		assert_int_equal(step.cause, BREAKER_TRIAL_BAD);
		assert_int_equal(step.to, BREAKER_OPEN);
	}
	// Closed for as long as the longest time: the next opening is a first one.
	now_ms = breaker.until_ms;
	assert_true(request(&breaker, &rules, BREAKER_GOOD, now_ms, &step));
	assert_true(request(&breaker, &rules, BREAKER_GOOD, now_ms, &step));
	assert_int_equal(step.to, BREAKER_CLOSED);
	(void)breaker_tick(&breaker, &rules, now_ms + 99999);
	assert_int_not_equal(breaker.opened, 0);
	now_ms += 100000;
	open_it(&breaker, now_ms);
	assert_int_equal(breaker.until_ms, now_ms + 30000);
}

static void what_began_before_the_state_says_nothing_about_it(void **state)
{
	struct breaker breaker;
	u32 old_ticket, trial;

	(void)state;
	breaker_init(&breaker, 0);
	assert_int_equal(breaker_ask(&breaker, &rules, &old_ticket), BREAKER_PASS);
	open_it(&breaker, 0);
	(void)breaker_tick(&breaker, &rules, 30000);
	assert_int_equal(breaker_ask(&breaker, &rules, &trial), BREAKER_TRIAL);
	for (int i = 0; i < 10; i++) {
		assert_false(breaker_done(&breaker, &rules, &pool, old_ticket, BREAKER_BAD, 30000)
				     .changed);
		assert_false(breaker_done(&breaker, &rules, &pool, old_ticket, BREAKER_GOOD, 30000)
				     .changed);
	}
	assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
	// And a trial of an older half-open state is not one of the new one's.
	assert_true(breaker_done(&breaker, &rules, &pool, trial, BREAKER_BAD, 30000).changed);
	(void)breaker_tick(&breaker, &rules, 90000);
	assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
	assert_false(breaker_done(&breaker, &rules, &pool, trial, BREAKER_BAD, 90000).changed);
	assert_int_equal(breaker_trials_free(&breaker, &rules), 1);
}

static void a_share_of_failures_opens_it(void **state)
{
	struct breaker_rules by_share = rules;
	struct breaker breaker;
	struct breaker_step step = {0};

	(void)state;
	by_share.failure_threshold = 0;
	by_share.error_percent = 50;
	by_share.requests_min = 20;
	by_share.window_ms = 10000;
	breaker_init(&breaker, 0);
	// Nineteen failures are not enough requests.
	for (int i = 0; i < 19; i++) {
		assert_true(request(&breaker, &by_share, BREAKER_BAD, 5000, &step));
		assert_false(step.changed);
	}
	// A window later they are forgotten.
	for (int i = 0; i < 10; i++)
		assert_true(request(&breaker, &by_share, BREAKER_GOOD, 15000, &step));
	for (int i = 0; i < 9; i++) {
		assert_true(request(&breaker, &by_share, BREAKER_BAD, 15500, &step));
		assert_false(step.changed);
	}
	assert_true(request(&breaker, &by_share, BREAKER_BAD, 16000, &step));
	assert_true(step.changed);
	assert_int_equal(step.cause, BREAKER_ERROR_SHARE);
}

static void a_longer_window_begins_anew(void **state)
{
	struct breaker_rules by_share = rules;
	struct breaker breaker;
	struct breaker_step step = {0};

	(void)state;
	by_share.failure_threshold = 0;
	by_share.error_percent = 1;
	by_share.requests_min = 11;
	by_share.window_ms = 1000;
	breaker_init(&breaker, 0);
	for (int i = 0; i < 10; i++)
		assert_true(request(&breaker, &by_share, BREAKER_BAD, 100000, &step));
	by_share.window_ms = 20000;
	for (int i = 0; i < 10; i++) {
		assert_true(request(&breaker, &by_share, BREAKER_BAD, 100010, &step));
		assert_false(step.changed);
	}
	assert_true(request(&breaker, &by_share, BREAKER_BAD, 100010, &step));
	assert_true(step.changed);
}

static void it_stays_closed_while_too_much_is_out(void **state)
{
	struct share full = {.total = 3, .ejected = 1};
	struct breaker_counts failed = {.bad = 9, .bad_at_the_end = 9};
	struct breaker breaker;
	struct breaker_step step;

	(void)state;
	breaker_init(&breaker, 0);
	step = breaker_apply(&breaker, &rules, &full, &failed, 0);
	assert_false(step.changed);
	assert_int_equal(step.cause, BREAKER_NO_ROOM);
	failed = (struct breaker_counts){.bad = 1, .bad_at_the_end = 1};
	step = breaker_apply(&breaker, &rules, &pool, &failed, 0);
	assert_true(step.changed);
}

static void sums_of_threads_mean_the_same(void **state)
{
	struct breaker_rules two = rules;
	struct breaker_counts counts = {.good = 3, .bad = 8, .bad_at_the_end = 4};
	struct breaker breaker;
	struct breaker_step step;

	(void)state;
	two.trials_max = 2;
	breaker_init(&breaker, 0);
	assert_false(breaker_apply(&breaker, &two, &pool, &counts, 0).changed);
	counts = (struct breaker_counts){.bad = 1, .bad_at_the_end = 1};
	assert_true(breaker_apply(&breaker, &two, &pool, &counts, 0).changed);
	assert_int_equal(breaker_trials_free(&breaker, &two), 0);
	(void)breaker_tick(&breaker, &two, 30000);
	assert_int_equal(breaker_trials_free(&breaker, &two), 2);
	counts = (struct breaker_counts){.trials_begun = 2, .trials_good = 1};
	assert_false(breaker_apply(&breaker, &two, &pool, &counts, 30000).changed);
	// One runs, one was good: a third could not change anything.
	assert_int_equal(breaker_trials_free(&breaker, &two), 0);
	counts = (struct breaker_counts){.trials_good = 1};
	step = breaker_apply(&breaker, &two, &pool, &counts, 30001);
	assert_int_equal(step.to, BREAKER_CLOSED);
}

static void it_can_be_held(void **state)
{
	struct breaker breaker;
	struct breaker_step step = {0};

	(void)state;
	breaker_init(&breaker, 0);
	assert_true(breaker_force(&breaker, BREAKER_FORCED_OPEN, 5).changed);
	assert_false(request(&breaker, &rules, BREAKER_GOOD, 9999999, &step));
	assert_true(breaker_force(&breaker, BREAKER_FORCED_CLOSED, 6).changed);
	for (int i = 0; i < 50; i++) {
		assert_true(request(&breaker, &rules, BREAKER_BAD, 7, &step));
		assert_false(step.changed);
	}
	assert_false(breaker_force(&breaker, BREAKER_AUTOMATIC, 8).changed);
	open_it(&breaker, 9);
}

static void its_words(void **state)
{
	(void)state;
	assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
	assert_string_equal(breaker_cause_text(BREAKER_IN_A_ROW), "failures in a row");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_in_a_row_open_it),
		cmocka_unit_test(closed_open_half_open_closed),
		cmocka_unit_test(a_bad_trial_opens_it_for_longer),
		cmocka_unit_test(what_began_before_the_state_says_nothing_about_it),
		cmocka_unit_test(a_share_of_failures_opens_it),
		cmocka_unit_test(a_longer_window_begins_anew),
		cmocka_unit_test(it_stays_closed_while_too_much_is_out),
		cmocka_unit_test(sums_of_threads_mean_the_same),
		cmocka_unit_test(it_can_be_held),
		cmocka_unit_test(its_words),
	};

	return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
