// SPDX-License-Identifier: Apache-2.0
// Settings about TLS that look good and do not do what was meant.
#include "conf/subject.h"
#include "test.h"

#define PAIR	  "certificates: [{cert: /c/site.crt, key: {file: /c/site.key}}]\n"
#define POOL	  "pools: {app: {backends: [127.0.0.1:81]}}\n"
#define WEB(keys) "frontends: {web: {bind: \":443\", pool: app, " keys "}}\n"
#define ALONE	  "frontends: {web: {bind: \":80\", pool: app}}\n"
#define APP(keys) ALONE "pools: {app: {" keys "}}\n"

static struct world world;

// All that is found, which is so many errors and warnings and has these words; else nothing.
static void finds(const char *text, u32 errors, u32 warnings, const char *words)
{
	world_init(&world);
	if (!world_load(&world, "/c/t.yaml", text, CONF_YAML) != (errors > 0))
		fail_msg("%s: %s\n%s", errors ? "accepted" : "refused", text, world_errors(&world));
	if (world.errs.error_count != errors || world.errs.warning_count != warnings)
		fail_msg("%s\n%s", text, world_errors(&world));
	if (words)
		assert_contains(world_errors(&world), words);
	world_done(&world);
}

static void in_the_clear(void **state)
{
	(void)state;
	finds(APP("backends: [\"http://a:1\", \"h2c://b:1\"], tls: {ca: x}"), 0, 1,
		"warning[W127]: pools.app.tls does nothing: all backends are spoken to in the "
		"clear, "
		"as http://a:1");
	finds(APP("backends: [\"http://a:1\", b:1], tls: true"), 0, 1,
		"warning[W127]: backend a:1 is spoken to in the clear, though pool 'app' has "
		"'tls'");
	finds(APP("backends: [\"grpc://a:1\", b:1], tls: true"), 0, 1, "h2:// in front of it");
	finds(APP("backends: [{address: \"http://a:1\", tls: false}, b:1], tls: true"), 0, 0, NULL);
	finds(APP("backends: [{address: a:1, tls: false}, b:1], tls: true"), 0, 0, NULL);
	finds(APP("backends: [\"http://a:1\"]"), 0, 0, NULL);
	finds(APP("backends: [a:1], tls: true"), 0, 0, NULL);
	// A provider's rows may be others.
	finds(APP("backends: [\"http://a:1\"], tls: true") "providers: [{pool: app, path: x.db, "
							   "type: sqlite}]\n",
		0, 1, "W127");
}

static void two_opinions(void **state)
{
	(void)state;
	finds(APP("backends: [{address: \"http://a:1\", tls: true}]"), 1, 0,
		"error[E023]: backend a:1 of pool 'app' is http://, which is without TLS");
	finds(APP("backends: [{address: \"https://a:1\", tls: false}]"), 1, 0,
		"is https://, which is with TLS, and its 'tls' says the opposite");
	finds(APP("backends: [{address: \"https://a:1\", tls: {verify: false}}]"), 0, 0, NULL);
}

#define PLAIN "plain: {bind: \":80\", redirect_https: true"
#define TWO(plain, web) \
	PAIR POOL "frontends: {" PLAIN plain "}, web: {bind: \":8443\", pool: app, " web "}}\n"

static void redirects(void **state)
{
	(void)state;
	finds(TWO("", "tls: true"), 0, 0, NULL);
	finds(TWO(", pool: app", "tls: true"), 1, 0,
		"error[E023]: frontends.plain sends every request to https://, so its 'pool'");
	finds(TWO(", routes: [{pool: app}]", "tls: true"), 1, 0, "so its 'routes'");
	finds(TWO("", "protocol: tls_passthrough"), 0, 0, NULL);
	finds(TWO("", "tls: false"), 0, 1,
		"warning[W128]: frontends.plain sends every request to https:// at port 443, where "
		"no frontend listens with TLS");
	finds(TWO("", "protocol: tcp, tls: true"), 0, 1, "W128"); // which is no HTTP
}

static void where_redirects_lead(void **state)
{
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "/c/t.yaml",
		PAIR POOL "frontends: {" PLAIN
			  "}, bytes: {bind: \":70\", pool: app, protocol: tcp, "
			  "tls: true}, web: {bind: \":8443\", pool: app, tls: true}}\n",
		CONF_YAML);
	assert_non_null(conf);
	assert_int_equal(conf->frontends[0].redirect_port, 8443);
	world_done(&world);
}

#define NAME(text) APP("backends: [a:1], tls: {server_name: \"" text "\"}")

static void server_names(void **state)
{
	static const struct {
		const char *name, *words;
	} bad[] = {
		{NAME("a.example:443"), "without scheme, port and path"},
		{NAME("a.example:443"), "did you mean 'a.example'?"},
		{NAME("https://a.example/x"), "did you mean 'a.example'?"},
		{NAME("a.example/"), "did you mean 'a.example'?"},
		{NAME("[::1]:443"), "did you mean '::1'?"},
		{NAME("a.example."), "did you mean 'a.example'?"},
		{NAME("*.example"), "is no name of a server"},
		{NAME("user@a.example"), "is no name of a server"},
		{NAME("a b"), "is no name of a server"},
		{NAME("https://"), "is no name of a server"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		finds(bad[i].name, 1, 0, bad[i].words);
	finds(NAME("a.example"), 0, 0, NULL);
	finds(NAME("my_host-1"), 0, 0, NULL);
	finds(NAME("::1"), 0, 0, NULL);
	finds(NAME("10.0.0.1"), 0, 0, NULL);
}

static void subjects_are_rewritten(void **state)
{
	static const struct {
		const char *from, *to; // "": as it is
	} pairs[] = {
		{"/CN=x/O=y", "O=y,CN=x"},
		{"/C=DE/O=Ex, Ltd/CN=a/b", "CN=a/b,O=Ex\\, Ltd,C=DE"},
		{"/CN=x", "CN=x"},
		{"subject=/CN=x", "CN=x"},
		{"subject=CN = x", "CN=x"},
		{"CN = x", "CN=x"},
		{"C = DE, O = Ex, CN = x", "CN=x,O=Ex,C=DE"},
		{"C = DE, O = \"Ex, Ltd \\\"a\\\"\", CN = a", "CN=a,O=Ex\\, Ltd \\\"a\\\",C=DE"},
		{"C=DE, O=Ex, CN=x", "CN=x,O=Ex,C=DE"},
		{"CN=x, O=Ex, C=DE", "CN=x,O=Ex,C=DE"}, // of other tools
		{"CN=x,O=Ex,C=DE", ""},
		{"CN=Doe\\, John,O=Ex", ""},
		{"CN=a = b", ""},
		{"CN=a/O=b", ""}, // a slash is nothing special
		{"/x", ""},
		{"/", ""},
		{"", ""},
		{"CN", ""},
	};
	struct arena arena;

	(void)state;
	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct str text = subject_rewrite(&arena, str_from(pairs[i].from));

		if (!str_eq(text, str_from(pairs[i].to)))
			fail_msg("%s: %.*s", pairs[i].from, (int)text.len, text.ptr);
	}
	arena_done(&arena);
}

#define SUBJECT(text)                                                                          \
	PAIR POOL WEB("tls: {client_certificates: {mode: optional, ca: x}}, routes: [{match: " \
		      "{client_cert: {subject: \"" text "\"}}, pool: app}]")

static void subjects_of_another_style(void **state)
{
	(void)state;
	finds(SUBJECT("/O=y/CN=x"), 1, 0, "'/O=y/CN=x' is no subject");
	finds(SUBJECT("/O=y/CN=x"), 1, 0, "did you mean 'CN=x,O=y'?");
	finds(SUBJECT("CN=x,O=y"), 0, 0, NULL);
}

static void http2_refused_and_offered(void **state)
{
	(void)state;
	finds(PAIR POOL WEB("http: {h2: false}, tls: {alpn: [h2]}"), 1, 0,
		"error[E023]: frontends.web.tls.alpn offers h2, and http.h2 is false");
	finds(PAIR POOL WEB("http: {h2: false}, tls: {alpn: [http/1.1]}"), 0, 0, NULL);
	finds(PAIR POOL WEB("http: {h2: false}, tls: true"), 0, 0, NULL);
	finds(PAIR POOL WEB("tls: {alpn: [h2]}"), 0, 0, NULL);
}

static void pages_that_nobody_asks_for(void **state)
{
	(void)state;
	finds(APP("protocol: h2, backends: [a:1], health_check: {type: grpc, path: /x}"), 1, 0,
		"error[E023]: pools.app.health_check has 'path', but a check of type grpc asks "
		"for no page");
	finds(APP("protocol: h2, backends: [a:1], health_check: {type: grpc, expect: {body: x}}"),
		1, 0, "has 'expect'");
	finds(APP("protocol: h2, backends: [{address: a:1, health_check: {path: /x}}], "
		  "health_check: {type: grpc}"),
		1, 0, "backend a:1 has a health_check.path of its own");
	finds(APP("protocol: h2, backends: [a:1], health_check: {type: grpc, service: x}"), 0, 0,
		NULL);
	finds(APP("backends: [a:1], health_check: {type: tcp, path: /x}"), 0, 1, "warning[W115]");
	finds(APP("backends: [a:1], health_check: {type: http, path: /x}"), 0, 0, NULL);
	finds(APP("backends: [a:1], health_check: {type: none, path: /x}"), 0, 0, NULL);
}

// What weir writes down of an effective configuration has all defaults in it, and is good as well:
// another process goes on with it.
static void kept(const char *text)
{
	struct conf *conf;
	struct str tree;

	world_init(&world);
	conf = world_load(&world, "/c/t.yaml", text, CONF_YAML);
	assert_non_null(conf);
	tree = conf_keep(conf, &world.arena);
	if (!conf_load_text("/c/t.json", tree, CONF_JSON, &world.arena, &world.errs))
		fail_msg("%s\n%s", text, world_errors(&world));
	world_done(&world);
}

static void what_is_kept_is_good(void **state)
{
	(void)state;
	kept(APP("protocol: h2, backends: [a:1], health_check: grpc"));
	kept(APP("backends: [a:1], health_check: tcp"));
	kept(PAIR POOL WEB("http: {h2: false}, tls: true"));
	kept(APP("backends: [\"http://a:1\", \"https://b:1\", \"h2c://c:1\", {address: d:1, tls: "
		 "false}], tls: {server_name: x}"));
	kept(APP("backends: [\"http://a:1\"], tls: true"));
	kept(APP("backends: [{address: \"https://a:1\", tls: {verify: false}}]"));
	kept(TWO("", "tls: true"));
	kept(TWO("", "tls: false"));
	kept(SUBJECT("CN=x,O=y"));
}

// As an earlier version wrote them down.
static void defaults_that_are_written_out(void **state)
{
	(void)state;
	finds(APP("protocol: h2, backends: [a:1], health_check: {type: grpc, path: /health, "
		  "method: "
		  "GET, expect: {status: [200-299]}}"),
		0, 0, NULL);
	finds(PAIR POOL WEB("http: {h2: false}, tls: {alpn: [h2, http/1.1]}"), 0, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_the_clear),
		cmocka_unit_test(two_opinions),
		cmocka_unit_test(redirects),
		cmocka_unit_test(where_redirects_lead),
		cmocka_unit_test(server_names),
		cmocka_unit_test(subjects_are_rewritten),
		cmocka_unit_test(subjects_of_another_style),
		cmocka_unit_test(http2_refused_and_offered),
		cmocka_unit_test(pages_that_nobody_asks_for),
		cmocka_unit_test(what_is_kept_is_good),
		cmocka_unit_test(defaults_that_are_written_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
