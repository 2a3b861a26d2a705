// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

#include <errno.h>

#include "test.h"

static void equality(void **state)
{
	(void)state;
	assert_true(str_eq(STR("abc"), str_make("abcd", 3)));
	assert_false(str_eq(STR("abc"), STR("abd")));
	assert_false(str_eq(STR("abc"), STR("ab")));
	assert_true(str_eq(STR_EMPTY, str_from("")));
	assert_true(str_eq_nocase(STR("Content-Length"), STR("cONTENT-lENGTH")));
	assert_false(str_eq_nocase(STR("a"), STR("ab")));
	// Only letters: '[' and '{' also differ by 0x20.
	assert_false(str_eq_nocase(STR("["), STR("{")));
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR_EMPTY));
	assert_false(str_starts(STR("ab"), STR("abc")));
}

static void finding_and_cutting(void **state)
{
	struct str rest = STR("a,b,,c");

	(void)state;
	assert_int_equal(str_find(STR("abc"), 'c'), 2);
	assert_int_equal(str_find(STR("abc"), 'x'), 3);
	assert_int_equal(str_find(str_make(NULL, 0), 'x'), 0);
	assert_true(str_eq(str_cut(&rest, ','), STR("a")));
	assert_true(str_eq(str_cut(&rest, ','), STR("b")));
	assert_true(str_eq(str_cut(&rest, ','), STR_EMPTY));
	assert_true(str_eq(str_cut(&rest, ','), STR("c")));
	assert_int_equal(rest.len, 0);
	assert_true(str_eq(str_cut(&rest, ','), STR_EMPTY));
	assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
	assert_int_equal(str_trim(STR(" \t ")).len, 0);
	// Other white space is content.
	assert_true(str_eq(str_trim(STR(" \ra\n ")), STR("\ra\n")));
}

static void numbers(void **state)
{
	u64 value = 77;

	(void)state;
	assert_int_equal(str_to_u64(STR("0"), 10, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(str_to_u64(STR("0000000000000000000000000000000000007"), 10, &value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(str_to_u64(STR("10"), 10, &value), 0);
	assert_int_equal(value, 10);
	// On failure the value is left alone.
	assert_int_equal(str_to_u64(STR("11"), 10, &value), -ERANGE);
	assert_int_equal(str_to_u64(STR("18446744073709551616"), UINT64_MAX, &value), -ERANGE);
	assert_int_equal(str_to_u64(STR("99999999999999999999"), UINT64_MAX, &value), -ERANGE);
	assert_int_equal(str_to_u64(STR_EMPTY, 10, &value), -EINVAL);
	assert_int_equal(str_to_u64(STR("+1"), 10, &value), -EINVAL);
	assert_int_equal(str_to_u64(STR("-1"), 10, &value), -EINVAL);
	assert_int_equal(str_to_u64(STR(" 1"), 10, &value), -EINVAL);
	assert_int_equal(str_to_u64(STR("1x"), 10, &value), -EINVAL);
	assert_int_equal(value, 10);
}

// The textbook recursion, without the cap.
static u32 naive_distance(struct str a, struct str b)
{
	u32 best;

	if (a.len == 0 || b.len == 0)
		return (u32)(a.len + b.len);
	best = naive_distance(str_make(a.ptr + 1, a.len - 1), str_make(b.ptr + 1, b.len - 1)) +
	       (a.ptr[0] != b.ptr[0]);
	best = MIN(best, naive_distance(str_make(a.ptr + 1, a.len - 1), b) + 1);
	best = MIN(best, naive_distance(a, str_make(b.ptr + 1, b.len - 1)) + 1);
	if (a.len > 1 && b.len > 1 && a.ptr[0] == b.ptr[1] && a.ptr[1] == b.ptr[0])
		best = MIN(best, naive_distance(str_make(a.ptr + 2, a.len - 2),
					 str_make(b.ptr + 2, b.len - 2)) +
					 1);
	return best;
}

static void distances(void **state)
{
	char long_text[100];

	(void)state;
	assert_int_equal(str_distance(STR("listen"), STR("listen"), 3), 0);
	assert_int_equal(str_distance(STR("listen"), STR("Listen"), 3), 0);
	assert_int_equal(str_distance(STR("listen"), STR("lsiten"), 3), 1);
	assert_int_equal(str_distance(STR("listen"), STR("frontends"), 3), 4);
	assert_int_equal(str_distance(STR_EMPTY, STR("ab"), 3), 2);
	memset(long_text, 'a', sizeof(long_text));
	assert_int_equal(str_distance(str_make(long_text, 100), STR("a"), 3), 4);
	for (u64 seed = 1; seed <= 300; seed++) {
		struct rng rng;
		char a[6], b[6];
		struct str x, y;

		rng_init(&rng, seed);
		x = str_make(a, rng_below(&rng, 6));
		y = str_make(b, rng_below(&rng, 6));
		for (int i = 0; i < 6; i++) {
			a[i] = (char)('a' + rng_below(&rng, 3));
			b[i] = (char)('a' + rng_below(&rng, 3));
		}
		SEEDED(seed, str_distance(x, y, 20) == naive_distance(x, y));
		SEEDED(seed, str_distance(x, y, 20) == str_distance(y, x, 20));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality),
		cmocka_unit_test(finding_and_cutting),
		cmocka_unit_test(numbers),
		cmocka_unit_test(distances),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
