// SPDX-License-Identifier: Apache-2.0
// Converters of the tests that stand in a configuration. Whether they hold is asked where requests
// can be tried.
#include "conf/build.h"

enum { tests_max = 10000, fields_max = 64 };

static struct conf_expected expected(const struct node *node, struct str text)
{
	return (struct conf_expected){
		.text = text, .width = MAX(node->width, 1u), .place = node->place};
}

void build_test_text(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || !build_is_printable(text))
		report_value(build->report, CODE_MALFORMED, node,
			"%s is a text without control characters", path_text(build, path));
	*(struct str *)(void *)((char *)object + key->offset) = text;
}

void build_test_request(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_test *test = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	test->place = node->place;
	test->width = MAX(node->width, 1u);
	test->url = text;
	test->method = str_cut(&test->url, ' ');
	if (!build_is_token(test->method) || test->url.len == 0 ||
		str_find(test->url, ' ') < test->url.len || !build_is_printable(test->url))
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no request (%s): a method and a URL, like GET "
			"http://www.example.com/",
			CLIP(text), path_text(build, path));
}

void build_test_from(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_test *test = object;
	struct str text;

	(void)key;
	if (build_scalar(build, path, node, &text) && addr_parse_ip(text, &test->from) != 0)
		report_value(build->report, CODE_MALFORMED, node, "'%.*s' is no IP address (%s)",
			CLIP(text), path_text(build, path));
}

void build_expected(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (build_scalar(build, path, node, &text))
		*(struct conf_expected *)(void *)((char *)object + key->offset) =
			expected(node, text);
}

static u32 build_fields(struct build *build, const struct path *path, struct node *node,
	const struct conf_expected **ret_fields)
{
	struct conf_expected *fields;
	u32 count = 0;

	if (node->kind != NODE_MAP || node->count > fields_max) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a map of at most %d header fields to values, not %s",
			path_text(build, path), fields_max,
			node->kind == NODE_MAP ? "more" : node_kind_text(node));
		return 0;
	}
	fields = arena_zalloc(build->arena, sizeof(*fields) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next) {
		struct conf_header header;

		if (!build_header(build, path, child, &header))
			continue;
		fields[count] = expected(child, header.value);
		fields[count++].name = header.name;
	}
	*ret_fields = fields;
	return count;
}

void build_test_headers(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_test *test = object;

	(void)key;
	test->field_count = build_fields(build, path, node, &test->fields);
}

void build_expected_headers(struct build *build, const struct schema_key *key,
	const struct path *path, struct node *node, void *object)
{
	struct conf_test *test = object;

	(void)key;
	test->expect.header_count = build_fields(build, path, node, &test->expect.headers);
}

static bool expects_anything(const struct conf_test *test)
{
	return test->expect.route.text.ptr || test->expect.pool.text.ptr ||
	       test->expect.status.text.ptr || test->expect.location.text.ptr ||
	       test->expect.header_count;
}

void build_tests(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;
	struct conf_test *tests;
	struct path item = {.up = path};

	(void)key;
	if (node->kind != NODE_LIST || node->count > tests_max) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"tests is a list of at most %d tests, not %s", tests_max,
			node->kind == NODE_LIST ? "more" : node_kind_text(node));
		return;
	}
	tests = arena_zalloc(build->arena, sizeof(*tests) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct conf_test *test = &tests[item.index];
		u32 errors = build->report->errs->error_count;

		build_map(build, SCHEMA_test, &item, child, test);
		if (build->report->errs->error_count == errors && !expects_anything(test))
			report_value(build->report, CODE_MISSING, child,
				"%s expects nothing: give route, pool, status, location or headers "
				"under `expect`",
				path_text(build, &item));
		if (test->name.len == 0)
			test->name = str_from(path_text(build, &item));
	}
	conf->tests = tests;
	conf->test_count = node->count;
}

void conf_fail_test(const struct conf *conf, const struct conf_test *test,
	const struct conf_expected *at, const char *what, const char *advice, struct errs *errs)
{
	struct report report = {.errs = errs,
		.sources = (struct report_source *)(uintptr_t)conf->sources}; // only read
	struct err *err = report_at(&report, CODE_TEST_FAILED, at ? at->place : test->place,
		at ? at->width : test->width, "test '%.*s' fails: %s", CLIP(test->name), what);

	if (advice)
		report_advice(&report, err, "%s", advice);
}
