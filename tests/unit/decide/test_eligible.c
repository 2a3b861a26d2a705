// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "decide/eligible.h"

enum { backends = 4 };

static struct eligible_facts well(void)
{
	return (struct eligible_facts){
		.enabled = true, .resolved = true, .checked = true, .health = HEALTH_UP};
}

static void fill(struct eligible_facts facts[static backends])
{
	for (u32 i = 0; i < backends; i++)
		facts[i] = well();
}

static void each_reason_has_its_cause(void **state)
{
	struct eligible_facts facts[12];
	u8 why[ARRAY_LEN(facts)];
	static const u8 wanted[ARRAY_LEN(facts)] = {ELIGIBLE_OK, ELIGIBLE_TRIAL, ELIGIBLE_DISABLED,
		ELIGIBLE_DRAINING, ELIGIBLE_UNRESOLVED, ELIGIBLE_UNCHECKED, ELIGIBLE_DOWN,
		ELIGIBLE_REFUSES, ELIGIBLE_EJECTED, ELIGIBLE_BREAKER_OPEN, ELIGIBLE_BACKUP,
		ELIGIBLE_HELD_OPEN};
	struct eligible_pool pool;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(facts); i++)
		facts[i] = well();
	facts[1].breaker = BREAKER_HALF_OPEN;
	facts[2].enabled = false;
	facts[3].draining = true;
	facts[4].resolved = false;
	facts[5].health = HEALTH_UNKNOWN;
	facts[6].health = HEALTH_DOWN;
	facts[7].ejection = EJECTION_CONNECT;
	facts[8].ejection = EJECTION_OUTLIER;
	facts[9].breaker = BREAKER_OPEN;
	facts[10].backup = true;
	facts[11].breaker = BREAKER_OPEN;
	facts[11].held_open = true;
	pool = eligible_judge(facts, ARRAY_LEN(facts), 0, why);
	for (size_t i = 0; i < ARRAY_LEN(facts); i++)
		assert_int_equal(why[i], wanted[i]);
	assert_int_equal(pool.eligible, 2);
	assert_int_equal(pool.share.total, 7);
	assert_int_equal(pool.share.down, 3);
	assert_int_equal(pool.share.ejected, 3);
	assert_int_equal(pool.share.left, 1);
	assert_false(pool.panic);
	assert_string_equal(eligible_why_text(ELIGIBLE_DOWN), "its health checks fail");
}

static void before_the_first_checks_everybody_may(void **state)
{
	struct eligible_facts facts[backends];
	u8 why[backends];

	(void)state;
	fill(facts);
	for (u32 i = 0; i < backends; i++)
		facts[i].health = HEALTH_UNKNOWN;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, backends);
	facts[2].health = HEALTH_DOWN;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, backends - 1);
	facts[1].health = HEALTH_UP;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, 1);
	assert_int_equal(why[0], ELIGIBLE_UNCHECKED);
}

static void without_checks_health_says_nothing(void **state)
{
	struct eligible_facts facts[backends];
	u8 why[backends];

	(void)state;
	fill(facts);
	for (u32 i = 0; i < backends; i++) {
		facts[i].checked = false;
		facts[i].health = HEALTH_DOWN;
	}
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, backends);
	// Nor does it for those that are checked.
	facts[0].checked = true;
	facts[0].health = HEALTH_UNKNOWN;
	facts[1].health = HEALTH_UP;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, backends);
}

static void panic_lets_the_ejected_in_and_never_the_dead(void **state)
{
	struct eligible_facts facts[backends];
	struct eligible_pool pool;
	u8 why[backends];

	(void)state;
	fill(facts);
	facts[0].breaker = BREAKER_OPEN;
	facts[1].ejection = EJECTION_ERRORS;
	pool = eligible_judge(facts, backends, 50, why);
	assert_false(pool.panic); // half is left, and half is enough
	facts[2].health = HEALTH_DOWN;
	pool = eligible_judge(facts, backends, 50, why);
	assert_true(pool.panic);
	assert_int_equal(why[0], ELIGIBLE_PANIC);
	assert_int_equal(why[1], ELIGIBLE_PANIC);
	assert_int_equal(why[2], ELIGIBLE_DOWN);
	assert_int_equal(why[3], ELIGIBLE_OK);
	assert_int_equal(pool.eligible, 3);
	assert_false(eligible_judge(facts, backends, 0, why).panic);
	// Who is down and ejected keeps his place among the ejected: he may be well again first.
	facts[0].health = HEALTH_DOWN;
	pool = eligible_judge(facts, backends, 50, why);
	assert_int_equal(pool.share.down, 2);
	assert_int_equal(pool.share.ejected, 2);
	assert_int_equal(pool.share.left, 1);
	for (u32 i = 0; i < backends; i++)
		facts[i].ejection = EJECTION_CONNECT;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, 0);
}

// What somebody has ordered is nothing that a pool has lost, and no panic overrules it.
static void an_order_wins_over_panic(void **state)
{
	struct eligible_facts facts[backends];
	struct eligible_pool pool;
	u8 why[backends];

	(void)state;
	fill(facts);
	for (u32 i = 0; i < 3; i++) {
		facts[i].breaker = BREAKER_OPEN;
		facts[i].held_open = true;
		assert_false(eligible_counts_ejected(&facts[i]));
	}
	pool = eligible_judge(facts, backends, 90, why);
	assert_false(pool.panic);
	assert_int_equal(pool.share.total, 1);
	assert_int_equal(pool.share.ejected, 0);
	assert_int_equal(pool.eligible, 1);
	// The last one is ejected: it comes back, they do not.
	facts[3].ejection = EJECTION_ERRORS;
	pool = eligible_judge(facts, backends, 90, why);
	assert_true(pool.panic);
	assert_int_equal(why[3], ELIGIBLE_PANIC);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(why[i], ELIGIBLE_HELD_OPEN);
	assert_int_equal(pool.eligible, 1);
}

static void backups_stand_in_when_nobody_else_can(void **state)
{
	struct eligible_facts facts[backends];
	u8 why[backends];

	(void)state;
	fill(facts);
	facts[2].backup = facts[3].backup = true;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, 2);
	facts[0].health = HEALTH_DOWN;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, 1);
	facts[1].health = HEALTH_DOWN;
	facts[3].health = HEALTH_DOWN;
	assert_int_equal(eligible_judge(facts, backends, 50, why).eligible, 1);
	assert_int_equal(why[2], ELIGIBLE_OK);
	assert_int_equal(why[3], ELIGIBLE_DOWN);
	// A half-open breaker lets few through: the backup takes the rest.
	facts[1].health = HEALTH_UP;
	facts[1].breaker = BREAKER_HALF_OPEN;
	assert_int_equal(eligible_judge(facts, backends, 0, why).eligible, 2);
	assert_int_equal(why[1], ELIGIBLE_TRIAL);
	assert_int_equal(why[2], ELIGIBLE_OK);
	assert_int_equal(eligible_judge(facts, 0, 50, why).eligible, 0);
	// And in a panic the others take everything.
	assert_int_equal(eligible_judge(facts, backends, 60, why).eligible, 1);
	assert_int_equal(why[1], ELIGIBLE_PANIC);
	assert_int_equal(why[2], ELIGIBLE_BACKUP);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reason_has_its_cause),
		cmocka_unit_test(before_the_first_checks_everybody_may),
		cmocka_unit_test(without_checks_health_says_nothing),
		cmocka_unit_test(panic_lets_the_ejected_in_and_never_the_dead),
		cmocka_unit_test(an_order_wins_over_panic),
		cmocka_unit_test(backups_stand_in_when_nobody_else_can),
	};

	return cmocka_run_group_tests_name("eligible", tests, NULL, NULL);
}
