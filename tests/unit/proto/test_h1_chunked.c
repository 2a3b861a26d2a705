// SPDX-License-Identifier: Apache-2.0
// Chunked bodies and trailers: by the letter, and the same however the bytes are cut.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "proto/h1_parse.h"

static const struct h1_limits limits = {
	.head_bytes_max = 1024,
	.target_bytes_max = 1024,
};

struct body {
	enum h1_chunk_event last; // H1_CHUNK_MORE, _TRAILERS or _BAD
	enum http_refusal why;
	bool trailers_follow;
	char bytes[4096];
	size_t len;
	size_t used; // bytes of the input before the trailer section
};

// Feeds in pieces, each in memory of its exact size.
static void feed(struct str text, size_t piece, struct body *ret_body)
{
	struct h1_chunked chunked = {0};
	size_t at = 0;

	*ret_body = (struct body){.last = H1_CHUNK_MORE};
	while (at < text.len) {
		size_t len = MIN(piece, text.len - at), used = 0, done = 0;
		char *copy = malloc(len);

		assert_non_null(copy);
		memcpy(copy, text.ptr + at, len);
		while (done < len) {
			struct str data = {0};

			ret_body->last = h1_chunked_feed(
				&chunked, copy + done, len - done, &used, &data, &ret_body->why);
			assert_true(used <= len - done);
			done += used;
			if (ret_body->last == H1_CHUNK_DATA) {
				assert_true(data.len > 0 && data.ptr + data.len == copy + done);
				assert_true(ret_body->len + data.len <= sizeof(ret_body->bytes));
				memcpy(ret_body->bytes + ret_body->len, data.ptr, data.len);
				ret_body->len += data.len;
				ret_body->last = H1_CHUNK_MORE;
				continue;
			}
			if (ret_body->last != H1_CHUNK_MORE)
				break;
			assert_int_equal(done, len);
		}
		free(copy);
		at += done;
		if (ret_body->last != H1_CHUNK_MORE)
			break;
	}
	ret_body->used = at;
	ret_body->trailers_follow = chunked.trailers_follow;
}

// In one piece; asserts that all other pieces give the same.
static void feed_all_ways(struct str text, struct body *ret_body)
{
	static struct body cut;

	feed(text, text.len, ret_body);
	for (size_t piece = 1; piece < text.len; piece++) {
		feed(text, piece, &cut);
		assert_int_equal(cut.last, ret_body->last);
		assert_int_equal(cut.len, ret_body->len);
		assert_memory_equal(cut.bytes, ret_body->bytes, cut.len);
		if (cut.last == H1_CHUNK_BAD)
			assert_int_equal(cut.why, ret_body->why);
		assert_int_equal(cut.used, ret_body->used);
		assert_int_equal(cut.trailers_follow, ret_body->trailers_follow);
	}
}

static void test_good(void **state)
{
	static const struct {
		struct str text;
		const char *body;
		size_t behind; // bytes of the trailer section
	} rows[] = {
		{STR("0\r\n\r\n"), "", 2},
		{STR("5\r\nhello\r\n0\r\n\r\n"), "hello", 2},
		{STR("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), "abcdef", 2},
		{STR("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789", 2},
		{STR("00000000000000a\r\n0123456789\r\n000\r\n\r\n"), "0123456789", 2},
		{STR("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n", 2},
		{STR("5;\t a\r\nhello\r\n0\r\n\r\n"), "hello", 2},
		{STR("5;a=b\r\nhello\r\n0;c\r\n\r\n"), "hello", 2},
		{STR("5;a=\"b;\\\"\t\x80 c\";d;e=f\r\nhello\r\n0\r\n\r\n"), "hello", 2},
		{STR("5 \t;\ta = b ; c\t=\t\"\" ;d\r\nhello\r\n0\r\n\r\n"), "hello", 2},
		{STR("0\r\nX: y\r\n\r\n"), "", 8},
	};
	static struct body body;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		feed_all_ways(rows[i].text, &body);
		if (body.last != H1_CHUNK_TRAILERS)
			print_error("'%.*s': '%s'\n", STR_FMT(rows[i].text),
				http_refusal_text(body.why));
		assert_int_equal(body.last, H1_CHUNK_TRAILERS);
		assert_int_equal(body.len, strlen(rows[i].body));
		assert_memory_equal(body.bytes, rows[i].body, body.len);
		assert_int_equal(body.used, rows[i].text.len - rows[i].behind);
		assert_int_equal(body.trailers_follow, rows[i].behind > 2);
	}
}

#define BAD(text, name)                       \
	{                                     \
		STR(text), HTTP_REFUSE_##name \
	}

static void test_bad(void **state)
{
	static const struct {
		struct str text;
		enum http_refusal why;
	} rows[] = {
		// Sizes
		BAD("0x5\r\nhello\r\n", CHUNK),
		BAD("+5\r\nhello\r\n", CHUNK),
		BAD("-5\r\nhello\r\n", CHUNK),
		BAD(" 5\r\nhello\r\n", CHUNK),
		BAD("\t5\r\nhello\r\n", CHUNK),
		BAD("5 \r\nhello\r\n", CHUNK),
		BAD("5\t\r\nhello\r\n", CHUNK),
		BAD("5 5\r\nhello\r\n", CHUNK),
		BAD("5 junk\r\nhello\r\n", CHUNK),
		BAD("1_0\r\nhello\r\n", CHUNK),
		BAD("5,\r\nhello\r\n", CHUNK),
		BAD("g\r\n", CHUNK),
		BAD("\r\n", CHUNK),
		BAD(";a\r\n", CHUNK),
		BAD("\0\r\n", CHUNK),
		BAD("\xb2\r\n", CHUNK),
		BAD("8000000000000000\r\n", CHUNK),
		BAD("ffffffffffffffff\r\n", CHUNK),
		BAD("10000000000000000\r\n", CHUNK),
		BAD("00000000000000005\r\nhello\r\n", CHUNK),
		// Line ends
		BAD("5\nhello\r\n0\r\n\r\n", LINE_END),
		BAD("5\rhello\r\n0\r\n\r\n", LINE_END),
		BAD("5\r\rhello\r\n0\r\n\r\n", LINE_END),
		BAD("\n5\r\nhello\r\n", LINE_END),
		BAD("5;a\nhello\r\n", LINE_END),
		BAD("5;a\rb\r\nhello\r\n", LINE_END),
		BAD("5;a=\"\n\"\r\nhello\r\n", LINE_END),
		BAD("0\n\n", LINE_END),
		BAD("5\r\nhello\n0\r\n\r\n", CHUNK),
		BAD("5\r\nhello0\r\n\r\n", CHUNK),
		BAD("5\r\nhelloXX0\r\n\r\n", CHUNK),
		BAD("5\r\nhello\rX0\r\n\r\n", CHUNK),
		BAD("5\r\nhello\r\r\n0\r\n\r\n", CHUNK),
		BAD("5\r\nhello!\r\n0\r\n\r\n", CHUNK),
		BAD("5\r\nhello\r\n\r\n", CHUNK),
		BAD("5\r\nhello\r\n;\r\n", CHUNK),
		// Extensions
		BAD("5;\r\nhello\r\n", CHUNK),
		BAD("5;;a\r\nhello\r\n", CHUNK),
		BAD("5;a;\r\nhello\r\n", CHUNK),
		BAD("5;=b\r\nhello\r\n", CHUNK),
		BAD("5;a=\r\nhello\r\n", CHUNK),
		BAD("5;a==b\r\nhello\r\n", CHUNK),
		BAD("5;a=b=c\r\nhello\r\n", CHUNK),
		BAD("5;a b\r\nhello\r\n", CHUNK),
		BAD("5;a=b c\r\nhello\r\n", CHUNK),
		BAD("5;a \r\nhello\r\n", CHUNK),
		BAD("5;a=b \r\nhello\r\n", CHUNK),
		BAD("5;a=\"b\" \r\nhello\r\n", CHUNK),
		BAD("5;a=\"b\"c\r\nhello\r\n", CHUNK),
		BAD("5;a=\"b\r\nhello\r\n", CHUNK),
		BAD("5;a=\"b\\\r\nhello\r\n", CHUNK),
		BAD("5;a=\"\x01\"\r\nhello\r\n", CHUNK),
		BAD("5;a=\"\\\x7f\"\r\nhello\r\n", CHUNK),
		BAD("5;\x80\r\nhello\r\n", CHUNK),
		BAD("5;a=\0\r\nhello\r\n", CHUNK),
		BAD("5;(a)\r\nhello\r\n", CHUNK),
	};
	static struct body body;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		feed_all_ways(rows[i].text, &body);
		if (body.last != H1_CHUNK_BAD || body.why != rows[i].why)
			print_error("row %zu '%.*s': %d '%s'\n", i, STR_FMT(rows[i].text),
				body.last, http_refusal_text(body.why));
		assert_int_equal(body.last, H1_CHUNK_BAD);
		assert_int_equal(body.why, rows[i].why);
	}
}

// A cut body is never taken for a whole one.
static void test_cut(void **state)
{
	struct str text = STR("5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\n");
	static struct body body;

	(void)state;
	for (size_t len = 0; len <= text.len; len++) {
		feed(str_make(text.ptr, len), text.len, &body);
		assert_int_equal(body.last, H1_CHUNK_MORE);
	}
}

static void test_largest_size(void **state)
{
	struct h1_chunked chunked = {0};
	struct str text = STR("7fffffffffffffff\r\nX"), data;
	enum http_refusal why;
	size_t used;

	(void)state;
	assert_int_equal(
		h1_chunked_feed(&chunked, text.ptr, text.len, &used, &data, &why), H1_CHUNK_DATA);
	assert_int_equal(used, text.len);
	assert_int_equal(chunked.left, INT64_MAX - 1);
}

// The bound holds over all chunks of a body: none of them is long.
static void test_extension_flood(void **state)
{
	struct str chunk = STR("1;aaaaaaaaa\r\nx\r\n"), data;
	struct h1_chunked chunked = {0};
	enum http_refusal why = HTTP_REFUSE_OK;
	u32 chunks = 0;

	(void)state;
	for (;;) {
		size_t used = 0, done = 0;
		enum h1_chunk_event event;

		do {
			event = h1_chunked_feed(
				&chunked, chunk.ptr + done, chunk.len - done, &used, &data, &why);
			done += used;
		} while (event == H1_CHUNK_DATA || (event == H1_CHUNK_MORE && done < chunk.len));
		if (event == H1_CHUNK_BAD)
			break;
		assert_int_equal(event, H1_CHUNK_MORE);
		chunks++;
		assert_true(chunks * 10 <= H1_EXTENSION_BYTES_MAX);
	}
	assert_int_equal(why, HTTP_REFUSE_CHUNK_EXTENSIONS);
	assert_int_equal(chunks, H1_EXTENSION_BYTES_MAX / 10);
}

// Bodies made by chance, cut by chance.
static void test_random(void **state)
{
	static struct body body;
	static char text[8192], want[4096];
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (int round = 0; round < 2000; round++) {
		size_t len = 0, want_len = 0;
		u32 chunks = rng_below(&rng, 8);

		for (u32 i = 0; i < chunks; i++) {
			u32 size = 1 + rng_below(&rng, 300);

			len += (size_t)sprintf(text + len,
				rng_one_in(&rng, 2) ? "%x%s\r\n" : "%04X%s\r\n", size,
				rng_one_in(&rng, 4) ? ";x=\"\\\"\"" : "");
			for (u32 j = 0; j < size; j++)
				want[want_len++] = text[len++] = (char)rng_u64(&rng);
			len += (size_t)sprintf(text + len, "\r\n");
		}
		len += (size_t)sprintf(text + len, "0\r\n\r\n");
		feed(str_make(text, len), 1 + rng_below(&rng, 64), &body);
		assert_int_equal(body.last, H1_CHUNK_TRAILERS);
		assert_int_equal(body.used, len - 2);
		assert_int_equal(body.len, want_len);
		assert_memory_equal(body.bytes, want, want_len);
	}
}

static int parse_trailers(
	struct str text, struct http_field *fields, u16 *ret_count, enum http_refusal *ret_why)
{
	char *copy = malloc(text.len ? text.len : 1);
	int result;

	assert_non_null(copy);
	memcpy(copy, text.ptr, text.len);
	result = h1_parse_trailers(copy, text.len, &limits, fields, ret_count, ret_why);
	free(copy);
	return result;
}

static void test_trailers(void **state)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	static const struct {
		struct str text;
		u16 count;
	} rows[] = {
		{STR("\r\n"), 0},
		{STR("X: y\r\n\r\n"), 1},
		{STR("grpc-status: 0\r\ngrpc-message:\r\nDate: x\r\n\r\n"), 3},
	};
	enum http_refusal why;
	u16 count = 99;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t scanned = 0;

		assert_int_equal(
			parse_trailers(rows[i].text, fields, &count, &why), rows[i].text.len);
		assert_int_equal(count, rows[i].count);
		for (size_t len = 0; len < rows[i].text.len; len++) {
			assert_int_equal(h1_trailers_end(rows[i].text.ptr, len, &scanned), 0);
			assert_int_equal(parse_trailers(str_make(rows[i].text.ptr, len), fields,
						 &count, &why),
				0);
		}
		assert_int_equal(h1_trailers_end(rows[i].text.ptr, rows[i].text.len, &scanned),
			rows[i].text.len);
	}
}

static void test_trailers_refused(void **state)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	static const struct {
		struct str text;
		enum http_refusal why;
	} rows[] = {
		BAD("Content-Length: 5\r\n\r\n", TRAILER),
		BAD("Transfer-Encoding: chunked\r\n\r\n", TRAILER),
		BAD("X: y\r\nHost: a\r\n\r\n", TRAILER),
		BAD("authorization: a\r\n\r\n", TRAILER),
		BAD("Cookie: a\r\n\r\n", TRAILER),
		BAD("Connection: close\r\n\r\n", TRAILER),
		BAD("Trailer: x\r\n\r\n", TRAILER),
		BAD("Upgrade: x\r\n\r\n", TRAILER),
		BAD("Expect: x\r\n\r\n", TRAILER),
		BAD("X-Forwarded-For: 1.2.3.4\r\n\r\n", TRAILER),
		BAD("Content-Type: x\r\n\r\n", TRAILER),
		BAD("X : y\r\n\r\n", FIELD_NAME),
		BAD("GET / HTTP/1.1\r\n\r\n", FIELD_NAME),
		BAD("X: y\r\n z\r\n\r\n", OBS_FOLD),
		BAD("X: \0\r\n\r\n", FIELD_VALUE),
		BAD("X: y\n\n", LINE_END),
		BAD("\n", LINE_END),
		BAD("\rX", LINE_END),
	};
	static char long_text[1100];
	enum http_refusal why;
	u16 count;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(parse_trailers(rows[i].text, fields, &count, &why), -1);
		assert_int_equal(why, rows[i].why);
	}
	memset(long_text, 'x', sizeof(long_text));
	memcpy(long_text, "X:", 2);
	assert_int_equal(parse_trailers(str_make(long_text, 1024), fields, &count, &why), -1);
	assert_int_equal(why, HTTP_REFUSE_HEAD_TOO_LARGE);
	assert_int_equal(parse_trailers(str_make(long_text, 1023), fields, &count, &why), 0);
}

// What a trailer section may not hold, by name: everything the proxy knows but a few.
static void test_trailer_names(void **state)
{
	(void)state;
	for (int known = 0; known < HTTP_F_COUNT; known++) {
		bool allowed = known == HTTP_F_OTHER || known == HTTP_F_DATE ||
			       known == HTTP_F_SERVER || known == HTTP_F_USER_AGENT ||
			       known == HTTP_F_REFERER;

		assert_int_equal(http_trailer_allowed((enum http_known)known), allowed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_largest_size),
		cmocka_unit_test(test_extension_flood),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_trailers_refused),
		cmocka_unit_test(test_trailer_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
