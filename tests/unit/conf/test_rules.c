// SPDX-License-Identifier: Apache-2.0
// Keys about failure: defaults, every key, the seeds' spellings, what is refused and what is warned
// of.
#include "test_says.h"

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

// Where there are only connections nobody is asked for a page that nobody spoke of.
static void a_section_for_connections_means_no_page(void **state)
{
	static const struct {
		const char *check, *more;
		u8 type;
	} rows[] = {
		{"{interval: 1s}", "", CONF_CHECK_AUTO},
		{"{interval: 1s, type: http}", "", CONF_CHECK_HTTP},
		{"{path: /up}", "", CONF_CHECK_HTTP},
		{"{expect: {status: 200}}", "", CONF_CHECK_HTTP},
		{"{interval: 1s}", ", web: {bind: [\":81\"], pool: db}", CONF_CHECK_HTTP},
		{"{interval: 1s}",
			", web: {bind: [\":81\"], routes: [{match: {path: /}, pool: db}]}",
			CONF_CHECK_HTTP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world world;
		char text[512];

		snprintf(text, sizeof(text),
			"frontends: {db: {protocol: tcp, bind: [\":80\"], pool: db}%s}\n"
			"pools: {db: {backends: [\"a:1\"], health_check: %s}}\n",
			rows[i].more, rows[i].check);
		assert_int_equal(load(&world, text)->pools[0].check.type, rows[i].type);
		world_done(&world);
	}
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
	refuses(ONE "health_check: {type: grpc}",
		"error[E023]: pools.default is checked by gRPC, but not all of its backends");
	refuses(ONE "health_check: {type: http, service: a.B}", "that is for type grpc only");
	refuses(POOL("protocol: h2, health_check: {type: grpc, service: \"\"}"),
		"error[E019]: '' is no name of a service");
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
	assert_int_equal(conf->pools[1].slow_start_ms, 20000);
	assert_int_equal(conf->pools[1].backends[0].slow_start_ms, 60000);
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
	warns("pools: {default: {backends: a:1, outliers: {errors: 5}}}",
		"warning[W110]: pools.default.outliers can never eject by errors: "
		"circuit_breaker.max_ejected 50% of 1 backend is less than one");
	warns("pools: {default: {backends: a:1, outliers: {timeouts: 5}}}",
		"can never eject by timeouts");
	is_silent("pools: {default: {backends: a:1, outliers: {connect_failures: 5}}}");
	is_silent(POOL("outliers: {errors: 5, timeouts: 5}"));
	warns(POOL("limits: {shed: {target: 1s}}"),
		"warning[W113]: pools.default.limits.shed never counts: nothing bounds the pool");
	is_silent(POOL("limits: {requests: 100, shed: {target: 1s}}"));
	is_silent("pools: {default: {backends: [{address: a:1, max_connections: 3}], "
		  "limits: {shed: {target: 1s}}}}");
}

// ---- Retries ------------------------------------------------------------------------------------

static void retries_have_defaults(void **state)
{
	struct world world;
	const struct conf *conf = load(&world, ONE);
	const struct conf_pool *pool = &conf->pools[0];
	const struct retry_rules *rules = &pool->retry.rules;

	(void)state;
	assert_int_equal(rules->attempts_max, 3);
	assert_int_equal(rules->causes, RETRY_CAUSE_BIT(RETRY_CONNECT) |
						RETRY_CAUSE_BIT(RETRY_RESET) |
						RETRY_CAUSE_BIT(RETRY_TIMEOUT));
	assert_int_equal(rules->status_count, 3);
	assert_true(retry_names_status(rules, 502));
	assert_true(retry_names_status(rules, 503));
	assert_true(retry_names_status(rules, 504));
	assert_false(rules->any_method);
	assert_true(rules->has_budget);
	assert_int_equal(rules->budget.percent, 20);
	assert_int_equal(rules->budget.least, 10);
	assert_int_equal(rules->budget.window_ms, 10000);
	assert_int_equal(rules->backoff_base_ms, 100);
	assert_int_equal(rules->backoff_max_ms, 5000);
	assert_int_equal(pool->retry.try_timeout_ms, 0);
	assert_int_equal(pool->retry.body_bytes_max, 65536);
	assert_int_equal(pool->hedge.percent, 0);
	assert_int_equal(pool->timeouts.request_ms, 0);
	assert_int_equal(conf->frontends[0].timeouts.request_ms, 0);
	world_done(&world);
}

static void every_key_of_retry_and_hedge(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;
	const struct conf_pool *pool;
	const struct conf_route *route;
	const struct retry_rules *rules;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	pool = &conf->pools[0];
	rules = &pool->retry.rules;
	assert_int_equal(rules->attempts_max, 4);
	assert_int_equal(
		rules->causes, RETRY_CAUSE_BIT(RETRY_CONNECT) | RETRY_CAUSE_BIT(RETRY_TIMEOUT));
	assert_int_equal(rules->status_count, 2);
	assert_int_equal(rules->statuses[1], 429);
	assert_true(rules->any_method);
	assert_int_equal(rules->backoff_base_ms, 50);
	assert_int_equal(rules->backoff_max_ms, 2000);
	assert_int_equal(rules->budget.percent, 15);
	assert_int_equal(rules->budget.least, 5);
	assert_int_equal(rules->budget.window_ms, 20000);
	assert_int_equal(pool->retry.try_timeout_ms, 5000);
	assert_int_equal(pool->retry.body_bytes_max, 32768);
	assert_int_equal(pool->hedge.percent, 95);
	assert_int_equal(pool->hedge.samples_min, 200);
	assert_int_equal(pool->hedge.delay_min_ms, 3);
	assert_int_equal(pool->timeouts.request_ms, 120000);
	assert_int_equal(conf->frontends[0].timeouts.request_ms, 90000);
	route = &conf->frontends[0].routes[0];
	assert_int_equal(route->request_timeout_ms, 40000);
	assert_int_equal(route->retry->rules.attempts_max, 2);
	assert_false(route->retry->rules.has_budget);
	assert_int_equal(route->retry->rules.status_count, 3);
	assert_null(conf->frontends[0].routes[1].retry);
	world_done(&world);
}

// The whole file of seed 2.
static void the_file_of_seed_2(void **state)
{
	static const char text[] =
		"load_balancer: {algorithm: round_robin}\n"
		"backends:\n"
		"  - {id: backend-1, url: \"http://127.0.0.1:8001\", weight: 1, "
		"max_connections: 100}\n"
		"  - {id: backend-2, url: \"http://127.0.0.1:8002\", weight: 2}\n"
		"  - {id: backend-3, url: \"http://127.0.0.1:8003\", weight: 1}\n"
		"health_check: {interval_secs: 10, timeout_secs: 5, unhealthy_threshold: 3,\n"
		"  healthy_threshold: 2, path: /health}\n"
		"circuit_breaker: {failure_threshold: 5, success_threshold: 2, timeout_secs: 30}\n"
		"retry: {max_attempts: 3, backoff_base_ms: 100, backoff_max_ms: 1000}\n"
		"metrics: {enabled: true}\n";
	struct world world;
	const struct conf *conf = load(&world, text);
	const struct conf_pool *pool = &conf->pools[0];

	(void)state;
	assert_int_equal(world.errs.warning_count, 0);
	assert_int_equal(pool->backend_count, 3);
	assert_int_equal(pool->backends[0].max_connections, 100);
	assert_int_equal(pool->backends[1].weight, 2);
	assert_int_equal(pool->check.type, CONF_CHECK_HTTP);
	assert_int_equal(pool->check.rules.interval_ms, 10000);
	assert_int_equal(pool->check.rules.timeout_ms, 5000);
	assert_int_equal(pool->breaker.open_ms, 30000);
	assert_int_equal(pool->retry.rules.attempts_max, 3);
	assert_int_equal(pool->retry.rules.backoff_base_ms, 100);
	assert_int_equal(pool->retry.rules.backoff_max_ms, 1000);
	assert_int_equal(conf->metrics.port, 9090);
	world_done(&world);
}

static void refuses_wrong_retries(void **state)
{
	(void)state;
	refuses(ONE "retry: {max_attempts: 0}", "error[E020]: 0 is too small");
	refuses(ONE "retry: {max_attempts: 17}", "error[E020]: 17 is too large");
	refuses(ONE "retry: {when: [conect]}", "error[E016]: 'conect' is no failure");
	refuses(ONE "retry: {when: [conect]}", "did you mean 'connect'?");
	refuses(ONE "retry: {when: [200]}", "error[E016]: '200' is no failure");
	refuses(ONE "retry: {when: []}", "error[E025]");
	refuses(ONE "retry: {when: {a: b}}", "error[E014]: pools.default.retry.when is a list of");
	refuses(ONE "retry: {when: [400,401,402,403,404,405,406,407,408,409,410,411,412,413,414,"
		    "415,416]}",
		"error[E005]: pools.default.retry.when has more than 16 statuses");
	refuses(ONE "retry: {methods: all}", "error[E016]: unknown methods 'all'");
	refuses(ONE "retry: {backoff: {base: 10s}}",
		"error[E023]: pools.default.retry.backoff.base (10s) is longer than its max (5s)");
	refuses(ONE "retry: {backoff_base_ms: 1s, backoff: {base: 1s}}", "error[E010]");
	refuses(ONE "retry: {backoff_base_ms: ten}", "error[E019]: 'ten' is not a duration");
	refuses(ONE "retry: {budget: 20}", "error[E018]: '20' has no unit");
	refuses(ONE "retry: 3", "error[E014]: pools.default.retry is a map of keys");
	refuses(POOL("retry: {budget: none}, hedge: {after: 95%}"),
		"error[E023]: pools.default.hedge needs a retry.budget");
	refuses(POOL("hedge: {after: 20%}"), "error[E020]: 20% is too small");
	refuses("pools: {p: {backends: a:1}}\nfrontends: {t: {bind: \":1\", protocol: tcp, pool: "
		"p, "
		"timeouts: {request: 1s}}}",
		"error[E023]: 'request' means nothing");
}

static void warns_of_retries_that_get_no_time(void **state)
{
	(void)state;
	// Two connects of 5 s and waits of 100 ms and 200 ms before the third try.
	warns(POOL("timeouts: {request: 10s}"),
		"warning[W108]: pool 'default': the last of 3 tries may begin only after 10s300ms, "
		"but timeouts.request ends the request after 10s");
	is_silent(POOL("timeouts: {request: 11s}"));
	is_silent(POOL("timeouts: {request: 10s, connect: 1s}"));
	is_silent(POOL("timeouts: {request: 10s}, retry: {max_attempts: 1}"));
	is_silent(POOL("timeouts: {request: 10s}, retry: {try_timeout: 3s}"));
	warns(POOL("timeouts: {request: 6s}, retry: {try_timeout: 3s}"),
		"a shorter retry.try_timeout leaves time");
	warns(WEB("") "timeouts: {request: 5s}}}",
		"warning[W108]: frontends.web to pool 'p': the last of 3 tries");
	is_silent(WEB("retry: {try_timeout: 2s}") "timeouts: {request: 5s}}}");
	warns(WEB("") "routes: [{pool: p, timeouts: {request: 3s}}]}}",
		"warning[W108]: route web.routes[0] to pool 'p': the last of 3 tries");
	is_silent(
		WEB("") "routes: [{pool: p, timeouts: {request: 3s}, retry: {try_timeout: 1s}}]}}");
	is_silent(
		WEB("") "routes: [{pool: p, timeouts: {request: 3s}, retry: {max_attempts: 1}}]}}");
	warns(POOL("retry: {try_timeout: 60s}"),
		"warning[W111]: pools.default.retry.try_timeout (1m) never passes");
	warns(ONE "retry: {max_attempts: 1, try_timeout: 1s}",
		"warning[W111]: pools.default.retry.try_timeout (1s) never passes: max_attempts is "
		"1");
	warns(ONE "retry: {when: [connect], try_timeout: 1s}",
		"warning[W111]: pools.default.retry.try_timeout (1s) never passes: `when` does not "
		"name timeout");
}

// ---- Limits -------------------------------------------------------------------------------------

static void limits_have_defaults(void **state)
{
	struct world world;
	const struct conf *conf = load(&world, ONE);
	const struct conf_pool *pool = &conf->pools[0];

	(void)state;
	assert_int_equal(pool->backends[0].max_connections, 0);
	assert_int_equal(pool->limits.requests, 0);
	assert_int_equal(pool->limits.queue, 1000);
	assert_int_equal(pool->timeouts.queue_ms, 30000);
	assert_int_equal(pool->limits.shed.target_ms, 0);
	assert_int_equal(pool->limits.shed.interval_ms, 1000);
	assert_false(pool->limits.adaptive);
	assert_int_equal(pool->limits.gradient.limit_min, 20);
	assert_int_equal(pool->limits.gradient.limit_max, 200);
	assert_int_equal(pool->limits.gradient.limit_start, 20);
	assert_int_equal(conf->frontends[0].limits.per_ip_connections, 0);
	assert_int_equal(conf->frontends[0].access.allow_count, 0);
	assert_int_equal(conf->frontends[0].access.deny_count, 0);
	world_done(&world);
}

static void every_key_of_limits(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;
	const struct conf_pool *pool;
	const struct conf_frontend *web;
	struct addr addr;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	pool = &conf->pools[0];
	assert_int_equal(pool->backends[0].max_connections, 300);
	assert_int_equal(pool->limits.requests, 800);
	assert_int_equal(pool->limits.queue, 50);
	assert_int_equal(pool->timeouts.queue_ms, 9000);
	assert_int_equal(pool->limits.shed.target_ms, 100);
	assert_int_equal(pool->limits.shed.interval_ms, 2000);
	assert_true(pool->limits.adaptive);
	assert_int_equal(pool->limits.gradient.limit_min, 10);
	assert_int_equal(pool->limits.gradient.limit_max, 300);
	assert_int_equal(pool->limits.gradient.limit_start, 30);
	web = &conf->frontends[0];
	assert_int_equal(web->limits.per_ip_connections, 40);
	assert_int_equal(addr_parse_ip(STR("10.1.1.1"), &addr), 0);
	assert_true(access_list_lets_in(&web->access, &addr));
	assert_int_equal(addr_parse_ip(STR("10.6.6.1"), &addr), 0);
	assert_false(access_list_lets_in(&web->access, &addr));
	assert_int_equal(addr_parse_ip(STR("192.0.2.1"), &addr), 0);
	assert_false(access_list_lets_in(&web->access, &addr));
	assert_int_equal(conf->frontends[1].access.allow_count, 0);
	world_done(&world);
}

static void limits_of_seed_2(void **state)
{
	struct world world;

	(void)state;
	assert_int_equal(load(&world, "backends: [{url: \"http://127.0.0.1:8001\", weight: 1, "
				      "max_connections: 100}]")
				 ->pools[0]
				 .backends[0]
				 .max_connections,
		100);
	world_done(&world);
}

static void refuses_wrong_limits(void **state)
{
	(void)state;
	refuses("backends: [{address: a:1, max_connections: 0}]", "error[E020]: 0 is too small");
	refuses(POOL("limits: {adaptive: {min: 300}}"),
		"error[E023]: pools.default.limits.adaptive: min 300, start 20 and max 200 are not "
		"in "
		"this order");
	refuses(POOL("limits: {adaptive: {start: 10}}"), "error[E023]");
	refuses(POOL("limits: {shed: {target: 5}}"), "error[E018]");
	refuses("pools: {p: {backends: a:1}}\nfrontends: {w: {bind: \":1\", pool: p, allow: "
		"[10.0.0.1/8]}}",
		"error[E019]: '10.0.0.1/8' is no network");
	refuses("pools: {p: {backends: a:1}}\nfrontends: {w: {bind: \":1\", pool: p, deny: "
		"lopback}}",
		"did you mean 'loopback'?");
	warns("pools: {p: {backends: a:1}}\nfrontends: {w: {bind: \":1\", pool: p, deny: "
	      "0.0.0.0/0}}",
		"warning[W112]: frontends.w denies every IPv4 address");
	warns(POOL("limits: {shed: {target: 40s}}"),
		"warning[W113]: pools.default.limits.shed.target (40s) never counts");
}

// ---- Advice -------------------------------------------------------------------------------------

// All of one run, each at the key that is to blame.
static void every_advice_has_its_place(void **state)
{
	static const char text[] = "frontends:\n"
				   "  web:\n"
				   "    bind: \":8080\"\n"
				   "    pool: app\n"
				   "    timeouts: {request: 2s}\n"
				   "    deny: 0.0.0.0/0\n"
				   "    client_ip: {trusted_proxies: \"::/0\"}\n"
				   "    routes:\n"
				   "      - match: {path: /a/*}\n"
				   "        pool: app\n"
				   "      - match: {path: /a/b}\n"
				   "        pool: app\n"
				   "pools:\n"
				   "  app:\n"
				   "    backends:\n"
				   "      - {address: \"10.0.0.1:80\", weight: 0}\n"
				   "    health_check: {interval: 1s, timeout: 2s}\n"
				   "    circuit_breaker: {failure_threshold: none}\n"
				   "    retry: {try_timeout: 2m}\n"
				   "    limits: {shed: {target: 1m}}\n"
				   "    outliers: {success_rate: {enabled: true}}\n"
				   "    hash: {by: path}\n"
				   "  lost:\n"
				   "    backends: 127.0.0.1:8080\n";
	static const char *const advice[] = {
		"t:5:5: warning[W108]: frontends.web to pool 'app': the last of 3 tries",
		"t:6:5: warning[W112]: frontends.web denies every IPv4 address",
		"t:7:5: warning[W105]: frontends.web trusts every address",
		"t:11:9: warning[W102]: web.routes[1] can never be reached: web.routes[0] at t:9:9",
		"t:15:5: warning[W104]: all backends of pool 'app' have weight 0",
		"t:17:5: warning[W107]: the checks of pool 'app' may take longer",
		"t:18:5: warning[W109]: the circuit breaker of pool 'app' can never open",
		"t:19:5: warning[W111]: pools.app.retry.try_timeout (2m) never passes",
		"t:20:5: warning[W113]: pools.app.limits.shed.target (1m) never counts",
		"t:21:5: warning[W110]: pools.app.outliers.success_rate can never eject",
		"t:22:5: warning[W114]: pools.app.hash changes nothing",
		"t:23:3: warning[W101]: pool 'lost' is defined, but nothing leads to it",
		"t:24:15: warning[W106]: backend 127.0.0.1:8080 of pool 'lost' is what weir itself",
	};
	struct world world;

	(void)state;
	(void)load(&world, text);
	for (size_t i = 0; i < ARRAY_LEN(advice); i++)
		assert_contains(world_errors(&world), advice[i]);
	assert_int_equal(world.errs.warning_count, ARRAY_LEN(advice));
	world_done(&world);
}

// Routes without settings of their own say nothing that their frontend has not said.
static void a_deadline_is_told_once(void **state)
{
	struct world world;

	(void)state;
	(void)load(&world,
		"pools: {p: {backends: [a:1, b:1]}, q: {backends: [a:1, b:1]}}\n"
		"frontends: {web: {bind: \":1\", pool: p, timeouts: {request: 5s}, routes: "
		"[{pool: p, match: {path: /a}}, {pool: q, match: {path: /b}}, {pool: q, "
		"match: {path: /c}}, {pool: q, match: {path: /d}, timeouts: {request: 6s}}]}}");
	assert_contains(world_errors(&world), "t:2:40: warning[W108]: frontends.web to pool 'p'");
	assert_contains(world_errors(&world), "t:2:40: warning[W108]: frontends.web to pool 'q'");
	assert_contains(world_errors(&world), "warning[W108]: route web.routes[3] to pool 'q'");
	assert_int_equal(world.errs.warning_count, 3);
	world_done(&world);
}

// ---- The file of Bal.rs -------------------------------------------------------------------------

#define BALRS                                                                     \
	"load balancer: http://127.0.0.1:8000\n"                                  \
	"!!  load balancer address\n\n"                                           \
	"algorithm: weighted_least_connections\n"                                 \
	"!!  load balancer algorithm\n\n"                                         \
	"servers: http://127.0.0.1:3001, http://127.0.0.1:3002/,127.0.0.1:3003\n" \
	"!!  server address\n\n"                                                  \
	"weights: 20, 30, 10\n!!  server weights\n\n"                             \
	"max connections: 1000, 900\n!!  max connections\n\n"                     \
	"timeout: 10\n!!  (in s)\n\nmax retries: 1\n!! later\n\n"

static void reads_the_file_of_seed_1(void **state)
{
	struct world world;
	const struct conf *conf = load(&world, BALRS "health check interval: 10\n!! (in s)");
	const struct conf_pool *pool = &conf->pools[0];

	(void)state;
	assert_int_equal(world.errs.warning_count, 0);
	assert_int_equal(conf->frontend_count, 1);
	assert_str(conf->frontends[0].binds[0].text, "127.0.0.1:8000");
	assert_int_equal(pool->algorithm, CONF_LEAST_CONNECTIONS);
	assert_int_equal(pool->backend_count, 3);
	assert_str(pool->backends[1].address, "127.0.0.1:3002");
	assert_int_equal(pool->backends[0].weight, 20);
	assert_int_equal(pool->backends[2].weight, 10);
	assert_int_equal(pool->backends[0].max_connections, 1000);
	assert_int_equal(pool->backends[1].max_connections, 900);
	assert_int_equal(pool->backends[2].max_connections, 0);
	assert_int_equal(pool->timeouts.response_ms, 10000);
	assert_int_equal(pool->retry.rules.attempts_max, 2);
	assert_int_equal(pool->check.type, CONF_CHECK_HTTP);
	assert_str(pool->check.path, "/");
	assert_int_equal(pool->check.rules.interval_ms, 10000);
	world_done(&world);
}

static void its_older_spelling_counts_milliseconds(void **state)
{
	struct world world;
	const struct conf_pool *pool = &load(&world,
		"load balancer: http://127.0.0.1:8000\r\nservers: http://127.0.0.1:1\r\n"
		"algorithm: round_robin\r\nweights: 20\r\ntimeout: 10000\r\n"
		"helth check interval: 60000\r\n")
						->pools[0];

	(void)state;
	assert_int_equal(pool->timeouts.response_ms, 10000);
	assert_int_equal(pool->check.rules.interval_ms, 60000);
	assert_int_equal(pool->backends[0].weight, 1); // Bal.rs' round_robin knows no weights
	world_done(&world);
}

// Its six algorithms, long and short; weights count where the name says so, as there.
static void its_algorithms(void **state)
{
	static const struct {
		const char *names[2];
		enum conf_algorithm algorithm;
		u32 weight;
	} rows[] = {
		{{"round_robin", "rr"}, CONF_ROUND_ROBIN, 1},
		{{"weighted_round_robin", "wrr"}, CONF_ROUND_ROBIN, 20},
		{{"least_connections", "lc"}, CONF_LEAST_CONNECTIONS, 1},
		{{"weighted_least_connections", "wlc"}, CONF_LEAST_CONNECTIONS, 20},
		{{"least_response_time", "lrt"}, CONF_LEAST_RESPONSE_TIME, 1},
		{{"weighted_least_response_time", "wlrt"}, CONF_LEAST_RESPONSE_TIME, 20},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		struct world world;
		const struct conf_pool *pool;
		char text[512];

		snprintf(text, sizeof(text),
			"load balancer: http://127.0.0.1:8000\n!!  load balancer address\n\n"
			"algorithm: %s\n!!  load balancer algorithm\n\n"
			"servers: http://127.0.0.1:3001, http://127.0.0.1:3002\n\n"
			"weights: 20, 30\n!!  server weights\n\n"
			"max connections: 1000, 900\n\ntimeout: 10\n\n"
			"health check interval: 10\n",
			rows[i / 2].names[i % 2]);
		pool = &load(&world, text)->pools[0];
		assert_int_equal(world.errs.warning_count, 0);
		assert_int_equal(pool->algorithm, rows[i / 2].algorithm);
		assert_int_equal(pool->backends[0].weight, rows[i / 2].weight);
		world_done(&world);
	}
	refuses("load balancer: http://127.0.0.1:8000\nservers: a:1\nalgorithm: quickest",
		"t:3:12: error[E016]: unknown algorithm 'quickest' (pools.default.algorithm): "
		"round_robin, random, weighted_random, power_of_two, least_connections, "
		"least_response_time, ip_hash, consistent_hash, maglev, rendezvous, first, "
		"prequal; "
		"also rr, weighted_round_robin, wrr, lc");
}

static void tells_what_is_wrong_with_it(void **state)
{
	(void)state;
	warns("load balancer: http://127.0.0.1:8000\nservers: http://127.0.0.1:1\n"
	      "algorithm: wrr\nweights: 20, 30, 10",
		"t:4:14: warning[W115]: 'weights' has more entries than there are servers");
	refuses(BALRS "helth interval: 3",
		"t:22:1: error[E012]: unknown key 'helth interval' in a");
	refuses(BALRS "max conections: 3", "did you mean 'max connections'?");
	refuses(BALRS "timeout: 3", "t:22:1: error[E004]: this key is given twice");
	refuses(BALRS "what is this", "t:22:1: error[E002]: a line is 'key: value'");
	refuses(BALRS "health check interval: soon",
		"t:22:24: error[E019]: 'soon' is not a duration "
		"(pools.default.health_check.interval)");
	refuses("load balancer: http://127.0.0.1:8000\nservers: 127.0.0.1:1, 127.0.0.1\n",
		"t:2:23: error[E019]: '127.0.0.1' is no backend address");
	refuses("load balancer: http://127.0.0.1:8000\nservers: a:1\nalgorithm: fastest",
		"t:3:12: error[E016]: unknown algorithm 'fastest'");
	refuses("load balancer: http://127.0.0.1:8000", "needs 'backends'");
	refuses("load balancer: http://127.0.0.1:8000\nservers: a:1\ntimeout: \x01", "error[E002]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_have_defaults),
		cmocka_unit_test(a_section_means_http_and_a_word_is_a_type),
		cmocka_unit_test(a_section_for_connections_means_no_page),
		cmocka_unit_test(a_setting_on_top_keeps_the_type),
		cmocka_unit_test(every_key_of_a_check),
		cmocka_unit_test(refuses_wrong_checks),
		cmocka_unit_test(warns_of_checks_that_overlap),
		cmocka_unit_test(breakers_have_defaults),
		cmocka_unit_test(every_key_of_breaker_and_outliers),
		cmocka_unit_test(breakers_of_seed_2),
		cmocka_unit_test(refuses_wrong_breakers),
		cmocka_unit_test(warns_of_what_can_never_happen),
		cmocka_unit_test(retries_have_defaults),
		cmocka_unit_test(every_key_of_retry_and_hedge),
		cmocka_unit_test(the_file_of_seed_2),
		cmocka_unit_test(refuses_wrong_retries),
		cmocka_unit_test(warns_of_retries_that_get_no_time),
		cmocka_unit_test(limits_have_defaults),
		cmocka_unit_test(every_key_of_limits),
		cmocka_unit_test(limits_of_seed_2),
		cmocka_unit_test(refuses_wrong_limits),
		cmocka_unit_test(every_advice_has_its_place),
		cmocka_unit_test(a_deadline_is_told_once),
		cmocka_unit_test(reads_the_file_of_seed_1),
		cmocka_unit_test(its_older_spelling_counts_milliseconds),
		cmocka_unit_test(its_algorithms),
		cmocka_unit_test(tells_what_is_wrong_with_it),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
