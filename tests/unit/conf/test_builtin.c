// SPDX-License-Identifier: Apache-2.0
// Pages of the balancer itself: where they are, who may see them, what is refused and warned of.
#include "test_says.h"

#define PAGES(text) WEB("") "builtin: " text "}}"

static const struct conf_frontend *first(struct world *world, const char *text)
{
	return &load(world, text)->frontends[0];
}

static bool lets_in(const struct conf_page *page, const char *ip)
{
	struct addr addr;

	assert_int_equal(addr_parse_ip(str_from(ip), &addr), 0);
	return access_list_lets_in(&page->access, &addr);
}

static void they_are_there_by_default(void **state)
{
	struct world world;
	const struct conf_frontend *frontend = first(&world, ONE);

	(void)state;
	assert_str(frontend->builtin.health.path, "/lb-health");
	assert_str(frontend->builtin.stats.path, "/lb-stats");
	assert_true(lets_in(&frontend->builtin.health, "192.0.2.1"));
	assert_true(lets_in(&frontend->builtin.stats, "127.0.0.1"));
	assert_true(lets_in(&frontend->builtin.stats, "::1"));
	assert_true(lets_in(&frontend->builtin.stats, "10.9.8.7"));
	assert_true(lets_in(&frontend->builtin.stats, "fd00::1"));
	assert_false(lets_in(&frontend->builtin.stats, "192.0.2.1"));
	assert_false(lets_in(&frontend->builtin.stats, "2001:db8::1"));
	world_done(&world);
}

static void each_may_be_elsewhere(void **state)
{
	struct world world;
	const struct conf_frontend *frontend = first(
		&world, PAGES("{health: /ok, stats: {path: /x-y, allow: [10.0.0.0/8, loopback]}}"));

	(void)state;
	assert_str(frontend->builtin.health.path, "/ok");
	assert_str(frontend->builtin.stats.path, "/x-y");
	assert_true(lets_in(&frontend->builtin.stats, "127.0.0.1"));
	assert_false(lets_in(&frontend->builtin.stats, "192.168.0.1"));
	world_done(&world);
	frontend = first(&world, PAGES("{health: {allow: 192.0.2.1}, stats: {allow: all}}"));
	assert_str(frontend->builtin.health.path, "/lb-health");
	assert_true(lets_in(&frontend->builtin.health, "192.0.2.1"));
	assert_false(lets_in(&frontend->builtin.health, "127.0.0.1"));
	assert_true(lets_in(&frontend->builtin.stats, "192.0.2.1"));
	world_done(&world);
}

static void each_may_be_left_out(void **state)
{
	struct world world;
	const struct conf_frontend *frontend;

	(void)state;
	frontend = first(&world, PAGES("{health: none, stats: {path: none}}"));
	assert_int_equal(frontend->builtin.health.path.len, 0);
	assert_int_equal(frontend->builtin.stats.path.len, 0);
	world_done(&world);
	frontend = first(&world, "frontends: {t: {bind: \":1\", protocol: tcp, backends: a:1}}");
	assert_int_equal(frontend->builtin.health.path.len, 0);
	assert_int_equal(frontend->builtin.stats.path.len, 0);
	world_done(&world);
}

static void they_show(void **state)
{
	struct world world;
	const struct conf *conf = load(&world, PAGES("{health: none, stats: {allow: loopback}}"));
	const char *shown = conf_show(conf, CONF_YAML, false, &world.arena).ptr;
	struct world again;

	(void)state;
	assert_contains(shown, "    builtin:\n      health:\n        path: none\n        allow:\n"
			       "          - all\n      stats:\n        path: /lb-stats\n"
			       "        allow:\n          - loopback\n");
	world_init(&again);
	conf = world_load(&again, "t", shown, CONF_YAML);
	assert_string_equal(conf_show(conf, CONF_YAML, false, &again.arena).ptr, shown);
	world_done(&again);
	world_done(&world);
	conf = load(&world, "frontends: {t: {bind: \":1\", protocol: tcp, backends: a:1}}");
	shown = conf_show(conf, CONF_YAML, false, &world.arena).ptr;
	assert_null(strstr(shown, "builtin"));
	world_done(&world);
}

static void wrong_ones_are_refused(void **state)
{
	(void)state;
	refuses(PAGES("{health: lb-health}"), "error[E019]: 'lb-health' is no path for a page "
					      "(frontends.web.builtin.health.path): a path starts "
					      "with '/'; 'none' leaves the page out");
	refuses(PAGES("{health: \"/a b\"}"), "visible characters only");
	refuses(PAGES("{health: /a?b}"), "no query");
	refuses(PAGES("{health: /a/*}"), "not a pattern");
	refuses(PAGES("{health: /../a}"), "no '.' or '..' segments");
	refuses(PAGES("{health: /a/.}"), "no '.' or '..' segments");
	refuses(PAGES("{health: /%2e}"), "no percent-escapes");
	refuses(PAGES("{health: \"/\\u00e4\"}"), "visible characters only");
	refuses(PAGES("{health: []}"), "error[E014]: frontends.web.builtin.health is a map");
	refuses(PAGES("{health: {path: [/a]}}"), "error[E014]");
	refuses(PAGES("{health: /x, stats: /x}"),
		"error[E023]: frontends.web.builtin has two pages at /x");
	refuses(PAGES("{health: /lb-stats}"), "error[E023]");
	refuses(PAGES("{stats: {allow: []}}"), "error[E025]: frontends.web.builtin.stats.allow");
	refuses(PAGES("{stats: {allow: [all, 10.0.0.0/8]}}"), "error[E019]: 'all' is no network");
	refuses(PAGES("{stats: {allow: privat}}"), "did you mean 'private'?");
	refuses(PAGES("{stats: {deny: 10.0.0.0/8}}"), "error[E012]: unknown key 'deny'");
	refuses(PAGES("{status: /x}"), "did you mean 'stats'?");
	refuses("frontends: {t: {bind: \":1\", protocol: tcp, backends: a:1, builtin: {health: "
		"/x}}}",
		"error[E023]: 'builtin' means nothing in frontends.t, whose protocol is tcp");
}

#define ROUTE(match, builtin) \
	WEB("") "builtin: {" builtin "}, routes: [{match: {" match "}, pool: p}]}}"

static void routes_that_they_take_from(void **state)
{
	(void)state;
	warns(ROUTE("path: /lb-health", ""),
		"warning[W121]: web.routes[0] gets no GET and HEAD of /lb-health: "
		"frontends.web.builtin.health answers them");
	warns(ROUTE("path: /lb-health", ""), "frontends.web.builtin.health: none, or another path");
	warns(ROUTE("path: /lb-stats/*", ""), "W121");
	warns(ROUTE("path: /lb-stats, host: a.test, methods: [PUT, HEAD]", ""), "W121");
	warns(ROUTE("path: /x", "stats: /x"), "frontends.web.builtin.stats answers them");
	is_silent(ROUTE("path: /lb-health", "health: none"));
	is_silent(ROUTE("path: /lb-health, methods: POST", ""));
	is_silent(ROUTE("path: /*", ""));
	is_silent(ROUTE("path: /lb-healthy", ""));
	is_silent(ROUTE("host: a.test", ""));
	warns(PAGES("{stats: {path: none, allow: loopback}}"),
		"warning[W115]: frontends.web.builtin.stats.allow changes nothing");
	is_silent(PAGES("{stats: none}"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_there_by_default),
		cmocka_unit_test(each_may_be_elsewhere),
		cmocka_unit_test(each_may_be_left_out),
		cmocka_unit_test(they_show),
		cmocka_unit_test(wrong_ones_are_refused),
		cmocka_unit_test(routes_that_they_take_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
