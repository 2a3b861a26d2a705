// SPDX-License-Identifier: Apache-2.0
// Cookies and parameters by name, out of requests as a parser gives them.
#include "heads.h"

#include <stdio.h>

#include "proto/http_parts.h"

// The value of a cookie in a request with these field lines, or NULL.
static const char *cookie(const char *lines, const char *name)
{
	static char value[256];
	char text[1024];
	struct parsed parsed;
	struct str found;
	bool is_there;

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);
	heads_parse(str_from(text), HTTP_OTHER_METHOD, &parsed);
	assert_true(parsed.result > 0);
	is_there = http_cookie(&parsed.head, str_from(name), &found);
	if (is_there)
		snprintf(value, sizeof(value), "%.*s", STR_FMT(found));
	heads_done(&parsed);
	return is_there ? value : NULL;
}

static const char *query(const char *path, const char *name)
{
	static char value[256];
	struct str found;

	if (!http_query(str_from(path), str_from(name), &found))
		return NULL;
	snprintf(value, sizeof(value), "%.*s", STR_FMT(found));
	return value;
}

static void test_a_cookie(void **state)
{
	(void)state;
	assert_string_equal(cookie("Cookie: a=1\r\n", "a"), "1");
	assert_string_equal(cookie("Cookie: a=1; b=2; c=3\r\n", "b"), "2");
	assert_string_equal(cookie("Cookie: a=1;b=2;c=3\r\n", "c"), "3");
	assert_string_equal(cookie("cOOkie:a=1;b=2\r\n", "b"), "2");
	assert_string_equal(cookie("Cookie: a=1; b=2;\r\n", "b"), "2");
	assert_string_equal(cookie("Cookie: ;; ; b=2\r\n", "b"), "2");
}

static void test_white_space_around_names_and_values(void **state)
{
	(void)state;
	assert_string_equal(cookie("Cookie:  a = 1 ; \tb\t=\t2 3\t;c=4\r\n", "a"), "1");
	assert_string_equal(cookie("Cookie:  a = 1 ; \tb\t=\t2 3\t;c=4\r\n", "b"), "2 3");
}

static void test_the_first_of_a_name_counts(void **state)
{
	(void)state;
	assert_string_equal(cookie("Cookie: a=1; a=2\r\n", "a"), "1");
	assert_string_equal(cookie("Cookie: b=0; a=1\r\nCookie: a=2\r\n", "a"), "1");
}

static void test_several_cookie_fields(void **state)
{
	static const char *const lines =
		"Cookie: a=1\r\nX: Cookie\r\nSet-Cookie: c=9\r\nCookie: b=2\r\nY: z\r\nCookie: "
		"c=3\r\n";

	(void)state;
	assert_string_equal(cookie(lines, "a"), "1");
	assert_string_equal(cookie(lines, "b"), "2");
	assert_string_equal(cookie(lines, "c"), "3");
	assert_null(cookie(lines, "d"));
}

static void test_names_are_whole_and_exact(void **state)
{
	(void)state;
	assert_null(cookie("Cookie: session=1\r\n", "sess"));
	assert_null(cookie("Cookie: sess=1\r\n", "session"));
	assert_null(cookie("Cookie: xa=1; ax=2\r\n", "a"));
	assert_null(cookie("Cookie: A=1\r\n", "a"));
	assert_string_equal(cookie("Cookie: ab=1; a=2\r\n", "a"), "2");
	assert_null(cookie("Cookie: b=a=1\r\n", "a"));
}

static void test_values_stay_as_they_were_sent(void **state)
{
	(void)state;
	assert_string_equal(cookie("Cookie: a=\r\n", "a"), "");
	assert_string_equal(cookie("Cookie: a=; b=2\r\n", "a"), "");
	assert_string_equal(cookie("Cookie: a=\"q r\"; b=2\r\n", "a"), "\"q r\"");
	assert_string_equal(cookie("Cookie: a=\"q;a=2\"\r\n", "a"), "\"q");
	assert_string_equal(cookie("Cookie: a=%41+=x=\r\n", "a"), "%41+=x=");
}

static void test_no_cookie(void **state)
{
	(void)state;
	assert_null(cookie("", "a"));
	assert_null(cookie("Cookie:\r\n", "a"));
	assert_null(cookie("Cookie: a\r\n", "a")); // a piece without a name
	assert_null(cookie("X-Cookie: a=1\r\n", "a"));
}

static void test_a_parameter(void **state)
{
	(void)state;
	assert_string_equal(query("/?a=1", "a"), "1");
	assert_string_equal(query("/p/q?x=0&a=1&b=2", "a"), "1");
	assert_string_equal(query("/?b=2&&a=1&", "a"), "1");
	assert_string_equal(query("/?a=1&a=2", "a"), "1");
	assert_string_equal(query("/?a=b=c?d", "a"), "b=c?d");
	assert_string_equal(query("/?a=1;b=2", "a"), "1;b=2");
	assert_string_equal(query("/?a=%26+%3d", "a"), "%26+%3d");
}

static void test_empty_parameters(void **state)
{
	(void)state;
	assert_string_equal(query("/?a", "a"), "");
	assert_string_equal(query("/?a=", "a"), "");
	assert_string_equal(query("/?a&b=1", "a"), "");
}

static void test_no_parameter(void **state)
{
	(void)state;
	assert_null(query("/", "a"));
	assert_null(query("/?", "a"));
	assert_null(query("/a=1", "a"));
	assert_null(query("/&a=1", "a"));
	assert_null(query("/?ab=1", "a"));
	assert_null(query("/?a=1", "ab"));
	assert_null(query("/?A=1", "a"));
	assert_null(query("/?%61=1", "a"));
	assert_null(query("", "a"));
	assert_null(query("*", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_cookie),
		cmocka_unit_test(test_white_space_around_names_and_values),
		cmocka_unit_test(test_the_first_of_a_name_counts),
		cmocka_unit_test(test_several_cookie_fields),
		cmocka_unit_test(test_names_are_whole_and_exact),
		cmocka_unit_test(test_values_stay_as_they_were_sent),
		cmocka_unit_test(test_no_cookie),
		cmocka_unit_test(test_a_parameter),
		cmocka_unit_test(test_empty_parameters),
		cmocka_unit_test(test_no_parameter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
