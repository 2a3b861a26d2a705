// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "conf/value.h"

static void reads_durations(void **state)
{
	static const struct {
		const char *text, *canonical;
		u64 ms;
	} cases[] = {
		{"250ms", "250ms", 250},
		{"5s", "5s", 5000},
		{"1m30s", "1m30s", 90000},
		{"90s", "1m30s", 90000},
		{"1h", "1h", 3600000},
		{"2D", "2d", 172800000},
		{"1h1ms", "1h1ms", 3600001},
		{"0", "0s", 0},
		{"0ms", "0s", 0},
		{"1500ms", "1s500ms", 1500},
	};
	struct world world;

	(void)state;
	world_init(&world);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		u64 ms = 77;

		assert_int_equal(value_parse_duration(str_from(cases[i].text), &ms), VALUE_OK);
		assert_int_equal(ms, cases[i].ms);
		assert_string_equal(value_format_duration(&world.arena, ms), cases[i].canonical);
	}
	world_done(&world);
}

static void refuses_other_durations(void **state)
{
	static const struct {
		const char *text;
		enum value_result result;
	} cases[] = {
		{"5", VALUE_NO_UNIT},
		{"", VALUE_MALFORMED},
		{"s", VALUE_MALFORMED},
		{"5 s", VALUE_MALFORMED},
		{"5sec", VALUE_MALFORMED},
		{"-5s", VALUE_MALFORMED},
		{"1.5s", VALUE_MALFORMED},
		{"1s1m", VALUE_MALFORMED},
		{"1s1s", VALUE_MALFORMED},
		{"1m30", VALUE_MALFORMED},
		{"99999999999999999999s", VALUE_TOO_LARGE},
		{"18446744073709551615h", VALUE_TOO_LARGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		u64 ms = 77;

		assert_int_equal(
			value_parse_duration(str_from(cases[i].text), &ms), cases[i].result);
		assert_int_equal(ms, 77);
	}
}

static void reads_sizes(void **state)
{
	static const struct {
		const char *text, *canonical;
		u64 bytes;
	} cases[] = {
		{"512B", "512B", 512},
		{"64KiB", "64KiB", 65536},
		{"64kib", "64KiB", 65536},
		{"10MB", "10000000B", 10000000},
		{"1g", "1GiB", 1ull << 30},
		{"2k", "2KiB", 2048},
		{"3kB", "3000B", 3000},
		{"0", "0B", 0},
	};
	struct world world;

	(void)state;
	world_init(&world);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		u64 bytes = 77;

		assert_int_equal(value_parse_size(str_from(cases[i].text), &bytes), VALUE_OK);
		assert_int_equal(bytes, cases[i].bytes);
		assert_string_equal(value_format_size(&world.arena, bytes), cases[i].canonical);
	}
	world_done(&world);
}

static void refuses_other_sizes(void **state)
{
	static const struct {
		const char *text;
		enum value_result result;
	} cases[] = {
		{"64", VALUE_NO_UNIT},
		{"", VALUE_MALFORMED},
		{"KiB", VALUE_MALFORMED},
		{"64KiB1B", VALUE_MALFORMED},
		{"64 KiB", VALUE_MALFORMED},
		{"64X", VALUE_MALFORMED},
		{"1.5m", VALUE_MALFORMED},
		{"99999999999999999999B", VALUE_TOO_LARGE},
		{"18446744073709551615k", VALUE_TOO_LARGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		u64 bytes = 77;

		assert_int_equal(
			value_parse_size(str_from(cases[i].text), &bytes), cases[i].result);
		assert_int_equal(bytes, 77);
	}
}

static void reads_flags(void **state)
{
	bool flag = false;

	(void)state;
	assert_true(value_parse_flag(STR("Yes"), &flag));
	assert_true(flag);
	assert_true(value_parse_flag(STR("off"), &flag));
	assert_false(flag);
	assert_false(value_parse_flag(STR("y"), &flag));
	assert_false(value_parse_flag(STR(""), &flag));
	assert_false(value_parse_flag(STR("1"), &flag));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_durations),
		cmocka_unit_test(refuses_other_durations),
		cmocka_unit_test(reads_sizes),
		cmocka_unit_test(refuses_other_sizes),
		cmocka_unit_test(reads_flags),
	};

	return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
