// SPDX-License-Identifier: Apache-2.0
// The way back: the effective configuration, other syntaxes, schema, reference and help.
#include "test.h"

#include <jansson.h>

#include "conf/file.h"

static const char full[] = SOURCE_ROOT "/tests/conf/good/full.yaml";

static const struct conf *load_full(struct world *world)
{
	const char *file = full;
	struct conf_input input = {.files = &file, .file_count = 1};
	const struct conf *conf = conf_load(&input, &world->arena, &world->errs);

	assert_non_null(conf);
	return conf;
}

static void shows_what_loads_again(void **state)
{
	struct world world;
	struct str expected;

	(void)state;
	world_init(&world);
	expected = conf_show(load_full(&world), CONF_YAML, false, &world.arena);
	for (u32 syntax = CONF_YAML; syntax <= CONF_JSON; syntax++) {
		struct str text = conf_show(load_full(&world), syntax, false, &world.arena);
		const struct conf *again =
			conf_load_text("again", text, syntax, &world.arena, &world.errs);

		if (!again)
			fail_msg("%s", world_errors(&world));
		assert_string_equal(
			conf_show(again, CONF_YAML, false, &world.arena).ptr, expected.ptr);
	}
	world_done(&world);
}

// Characters that one of the syntaxes has as line breaks or not at all survive as escapes.
static void shows_odd_characters(void **state)
{
	static const char text[] = "[frontends.web]\nbind = ':1'\npool = 'default'\nroutes = [{ "
				   "pool = 'default', name = "
				   "\"a\\u0085\\u0080\\u009f\\u00a0\\u2028\\u2029\\ufeff\\ufffe\\uf"
				   "fff\\u2027\\ue000\\U0001f600\" }]\n"
				   "[pools.default]\nbackends = 'a:1'\n";
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "t.toml", text, CONF_TOML);
	assert_non_null(conf);
	for (u32 syntax = CONF_YAML; syntax <= CONF_JSON; syntax++) {
		struct str shown = conf_show(conf, syntax, false, &world.arena);
		const struct conf *again =
			conf_load_text("again", shown, syntax, &world.arena, &world.errs);

		if (!again)
			fail_msg("%s", world_errors(&world));
		assert_string_equal(again->frontends[0].routes[0].name.ptr,
			conf->frontends[0].routes[0].name.ptr);
	}
	world_done(&world);
}

// What looks like a variable in an effective value is none any more; in a source it stays one.
static void keeps_variables_apart_from_texts(void **state)
{
	static const char text[] = "backends: a:1\nfrontends: {default: {headers: {identify: "
				   "'$${A} $$${B} $ $$ {C} $${'}}}\n";
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "t.yaml", text, CONF_YAML);
	assert_non_null(conf);
	assert_str(conf->frontends[0].headers.identify, "${A} $${B} $ $$ {C} ${");
	for (u32 syntax = CONF_YAML; syntax <= CONF_JSON; syntax++) {
		struct str shown = conf_show(conf, syntax, false, &world.arena);
		const struct conf *again =
			conf_load_text("again", shown, syntax, &world.arena, &world.errs);

		if (!again)
			fail_msg("%s", world_errors(&world));
		assert_string_equal(again->frontends[0].headers.identify.ptr,
			conf->frontends[0].headers.identify.ptr);
	}
	world_done(&world);
}

static void shows_where_values_come_from(void **state)
{
	const char *const sets[] = {"log.level=debug"};
	char *const env[] = {"WEIR_RUNTIME__IO=epoll", NULL};
	struct conf_input input = {.sets = sets, .set_count = 1, .environ = env};
	struct conf_flags flags = {.backends = "a:1"};
	struct world world;
	const struct conf *conf;
	struct str text;

	(void)state;
	world_init(&world);
	conf = conf_from_flags(&flags, &input, &world.arena, &world.errs);
	assert_non_null(conf);
	text = conf_show(conf, CONF_YAML, true, &world.arena);
	assert_contains(text.ptr, "level: debug  # --set log.level\n");
	assert_contains(text.ptr, "io: epoll  # environment WEIR_RUNTIME__IO\n");
	assert_contains(text.ptr, "address: a:1  # flag --backends\n");
	assert_contains(text.ptr, "pin: false  # default\n");
	text = conf_show(load_full(&world), CONF_YAML, true, &world.arena);
	assert_contains(text.ptr, "tests/conf/good/full.yaml:6:12\n");
	world_done(&world);
}

static void converts_between_all_syntaxes(void **state)
{
	struct world world;
	struct str expected;

	(void)state;
	world_init(&world);
	expected = conf_show(load_full(&world), CONF_YAML, false, &world.arena);
	for (u32 syntax = CONF_YAML; syntax <= CONF_JSON; syntax++) {
		const char *file = full;
		struct conf_input input = {.files = &file, .file_count = 1};
		struct str text = conf_convert(&input, syntax, &world.arena, &world.errs);
		const struct conf *again =
			conf_load_text("again", text, syntax, &world.arena, &world.errs);

		if (!again)
			fail_msg("%s", world_errors(&world));
		assert_string_equal(
			conf_show(again, CONF_YAML, false, &world.arena).ptr, expected.ptr);
	}
	world_done(&world);
}

static bool has_property(const json_t *schema, const char *definition, const char *property)
{
	json_t *definitions = json_object_get(schema, "$defs");
	json_t *properties =
		json_object_get(json_object_get(definitions, definition), "properties");

	return json_object_get(properties, property) != NULL;
}

static void writes_a_schema(void **state)
{
	struct world world;
	struct str text;
	json_error_t error;
	json_t *schema;

	(void)state;
	world_init(&world);
	text = conf_schema(&world.arena);
	schema = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (!schema)
		fail_msg("%d:%d: %s", error.line, error.column, error.text);
	assert_true(has_property(schema, "root", "backends"));
	assert_true(has_property(schema, "pool_timeouts", "connect"));
	assert_true(has_property(schema, "frontend", "bind_on"));
	assert_true(has_property(schema, "pool", "tls"));
	assert_true(has_property(schema, "certificate", "ocsp"));
	assert_false(has_property(schema, "frontend", "compress"));
	assert_true(has_property(schema, "health_check", "interval_secs"));
	assert_true(has_property(schema, "sticky", "secret"));
	assert_true(has_property(schema, "secret", "env"));
	json_decref(schema);
	world_done(&world);
}

static void keeps_the_reference_up_to_date(void **state)
{
	struct world world;
	struct str committed;
	u64 identity;

	(void)state;
	world_init(&world);
	if (file_read(&world.arena, SOURCE_ROOT "/docs/config.md", &committed, &identity) < 0)
		fail_msg("docs/config.md cannot be read");
	// Else: conf_tool reference > docs/config.md
	assert_string_equal(committed.ptr, conf_reference(&world.arena).ptr);
	world_done(&world);
}

static void helps_with_keys(void **state)
{
	struct world world;
	const char *near = NULL;
	struct str text;

	(void)state;
	world_init(&world);
	text = conf_help_key(STR("pools.app.algorithm"), &world.arena, &near);
	assert_contains(text.ptr, "pools.NAME.algorithm\n");
	assert_contains(text.ptr, "round_robin");
	text = conf_help_key(STR("frontends.web.routes[2].match.path"), &world.arena, &near);
	assert_contains(text.ptr, "frontends.NAME.routes[].match.path\n");
	assert_null(strstr(text.ptr, "redirect"));
	text = conf_help_key(STR("timeouts.connect"), &world.arena, &near);
	assert_contains(text.ptr, "pools.NAME.timeouts.connect\n");
	assert_contains(text.ptr, "5s");
	text = conf_help_key(STR("response"), &world.arena, &near);
	assert_contains(text.ptr, "pools.NAME.timeouts.response\n");
	assert_contains(text.ptr, "frontends.NAME.routes[].timeouts.response\n");
	// Maps that two keys hold.
	text = conf_help_key(STR("pools.app.hash.secret.env"), &world.arena, &near);
	assert_contains(text.ptr, "pools.NAME.sticky.secret.env\n");
	text = conf_help_key(
		STR("frontends.web.routes[0].retry.max_attempts"), &world.arena, &near);
	assert_contains(text.ptr, "pools.NAME.retry.max_attempts\n");
	text = conf_help_key(STR("frontends.web.retry.max_attempts"), &world.arena, &near);
	assert_int_equal(text.len, 0);
	near = NULL;
	text = conf_help_key(STR("frontends.web.compress"), &world.arena, &near);
	assert_contains(text.ptr, "not built yet");
	text = conf_help_key(STR("pools"), &world.arena, &near);
	assert_contains(text.ptr, "keys: algorithm backends");
	assert_null(near);
	text = conf_help_key(STR("pools.app.algoritm"), &world.arena, &near);
	assert_int_equal(text.len, 0);
	assert_string_equal(near, "pools.app.algorithm");
	near = NULL;
	text = conf_help_key(STR(""), &world.arena, &near);
	assert_int_equal(text.len, 0);
	world_done(&world);
}

// No key and no word may be a boolean of YAML 1.1: other tools would change it.
static void uses_no_words_that_yaml_changes(void **state)
{
	static const char *const words[] = {
		"| `on`", "| `off`", "| `yes`", "| `no`", "| `y`", "| `n`"};
	struct world world;
	struct str text;

	(void)state;
	world_init(&world);
	text = conf_reference(&world.arena);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		assert_null(strstr(text.ptr, words[i]));
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_loads_again),
		cmocka_unit_test(shows_odd_characters),
		cmocka_unit_test(keeps_variables_apart_from_texts),
		cmocka_unit_test(shows_where_values_come_from),
		cmocka_unit_test(converts_between_all_syntaxes),
		cmocka_unit_test(writes_a_schema),
		cmocka_unit_test(keeps_the_reference_up_to_date),
		cmocka_unit_test(helps_with_keys),
		cmocka_unit_test(uses_no_words_that_yaml_changes),
	};

	return cmocka_run_group_tests_name("show", tests, NULL, NULL);
}
