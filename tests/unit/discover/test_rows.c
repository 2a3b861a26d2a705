// SPDX-License-Identifier: Apache-2.0
// Rows out of what strangers say, lists in files, and what the guard makes of them.
#include "test.h"

#include "discover/guard.h"
#include "discover/list.h"
#include "discover/source.h"

static void takes_every_form_of_address(void **state)
{
	static const char *const good[] = {"10.0.0.1:80", "[::1]:80", "unix:/run/x.sock", "app:80",
		"my-app.internal_2.example:65535", " 10.0.0.1:80 ", "http://a", "https://[::1]",
		"https://a/", "h2://a:1", "h2c://10.0.0.1:80", "grpc://a:1", "grpcs://a:1"};
	static const char *const bad[] = {"", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:70000", ":80",
		"app", "app:", "app:x", "10.0.0.300:80", "1.2.3:80", "a b:80", "http://a/x",
		"-a:80", "app:0", "a:80\n", "unix:", "[::1]", "\xff:80", "https://", "https://a/x",
		"ftp://a:1", "https://:443", "https://https://a:1", "HTTPS://a:1"};
	struct rows *rows = rows_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct scheme_address address;

		if (!row_parse_address(&rows->arena, str_from(good[i]), &address))
			fail_msg("'%s' is refused", good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct scheme_address address;

		if (strcmp(bad[i], "a:80\n") != 0 &&
			row_parse_address(&rows->arena, str_from(bad[i]), &address))
			fail_msg("'%s' is accepted", bad[i]);
	}
	rows_free(rows);
}

static void skips_and_names_what_is_wrong(void **state)
{
	struct rows *rows = rows_new();

	(void)state;
	rows_add(rows, &(struct row_values){.address = STR("10.0.0.1:80"),
			       .id = STR("a"),
			       .weight = STR("7"),
			       .state = STR("Draining"),
			       .max_connections = STR("20")});
	rows_add(rows, &(struct row_values){.address = STR("nonsense"), .where = "line 2"});
	rows_add(rows, &(struct row_values){.address = STR("10.0.0.2:80"),
			       .id = STR("a"),
			       .weight = STR("1001"),
			       .state = STR("maintenance")});
	rows_add(rows, &(struct row_values){.address = STR("10.0.0.1:80"), .id = STR("b")});
	rows_add(
		rows, &(struct row_values){
			      .address = STR("10.0.0.1:80"), .pool = STR("other"), .id = STR("a")});
	rows_add(rows, &(struct row_values){.address = {NULL, 0}});
	rows_finish(rows);
	assert_int_equal(rows->count, 3);
	assert_int_equal(rows->skipped, 3);
	assert_int_equal(rows->fault_count, 6);
	assert_str(rows->list[0].id, "a");
	assert_int_equal(rows->list[0].weight, 7);
	assert_int_equal(rows->list[0].state, ROW_DRAIN);
	assert_int_equal(rows->list[0].max_connections, 20);
	// What cannot be understood gives its id up, has the usual weight, and gets no requests.
	assert_str(rows->list[1].id, "10.0.0.2:80");
	assert_int_equal(rows->list[1].weight, 1);
	assert_int_equal(rows->list[1].state, ROW_DISABLED);
	assert_str(rows->list[2].id, "a"); // of another pool
	assert_contains(rows->faults[0], "line 2: 'nonsense' is no address of a backend");
	assert_contains(rows->faults[1], "weight '1001' is no number from 0 to 1000, 1 is taken");
	assert_contains(rows->faults[2], "state 'maintenance' is none of");
	assert_contains(rows->faults[4], "10.0.0.1:80 is there twice");
	assert_contains(rows->faults[5], "id 'a' is taken by 10.0.0.1:80");
	rows_free(rows);
}

static void has_limits(void **state)
{
	struct rows *rows = rows_new();
	char address[32];

	(void)state;
	for (u32 i = 0; i < ROWS_MAX + 5; i++) {
		snprintf(address, sizeof(address), "10.1.%u.%u:80", i / 200, i % 200 + 1);
		rows_add(rows, &(struct row_values){.address = str_from(address)});
	}
	rows_finish(rows);
	assert_int_equal(rows->count, ROWS_MAX);
	assert_int_equal(rows->skipped, 5);
	assert_contains(rows->faults[0], "more than 10000 rows");
	rows_free(rows);
	rows = rows_new(); // rubbish without end takes no memory without end
	for (u32 i = 0; i < 300000; i++)
		rows_add(rows, &(struct row_values){.address = STR("10.0.0.1.2.3.4.5.6.7.8.9:80")});
	rows_finish(rows);
	assert_int_equal(rows->count, 0);
	assert_int_equal(rows->skipped, 300000);
	rows_free(rows);
}

static void compares_lists(void **state)
{
	struct rows *a = rows_of("10.0.0.1:80 10.0.0.2:80"),
		    *b = rows_of("10.0.0.1:80 10.0.0.2:80"),
		    *c = rows_of("10.0.0.2:80 10.0.0.1:80");

	(void)state;
	assert_true(rows_hash(a) == rows_hash(b));
	assert_true(rows_hash(a) != rows_hash(c));
	rows_sort(c);
	assert_true(rows_hash(a) == rows_hash(c));
	b->list[1].weight = 2;
	assert_true(rows_hash(a) != rows_hash(b));
	rows_free(a);
	rows_free(b);
	rows_free(c);
}

static void judge(struct guard_rules rules, const char *in_use, bool is_stored, const char *fresh,
	enum guard_verdict verdict, const char *expected)
{
	struct rows *before = in_use ? rows_of(in_use) : NULL, *after = rows_of(fresh);
	struct guard_result judged;

	if (before)
		before->is_stored = is_stored;
	guard_judge(&rules, before, after, &judged);
	assert_int_equal(judged.verdict, verdict);
	assert_rows(after, expected);
	rows_free(before);
	rows_free(after);
}

static void guards_against_accidents(void **state)
{
	const struct guard_rules rules = {1, 50};

	(void)state;
	judge(rules, NULL, false, "", GUARD_TAKEN, "");
	judge(rules, NULL, false, "a:1 b:1", GUARD_TAKEN, "a:1 b:1");
	judge(rules, "a:1 b:1", false, "b:1", GUARD_TAKEN, "b:1");
	judge(rules, "a:1 b:1 c:1", false, "c:1", GUARD_VANISHED, "c:1 a:1 b:1");
	judge(rules, "a:1 b:1", false, "", GUARD_FEW, "a:1 b:1");
	// Others instead of them are no accident.
	judge(rules, "a:1", false, "b:1 c:1", GUARD_TAKEN, "b:1 c:1");
	judge(rules, "a:1 b:1", false, "c:1 d:1", GUARD_TAKEN, "c:1 d:1");
	// What is new counts, and all of what vanished stays.
	judge(rules, "a:1 b:1 c:1", false, "d:1", GUARD_VANISHED, "d:1 a:1 b:1 c:1");
	judge(rules, "a:1 b:1", false, "a:1 b:1 c:1", GUARD_TAKEN, "a:1 b:1 c:1");
	// Since the last run much may have happened, but not that nothing is left.
	judge(rules, "a:1 b:1 c:1", true, "c:1", GUARD_TAKEN, "c:1");
	judge(rules, "a:1 b:1 c:1", true, "", GUARD_FEW, "a:1 b:1 c:1");
	judge((struct guard_rules){0, 100}, "a:1 b:1", false, "", GUARD_TAKEN, "");
	judge((struct guard_rules){3, 100}, "a:1 b:1 c:1", false, "a:1 b:1", GUARD_FEW,
		"a:1 b:1 c:1");
	judge((struct guard_rules){3, 100}, "a:1", false, "a:1 b:1", GUARD_TAKEN, "a:1 b:1");
}

static void lists(const char *file, const char *text, const char *expected, const char *fault)
{
	char error[LIST_ERROR_MAX] = "";
	struct rows *rows = list_read(file, str_from(text), error);

	if (!rows)
		fail_msg("%s", error);
	assert_rows(rows, expected);
	if (fault)
		assert_contains(rows->faults[0], fault);
	else
		assert_int_equal(rows->fault_count, 0);
	rows_free(rows);
}

static void list_fails(const char *file, const char *text, const char *expected)
{
	char error[LIST_ERROR_MAX] = "";

	assert_null(list_read(file, str_from(text), error));
	assert_contains(error, expected);
}

static void reads_lists(void **state)
{
	struct rows *rows;
	char error[LIST_ERROR_MAX];

	(void)state;
	lists("a.txt", "10.0.0.1:80\n# no\n\n  10.0.0.2:80 weight=3 # c\r\n",
		"10.0.0.1:80 10.0.0.2:80", NULL);
	lists("a.txt", "10.0.0.1:80\nx\n10.0.0.2:80", "10.0.0.1:80 10.0.0.2:80",
		"line 2: 'x' is no");
	lists("a.txt", "10.0.0.1:80 wait=3", "10.0.0.1:80", "line 1: 'wait=3' is no KEY=VALUE");
	lists("a.txt", "", "", NULL);
	lists("a.yaml", "", "", NULL);
	lists("a.yaml", "- 10.0.0.1:80\n- {address: \"10.0.0.2:80\", weight: 2}\n",
		"10.0.0.1:80 10.0.0.2:80", NULL);
	lists("a.yaml", "backends:\n- 10.0.0.1:80\n- [x]\n", "10.0.0.1:80",
		"line 3: '' is no address");
	lists("a.yaml", "- {address: \"a:1\",\n   wait: 2}\n", "a:1", "line 2: unknown key 'wait'");
	lists("a", "[\"10.0.0.1:80\"]", "10.0.0.1:80", NULL);
	lists("a.json", "{\"backends\": [{\"address\": \"10.0.0.1:80\", \"id\": \"x\"}]}",
		"10.0.0.1:80", NULL);
	list_fails("a.yaml", "- a:1\n- [b", "a.yaml:");
	list_fails("a.yaml", "x: 1", "a.yaml:1:1: this is no list of backends");
	list_fails("a.json", "[1, 2", "a.json:2:1: not valid YAML");
	rows = list_read("a.txt",
		STR("10.0.0.1:80 id=x pool=p weight=5 max_connections=9 state=disabled metadata=m"),
		error);
	assert_non_null(rows);
	assert_str(rows->list[0].id, "x");
	assert_str(rows->list[0].pool, "p");
	assert_str(rows->list[0].metadata, "m");
	assert_int_equal(rows->list[0].weight, 5);
	assert_int_equal(rows->list[0].max_connections, 9);
	assert_int_equal(rows->list[0].state, ROW_DISABLED);
	rows_free(rows);
}

static void backs_off(void **state)
{
	struct backoff backoff = {0};
	u64 span_ms = BACKOFF_MS_MIN;

	(void)state;
	rng_init(&backoff.rng, 1);
	for (u32 i = 0; i < 100; i++, span_ms = MIN(span_ms * 2, (u64)BACKOFF_MS_MAX))
		assert_in_range(backoff_next_ms(&backoff), span_ms / 2, span_ms);
	assert_in_range(backoff_next_ms(&backoff), 2500, 5000); // as docs/providers.md says
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_form_of_address),
		cmocka_unit_test(skips_and_names_what_is_wrong),
		cmocka_unit_test(has_limits),
		cmocka_unit_test(compares_lists),
		cmocka_unit_test(guards_against_accidents),
		cmocka_unit_test(reads_lists),
		cmocka_unit_test(backs_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
