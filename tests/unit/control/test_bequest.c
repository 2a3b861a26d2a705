// SPDX-License-Identifier: Apache-2.0
// What a process leaves to the next one is read as it was written, or refused with the reason.
#include "control/bequest.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/sealed.h"
#include "control/model.h"
#include "test.h"

static const struct conf_edit_backend added = {.id = {"b\t1", 3},
	.address = {"10.0.0.1:80", 11},
	.weight = 1000,
	.max_connections = 7,
	.is_backup = true,
	.own = STR("{\n\t\"tls\": {\"ca\": \"a\\\\b\"}\n}")};

static void fill(struct bequest *bequest)
{
	bequest_init(bequest);
	assert_true(
		bequest_add_edit(bequest, &(struct bequest_edit){.edit = {.kind = CONF_EDIT_ADD,
									 .pool = STR("a\\pool\n"),
									 .backends = &added,
									 .count = 1},
						  .who = STR("token ops"),
						  .wall_ms = 12}));
	for (u8 kind = 0; kind < ORDERS_KIND_COUNT; kind++)
		assert_true(bequest_add_order(
			bequest, &(struct bequest_order){.kind = kind,
					 .value = 1,
					 .pool = kind == ORDERS_LOG_LEVEL ? STR("") : STR("app"),
					 .backend = kind == ORDERS_LOG_LEVEL ? STR("") : STR("b2"),
					 .who = STR("unix uid 0"),
					 .wall_ms = 34}));
	bequest->dropped = 5;
}

static void what_is_written_is_read(void **state)
{
	struct bequest left, taken;
	struct text text = {0};
	char why[BEQUEST_WHY_MAX];

	(void)state;
	fill(&left);
	bequest_format(&text, &left);
	bequest_init(&taken);
	assert_true(bequest_parse(&taken, str_make(text.data, text.len), why));
	assert_int_equal(taken.edit_count, 1);
	assert_true(bequest_same_edit(&taken.edits[0], &left.edits[0]));
	assert_non_null(bequest_find_edit(&left, &taken.edits[0]));
	assert_true(str_eq(taken.edits[0].who, STR("token ops")));
	assert_int_equal(taken.edits[0].wall_ms, 12);
	assert_int_equal(taken.order_count, ORDERS_KIND_COUNT);
	for (u32 i = 0; i < ORDERS_KIND_COUNT; i++) {
		assert_true(bequest_same_order(&taken.orders[i], &left.orders[i]));
		assert_ptr_equal(bequest_find_order(&left, &taken.orders[i]), &left.orders[i]);
		assert_true(str_eq(taken.orders[i].who, STR("unix uid 0")));
		assert_int_equal(taken.orders[i].wall_ms, 34);
	}
	assert_int_equal(taken.dropped, 5);
	bequest_done(&left);
	bequest_done(&taken);
	text_done(&text);
}

static void assert_refused(struct str text, const char *expected)
{
	struct bequest bequest;
	char why[BEQUEST_WHY_MAX];

	bequest_init(&bequest);
	assert_false(bequest_parse(&bequest, text, why));
	assert_non_null(strstr(why, expected));
	assert_int_equal(bequest.order_count + bequest.edit_count, 0);
	bequest_done(&bequest);
}

static void a_text_that_is_cut_off_is_refused(void **state)
{
	struct bequest bequest;
	struct text text = {0};

	(void)state;
	fill(&bequest);
	bequest_format(&text, &bequest);
	for (size_t len = 0; len < text.len; len++) {
		char *cut = mem_strndup(text.data, len); // so that reading behind it is found

		assert_refused(str_make(cut, len),
			len < sizeof("weir orders ") ? "its first line is not" : "damaged");
		mem_free(cut);
	}
	text.data[text.len - 3] ^= 1;
	assert_refused(str_make(text.data, text.len), "damaged");
	bequest_done(&bequest);
	text_done(&text);
}

static void other_versions_and_other_things_are_refused(void **state)
{
	struct text text = {0};

	(void)state;
	sealed_format(&text, "orders", BEQUEST_VERSION + 1, STR("order\tstate\n"));
	assert_refused(
		str_make(text.data, text.len), "it is of version 2, and this weir reads version 1");
	text_clear(&text);
	sealed_format(&text, "generations", BEQUEST_VERSION, STR(""));
	assert_refused(str_make(text.data, text.len), "its first line is not 'weir orders 1'");
	assert_refused(str_make("", (size_t)BEQUEST_BYTES_MAX + 1), "longer than 64 MiB");
	text_done(&text);
}

// Rows of a later version are left alone; those that make no sense are counted.
static void rows_without_sense_are_dropped(void **state)
{
	static const char *const good[] = {"order\tstate\tapp\tb\tdrain\t1\tme",
		"order\tweight\tapp\tb\t1000\t1\tme", "order\tlog_level\t\t\tdebug\t1\tme",
		"add\tapp\tb\t10.0.0.1:80\t1\t0\t0\t1\tme",
		"remove\tapp\tb\t10.0.0.1:80\t1\t0\t1\t1\tme\tmore"};
	static const char *const bad[] = {"order", "order\tstate",
		"order\tcolour\tapp\tb\tred\t1\tme", "order\tstate\tapp\tb\tasleep\t1\tme",
		"order\tweight\tapp\tb\t1001\t1\tme", "order\tweight\tapp\tb\t-1\t1\tme",
		"order\tbreaker\tapp\tb\t7\t1\tme", "order\tstate\t\tb\tdrain\t1\tme",
		"order\tstate\tapp\t\tdrain\t1\tme", "order\tstate\tapp\tb\tdrain\tsoon\tme",
		"add\tapp", "add\t\tb\t10.0.0.1:80\t1\t0\t0\t1\tme",
		"add\tapp\tb\t\t1\t0\t0\t1\tme", "add\tapp\tb\t10.0.0.1:80\t1001\t0\t0\t1\tme",
		"remove\tapp\tb\t10.0.0.1:80\t1\t0\t2\t1\tme"};
	struct text body = {0}, text = {0};
	struct bequest bequest;
	char why[BEQUEST_WHY_MAX];

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(bad); i++)
		text_printf(&body, "%s\n", bad[i]);
	for (u32 i = 0; i < ARRAY_LEN(good); i++)
		text_printf(&body, "%s\n", good[i]);
	text_add(&body, STR("colour\tred\n\n"));
	sealed_format(&text, "orders", BEQUEST_VERSION, str_make(body.data, body.len));
	bequest_init(&bequest);
	assert_true(bequest_parse(&bequest, str_make(text.data, text.len), why));
	assert_int_equal(bequest.order_count, 3);
	assert_int_equal(bequest.edit_count, 2);
	assert_int_equal(bequest.dropped, ARRAY_LEN(bad));
	assert_int_equal(bequest.orders[0].value, MODEL_DRAINED);
	assert_int_equal(bequest.orders[2].value, LOG_DEBUG);
	bequest_done(&bequest);
	text_done(&body);
	text_done(&text);
}

static void rows_are_bounded(void **state)
{
	struct bequest_order order = {.kind = ORDERS_WEIGHT, .pool = STR("a"), .backend = STR("b")};
	struct bequest bequest;

	(void)state;
	bequest_init(&bequest);
	for (u32 i = 0; i < BEQUEST_ROWS_MAX; i++)
		assert_true(bequest_add_order(&bequest, &order));
	assert_false(bequest_add_order(&bequest, &order));
	bequest_done(&bequest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_text_that_is_cut_off_is_refused),
		cmocka_unit_test(other_versions_and_other_things_are_refused),
		cmocka_unit_test(rows_without_sense_are_dropped),
		cmocka_unit_test(rows_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
