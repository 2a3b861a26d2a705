// SPDX-License-Identifier: Apache-2.0
// The memory of configurations is counted by several threads: one that builds the next one on top
// of what is in force, and those that give an old one back.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "control/reload_parts.h"

enum { threads = 4, rounds = 30000 };

static void test_one_thread(void **state)
{
	struct paper *base = reload_paper_new(NULL), *first, *second;

	(void)state;
	first = reload_paper_new(base);
	second = reload_paper_new(first);
	assert_int_equal(base->users, 2);
	assert_int_equal(first->users, 2);
	reload_paper_drop(first); // the second one's texts point into it
	assert_int_equal(first->users, 1);
	reload_paper_drop(base);
	assert_int_equal(base->users, 1);
	reload_paper_drop(second); // and with it all that is below
	reload_paper_drop(NULL);
}

static void *build_and_drop(void *base)
{
	for (u32 i = 0; i < rounds; i++)
		reload_paper_drop(reload_paper_new(base));
	return NULL;
}

static void test_several_threads(void **state)
{
	struct paper *base = reload_paper_new(NULL);
	pthread_t others[threads];

	(void)state;
	for (u32 i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&others[i], NULL, build_and_drop, base), 0);
	for (u32 i = 0; i < threads; i++)
		assert_int_equal(pthread_join(others[i], NULL), 0);
	assert_int_equal(base->users, 1);
	reload_paper_drop(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_several_threads),
	};

	return cmocka_run_group_tests_name("paper", tests, NULL, NULL);
}
