// SPDX-License-Identifier: Apache-2.0
// PROXY headers on both sides, and TLS that is passed through: what may be said of them.
#include "test_says.h"

#define POOLS	    "pools: {a: {backends: [10.0.0.1:80]}, b: {backends: [10.0.0.2:80]}}\n"
#define FRONT(text) POOLS "frontends: {web: {bind: \":1\", pool: a, " text "}}"
#define TLS(text)   POOLS "frontends: {web: {bind: \":1\", protocol: tls_passthrough, " text "}}"

static void accepts_headers(void **state)
{
	struct world world;
	const struct conf_frontend *frontend;

	(void)state;
	frontend = &load(&world, FRONT("client_ip: {proxy_protocol: accept, trusted_proxies: "
				       "[10.0.0.0/8]}"))
			    ->frontends[0];
	assert_int_equal(frontend->client_ip.proxy_protocol, CONF_PROXY_PROTOCOL_ACCEPT);
	assert_int_equal(frontend->client_ip.trusted_proxy_count, 1);
	world_done(&world);
	frontend = &load(&world, FRONT("protocol: tcp, timeouts: {client_header: 3s}, client_ip: "
				       "{proxy_protocol: accept, trusted_proxies: private}"))
			    ->frontends[0];
	assert_int_equal(frontend->client_ip.trusted_proxy_count, 6);
	assert_int_equal(frontend->timeouts.client_header_ms, 3000);
	world_done(&world);
	(void)load(&world, "pools: {a: {backends: [\"a:1\"]}}\nfrontends: {web: {pool: a, bind: "
			   "\"unix:/x\", client_ip: {proxy_protocol: accept}}}");
	world_done(&world);
}

static void refuses_headers(void **state)
{
	(void)state;
	refuses(FRONT("client_ip: {proxy_protocol: accept}"),
		"E015]: nobody may connect to frontends.web: proxy_protocol needs trusted_proxies");
	refuses(FRONT("client_ip: {proxy_protocol: acept}"), "did you mean 'accept'?");
	refuses(FRONT("protocol: tcp, client_ip: {trusted_proxies: [10.0.0.1]}"),
		"E023]: 'client_ip' means nothing in frontends.web");
	refuses(FRONT("protocol: tcp, client_ip: {proxy_protocol: accept, trusted_proxies: "
		      "[10.0.0.1], header: x-real-ip}"),
		"E023]: 'header' means nothing in frontends.web");
}

static void passes_tls(void **state)
{
	struct world world;
	const struct conf_frontend *frontend;
	const struct conf_match *match;

	(void)state;
	frontend = &load(
		&world, TLS("routes: [{match: {host: \"*.A.org\", alpn: [h2, http/1.1]}, pool: "
			    "a}, {match: {host: b.org}, split: {a: 1, b: 2}}]"))
			    ->frontends[0];
	assert_int_equal(frontend->protocol, CONF_TLS_PASSTHROUGH);
	assert_int_equal(frontend->pool, -1);
	match = &frontend->routes[0].match;
	assert_str(match->host, ".a.org");
	assert_int_equal(match->alpn_count, 2);
	assert_str(match->alpn[1], "http/1.1");
	assert_int_equal(frontend->routes[1].split_count, 2);
	world_done(&world);
	frontend =
		&load(&world, TLS("pool: a, routes: [{match: {alpn: h2}, pool: b}]"))->frontends[0];
	assert_int_equal(frontend->pool, 0);
	assert_int_equal(frontend->routes[0].match.alpn_count, 1);
	world_done(&world);
}

static void refuses_what_tls_does_not_show(void **state)
{
	(void)state;
	refuses(TLS("routes: [{match: {path: /a}, pool: a}]"),
		"E023]: 'path' means nothing in frontends.web.routes[0]");
	refuses(TLS("routes: [{match: {methods: GET}, pool: a}]"),
		"E023]: 'methods' means nothing");
	refuses(TLS("routes: [{match: {header: {a: b}}, pool: a}]"),
		"E023]: 'header' means nothing");
	refuses(TLS("routes: [{redirect: /x}]"), "E023]: 'redirect' means nothing");
	refuses(TLS("routes: [{pool: a, timeouts: {response: 1s}}]"),
		"E023]: 'timeouts' means nothing");
	refuses(TLS("routes: [{pool: a, retry: {max_attempts: 2}}]"),
		"E023]: 'retry' means nothing");
	refuses(TLS("pool: a, http: {max_body_size: 1MB}"),
		"E023]: 'http' means nothing in frontends.web, whose protocol is tls_passthrough");
	refuses(TLS("routes: [{match: {alpn: []}, pool: a}]"), "alpn");
	refuses(TLS("routes: [{match: {alpn: \"\"}, pool: a}]"), "alpn");
	warns(TLS("routes: [{match: {host: a.b}, pool: a}, {match: {host: a.b, alpn: h2}, pool: "
		  "b}]"),
		"can never be reached");
	refuses(FRONT("routes: [{match: {alpn: h2}, pool: b}]"), "E023]: 'alpn' means nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_headers),
		cmocka_unit_test(refuses_headers),
		cmocka_unit_test(passes_tls),
		cmocka_unit_test(refuses_what_tls_does_not_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
