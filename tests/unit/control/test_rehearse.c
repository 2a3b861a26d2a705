// SPDX-License-Identifier: Apache-2.0
// The tests that stand in a configuration: which hold, and what is said about those that do not.
#include "control/rehearse.h"

#include <stdio.h>

#include "test.h"

static const char base[] =
	"frontends:\n"
	"  web:\n"
	"    bind: ['127.0.0.1:8080']\n"
	"    routes:\n"
	"      - {name: api, match: {host: a.example.com, path: '/v1/*'}, pool: app}\n"
	"      - {name: moved, match: {path: /old}, redirect: {to: /new}}\n"
	"      - {name: both, match: {path: /both}, split: {app: 1, named: 1, never: 0}}\n"
	"      - {name: posts, match: {methods: [POST], header: {x-kind: a}}, pool: app}\n"
	"    pool: named\n"
	"  closed: {bind: '127.0.0.1:8081', pool: app, deny: ['10.0.0.0/8']}\n"
	"  secure: {bind: '127.0.0.1:8082', pool: app, builtin: {health: {path: none}}}\n"
	"pools:\n"
	"  app: {backends: ['10.0.0.1:80', {address: 'https://10.0.0.2:80', weight: 3}]}\n"
	"  never: {backends: ['10.0.0.3:80']}\n"
	"  named: {backends: ['name.invalid:80']}\n"
	"tests:\n";

static void tries(const char *tests, u32 failures, const char *expected)
{
	struct arena arena;
	struct errs errs;
	char text[8192];
	const struct conf *conf;
	u32 failed;
	struct str said;

	arena_init(&arena, CONF_ARENA_BYTES_MAX);
	errs_init(&errs);
	snprintf(text, sizeof(text), "%s%s", base, tests);
	conf = conf_load_text("t", str_from(text), CONF_YAML, &arena, &errs);
	said = errs_format(&errs, &arena, false);
	if (!conf)
		fail_msg("%s", said.ptr);
	failed = rehearse(conf, &errs);
	errs_sort(&errs);
	said = errs_format(&errs, &arena, false);
	if (failed != failures || !strstr(said.ptr, expected))
		fail_msg("%u failures: %s", failed, said.ptr);
	errs_done(&errs);
	arena_done(&arena);
}

static void holds(const char *test)
{
	char text[1024];

	snprintf(text, sizeof(text), "  - {%s}\n", test);
	tries(text, 0, "");
}

static void fails(const char *test, const char *expected)
{
	char text[1024];

	snprintf(text, sizeof(text), "  - {%s}\n", test);
	tries(text, 1, expected);
}

static void what_holds_is_silent(void **state)
{
	(void)state;
	holds("request: GET http://a.example.com/v1/x, expect: {route: api, pool: app, status: "
	      "none, "
	      "headers: {host: a.example.com, X-Forwarded-For: 127.0.0.1, x-no: none}}");
	holds("request: GET /old, expect: {route: moved, status: 308, location: /new, pool: none}");
	holds("request: GET /, expect: {route: none, pool: named}"); // by a name without address
	holds("request: GET /lb-health, expect: {status: 200, pool: none}");
	holds("request: POST /p, headers: {X-Kind: a}, expect: {route: posts}");
	holds("request: GET /p, headers: {X-Kind: a}, expect: {route: none}");
	holds("request: GET /, from: 10.1.1.1, expect: {headers: {x-forwarded-for: 10.1.1.1}}");
	holds("request: GET http://a.example.com:8081/v1/x, expect: {route: none, pool: app}");
	holds("request: GET /lb-health, frontend: secure, expect: {pool: app}");
	holds("request: GET /../.., expect: {status: 400}");
}

static void of_a_split_any_share_holds(void **state)
{
	(void)state;
	holds("request: GET /both, expect: {pool: app}");
	holds("request: GET /both, expect: {pool: named}");
	fails("request: GET /both, expect: {pool: never}", "not never");
}

static void what_does_not_hold_is_said_with_its_place(void **state)
{
	(void)state;
	fails("name: one, request: GET http://b.example.com/v1/x, expect: {route: api}",
		"t:17:73: error[E032]: test 'one' fails: the route is none, not api\n");
	fails("request: GET http://b.example.com/v1/x, expect: {route: api}",
		"api wants the host a.example.com, and this is b.example.com");
	fails("request: PUT /p, headers: {x-kind: b}, expect: {route: posts}",
		"posts wants the method POST, and this is PUT");
	fails("request: POST /p, expect: {route: posts}",
		"posts wants the field x-kind: a, and this is nothing");
	fails("request: GET /old, expect: {status: 301}", "the status is 308, not 301");
	fails("request: GET /old, expect: {location: /old}", "the location is /new, not /old");
	fails("request: GET /, expect: {headers: {host: here}}",
		"the backend's field host is localhost, not here");
	fails("request: GET /old, expect: {headers: {host: here}}", "nothing is sent to a backend");
	fails("request: GET /, frontend: nowhere, expect: {pool: app}",
		"test 'tests[0]' fails: there is no frontend 'nowhere'");
	fails("request: GET /, frontend: closed, from: 10.1.1.1, expect: {pool: app}",
		"its client may not connect, by frontends.closed.deny");
}

static void all_that_fails_is_said(void **state)
{
	(void)state;
	tries("  - {request: GET /old, expect: {status: 301, route: api, pool: app}}\n"
	      "  - {request: GET /, expect: {route: none}}\n"
	      "  - {request: GET /, expect: {route: api}}\n",
		4, "4 errors.");
}

static void without_tests_nothing_is_done(void **state)
{
	(void)state;
	tries("  []\n", 0, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_holds_is_silent),
		cmocka_unit_test(of_a_split_any_share_holds),
		cmocka_unit_test(what_does_not_hold_is_said_with_its_place),
		cmocka_unit_test(all_that_fails_is_said),
		cmocka_unit_test(without_tests_nothing_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
