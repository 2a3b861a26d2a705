// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <stdio.h>

#include "cli/origin_faults.h"

enum { requests = 10000 };

static struct origin_faults faults;

static int setup(void **state)
{
	(void)state;
	origin_faults_init(&faults, 7);
	return 0;
}

static void set(const char *words)
{
	const char *why = origin_faults_set(&faults, str_from(words));

	if (why)
		fail_msg("'%s' was refused: %s", words, why);
}

static void test_none_at_first(void **state)
{
	struct origin_fate fate = origin_faults_next(&faults, false);

	(void)state;
	assert_int_equal(fate.kind, ORIGIN_SOUND);
	assert_int_equal(fate.status, 0);
	assert_int_equal(fate.delay_ms, 0);
}

static void test_each_kind(void **state)
{
	static const struct {
		const char *words;
		enum origin_fault kind;
	} rows[] = {{"status=500", ORIGIN_STATUS}, {"hang=1", ORIGIN_HANG},
		{"reset=1", ORIGIN_RESET}, {"close=1", ORIGIN_CLOSE}, {"cut=1", ORIGIN_CUT},
		{"&&cut=1&", ORIGIN_CUT}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set(rows[i].words);
		for (u32 j = 0; j < 100; j++)
			assert_int_equal(origin_faults_next(&faults, j % 2).kind, rows[i].kind);
	}
	set("status=503");
	assert_int_equal(origin_faults_next(&faults, false).status, 503);
	set("");
	assert_int_equal(origin_faults_next(&faults, false).kind, ORIGIN_SOUND);
}

// Whoever is served while the port is closed asks about the fault, or was there before.
static void test_refusing_is_no_fate(void **state)
{
	(void)state;
	set("refuse=1&for=3s");
	assert_int_equal(faults.kind, ORIGIN_REFUSE);
	assert_int_equal(faults.for_ms, 3000);
	assert_int_equal(origin_faults_next(&faults, false).kind, ORIGIN_SOUND);
}

static void test_share(void **state)
{
	static const char *const spellings[] = {
		"status=500&share=20", "share=20%&status=500", "status=500&share=20%25"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
		u32 failed = 0;

		set(spellings[i]);
		for (u32 j = 0; j < requests; j++) {
			struct origin_fate fate = origin_faults_next(&faults, false);

			assert_int_equal(fate.status, fate.kind == ORIGIN_STATUS ? 500 : 0);
			failed += fate.kind == ORIGIN_STATUS;
		}
		assert_in_range(failed, requests / 5 - 200, requests / 5 + 200);
	}
}

static void test_same_words_same_run(void **state)
{
	bool first[requests];
	u32 others = 0;

	(void)state;
	set("hang=1&share=50");
	for (u32 i = 0; i < requests; i++)
		first[i] = origin_faults_next(&faults, false).kind == ORIGIN_HANG;
	set("hang=1&share=50");
	for (u32 i = 0; i < requests; i++)
		assert_int_equal(origin_faults_next(&faults, false).kind == ORIGIN_HANG, first[i]);
	origin_faults_init(&faults, 8);
	set("hang=1&share=50");
	for (u32 i = 0; i < requests; i++)
		others += (origin_faults_next(&faults, false).kind == ORIGIN_HANG) != first[i];
	assert_true(others > requests / 4);
}

static void test_delay(void **state)
{
	u32 least = UINT32_MAX, most = 0;

	(void)state;
	set("delay=300");
	for (u32 i = 0; i < 100; i++)
		assert_int_equal(origin_faults_next(&faults, false).delay_ms, 300);
	set("delay=100-109");
	for (u32 i = 0; i < requests; i++) {
		u32 delay_ms = origin_faults_next(&faults, false).delay_ms;

		least = MIN(least, delay_ms);
		most = MAX(most, delay_ms);
	}
	assert_int_equal(least, 100);
	assert_int_equal(most, 109);
	set("delay=5&reset=1");
	assert_int_equal(origin_faults_next(&faults, false).kind, ORIGIN_RESET);
	assert_int_equal(origin_faults_next(&faults, false).delay_ms, 5);
}

// With a word of its own, /health takes no part in what happens to the others.
static void test_health(void **state)
{
	struct origin_fate fate;

	(void)state;
	set("hang=1&delay=9&health=200");
	fate = origin_faults_next(&faults, true);
	assert_int_equal(fate.kind, ORIGIN_SOUND);
	assert_int_equal(fate.status, 200);
	assert_int_equal(fate.delay_ms, 0);
	assert_int_equal(origin_faults_next(&faults, false).kind, ORIGIN_HANG);
	set("health=503");
	assert_int_equal(origin_faults_next(&faults, true).status, 503);
	assert_int_equal(origin_faults_next(&faults, false).status, 0);
}

static void test_wrong_words(void **state)
{
	static const char *const wrong[] = {"x=1", "status", "status=", "status=199", "status=600",
		"status=5x", "hang", "hang=2", "hang=1&reset=1", "status=500&cut=1",
		"delay=", "delay=-1", "delay=1-", "delay=5-1", "delay=600001", "delay=1-2-3",
		"share=0", "share=101&hang=1", "share=5%2&hang=1", "share=20", "for=5", "for=0s",
		"for=2h", "for=x", "refuse=1", "refuse=1&for=1s&share=5", "health=99", "Hang=1"};
	char longest[ORIGIN_FAULTS_TEXT_MAX + 2];

	(void)state;
	set("status=418");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (!origin_faults_set(&faults, str_from(wrong[i])))
			fail_msg("'%s' was taken", wrong[i]);
	memset(longest, '&', sizeof(longest));
	assert_non_null(origin_faults_set(&faults, str_make(longest, ORIGIN_FAULTS_TEXT_MAX + 1)));
	// Nothing has changed, and what was said can be shown.
	assert_int_equal(origin_faults_next(&faults, false).status, 418);
	assert_true(str_eq(origin_faults_text(&faults), STR("status=418")));
	assert_null(origin_faults_set(&faults, str_make(longest, ORIGIN_FAULTS_TEXT_MAX)));
	origin_faults_end(&faults);
	assert_int_equal(origin_faults_text(&faults).len, 0);
}

// Each word that the list names is taken.
static void test_list(void **state)
{
	struct text text = {0};
	struct str rest;
	u32 lines = 0;

	(void)state;
	origin_faults_list_words(&text);
	rest = str_make(text.data, text.len);
	while (rest.len) {
		struct str line = str_cut(&rest, '\n'), word = str_trim(line);
		char words[64] = "delay=1&for=1s";

		word = str_cut(&word, '=');
		if (!str_eq(word, STR("for")) && !str_eq(word, STR("delay"))) {
			bool is_number = str_eq(word, STR("status")) || str_eq(word, STR("health"));

			snprintf(words, sizeof(words), "%.*s=%s&for=1s%s", STR_FMT(word),
				is_number ? "500" : "1",
				str_eq(word, STR("share")) ? "&delay=1" : "");
		}
		set(words);
		assert_in_range(line.len, 1, 80);
		lines++;
	}
	assert_int_equal(lines, 10);
	text_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_none_at_first, setup),
		cmocka_unit_test_setup(test_each_kind, setup),
		cmocka_unit_test_setup(test_refusing_is_no_fate, setup),
		cmocka_unit_test_setup(test_share, setup),
		cmocka_unit_test_setup(test_same_words_same_run, setup),
		cmocka_unit_test_setup(test_delay, setup),
		cmocka_unit_test_setup(test_health, setup),
		cmocka_unit_test_setup(test_wrong_words, setup),
		cmocka_unit_test_setup(test_list, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
