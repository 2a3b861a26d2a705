// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <errno.h>
#include <stdio.h>

#include "cli/plan.h"

enum { words_max = 16 };

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 24);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

// A line as typed, cut at single spaces.
static int make_in(const char *line, char *const *env, struct plan *ret_plan)
{
	char *argv[words_max + 1] = {(char *)"weir"};
	struct str rest = str_from(line);
	int argc = 1;

	while (rest.len && argc < words_max)
		argv[argc++] = (char *)arena_str(&arena, str_cut(&rest, ' ')).ptr;
	return plan_make(argc, argv, env, &arena, ret_plan);
}

static struct plan good(const char *line)
{
	struct plan plan;
	int error = make_in(line, NULL, &plan);

	if (error)
		fail_msg("'%s' was refused: %s", line, plan.error);
	return plan;
}

static void assert_set(const struct plan *plan, const char *set)
{
	for (u32 i = 0; i < plan->set_count; i++)
		if (strcmp(plan->sets[i], set) == 0)
			return;
	fail_msg("'%s' is not among the settings", set);
}

// ---- The four ways to start ---------------------------------------------------------------------

static void test_nothing_at_all(void **state)
{
	struct plan plan = good("");

	(void)state;
	assert_int_equal(plan.command, PLAN_RUN);
	assert_int_equal(plan.file_count, 0);
	assert_int_equal(plan.set_count, 0);
	assert_false(plan.from_flags);
	assert_null(plan.flags.port);
}

// Seed 0: `mini-balancer -v -c mini-balancer.local.toml`.
static void test_named_file(void **state)
{
	static const char *const lines[] = {"-v -c mini-balancer.local.toml",
		"--verbose --config mini-balancer.local.toml", "-vcmini-balancer.local.toml",
		"run -v --config=mini-balancer.local.toml", "-c mini-balancer.local.toml run -v"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct plan plan = good(lines[i]);

		assert_int_equal(plan.command, PLAN_RUN);
		assert_int_equal(plan.file_count, 1);
		assert_string_equal(plan.files[0], "mini-balancer.local.toml");
		assert_false(plan.from_flags);
		assert_set(&plan, "log.level=info");
	}
}

// Seed 2: any first word with '.' or '/' is a file; after a command every word is one.
static void test_positional_file(void **state)
{
	static const struct {
		const char *line, *file;
		enum plan_command command;
	} rows[] = {
		{"config.yaml", "config.yaml", PLAN_RUN},
		{"path/to/config", "path/to/config", PLAN_RUN},
		{"./check", "./check", PLAN_RUN},
		{"-", "-", PLAN_RUN},
		{"run balancer", "balancer", PLAN_RUN},
		{"check config.yaml", "config.yaml", PLAN_CHECK},
		{"-t config.yaml", "config.yaml", PLAN_CHECK},
		{"config.yaml --check", "config.yaml", PLAN_CHECK},
		{"config show config", "config", PLAN_CONFIG_SHOW},
		{"config.yaml -T", "config.yaml", PLAN_CONFIG_SHOW},
		{"config convert a.toml", "a.toml", PLAN_CONVERT},
		{"import bal-rs config.yaml", "config.yaml", PLAN_IMPORT},
		{"-- -odd.yaml", "-odd.yaml", PLAN_RUN},
		{"run -- --help", "--help", PLAN_RUN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan plan = good(rows[i].line);

		assert_int_equal(plan.command, rows[i].command);
		assert_int_equal(plan.file_count, 1);
		assert_string_equal(plan.files[0], rows[i].file);
	}
}

static void test_files_keep_their_order(void **state)
{
	struct plan plan = good("-c a.yaml --config b.yaml c.yaml");

	(void)state;
	assert_int_equal(plan.file_count, 3);
	assert_string_equal(plan.files[0], "a.yaml");
	assert_string_equal(plan.files[1], "b.yaml");
	assert_string_equal(plan.files[2], "c.yaml");
}

// Seed 3's own examples.
static void test_flags_only(void **state)
{
	struct plan plan = good("--port 9000 --backends 192.168.1.10:8001,192.168.1.11:8001");

	(void)state;
	assert_true(plan.from_flags);
	assert_string_equal(plan.flags.port, "9000");
	assert_string_equal(plan.flags.backends, "192.168.1.10:8001,192.168.1.11:8001");
	assert_null(plan.flags.algorithm);
	plan = good("--algorithm random --health-check-interval 10");
	assert_true(plan.from_flags);
	assert_string_equal(plan.flags.algorithm, "random");
	assert_int_equal(plan.flags.health_interval_s, 10);
	plan = good("-p 1 -b x:1 -a round_robin");
	assert_string_equal(plan.flags.algorithm, "round_robin");
}

// ---- Options ------------------------------------------------------------------------------------

static void test_loudness(void **state)
{
	static const char *const rows[][2] = {{"-v", "log.level=info"}, {"-vv", "log.level=debug"},
		{"-v -v -v", "log.level=trace"}, {"-vvvv", "log.level=trace"},
		{"-q", "log.level=warn"}, {"-qq", "log.level=error"},
		{"--quiet", "log.level=warn"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan plan = good(rows[i][0]);

		assert_int_equal(plan.set_count, 1);
		assert_set(&plan, rows[i][1]);
	}
}

static void test_settings(void **state)
{
	struct plan plan =
		good("--io epoll --workers 3 --set log.level=debug --set a=b --no-env-file");

	(void)state;
	assert_int_equal(plan.set_count, 4);
	assert_set(&plan, "runtime.io=epoll");
	assert_set(&plan, "runtime.workers=3");
	assert_set(&plan, "log.level=debug");
	assert_true(plan.no_env_file);
	plan = good("--workers auto --io auto");
	assert_set(&plan, "runtime.workers=auto");
	assert_set(&plan, "runtime.io=auto");
}

static void test_formats(void **state)
{
	(void)state;
	assert_true(good("check --format json").as_json);
	assert_true(good("-t --format json x.yaml").as_json);
	assert_false(good("check --format human").as_json);
	assert_int_equal(good("config show").syntax, CONF_YAML);
	assert_int_equal(good("config show --format toml").syntax, CONF_TOML);
	assert_int_equal(good("config convert a --format json").syntax, CONF_JSON);
	assert_true(good("config show --origin").with_origin);
}

static void test_help_and_version_come_first(void **state)
{
	struct plan plan = good("-h");

	(void)state;
	assert_int_equal(plan.command, PLAN_HELP);
	assert_null(plan.topic);
	plan = good("check --help");
	assert_int_equal(plan.command, PLAN_HELP);
	assert_string_equal(plan.topic, "check");
	plan = good("config --help");
	assert_int_equal(plan.command, PLAN_HELP);
	plan = good("help pools.app.algorithm");
	assert_string_equal(plan.topic, "pools.app.algorithm");
	assert_true(good("--help-all").help_all);
	plan = good("-V");
	assert_int_equal(plan.command, PLAN_VERSION);
	assert_int_equal(plan.version_level, 1);
	assert_int_equal(good("-VV").version_level, 2);
	assert_true(good("--version --json").as_json);
	assert_int_equal(good("version").command, PLAN_VERSION);
	assert_int_equal(good("-V -h").command, PLAN_HELP);
}

// Given its port as argument it is not steady; with one from the environment it is.
static void test_test_backend(void **state)
{
	char *env[] = {(char *)"A=1", (char *)"PORT=3001", NULL};
	struct plan plan = good("test-backend 8001");

	(void)state;
	assert_int_equal(plan.command, PLAN_TEST_BACKEND);
	assert_string_equal(plan.address, "8001");
	assert_false(plan.is_steady);
	assert_true(good("test-backend 8001 --steady").is_steady);
	assert_null(plan.fault);
	assert_string_equal(good("test-backend 1 --fault hang=1").fault, "hang=1");
	assert_int_equal(good("test-backend 1 --io epoll").io, CONF_IO_EPOLL);
	assert_int_equal(make_in("test-backend", env, &plan), 0);
	assert_string_equal(plan.address, "3001");
	assert_true(plan.is_steady);
	assert_int_equal(make_in("test-backend 8001", env, &plan), 0);
	assert_string_equal(plan.address, "8001");
	assert_false(plan.is_steady);
}

static void test_what_asks(void **state)
{
	struct plan plan = good("top --once --admin 127.0.0.1:9900 --token-file t");

	(void)state;
	assert_int_equal(plan.command, PLAN_TOP);
	assert_true(plan.once);
	assert_string_equal(plan.admin, "127.0.0.1:9900");
	assert_string_equal(plan.token_file, "t");
	assert_int_equal(plan.word_count, 0);
	plan = good("events -f -n 5 --json");
	assert_true(plan.follows && plan.as_json);
	assert_int_equal(plan.limit, 5);
	plan = good("why abc");
	assert_int_equal(plan.word_count, 1);
	assert_string_equal(plan.words[0], "abc");
	assert_int_equal(good("why").word_count, 0);
	plan = good("explain -H A:b GET http://x/y.z -H C:d --from ::1 --frontend web");
	assert_int_equal(plan.command, PLAN_EXPLAIN);
	assert_int_equal(plan.word_count, 2);
	assert_string_equal(plan.words[1], "http://x/y.z");
	assert_int_equal(plan.field_count, 2);
	assert_string_equal(plan.fields[1], "C:d");
	assert_string_equal(plan.from, "::1");
	assert_string_equal(plan.frontend, "web");
	plan = good("connections app/a --from 10.0.0.0/8 --state idle --oldest -n 7");
	assert_int_equal(plan.command, PLAN_CONNECTIONS);
	assert_string_equal(plan.words[0], "app/a");
	assert_string_equal(plan.from, "10.0.0.0/8");
	assert_string_equal(plan.state, "idle");
	assert_true(plan.oldest);
	assert_int_equal(plan.limit, 7);
}

static void test_what_steers(void **state)
{
	struct plan plan = good("drain app/app-1 --wait --timeout 10m");

	(void)state;
	assert_int_equal(plan.command, PLAN_DRAIN);
	assert_true(plan.waits);
	assert_int_equal(plan.timeout_ms, 600000);
	assert_string_equal(plan.words[0], "app/app-1");
	assert_int_equal(good("weight a 3").word_count, 2);
	assert_int_equal(good("breaker 10.0.0.1:80 open").command, PLAN_BREAKER);
	assert_int_equal(good("log-level debug").command, PLAN_LOG_LEVEL);
	assert_int_equal(good("undo 7").command, PLAN_UNDO);
	assert_int_equal(good("enable a").command, PLAN_ENABLE);
	assert_int_equal(good("disable a").command, PLAN_DISABLE);
}

// ---- Mistakes -----------------------------------------------------------------------------------

static void test_simulate(void **state)
{
	struct plan plan =
		good("simulate load=0.5 slow=10 -a rr,lc --seed 3 --svg x.svg --draw p90 --json");

	(void)state;
	assert_int_equal(plan.command, PLAN_SIMULATE);
	assert_int_equal(plan.set_count, 2);
	assert_set(&plan, "load=0.5");
	assert_set(&plan, "slow=10");
	assert_string_equal(plan.flags.algorithm, "rr,lc");
	assert_string_equal(plan.seed, "3");
	assert_string_equal(plan.svg, "x.svg");
	assert_string_equal(plan.draw, "p90");
	assert_null(plan.replay);
	assert_true(plan.as_json);
	plan = good("simulate --replay access.log");
	assert_string_equal(plan.replay, "access.log");
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *line, *error, *hint; // hint NULL = any
	} rows[] = {
		{"chek", "unknown command 'chek'", "did you mean 'weir check'?"},
		{"dmeo", "unknown command 'dmeo'", "did you mean 'weir demo'?"},
		{"test_backend 1", "unknown command 'test_backend'",
			"did you mean 'weir test-backend'?"},
		{"config shwo", "unknown command 'config shwo'",
			"did you mean 'weir config show'?"},
		{"zzzzzz", "unknown command 'zzzzzz'", NULL},
		{"config", "weir config show, schema or convert?", NULL},
		{"--prot 1", "unknown option '--prot'", "did you mean '--port'?"},
		{"--algoritm=x", "unknown option '--algoritm'", "did you mean '--algorithm'?"},
		{"--zzzzzz", "unknown option '--zzzzzz'", NULL},
		{"-z", "unknown option '-z'", NULL},
		{"-vz", "unknown option '-z'", NULL},
		{"-p", "option '--port' needs a value: PORT", NULL},
		{"--config", "option '--config' needs a value: FILE", NULL},
		{"--quiet=yes", "option '--quiet' takes no value", NULL},
		{"--io uring", "--io is auto, io_uring or epoll", NULL},
		{"--io epol", "--io is auto, io_uring or epoll", "did you mean 'epoll'?"},
		{"--workers 0", "--workers is a number from 1 to 256, or auto", NULL},
		{"--workers 257", "--workers is a number from 1 to 256, or auto", NULL},
		{"--workers 2x", "--workers is a number from 1 to 256, or auto", NULL},
		{"--health-check-interval 0",
			"--health-check-interval is a number of seconds from 1 to 86400", NULL},
		{"--health-check-interval 5s",
			"--health-check-interval is a number of seconds from 1 to 86400", NULL},
		{"-v -q", "-v and -q contradict each other", NULL},
		{"-c a.yaml -p 80", "--port has no meaning together with a configuration file",
			NULL},
		{"a.yaml -b x:1", "--backends has no meaning together with a configuration file",
			NULL},
		{"a.yaml -a random",
			"--algorithm has no meaning together with a configuration file", NULL},
		{"test-backend", "test-backend needs a port", NULL},
		{"test-backend 1 2", "'2' is one word too many", NULL},
		{"test-backend 1 -p 2", "weir test-backend does not take --port", NULL},
		{"demo x.yaml", "weir demo takes no 'x.yaml'", NULL},
		{"demo -b a:1", "weir demo does not take --backends", NULL},
		{"check --steady", "weir check does not take --steady", NULL},
		{"--origin", "weir run does not take --origin", NULL},
		{"--format json", "weir run does not take --format", NULL},
		{"--json", "weir run does not take --json", NULL},
		{"check --format yaml", "--format of check is human or json", NULL},
		{"config show --format jason", "--format is yaml, toml or json",
			"did you mean 'json'?"},
		{"config convert", "config convert takes one file", NULL},
		{"import", "weir import bal-rs FILE?", NULL},
		{"import bal-rs", "import bal-rs takes one file", "weir import bal-rs FILE"},
		{"import balrs x", "unknown command 'import balrs'",
			"did you mean 'weir import bal-rs'?"},
		{"config convert a b", "config convert takes one file", NULL},
		{"config schema x", "weir config schema takes no 'x'", NULL},
		{"help a b", "'b' is one word too many", NULL},
		{"drain", "weir drain needs [POOL/]BACKEND", "weir drain [POOL/]BACKEND"},
		{"drain a b", "'b' is one word too many", "weir drain [POOL/]BACKEND"},
		{"weight a", "weir weight needs [POOL/]BACKEND N", NULL},
		{"why a b", "'b' is one word too many", "weir why [REQUEST-ID]"},
		{"top x", "weir top takes no 'x'", NULL},
		{"enable a --wait", "weir enable does not take --wait", NULL},
		{"drain a --json", "weir drain does not take --json", NULL},
		{"events -n 0", "--limit is a number from 1 to 10000", NULL},
		{"explain GET / -H A", "--header is 'Name: value' on one line, not 'A'", NULL},
		{"explain GET / -H :a", "--header is 'Name: value' on one line, not ':a'", NULL},
		{"drian a", "unknown command 'drian'", "did you mean 'weir drain'?"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan plan;

		if (make_in(rows[i].line, NULL, &plan) != -EINVAL)
			fail_msg("'%s' was taken", rows[i].line);
		assert_string_equal(plan.error, rows[i].error);
		if (rows[i].hint && (!plan.hint || strcmp(plan.hint, rows[i].hint) != 0))
			fail_msg("'%s' gives the hint '%s'", rows[i].line, plan.hint);
	}
}

// getopt takes a name that is cut short: "--ste" is --steady and no slip in --set.
static bool is_cut_short(const char *name)
{
	for (u32 i = 0; i < plan_option_count; i++)
		if (strncmp(plan_options[i].long_name, name, strlen(name)) == 0)
			return true;
	return false;
}

static void assert_suggested(const char *line, const char *meant)
{
	struct plan plan;

	if (is_cut_short(line + 2))
		return;
	assert_int_equal(make_in(line, NULL, &plan), -EINVAL);
	if (!plan.hint || !strstr(plan.hint, meant))
		fail_msg("'%s' gives '%s', not '%s'", line, plan.hint, meant);
}

static void test_slips_find_their_word(void **state)
{
	(void)state;
	for (u32 i = 0; i < plan_option_count; i++) {
		const char *name = plan_options[i].long_name;
		size_t len = strlen(name);

		for (size_t at = 0; at + 1 < len; at++) {
			char *swapped = arena_printf(&arena, "--%s", name);
			char *wrong = arena_printf(&arena, "--%s", name);

			swapped[2 + at] = name[at + 1];
			swapped[3 + at] = name[at];
			wrong[2 + at] = '0';
			if (name[at] != name[at + 1])
				assert_suggested(swapped, name);
			assert_suggested(wrong, name);
		}
	}
}

// ---- Commands that ask a running weir -----------------------------------------------------------

static void test_healthcheck(void **state)
{
	struct plan plan = good("healthcheck");

	(void)state;
	assert_int_equal(plan.command, PLAN_HEALTHCHECK);
	assert_null(plan.url);
	assert_null(plan.admin);
	assert_null(plan.token_file);
	assert_int_equal(plan.timeout_ms, 0);
	plan = good("healthcheck http://127.0.0.1:8080/lb-health --timeout 1m30s");
	assert_string_equal(plan.url, "http://127.0.0.1:8080/lb-health");
	assert_int_equal(plan.timeout_ms, 90000);
	plan = good("healthcheck --admin=unix:/run/x --token-file /run/t");
	assert_string_equal(plan.admin, "unix:/run/x");
	assert_string_equal(plan.token_file, "/run/t");
}

static void test_healthcheck_mistakes(void **state)
{
	static const char *const lines[][2] = {
		{"healthcheck a b", "'b' is one word too many"},
		{"healthcheck --timeout 5", "--timeout is a duration from 1ms to 1h, not '5'"},
		{"healthcheck --timeout 0ms", "--timeout is a duration"},
		{"healthcheck --timeout 2h", "--timeout is a duration"},
		{"healthcheck --admin x http://y/", "not both"},
		{"healthcheck --token-file x http://y/", "not both"},
		{"healthcheck -p 80", "weir healthcheck does not take --port"},
		{"run --admin x", "weir run does not take --admin"},
		{"healthchekc", "unknown command 'healthchekc'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct plan plan;

		assert_int_equal(make_in(lines[i][0], NULL, &plan), -EINVAL);
		if (!strstr(plan.error, lines[i][1]))
			fail_msg("'%s': %s", lines[i][0], plan.error);
	}
}

static void test_near_words(void **state)
{
	static const char *const words[] = {"run", "check", "io"};

	(void)state;
	assert_string_equal(plan_near("rnu", words, 3), "run");
	assert_string_equal(plan_near("chekc", words, 3), "check");
	assert_null(plan_near("chzzz", words, 3));
	assert_null(plan_near("xy", words, 3)); // two slips would make anything "io"
	assert_null(plan_near("", words, 3));
}

static void test_variables(void **state)
{
	char *env[] = {(char *)"PORTS=1", (char *)"PORT=", (char *)"HOME=/x", NULL};

	(void)state;
	assert_null(plan_variable(env, "PORT"));
	assert_string_equal(plan_variable(env, "HOME"), "/x");
	assert_null(plan_variable(NULL, "HOME"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_at_all),
		cmocka_unit_test(test_named_file),
		cmocka_unit_test(test_positional_file),
		cmocka_unit_test(test_files_keep_their_order),
		cmocka_unit_test(test_flags_only),
		cmocka_unit_test(test_loudness),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_help_and_version_come_first),
		cmocka_unit_test(test_test_backend),
		cmocka_unit_test(test_simulate),
		cmocka_unit_test(test_what_asks),
		cmocka_unit_test(test_what_steers),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_slips_find_their_word),
		cmocka_unit_test(test_healthcheck),
		cmocka_unit_test(test_healthcheck_mistakes),
		cmocka_unit_test(test_near_words),
		cmocka_unit_test(test_variables),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
