// SPDX-License-Identifier: Apache-2.0
// How tests are written in a configuration. Whether they hold is another matter.
#include "test_says.h"

static void a_test_is_read(void **state)
{
	struct world world;
	const struct conf *conf = load(&world, ONE
		"tests:\n"
		"  - name: first\n"
		"    request: POST http://example.com/x?y=1\n"
		"    headers: {Cookie: a=b}\n"
		"    from: 203.0.113.9\n"
		"    frontend: default\n"
		"    expect: {route: r, pool: p, status: 308, location: /z, headers: {X-A: 5}}\n"
		"  - {request: GET /, expect: {status: none}}\n");
	const struct conf_test *test = &conf->tests[0];

	(void)state;
	assert_int_equal(conf->test_count, 2);
	assert_str(test->name, "first");
	assert_str(test->method, "POST");
	assert_str(test->url, "http://example.com/x?y=1");
	assert_str(test->frontend, "default");
	assert_int_equal(test->from.family, ADDR_V4);
	assert_int_equal(test->field_count, 1);
	assert_str(test->fields[0].name, "cookie");
	assert_str(test->fields[0].text, "a=b");
	assert_str(test->expect.route.text, "r");
	assert_str(test->expect.pool.text, "p");
	assert_str(test->expect.status.text, "308");
	assert_str(test->expect.location.text, "/z");
	assert_int_equal(test->expect.status.place.line, 8);
	assert_str(test->expect.headers[0].name, "x-a");
	assert_str(conf->tests[1].name, "tests[1]");
	assert_null(conf->tests[1].expect.route.text.ptr);
	world_done(&world);
}

static void what_is_no_test_is_refused(void **state)
{
	(void)state;
	refuses(ONE "tests: 5", "tests is a list of at most 10000 tests");
	refuses(ONE "tests: [{expect: {pool: a}}]", "needs 'request'");
	refuses(ONE "tests: [{request: GET /}]", "tests[0] expects nothing");
	refuses(ONE "tests: [{request: '/x', expect: {pool: a}}]", "'/x' is no request");
	refuses(ONE "tests: [{request: 'GET /a b', expect: {pool: a}}]", "is no request");
	refuses(ONE "tests: [{request: GET /, from: here, expect: {pool: a}}]",
		"'here' is no IP address");
	refuses(ONE "tests: [{request: GET /, headers: [a], expect: {pool: a}}]",
		"is a map of at most 64 header fields");
	refuses(ONE "tests: [{request: GET /, headers: {'a b': c}, expect: {pool: a}}]",
		"'a b' is no header field");
	refuses(ONE "tests: [{request: GET /, expect: {rout: a}}]", "did you mean 'route'?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_test_is_read),
		cmocka_unit_test(what_is_no_test_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
