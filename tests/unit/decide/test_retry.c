// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "decide/retry.h"

enum { most = UINT32_MAX };

static const struct retry_rules rules = {.attempts_max = 3,
	.causes = RETRY_CAUSE_BIT(RETRY_CONNECT) | RETRY_CAUSE_BIT(RETRY_RESET) |
		  RETRY_CAUSE_BIT(RETRY_TIMEOUT),
	.status_count = 2,
	.statuses = {502, 503},
	.has_budget = true,
	.backoff_base_ms = 100,
	.backoff_max_ms = 5000,
	.budget = {.percent = 20, .least = 10, .window_ms = 10000}};

// A GET that got no answer on a fresh connection, with two more backends to try.
static const struct retry_facts reset = {.cause = RETRY_RESET,
	.attempts = 1,
	.others = 2,
	.sent = true,
	.idempotent = true,
	.deadline_ms = UINT64_MAX};

static struct retry_answer ask(const struct retry_facts *facts)
{
	struct budget budget = {0};

	return retry_ask(&rules, &budget, facts, most, 1000);
}

static void expect(
	const struct retry_facts *facts, enum retry_verdict verdict, enum retry_reason reason)
{
	struct retry_answer answer = ask(facts);

	assert_int_equal(answer.reason, reason);
	assert_int_equal(answer.verdict, verdict);
}

static void another_backend_first(void **state)
{
	struct retry_facts facts = reset;

	(void)state;
	expect(&facts, RETRY_ANOTHER, RETRY_BECAUSE_OK);
	facts.others = 0;
	expect(&facts, RETRY_ANY, RETRY_BECAUSE_OK);
	facts.attempts = 3;
	expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_NO_ATTEMPTS);
}

static void a_failed_connect_goes_on_at_once_whatever_the_method(void **state)
{
	struct retry_facts facts = {.cause = RETRY_CONNECT,
		.attempts = 1,
		.others = 1,
		.has_body = true,
		.deadline_ms = UINT64_MAX};
	struct retry_answer answer = ask(&facts);

	(void)state;
	assert_int_equal(answer.verdict, RETRY_ANOTHER);
	assert_int_equal(answer.delay_ms, 0);
	facts.others = 0; // the same backends again: not at once
	assert_in_range(ask(&facts).delay_ms, 1, 100);
	facts.tcp = true;
	expect(&facts, RETRY_ANY, RETRY_BECAUSE_OK);
}

static void a_pool_that_goes_on_refusing_is_not_waited_for(void **state)
{
	struct retry_facts facts = reset;

	(void)state;
	facts.cause = RETRY_CONNECT;
	facts.sent = false;
	facts.refused_lately = true;
	assert_false(retry_all_refuse(&facts));
	expect(&facts, RETRY_ANOTHER, RETRY_BECAUSE_OK);
	facts.others = 0;
	assert_true(retry_all_refuse(&facts));
	expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_ALL_REFUSE);
	facts.refused_lately = false;
	expect(&facts, RETRY_ANY, RETRY_BECAUSE_OK);
	facts.cause = RETRY_RESET; // it takes connections
	facts.refused_lately = true;
	assert_false(retry_all_refuse(&facts));
	expect(&facts, RETRY_ANY, RETRY_BECAUSE_OK);
}

static void what_was_sent_is_repeated_only_for_idempotent_methods(void **state)
{
	struct retry_facts facts = reset;

	(void)state;
	facts.idempotent = false;
	for (u32 cause = 0; cause < RETRY_CAUSE_COUNT; cause++) {
		facts.cause = (u8)cause;
		facts.status = 503;
		// Without a connection that the backend takes, it has processed nothing either.
		if (cause == RETRY_NOT_PROCESSED || cause == RETRY_CONNECT)
			expect(&facts, RETRY_ANOTHER, RETRY_BECAUSE_OK);
		else
			expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_NOT_IDEMPOTENT);
	}
}

static void a_body_must_be_held(void **state)
{
	struct retry_facts facts = reset;

	(void)state;
	facts.has_body = true;
	expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_BODY_LOST);
	facts.body_held = true;
	expect(&facts, RETRY_ANOTHER, RETRY_BECAUSE_OK);
	// Nothing of it was sent: then all of it is still to come.
	facts.body_held = facts.sent = false;
	facts.cause = RETRY_CONNECT;
	expect(&facts, RETRY_ANOTHER, RETRY_BECAUSE_OK);
}

static void never_after_the_answer_has_begun(void **state)
{
	struct retry_facts facts = reset;

	(void)state;
	facts.answer_begun = true;
	for (u32 cause = 0; cause < RETRY_CAUSE_COUNT; cause++) {
		facts.cause = (u8)cause;
		facts.status = 503;
		expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_ANSWER_BEGUN);
	}
}

static void only_what_the_configuration_names(void **state)
{
	struct retry_rules none = rules;
	struct retry_facts facts = reset;
	struct budget budget = {0};

	(void)state;
	facts.cause = RETRY_STATUS;
	facts.status = 503;
	expect(&facts, RETRY_ANOTHER, RETRY_BECAUSE_OK);
	facts.status = 500;
	expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_NOT_WANTED);
	none.causes = 0;
	for (u32 cause = RETRY_CONNECT; cause <= RETRY_TIMEOUT; cause++) {
		facts.cause = (u8)cause;
		assert_int_equal(
			retry_ask(&none, &budget, &facts, 0, 0).reason, RETRY_BECAUSE_NOT_WANTED);
	}
}

static void a_stale_connection_is_replaced_once_and_free_of_charge(void **state)
{
	struct retry_rules strict = rules;
	struct budget budget = {0};
	struct retry_facts facts = reset;

	(void)state;
	strict.attempts_max = 1;
	strict.causes = 0;
	strict.budget.least = 0;
	facts.cause = RETRY_STALE;
	assert_int_equal(retry_ask(&strict, &budget, &facts, 0, 0).verdict, RETRY_REPLAY);
	assert_int_equal(retry_ask(&strict, &budget, &facts, 0, 0).delay_ms, 0);
	facts.replayed = true; // from now on it is a reset like others
	assert_int_equal(
		retry_ask(&strict, &budget, &facts, 0, 0).reason, RETRY_BECAUSE_NOT_WANTED);
	expect(&facts, RETRY_ANOTHER, RETRY_BECAUSE_OK);
	facts.replayed = false;
	facts.has_body = true;
	expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_BODY_LOST);
}

static void time_is_respected(void **state)
{
	struct retry_facts facts = reset;
	struct budget budget = {0};

	(void)state;
	facts.deadline_ms = 1000;
	expect(&facts, RETRY_GIVE_UP, RETRY_BECAUSE_NO_TIME);
	facts.deadline_ms = 1002;
	assert_int_equal(retry_ask(&rules, &budget, &facts, 0, 1000).verdict, RETRY_GIVE_UP);
	assert_int_equal(retry_ask(&rules, &budget, &facts, most, 1000).verdict, RETRY_ANOTHER);
	assert_int_equal(budget.taken[budget.slot % (BUDGET_SLOTS + 1)], 1);
}

static void the_budget_is_charged_for_what_is_sent_again(void **state)
{
	struct retry_facts facts = reset;
	struct retry_facts connect = {
		.cause = RETRY_CONNECT, .attempts = 1, .others = 1, .deadline_ms = UINT64_MAX};
	struct retry_rules unbounded = rules;
	struct budget budget = {0};

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			retry_ask(&rules, &budget, &facts, 0, 1000).verdict, RETRY_ANOTHER);
	assert_int_equal(
		retry_ask(&rules, &budget, &facts, 0, 1000).reason, RETRY_BECAUSE_NO_BUDGET);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
			retry_ask(&rules, &budget, &connect, 0, 1000).verdict, RETRY_ANOTHER);
	unbounded.has_budget = false;
	assert_int_equal(retry_ask(&unbounded, &budget, &facts, 0, 1000).verdict, RETRY_ANOTHER);
}

static void the_budget_follows_the_requests(void **state)
{
	struct budget budget = {0};
	u32 taken = 0;

	(void)state;
	budget_note(&budget, &rules.budget, 1000, 50000);
	assert_int_equal(budget_left(&budget, &rules.budget, 50000), 200);
	while (budget_take(&budget, &rules.budget, 50000))
		taken++;
	assert_int_equal(taken, 200);
	// The requests leave the window no later than what they allowed.
	assert_int_equal(budget_left(&budget, &rules.budget, 59900), 0);
	assert_int_equal(budget_left(&budget, &rules.budget, 60500), 10);
	for (int i = 0; i < 10; i++)
		assert_true(budget_take(&budget, &rules.budget, 60500));
	assert_false(budget_take(&budget, &rules.budget, 60500));
}

static void backoff_doubles_up_to_its_bound(void **state)
{
	static const u64 longest_ms[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
	struct retry_rules none = rules;

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(longest_ms); i++) {
		assert_int_equal(retry_backoff_ms(&rules, i, 0), longest_ms[i]);
		assert_in_range(retry_backoff_ms(&rules, i, most / 2), longest_ms[i] / 2,
			longest_ms[i] / 2 + 1);
		assert_in_range(retry_backoff_ms(&rules, i, most), 1, 1);
	}
	assert_int_equal(retry_backoff_ms(&rules, UINT32_MAX, 0), 5000);
	none.backoff_base_ms = 0;
	assert_int_equal(retry_backoff_ms(&none, 7, 0), 0);
}

static void the_last_try_is_known(void **state)
{
	struct retry_facts facts = reset;
	struct retry_rules never = rules;

	(void)state;
	facts.cause = RETRY_TIMEOUT;
	facts.attempts = 2;
	assert_true(retry_could_follow(&rules, &facts));
	facts.attempts = 3;
	assert_false(retry_could_follow(&rules, &facts));
	facts.attempts = 1;
	never.causes &= ~RETRY_CAUSE_BIT(RETRY_TIMEOUT);
	assert_false(retry_could_follow(&never, &facts));
	facts.idempotent = false;
	assert_false(retry_could_follow(&rules, &facts));
}

static void which_bodies_are_worth_holding(void **state)
{
	struct retry_rules off = rules;

	(void)state;
	assert_true(retry_wants_body(&rules, true, false));
	assert_false(retry_wants_body(&rules, false, true));
	off.attempts_max = 1;
	assert_true(retry_wants_body(&off, true, true)); // for a replay
	assert_false(retry_wants_body(&off, true, false));
}

static void ask_tcp_for_a_status(void)
{
	struct retry_facts facts = reset;

	facts.cause = RETRY_STATUS;
	facts.tcp = true;
	(void)!ask(&facts).verdict;
}

static void a_tcp_connection_has_no_status(void **state)
{
	(void)state;
	assert_true(aborts(ask_tcp_for_a_status));
	assert_string_equal(retry_reason_text(RETRY_BECAUSE_NO_BUDGET),
		"the retry budget of the pool is used up");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_backend_first),
		cmocka_unit_test(a_failed_connect_goes_on_at_once_whatever_the_method),
		cmocka_unit_test(a_pool_that_goes_on_refusing_is_not_waited_for),
		cmocka_unit_test(what_was_sent_is_repeated_only_for_idempotent_methods),
		cmocka_unit_test(a_body_must_be_held),
		cmocka_unit_test(never_after_the_answer_has_begun),
		cmocka_unit_test(only_what_the_configuration_names),
		cmocka_unit_test(a_stale_connection_is_replaced_once_and_free_of_charge),
		cmocka_unit_test(time_is_respected),
		cmocka_unit_test(the_budget_is_charged_for_what_is_sent_again),
		cmocka_unit_test(the_budget_follows_the_requests),
		cmocka_unit_test(backoff_doubles_up_to_its_bound),
		cmocka_unit_test(the_last_try_is_known),
		cmocka_unit_test(which_bodies_are_worth_holding),
		cmocka_unit_test(a_tcp_connection_has_no_status),
	};

	return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
