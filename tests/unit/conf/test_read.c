// SPDX-License-Identifier: Apache-2.0
// Text to tree: that places are right, and that nothing hostile gets through.
#include "test.h"

#include "base/mem.h"
#include "conf/read.h"

static struct node *read_as(struct world *world, const char *text, enum conf_syntax syntax)
{
	struct report *report = arena_zalloc(&world->arena, sizeof(*report));
	u32 *nodes_left = arena_zalloc(&world->arena, sizeof(*nodes_left));
	struct read_input input = {
		.report = report, .file = "t", .text = str_from(text), .nodes_left = nodes_left};

	*report = (struct report){.arena = &world->arena, .errs = &world->errs};
	*nodes_left = TREE_NODES_MAX;
	report_add_source(report, input.file, input.text);
	switch (syntax) {
	case CONF_YAML:
		return read_yaml(&input);
	case CONF_TOML:
		return read_toml(&input);
	case CONF_JSON:
		return read_json(&input);
	}
	return NULL;
}

static void check_place(const struct node *node, u32 line, u32 column, u32 width)
{
	assert_non_null(node);
	assert_int_equal(node->place.line, line);
	assert_int_equal(node->place.column, column);
	assert_int_equal(node->width, width);
}

static void knows_places_in_yaml(void **state)
{
	struct world world;
	struct node *root, *list;

	(void)state;
	world_init(&world);
	root = read_as(&world, "# é\na: 1\nb:\n  - 'x y'\n  - {é: no, c: 12:30}\n", CONF_YAML);
	check_place(node_get(root, STR("a")), 2, 4, 1);
	list = node_get(root, STR("b"));
	assert_int_equal(list->kind, NODE_LIST);
	check_place(list->first, 4, 5, 5);
	assert_true(list->first->is_quoted);
	check_place(node_get(list->last, STR("c")), 5, 16, 5);
	// Scalars stay what was written.
	assert_str(node_get(list->last, STR("c"))->text, "12:30");
	assert_str(node_get(list->last, STR("é"))->text, "no");
	assert_int_equal(node_get(list->last, STR("c"))->key_place.column, 13);
	world_done(&world);
}

static void knows_places_in_toml(void **state)
{
	struct world world;
	struct node *root, *list;

	(void)state;
	world_init(&world);
	root = read_as(&world, "z = 1\na = 'x'\n[[b]]\nc = true\nd = 0x10\n[[b]]\n[e.f]\ng = 1.5",
		CONF_TOML);
	check_place(node_get(root, STR("a")), 2, 5, 3);
	assert_str(root->first->key, "z");
	list = node_get(root, STR("b"));
	assert_int_equal(list->count, 2);
	check_place(node_get(list->first, STR("c")), 4, 5, 4);
	assert_str(node_get(list->first, STR("c"))->text, "true");
	assert_str(node_get(list->first, STR("d"))->text, "16");
	assert_int_equal(node_get(list->first, STR("d"))->key_place.line, 5);
	assert_str(node_get(node_get(node_get(root, STR("e")), STR("f")), STR("g"))->text, "1.5");
	world_done(&world);
}

static void knows_places_in_json(void **state)
{
	struct world world;
	struct node *root;

	(void)state;
	world_init(&world);
	root = read_as(&world,
		"{\n\t\"a\": \"\\u00e9\\ud83d\\ude00\\/\\n\",\n \"b\": [true, null, -1.5e3]}",
		CONF_JSON);
	// Two less than the text's own 24: see to_yaml() about surrogate pairs.
	check_place(node_get(root, STR("a")), 2, 7, 22);
	assert_str(node_get(root, STR("a"))->text, "é😀/\n");
	check_place(node_get(root, STR("b"))->first, 3, 8, 4);
	assert_int_equal(node_get(root, STR("b"))->first->next->kind, NODE_NULL);
	assert_str(node_get(root, STR("b"))->last->text, "-1.5e3");
	world_done(&world);
}

static void says(const char *text, enum conf_syntax syntax, const char *expected)
{
	struct world world;
	struct node *root;

	world_init(&world);
	root = read_as(&world, text, syntax);
	assert_contains(world_errors(&world), expected);
	if (!strstr(expected, "E004") || syntax == CONF_TOML)
		assert_null(root);
	world_done(&world);
}

static void tells_syntax_errors_with_places(void **state)
{
	(void)state;
	says("a:\n\tb: 1\n", CONF_YAML, "t:2:1: error[E003]: tab used for indentation");
	says("a: [1\nb: 2\n", CONF_YAML, "t:2:2: error[E002]");
	says("a: \"x\n\n", CONF_YAML, "t:1:4: error[E002]");
	says("a: @x\n", CONF_YAML, "t:1:4: error[E002]");
	says("a: 1\n---\nb: 1\n", CONF_YAML, "t:2:1: error[E006]: a second document");
	says("a: !x 1\n", CONF_YAML, "t:1:4: error[E006]");
	says("? [1]\n: 2\n", CONF_YAML, "t:1:3: error[E006]: a key must be a single word");
	says("a: *b\n", CONF_YAML, "t:1:4: error[E006]");
	says("a: &b [*b]\n", CONF_YAML, "t:1:8: error[E006]");
	says("a: \"\\0\"\n", CONF_YAML, "t:1:4: error[E006]: a zero byte");
	says("a: \xff\n", CONF_YAML, "t:1:4: error[E002]");
	says("- a\n", CONF_YAML, "t:1:1: error[E014]: a configuration is a map");
	says("{\"a\": 1,}", CONF_JSON, "t:1:9: error[E002]");
	says("{\"a\": fasle}", CONF_JSON, "did you mean 'false'?");
	says("{\"a\": 1}\n x", CONF_JSON, "t:2:2: error[E002]");
	says("[1]", CONF_JSON, "E014");
	says("{'a': 1}", CONF_JSON, "E002");
	says("a = \n", CONF_TOML, "t:1:");
	says("[a\n", CONF_TOML, "t:1:");
	says("a = \"\xff\"\n", CONF_TOML, "t:1:");
	says("# \u00e9\na = '\u00e9'\n\u00e9 = 1\n", CONF_TOML, "t:3:1: error[E002]");
	says("[a]\n[/a]\n", CONF_TOML, "t:2:2: error[E002]");
}

static void names_both_places_of_a_key_given_twice(void **state)
{
	(void)state;
	says("a: 1\nb:\n  c: 1\n  c: 2\n", CONF_YAML,
		"t:4:3: error[E004]: key 'c' is given twice; the first one is at t:3:3");
	says("{\"a\": 1,\n\"a\": 2}", CONF_JSON,
		"t:2:1: error[E004]: key 'a' is given twice; the first one is at t:1:2");
	says("[x]\nb = 1\n[y]\nb = 1\nb = 2\n", CONF_TOML,
		"t:5:1: error[E004]: key 'b' is given twice; the first one is at t:4:1");
	says("[x.y]\n[z]\ny = 1\n[x.y]\n", CONF_TOML,
		"t:4:2: error[E004]: key 'x.y' is given twice; the first one is at t:1:4");
	says("a = { b = 1, c = 2, b = 3 }\n", CONF_TOML,
		"t:1:21: error[E004]: key 'b' is given twice; the first one is at t:1:7");
}

static void merges_and_copies_aliases(void **state)
{
	struct world world;
	struct node *root, *b;

	(void)state;
	world_init(&world);
	root = read_as(&world,
		"a: &a {x: 1, y: &y [1, 2]}\nb: {<<: *a, x: 3}\nc: *y\nd: {<<: [{e: 1}, *a]}\n",
		CONF_YAML);
	b = node_get(root, STR("b"));
	assert_str(node_get(b, STR("x"))->text, "3");
	assert_int_equal(node_get(b, STR("y"))->count, 2);
	assert_null(node_get(b, STR("<<")));
	assert_int_equal(node_get(root, STR("c"))->count, 2);
	assert_int_equal(node_get(root, STR("d"))->count, 3);
	world_done(&world);
}

// Nine times nine lists of nine, ten levels deep: 3.5 billion values if it were believed.
static void survives_a_billion_laughs(void **state)
{
	char text[2048], *at = text;

	(void)state;
	at += snprintf(
		at, (size_t)(text + sizeof(text) - at), "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 11; i++) {
		at += snprintf(at, (size_t)(text + sizeof(text) - at), "a%d: &a%d [", i, i);
		for (int j = 0; j < 9; j++)
			at += snprintf(at, (size_t)(text + sizeof(text) - at), "%s*a%d",
				j ? ", " : "", i - 1);
		at += snprintf(at, (size_t)(text + sizeof(text) - at), "]\n");
	}
	says(text, CONF_YAML, "error[E005]");
}

static void repeat(const char *start, const char *unit, u32 count, enum conf_syntax syntax,
	const char *expected)
{
	size_t start_len = strlen(start), len = strlen(unit);
	char *text = mem_alloc(start_len + len * count + 1);

	memcpy(text, start, start_len);
	for (u32 i = 0; i < count; i++)
		memcpy(text + start_len + i * len, unit, len);
	says(text, syntax, expected);
	mem_free(text);
}

static void bounds_depth_and_size(void **state)
{
	(void)state;
	repeat("a: ", "[", 100000, CONF_YAML, "error[E005]: nested deeper");
	repeat("a: ", "{a: ", 40, CONF_YAML, "error[E005]: nested deeper");
	repeat("", "- ", 100000, CONF_YAML, "error[E005]: nested deeper");
	repeat("{\"a\":", "[", 100000, CONF_JSON, "error[E002]");
	repeat("a = ", "[", 100000, CONF_TOML, "error[E00");
	repeat("a", ".a", 1000000, CONF_TOML, "error[E005]");
	repeat("a:\n", " - x\n", TREE_NODES_MAX + 1, CONF_YAML, "error[E005]: more than");
}

static void finds_members_of_large_maps(void **state)
{
	struct world world;
	struct node *map;

	(void)state;
	world_init(&world);
	map = node_new(&world.arena, NODE_MAP, (struct place){0});
	for (u32 i = 0; i < 5000; i++) {
		struct node *child = node_new(&world.arena, NODE_NULL, (struct place){0});

		child->key = str_from(arena_printf(&world.arena, "key%u", i));
		child->number = i;
		node_add(&world.arena, map, child);
	}
	for (u32 i = 0; i < 5000; i += 2) {
		struct node *child =
			node_get(map, str_from(arena_printf(&world.arena, "key%u", i)));

		assert_int_equal(child->number, i);
		if (i % 1000 == 0)
			node_remove(map, child);
	}
	assert_null(node_get(map, STR("key1000")));
	assert_non_null(node_get(map, STR("key1001")));
	assert_int_equal(map->count, 4995);
	world_done(&world);
}

static void tells_utf8(void **state)
{
	static const char *const good[] = {"", "a", "é", "€", "😀", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
		"\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff", "a\xc3"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(tree_is_utf8(str_from(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(tree_is_utf8(str_from(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_places_in_yaml),
		cmocka_unit_test(knows_places_in_toml),
		cmocka_unit_test(knows_places_in_json),
		cmocka_unit_test(tells_syntax_errors_with_places),
		cmocka_unit_test(names_both_places_of_a_key_given_twice),
		cmocka_unit_test(merges_and_copies_aliases),
		cmocka_unit_test(survives_a_billion_laughs),
		cmocka_unit_test(bounds_depth_and_size),
		cmocka_unit_test(finds_members_of_large_maps),
		cmocka_unit_test(tells_utf8),
	};

	return cmocka_run_group_tests_name("read", tests, NULL, NULL);
}
