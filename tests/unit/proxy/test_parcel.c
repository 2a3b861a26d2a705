// SPDX-License-Identifier: Apache-2.0
// What one process tells another about a tunnel: every row there and back, and what is not
// understood.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/parcel.h"

static struct str words_of(const struct text *text)
{
	return str_make(text->data, text->len);
}

static void test_each_row_comes_back(void **state)
{
	struct parcel_facts facts, got;
	struct text words = {0};
	u64 number = 1;

	(void)state;
	parcel_facts_init(&facts);
#define PARCEL_TEXT(field, key)	  facts.field = STR("the " key);
#define PARCEL_NUMBER(field, key) facts.field = number++ << 32;
#include "proxy/parcel.def"
	parcel_write(&facts, &words);
	assert_int_equal(parcel_read(words_of(&words), &got), 0);
#define PARCEL_TEXT(field, key)	  assert_true(str_eq(got.field, facts.field));
#define PARCEL_NUMBER(field, key) assert_true(got.field == facts.field);
#include "proxy/parcel.def"
	text_done(&words);
}

static void test_what_is_not_told_says_nothing(void **state)
{
	struct parcel_facts facts, got;
	struct text words = {0};

	(void)state;
	parcel_facts_init(&facts);
	parcel_write(&facts, &words);
	assert_int_equal(words.len, 0);
	assert_int_equal(parcel_read(STR_EMPTY, &got), 0);
	assert_int_equal(got.pool.len, 0);
	assert_true(got.status == PARCEL_UNTOLD);
	text_done(&words);
}

// A later version may tell more, and no text can become another line.
static void test_other_keys_and_control_characters(void **state)
{
	struct parcel_facts facts, got;
	struct text words = {0};

	(void)state;
	assert_int_equal(
		parcel_read(STR("pool a b\ncolour green and blue\nstatus 101\n"), &got), 0);
	assert_true(str_eq(got.pool, STR("a b")));
	assert_true(got.status == 101);
	parcel_facts_init(&facts);
	facts.host = STR("a\npool b");
	facts.pool = STR("c");
	parcel_write(&facts, &words);
	assert_true(str_eq(words_of(&words), STR("pool c\n")));
	text_done(&words);
}

static void test_nonsense_is_refused(void **state)
{
	static const char *const bad[] = {"pool", "pool \n", "status x", "status -1", "status 1 2",
		"status 18446744073709551615", "status 99999999999999999999", "\n"};
	struct parcel_facts got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parcel_read(str_from(bad[i]), &got), -EINVAL);
}

static void test_long_texts_are_cut(void **state)
{
	static char target[3 * PARCEL_TEXT_MAX];
	struct parcel_facts facts, got;
	struct text words = {0};

	(void)state;
	memset(target, 'a', sizeof(target));
	parcel_facts_init(&facts);
	facts.target = str_make(target, sizeof(target));
	parcel_write(&facts, &words);
	assert_int_equal(parcel_read(words_of(&words), &got), 0);
	assert_int_equal(got.target.len, PARCEL_TEXT_MAX);
	text_done(&words);
}

// By whichever of its copies.
static void test_a_claim_is_had_once(void **state)
{
	int claim = parcel_claim_new(), copy;

	(void)state;
	assert_true(claim >= 0);
	copy = dup(claim);
	assert_true(parcel_claim(copy));
	assert_false(parcel_claim(claim));
	assert_false(parcel_claim(copy));
	close(claim);
	close(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_comes_back),
		cmocka_unit_test(test_what_is_not_told_says_nothing),
		cmocka_unit_test(test_other_keys_and_control_characters),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_a_claim_is_had_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
