// SPDX-License-Identifier: Apache-2.0
// What keys of tickets are made of, as a process leaves it to the next one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/sealed.h"
#include "control/tickets.h"

static void test_it_is_read_as_it_was_written(void **state)
{
	struct tls_secret secret, got;
	char why[TICKETS_WHY_MAX];
	struct text text = {0};

	(void)state;
	for (u32 i = 0; i < 50; i++) {
		tls_secret_make(&secret, (i64)i * i * 3600 * 1000 * 1000);
		text_clear(&text);
		tickets_format(&text, &secret);
		assert_true(tickets_parse(text_str(&text), &got, why));
		assert_int_equal(got.period, secret.period);
		assert_memory_equal(got.bytes, secret.bytes, sizeof(got.bytes));
	}
	text_done(&text);
}

static void test_what_is_damaged_is_refused(void **state)
{
	struct tls_secret secret, got = {.period = 7};
	char why[TICKETS_WHY_MAX];
	struct text text = {0};

	(void)state;
	tls_secret_make(&secret, 0);
	tickets_format(&text, &secret);
	for (size_t i = 0; i < text.len; i++) {
		why[0] = '\0';
		assert_false(tickets_parse(str_make(text.data, i), &got, why));
		assert_true(why[0]);
		text.data[i] ^= 1;
		assert_false(tickets_parse(text_str(&text), &got, why));
		text.data[i] ^= 1;
	}
	assert_int_equal(got.period, 7);
	assert_true(tickets_parse(text_str(&text), &got, why));
	text_done(&text);
}

static void test_rows_that_make_no_sense(void **state)
{
	static const char *const bodies[] = {"", "secret", "secret\t1\n", "secret\t-1\t00\n",
		"secret\t1\t000000000000000000000000000000000000000000000000000000000000000\n",
		"secret\t1\t000000000000000000000000000000000000000000000000000000000000000g\n",
		"other\t1\t0000000000000000000000000000000000000000000000000000000000000000\n"};
	struct tls_secret got;
	char why[TICKETS_WHY_MAX];

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(bodies); i++) {
		struct text text = {0};

		sealed_format(&text, "tickets", 1, str_from(bodies[i]));
		assert_false(tickets_parse(text_str(&text), &got, why));
		text_done(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_read_as_it_was_written),
		cmocka_unit_test(test_what_is_damaged_is_refused),
		cmocka_unit_test(test_rows_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
