// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "decide/health.h"
#include "decide/health_auto.h"
#include "decide/slow_start.h"

static const struct health_rules rules = {.healthy_threshold = 2,
	.unhealthy_threshold = 3,
	.interval_ms = 5000,
	.fast_interval_ms = 1000,
	.timeout_ms = 2000};

enum { most = UINT32_MAX };

// One whole probe that takes took_ms.
static struct health_step probe(
	struct health *health, u64 at_ms, u64 took_ms, bool passes, bool others)
{
	struct health_event begin = {.kind = HEALTH_EVENT_BEGIN};
	struct health_event end = {
		.kind = passes ? HEALTH_EVENT_PASS : HEALTH_EVENT_FAIL,
		.reason = passes ? HEALTH_NONE : HEALTH_STATUS,
		.pool_has_healthy = others,
	};

	(void)health_step(health, &rules, &begin, at_ms);
	return health_step(health, &rules, &end, at_ms + took_ms);
}

static void the_first_probe_is_due_at_once_and_one_result_decides(void **state)
{
	struct health health;
	struct health_step step;

	(void)state;
	health_init(&health, 77);
	assert_int_equal(health.state, HEALTH_UNKNOWN);
	assert_true(health_is_due(&health, 77));
	step = probe(&health, 77, 3, true, false);
	assert_true(step.changed);
	assert_int_equal(step.from, HEALTH_UNKNOWN);
	assert_int_equal(step.to, HEALTH_UP);
	assert_int_equal(step.next_ms, 77 + 5000);

	health_init(&health, 0);
	step = probe(&health, 0, 3, false, true);
	assert_true(step.changed);
	assert_int_equal(step.to, HEALTH_DOWN);
	assert_int_equal(step.reason, HEALTH_STATUS);
}

static void it_leaves_after_three_and_returns_after_two(void **state)
{
	static const struct {
		bool passes, changes;
		u32 streak;
		u64 next_after_ms;
	} rows[] = {
		{true, true, 1, 5000},
		{false, false, 1, 1000}, // a streak against the state: fast
		{false, false, 2, 1000},
		{true, false, 1, 5000}, // broken: nothing happened
		{false, false, 1, 1000},
		{false, false, 2, 1000},
		{false, true, 3, 5000}, // out; others are healthy, so no hurry
		{false, false, 4, 5000},
		{true, false, 1, 1000},
		{false, false, 1, 5000},
		{true, false, 1, 1000},
		{true, true, 2, 5000},
	};
	struct health health;
	u64 at_ms = 10;

	(void)state;
	health_init(&health, at_ms);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct health_step step = probe(&health, at_ms, 5, rows[i].passes, true);

		assert_int_equal(step.changed, rows[i].changes);
		assert_int_equal(step.streak, rows[i].streak);
		assert_int_equal(step.next_ms, at_ms + rows[i].next_after_ms);
		assert_false(health_is_due(&health, step.next_ms - 1));
		assert_true(health_is_due(&health, step.next_ms));
		at_ms = step.next_ms;
	}
}

static void with_nothing_healthy_a_return_takes_two_fast_intervals(void **state)
{
	struct health health;
	u64 at_ms = 0;

	(void)state;
	health_init(&health, 0);
	for (int i = 0; i < 5; i++) {
		struct health_step step = probe(&health, at_ms, 1, false, false);

		assert_int_equal(step.next_ms, at_ms + 1000);
		at_ms = step.next_ms;
	}
	assert_false(probe(&health, at_ms, 1, true, false).changed);
	assert_true(probe(&health, at_ms + 1000, 1, true, false).changed);
	assert_int_equal(health.state, HEALTH_UP);
}

static void the_last_healthy_one_goes_and_the_others_hurry(void **state)
{
	struct health health;

	(void)state;
	health_init(&health, 0);
	(void)probe(&health, 0, 1, false, true);
	assert_int_equal(health.next_ms, 5000);
	health_hurry(&health, &rules, 100);
	assert_int_equal(health.next_ms, 1100);
	health_hurry(&health, &rules, 500);
	assert_int_equal(health.next_ms, 1100);
}

static void failed_requests_put_it_out_and_probes_bring_it_back(void **state)
{
	struct health_event suspect = {
		.kind = HEALTH_EVENT_SUSPECT, .reason = HEALTH_CONNECTION_REFUSED};
	struct health health;
	struct health_step step;

	(void)state;
	health_init(&health, 0);
	(void)probe(&health, 0, 1, true, true);
	step = health_step(&health, &rules, &suspect, 200);
	assert_true(step.changed);
	assert_int_equal(step.to, HEALTH_DOWN);
	assert_int_equal(step.reason, HEALTH_CONNECTION_REFUSED);
	assert_int_equal(step.next_ms, 1200);
	assert_false(probe(&health, 1200, 1, true, true).changed);
	assert_true(probe(&health, 2200, 1, true, true).changed);
	assert_int_equal(health.since_ms, 2201);
}

static void a_probe_has_a_deadline_and_only_one_runs(void **state)
{
	struct health_event begin = {.kind = HEALTH_EVENT_BEGIN};
	struct health_event end = {.kind = HEALTH_EVENT_FAIL, .reason = HEALTH_RESPONSE_TIMEOUT};
	struct health health;

	(void)state;
	health_init(&health, 0);
	assert_int_equal(health_wake_ms(&health), 0);
	(void)health_step(&health, &rules, &begin, 40);
	assert_int_equal(health_wake_ms(&health), 2040);
	assert_false(health_is_due(&health, 9999));
	// The fast interval is over already: at once, and not in the past.
	assert_int_equal(health_step(&health, &rules, &end, 2040).next_ms, 2040);
}

static void begin_twice(void)
{
	struct health_event begin = {.kind = HEALTH_EVENT_BEGIN};
	struct health health;

	health_init(&health, 0);
	(void)health_step(&health, &rules, &begin, 0);
	(void)health_step(&health, &rules, &begin, 1);
}

static void end_without_begin(void)
{
	struct health_event end = {.kind = HEALTH_EVENT_PASS};
	struct health health;

	health_init(&health, 0);
	(void)health_step(&health, &rules, &end, 0);
}

static void misuse_is_our_bug(void **state)
{
	(void)state;
	assert_true(aborts(begin_twice));
	assert_true(aborts(end_without_begin));
}

static void chance_only_shortens(void **state)
{
	struct health_rules jittered = rules;
	struct health_event begin = {.kind = HEALTH_EVENT_BEGIN};
	struct health_event end = {
		.kind = HEALTH_EVENT_PASS, .pool_has_healthy = true, .random = most};
	struct health health;
	u64 next;

	(void)state;
	jittered.jitter_percent = 25;
	health_init(&health, 0);
	(void)health_step(&health, &jittered, &begin, 0);
	next = health_step(&health, &jittered, &end, 1).next_ms;
	assert_in_range(next, 3750, 3751);
	(void)health_step(&health, &jittered, &begin, 10000);
	end.random = 0;
	assert_int_equal(health_step(&health, &jittered, &end, 10001).next_ms, 15000);
}

static void who_is_let_in(void **state)
{
	(void)state;
	assert_true(health_lets_in(HEALTH_UP, 1));
	assert_true(health_lets_in(HEALTH_UNKNOWN, 0));
	assert_false(health_lets_in(HEALTH_UNKNOWN, 1));
	assert_false(health_lets_in(HEALTH_DOWN, 0));
	assert_string_equal(health_state_name(HEALTH_DOWN), "down");
	assert_string_equal(health_reason_text(HEALTH_CONNECTION_REFUSED), "connection refused");
}

static void automatic_check_pins_http_on_the_first_2xx(void **state)
{
	struct health_auto automatic;
	enum health_auto_answer no_page = health_auto_classify(404);

	(void)state;
	health_auto_init(&automatic, 3);
	assert_false(health_auto_note(&automatic, HEALTH_AUTO_NO_ANSWER, no_page));
	assert_true(health_auto_judge(&automatic, no_page));
	assert_true(health_auto_note(&automatic, HEALTH_AUTO_NO_ANSWER, health_auto_classify(204)));
	assert_int_equal(automatic.mode, HEALTH_AUTO_HTTP);
	assert_false(health_auto_judge(&automatic, no_page));
	assert_false(health_auto_note(&automatic, no_page, no_page));
}

static void automatic_check_falls_back_when_nobody_has_the_page(void **state)
{
	struct health_auto automatic;
	enum health_auto_answer none = HEALTH_AUTO_NO_ANSWER;

	(void)state;
	health_auto_init(&automatic, 2);
	assert_false(health_auto_note(&automatic, none, health_auto_classify(404)));
	// The same one again is not another one.
	assert_false(health_auto_note(&automatic, HEALTH_AUTO_NO_PAGE, health_auto_classify(302)));
	assert_false(health_auto_note(&automatic, none, health_auto_classify(503)));
	assert_false(health_auto_judge(&automatic, HEALTH_AUTO_BAD));
	assert_false(health_auto_judge(&automatic, HEALTH_AUTO_NO_ANSWER));
	assert_false(health_auto_note(&automatic, HEALTH_AUTO_NO_PAGE, none));
	assert_false(health_auto_note(&automatic, HEALTH_AUTO_BAD, health_auto_classify(501)));
	assert_true(health_auto_note(&automatic, none, health_auto_classify(401)));
	assert_int_equal(automatic.mode, HEALTH_AUTO_TCP);
	assert_true(health_auto_judge(&automatic, HEALTH_AUTO_NO_PAGE));
	assert_int_equal(health_auto_classify(0), HEALTH_AUTO_NO_ANSWER);
	assert_int_equal(health_auto_classify(299), HEALTH_AUTO_GOOD);
	assert_int_equal(health_auto_classify(500), HEALTH_AUTO_BAD);
}

static void a_slow_start_rises_in_even_steps(void **state)
{
	u64 at_ms = 0;
	u32 steps = 0;

	(void)state;
	assert_int_equal(slow_start_share(0, 0), SLOW_START_WHOLE);
	assert_int_equal(slow_start_next_ms(0, 0), 0);
	assert_int_equal(slow_start_share(0, 30000), SLOW_START_FLOOR);
	assert_int_equal(slow_start_share(15000, 30000), 11);
	assert_int_equal(slow_start_share(29999, 30000), SLOW_START_WHOLE - 1);
	assert_int_equal(slow_start_share(30000, 30000), SLOW_START_WHOLE);
	for (u64 wait; (wait = slow_start_next_ms(at_ms, 1003)) > 0; at_ms += wait, steps++) {
		assert_int_equal(
			slow_start_share(at_ms, 1003), slow_start_share(at_ms + wait - 1, 1003));
		assert_int_equal(
			slow_start_share(at_ms, 1003) + 1, slow_start_share(at_ms + wait, 1003));
	}
	assert_int_equal(steps, SLOW_START_WHOLE - SLOW_START_FLOOR);
	assert_int_equal(at_ms, 1003);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_probe_is_due_at_once_and_one_result_decides),
		cmocka_unit_test(it_leaves_after_three_and_returns_after_two),
		cmocka_unit_test(with_nothing_healthy_a_return_takes_two_fast_intervals),
		cmocka_unit_test(the_last_healthy_one_goes_and_the_others_hurry),
		cmocka_unit_test(failed_requests_put_it_out_and_probes_bring_it_back),
		cmocka_unit_test(a_probe_has_a_deadline_and_only_one_runs),
		cmocka_unit_test(misuse_is_our_bug),
		cmocka_unit_test(chance_only_shortens),
		cmocka_unit_test(who_is_let_in),
		cmocka_unit_test(automatic_check_pins_http_on_the_first_2xx),
		cmocka_unit_test(automatic_check_falls_back_when_nobody_has_the_page),
		cmocka_unit_test(a_slow_start_rises_in_even_steps),
	};

	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
