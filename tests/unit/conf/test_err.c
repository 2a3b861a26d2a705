// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <jansson.h>

static struct place at(const char *file, u32 line, u32 column)
{
	return (struct place){file, line, column};
}

static void prints_the_whole_form(void **state)
{
	struct world world;
	struct err *err;

	(void)state;
	world_init(&world);
	err = errs_add(&world.errs, ERR_ERROR, 12, at("weir.yaml", 2, 3), 8,
		"unknown key '%s' in pools.app", "algoritm");
	errs_source(&world.errs, err, STR("pools:\n  algoritm: rr\nend"));
	err->advice = errs_text(&world.errs, "did you mean '%s'?", "algorithm");
	err->pointer = errs_text(&world.errs, "weir help pools.app.algorithm");
	errs_add(&world.errs, ERR_WARNING, 101, at("conf.d/api.toml", 0, 0), 1, "unused");
	assert_string_equal(world_errors(&world),
		"weir.yaml:2:3: error[E012]: unknown key 'algoritm' in pools.app\n"
		"    2 |   algoritm: rr\n"
		"      |   ^^^^^^^^ did you mean 'algorithm'?        weir help "
		"pools.app.algorithm\n"
		"conf.d/api.toml: warning[W101]: unused\n"
		"1 error, 1 warning in 2 files.\n");
	world_done(&world);
}

static void sorts_by_place_and_keeps_files_together(void **state)
{
	struct world world;
	const char *text;

	(void)state;
	world_init(&world);
	errs_add(&world.errs, ERR_ERROR, 1, at("b", 9, 1), 1, "one");
	errs_add(&world.errs, ERR_ERROR, 1, at("a", 1, 1), 1, "two");
	errs_add(&world.errs, ERR_ERROR, 1, at("b", 2, 5), 1, "three");
	errs_add(&world.errs, ERR_ERROR, 1, at("b", 2, 3), 1, "four");
	text = world_errors(&world);
	assert_string_equal(text, "b:2:3: error[E001]: four\nb:2:5: error[E001]: three\n"
				  "b:9:1: error[E001]: one\na:1:1: error[E001]: two\n"
				  "4 errors in 2 files.\n");
	world_done(&world);
}

static void shows_part_of_a_long_line(void **state)
{
	struct world world;
	struct err *err;
	char line[4001];

	(void)state;
	world_init(&world);
	memset(line, '.', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	line[1999] = 'X';
	err = errs_add(&world.errs, ERR_ERROR, 1, at("a", 1, 2000), 1, "here");
	errs_source(&world.errs, err, str_from(line));
	assert_true(strlen(err->source) < 200);
	assert_int_equal(err->source[err->caret - 1], 'X');
	world_done(&world);
}

static void disarms_control_bytes(void **state)
{
	struct world world;
	struct err *err;

	(void)state;
	world_init(&world);
	err = errs_add(&world.errs, ERR_ERROR, 1, at("a\033[31m", 1, 1), 1, "x\033]0;y\007\nz");
	errs_source(&world.errs, err, STR("\001\002\003"));
	for (const char *c = world_errors(&world); *c; c++)
		assert_true((u8)*c >= 0x20 || *c == '\n');
	assert_string_equal(err->message, "x?]0;y??z");
	world_done(&world);
}

static void counts_beyond_what_it_keeps(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	for (u32 i = 0; i < ERRS_KEPT_MAX + 10; i++) {
		struct err *err =
			errs_add(&world.errs, ERR_ERROR, 1, at("a", i + 1, 1), 1, "number %u", i);

		errs_source(&world.errs, err, STR("x"));
		err->advice = errs_text(&world.errs, "advice");
	}
	assert_int_equal(world.errs.error_count, ERRS_KEPT_MAX + 10);
	assert_int_equal(world.errs.kept_count, ERRS_KEPT_MAX);
	assert_contains(world_errors(&world), "510 errors (the first 500 are shown).");
	world_done(&world);
}

static void writes_json(void **state)
{
	struct world world;
	json_t *json, *first;
	struct str text;

	(void)state;
	world_init(&world);
	errs_add(&world.errs, ERR_ERROR, 12, at("a\"b", 3, 4), 2, "say \"\\ \"");
	text = errs_format_json(&world.errs, &world.arena);
	json = json_loadb(text.ptr, text.len, 0, NULL);
	assert_non_null(json);
	first = json_array_get(json, 0);
	assert_string_equal(json_string_value(json_object_get(first, "code")), "E012");
	assert_string_equal(json_string_value(json_object_get(first, "file")), "a\"b");
	assert_string_equal(json_string_value(json_object_get(first, "message")), "say \"\\ \"");
	assert_int_equal(json_integer_value(json_object_get(first, "line")), 3);
	json_decref(json);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_the_whole_form),
		cmocka_unit_test(sorts_by_place_and_keeps_files_together),
		cmocka_unit_test(shows_part_of_a_long_line),
		cmocka_unit_test(disarms_control_bytes),
		cmocka_unit_test(counts_beyond_what_it_keeps),
		cmocka_unit_test(writes_json),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
