// SPDX-License-Identifier: Apache-2.0
// Figures, lines of a known width, tables, and columns that give way.
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "cli/call.h"
#include "cli/table.h"
#include "cli/top_columns.h"
#include "cli/units.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 24);
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

#define EQ(unit, wanted) assert_string_equal((unit).text, (wanted))

static void test_numbers(void **state)
{
	(void)state;
	EQ(unit_number(NAN), "-");
	EQ(unit_number(INFINITY), "-");
	EQ(unit_number(0), "0");
	EQ(unit_number(0.001), "0");
	EQ(unit_number(0.02), "0.02");
	EQ(unit_number(3.14), "3.1");
	EQ(unit_number(99.94), "99.9");
	EQ(unit_number(99.96), "100");
	EQ(unit_number(999.4), "999");
	EQ(unit_number(999.6), "1.00k");
	EQ(unit_number(12400), "12.4k");
	EQ(unit_number(524288), "524k");
	EQ(unit_number(5.24e6), "5.24M");
	EQ(unit_number(1e15), "1.00P");
	EQ(unit_count(0), "0");
	EQ(unit_count(9999), "9999");
	EQ(unit_count(10000), "10.0k");
	EQ(unit_percent(0), "0%");
	EQ(unit_percent(0.00031), "0.03%");
	EQ(unit_percent(0.0423), "4.2%");
	EQ(unit_percent(1), "100%");
	EQ(unit_percent(NAN), "-");
	EQ(unit_times(1.23), "1.2×");
	EQ(unit_times(40.4), "40×");
	EQ(unit_times(12345), ">999×");
}

static void test_spans(void **state)
{
	(void)state;
	EQ(unit_us(NAN), "-");
	EQ(unit_us(0), "0µs");
	EQ(unit_us(310), "310µs");
	EQ(unit_us(999.6), "1.0ms");
	EQ(unit_us(9900), "9.9ms");
	EQ(unit_us(38123), "38ms");
	EQ(unit_us(1234567), "1.2s");
	EQ(unit_us(120e6), "120s");
	EQ(unit_span(-5), "0s");
	EQ(unit_span(59999), "59s");
	EQ(unit_span(252000), "4m12s");
	EQ(unit_span(7980e3), "2h13m");
	EQ(unit_span(3e8), "3d11h");
	EQ(unit_span(1e10), "115d");
	EQ(unit_span(1e300), "99999d");
	EQ(unit_span(NAN), "-");
}

static void test_moments(void **state)
{
	(void)state;
	EQ(unit_clock(1790000000042), "14:13:20");
	EQ(unit_date(1790000000042), "2026-09-21 14:13:20");
	EQ(unit_clock(NAN), "-");
}

// ---- Lines --------------------------------------------------------------------------------------

static struct text out;
static struct cells cells;

static void begin(struct cells_look look)
{
	text_clear(&out);
	cells_init(&cells, &out, &look);
}

#define HAS(wanted) assert_string_equal(out.data, (wanted))

static void test_width(void **state)
{
	(void)state;
	assert_int_equal(cells_width(STR("")), 0);
	assert_int_equal(cells_width(STR("abc")), 3);
	assert_int_equal(cells_width(STR("▁▇µ×…✖")), 6);
	assert_int_equal(cells_width(STR("\xff\xc3")), 2);
}

static void test_strangers_steer_nothing(void **state)
{
	(void)state;
	begin((struct cells_look){0});
	// Escapes, C1 in UTF-8, an overlong slash, a surrogate, something wide, something
	// combining.
	cells_put(&cells, STR("a\033[31m\xc2\x9b\xc0\xaf\xed\xa0\x80\xe4\xb8\xad\xcc\x81z"));
	HAS("a?[31m??????z");
}

static void test_cut_and_filled(void **state)
{
	(void)state;
	begin((struct cells_look){.columns = 40});
	cells_left(&cells, STR("abc"), 5);
	cells_put(&cells, STR("|"));
	cells_left(&cells, STR("abcdef"), 5);
	cells_put(&cells, STR("|"));
	cells_right(&cells, STR("12"), 5);
	cells_put(&cells, STR("|"));
	cells_name(&cells, STR("10.0.0.11:8080"), 6);
	cells_put(&cells, STR("|"));
	cells_left(&cells, STR("x"), 0);
	cells_name(&cells, STR("abc"), 5);
	cells_put(&cells, STR("|and this is too much for the line"));
	HAS("abc  |abcd…|   12|…:8080|abc  |and this ");
	assert_int_equal(cells.at, 40);
}

static void test_lines_without_attributes_end_clean(void **state)
{
	(void)state;
	begin((struct cells_look){.columns = 10});
	cells_style(&cells, CELLS_RED | CELLS_BOLD);
	cells_left(&cells, STR("ab"), 6);
	cells_end(&cells);
	cells_end(&cells);
	HAS("ab\n\n");
}

static void test_styles(void **state)
{
	(void)state;
	begin((struct cells_look){.has_colour = true, .has_attributes = true});
	cells.base = CELLS_REVERSE;
	cells_style(&cells, CELLS_RED | CELLS_BOLD);
	cells_put(&cells, STR("a"));
	cells_style(&cells, CELLS_RED | CELLS_BOLD);
	cells_put(&cells, STR("b"));
	cells_end(&cells);
	cells_put(&cells, STR("c"));
	HAS("\033[0;1;7;31mab\033[0m\nc");
	begin((struct cells_look){.has_attributes = true});
	cells_style(&cells, CELLS_RED | CELLS_BOLD);
	cells_put(&cells, STR("a"));
	HAS("\033[0;1ma");
}

static void test_ascii(void **state)
{
	(void)state;
	begin((struct cells_look){.is_ascii = true});
	cells_put(&cells, STR("✖▲●○· µ×…→▸▼ ▁▂▃▅▇ ─ é"));
	HAS("X!*o. ux.>>v _.-=# - ?");
}

static void test_ascii_is_what_the_environment_says(void **state)
{
	char *none[] = {NULL};
	char *utf[] = {(char *)"LANG=de_DE.UTF-8", NULL};
	char *latin[] = {(char *)"LANG=de_DE.ISO-8859-1", NULL};
	char *console[] = {(char *)"LANG=C.UTF-8", (char *)"TERM=linux", NULL};
	char *both[] = {(char *)"LANG=C.UTF-8", (char *)"LC_ALL=C", NULL};

	(void)state;
	assert_false(cells_is_ascii(none));
	assert_false(cells_is_ascii(utf));
	assert_true(cells_is_ascii(latin));
	assert_true(cells_is_ascii(console));
	assert_true(cells_is_ascii(both));
}

static void assert_wraps(const char *text, u32 width, const char *const *pieces, u32 count)
{
	struct str rest = str_from(text);

	for (u32 i = 0; i < count; i++) {
		struct str piece = cells_wrap(&rest, width);

		assert_true(str_eq(piece, str_from(pieces[i])));
	}
	assert_int_equal(rest.len, 0);
}

static void test_wrap(void **state)
{
	static const char *const words[] = {"one two", "three", "fourteenth", "s"};
	static const char *const exact[] = {"abcde", "fg"};
	static const char *const signs[] = {"µµ µ", "µ"};

	(void)state;
	assert_wraps("one two three fourteenths", 10, words, 4);
	assert_wraps("abcde fg", 5, exact, 2);
	assert_wraps("µµ µ µ", 4, signs, 2);
}

static void test_table(void **state)
{
	static const char *const titles[] = {"NAME", "N", "WHY"};
	struct table table;
	struct table_row *row;

	(void)state;
	table_init(&table, &arena, titles, 3);
	table.right = 1u << 1;
	table.indent = 1;
	row = table_add(&table, CELLS_PLAIN);
	row->cells[0] = STR("a");
	row->cells[1] = STR("100");
	row->cells[2] = STR("as it is");
	row = table_add(&table, CELLS_PLAIN);
	row->cells[0] = STR("longer");
	row->cells[1] = STR("7");
	begin((struct cells_look){0});
	table_put(&table, &cells);
	HAS(" NAME      N  WHY\n a       100  as it is\n longer    7\n");
}

// ---- Columns that give way ----------------------------------------------------------------------

static void test_columns(void **state)
{
	static const struct top_column all[] = {{"A", 4, 4, 0, false}, {"B", 6, 20, 2, false},
		{"C", 5, 5, 1, true}, {"D", 3, 3, 3, false}, {"E", 1, 1, TOP_COLUMN_GONE, false}};
	u32 widths[TOP_COLUMNS_MAX];

	(void)state;
	top_columns_fit(all, 5, 4, widths);
	assert_int_equal(widths[0], 4);
	assert_int_equal(widths[2], 0);
	top_columns_fit(all, 5, 10, widths);
	assert_int_equal(widths[2], 5);
	assert_int_equal(widths[1], 0);
	top_columns_fit(all, 5, 16, widths); // B does not fit, and D does not come in its place
	assert_int_equal(widths[1], 0);
	assert_int_equal(widths[3], 0);
	top_columns_fit(all, 5, 25, widths);
	assert_int_equal(widths[1], 10);
	assert_int_equal(widths[3], 3);
	top_columns_fit(all, 5, 0, widths);
	assert_int_equal(widths[1], 20);
	assert_int_equal(widths[4], 0);
	begin((struct cells_look){0});
	top_columns_put_titles(&cells, all, 5, widths, 2);
	cells_end(&cells);
	HAS("A    B                       C▼ D\n");
}

static void test_encode(void **state)
{
	(void)state;
	assert_string_equal(call_encode(&arena, STR("app-1.x:80")), "app-1.x:80");
	assert_string_equal(call_encode(&arena, STR("a/b c%?#&=+\xc3\xa9")),
		"a%2Fb%20c%25%3F%23%26%3D%2B%C3%A9");
	assert_string_equal(call_encode(&arena, STR("a\0b")), "a%00b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_strangers_steer_nothing),
		cmocka_unit_test(test_cut_and_filled),
		cmocka_unit_test(test_lines_without_attributes_end_clean),
		cmocka_unit_test(test_styles),
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_ascii_is_what_the_environment_says),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_encode),
	};
	int failed = cmocka_run_group_tests(tests, setup, teardown);

	text_done(&out);
	return failed;
}
