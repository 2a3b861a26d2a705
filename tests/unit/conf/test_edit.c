// SPDX-License-Identifier: Apache-2.0
// Changes to backends on top of a configuration, and what two configurations have in common.
#include "conf/edit.h"
#include "conf/same.h"
#include "test_says.h"

static const char text[] =
	"frontends: {web: {bind: ':80', pool: app}}\n"
	"pools:\n"
	"  app: {backends: ['10.0.0.1:80', {id: b, address: '10.0.0.2:80', weight: 3}]}\n"
	"  other: {backends: ['10.0.0.9:80']}\n";

static struct conf *edited(
	struct world *world, const struct conf *base, const struct conf_edit *edits, u32 count)
{
	struct conf *conf = conf_edit(base, edits, count, &world->arena, &world->errs);

	if (!conf)
		fail_msg("%.*s", STR_FMT(errs_format(&world->errs, &world->arena, false)));
	return conf;
}

static void backends_come_and_go(void **state)
{
	static const struct conf_edit_backend fresh = {
		.id = {"c", 1}, .address = {"10.0.0.3:80", 11}, .weight = 5, .max_connections = 7};
	static const struct conf_edit_backend gone = {.id = {"10.0.0.1:80", 11}};
	const struct conf_edit edits[] = {
		{CONF_EDIT_ADD, STR("app"), "api", &fresh, 1},
		{CONF_EDIT_ADD, STR("app"), "api", &fresh, 1}, // it is there already
		{CONF_EDIT_REMOVE, STR("app"), "api", &gone, 1},
		{CONF_EDIT_REMOVE, STR("app"), "api", &gone, 1},
		{CONF_EDIT_ADD, STR("nobody"), "api", &fresh, 1},
	};
	struct world world;
	const struct conf *base = load(&world, text), *conf;

	(void)state;
	conf = edited(&world, base, edits, ARRAY_LEN(edits));
	assert_int_equal(base->pools[0].backend_count, 2);
	assert_int_equal(conf->pool_count, 2);
	assert_int_equal(conf->pools[0].backend_count, 2);
	assert_str(conf->pools[0].backends[0].id, "b");
	assert_int_equal(conf->pools[0].backends[0].weight, 3);
	assert_str(conf->pools[0].backends[1].id, "c");
	assert_int_equal(conf->pools[0].backends[1].weight, 5);
	assert_int_equal(conf->pools[0].backends[1].max_connections, 7);
	assert_false(conf_same_pool(base, &base->pools[0], conf, &conf->pools[0]));
	assert_true(conf_same_pool(base, &base->pools[1], conf, &conf->pools[1]));
	assert_true(conf_same_section(base, conf, STR("log")));
	world_done(&world);
}

static void a_list_comes_besides_what_is_written(void **state)
{
	static const struct conf_edit_backend list[] = {
		{.address = {"10.0.0.7:80", 11}, .weight = 1},
		{.address = {"10.0.0.1:80", 11}, .weight = 9}, // is written
		{.address = {"10.0.0.8:80", 11}, .weight = 0, .is_backup = true}};
	const struct conf_edit edit = {
		CONF_EDIT_LIST, STR("app"), "provider", list, ARRAY_LEN(list)};
	struct world world;
	const struct conf *base = load(&world, text), *conf;

	(void)state;
	conf = edited(&world, base, &edit, 1);
	assert_int_equal(conf->pools[0].backend_count, 4);
	assert_int_equal(conf->pools[0].backends[0].weight, 1);
	assert_str(conf->pools[0].backends[2].id, "10.0.0.7:80");
	assert_true(conf->pools[0].backends[3].is_backup);
	assert_int_equal(conf->pools[0].backends[3].weight, 0);
	world_done(&world);
}

static void orders_are_written_down(void **state)
{
	static const struct conf_edit_backend weight = {.id = {"b", 1}, .weight = 9},
					      drain = {.id = {"b", 1}, .address = {"drain", 5}},
					      level = {.address = {"info", 4}},
					      nobody = {.id = {"c", 1}, .weight = 9};
	const struct conf_edit edits[] = {{CONF_EDIT_WEIGHT, STR("app"), "api", &weight, 1},
		{CONF_EDIT_STATE, STR("app"), "api", &drain, 1},
		{CONF_EDIT_LOG_LEVEL, STR_EMPTY, "api", &level, 1},
		{CONF_EDIT_WEIGHT, STR("app"), "api", &nobody, 1}};
	struct world world;
	const struct conf *base = load(&world, text), *conf;

	(void)state;
	conf = edited(&world, base, edits, ARRAY_LEN(edits));
	assert_int_equal(base->pools[0].backends[1].state, CONF_BACKEND_ENABLED);
	assert_int_equal(conf->pools[0].backends[1].weight, 9);
	assert_int_equal(conf->pools[0].backends[1].state, CONF_BACKEND_DRAINED);
	assert_int_equal(conf->pools[0].backends[0].state, CONF_BACKEND_ENABLED);
	assert_int_equal(conf->pools[0].backend_count, 2);
	assert_int_equal(conf->log.level, CONF_LEVEL_INFO);
	world_done(&world);
}

static void what_is_wrong_is_refused(void **state)
{
	static const struct conf_edit_backend bad = {.address = {"nowhere:0", 9}, .weight = 1};
	const struct conf_edit edit = {CONF_EDIT_ADD, STR("app"), "api", &bad, 1};
	struct world world;
	const struct conf *base = load(&world, text);

	(void)state;
	assert_null(conf_edit(base, &edit, 1, &world.arena, &world.errs));
	assert_true(world.errs.error_count > 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backends_come_and_go),
		cmocka_unit_test(a_list_comes_besides_what_is_written),
		cmocka_unit_test(orders_are_written_down),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
