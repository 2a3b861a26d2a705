// SPDX-License-Identifier: Apache-2.0
// What ends a configuration on probation, and what does not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decide/probation.h"

static enum probation_verdict step(
	struct probation *probation, u64 requests, u64 errors, u32 lost, u64 now_ms)
{
	const struct probation_counts counts = {requests, errors, lost};

	return probation_step(probation, &counts, now_ms);
}

static struct probation begun(u64 requests, u64 errors)
{
	const struct probation_counts counts = {requests, errors, 0};
	struct probation probation;

	probation_begin(&probation, &counts, 60000);
	return probation;
}

static void it_ends_with_its_time(void **state)
{
	struct probation probation = begun(0, 0);

	(void)state;
	assert_int_equal(step(&probation, 0, 0, 0, 59999), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 0, 0, 0, 60000), PROBATION_IS_OVER);
}

static void few_requests_say_nothing(void **state)
{
	struct probation probation = begun(1000, 0);

	(void)state;
	assert_int_equal(step(&probation, 1019, 19, 0, 1), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 1020, 20, 0, 2), PROBATION_FAILS);
}

static void a_few_errors_are_nothing_new(void **state)
{
	struct probation probation = begun(1000, 0);

	(void)state;
	assert_int_equal(step(&probation, 1100, 5, 0, 1), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 1100, 6, 0, 2), PROBATION_FAILS);
}

static void errors_that_were_there_before_are_not_its_own(void **state)
{
	struct probation probation = begun(1000, 200); // a fifth

	(void)state;
	assert_int_equal(step(&probation, 1100, 240, 0, 1), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 1100, 241, 0, 2), PROBATION_FAILS);
}

static void a_pool_without_backends_ends_it_when_that_lasts(void **state)
{
	struct probation probation = begun(0, 0);

	(void)state;
	assert_int_equal(step(&probation, 0, 0, 0, 1), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 0, 0, 1, 2), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 0, 0, 0, 3), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 0, 0, 2, 4), PROBATION_GOES_ON);
	assert_int_equal(step(&probation, 0, 0, 1, 5), PROBATION_IS_EMPTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ends_with_its_time),
		cmocka_unit_test(few_requests_say_nothing),
		cmocka_unit_test(a_few_errors_are_nothing_new),
		cmocka_unit_test(errors_that_were_there_before_are_not_its_own),
		cmocka_unit_test(a_pool_without_backends_ends_it_when_that_lasts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
