// SPDX-License-Identifier: Apache-2.0
// Keys about how a backend is chosen: defaults, every key, what is refused and what is warned of.
#include "test_says.h"

// ---- Choosing -----------------------------------------------------------------------------------

static void every_name_of_an_algorithm(void **state)
{
	static const struct {
		const char *name;
		enum conf_algorithm algorithm;
	} rows[] = {
		{"round_robin", CONF_ROUND_ROBIN},
		{"rr", CONF_ROUND_ROBIN},
		{"weighted_round_robin", CONF_ROUND_ROBIN},
		{"wrr", CONF_ROUND_ROBIN},
		{"random", CONF_RANDOM},
		{"weighted_random", CONF_WEIGHTED_RANDOM},
		{"power_of_two", CONF_POWER_OF_TWO},
		{"least_connections", CONF_LEAST_CONNECTIONS},
		{"weighted_least_connections", CONF_LEAST_CONNECTIONS},
		{"lc", CONF_LEAST_CONNECTIONS},
		{"wlc", CONF_LEAST_CONNECTIONS},
		{"least_response_time", CONF_LEAST_RESPONSE_TIME},
		{"weighted_least_response_time", CONF_LEAST_RESPONSE_TIME},
		{"lrt", CONF_LEAST_RESPONSE_TIME},
		{"wlrt", CONF_LEAST_RESPONSE_TIME},
		{"ewma", CONF_LEAST_RESPONSE_TIME},
		{"ip_hash", CONF_IP_HASH},
		{"consistent_hash", CONF_CONSISTENT_HASH},
		{"maglev", CONF_MAGLEV},
		{"rendezvous", CONF_RENDEZVOUS},
		{"first", CONF_FIRST},
		{"prequal", CONF_PREQUAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world world;
		char text[128];

		snprintf(text, sizeof(text), "load_balancer: {algorithm: %s}\n" ONE, rows[i].name);
		assert_int_equal(load(&world, text)->pools[0].algorithm, rows[i].algorithm);
		world_done(&world);
	}
	refuses("algorithm: fastest\n" ONE, "error[E016]: unknown algorithm 'fastest' "
					    "(pools.default.algorithm): round_robin, random");
}

static void what_is_hashed(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;
	const struct conf_hash *hash;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	hash = &conf->pools[0].hash;
	assert_int_equal(conf->pools[0].algorithm, CONF_CONSISTENT_HASH);
	assert_int_equal(hash->part_count, 2);
	assert_int_equal(hash->parts[0].kind, CONF_HASH_CLIENT_IP);
	assert_int_equal(hash->parts[1].kind, CONF_HASH_HEADER);
	assert_str(hash->parts[1].name, "x-user");
	assert_int_equal(hash->ipv4_bits, 24);
	assert_int_equal(hash->ipv6_bits, 56);
	assert_int_equal(hash->load_percent, 125);
	assert_str(conf->pools[conf->pools[0].failover].name, "next");
	assert_int_equal(conf->pools[1].failover, -1);
	assert_true(conf->pools[0].backends[0].is_backup);
	assert_false(conf->pools[0].backends[1].is_backup);
	hash = &conf->pools[1].hash;
	assert_int_equal(hash->part_count, 1);
	assert_int_equal(hash->parts[0].kind, CONF_HASH_CLIENT_IP);
	assert_int_equal(hash->ipv4_bits, 32);
	assert_int_equal(hash->ipv6_bits, 64);
	assert_int_equal(hash->load_percent, 0);
	world_done(&world);
}

static void refuses_wrong_choices(void **state)
{
	(void)state;
	refuses(POOL("hash: {by: url}"), "error[E016]: 'url' is nothing to choose by");
	refuses(POOL("hash: {by: clientip}"), "did you mean 'client_ip'?");
	refuses(POOL("hash: {by: header}"), "error[E016]: 'header' is nothing to choose by");
	refuses(POOL("hash: {by: \"path:x\"}"), "error[E016]");
	refuses(POOL("hash: {by: \"header:a b\"}"), "error[E016]");
	refuses(POOL("hash: {by: []}"), "error[E025]");
	refuses(POOL("hash: {max_load: 100%}"), "error[E020]: 100% is too small");
	refuses(POOL("failover: other"), "error[E031]: pool 'other' is not defined");
	refuses("pools: {a: {backends: a:1, failover: b}, b: {backends: b:1, failover: a}}\n"
		"frontends: {w: {bind: \":1\", pool: a}}",
		"error[E023]: the failover of pool 'a' leads back to it");
	refuses("pools: {default: {backends: a:1, failover: default}}", "leads back to it");
	warns(POOL("hash: {by: path}"),
		"warning[W114]: pools.default.hash changes nothing: its algorithm does not hash");
	is_silent(POOL("algorithm: maglev, hash: {by: path}"));
}

// ---- Prequal ------------------------------------------------------------------------------------

static void prequal_has_defaults(void **state)
{
	struct world world;
	const struct conf_prequal *prequal = &load(&world, ONE)->pools[0].prequal;

	(void)state;
	assert_int_equal(prequal->load, CONF_PREQUAL_OWN);
	assert_str(prequal->header, "x-weir-load");
	assert_str(prequal->probe, "/load");
	assert_int_equal(prequal->options.probes, 3);
	assert_int_equal(prequal->options.pool_max, 16);
	assert_int_equal(prequal->options.age_max, NSEC_PER_SEC);
	assert_int_equal(prequal->options.removals, 1);
	assert_int_equal(prequal->options.reuse_max, 16);
	assert_int_equal(prequal->options.hot_percent, 84);
	assert_int_equal(prequal->choices, 5);
	world_done(&world);
}

static void every_key_of_prequal(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;
	const struct conf_prequal *prequal;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	prequal = &conf->pools[2].prequal;
	assert_int_equal(conf->pools[2].algorithm, CONF_PREQUAL);
	assert_int_equal(prequal->load, CONF_PREQUAL_PROBE);
	assert_str(prequal->probe, "/load?deep=1");
	assert_int_equal(prequal->options.probes, 4);
	assert_int_equal(prequal->options.pool_max, 12);
	assert_int_equal(prequal->options.age_max, 2 * NSEC_PER_SEC);
	assert_int_equal(prequal->options.removals, 2);
	assert_int_equal(prequal->options.reuse_max, 9);
	assert_int_equal(prequal->options.hot_percent, 70);
	assert_int_equal(prequal->choices, 7);
	world_done(&world);
	prequal = &load(&world, POOL("algorithm: prequal, prequal: {load: header, header: X-Busy}"))
			   ->pools[0]
			   .prequal;
	assert_int_equal(prequal->load, CONF_PREQUAL_HEADER);
	assert_str(prequal->header, "x-busy");
	world_done(&world);
}

static void refuses_wrong_prequal(void **state)
{
	(void)state;
	refuses(POOL("prequal: {load: heder}"), "did you mean 'header'?");
	refuses(POOL("prequal: {header: \"a b\"}"),
		"error[E019]: 'a b' is not the name of a header field "
		"(pools.default.prequal.header)");
	refuses(POOL("prequal: {probe: load}"), "error[E019]: 'load' is no path to check");
	refuses(POOL("prequal: {probes: 9}"), "error[E020]: 9 is too large");
	refuses(POOL("prequal: {pool: 17}"), "error[E020]: 17 is too large");
	refuses(POOL("prequal: {removals: 0}"), "error[E020]: 0 is too small");
	refuses(POOL("prequal: {hot: 100%}"), "error[E020]: 100% is too large");
	refuses(POOL("prequal: {age_max: 1}"), "error[E018]: '1' has no unit");
	refuses(POOL("prequal: {choises: 1}"), "did you mean 'choices'?");
}

static void warns_of_prequal_that_is_not_used(void **state)
{
	(void)state;
	warns(POOL("prequal: {choices: 4}"),
		"t:1:41: warning[W115]: pools.default.prequal changes nothing: its algorithm is "
		"round_robin");
	is_silent(POOL("algorithm: prequal, prequal: {choices: 4, hot: 80%}"));
	warns(POOL("algorithm: prequal, prequal: {probes: 4}"),
		"t:1:71: warning[W115]: pools.default.prequal.probes changes nothing: load is own");
	warns(POOL("algorithm: prequal, prequal: {load: header, probe: /x}"),
		"pools.default.prequal.probe changes nothing: load is header");
	warns(POOL("algorithm: prequal, prequal: {load: header, pool: 4}"),
		"pools.default.prequal.pool changes nothing: load is header");
	is_silent(POOL("algorithm: prequal, prequal: {load: header, header: x, age_max: 2s}"));
	is_silent(
		POOL("algorithm: prequal, prequal: {load: probe, probe: /x, header: x, probes: 4, "
		     "pool: 4}"));
	warns("pools: {p: {backends: a:1, algorithm: prequal, prequal: {load: header}}}\n"
	      "frontends: {db: {bind: \":1\", protocol: tcp, pool: p}}",
		"t:1:58: warning[W115]: pools.p.prequal.load changes nothing: frontends.db, whose "
		"protocol is tcp");
}

// ---- Advice -------------------------------------------------------------------------------------

static void advises_another_algorithm_for_many_backends(void **state)
{
	(void)state;
	warns("algorithm: rendezvous\nbackends: a:1-65",
		"t:1:1: warning[W120]: rendezvous looks at each of the 65 backends of pool "
		"'default'");
	warns("algorithm: rendezvous\nbackends: a:1-65",
		"above 64 backends maglev or consistent_hash");
	is_silent("algorithm: rendezvous\nbackends: a:1-64");
	is_silent("algorithm: maglev\nbackends: a:1-65");
}

static void warns_of_slow_starts_that_do_nothing(void **state)
{
	static const char *const none[] = {
		"ip_hash", "consistent_hash", "maglev", "rendezvous", "first"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		snprintf(text, sizeof(text),
			"pools: {default: {backends: [a:1, b:1], slow_start: "
			"20s, algorithm: %s}}",
			none[i]);
		warns(text, "t:1:41: warning[W115]: pools.default.slow_start changes nothing: "
			    "algorithm");
	}
	warns(POOL("slow_start: 20s, algorithm: maglev"), "algorithm maglev has no slow start");
	warns("algorithm: ip_hash\nbackends: [a:1, {address: b:1, slow_start: 2s}]",
		"t:2:17: warning[W115]: slow_start of backend 'b:1' changes nothing");
	is_silent(POOL("slow_start: 20s, algorithm: least_connections"));
	is_silent(POOL("slow_start: none, algorithm: maglev"));
}

static void warns_of_hashes_that_do_not_count(void **state)
{
	(void)state;
	warns(POOL("algorithm: ip_hash, hash: {by: path}"),
		"t:1:68: warning[W115]: pools.default.hash.by changes nothing: ip_hash takes the");
	warns(POOL("algorithm: ip_hash, hash: {max_load: 125%}"),
		"t:1:68: warning[W115]: pools.default.hash.max_load changes nothing");
	is_silent(POOL("algorithm: ip_hash, hash: {by: client_ip, ipv4_prefix: 24}"));
	warns("pools: {p: {backends: a:1, algorithm: maglev, hash: {by: [client_ip, path]}}}\n"
	      "frontends: {db: {bind: \":1\", protocol: tcp, pool: p}}",
		"t:1:54: warning[W115]: pools.p.hash.by changes nothing: frontends.db");
	is_silent("pools: {p: {backends: a:1, algorithm: maglev, hash: {by: client_ip}}}\n"
		  "frontends: {db: {bind: \":1\", protocol: tcp, pool: p}}");
}

// ---- Sticky cookies -----------------------------------------------------------------------------

#define SHOP(sticky)                                               \
	"pools: {p: {backends: [a:1, b:1], sticky: " sticky "}}\n" \
	"frontends: {web: {bind: \":1\", pool: p}}\n"

static const struct conf_sticky *load_sticky(struct world *world, const char *text)
{
	return &load(world, text)->pools[0].sticky;
}

static void sticky_is_off_by_default(void **state)
{
	struct world world;
	const struct conf_sticky *sticky = load_sticky(&world, ONE);

	(void)state;
	assert_false(sticky->enabled);
	assert_int_equal(sticky->name.len, 0);
	world_done(&world);
}

static void a_word_is_enough(void **state)
{
	static const char *const texts[] = {
		SHOP("cookie"), SHOP("{}"), SHOP("{by: cookie, ttl: session, secure: auto}")};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct world world;
		const struct conf_sticky *sticky = load_sticky(&world, texts[i]);

		assert_true(sticky->enabled);
		assert_int_equal(sticky->by, CONF_STICKY_COOKIE);
		assert_str(sticky->name, "weir");
		assert_int_equal(sticky->ttl_ms, 0);
		assert_int_equal(sticky->secret.len, 0);
		assert_str(sticky->path, "/");
		assert_false(sticky->secure);
		assert_int_equal(sticky->same_site, CONF_SAME_SITE_LAX);
		world_done(&world);
	}
	warns(SHOP("cookie"), "t:1:35: warning[W117]: the cookies of pool 'p' are bound to this "
			      "machine: pools.p.sticky has no secret");
}

static void every_key_of_sticky(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;
	const struct conf_sticky *sticky;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	sticky = &conf->pools[0].sticky;
	assert_true(sticky->enabled);
	assert_str(sticky->name, "site");
	assert_int_equal(sticky->ttl_ms, 3600000);
	assert_str(sticky->path, "/shop");
	assert_true(sticky->secure);
	assert_int_equal(sticky->same_site, CONF_SAME_SITE_STRICT);
	assert_false(conf->pools[1].sticky.enabled);
	world_done(&world);
}

static void refuses_wrong_sticky(void **state)
{
	(void)state;
	refuses(SHOP("header"), "error[E016]: unknown by 'header' (pools.p.sticky.by): cookie");
	refuses(SHOP(""), "error[E014]: pools.p.sticky has no value");
	refuses(SHOP("[cookie]"), "error[E014]: pools.p.sticky is a map of keys");
	refuses(SHOP("{name: \"a b\"}"), "error[E019]: 'a b' cannot be the name of a cookie");
	refuses(SHOP("{name: \"a;b\"}"), "error[E019]");
	refuses(SHOP("{name: \"\"}"), "error[E019]");
	refuses(SHOP("{ttl: 10ms}"), "error[E020]: 10ms is too short");
	refuses(SHOP("{ttl: 3600}"), "error[E018]: '3600' has no unit");
	refuses(SHOP("{path: shop}"), "error[E019]: 'shop' is no path of a cookie");
	refuses(SHOP("{path: \"/a;b\"}"), "error[E019]: '/a;b' is no path of a cookie");
	refuses(SHOP("{secure: maybe}"), "error[E014]: 'maybe' is neither true nor false nor auto");
	refuses(SHOP("{secure: ture}"), "did you mean 'true'?");
	refuses(SHOP("{same_site: laks}"), "did you mean 'lax'?");
	refuses(WEB("") "routes: [{pool: p, sticky: cookie}]}}",
		"error[E013]: 'sticky' in frontends.web.routes[0] is not built yet");
}

static void warns_of_cookies_that_browsers_refuse(void **state)
{
	(void)state;
	warns(SHOP("{same_site: none}"),
		"t:1:35: warning[W118]: browsers refuse the cookie of pool 'p': it has same_site "
		"none, but is not secure");
	warns(SHOP("{name: __Secure-a}"), "warning[W118]");
	warns(SHOP("{name: __Host-a}"), "warning[W118]");
	warns(SHOP("{name: __Host-a, secure: true, path: /b}"), "but its path is not /");
	says_not(SHOP("{same_site: none, secure: true}"), "W118");
	says_not(SHOP("{name: __Host-a, secure: true}"), "W118");
}

static void warns_of_cookies_of_tcp(void **state)
{
	(void)state;
	warns("pools: {p: {backends: a:1, sticky: cookie}}\n"
	      "frontends: {db: {bind: \":1\", protocol: tcp, pool: p}}",
		"t:1:28: warning[W115]: pools.p.sticky changes nothing: frontends.db, whose "
		"protocol is tcp, has no requests");
}

static void warns_of_what_learns_nothing_from_tcp(void **state)
{
	(void)state;
	warns("pools: {p: {backends: [a:1, b:1], hedge: {after: 95%}}}\n"
	      "frontends: {db: {bind: \":1\", protocol: tcp, pool: p}}",
		"t:1:35: warning[W115]: pools.p.hedge changes nothing: frontends.db, whose "
		"protocol is tcp, has no requests");
	warns("pools: {p: {backends: a:1, limits: {adaptive: {enabled: true, start: 30}}}}\n"
	      "frontends: {db: {bind: \":1\", protocol: tcp, pool: p}}",
		"t:1:37: warning[W115]: pools.p.limits.adaptive does not adapt, and stays at 30: "
		"frontends.db, whose protocol is tcp, has no requests");
	says_not("pools: {p: {backends: a:1, limits: {adaptive: {enabled: true}}}}\n"
		 "frontends: {db: {bind: \":1\", protocol: tcp, pool: p},\n"
		 "  web: {bind: \":2\", pool: p}}",
		"W115");
}

#define TWO(a, b, routes)                                                                 \
	"pools: {a: {backends: a:1, sticky: " a "}, b: {backends: b:1, sticky: " b "}}\n" \
	"frontends: {web: {bind: \":1\", " routes "}}\n"

static void warns_of_cookies_that_replace_each_other(void **state)
{
	static const char *const clash[] = {
		TWO("cookie", "cookie", "routes: [{split: {a: 9, b: 1}}]"),
		TWO("cookie", "cookie", "pool: b, routes: [{pool: a, match: {path: /a/*}}]"),
		TWO("{path: /a}", "cookie", "pool: b, routes: [{pool: a, match: {methods: GET}}]"),
		TWO("cookie", "cookie",
			"routes: [{pool: a, match: {host: x.y, path: /a}}, {pool: b, match: {host: "
			"\"*.y\"}}]"),
	};
	static const char *const peace[] = {
		TWO("cookie", "{name: other}", "routes: [{split: {a: 9, b: 1}}]"),
		TWO("{path: /a}", "{path: /b}",
			"pool: b, routes: [{pool: a, match: {path: /a/*}}]"),
		TWO("cookie", "cookie", "pool: b, routes: [{pool: a, match: {host: x.y}}]"),
		TWO("cookie", "cookie",
			"routes: [{pool: a, match: {host: x.y, path: /a}}, {pool: b, match: {host: "
			"y.y}}]"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(clash); i++)
		warns(clash[i],
			"warning[W119]: pools 'a' and 'b' serve the same site, and both call "
			"their cookie 'weir'");
	warns(clash[0], "t:1:64: warning[W119]");
	for (size_t i = 0; i < ARRAY_LEN(peace); i++)
		says_not(peace[i], "W119");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_of_an_algorithm),
		cmocka_unit_test(what_is_hashed),
		cmocka_unit_test(refuses_wrong_choices),
		cmocka_unit_test(prequal_has_defaults),
		cmocka_unit_test(every_key_of_prequal),
		cmocka_unit_test(refuses_wrong_prequal),
		cmocka_unit_test(warns_of_prequal_that_is_not_used),
		cmocka_unit_test(advises_another_algorithm_for_many_backends),
		cmocka_unit_test(warns_of_slow_starts_that_do_nothing),
		cmocka_unit_test(warns_of_hashes_that_do_not_count),
		cmocka_unit_test(sticky_is_off_by_default),
		cmocka_unit_test(a_word_is_enough),
		cmocka_unit_test(every_key_of_sticky),
		cmocka_unit_test(refuses_wrong_sticky),
		cmocka_unit_test(warns_of_cookies_that_browsers_refuse),
		cmocka_unit_test(warns_of_cookies_of_tcp),
		cmocka_unit_test(warns_of_what_learns_nothing_from_tcp),
		cmocka_unit_test(warns_of_cookies_that_replace_each_other),
	};

	return cmocka_run_group_tests_name("choice", tests, NULL, NULL);
}
