// SPDX-License-Identifier: Apache-2.0
// Which generations are kept, and for how long.
#include "control/shelf.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/sealed.h"
#include "test.h"

static void texts_are_shared_and_bounded(void **state)
{
	struct shelf_text *text = shelf_text_new(STR("{}"));
	struct shelf shelf;

	(void)state;
	shelf_init(&shelf);
	assert_null(shelf_newest(&shelf));
	for (u32 i = 1; i <= SHELF_MAX + 3; i++)
		shelf_add(&shelf, i, text);
	assert_int_equal(shelf.count, SHELF_MAX);
	assert_int_equal(text->users, SHELF_MAX + 1);
	assert_null(shelf_find(&shelf, 3));
	assert_int_equal(shelf_find(&shelf, 4)->number, 4);
	assert_int_equal(shelf_newest(&shelf)->number, SHELF_MAX + 3);
	assert_int_equal(shelf_before(&shelf, shelf_newest(&shelf))->number, SHELF_MAX + 2);
	assert_null(shelf_before(&shelf, shelf_find(&shelf, 4)));
	shelf_done(&shelf);
	assert_int_equal(text->users, 1);
	shelf_text_drop(text);
}

static void long_texts_leave_early_and_the_last_one_stays(void **state)
{
	size_t len = SHELF_BYTES_MAX / 3;
	char *long_text = mem_alloc(len * 4);
	struct shelf shelf;

	(void)state;
	memset(long_text, 'x', len * 4);
	shelf_init(&shelf);
	for (u32 i = 1; i <= 5; i++) {
		struct shelf_text *text = shelf_text_new(str_make(long_text, len));

		shelf_add(&shelf, i, text);
		shelf_text_drop(text);
	}
	assert_int_equal(shelf.count, 3);
	assert_null(shelf_find(&shelf, 2));
	for (u32 i = 6; i <= 7; i++) {
		struct shelf_text *text = shelf_text_new(str_make(long_text, len * 4));

		shelf_add(&shelf, i, text);
		shelf_text_drop(text);
		assert_int_equal(shelf.count, 1);
		assert_int_equal(shelf_newest(&shelf)->number, i);
	}
	shelf_done(&shelf);
	mem_free(long_text);
}

static void json_has_the_newest_first(void **state)
{
	struct arena arena;
	struct shelf shelf;

	(void)state;
	arena_init(&arena, 1 << 20);
	shelf_init(&shelf);
	for (u32 i = 1; i <= 2; i++) {
		struct shelf_entry *entry = shelf_add(&shelf, i, NULL);

		entry->event = "start";
		entry->wall_ms = 5;
		snprintf(entry->who, sizeof(entry->who), "weir");
	}
	assert_string_equal(shelf_json(&shelf, &arena).ptr,
		"[{\"number\":2,\"at_ms\":5,\"by\":\"weir\",\"text\":\"start\",\"about\":null,"
		"\"in_effect\":true},{\"number\":1,\"at_ms\":5,\"by\":\"weir\",\"text\":\"start\","
		"\"about\":null,\"in_effect\":false}]");
	shelf_done(&shelf);
	arena_done(&arena);
}

static void add_written(struct shelf *shelf, u32 number, struct shelf_text *text)
{
	struct shelf_entry *entry = shelf_add(shelf, number, text);

	entry->wall_ms = number * 10;
	entry->event = "configuration is reloaded";
	snprintf(entry->who, sizeof(entry->who), "token\tops");
	snprintf(entry->about, sizeof(entry->about), "app/b%u", number);
}

// Three generations; the second and the third have the same text, and the third an edit.
static void fill(struct shelf *shelf)
{
	static const struct conf_edit_backend backend = {
		.id = {"b", 1}, .address = {"10.0.0.1:80", 11}, .weight = 3};
	static const struct conf_edit edit = {.kind = CONF_EDIT_ADD,
		.pool = {"app", 3},
		.origin = "api",
		.backends = &backend,
		.count = 1};
	struct shelf_text *first = shelf_text_new(STR("{\"a\":\n\t1}")),
			  *second = shelf_text_new(STR("{}"));
	struct shelf_entry *entry;

	shelf_init(shelf);
	add_written(shelf, 4, first);
	add_written(shelf, 6, second);
	add_written(shelf, 7, second);
	entry = shelf_newest(shelf);
	entry->edits = arena_zalloc(&entry->arena, sizeof(edit));
	memcpy(entry->edits, &edit, sizeof(edit));
	entry->edit_count = 1;
	shelf_text_drop(first);
	shelf_text_drop(second);
}

static bool read_back(struct shelf *shelf, const struct text *text)
{
	char why[SHELF_WHY_BYTES];

	shelf_init(shelf);
	return shelf_parse(shelf, str_make(text->data, text->len), why);
}

static void what_is_written_is_read(void **state)
{
	struct shelf shelf, again, below;
	struct text text = {0}, less = {0};
	struct shelf_entry *entry;

	(void)state;
	fill(&shelf);
	shelf_format(&shelf, UINT32_MAX, &text);
	assert_true(read_back(&again, &text));
	assert_int_equal(again.count, 3);
	entry = shelf_find(&again, 4);
	assert_true(str_eq(entry->text->text, STR("{\"a\":\n\t1}")));
	assert_string_equal(entry->who, "token\tops");
	assert_string_equal(entry->event, "configuration is reloaded");
	assert_string_equal(entry->about, "app/b4");
	assert_int_equal(entry->wall_ms, 40);
	assert_int_equal(entry->edit_count, 0);
	entry = shelf_newest(&again);
	assert_ptr_equal(entry->text, shelf_find(&again, 6)->text);
	assert_int_equal(entry->edit_count, 1);
	assert_int_equal(entry->edits[0].kind, CONF_EDIT_ADD);
	assert_true(str_eq(entry->edits[0].pool, STR("app")));
	assert_int_equal(entry->edits[0].backends->weight, 3);
	shelf_format(&shelf, 7, &less);
	assert_true(read_back(&below, &less));
	assert_int_equal(shelf_newest(&below)->number, 6);
	shelf_done(&shelf);
	shelf_done(&again);
	shelf_done(&below);
	text_done(&text);
	text_done(&less);
}

static void a_text_that_is_cut_off_or_of_another_version_is_refused(void **state)
{
	struct shelf shelf, again;
	struct text text = {0}, other = {0};
	char why[SHELF_WHY_BYTES];

	(void)state;
	fill(&shelf);
	shelf_format(&shelf, UINT32_MAX, &text);
	for (size_t len = 0; len < text.len; len++) {
		struct text cut = {.data = mem_strndup(text.data, len), .len = len};

		assert_false(read_back(&again, &cut));
		assert_int_equal(again.count, 0);
		mem_free(cut.data);
	}
	sealed_format(&other, "generations", 2, STR(""));
	assert_false(shelf_parse(&again, str_make(other.data, other.len), why));
	assert_string_equal(why, "it is of version 2, and this weir reads version 1");
	assert_false(shelf_parse(&again, str_make("", (size_t)SHELF_FILE_BYTES_MAX + 1), why));
	assert_string_equal(why, "it is longer than 48 MiB");
	shelf_done(&shelf);
	text_done(&text);
	text_done(&other);
}

// A generation without its text, with a number of before, or with rubbish for an edit.
static void rows_without_sense_are_left_out(void **state)
{
	struct shelf shelf;
	struct text text = {0};

	(void)state;
	sealed_format(&text, "generations", 1,
		STR("add\tapp\tb\t10.0.0.1:80\t1\t0\t0\t0\t\n"
		    "generation\t1\t1\tme\tstart\t\n"
		    "text\t{}\n"
		    "generation\t5\t1\tme\tstart\t\n"
		    "add\tapp\tb\t\t1\t0\t0\t0\t\n"
		    "colour\tred\n"
		    "generation\t5\t1\tme\tstart\t\n"
		    "generation\tsix\t1\tme\tstart\t\n"
		    "add\tapp\tb\t10.0.0.1:80\t1\t0\t0\t0\t\n"
		    "generation\t9\t1\tme\tstart\n"));
	assert_true(read_back(&shelf, &text));
	assert_int_equal(shelf.count, 2);
	assert_int_equal(shelf_find(&shelf, 5)->edit_count, 0);
	assert_int_equal(shelf_newest(&shelf)->number, 9);
	shelf_done(&shelf);
	text_done(&text);
}

static void the_newest_are_written_as_far_as_there_is_room(void **state)
{
	size_t len = SHELF_STORED_BYTES_MAX / 3;
	char *long_text = mem_alloc(len);
	struct shelf shelf, again;
	struct text text = {0};

	(void)state;
	memset(long_text, 'x', len);
	shelf_init(&shelf);
	for (u32 i = 1; i <= 5; i++) {
		struct shelf_text *one = shelf_text_new(str_make(long_text, len));

		add_written(&shelf, i, one);
		shelf_text_drop(one);
	}
	shelf_format(&shelf, UINT32_MAX, &text);
	assert_true(text.len < SHELF_FILE_BYTES_MAX);
	assert_true(read_back(&again, &text));
	assert_int_equal(again.count, 3);
	assert_int_equal(shelf_newest(&again)->number, 5);
	shelf_done(&shelf);
	shelf_done(&again);
	text_done(&text);
	mem_free(long_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_shared_and_bounded),
		cmocka_unit_test(long_texts_leave_early_and_the_last_one_stays),
		cmocka_unit_test(json_has_the_newest_first),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_text_that_is_cut_off_or_of_another_version_is_refused),
		cmocka_unit_test(rows_without_sense_are_left_out),
		cmocka_unit_test(the_newest_are_written_as_far_as_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
