// SPDX-License-Identifier: Apache-2.0
// Everything about TLS that can be said, and what cannot.
#include "test.h"

#define PAIR	  "certificates: [{cert: /c/site.crt, key: {file: /c/site.key}}]\n"
#define POOL	  "pools: {app: {backends: [127.0.0.1:81]}}\n"
#define WEB(keys) "frontends: {web: {bind: \":443\", pool: app, " keys "}}\n"

static struct world world;

static const struct conf *load(const char *text)
{
	struct conf *conf;

	world_init(&world);
	conf = world_load(&world, "/c/t.yaml", text, CONF_YAML);
	if (!conf)
		fail_msg("%s\n%s", text, world_errors(&world));
	return conf;
}

static void refuses(const char *text, const char *words)
{
	world_init(&world);
	if (world_load(&world, "/c/t.yaml", text, CONF_YAML))
		fail_msg("accepted: %s", text);
	assert_contains(world_errors(&world), words);
	world_done(&world);
}

// As refuses, and nothing else is found.
static void refuses_once(const char *text, const char *words)
{
	world_init(&world);
	if (world_load(&world, "/c/t.yaml", text, CONF_YAML))
		fail_msg("accepted: %s", text);
	if (world.errs.error_count != 1)
		fail_msg("not one error:\n%s", world_errors(&world));
	assert_contains(world_errors(&world), words);
	world_done(&world);
}

static void frontends(void **state)
{
	const struct conf *conf = load(PAIR POOL WEB("tls: true"));
	const struct conf_frontend_tls *tls = &conf->frontends[0].tls;

	(void)state;
	assert_true(tls->enabled && tls->tickets);
	assert_int_equal(tls->certificate_count, 1);
	assert_str(tls->certificates[0].cert, "/c/site.crt");
	assert_str(tls->certificates[0].key, "/c/site.key");
	assert_int_equal(tls->min_version, CONF_TLS_1_2);
	assert_int_equal(tls->alpn_count, 2);
	assert_str(tls->alpn[0], "h2");
	assert_str(tls->alpn[1], "http/1.1");
	world_done(&world);
	conf = load(POOL WEB("tls: {certificates: [{cert: own.pem}], min_version: 1.3, hsts: 1h, "
			     "client_certificates: {mode: optional, ca: ca.pem}}"));
	tls = &conf->frontends[0].tls;
	assert_str(tls->certificates[0].cert, "/c/own.pem"); // beside the file that names it
	assert_int_equal(tls->certificates[0].key.len, 0);
	assert_int_equal(tls->min_version, CONF_TLS_1_3);
	assert_int_equal(tls->hsts_ms, 3600 * 1000);
	assert_int_equal(tls->client.mode, CONF_CLIENT_CERT_OPTIONAL);
	assert_str(tls->client.ca, "/c/ca.pem");
	world_done(&world);
	conf = load(PAIR POOL WEB("tls: false"));
	assert_false(conf->frontends[0].tls.enabled);
	world_done(&world);
	conf = load(PAIR POOL WEB("protocol: tcp, tls: {}"));
	assert_true(conf->frontends[0].tls.enabled);
	assert_int_equal(conf->frontends[0].tls.alpn_count, 0);
	world_done(&world);
}

static void frontends_that_cannot_be(void **state)
{
	(void)state;
	refuses(POOL WEB("tls: true"), "frontends.web.tls has no certificate to show");
	refuses(PAIR POOL WEB("tls: maybe"), "a map of keys, true or false");
	refuses(PAIR POOL WEB("tls: {min_version: 1.1}"), "min_version");
	refuses(PAIR POOL WEB("tls: {alpn: [spdy]}"), "no protocol that is known here: http/1.1");
	refuses(PAIR POOL WEB("tls: {client_certificates: {mode: required}}"), "needs 'ca'");
	refuses(PAIR POOL WEB("tls: {client_certificates: {ca: x}}"), "asks for none");
	refuses(PAIR POOL WEB("protocol: tcp, tls: {hsts: 1h}"), "'hsts' means nothing");
	refuses(PAIR POOL WEB("tls: true, redirect_https: true"), "lead in a circle");
	refuses("certificates: [{key: x}]\n" POOL WEB("tls: true"), "certificates[0] needs 'cert'");
	refuses("certificates: [{cert: \"-----BEGIN CERTIFICATE-----\"}]\n" POOL WEB("tls: true"),
		"names a file");
}

// What follows from a value that cannot be understood is not told of.
static void the_first_error_is_the_right_one(void **state)
{
	(void)state;
	refuses_once(PAIR POOL WEB(
			     "tls: {client_certificates: {mode: require, ca: x}}, routes: [{match: "
			     "{client_cert: {verified: true}}, pool: app}]"),
		"did you mean 'required'?");
	refuses_once(PAIR POOL WEB("tls: {client_certificates: {mode: optional, ca: [x]}}"),
		"client_certificates.ca");
	refuses_once(POOL WEB("tls: {certificates: [{cert: [x]}]}"), "certificates[0].cert");
	refuses_once("certificates: [{cert: [x]}]\n" POOL WEB("tls: true"), "certificates[0].cert");
	refuses_once("pools: {app: {backends: [127.0.0.1:81], tls: {cert: [x], key: y}}}\n" WEB(
			     "tls: false"),
		"tls.cert");
	refuses_once(POOL WEB("client_ip: {proxy_protocol: accept, trusted_proxies: 10.0.0.1/8}"),
		"did you mean the network '10.0.0.0/8' or the address '10.0.0.1'?");
	refuses(PAIR POOL WEB("tls: {client_certificates: {mode: none, ca: x}}"), "asks for none");
	refuses(POOL WEB("client_ip: {proxy_protocol: accept, trusted_proxies: []}"),
		"needs trusted_proxies");
	refuses(POOL WEB("tls: {certificates: []}"), "no certificate to show");
}

static void networks(void **state)
{
	(void)state;
	refuses_once(POOL WEB("allow: 10.0.0.0/33"), "an address of this kind has 32 bits, not 33");
	refuses_once(POOL WEB("allow: \"fd00::/129\""), "has 128 bits, not 129");
	refuses_once(POOL WEB("allow: 10.0.0.0/255.255.0.0"), "did you mean '10.0.0.0/16'?");
	refuses_once(POOL WEB("allow: 10.0.0.1/0"), "did you mean the address '10.0.0.1'?");
	refuses_once(POOL WEB("allow: \"fd00::1/64\""), "the network 'fd00::/64' or the address");
	refuses_once(POOL WEB("allow: 10.0.0.0/255.0.255.0"), "write 10.0.0.0/8, ::1,");
	refuses_once(POOL WEB("allow: 10.0.0.0/8/3"), "write 10.0.0.0/8, ::1,");
	refuses_once(POOL WEB("allow: 300.1.1.1"), "write 10.0.0.0/8, ::1,");
}

#define ASKS "tls: {client_certificates: {mode: optional, ca: x}}, "

static void routes_by_certificate(void **state)
{
	const struct conf *conf = load(
		PAIR POOL WEB(ASKS "routes: [{match: {client_cert: {subject: \"CN=a,O=b\", san: "
				   "[\"IP:2001:DB8::0001\", \"DNS:A.b\"]}}, pool: app}, {match: "
				   "{client_cert: {verified: false}}, pool: app}, {pool: app}]"));
	const struct conf_route *routes = conf->frontends[0].routes;

	(void)state;
	assert_int_equal(routes[0].match.cert.verified, CONF_CERT_VERIFIED);
	assert_int_equal(routes[0].match.cert.subjects.count, 1);
	assert_str(routes[0].match.cert.subjects.names[0], "CN=a,O=b");
	assert_int_equal(routes[0].match.cert.sans.count, 2);
	assert_str(routes[0].match.cert.sans.names[0], "IP:2001:db8::1");
	assert_str(routes[0].match.cert.sans.names[1], "DNS:A.b");
	assert_int_equal(routes[1].match.cert.verified, CONF_CERT_NONE);
	assert_int_equal(routes[2].match.cert.verified, CONF_CERT_NOT_ASKED);
	world_done(&world);
}

#define CERT(text) "routes: [{match: {client_cert: " text "}, pool: app}]"

static void routes_that_cannot_be(void **state)
{
	(void)state;
	refuses(PAIR POOL WEB("tls: true, " CERT("{verified: true}")),
		"'client_cert' means nothing in frontends.web.routes[0]: clients are asked for no");
	refuses(POOL WEB(CERT("{verified: true}")), "clients are asked for no certificate");
	refuses(PAIR POOL WEB(ASKS CERT("{verified: maybe}")), "'maybe' is neither true nor");
	refuses(PAIR POOL WEB(ASKS CERT("{subject: me}")), "'me' is no subject");
	refuses(PAIR POOL WEB(ASKS CERT("{san: me.example}")), "'me.example' is no alternative");
	refuses(PAIR POOL WEB(ASKS CERT("{san: \"DNS:\"}")), "is no alternative name");
	refuses(PAIR POOL WEB(ASKS CERT("{san: \"IP:a\"}")), "is no alternative name");
	refuses(PAIR POOL WEB(ASKS CERT("{san: [\"DNS:a,DNS:b\"]}")), "and no comma");
	refuses(PAIR POOL WEB(ASKS CERT("{verified: false, subject: CN=a}")),
		"wants names of a certificate, and that there is none");
	refuses(PAIR POOL WEB("tls: {client_certificates: {mode: required, ca: x}}, " CERT(
			"{verified: false}")),
		"takes nobody");
	refuses(POOL WEB("protocol: tls_passthrough, " CERT("{verified: true}")),
		"'client_cert' means nothing");
}

static void tls_inside_of_tls(void **state)
{
	(void)state;
	refuses("pools: {app: {backends: [\"https://127.0.0.1:81\"]}}\n" WEB(
			"protocol: tls_passthrough"),
		"frontends.web passes TLS on as it comes, but 127.0.0.1:81 of pool 'app' is spoken "
		"to by TLS, too");
	refuses("pools: {app: {backends: [127.0.0.1:81]}, b: {backends: [127.0.0.1:82], tls: "
		"{verify: false}}}\n" WEB("protocol: tls_passthrough, routes: [{match: {host: "
					  "a.test}, pool: b}]"),
		"of pool 'b' is spoken to by TLS, too");
}

// A name of so many bytes in all that begins so.
static const char *named(const char *key, const char *begin, u32 bytes)
{
	static char text[4096];
	char name[CONF_CERT_NAME_MAX + 2] = "";

	assert_true(bytes < sizeof(name));
	memset(name, 'a', bytes);
	memcpy(name, begin, strlen(begin));
	snprintf(text, sizeof(text), PAIR POOL WEB(ASKS CERT("{%s: \"%s\"}")), key, name);
	return text;
}

static void names_that_would_be_cut(void **state)
{
	static const struct {
		const char *key, *begin, *words;
	} kinds[] = {{"subject", "CN=", "is no subject"}, {"san", "DNS:", "no alternative name"}};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(kinds); i++) {
		(void)load(named(kinds[i].key, kinds[i].begin, CONF_CERT_NAME_MAX));
		world_done(&world);
		refuses(named(kinds[i].key, kinds[i].begin, CONF_CERT_NAME_MAX + 1),
			kinds[i].words);
	}
}

static void redirects(void **state)
{
	const struct conf *conf =
		load(PAIR POOL "frontends: {plain: {bind: \":80\", redirect_https: true}, "
			       "web: {bind: \":8443\", pool: app, tls: true}}");

	(void)state;
	assert_true(conf->frontends[0].redirect_https);
	assert_int_equal(conf->frontends[0].redirect_port, 8443);
	world_done(&world);
}

#define ALONE "frontends: {web: {bind: \":80\", pool: app}}\n"

static void backends(void **state)
{
	const struct conf *conf = load(
		ALONE "pools: {app: {backends: [\"https://a.example\", \"https://10.0.0.1:8443/\", "
		      "\"http://b.example\", c.example:1]}}");
	const struct conf_backend *all = conf->pools[0].backends;

	(void)state;
	assert_str(all[0].address, "a.example:443");
	assert_true(all[0].tls.enabled && all[0].tls.verify);
	assert_str(all[0].tls.server_name, "a.example");
	assert_str(all[1].address, "10.0.0.1:8443");
	assert_str(all[1].tls.server_name, "10.0.0.1");
	assert_false(all[2].tls.enabled);
	assert_false(all[3].tls.enabled);
	world_done(&world);
	conf = load(ALONE
		"pools: {app: {tls: {ca: ca.pem, server_name: in.example}, backends: [a.example:1, "
		"\"http://b.example\", {address: \"[::1]:1\", tls: {verify: false}}]}}");
	all = conf->pools[0].backends;
	assert_true(all[0].tls.enabled);
	assert_str(all[0].tls.server_name, "in.example");
	assert_str(all[0].tls.ca, "/c/ca.pem");
	assert_false(all[1].tls.enabled);
	assert_true(all[2].tls.enabled && !all[2].tls.verify);
	assert_str(all[2].tls.server_name, "::1");
	world_done(&world);
}

static void backends_by_http2(void **state)
{
	const struct conf *conf =
		load(ALONE "pools: {app: {backends: [\"h2://a.example\", \"grpcs://b.example:1/\", "
			   "\"h2c://c.example\", \"grpc://d.example:1\", \"https://e.example\"]}}");
	const struct conf_backend *all = conf->pools[0].backends;

	(void)state;
	assert_str(all[0].address, "a.example:443");
	assert_true(all[0].is_h2 && all[0].tls.enabled && all[0].tls.verify);
	assert_str(all[0].tls.server_name, "a.example");
	assert_str(all[1].address, "b.example:1");
	assert_true(all[1].is_h2 && all[1].tls.enabled);
	assert_str(all[2].address, "c.example:80");
	assert_true(all[2].is_h2 && !all[2].tls.enabled);
	assert_true(all[3].is_h2 && !all[3].tls.enabled);
	assert_true(!all[4].is_h2 && all[4].tls.enabled);
	world_done(&world);
	conf = load(ALONE "pools: {app: {protocol: h2, tls: {ca: ca.pem}, backends: [a.example:1, "
			  "\"http://b.example\"]}}");
	all = conf->pools[0].backends;
	assert_true(all[0].is_h2 && all[0].tls.enabled);
	assert_true(all[1].is_h2 && !all[1].tls.enabled);
	world_done(&world);
	refuses(ALONE "pools: {app: {backends: [\"h2://a:1/path\"]}}", "a backend has no path");
	refuses(ALONE "pools: {app: {protocol: h3, backends: [a:1]}}", "unknown protocol 'h3'");
}

static void backends_that_cannot_be(void **state)
{
	(void)state;
	refuses(ALONE "pools: {app: {backends: [a:1], tls: {key: x}}}",
		"no 'cert' that it belongs");
	refuses(ALONE "pools: {app: {backends: [a:1], tls: {verify: false, ca: x}}}",
		"verifies nothing");
	refuses(ALONE "pools: {app: {backends: [\"https://a:1/path\"]}}", "a backend has no path");
	refuses(ALONE "pools: {app: {backends: [a:1], tls: {server_name: \"a b\"}}}",
		"no name of a server");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frontends),
		cmocka_unit_test(frontends_that_cannot_be),
		cmocka_unit_test(the_first_error_is_the_right_one),
		cmocka_unit_test(networks),
		cmocka_unit_test(routes_by_certificate),
		cmocka_unit_test(routes_that_cannot_be),
		cmocka_unit_test(tls_inside_of_tls),
		cmocka_unit_test(names_that_would_be_cut),
		cmocka_unit_test(redirects),
		cmocka_unit_test(backends),
		cmocka_unit_test(backends_by_http2),
		cmocka_unit_test(backends_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
