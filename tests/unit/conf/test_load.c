// SPDX-License-Identifier: Apache-2.0
// Tree to struct: values, defaults, shorthands, the seeds' formats, and what is refused.
#include "test.h"

static void fills_in_defaults(void **state)
{
	struct world world;
	const struct conf *conf;
	const struct conf_frontend *frontend;
	const struct conf_pool *pool;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "t.yaml", "backends: [10.0.0.1:80, 10.0.0.2:80]", CONF_YAML);
	assert_non_null(conf);
	assert_int_equal(world.errs.warning_count, 0);
	assert_int_equal(conf->runtime.workers, 0);
	assert_int_equal(conf->runtime.io, CONF_IO_AUTO);
	assert_int_equal(conf->runtime.shutdown_timeout_ms, 30000);
	assert_int_equal(conf->log.level, CONF_LEVEL_NOTICE);
	assert_int_equal(conf->log.output.kind, CONF_OUTPUT_STDERR);
	assert_int_equal(conf->log.access.output.kind, CONF_OUTPUT_NONE);
	assert_int_equal(conf->frontend_count, 1);
	frontend = &conf->frontends[0];
	assert_str(frontend->name, "default");
	assert_str(frontend->binds[0].text, ":8080");
	assert_int_equal(frontend->binds[0].addr.port, 8080);
	assert_int_equal(frontend->protocol, CONF_HTTP);
	assert_int_equal(frontend->http.max_header_size, 65536);
	assert_true(frontend->http.max_body_size == UINT64_MAX);
	assert_str(frontend->headers.identify, "weir");
	assert_str(frontend->headers.request_id, "x-request-id");
	assert_int_equal(frontend->timeouts.client_header_ms, 10000);
	assert_int_equal(frontend->timeouts.client_idle_ms, 75000);
	assert_int_equal(frontend->timeouts.tunnel_idle_ms, 3600000);
	assert_int_equal(frontend->limits.connections, 0);
	assert_int_equal(frontend->pool, 0);
	pool = &conf->pools[0];
	assert_str(pool->name, "default");
	assert_int_equal(pool->backend_count, 2);
	assert_str(pool->backends[1].address, "10.0.0.2:80");
	assert_str(pool->backends[1].id, "10.0.0.2:80");
	assert_int_equal(pool->backends[1].weight, 1);
	assert_int_equal(pool->timeouts.connect_ms, 5000);
	assert_int_equal(pool->timeouts.response_ms, 60000);
	assert_int_equal(pool->limits.idle_connections, 10000);
	world_done(&world);
}

static const struct conf *load_file(struct world *world, const char *name)
{
	const char *path = arena_printf(&world->arena, SOURCE_ROOT "/tests/conf/%s", name);
	struct conf_input input = {.files = &path, .file_count = 1};
	const struct conf *conf = conf_load(&input, &world->arena, &world->errs);

	if (!conf)
		fail_msg("%s", world_errors(world));
	return conf;
}

static void check_full(const struct conf *conf)
{
	const struct conf_frontend *web = &conf->frontends[0], *db = &conf->frontends[1];

	assert_int_equal(conf->runtime.workers, 2);
	assert_int_equal(conf->runtime.io, CONF_IO_EPOLL);
	assert_true(conf->runtime.pin);
	assert_int_equal(conf->runtime.max_connections, 20000);
	assert_int_equal(conf->runtime.shutdown_timeout_ms, 90000);
	assert_int_equal(conf->log.level, CONF_LEVEL_INFO);
	assert_int_equal(conf->log.format, CONF_LOG_LOGFMT);
	assert_int_equal(conf->log.output.kind, CONF_OUTPUT_STDOUT);
	assert_int_equal(conf->log.access.format, CONF_ACCESS_COMBINED);
	assert_int_equal(conf->log.access.output.kind, CONF_OUTPUT_FILE);
	assert_str(conf->log.access.output.path, "/var/log/weir/access.log");
	assert_str(web->name, "web");
	assert_int_equal(web->bind_count, 3);
	assert_int_equal(web->binds[1].addr.family, ADDR_V6);
	assert_string_equal(web->binds[2].addr.path, "/run/weir/web.sock");
	assert_int_equal(web->http.max_header_size, 32768);
	assert_int_equal(web->http.max_body_size, 10000000);
	assert_int_equal(web->client_ip.trusted_proxy_count, 4);
	assert_int_equal(web->client_ip.trusted_proxies[0].bits, 8);
	assert_int_equal(web->client_ip.header, CONF_CLIENT_IP_X_REAL_IP);
	assert_str(web->headers.identify, "edge-1");
	assert_str(web->headers.request_id, "x-trace");
	assert_int_equal(web->limits.connections, 5000);
	assert_int_equal(web->pool, 0);
	assert_str(db->name, "db");
	assert_int_equal(db->protocol, CONF_TCP);
	assert_int_equal(db->timeouts.tunnel_idle_ms, 1800000);
	assert_str(conf->pools[db->pool].name, "pg");
}

static void check_full_routes(const struct conf *conf)
{
	const struct conf_route *routes = conf->frontends[0].routes;

	assert_int_equal(conf->frontends[0].route_count, 4);
	assert_str(routes[0].name, "api");
	assert_str(routes[0].match.host, "api.example.com");
	assert_false(routes[0].match.host_is_suffix);
	assert_str(routes[0].match.path, "/v1/");
	assert_true(routes[0].match.path_is_prefix);
	assert_int_equal(routes[0].match.method_count, 2);
	assert_str(routes[0].match.methods[1], "POST");
	assert_int_equal(routes[0].response_timeout_ms, 10000);
	assert_int_equal(routes[0].split_count, 1);
	assert_str(conf->pools[routes[0].splits[0].pool].name, "catalog");
	assert_int_equal(routes[1].redirect_status, 301);
	assert_int_equal(routes[1].redirect_to_count, 3);
	assert_int_equal(routes[1].redirect_to[0].kind, CONF_PIECE_TEXT);
	assert_str(routes[1].redirect_to[0].text, "/new/");
	assert_int_equal(routes[1].redirect_to[1].kind, CONF_PIECE_REST);
	assert_int_equal(routes[1].redirect_to[2].kind, CONF_PIECE_QUERY);
	assert_int_equal(routes[1].split_count, 0);
	assert_str(routes[1].name, "web.routes[1]");
	assert_str(routes[2].match.host, ".example.org");
	assert_true(routes[2].match.host_is_suffix);
	assert_str(routes[2].match.headers[0].name, "x-canary");
	assert_str(routes[2].match.headers[0].value, "1");
	assert_int_equal(routes[2].split_count, 2);
	assert_int_equal(routes[2].splits[0].weight, 95);
	assert_str(conf->pools[routes[2].splits[1].pool].name, "next");
	assert_str(conf->pools[routes[3].splits[0].pool].name, "web-3");
}

static void check_full_pools(const struct conf *conf)
{
	const struct conf_pool *app = &conf->pools[0], *catalog = &conf->pools[1];

	assert_int_equal(app->backend_count, 5);
	assert_str(app->backends[0].id, "app-1");
	assert_int_equal(app->backends[0].weight, 2);
	assert_int_equal(app->backends[1].addr.family, ADDR_NONE);
	assert_str(app->backends[1].host, "app.internal");
	assert_int_equal(app->backends[1].port, 8001);
	assert_str(app->backends[3].address, "app.internal:8003");
	assert_int_equal(app->timeouts.response_idle_ms, 15000);
	assert_int_equal(app->limits.idle_connections, 16);
	assert_int_equal(catalog->backends[0].addr.family, ADDR_UNIX);
	assert_string_equal(catalog->backends[0].addr.path, "/run/api.sock");
	assert_str(catalog->backends[1].address, "10.0.0.21:80");
	assert_int_equal(conf->pools[2].backends[0].addr.family, ADDR_V6);
}

static void gives_the_same_from_every_syntax(void **state)
{
	static const char *const names[] = {"good/full.yaml", "good/full.toml", "good/full.json"};
	struct str shown[3];
	struct world worlds[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct conf *conf;

		world_init(&worlds[i]);
		conf = load_file(&worlds[i], names[i]);
		assert_contains(world_errors(&worlds[i]), "has no secret");
		assert_int_equal(worlds[i].errs.warning_count, 1);
		check_full(conf);
		check_full_routes(conf);
		check_full_pools(conf);
		shown[i] = conf_show(conf, CONF_YAML, false, &worlds[i].arena);
		assert_string_equal(shown[i].ptr, shown[0].ptr);
	}
	for (size_t i = 0; i < 3; i++)
		world_done(&worlds[i]);
}

static void accepts_the_examples(void **state)
{
	static const char *const names[] = {"../../etc/minimal.yaml", "../../etc/web.yaml",
		"../../etc/tcp.toml", "../../etc/canary.json", "../../etc/resilient.yaml",
		"../../etc/sticky.yaml"};
	static const u32 sticky = 5; // whose secret is for its reader to make

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct world world;

		world_init(&world);
		assert_non_null(load_file(&world, names[i]));
		assert_int_equal(world.errs.warning_count, i == sticky);
		world_done(&world);
	}
}

static void reads_the_format_of_seed_0(void **state)
{
	static const char text[] = "[frontend]\nbind_on = \"127.0.0.1:7070\"\n\n"
				   "[[frontend.backend]]\nforward_to = \"127.0.0.1:8080\"\n\n"
				   "[[frontend.backend]]\nforward_to = \"127.0.0.1:9090\"\n";
	static const char many[] = "[tcp_frontend.a]\nbind_on = \"127.0.0.1:1\"\n"
				   "[[tcp_frontend.a.backend]]\nforward_to = \"127.0.0.1:2\"\n"
				   "[tcp_frontend.b]\nbind_on = \"127.0.0.1:3\"\n"
				   "[[tcp_frontend.b.backend]]\nforward_to = \"127.0.0.1:4\"\n";
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "mini-balancer.local.toml", text, CONF_TOML);
	assert_non_null(conf);
	assert_int_equal(world.errs.warning_count, 0);
	assert_int_equal(conf->frontends[0].protocol, CONF_TCP);
	assert_int_equal(conf->frontends[0].binds[0].addr.port, 7070);
	assert_int_equal(conf->pools[0].backend_count, 2);
	assert_str(conf->pools[0].backends[1].address, "127.0.0.1:9090");
	assert_int_equal(conf->pools[0].backends[1].place.line, 7);
	conf = world_load(&world, "many.toml", many, CONF_TOML);
	assert_non_null(conf);
	assert_int_equal(conf->frontend_count, 2);
	assert_int_equal(conf->frontends[1].protocol, CONF_TCP);
	assert_str(conf->pools[conf->frontends[1].pool].backends[0].address, "127.0.0.1:4");
	world_done(&world);
}

static void reads_the_format_of_seed_2(void **state)
{
	static const char text[] =
		"load_balancer:\n  algorithm: round_robin\n"
		"backends:\n  - id: backend-1\n    url: http://localhost:8001\n    weight: 3\n"
		"  - {id: backend-2, url: \"http://127.0.0.1:8002/\"}\n";
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "config.yaml", text, CONF_YAML);
	assert_non_null(conf);
	assert_str(conf->pools[0].backends[0].id, "backend-1");
	assert_str(conf->pools[0].backends[0].host, "localhost");
	assert_int_equal(conf->pools[0].backends[0].weight, 3);
	assert_int_equal(conf->pools[0].backends[1].addr.port, 8002);
	assert_int_equal(conf->frontends[0].binds[0].addr.port, 8080);
	world_done(&world);
}

static void runs_from_flags(void **state)
{
	struct conf_flags none = {0};
	struct conf_flags some = {"9000", "192.168.1.10:8001,192.168.1.11:8001", "round_robin", 10};
	struct conf_flags bad = {"x", "192.168.1.10", "least_conections", 0};
	struct conf_input input = {0};
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = conf_from_flags(&none, &input, &world.arena, &world.errs);
	assert_non_null(conf);
	assert_int_equal(conf->frontends[0].binds[0].addr.port, 8080);
	assert_str(conf->frontends[0].headers.identify, "rust-load-balancer");
	assert_int_equal(conf->pools[0].backend_count, 3);
	assert_str(conf->pools[0].backends[2].address, "127.0.0.1:3003");
	assert_int_equal(conf->pools[0].check.type, CONF_CHECK_HTTP);
	assert_str(conf->pools[0].check.path, "/health");
	assert_int_equal(conf->pools[0].check.rules.interval_ms, 30000);
	conf = conf_from_flags(&some, &input, &world.arena, &world.errs);
	assert_non_null(conf);
	assert_int_equal(conf->pools[0].check.rules.interval_ms, 10000);
	assert_int_equal(conf->frontends[0].binds[0].addr.port, 9000);
	assert_int_equal(conf->pools[0].backend_count, 2);
	assert_null(conf_from_flags(&bad, &input, &world.arena, &world.errs));
	assert_contains(world_errors(&world), "flag --port: error[E019]");
	assert_contains(world_errors(&world), "flag --backends: error[E019]");
	assert_contains(world_errors(&world),
		"flag --algorithm: error[E016]: unknown algorithm 'least_conections'");
	world_done(&world);
}

static void complains(const char *text, const char *expected)
{
	struct world world;

	world_init(&world);
	if (world_load(&world, "t", text, CONF_YAML) && expected[0] != '!')
		fail_msg("accepted: %s", text);
	assert_contains(world_errors(&world), expected + (expected[0] == '!'));
	world_done(&world);
}

// Valid but for what is added behind it.
#define POOL  "pools: {app: {backends: [10.0.0.1:80]}}\n"
#define FRONT POOL "frontends: {web: {bind: \":80\", pool: app}}\n"
#define ROUTE POOL "frontends:\n  web:\n    bind: :80\n    routes:\n    - "

static void refuses_wrong_keys(void **state)
{
	(void)state;
	complains(FRONT "runtim: {}", "t:3:1: error[E012]: unknown key 'runtim' at the top level");
	complains(FRONT "runtim: {}", "did you mean 'runtime'?");
	complains(FRONT "log: {access: {formt: json}}",
		"t:3:16: error[E012]: unknown key 'formt' in log.access");
	complains(FRONT "workers: 3", "it belongs in 'runtime'");
	complains(POOL "frontends: {web: {bind: \":80\", pool: app, compress: {}}}",
		"t:2:43: error[E013]: 'compress' in frontends.web is not built yet (planned with ");

	complains(FRONT "helth_check: {}", "did you mean 'health_check'?");
	complains("load_balancer: {algoritm: rr}\nbackends: a:1", "did you mean 'algorithm'?");
	complains("backends: [{adress: a:1}]", "did you mean 'address'?");
	complains("backends: [{adress: a:1}]", "E015]: pools.default.backends[0] needs 'address'");
	complains(POOL, "E015]: there is nothing to listen on");
	complains("frontends: {web: {pool: app}}\n" POOL, "frontends.web needs 'bind'");
	complains("frontends: {web: {bind: \":1\"}}\n" POOL, "frontends.web leads nowhere");
	complains("frontends: {web: {bind: \":1\"}}\n" POOL, "pool: app");
	complains("frontends: {\"a b\": {bind: \":1\", pool: app}}\n" POOL, "E019]: 'a b' cannot");
	complains(FRONT "version: 2", "this weir reads version 1");
	complains("backends: []", "E025");
	complains("backends:\n", "needs 'backends'");
	complains("frontends: {}\n" POOL, "E025");
}

static void refuses_wrong_values(void **state)
{
	(void)state;
	complains(FRONT "runtime: {workers: 0}", "E020]: 0 is too small for runtime.workers: 1 to");
	complains(FRONT "runtime: {workers: 257}", "E020]: 257 is too large");
	complains(FRONT "runtime: {workers: two}", "E014]: 'two' is not a number");
	complains(FRONT "runtime: {workers: [2]}", "takes a single value, not a list");
	complains(FRONT "runtime: {workers: }", "E014]: runtime.workers has no value");
	complains(FRONT "runtime: 3", "E014]: runtime is a map of keys, not a single value");
	complains(FRONT "runtime: {pin: maybe}", "is neither true nor false");
	complains(FRONT "runtime: {shutdown_timeout: 5}", "E018]: '5' has no unit "
							  "(runtime.shutdown_timeout): write 5s or "
							  "5ms");
	complains(FRONT "runtime: {shutdown_timeout: 5min}", "did you mean '5m'?");
	complains(FRONT "runtime: {shutdown_timeout: 2d}", "is too long");
	complains(FRONT "runtime: {io: kqueue}", "E016]: unknown io 'kqueue'");
	complains(FRONT "log: {output: stder}", "did you mean 'stderr'?");
	complains(FRONT "log: {output: none}", "E016]: 'none' is no output");
	complains(FRONT "log: {level: inof}", "did you mean 'info'?");
	complains("backends: 10.0.0.1", "a port is missing: '10.0.0.1:80'");
	complains("backends: \"::1\"", "a port is missing: '[::1]:80'");
	complains("backends: \":80\"", "is no backend address");
	complains("backends: http://a/b", "a backend has no path");
	complains("backends: 10.0.0.1:0", "nothing can listen on port 0");
	complains("backends: 10.0.0.1:70000", "is larger than 65535");
	complains("backends: a:1-70000", "E019");
	complains("backends: \"dns:a\"", "E019");
	complains("backends: [{address: a:1, weight: 1001}]", "too large");
	complains("backends: [a:1, a:1]", "E024");
	complains("algorithm: rond_robin\nbackends: a:1", "did you mean 'round_robin'?");
	complains("algorithm: best\nbackends: a:1", "E016]: unknown algorithm 'best'");
	complains("algorithm: magelv\nbackends: a:1", "did you mean 'maglev'?");
	complains("bind: 8080\nbackends: a:1", "did you mean ':8080'?");
	complains("bind: \"*:80\"\nbackends: a:1", "did you mean ':80'?");
	complains("bind: localhost:80\nbackends: a:1", "is a name: listening needs an address");
	complains("bind: [\":80\", \":80\"]\nbackends: a:1", "E024]: 0.0.0.0:80");
	complains("bind: 127.0.0.1:0\nbackends: a:1", "E020]: '127.0.0.1:0'");
	complains("bind: 127.0.0.1:0\nbackends: a:1", "did you mean '127.0.0.1:8080'?");
	complains("bind: \"[::1]:0\"\nbackends: a:1", "did you mean '[::1]:8080'?");
	complains("bind: \":0\"\nbackends: a:1", "did you mean ':8080'?");
}

static void refuses_wrong_frontends(void **state)
{
	static const char *const protocols[] = {"udp"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		snprintf(text, sizeof(text),
			POOL "frontends: {web: {bind: \":1\", pool: app, protocol: %s}}",
			protocols[i]);
		complains(text, "is not built yet");
	}
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, compress: br}}",
		"E013]: 'compress' in");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, protocol: tcp, http: {}}}",
		"E023]: 'http' means nothing in frontends.web");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, protocol: tcp, routes: []}}",
		"E023");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, protocol: tcp, timeouts: "
		       "{client_idle: 1s}}}",
		"E023");
	complains(POOL "frontends: {web: {bind: \":1\", pool: ap}}",
		"E031]: pool 'ap' is not defined (frontends.web.pool); pools: app");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, client_ip: {trusted_proxies: "
		       "[10.0.0.1/8]}}}",
		"E019]: '10.0.0.1/8' is no network");
	complains(POOL
		"frontends: {web: {bind: \":1\", pool: app, headers: {request_id: \"a b\"}}}",
		"is not the name of a header field");
	complains(POOL
		"frontends: {web: {bind: \":1\", pool: app, headers: {identify: \"a\\nb\"}}}",
		"E019");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, http: {max_header_size: 1KB}}}",
		"too small");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, http: {max_header_size: "
		       "65537B}}}",
		"too large");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, http: {max_body_size: "
		       "unlimted}}}",
		"did you mean 'unlimited'?");
}

static void refuses_wrong_routes(void **state)
{
	(void)state;
	complains(ROUTE "{match: {path: /a}}", "E015]: frontends.web.routes[0] leads nowhere");
	complains(ROUTE "{pool: app, split: {app: 1}}", "E023]: frontends.web.routes[0] has both");
	complains(ROUTE "{pool: app, match: {path: a}}", "a path starts with '/'");
	complains(ROUTE "{pool: app, match: {path: \"/a*\"}}", "'*' may only be the last segment");
	complains(ROUTE "{pool: app, match: {path: /../a}}", "without '.' and '..'");
	complains(ROUTE "{pool: app, match: {path: \"/a?b\"}}", "no query");
	complains(ROUTE "{pool: app, match: {host: \"a:80\"}}", "without a port");
	complains(ROUTE "{pool: app, match: {host: \"a*\"}}", "only stand in front");
	complains(ROUTE "{pool: app, match: {methods: [GTE]}}", "did you mean 'GET'?");
	complains(ROUTE "{pool: app, match: {header: [a]}}", "is a map of header fields");
	complains(ROUTE "{pool: app, match: {header: {\"a b\": c}}}", "E019");
	complains(ROUTE "{split: {ap: 1}}", "did you mean 'app'?");
	complains(ROUTE "{split: {app: 0}}", "all weights of");
	complains(ROUTE "{split: {app: -1}}", "is no weight");
	complains(ROUTE "{split: {}}", "E014");
	complains(ROUTE "{redirect: {to: /a, status: 200}}", "is no status of a redirect");
	complains(ROUTE "{redirect: {to: a}}", "is no target");
	complains(ROUTE "{redirect: \"/{rest}\"}", "E023]: {rest} in");
	complains(ROUTE "{redirect: \"/{rst}\", match: {path: \"/*\"}}", "did you mean 'rest'?");
	complains(ROUTE "{redirect: \"/{rest\", match: {path: \"/*\"}}", "a '{' has no '}'");
	complains(ROUTE "{redirect: {status: 301}}", "needs 'to'");
	complains(ROUTE "{pool: app, timeouts: {response: 0s}}", "too short");
}

static void warns(void **state)
{
	(void)state;
	complains(FRONT "x-a: 1\nalgorithm: rr\nbackends: a:1", "!W101]: pool 'default'");
	complains(ROUTE "{pool: app}\n    - {pool: app, match: {path: /a}}", "!W102]");
	complains(ROUTE
		"{pool: app, match: {path: \"/a/*\"}}\n    - {pool: app, match: {path: /a/b}}",
		"!W102]");
	complains("backends: [{address: a:1, weight: 0}]", "!W104]");
	complains(POOL "frontends: {web: {bind: \":1\", pool: app, client_ip: {trusted_proxies: "
		       "0.0.0.0/0}}}",
		"!W105]");
	complains("backends: 127.0.0.1:8080", "!W106]");
}

static void tells_all_errors_of_one_run(void **state)
{
	struct world world;

	(void)state;
	world_init(&world);
	assert_null(world_load(&world, "t",
		"runtime: {workers: x}\nlog: {levl: info}\nbind: 1\nbackends: [a, b:1]\nfoo: 1\n",
		CONF_YAML));
	assert_int_equal(world.errs.error_count, 5);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_in_defaults),
		cmocka_unit_test(gives_the_same_from_every_syntax),
		cmocka_unit_test(accepts_the_examples),
		cmocka_unit_test(reads_the_format_of_seed_0),
		cmocka_unit_test(reads_the_format_of_seed_2),
		cmocka_unit_test(runs_from_flags),
		cmocka_unit_test(refuses_wrong_keys),
		cmocka_unit_test(refuses_wrong_values),
		cmocka_unit_test(refuses_wrong_frontends),
		cmocka_unit_test(refuses_wrong_routes),
		cmocka_unit_test(warns),
		cmocka_unit_test(tells_all_errors_of_one_run),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
