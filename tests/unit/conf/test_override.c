// SPDX-License-Identifier: Apache-2.0
// Several sources of one configuration: includes, the environment, .env, --set, variables.
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
	char path[64];
};

static void folder_make(struct folder *folder)
{
	snprintf(folder->path, sizeof(folder->path), "/tmp/weir-conf-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
}

static const char *folder_put(
	struct folder *folder, struct world *world, const char *name, const char *text)
{
	const char *path = arena_printf(&world->arena, "%s/%s", folder->path, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static void folder_remove(struct folder *folder)
{
	static const char *const names[] = {"a.yaml", "b.yaml", "c.toml", "d.json", ".env",
		"conf.d/x.yaml", "conf.d/y.toml", "conf.d"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder->path, names[i]);
		if (unlink(path) < 0)
			rmdir(path);
	}
	assert_int_equal(rmdir(folder->path), 0);
}

static void follows_includes(void **state)
{
	struct folder folder;
	struct world world;
	struct conf_input input = {.file_count = 1};
	const struct conf *conf;
	const char *file;

	(void)state;
	world_init(&world);
	folder_make(&folder);
	mkdir(arena_printf(&world.arena, "%s/conf.d", folder.path), 0700);
	file = folder_put(&folder, &world, "a.yaml",
		"include: [b.yaml, conf.d/*.yaml, \"conf.d/*.toml\", none.d/*]\nlog: {level: "
		"info}\n");
	folder_put(&folder, &world, "b.yaml", "log: {format: json}\nbackends: a:1\n");
	folder_put(&folder, &world, "conf.d/x.yaml", "include: ../a.*\nruntime: {workers: 3}\n");
	folder_put(&folder, &world, "conf.d/y.toml", "[runtime]\npin = true\n");
	input.files = &file;
	conf = conf_load(&input, &world.arena, &world.errs);
	if (!conf)
		fail_msg("%s", world_errors(&world));
	assert_int_equal(conf->log.level, CONF_LEVEL_INFO);
	assert_int_equal(conf->log.format, CONF_LOG_JSON);
	assert_int_equal(conf->runtime.workers, 3);
	assert_true(conf->runtime.pin);
	assert_int_equal(conf->file_count, 4);
	folder_remove(&folder);
	world_done(&world);
}

static void refuses_bad_includes(void **state)
{
	struct folder folder;
	struct world world;
	struct conf_input input = {.file_count = 1};
	const char *file, *errors;

	(void)state;
	world_init(&world);
	folder_make(&folder);
	file = folder_put(&folder, &world, "a.yaml",
		"include: [b.yaml, c.toml,\n  missing.yaml, a.yaml]\nlog: {level: info}\nbackends: "
		"a:1\n");
	folder_put(&folder, &world, "b.yaml", "log: {level: debug, formt: json}\n");
	folder_put(&folder, &world, "c.toml", "[log\n");
	input.files = &file;
	assert_null(conf_load(&input, &world.arena, &world.errs));
	errors = world_errors(&world);
	// The same leaf twice names both places; the syntax error of one file hides nothing in
	// others.
	assert_contains(errors, "b.yaml:1:7: error[E010]: 'level' is given here and at ");
	assert_contains(errors, "a.yaml:3:7");
	assert_contains(errors, "unknown key 'formt'");
	assert_contains(errors, "c.toml:1:");
	assert_contains(errors, "a.yaml:2:3: error[E001]: failed to read configuration at ");
	assert_contains(errors, "a.yaml:2:17: error[E011]");
	assert_contains(errors, " in 3 files.");
	folder_remove(&folder);
	world_done(&world);
}

static void names_a_missing_file(void **state)
{
	const char *file = "/nonexistent/weir.yaml", *folder = "/tmp";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;

	(void)state;
	world_init(&world);
	assert_null(conf_load(&input, &world.arena, &world.errs));
	assert_contains(world_errors(&world), "error[E001]: failed to read configuration at "
					      "/nonexistent/weir.yaml: No such file");
	assert_int_equal(world.errs.error_count, 1);
	input.files = &folder;
	assert_null(conf_load(&input, &world.arena, &world.errs));
	assert_contains(world_errors(&world), "Is a directory");
	world_done(&world);
}

static void lets_the_environment_and_sets_win(void **state)
{
	char *const env[] = {"WEIR_FRONTENDS__WEB_1__BIND=:81,:82", "WEIR_CONFIG=/x",
		"WEIR_RUNTIME__WORKERS=4", "WEIR_POOLS__APP__BACKENDS__1__WEIGHT=7",
		"WEIR_SERVICE_HOST=1.2.3.4", "WEIR_PORT=tcp://1.2.3.4:80", "WEIR_LOG_LEVEL=debug",
		"HOME=/", NULL};
	const char *const sets[] = {"runtime.workers=5", "pools.app.backends[0].weight=3",
		"log.access={format: combined, output: stdout}", "frontends.Web-1.pool=[b:2, c:3]"};
	struct conf_input input = {.file_count = 1, .environ = env, .sets = sets, .set_count = 4};
	struct folder folder;
	struct world world;
	const struct conf *conf;
	const char *file;

	(void)state;
	world_init(&world);
	folder_make(&folder);
	file = folder_put(&folder, &world, "a.yaml",
		"frontends: {Web-1: {bind: \":80\", pool: app, routes: [{match: {path: /a}, pool: "
		"app}]}}\npools: {app: {backends: [a:1, a:2]}}\nruntime: {workers: 2}\n");
	input.files = &file;
	conf = conf_load(&input, &world.arena, &world.errs);
	if (!conf)
		fail_msg("%s", world_errors(&world));
	assert_int_equal(conf->frontends[0].bind_count, 2);
	assert_int_equal(conf->frontends[0].binds[1].addr.port, 82);
	assert_int_equal(conf->runtime.workers, 5);
	assert_int_equal(conf->pools[0].backends[0].weight, 3);
	assert_int_equal(conf->pools[0].backends[1].weight, 7);
	assert_int_equal(conf->log.access.output.kind, CONF_OUTPUT_STDOUT);
	assert_int_equal(conf->pools[conf->frontends[0].pool].backend_count, 2);
	assert_str(conf->pools[conf->frontends[0].pool].name, "Web-1");
	assert_int_equal(world.errs.warning_count, 1);
	assert_contains(world_errors(&world),
		"environment WEIR_LOG_LEVEL: warning[W103]: 'WEIR_LOG_LEVEL' is no setting");
	assert_contains(world_errors(&world), "did you mean 'WEIR_LOG__LEVEL'?");
	folder_remove(&folder);
	world_done(&world);
}

static void names_the_origin_of_bad_overrides(void **state)
{
	char *const env[] = {"WEIR_RUNTIME__WORKRES=4", "WEIR_BACKENDS=a:1", NULL};
	const char *const sets[] = {"log.level=inof", "x", "=1", "a..b=1", "a[x]=1", "a[=1",
		"pools.default.backends[4].weight=1", "log.format=[1", "bind=\xff"};
	struct conf_input input = {.environ = env, .sets = sets, .set_count = ARRAY_LEN(sets)};
	struct world world;
	const char *errors;

	(void)state;
	world_init(&world);
	assert_null(conf_load(&input, &world.arena, &world.errs));
	errors = world_errors(&world);
	assert_contains(errors, "environment WEIR_RUNTIME__WORKRES: error[E012]: unknown key "
				"'workres' in runtime");
	assert_contains(errors, "--set log.level: error[E016]");
	assert_contains(errors, "did you mean 'info'?");
	assert_contains(errors, "--set x: error[E026]");
	assert_contains(errors, "--set : error[E026]");
	assert_contains(errors, "--set a..b: error[E026]");
	assert_contains(errors, "--set a[x]: error[E026]");
	assert_contains(errors, "--set a[: error[E026]");
	assert_contains(errors, "--set pools.default.backends[4].weight: error[E026]");
	assert_contains(errors, "--set log.format: error[E002]");
	assert_contains(errors, "--set bind: error[E019]");
	world_done(&world);
}

static void starts_from_the_environment_alone(void **state)
{
	char *const env[] = {"WEIR_BACKENDS=10.0.0.1:80,10.0.0.2:80", "WEIR_BIND=:9000", NULL};
	struct conf_input input = {.environ = env};
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	assert_int_equal(conf->frontends[0].binds[0].addr.port, 9000);
	assert_int_equal(conf->pools[0].backend_count, 2);
	world_done(&world);
}

static void fills_in_variables(void **state)
{
	char *const env[] = {"PORT=81", "EMPTY=", "TEXT=a: {b: [1", NULL};
	struct conf_input input = {.file_count = 1, .environ = env};
	struct folder folder;
	struct world world;
	const struct conf *conf;
	const char *file, *dotenv;

	(void)state;
	world_init(&world);
	folder_make(&folder);
	dotenv = folder_put(&folder, &world, ".env",
		"# comment\nexport HOST = \"10.0.0.1\"\nPORT=99\nQ='a b' # "
		"c\nWEIR_LOG__LEVEL=debug\r\n"
		"X=1 # comment\nX=2\n");
	file = folder_put(&folder, &world, "a.yaml",
		"bind: \":${PORT}\"\n"
		"backends: [\"${HOST}:${PORT}\", \"${NONE:-10.0.0.2}:1\", \"${EMPTY:-b}:${X}\"]\n"
		"frontends: {default: {headers: {identify: \"$${TEXT} ${TEXT} "
		"${EMPTY}${Q}$\"}}}\n");
	input.files = &file;
	input.dotenv = dotenv;
	conf = conf_load(&input, &world.arena, &world.errs);
	if (!conf)
		fail_msg("%s", world_errors(&world));
	assert_int_equal(conf->frontends[0].binds[0].addr.port, 81);
	assert_str(conf->pools[0].backends[0].address, "10.0.0.1:81");
	assert_str(conf->pools[0].backends[1].address, "10.0.0.2:1");
	assert_str(conf->pools[0].backends[2].address, "b:2");
	assert_str(conf->frontends[0].headers.identify, "${TEXT} a: {b: [1 a b$");
	assert_int_equal(conf->log.level, CONF_LEVEL_DEBUG);
	folder_remove(&folder);
	world_done(&world);
}

static void refuses_bad_variables(void **state)
{
	char *const env[] = {"DATABASE_URL=x", "BAD=\xff", "SECRET=http://me:password@db", NULL};
	struct conf_input input = {.file_count = 1, .environ = env};
	struct folder folder;
	struct world world;
	const char *file, *dotenv, *errors;

	(void)state;
	world_init(&world);
	folder_make(&folder);
	dotenv = folder_put(&folder, &world, ".env", "A=1\nnot a variable\n");
	file = folder_put(&folder, &world, "a.yaml",
		"backends:\n- ${DATABSE_URL}\n- ${UNSET:?set it to the address}\n- ${UNSET}:1\n"
		"- ${A\n- ${A-b}\n- ${}\n- ${BAD}\n- ${SECRET}\nbind: [\":80\", \"${SECRET}\"]\n"
		"algorithm: ${SECRET}\n");
	input.files = &file;
	input.dotenv = dotenv;
	assert_null(conf_load(&input, &world.arena, &world.errs));
	errors = world_errors(&world);
	assert_contains(errors, ".env:2:1: error[E002]: 'not a variable' is no variable");
	assert_contains(errors, "a.yaml:2:3: error[E021]: variable 'DATABSE_URL' is not set");
	assert_contains(errors, "did you mean 'DATABASE_URL'?");
	assert_contains(
		errors, "a.yaml:3:3: error[E021]: variable 'UNSET' is not set: set it to the");
	assert_contains(errors, "a.yaml:4:3: error[E021]");
	assert_contains(errors, "a.yaml:5:3: error[E022]");
	assert_contains(errors, "a.yaml:6:3: error[E022]");
	assert_contains(errors, "a.yaml:7:3: error[E022]");
	assert_contains(errors, "a.yaml:8:3: error[E019]: with its variables this is no UTF-8");
	// What a variable holds may be secret.
	assert_contains(errors, "a.yaml:9:3: error[E019]: '${SECRET}' is no backend address");
	assert_contains(
		errors, "a.yaml:10:15: error[E019]: '${SECRET}' is no address to listen on");
	assert_contains(errors, "a.yaml:11:12: error[E016]: unknown algorithm '${SECRET}'");
	assert_null(strstr(errors, "password"));
	folder_remove(&folder);
	world_done(&world);
}

static void guesses_the_syntax_of_other_names(void **state)
{
	static const char seed[] =
		"[frontend]\nbind_on = \":1\"\n[[frontend.backend]]\nforward_to = \"a:1\"\n";
	static const char *const texts[] = {seed, "\n# x\nbackends = [\"a:1\"]\n",
		"{\"backends\": \"a:1\"}", "backends: a:1\n"};
	struct folder folder;
	struct world world;

	(void)state;
	world_init(&world);
	folder_make(&folder);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *file = folder_put(&folder, &world, ".env", texts[i]);
		struct conf_input input = {.files = &file, .file_count = 1};

		if (!conf_load(&input, &world.arena, &world.errs))
			fail_msg("%s", world_errors(&world));
	}
	folder_remove(&folder);
	world_done(&world);
}

static void keeps_variables_when_it_converts(void **state)
{
	struct folder folder;
	struct world world;
	struct conf_input input = {.file_count = 1};
	const char *file;
	struct str text;

	(void)state;
	world_init(&world);
	folder_make(&folder);
	file = folder_put(&folder, &world, "a.yaml",
		"bind: ${P:-:80}\nbackends: \"${A:-a:1,b:2}, c:3, $${x\"\ninclude: b.yaml\n");
	input.files = &file;
	text = conf_convert(&input, CONF_TOML, &world.arena, &world.errs);
	assert_contains(text.ptr, "bind = [\"${P:-:80}\"]");
	assert_contains(text.ptr, "{ address = \"${A:-a:1,b:2}\" },\n  { address = \"c:3\" },\n"
				  "  { address = \"$${x\" },\n");
	assert_contains(text.ptr, "include = \"b.yaml\"");
	folder_remove(&folder);
	world_done(&world);
}

static void keeps_files_out_of_texts(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	assert_null(world_load(&world, "t", "include: /etc/passwd\nbackends: a:1", CONF_YAML));
	assert_contains(world_errors(&world), "t:1:10: error[E011]");
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_includes),
		cmocka_unit_test(refuses_bad_includes),
		cmocka_unit_test(names_a_missing_file),
		cmocka_unit_test(lets_the_environment_and_sets_win),
		cmocka_unit_test(names_the_origin_of_bad_overrides),
		cmocka_unit_test(starts_from_the_environment_alone),
		cmocka_unit_test(fills_in_variables),
		cmocka_unit_test(refuses_bad_variables),
		cmocka_unit_test(guesses_the_syntax_of_other_names),
		cmocka_unit_test(keeps_variables_when_it_converts),
		cmocka_unit_test(keeps_files_out_of_texts),
	};

	return cmocka_run_group_tests_name("override", tests, NULL, NULL);
}
