// SPDX-License-Identifier: Apache-2.0
// Responses: status lines, and what body follows.
#include "heads.h"

#include <stdio.h>

#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define END	"\r\n"

struct row {
	struct str text;
	enum http_refusal why;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		heads_check_refused(rows[i].text, HTTP_GET, rows[i].why);
}

#define ROW(text, name)                       \
	{                                     \
		STR(text), HTTP_REFUSE_##name \
	}
#define CHECK_ROWS(...)                                                 \
	do {                                                            \
		static const struct row refused_rows[] = {__VA_ARGS__}; \
		check_rows(refused_rows, ARRAY_LEN(refused_rows));      \
	} while (0)

static const struct http_head *good(
	struct str text, enum http_method method, struct parsed *ret_parsed)
{
	heads_check_pieces(text, method);
	heads_parse(text, method, ret_parsed);
	if (ret_parsed->result <= 0)
		print_error("'%.*s': '%s'\n", STR_FMT(text), http_refusal_text(ret_parsed->why));
	assert_int_equal(ret_parsed->result, text.len);
	return &ret_parsed->head;
}

static void test_status_lines(void **state)
{
	static const struct {
		struct str text;
		u16 status;
		u8 minor;
		const char *reason;
	} rows[] = {
		{STR("HTTP/1.1 200 OK\r\n\r\n"), 200, 1, "OK"},
		{STR("HTTP/1.1 200 \r\n\r\n"), 200, 1, ""},
		{STR("HTTP/1.1 200\r\n\r\n"), 200, 1, ""},
		{STR("HTTP/1.0 404 Not Found\r\n\r\n"), 404, 0, "Not Found"},
		{STR("HTTP/1.1 100 Continue\r\n\r\n"), 100, 1, "Continue"},
		{STR("HTTP/1.1 599 \r\n\r\n"), 599, 1, ""},
		{STR("HTTP/1.1 600 x\r\n\r\n"), 600, 1, "x"},
		{STR("HTTP/1.1 999 x\r\n\r\n"), 999, 1, "x"},
		{STR("HTTP/1.1 500  two \ttabs\t\x80\r\n\r\n"), 500, 1, " two \ttabs\t\x80"},
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_head *head = good(rows[i].text, HTTP_GET, &parsed);

		assert_int_equal(head->status, rows[i].status);
		assert_int_equal(head->version_minor, rows[i].minor);
		assert_true(str_eq(head->reason, str_from(rows[i].reason)));
		heads_done(&parsed);
	}
}

static void test_status_lines_refused(void **state)
{
	(void)state;
	CHECK_ROWS(ROW("HTTP/1.1 20 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 2000 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 099 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 000 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 0200 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 -20 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 +20 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 2x0 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 20: OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 2/0 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1  200 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1\t200 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 200\tOK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 200OK\r\n\r\n", STATUS_LINE), ROW("HTTP/1.1 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1\r\n\r\n", STATUS_LINE), ROW("HTTP/1.1 \r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 2\r\n\r\n", STATUS_LINE), ROW("HTTP/1.1 20\r\n\r\n", STATUS_LINE),
		ROW("200 OK\r\n\r\n", STATUS_LINE), ROW("http/1.1 200 OK\r\n\r\n", STATUS_LINE),
		ROW("ICY 200 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.10 200 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/11.1 200 OK\r\n\r\n", STATUS_LINE),
		ROW("HTTP/2 200\r\n\r\n", STATUS_LINE),
		ROW(" HTTP/1.1 200 OK\r\n\r\n", STATUS_LINE),
		ROW("\r\nHTTP/1.1 200 OK\r\n\r\n", STATUS_LINE), ROW("\r\n\r\n", STATUS_LINE),
		ROW("<html>oops</html>\r\n\r\n", STATUS_LINE), ROW("X\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 200 O\0K\r\n\r\n", STATUS_LINE),
		ROW("HTTP/1.1 200 \x7f\r\n\r\n", STATUS_LINE),
		ROW("HTTP/2.0 200 OK\r\n\r\n", VERSION), ROW("HTTP/1.2 200 OK\r\n\r\n", VERSION),
		ROW("HTTP/0.9 200 OK\r\n\r\n", VERSION), ROW("HTTP/1.1 200 OK\n\n", LINE_END),
		ROW("HTTP/1.1 200\n\n", LINE_END), ROW("HTTP/1.1 20\n\n", LINE_END),
		ROW("HTTP/1\n\n", LINE_END), ROW("\nHTTP/1.1 200 OK\r\n\r\n", LINE_END),
		ROW("HTTP/1.1 200 OK\rX: y\r\n\r\n", LINE_END),
		ROW("HTTP/1.1 200\rX: y\r\n\r\n", LINE_END));
}

static void test_fields_refused(void **state)
{
	(void)state;
	CHECK_ROWS(ROW(OK_LINE "X : y\r\n\r\n", FIELD_NAME), ROW(OK_LINE "X y\r\n\r\n", FIELD_NAME),
		ROW(OK_LINE ": y\r\n\r\n", FIELD_NAME), ROW(OK_LINE "X: y\0\r\n\r\n", FIELD_VALUE),
		ROW(OK_LINE "X: \x1b\r\n\r\n", FIELD_VALUE), ROW(OK_LINE " X: y\r\n\r\n", OBS_FOLD),
		ROW(OK_LINE "X: y\r\n z\r\n\r\n", OBS_FOLD), ROW(OK_LINE "X: y\n\r\n", LINE_END),
		ROW(OK_LINE "X: y\rSet-Cookie: z\r\n\r\n", LINE_END),
		ROW(OK_LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", CONTENT_LENGTH),
		ROW(OK_LINE "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", CONTENT_LENGTH),
		ROW(OK_LINE "Content-Length: 5, 5\r\n\r\n", CONTENT_LENGTH),
		ROW(OK_LINE "Content-Length: +5\r\n\r\n", CONTENT_LENGTH),
		ROW(OK_LINE "Content-Length: \r\n\r\n", CONTENT_LENGTH),
		ROW(OK_LINE "Content-Length: 9223372036854775808\r\n\r\n", CONTENT_LENGTH),
		ROW(OK_LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			LENGTH_AND_CHUNKED),
		ROW(OK_LINE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
			LENGTH_AND_CHUNKED),
		ROW(OK_LINE "Transfer-Encoding: identity\r\n\r\n", TRANSFER_ENCODING),
		ROW(OK_LINE "Transfer-Encoding: gzip\r\n\r\n", TRANSFER_ENCODING),
		ROW(OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n", CODING_UNKNOWN),
		ROW(OK_LINE "Transfer-Encoding: chunked, chunked\r\n\r\n", TRANSFER_ENCODING),
		ROW(OK_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
			TRANSFER_ENCODING),
		ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING),
		ROW("HTTP/1.1 204 x\r\nContent-Length: x\r\n\r\n", CONTENT_LENGTH),
		ROW("HTTP/1.1 304 x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
			LENGTH_AND_CHUNKED));
}

static void test_bodies(void **state)
{
	static const struct {
		struct str text;
		enum http_method method;
		enum http_framing framing;
		bool has_length;
		u64 length;
		bool keep_alive;
	} rows[] = {
		{STR(OK_LINE "\r\n"), HTTP_GET, HTTP_UNTIL_CLOSE, false, 0, false},
		{STR(OK_LINE "Connection: keep-alive\r\n\r\n"), HTTP_GET, HTTP_UNTIL_CLOSE, false,
			0, false},
		{STR(OK_LINE "Content-Length: 5\r\n\r\n"), HTTP_GET, HTTP_LENGTH, true, 5, true},
		{STR(OK_LINE "Content-Length: 0\r\n\r\n"), HTTP_POST, HTTP_LENGTH, true, 0, true},
		{STR(OK_LINE "Content-Length: 5\r\nConnection: close\r\n\r\n"), HTTP_GET,
			HTTP_LENGTH, true, 5, false},
		{STR(OK_LINE "Transfer-Encoding: Chunked\r\n\r\n"), HTTP_GET, HTTP_CHUNKED, false,
			0, true},
		{STR(OK_LINE "Content-Length: 5\r\n\r\n"), HTTP_HEAD, HTTP_NO_BODY, true, 5, true},
		{STR(OK_LINE "Transfer-Encoding: chunked\r\n\r\n"), HTTP_HEAD, HTTP_NO_BODY, false,
			0, true},
		{STR(OK_LINE "\r\n"), HTTP_HEAD, HTTP_NO_BODY, false, 0, true},
		{STR(OK_LINE "Content-Length: 5\r\n\r\n"), HTTP_CONNECT, HTTP_NO_BODY, true, 5,
			true},
		{STR("HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n"), HTTP_CONNECT, HTTP_LENGTH,
			true, 5, true},
		{STR("HTTP/1.1 100 Continue\r\n\r\n"), HTTP_POST, HTTP_NO_BODY, false, 0, true},
		{STR("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), HTTP_GET, HTTP_NO_BODY, false,
			0, true},
		{STR("HTTP/1.1 199 x\r\n\r\n"), HTTP_GET, HTTP_NO_BODY, false, 0, true},
		{STR("HTTP/1.1 204 No Content\r\n\r\n"), HTTP_GET, HTTP_NO_BODY, false, 0, true},
		{STR("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), HTTP_GET,
			HTTP_NO_BODY, false, 0, true},
		{STR("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"), HTTP_GET,
			HTTP_NO_BODY, true, 7, true},
		{STR("HTTP/1.1 205 Reset\r\n\r\n"), HTTP_GET, HTTP_UNTIL_CLOSE, false, 0, false},
		{STR("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), HTTP_GET, HTTP_LENGTH, true,
			5, false},
		{STR("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n"),
			HTTP_GET, HTTP_LENGTH, true, 5, true},
		{STR("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, "
		     "close\r\n\r\n"),
			HTTP_GET, HTTP_LENGTH, true, 5, false},
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_head *head = good(rows[i].text, rows[i].method, &parsed);

		if (head->framing != rows[i].framing || head->keep_alive != rows[i].keep_alive)
			print_error("'%.*s'\n", STR_FMT(rows[i].text));
		assert_int_equal(head->framing, rows[i].framing);
		assert_int_equal(head->has_content_length, rows[i].has_length);
		assert_int_equal(head->content_length, rows[i].length);
		assert_int_equal(head->keep_alive, rows[i].keep_alive);
		heads_done(&parsed);
	}
}

static void test_switching_protocols(void **state)
{
	struct parsed parsed;

	(void)state;
	assert_true(good(STR("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		HTTP_GET, &parsed)
			    ->upgrade);
	assert_int_equal(parsed.head.framing, HTTP_NO_BODY);
	heads_done(&parsed);
	assert_false(good(STR("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"), HTTP_GET, &parsed)
			     ->upgrade);
	heads_done(&parsed);
	assert_false(good(STR("HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n"), HTTP_GET, &parsed)
			     ->upgrade);
	heads_done(&parsed);
	assert_false(good(STR("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
		HTTP_GET, &parsed)
			     ->upgrade);
	heads_done(&parsed);
	assert_false(good(STR("HTTP/1.1 200 x\r\nContent-Length: 0\r\nConnection: upgrade\r\n"
			      "Upgrade: websocket\r\n\r\n"),
		HTTP_GET, &parsed)
			     ->upgrade);
	heads_done(&parsed);
}

static void test_incomplete(void **state)
{
	struct str text = STR("HTTP/1.0 404 Not Found\r\nContent-Length: 5\r\nX: y\r\n\r\n");
	struct parsed parsed;

	(void)state;
	for (size_t len = 0; len < text.len; len++) {
		heads_parse(str_make(text.ptr, len), HTTP_GET, &parsed);
		assert_int_equal(parsed.result, 0);
		heads_done(&parsed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_lines),
		cmocka_unit_test(test_status_lines_refused),
		cmocka_unit_test(test_fields_refused),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_switching_protocols),
		cmocka_unit_test(test_incomplete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
