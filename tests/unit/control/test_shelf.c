// SPDX-License-Identifier: Apache-2.0
// Which generations are kept, and for how long.
#include "control/shelf.h"

#include <stdio.h>

#include "base/mem.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_shared_and_bounded),
		cmocka_unit_test(long_texts_leave_early_and_the_last_one_stays),
		cmocka_unit_test(json_has_the_newest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
