// SPDX-License-Identifier: Apache-2.0
// Keys about failure: defaults, every key, the seeds' spellings, what is refused and what is warned
// of.
#include "test.h"

static const struct conf *load(struct world *world, const char *text)
{
	const struct conf *conf;

	world_init(world);
	conf = world_load(world, "t", text, CONF_YAML);
	if (!conf)
		fail_msg("%s", world_errors(world));
	return conf;
}

static void says(const char *text, const char *expected, bool is_good)
{
	struct world world;
	bool was_good;

	world_init(&world);
	was_good = world_load(&world, "t", text, CONF_YAML) != NULL;
	assert_contains(world_errors(&world), expected);
	if (is_good != was_good)
		fail_msg("%s: %s", was_good ? "accepted" : "refused", text);
	world_done(&world);
}

static void refuses(const char *text, const char *expected)
{
	says(text, expected, false);
}

static void warns(const char *text, const char *expected)
{
	says(text, expected, true);
}

static void is_silent(const char *text)
{
	struct world world;

	(void)load(&world, text);
	if (world.errs.warning_count)
		fail_msg("%s", world_errors(&world));
	world_done(&world);
}

#define ONE   "backends: [10.0.0.1:80]\n"
#define THREE "backends: [10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]\n"

// ---- Health checks ------------------------------------------------------------------------------

static void checks_have_defaults(void **state)
{
	struct world world;
	const struct conf_check *check = &load(&world, ONE)->pools[0].check;

	(void)state;
	assert_int_equal(check->type, CONF_CHECK_AUTO);
	assert_str(check->path, "/health");
	assert_str(check->method, "GET");
	assert_int_equal(check->host.len, 0);
	assert_int_equal(check->port, 0);
	assert_int_equal(check->rules.interval_ms, 5000);
	assert_int_equal(check->rules.fast_interval_ms, 1000);
	assert_int_equal(check->rules.timeout_ms, 2000);
	assert_int_equal(check->rules.unhealthy_threshold, 3);
	assert_int_equal(check->rules.healthy_threshold, 2);
	assert_int_equal(check->rules.jitter_percent, 10);
	assert_int_equal(check->expect.status_count, 1);
	assert_int_equal(check->expect.statuses[0].first, 200);
	assert_int_equal(check->expect.statuses[0].last, 299);
	assert_int_equal(check->expect.body.len, 0);
	world_done(&world);
}

static void a_section_means_http_and_a_word_is_a_type(void **state)
{
	struct world world;

	(void)state;
	assert_int_equal(load(&world, ONE "health_check: {interval: 1s}")->pools[0].check.type,
		CONF_CHECK_HTTP);
	world_done(&world);
	assert_int_equal(
		load(&world, ONE "health_check: none")->pools[0].check.type, CONF_CHECK_NONE);
	world_done(&world);
	assert_int_equal(load(&world, "pools: {default: {backends: [a:1], health_check: tcp}}")
				 ->pools[0]
				 .check.type,
		CONF_CHECK_TCP);
	world_done(&world);
	assert_int_equal(load(&world, ONE "health_check: {type: auto, jitter: none}")
				 ->pools[0]
				 .check.rules.jitter_percent,
		0);
	world_done(&world);
}

static void a_setting_on_top_keeps_the_type(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	static const char *const sets[] = {
		"pools.app.health_check.type=tcp", "pools.app.health_check.interval=9s"};
	struct conf_input input = {.files = &file, .file_count = 1, .sets = sets, .set_count = 2};
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	assert_int_equal(conf->pools[0].check.type, CONF_CHECK_TCP);
	assert_int_equal(conf->pools[0].check.rules.interval_ms, 9000);
	world_done(&world);
}

static void every_key_of_a_check(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;
	const struct conf_check *check;
	const struct conf_backend *backend;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	check = &conf->pools[0].check;
	assert_int_equal(check->type, CONF_CHECK_HTTP);
	assert_str(check->path, "/well?deep=1");
	assert_str(check->method, "HEAD");
	assert_str(check->host, "app.internal");
	assert_int_equal(check->port, 9000);
	assert_int_equal(check->rules.interval_ms, 10000);
	assert_int_equal(check->rules.fast_interval_ms, 500);
	assert_int_equal(check->rules.timeout_ms, 3000);
	assert_int_equal(check->rules.unhealthy_threshold, 4);
	assert_int_equal(check->rules.healthy_threshold, 3);
	assert_int_equal(check->rules.jitter_percent, 20);
	assert_int_equal(check->expect.status_count, 2);
	assert_int_equal(check->expect.statuses[0].last, 204);
	assert_int_equal(check->expect.statuses[1].first, 301);
	assert_int_equal(check->expect.statuses[1].last, 301);
	assert_str(check->expect.body, "fine");
	backend = &conf->pools[0].backends[0];
	assert_int_equal(backend->check.port, 9001);
	assert_str(backend->check.path, "/own");
	assert_str(backend->check.host, "own");
	assert_int_equal(conf->pools[0].backends[1].check.port, 0);
	assert_int_equal(conf->pools[0].backends[1].check.path.len, 0);
	world_done(&world);
}

static void refuses_wrong_checks(void **state)
{
	(void)state;
	refuses(ONE "health_check: {type: ping}", "error[E016]: unknown type 'ping'");
	refuses(ONE "health_check: {type: grpc}", "error[E013]: type 'grpc' is not built yet");
	refuses(ONE "health_check: {path: health}", "error[E019]: 'health' is no path to check");
	refuses(ONE "health_check: {method: CONNECT}", "error[E019]: CONNECT asks for a tunnel");
	refuses(ONE "health_check: {method: GTE}", "error[E016]: 'GTE' is no method");
	refuses(ONE "health_check: {method: GTE}", "did you mean 'GET'?");
	refuses(ONE "health_check: {host: \"a b\"}", "error[E019]: 'a b' is no host name");
	refuses(ONE "health_check: {port: 70000}", "error[E020]: 70000 is too large");
	refuses(ONE "health_check: {interval: 5}", "error[E018]: '5' has no unit");
	refuses(ONE "health_check: {interval_secs: 0}", "error[E020]: 0s is too short");
	refuses(ONE "health_check: {interval_secs: x}", "error[E019]: 'x' is not a duration");
	refuses(ONE "health_check: {interval: 1s, interval_secs: 1}", "error[E010]: 'interval'");
	refuses(ONE "health_check: {jitter: 20}", "error[E018]: '20' has no unit");
	refuses(ONE "health_check: {jitter: 120%}", "error[E020]: 120% is too large");
	refuses(ONE "health_check: {jitter: some}", "error[E014]: 'some' is no percentage");
	refuses(ONE "health_check: {healthy_threshold: 0}", "error[E020]: 0 is too small");
	refuses(ONE "health_check: {expect: {status: [200-100]}}", "error[E019]: '200-100'");
	refuses(ONE "health_check: {expect: {status: 20}}", "error[E019]: '20' is no status");
	refuses(ONE "health_check: {expect: {status: []}}", "error[E025]");
	refuses(ONE "health_check: {expect: {body: \"\"}}", "error[E019]");
	refuses(ONE "health_check: {intervall: 5s}", "did you mean 'interval'?");
	refuses("backends: [{address: a:1, health_check: {prt: 1}}]", "error[E012]: unknown key");
}

static void warns_of_checks_that_overlap(void **state)
{
	(void)state;
	warns(ONE "health_check: {interval: 1s, timeout: 2s}",
		"warning[W107]: the checks of pool 'default' may take longer (timeout 2s)");
	is_silent(ONE "health_check: {interval: 2s, timeout: 2s}");
	is_silent(ONE "health_check: {type: none, interval: 1s, timeout: 2s}");
}

// ---- Breaker, outliers, panic, slow start -------------------------------------------------------

static void breakers_have_defaults(void **state)
{
	struct world world;
	const struct conf_pool *pool = &load(&world, ONE)->pools[0];

	(void)state;
	assert_int_equal(pool->breaker.failure_threshold, 5);
	assert_int_equal(pool->breaker.error_percent, 0);
	assert_int_equal(pool->breaker.requests_min, 20);
	assert_int_equal(pool->breaker.window_ms, 10000);
	assert_int_equal(pool->breaker.success_threshold, 2);
	assert_int_equal(pool->breaker.trials_max, 1);
	assert_int_equal(pool->breaker.open_ms, 30000);
	assert_int_equal(pool->breaker.open_ms_max, 300000);
	assert_int_equal(pool->breaker.share_percent, 50);
	assert_int_equal(pool->ejection.connect_failures, 3);
	assert_int_equal(pool->ejection.errors, 0);
	assert_int_equal(pool->ejection.timeouts, 0);
	assert_int_equal(pool->ejection.base_ms, 30000);
	assert_int_equal(pool->ejection.max_ms, 300000);
	assert_int_equal(pool->ejection.jitter_percent, 10);
	assert_int_equal(pool->ejection.share_percent, 50);
	assert_false(pool->success_rate.enabled);
	assert_int_equal(pool->success_rate.rules.factor_thousandths, 1900);
	assert_int_equal(pool->panic_percent, 50);
	assert_int_equal(pool->slow_start_ms, 0);
	assert_int_equal(pool->backends[0].slow_start_ms, 0);
	world_done(&world);
}

static void every_key_of_breaker_and_outliers(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;
	const struct conf_pool *pool;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	pool = &conf->pools[0];
	assert_int_equal(pool->breaker.failure_threshold, 6);
	assert_int_equal(pool->breaker.error_percent, 40);
	assert_int_equal(pool->breaker.requests_min, 30);
	assert_int_equal(pool->breaker.window_ms, 20000);
	assert_int_equal(pool->breaker.open_ms, 10000);
	assert_int_equal(pool->breaker.open_ms_max, 120000);
	assert_int_equal(pool->breaker.trials_max, 3);
	assert_int_equal(pool->breaker.success_threshold, 4);
	assert_int_equal(pool->breaker.share_percent, 34);
	assert_int_equal(pool->ejection.connect_failures, 2);
	assert_int_equal(pool->ejection.errors, 7);
	assert_int_equal(pool->ejection.timeouts, 8);
	assert_int_equal(pool->ejection.base_ms, 15000);
	assert_int_equal(pool->ejection.max_ms, 60000);
	assert_int_equal(pool->ejection.jitter_percent, 5);
	assert_int_equal(pool->ejection.share_percent, 34);
	assert_true(pool->success_rate.enabled);
	assert_int_equal(pool->success_rate.interval_ms, 5000);
	assert_int_equal(pool->success_rate.rules.backends_min, 3);
	assert_int_equal(pool->success_rate.rules.requests_min, 50);
	assert_int_equal(pool->success_rate.rules.factor_thousandths, 1250);
	assert_int_equal(pool->success_rate.rules.margin_percent, 2);
	assert_int_equal(pool->panic_percent, 30);
	assert_int_equal(pool->slow_start_ms, 20000);
	assert_int_equal(pool->backends[0].slow_start_ms, 60000);
	world_done(&world);
}

static void breakers_of_seed_2(void **state)
{
	struct world world;
	const struct breaker_rules *rules =
		&load(&world, THREE "circuit_breaker: {failure_threshold: 3, success_threshold: 1, "
				    "timeout_secs: 60}")
			 ->pools[0]
			 .breaker;

	(void)state;
	assert_int_equal(world.errs.warning_count, 0);
	assert_int_equal(rules->failure_threshold, 3);
	assert_int_equal(rules->success_threshold, 1);
	assert_int_equal(rules->open_ms, 60000);
	world_done(&world);
}

#define POOL(text) "pools: {default: {backends: [a:1, b:1], " text "}}"

static void refuses_wrong_breakers(void **state)
{
	(void)state;
	refuses(ONE "circuit_breaker: {failure_threshold: 0}", "error[E020]: 0 is too small");
	refuses(ONE "circuit_breaker: {error_rate: half}", "error[E014]: 'half' is no percentage");
	refuses(ONE "circuit_breaker: {error_rate: nnone}",
		"error[E014]: 'nnone' is no percentage");
	refuses(ONE "circuit_breaker: {open_for: 10m, open_for_max: 5m}",
		"error[E023]: pools.default.circuit_breaker.open_for (10m) is longer than");
	refuses(ONE "circuit_breaker: {treshold: 1}", "error[E012]: unknown key 'treshold'");
	refuses(POOL("outliers: {eject_for: 10m}"),
		"error[E023]: pools.default.outliers.eject_for (10m) is longer");
	refuses(POOL("outliers: {success_rate: {deviations: 0.01}}"),
		"error[E020]: 0.01 is too small for "
		"pools.default.outliers.success_rate.deviations: "
		"0.1 to 100");
	refuses(POOL("outliers: {success_rate: {deviations: 1.2345}}"),
		"error[E014]: '1.2345' is no decimal number");
	refuses(POOL("outliers: {success_rate: {deviations: 1.}}"), "error[E014]");
	refuses(POOL("panic_threshold: 0%"), "error[E020]: 0% is too small");
	refuses(POOL("panic_threshold: 50"), "write 50%");
	refuses(POOL("slow_start: soon"), "error[E019]: 'soon' is not a duration");
}

static void warns_of_what_can_never_happen(void **state)
{
	(void)state;
	warns(THREE "circuit_breaker: {failure_threshold: none}",
		"warning[W109]: the circuit breaker of pool 'default' can never open: "
		"failure_threshold and error_rate are both none");
	warns(ONE "circuit_breaker: {failure_threshold: 3}",
		"can never open: max_ejected 50% of 1 backend is less than one");
	warns(THREE "circuit_breaker: {max_ejected: 30%}",
		"can never open: max_ejected 30% of 3 backends is less than one");
	is_silent(THREE "circuit_breaker: {failure_threshold: none, error_rate: 50%}");
	is_silent(ONE "circuit_breaker: {max_ejected: 100%}");
	is_silent(ONE);
	warns(POOL("outliers: {success_rate: {enabled: true}}"),
		"warning[W110]: pools.default.outliers.success_rate can never eject: the pool has "
		"2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_have_defaults),
		cmocka_unit_test(a_section_means_http_and_a_word_is_a_type),
		cmocka_unit_test(a_setting_on_top_keeps_the_type),
		cmocka_unit_test(every_key_of_a_check),
		cmocka_unit_test(refuses_wrong_checks),
		cmocka_unit_test(warns_of_checks_that_overlap),
		cmocka_unit_test(breakers_have_defaults),
		cmocka_unit_test(every_key_of_breaker_and_outliers),
		cmocka_unit_test(breakers_of_seed_2),
		cmocka_unit_test(refuses_wrong_breakers),
		cmocka_unit_test(warns_of_what_can_never_happen),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
