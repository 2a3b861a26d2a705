// SPDX-License-Identifier: Apache-2.0
// Names, paths, authorities, hop-by-hop fields, copies.
#include "heads.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/rng.h"
#include "proto/http_names.h"

static enum http_known known_short(const char *name, u32 len)
{
#if SCAN_SSE2
	return http_known_short(name, len);
#else
	return http_field_known(name, len);
#endif
}

// Every known name is found in any case, and says which slot of the table it needs when it is not.
static void test_known_names(void **state)
{
	(void)state;
	for (int i = 1; i < HTTP_F_COUNT; i++) {
		struct str text = http_known_text((enum http_known)i);
		u32 slot = http_known_slot(text.ptr, text.len);
		char upper[32] = {0}, shouted[32] = {0};

		for (size_t j = 0; j < text.len; j++) {
			bool letter = text.ptr[j] >= 'a' && text.ptr[j] <= 'z';

			assert_true(letter || text.ptr[j] == '-' || ascii_is_digit(text.ptr[j]));
			shouted[j] = letter ? (char)(text.ptr[j] - 32) : text.ptr[j];
			upper[j] = j % 2 ? text.ptr[j] : shouted[j];
		}
		if (http_field_known(text.ptr, text.len) != (enum http_known)i)
			print_error("http_known_slots: '%s' wants slot %u, which has %d\n",
				text.ptr, slot, http_known_slots[slot]);
		assert_int_equal(http_field_known(text.ptr, text.len), i);
		assert_int_equal(http_field_known(upper, text.len), i);
		assert_int_equal(http_field_known(shouted, text.len), i);
		assert_int_equal(http_field_known(shouted, text.len - 1), HTTP_F_OTHER);
		if (SCAN_SSE2 && text.len <= 15)
			assert_int_equal(known_short(upper, (u32)text.len), i);
	}
	assert_int_equal(http_field_known("", 0), HTTP_F_OTHER);
	assert_int_equal(http_field_known("x", 1), HTTP_F_OTHER);
}

// No byte but the other case of a letter may be taken for the one in a known name.
static void test_nearly_known_names(void **state)
{
	(void)state;
	for (int i = 1; i < HTTP_F_COUNT; i++) {
		struct str text = http_known_text((enum http_known)i);

		for (size_t j = 0; j < text.len; j++) {
			for (int byte = 0; byte < 256; byte++) {
				char name[32] = {0};
				enum http_known want;

				memcpy(name, text.ptr, text.len);
				name[j] = (char)byte;
				want = ascii_lower((char)byte) == text.ptr[j] ? (enum http_known)i
									      : HTTP_F_OTHER;
				assert_int_equal(http_field_known(name, text.len), want);
				if (SCAN_SSE2 && text.len <= 15)
					assert_int_equal(known_short(name, (u32)text.len), want);
			}
		}
	}
}

static void test_methods(void **state)
{
	(void)state;
	for (int i = 1; i <= HTTP_CONNECT; i++)
		assert_int_equal(
			http_method_parse(str_from(http_method_text((enum http_method)i))), i);
	assert_string_equal(http_method_text(HTTP_OTHER_METHOD), "OTHER");
	assert_int_equal(http_method_parse(STR("OTHER")), HTTP_OTHER_METHOD);
	assert_int_equal(http_method_parse(STR("get")), HTTP_OTHER_METHOD);
	assert_int_equal(http_method_parse(STR("GE")), HTTP_OTHER_METHOD);
	assert_true(http_method_is_idempotent(HTTP_GET));
	assert_true(http_method_is_idempotent(HTTP_HEAD));
	assert_true(http_method_is_idempotent(HTTP_PUT));
	assert_true(http_method_is_idempotent(HTTP_DELETE));
	assert_true(http_method_is_idempotent(HTTP_OPTIONS));
	assert_true(http_method_is_idempotent(HTTP_TRACE));
	assert_false(http_method_is_idempotent(HTTP_POST));
	assert_false(http_method_is_idempotent(HTTP_PATCH));
	assert_false(http_method_is_idempotent(HTTP_CONNECT));
	assert_false(http_method_is_idempotent(HTTP_OTHER_METHOD));
}

static void test_texts(void **state)
{
	(void)state;
	assert_string_equal(http_reason(100), "Continue");
	assert_string_equal(http_reason(200), "OK");
	assert_string_equal(http_reason(404), "Not Found");
	assert_string_equal(http_reason(503), "Service Unavailable");
	assert_string_equal(http_reason(511), "Network Authentication Required");
	assert_string_equal(http_reason(0), "");
	assert_string_equal(http_reason(299), "");
	assert_string_equal(http_reason(999), "");
	for (int i = 1; i < HTTP_REFUSE_COUNT; i++) {
		u16 status = http_refusal_status((enum http_refusal)i);

		assert_true(status >= 400 && http_reason(status)[0]);
		assert_true(http_refusal_text((enum http_refusal)i)[0]);
	}
	assert_int_equal(http_refusal_status(HTTP_REFUSE_OK), 0);
	assert_int_equal(http_refusal_status(HTTP_REFUSE_VERSION), 505);
	assert_int_equal(http_refusal_status(HTTP_REFUSE_URI_TOO_LONG), 414);
	assert_int_equal(http_refusal_status(HTTP_REFUSE_HEAD_TOO_LARGE), 431);
	assert_int_equal(http_refusal_status(HTTP_REFUSE_CODING_UNKNOWN), 501);
	assert_int_equal(http_refusal_status(HTTP_REFUSE_CONNECT), 405);
}

static void test_paths(void **state)
{
	static const struct {
		const char *path, *normal;
	} rows[] = {
		// Already normal
		{"/", "/"},
		{"/a", "/a"},
		{"/a/b.c/d", "/a/b.c/d"},
		{"/.a", "/.a"},
		{"/..a", "/..a"},
		{"/a.", "/a."},
		{"/a..", "/a.."},
		{"/...", "/..."},
		{"//a//b/", "//a//b/"},
		{"/a%20b", "/a%20b"},
		{"/a%2Fb", "/a%2Fb"},
		{"/%E4%BD%A0", "/%E4%BD%A0"},
		{"/a;b=c", "/a;b=c"},
		{"/a\\b", "/a\\b"},
		{"*", "*"},
		{"", ""},
		{"a:80", "a:80"},
		// The query is cut off
		{"/?", "/"},
		{"/a?b", "/a"},
		{"/a?b/../c%zz", "/a"},
		{"/.?x", "/"},
		{"/a/..?x", "/"},
		{"/a/.?/..", "/a/"},
		// Escapes
		{"/%61", "/a"},
		{"/%7e%2D%5F%2e%41", "/~-_.A"},
		{"/%2f", "/%2F"},
		{"/%c3%a4", "/%C3%A4"},
		{"/a%3f?b", "/a%3F"},
		{"/%25%32%65", "/%252e"},
		{"/%5c", "/%5C"},
		{"/%23", "/%23"},
		{"/%01%7f", "/%01%7F"},
		{"/%c0", "/%C0"},
		{"/%C0x", "/%C0x"},
		{"/%e0%a0%80", "/%E0%A0%80"},
		{"/%f0%90%80%80", "/%F0%90%80%80"},
		{"/%F0%80?", NULL},
		// Dot segments
		{"/.", "/"},
		{"/./", "/"},
		{"/a/.", "/a/"},
		{"/a/./b", "/a/b"},
		{"/a/..", "/"},
		{"/a/../", "/"},
		{"/a/../b", "/b"},
		{"/a/b/..", "/a/"},
		{"/a/b/../c", "/a/c"},
		{"/a/b/../../c", "/c"},
		{"/a//../b", "/a/b"},
		{"//..", "/"},
		{"//../", "/"},
		{"/a/./../b/.", "/b/"},
		{"/%2e", "/"},
		{"/a/%2E%2e/b", "/b"},
		{"/a/.%2e", "/"},
		{"/a/%2e.", "/"},
		{"/a/..%2f", "/a/..%2F"},
		{"/a/%2e%2e%2e", "/a/..."},
		{"/a/..;b", "/a/..;b"},
		{"/a/.b/../.c", "/a/.c"},
		{"/a/long/enough/for/a/vector/../and/%62ack/./again",
			"/a/long/enough/for/a/and/back/again"},
	};
	struct str normal;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str path = str_from(rows[i].path);
		char *buffer = malloc(path.len + 1);
		enum http_refusal why = http_path_normalize(path, buffer, &normal);

		if (!rows[i].normal) {
			assert_int_equal(why, HTTP_REFUSE_PATH_ESCAPE);
			free(buffer);
			continue;
		}
		assert_int_equal(why, HTTP_REFUSE_OK);
		if (!str_eq(normal, str_from(rows[i].normal)))
			print_error("'%s': '%.*s' instead of '%s'\n", rows[i].path, STR_FMT(normal),
				rows[i].normal);
		assert_true(str_eq(normal, str_from(rows[i].normal)));
		if (strcmp(rows[i].path, rows[i].normal) == 0)
			assert_ptr_equal(normal.ptr, path.ptr);
		free(buffer);
	}
}

static void test_paths_refused(void **state)
{
	static const struct {
		const char *path;
		enum http_refusal why;
	} rows[] = {
		{"/..", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/../", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/../a", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/..?a", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/./..", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/a/../..", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/a/../../b", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/%2e%2e/a", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/.%2E/a", HTTP_REFUSE_PATH_ABOVE_ROOT},
		{"/%00", HTTP_REFUSE_PATH_NUL},
		{"/a%00.png", HTTP_REFUSE_PATH_NUL},
		{"/./%00", HTTP_REFUSE_PATH_NUL},
		{"/%", HTTP_REFUSE_PATH_ESCAPE},
		{"/%a", HTTP_REFUSE_PATH_ESCAPE},
		{"/%a?b", HTTP_REFUSE_PATH_ESCAPE},
		{"/%zz", HTTP_REFUSE_PATH_ESCAPE},
		{"/%+1", HTTP_REFUSE_PATH_ESCAPE},
		{"/%u002e", HTTP_REFUSE_PATH_ESCAPE},
		{"/./%4", HTTP_REFUSE_PATH_ESCAPE},
		{"/%c0%ae%c0%ae/", HTTP_REFUSE_PATH_ESCAPE},
		{"/%C0%AF", HTTP_REFUSE_PATH_ESCAPE},
		{"/./%C1%9C", HTTP_REFUSE_PATH_ESCAPE},
		{"/%E0%80%AF", HTTP_REFUSE_PATH_ESCAPE},
		{"/%F0%80%80%AF", HTTP_REFUSE_PATH_ESCAPE},
	};
	char buffer[64];
	struct str normal;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum http_refusal why =
			http_path_normalize(str_from(rows[i].path), buffer, &normal);

		if (why != rows[i].why)
			print_error("'%s': '%s'\n", rows[i].path, http_refusal_text(why));
		assert_int_equal(why, rows[i].why);
	}
}

// A normal form is its own normal form, and stays below what it came from; over paths made of the
// parts that matter.
static void test_paths_settle(void **state)
{
	static const char *const parts[] = {"/", "/", ".", "..", "%2e", "%2E", "%2f", "a", "B",
		"%41", "%c3%A4", "?", "%", "%00", "~", ";", "abcdefghijklmnopqrstuvwxyz"};
	struct rng rng;
	u32 good = 0;

	(void)state;
	rng_init(&rng, 2);
	for (int round = 0; round < 100000; round++) {
		char path[400] = "/", *buffer, again[400];
		struct str normal, twice;
		size_t len;

		for (u32 count = rng_below(&rng, 12); count; count--)
			strcat(path, parts[rng_below(&rng, ARRAY_LEN(parts))]);
		len = strlen(path);
		buffer = malloc(len + 1);
		if (http_path_normalize(str_from(path), buffer, &normal) == HTTP_REFUSE_OK) {
			good++;
			assert_true(normal.len <= len && normal.ptr[0] == '/');
			assert_int_equal(str_find(normal, '?'), normal.len);
			assert_int_equal(
				http_path_normalize(normal, again, &twice), HTTP_REFUSE_OK);
			assert_true(str_eq(normal, twice));
			assert_ptr_equal(twice.ptr, normal.ptr);
		}
		free(buffer);
	}
	assert_true(good > 10000);
}

static void test_host_of(void **state)
{
	static const struct {
		const char *authority, *host;
	} rows[] = {
		{"a", "a"},
		{"A", "a"},
		{"a:", "a"},
		{"a:80", "a"},
		{"", ""},
		{"1.2.3.4", "1.2.3.4"},
		{"1.2.3.4:5", "1.2.3.4"},
		{"[::1]", "[::1]"},
		{"[::A]:80", "[::a]"},
		{"EXAMPLE", "example"},
		{"Example.COM", "example.com"},
		{"Example.COM:8080", "example.com"},
		{"A@Z[`{az09-._~", "a@z[`{az09-._~"},
		{"WWW.A-LONG-NAME.EXAMPLE.COM", "www.a-long-name.example.com"},
		{"12345678", "12345678"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str authority = str_from(rows[i].authority), host;
		char *buffer = malloc(authority.len + 1);

		host = http_host_of(authority, buffer);
		if (!str_eq(host, str_from(rows[i].host)))
			print_error("'%s': '%.*s'\n", rows[i].authority, STR_FMT(host));
		assert_true(str_eq(host, str_from(rows[i].host)));
		free(buffer);
	}
}

// The fields of a message that are marked, by their index, as a text like "0 3".
static void hops(struct str text, enum http_method method, char *ret_list)
{
	struct parsed parsed;
	char *at = ret_list;

	heads_parse(text, method, &parsed);
	assert_int_equal(parsed.result, text.len);
	http_mark_hop_fields(&parsed.head);
	*at = 0;
	for (u16 i = 0; i < parsed.head.field_count; i++)
		if (parsed.head.fields[i].hop)
			at += sprintf(at, "%s%d", at == ret_list ? "" : " ", i);
	heads_done(&parsed);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"

static void test_hop_fields(void **state)
{
	static const struct {
		struct str text;
		enum http_method method;
		const char *list;
	} rows[] = {
		{STR(GET "X: y\r\n\r\n"), HTTP_OTHER_METHOD, ""},
		{STR(GET "Connection: close\r\nClose: x\r\n\r\n"), HTTP_OTHER_METHOD, "1"},
		{STR(GET "X: y\r\nConnection: x, z\r\nZ: 1\r\nx: 2\r\nXX: 3\r\n\r\n"),
			HTTP_OTHER_METHOD, "1 2 3 4"},
		{STR(GET "A: 1\r\nB: 2\r\nConnection: a\r\nConnection: b\r\n\r\n"),
			HTTP_OTHER_METHOD, "1 2 3 4"},
		{STR(GET "Connection: host, content-length, Transfer-Encoding\r\nContent-Length: "
			 "0\r\n"
			 "\r\n"),
			HTTP_OTHER_METHOD, "1"},
		{STR(GET "Connection: x-forwarded-for, X-Request-ID, cookie\r\nX-Forwarded-For: "
			 "1\r\n"
			 "X-Request-Id: 2\r\nCookie: 3\r\n\r\n"),
			HTTP_OTHER_METHOD, "1 4"},
		{STR(GET "Keep-Alive: 1\r\nProxy-Connection: 2\r\nTE: trailers\r\nUpgrade: 3\r\n"
			 "HTTP2-Settings: 4\r\nProxy-Authorization: 5\r\nProxy-Authenticate: 6\r\n"
			 "Transfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"),
			HTTP_OTHER_METHOD, "1 2 3 4 5 6 7 8"},
		{STR(GET "Connection: trailer\r\nTrailer: x\r\n\r\n"), HTTP_OTHER_METHOD, "1 2"},
		{STR(GET "Connection: , ,\r\nX: y\r\n\r\n"), HTTP_OTHER_METHOD, "1"},
		{STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: x\r\n\r\n"), HTTP_GET,
			""},
		{STR("HTTP/1.1 204 x\r\nContent-Length: 0\r\nX: y\r\n\r\n"), HTTP_GET, "0"},
		{STR("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"), HTTP_GET, ""},
	};
	char list[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		hops(rows[i].text, rows[i].method, list);
		if (strcmp(list, rows[i].list) != 0)
			print_error("'%.*s'\n", STR_FMT(rows[i].text));
		assert_string_equal(list, rows[i].list);
	}
}

static void check_copy(struct str text, enum http_method method)
{
	static char before[HEAD_LINE_MAX], after[HEAD_LINE_MAX];
	struct parsed parsed, copied;
	struct http_head *copy;
	struct arena arena;

	heads_parse(text, method, &parsed);
	assert_int_equal(parsed.result, text.len);
	heads_describe(&parsed, before);
	arena_init(&arena, 100000);
	copy = http_head_copy(&arena, &parsed.head);
	assert_non_null(copy);
	memset(parsed.bytes, 'x', text.len);
	memset(parsed.fields, 0, sizeof(parsed.fields));
	copied.result = parsed.result;
	copied.why = parsed.why;
	copied.head = *copy;
	heads_describe(&copied, after);
	assert_string_equal(before, after);
	assert_true(str_eq(copy->raw, text));
	memset(copy->fields + copy->field_count, 0, HTTP_FIELDS_EXTRA * sizeof(*copy->fields));
	assert_true(str_eq(copy->raw, text));
	arena_done(&arena);
	arena_init(&arena, 100);
	assert_null(http_head_copy(&arena, &parsed.head));
	arena_done(&arena);
	heads_done(&parsed);
}

static void test_copies(void **state)
{
	(void)state;
	check_copy(STR(GET "X: y\r\nContent-Length: 5\r\n\r\n"), HTTP_OTHER_METHOD);
	check_copy(STR("GET http://b HTTP/1.0\r\n\r\n"), HTTP_OTHER_METHOD);
	check_copy(
		STR("OPTIONS http://b HTTP/1.1\r\nHost: c\r\nEmpty:\r\n\r\n"), HTTP_OTHER_METHOD);
	check_copy(STR("HTTP/1.1 200 Fine\r\nX: y\r\n\r\n"), HTTP_GET);
	check_copy(STR("HTTP/1.1 200\r\n\r\n"), HTTP_GET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_names),
		cmocka_unit_test(test_nearly_known_names),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_paths_refused),
		cmocka_unit_test(test_paths_settle),
		cmocka_unit_test(test_host_of),
		cmocka_unit_test(test_hop_fields),
		cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
