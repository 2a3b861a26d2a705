// SPDX-License-Identifier: Apache-2.0
// The four start modes with a folder of their own: which source is taken, and what it says.
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/load.h"
#include "cli/summary.h"

enum { words_max = 16 };

static struct arena arena;
static char folder[] = "/tmp/weir-load-XXXXXX";
static char *no_environ[] = {NULL};

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 28);
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static int load(const char *line, char *const *env, struct load *ret_load)
{
	char *argv[words_max + 1] = {(char *)"weir"};
	struct plan *plan = arena_zalloc(&arena, sizeof(*plan));
	struct cli cli = {.plan = plan, .environ = env, .arena = &arena};
	struct str rest = str_from(line);
	int argc = 1;

	while (rest.len && argc < words_max)
		argv[argc++] = (char *)arena_str(&arena, str_cut(&rest, ' ')).ptr;
	assert_int_equal(plan_make(argc, argv, env, &arena, plan), 0);
	return load_conf(&cli, ret_load);
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_bind(const struct load *load, const char *bind)
{
	struct str text = load->conf->frontends[0].binds[0].text;

	assert_true(str_eq(text, str_from(bind)));
}

static void test_nothing_gives_the_defaults_of_seed_3(void **state)
{
	struct load got;

	(void)state;
	assert_int_equal(load("", no_environ, &got), 0);
	assert_string_equal(got.source, "built-in defaults");
	assert_false(got.has_file);
	assert_bind(&got, ":8080");
	assert_int_equal(got.conf->pools[0].backend_count, 3);
	assert_true(str_eq(got.conf->frontends[0].headers.identify, STR("rust-load-balancer")));
}

static void test_flags(void **state)
{
	struct load got;

	(void)state;
	assert_int_equal(load("-p 9000 -b 127.0.0.1:1,127.0.0.1:2 -v", no_environ, &got), 0);
	assert_string_equal(got.source, "command line + defaults");
	assert_bind(&got, ":9000");
	assert_int_equal(got.conf->pools[0].backend_count, 2);
	assert_int_equal(got.conf->log.level, CONF_LEVEL_INFO);
	assert_int_equal(load("-p x", no_environ, &got), EXIT_CONFIG);
	assert_int_equal(load("-a nonsense", no_environ, &got), EXIT_CONFIG);
}

static void test_a_found_file_is_taken_and_named(void **state)
{
	struct load got;

	(void)state;
	write_file("config.yaml", "bind: 127.0.0.1:7\nbackends: [127.0.0.1:1]\n");
	assert_int_equal(load("", no_environ, &got), 0);
	assert_string_equal(got.source, "config.yaml");
	assert_true(got.has_file);
	assert_bind(&got, "127.0.0.1:7");
	// Flags say everything themselves.
	assert_int_equal(load("-p 9", no_environ, &got), 0);
	assert_bind(&got, ":9");
	assert_int_equal(unlink("config.yaml"), 0);
}

static void test_named_files(void **state)
{
	struct load got;

	(void)state;
	write_file("a.toml", "[frontend]\nbind_on = \"127.0.0.1:7070\"\n"
			     "[[frontend.backend]]\nforward_to = \"127.0.0.1:8080\"\n");
	write_file("bad.yaml", "frontnds: 3\n");
	assert_int_equal(load("-v -c a.toml", no_environ, &got), 0);
	assert_string_equal(got.source, "a.toml");
	assert_int_equal(got.conf->frontends[0].protocol, CONF_TCP);
	assert_int_equal(load("./a.toml", no_environ, &got), 0);
	assert_int_equal(load("-c missing.yaml", no_environ, &got), EXIT_CONFIG);
	assert_int_equal(load("bad.yaml", no_environ, &got), EXIT_CONFIG);
	assert_int_equal(unlink("a.toml"), 0);
	assert_int_equal(unlink("bad.yaml"), 0);
}

static void test_environment(void **state)
{
	char *whole[] = {(char *)"WEIR_FRONTENDS__WEB__BIND=:81",
		(char *)"WEIR_FRONTENDS__WEB__BACKENDS=127.0.0.1:1", NULL};
	char *process[] = {(char *)"WEIR_LOG__LEVEL=debug", NULL};
	char *missing[] = {(char *)"WEIR_CONFIG=nowhere.yaml", NULL};
	struct load got;

	(void)state;
	assert_int_equal(load("", whole, &got), 0);
	assert_int_equal(got.conf->frontend_count, 1);
	assert_bind(&got, ":81");
	assert_string_equal(got.source, "environment and --set");
	assert_int_equal(load("", process, &got), 0);
	assert_bind(&got, ":8080");
	assert_int_equal(got.conf->log.level, CONF_LEVEL_DEBUG);
	assert_int_equal(load("", missing, &got), EXIT_CONFIG);
}

static void test_env_file(void **state)
{
	struct load got;

	(void)state;
	write_file(".env", "WEIR_FRONTENDS__WEB__BIND=:82\n"
			   "WEIR_FRONTENDS__WEB__BACKENDS=127.0.0.1:1\n");
	assert_int_equal(load("", no_environ, &got), 0);
	assert_bind(&got, ":82");
	assert_string_equal(got.source, "environment and --set, .env");
	assert_int_equal(load("--no-env-file", no_environ, &got), 0);
	assert_bind(&got, ":8080");
	assert_int_equal(unlink(".env"), 0);
}

// Servers come from there when nothing else says what to balance.
static void test_database_alone(void **state)
{
	char *env[] = {(char *)"DATABASE_URL=postgres://x", NULL};
	struct load got;

	(void)state;
	assert_int_equal(load("", env, &got), 0);
	assert_int_equal(got.conf->provider_count, 1);
	assert_string_equal(got.source, "DATABASE_URL");
	assert_bind(&got, ":8080");
	assert_int_equal(load("-p 9000", env, &got), 0);
	assert_int_equal(got.conf->provider_count, 1);
	assert_bind(&got, ":9000");
	assert_int_equal(load("-b 127.0.0.1:1", env, &got), 0);
	assert_int_equal(got.conf->provider_count, 0);
	write_file("a.yaml", "backends: [127.0.0.1:1]\n");
	assert_int_equal(load("a.yaml", env, &got), 0);
	assert_int_equal(got.conf->provider_count, 0);
	assert_int_equal(unlink("a.yaml"), 0);
	write_file(".env", "DATABASE_URL=postgres://x\n");
	assert_int_equal(load("", no_environ, &got), 0);
	assert_int_equal(got.conf->provider_count, 1);
	assert_string_equal(got.source, "DATABASE_URL, .env");
	assert_int_equal(load("--no-env-file", no_environ, &got), 0);
	assert_int_equal(got.conf->provider_count, 0);
	assert_int_equal(unlink(".env"), 0);
}

static void test_settings_on_top(void **state)
{
	struct load got;

	(void)state;
	assert_int_equal(
		load("-p 9000 --set runtime.workers=5 --workers 2 --io epoll", no_environ, &got),
		0);
	assert_int_equal(got.conf->runtime.workers, 2);
	assert_int_equal(got.conf->runtime.io, CONF_IO_EPOLL);
	assert_int_equal(load("--set frontends.w.bind=:83 --set frontends.w.backends=127.0.0.1:1",
				 no_environ, &got),
		0);
	assert_int_equal(got.conf->frontend_count, 1);
	assert_bind(&got, ":83");
	assert_int_equal(load("--set nonsense=1", no_environ, &got), EXIT_CONFIG);
}

static void test_summary(void **state)
{
	struct load got;
	struct str text;

	(void)state;
	assert_int_equal(load("-p 9000", no_environ, &got), 0);
	text = summary_text(&got, &arena);
	assert_true(has(text, "http://0.0.0.0:9000 -> round_robin over 3 backends\n"));
	assert_true(has(text, "--print-config"));
	write_file("a.toml", "[frontend]\nbind_on = \"127.0.0.1:7070\"\n"
			     "[[frontend.backend]]\nforward_to = \"127.0.0.1:8080\"\n");
	assert_int_equal(load("a.toml", no_environ, &got), 0);
	text = summary_text(&got, &arena);
	assert_true(has(text, "tcp://127.0.0.1:7070 -> round_robin over 1 backend\n"));
	assert_false(has(text, "--print-config"));
	assert_int_equal(unlink("a.toml"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_gives_the_defaults_of_seed_3),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_a_found_file_is_taken_and_named),
		cmocka_unit_test(test_named_files),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_env_file),
		cmocka_unit_test(test_database_alone),
		cmocka_unit_test(test_settings_on_top),
		cmocka_unit_test(test_summary),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
