// SPDX-License-Identifier: Apache-2.0
// Requests: what is taken and as what, and each row of the catalogue of attacks with its refusal.
#include "heads.h"

#include <stdio.h>

#define START	"GET / HTTP/1.1\r\n"
#define HOST	"Host: a\r\n"
#define GET	START HOST
#define POST	"POST / HTTP/1.1\r\n" HOST
#define END	"\r\n"
#define REQUEST HTTP_OTHER_METHOD

struct row {
	struct str text;
	enum http_refusal why;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		heads_check_refused(rows[i].text, REQUEST, rows[i].why);
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

// Parses a good request, in pieces too, and leaves it to the caller.
static const struct http_head *good(struct str text, struct parsed *ret_parsed)
{
	heads_check_pieces(text, REQUEST);
	heads_parse(text, REQUEST, ret_parsed);
	if (ret_parsed->result <= 0)
		print_error("'%.*s': '%s'\n", STR_FMT(text), http_refusal_text(ret_parsed->why));
	assert_int_equal(ret_parsed->result, text.len);
	assert_int_equal(ret_parsed->why, HTTP_REFUSE_OK);
	return &ret_parsed->head;
}

static void assert_str(struct str have, const char *want)
{
	if (!str_eq(have, str_from(want)))
		print_error("'%.*s' instead of '%s'\n", STR_FMT(have), want);
	assert_true(str_eq(have, str_from(want)));
}

static void test_small(void **state)
{
	struct parsed parsed;
	const struct http_head *head =
		good(STR("GET /100 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"), &parsed);

	(void)state;
	assert_int_equal(head->method, HTTP_GET);
	assert_str(head->method_text, "GET");
	assert_str(head->target, "/100");
	assert_str(head->path, "/100");
	assert_str(head->authority, "127.0.0.1:8080");
	assert_int_equal(head->version_minor, 1);
	assert_int_equal(head->framing, HTTP_NO_BODY);
	assert_true(head->keep_alive);
	assert_false(head->expect_continue);
	assert_false(head->upgrade);
	assert_int_equal(head->field_count, 1);
	assert_int_equal(head->fields[0].known, HTTP_F_HOST);
	assert_ptr_equal(http_head_find(head, HTTP_F_HOST), &head->fields[0]);
	assert_null(http_head_find(head, HTTP_F_COOKIE));
	heads_done(&parsed);
}

static void test_fields(void **state)
{
	struct parsed parsed;
	const struct http_head *head = good(STR(START "hOST:b\r\nX-Empty:\r\nX-Blank: \t \r\n"
						      "Cookie: \t a=1; b=\x80\xff\t2 \t\r\n"
						      "!#$%&'*+-.^_`|~09aZ: 1\r\nx_y: 2\r\n"
						      "cookie: second\r\n"
						      "Access-Control-Request-Headers: x\r\n\r\n"),
		&parsed);

	(void)state;
	assert_int_equal(head->field_count, 8);
	assert_str(head->authority, "b");
	assert_int_equal(head->fields[1].value_len, 0);
	assert_int_equal(head->fields[2].value_len, 0);
	assert_int_equal(head->fields[3].known, HTTP_F_COOKIE);
	assert_str(
		str_make(head->fields[3].value, head->fields[3].value_len), "a=1; b=\x80\xff\t2");
	assert_str(str_make(head->fields[4].name, head->fields[4].name_len), "!#$%&'*+-.^_`|~09aZ");
	assert_int_equal(head->fields[4].known, HTTP_F_OTHER);
	assert_int_equal(head->first_known[HTTP_F_COOKIE], 4);
	assert_int_equal(head->known_repeated, HTTP_BIT(HTTP_F_COOKIE));
	assert_ptr_equal(
		http_head_find_name(head, STR("ACCESS-control-request-headers")), &head->fields[7]);
	assert_ptr_equal(http_head_find_name(head, STR("COOKIE")), &head->fields[3]);
	assert_null(http_head_find_name(head, STR("X-Nothing")));
	heads_done(&parsed);
}

// A head is plain when every line has one space and nothing more, wherever the line stands.
static void test_plain(void **state)
{
	static const struct {
		struct str text;
		bool plain;
	} rows[] = {
		{STR(GET END), true},
		{STR(GET "X: y\r\nLong-Name-Of-A-Field: z\r\nA: b c\td\r\n\r\n"), true},
		{STR(GET "X: \r\n\r\n"), true},
		{STR(START "Host: a\r\nX: y\r\nA-Field: that follows, long enough\r\n\r\n"), true},
		{STR(GET "X:y\r\n\r\n"), false},
		{STR(GET "X:\r\n\r\n"), false},
		{STR(GET "X:  y\r\n\r\n"), false},
		{STR(GET "X:\ty\r\n\r\n"), false},
		{STR(GET "X: y \r\n\r\n"), false},
		{STR(GET "X: y\t\r\n\r\n"), false},
		{STR(START "Host:a\r\nX: y\r\nA-Field: that follows, long enough\r\n\r\n"), false},
		{STR(START "Host: a \r\nA-Field: that follows, long enough\r\n\r\n"), false},
		{STR(START "Host: a\t\r\nA-Field: that follows, long enough\r\n\r\n"), false},
		{STR(START "Host:  a\r\nA-Field: that follows, long enough\r\n\r\n"), false},
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_head *head = good(rows[i].text, &parsed);

		if (head->plain != rows[i].plain)
			print_error("'%.*s'\n", STR_FMT(rows[i].text));
		assert_int_equal(head->plain, rows[i].plain);
		assert_int_equal(head->sent_count, head->field_count);
		heads_done(&parsed);
	}
}

static void test_empty_lines_before(void **state)
{
	struct parsed parsed;

	(void)state;
	good(STR("\r\n" GET END), &parsed);
	assert_ptr_equal(parsed.head.raw.ptr, parsed.bytes + 2);
	heads_done(&parsed);
	good(STR("\r\n\r\n" GET END), &parsed);
	heads_done(&parsed);
	CHECK_ROWS(ROW("\r\n\r\n\r\n" GET END, REQUEST_LINE), ROW("\n" GET END, LINE_END),
		ROW("\r" GET END, LINE_END), ROW("\r\n\n" GET END, LINE_END),
		ROW(" " GET END, METHOD));
}

static void test_methods(void **state)
{
	static const struct {
		const char *text;
		enum http_method method;
	} rows[] = {
#define X(name, text) {text, HTTP_##name},
		HTTP_METHODS(X)
#undef X
			{"get", HTTP_OTHER_METHOD},
		{"GETS", HTTP_OTHER_METHOD},
		{"PROPFIND", HTTP_OTHER_METHOD},
		{"!#$%&'*+-.^_`|~", HTTP_OTHER_METHOD},
	};
	char text[100];
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].method == HTTP_CONNECT)
			continue; // is refused, below
		sprintf(text, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].text);
		good(str_from(text), &parsed);
		assert_int_equal(parsed.head.method, rows[i].method);
		assert_str(parsed.head.method_text, rows[i].text);
		heads_done(&parsed);
	}
	CHECK_ROWS(ROW("G@T / HTTP/1.1\r\n" HOST END, METHOD),
		ROW("\"GET\" / HTTP/1.1\r\n" HOST END, METHOD),
		ROW("G\0T / HTTP/1.1\r\n" HOST END, METHOD),
		ROW("GE\tT / HTTP/1.1\r\n" HOST END, METHOD),
		ROW("GET\t/ HTTP/1.1\r\n" HOST END, METHOD),
		ROW("G\xc3\x84T / HTTP/1.1\r\n" HOST END, METHOD),
		ROW("GET\x0b / HTTP/1.1\r\n" HOST END, METHOD),
		ROW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", METHOD));
}

static void test_request_line(void **state)
{
	(void)state;
	CHECK_ROWS(ROW("GET\r\n" HOST END, REQUEST_LINE), ROW("GET \r\n" HOST END, REQUEST_LINE),
		ROW("GET /\r\n" HOST END, REQUEST_LINE), ROW("GET / \r\n" HOST END, REQUEST_LINE),
		ROW("GET  / HTTP/1.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET /  HTTP/1.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP/1.1 \r\n" HOST END, REQUEST_LINE),
		ROW("GET / x HTTP/1.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET /\tHTTP/1.1\r\n" HOST END, TARGET),
		ROW("GET / HTTP/1.1\n" HOST END, LINE_END), ROW("GET /\n" HOST END, LINE_END),
		ROW("GET\n" HOST END, LINE_END), ROW("GET / HTTP/1.1\r" HOST END, LINE_END),
		ROW("GET / HTTP/1.1\rX\n" HOST END, LINE_END),
		ROW("GET / HTTP/1.\n" HOST END, LINE_END));
}

static void test_versions(void **state)
{
	(void)state;
	CHECK_ROWS(ROW("GET / HTTP/1.2\r\n" HOST END, VERSION),
		ROW("GET / HTTP/1.9\r\n" HOST END, VERSION),
		ROW("GET / HTTP/2.0\r\n" HOST END, VERSION),
		ROW("GET / HTTP/0.9\r\n" HOST END, VERSION),
		ROW("GET / HTTP/9.9\r\n" HOST END, VERSION),
		ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
		ROW("GET / HTTP/2\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP/1.10\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP/1.01\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP/11.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP/1,1\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP/1.\r\n" HOST END, REQUEST_LINE),
		ROW("GET / http/1.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP 1.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTPS/1.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET / HTTP/-1.1\r\n" HOST END, REQUEST_LINE),
		ROW("GET / FOO\r\n\r\n", REQUEST_LINE), ROW("GET / H\r\n\r\n", REQUEST_LINE),
		ROW("GET / HTTP/1.1\0\r\n" HOST END, REQUEST_LINE));
}

static void test_targets(void **state)
{
	static const struct {
		struct str text;
		const char *path, *authority;
	} rows[] = {
		{STR("GET /a/b?c=d&e HTTP/1.1\r\n" HOST END), "/a/b?c=d&e", "a"},
		{STR("GET //a/../%2f?|{}\"<>^`\\ HTTP/1.1\r\n" HOST END), "//a/../%2f?|{}\"<>^`\\",
			"a"},
		{STR("GET http://b:80/x?y HTTP/1.1\r\n" HOST END), "/x?y", "b:80"},
		{STR("GET HTTP://b HTTP/1.1\r\n" HOST END), "/", "b"},
		{STR("GET https://[::1]:443/ HTTP/1.1\r\n" HOST END), "/", "[::1]:443"},
		{STR("GET http://b HTTP/1.0\r\n\r\n"), "/", "b"},
		{STR("GET http://b/ HTTP/1.0\r\nHost:\r\n\r\n"), "/", "b"},
		{STR("OPTIONS * HTTP/1.1\r\n" HOST END), "*", "a"},
		{STR("OPTIONS http://b:1 HTTP/1.1\r\n" HOST END), "*", "b:1"},
		{STR("OPTIONS http://b/ HTTP/1.1\r\n" HOST END), "/", "b"},
		{STR("GET / HTTP/1.0\r\n\r\n"), "/", ""},
		{STR("GET / HTTP/1.0\r\nHost:\r\n\r\n"), "/", ""},
		{STR("GET / HTTP/1.0\r\nHost: c\r\n\r\n"), "/", "c"},
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		good(rows[i].text, &parsed);
		assert_str(parsed.head.path, rows[i].path);
		assert_str(parsed.head.authority, rows[i].authority);
		heads_done(&parsed);
	}
}

#define TARGET(target, name) ROW("GET " target " HTTP/1.1\r\n" HOST END, name)

static void test_targets_refused(void **state)
{
	(void)state;
	CHECK_ROWS(TARGET("a", TARGET), TARGET("?a", TARGET), TARGET("*", TARGET),
		TARGET("/a#b", TARGET), TARGET("#", TARGET), TARGET("http://a/#b", TARGET),
		TARGET("/\x80", TARGET), TARGET("/\xc3\xa4", TARGET), TARGET("/\xff", TARGET),
		TARGET("/\x7f", TARGET), TARGET("/a\x01", TARGET), TARGET("/a\0b", TARGET),
		TARGET("/a\vb", TARGET), TARGET("/long/enough/for/one/vector\x1f", TARGET),
		TARGET("http:/a", TARGET), TARGET("http:a", TARGET), TARGET("http://", TARGET),
		TARGET("http:///a", TARGET), TARGET("http://?a", TARGET),
		TARGET("ftp://a/", TARGET), TARGET("://a/", TARGET), TARGET("ws://a/", TARGET),
		TARGET("http://u@a/", TARGET), TARGET("http://u:p@a/", TARGET),
		TARGET("http://a:x/", TARGET), TARGET("http://a:0/", TARGET),
		TARGET("http://a:65536/", TARGET), TARGET("http://a?b", TARGET),
		TARGET("http://a,b/", TARGET), TARGET("**", TARGET), TARGET("a:80", TARGET),
		ROW("OPTIONS ** HTTP/1.1\r\n" HOST END, TARGET),
		ROW("GET / HTTP/1.1#\r\n" HOST END, REQUEST_LINE));
}

static void test_connect(void **state)
{
	(void)state;
	CHECK_ROWS(ROW("CONNECT a:443 HTTP/1.1\r\n" HOST END, CONNECT),
		ROW("CONNECT [::1]:443 HTTP/1.1\r\n" HOST END, CONNECT),
		ROW("CONNECT a HTTP/1.1\r\n" HOST END, TARGET),
		ROW("CONNECT a: HTTP/1.1\r\n" HOST END, TARGET),
		ROW("CONNECT :443 HTTP/1.1\r\n" HOST END, TARGET),
		ROW("CONNECT 443 HTTP/1.1\r\n" HOST END, TARGET),
		ROW("CONNECT u@a:443 HTTP/1.1\r\n" HOST END, TARGET),
		ROW("CONNECT / HTTP/1.1\r\n" HOST END, TARGET),
		ROW("CONNECT http://a:1/ HTTP/1.1\r\n" HOST END, TARGET),
		ROW("CONNECT a:443 HTTP/1.1\r\n\r\n", HOST_MISSING),
		ROW("CONNECT a:443 HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n", CONTENT_LENGTH));
}

static void test_hosts(void **state)
{
	static const char *const hosts[] = {"a", "a.b-c_d~e", "A.EXAMPLE", "127.0.0.1", "[::1]",
		"[2001:db8::1]", "[::ffff:1.2.3.4]", "a:80", "a:1", "a:65535", "a:00080",
		"a:", "[::1]:8080", "xn--bcher-kva.example", "a!$&'()*+;=", "%41b", "a%2Eb:1", "1",
		"-", "a-name-that-is-longer-than-one-vector.example:8080"};
	char text[200];
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		sprintf(text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
		good(str_from(text), &parsed);
		assert_str(parsed.head.authority, hosts[i]);
		heads_done(&parsed);
	}
}

#define HOST_IS(host, name) ROW(START "Host: " host "\r\n\r\n", name)

static void test_hosts_refused(void **state)
{
	(void)state;
	CHECK_ROWS(ROW(START END, HOST_MISSING), ROW(START "X: y\r\n\r\n", HOST_MISSING),
		ROW(GET HOST END, HOST_REPEATED), ROW(GET "host: b\r\n\r\n", HOST_REPEATED),
		ROW(GET "X: y\r\nHOST: b\r\n\r\n", HOST_REPEATED),
		ROW("GET / HTTP/1.0\r\n" HOST HOST END, HOST_REPEATED),
		ROW("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", HOST_INVALID),
		ROW("GET http://b/ HTTP/1.1\r\n\r\n", HOST_MISSING),
		ROW("GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n", HOST_INVALID),
		HOST_IS("", HOST_INVALID), HOST_IS(":80", HOST_INVALID),
		HOST_IS("a b", HOST_INVALID), HOST_IS("a\tb", HOST_INVALID),
		HOST_IS("a,b", HOST_INVALID), HOST_IS("a, b", HOST_INVALID),
		HOST_IS("a/", HOST_INVALID), HOST_IS("a?b", HOST_INVALID),
		HOST_IS("a#b", HOST_INVALID), HOST_IS("u@a", HOST_INVALID),
		HOST_IS("u:p@a", HOST_INVALID), HOST_IS("http://a", HOST_INVALID),
		HOST_IS("a\\b", HOST_INVALID), HOST_IS("a:b", HOST_INVALID),
		HOST_IS("a:1:2", HOST_INVALID), HOST_IS("a:-1", HOST_INVALID),
		HOST_IS("a:+1", HOST_INVALID), HOST_IS("a:0", HOST_INVALID),
		HOST_IS("a:00000", HOST_INVALID), HOST_IS("a:65536", HOST_INVALID),
		HOST_IS("a:99999", HOST_INVALID), HOST_IS("a:000080", HOST_INVALID),
		HOST_IS("a:8 0", HOST_INVALID), HOST_IS("::1", HOST_INVALID),
		HOST_IS("[::1", HOST_INVALID), HOST_IS("[]", HOST_INVALID),
		HOST_IS("[::1]x", HOST_INVALID), HOST_IS("[::1]:x", HOST_INVALID),
		HOST_IS("[::1%25eth0]", HOST_INVALID), HOST_IS("[1.2.3.4]", HOST_INVALID),
		HOST_IS("[v1.a]", HOST_INVALID), HOST_IS("[::g]", HOST_INVALID),
		HOST_IS("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]",
			HOST_INVALID),
		HOST_IS("%4", HOST_INVALID), HOST_IS("%zz", HOST_INVALID),
		HOST_IS("a%", HOST_INVALID), HOST_IS("\x80", HOST_INVALID),
		HOST_IS("b\xc3\xbc"
			"cher",
			HOST_INVALID),
		HOST_IS("a|b", HOST_INVALID), HOST_IS("a\"b", HOST_INVALID),
		HOST_IS("a{b}", HOST_INVALID), HOST_IS("a<b>", HOST_INVALID),
		HOST_IS("a^b", HOST_INVALID), HOST_IS("a`b", HOST_INVALID),
		HOST_IS("a]", HOST_INVALID), HOST_IS("a\0b", FIELD_VALUE));
}

static void test_line_ends(void **state)
{
	(void)state;
	CHECK_ROWS(ROW(START "Host: a\n\r\n", LINE_END), ROW(START "Host: a\r\r\n\r\n", LINE_END),
		ROW(START "Host: a\rX: y\r\n\r\n", LINE_END), ROW(GET "\n", LINE_END),
		ROW(GET "\rX", LINE_END), ROW(GET "X\n: y\r\n\r\n", LINE_END),
		ROW(GET "X\r\n: y\r\n\r\n", FIELD_NAME), ROW(GET "X: y\rz\r\n\r\n", LINE_END),
		ROW(GET "X: y\nz: w\r\n\r\n", LINE_END), ROW(GET "X:\n\r\n", LINE_END),
		ROW(GET "X:\r\r\n", LINE_END), ROW(GET "Content-Length: 0\nX: y\r\n\r\n", LINE_END),
		ROW(GET "\n\r\n", LINE_END), ROW("GET / HTTP/1.1\n\n", LINE_END));
}

static void test_field_names(void **state)
{
	(void)state;
	CHECK_ROWS(ROW(GET "X : y\r\n\r\n", FIELD_NAME), ROW(GET "X\t: y\r\n\r\n", FIELD_NAME),
		ROW(GET "Content-Length : 5\r\n\r\n", FIELD_NAME),
		ROW(GET "Transfer-Encoding : chunked\r\n\r\n", FIELD_NAME),
		ROW(GET ": y\r\n\r\n", FIELD_NAME), ROW(GET "X\r\n\r\n", FIELD_NAME),
		ROW(GET "no colon at all here\r\n\r\n", FIELD_NAME),
		ROW(GET "X\0Y: z\r\n\r\n", FIELD_NAME), ROW(GET "X(Y): z\r\n\r\n", FIELD_NAME),
		ROW(GET "X@: z\r\n\r\n", FIELD_NAME), ROW(GET "[X]: z\r\n\r\n", FIELD_NAME),
		ROW(GET "X/Y: z\r\n\r\n", FIELD_NAME), ROW(GET "\"X\": z\r\n\r\n", FIELD_NAME),
		ROW(GET "X\x80: z\r\n\r\n", FIELD_NAME), ROW(GET "X\x7f: z\r\n\r\n", FIELD_NAME),
		ROW(GET "Content\rLength: 5\r\n\r\n", FIELD_NAME),
		ROW(GET "Content\x0dLength: 5\r\n\r\n", FIELD_NAME),
		ROW(GET "Transfer\x0d"
			"Encoding: chunked\r\n\r\n",
			FIELD_NAME),
		ROW(GET "\x08ost: b\r\n\r\n", FIELD_NAME),
		ROW(GET "http\x12-settings: b\r\n\r\n", FIELD_NAME),
		ROW(START " Host: a\r\n\r\n", OBS_FOLD), ROW(GET " x\r\n\r\n", OBS_FOLD),
		ROW(GET "\tx\r\n\r\n", OBS_FOLD), ROW(GET "X: y\r\n z\r\n\r\n", OBS_FOLD),
		ROW(GET "X: y\r\n\tz\r\n\r\n", OBS_FOLD),
		ROW(GET "Transfer-Encoding:\r\n chunked\r\n\r\n", OBS_FOLD),
		ROW(GET "X: y\r\n \r\n\r\n", OBS_FOLD));
}

// Every byte in every place of a value: the ones that are refused, and no others.
static void test_field_values(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		for (size_t place = 0; place < 40; place++) {
			char text[] = GET "X: "
					  "................................................"
					  "\r\n\r\n";
			bool control = (byte < ' ' && byte != '\t') || byte == 0x7f;
			struct parsed parsed;

			text[sizeof(GET "X: ") - 1 + place] = (char)byte;
			heads_parse(STR(text), REQUEST, &parsed);
			assert_int_equal(parsed.result, control ? -1 : (int)sizeof(text) - 1);
			if (control)
				assert_int_equal(parsed.why, byte == '\r' || byte == '\n'
								     ? HTTP_REFUSE_LINE_END
								     : HTTP_REFUSE_FIELD_VALUE);
			heads_done(&parsed);
		}
	}
}

static void test_lengths(void **state)
{
	static const struct {
		struct str text;
		enum http_framing framing;
		u64 length;
	} rows[] = {
		{STR(GET END), HTTP_NO_BODY, 0},
		{STR(POST END), HTTP_NO_BODY, 0},
		{STR(POST "Content-Length: 0\r\n\r\n"), HTTP_LENGTH, 0},
		{STR(POST "Content-Length: 5\r\n\r\n"), HTTP_LENGTH, 5},
		{STR(GET "content-LENGTH:\t5\t\r\n\r\n"), HTTP_LENGTH, 5},
		{STR(POST "Content-Length: 0000000000000000000000005\r\n\r\n"), HTTP_LENGTH, 5},
		{STR(POST "Content-Length: 9223372036854775807\r\n\r\n"), HTTP_LENGTH, INT64_MAX},
		{STR("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n"), HTTP_LENGTH, 5},
		{STR(POST "Transfer-Encoding: chunked\r\n\r\n"), HTTP_CHUNKED, 0},
		{STR(GET "transfer-encoding:CHUNKED\r\n\r\n"), HTTP_CHUNKED, 0},
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		good(rows[i].text, &parsed);
		assert_int_equal(parsed.head.framing, rows[i].framing);
		assert_int_equal(parsed.head.content_length, rows[i].length);
		assert_int_equal(parsed.head.has_content_length, rows[i].framing == HTTP_LENGTH);
		heads_done(&parsed);
	}
}

#define LENGTH(value, name) ROW(POST "Content-Length:" value "\r\n\r\n", name)
#define CODING(value, name) ROW(POST "Transfer-Encoding:" value "\r\n\r\n", name)

// Others may read "010" as eight: it goes on as "10".
static void test_leading_zeros(void **state)
{
	static const struct {
		const char *sent, *read;
		u64 length;
	} rows[] = {{"010", "10", 10}, {"00", "0", 0}, {"0", "0", 0},
		{"0000000000000000000000007", "7", 7}};
	char text[200];
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_field *field;

		sprintf(text, POST "Content-Length: %s\r\n\r\n", rows[i].sent);
		field = http_head_find(good(str_from(text), &parsed), HTTP_F_CONTENT_LENGTH);
		assert_str(str_make(field->value, field->value_len), rows[i].read);
		assert_int_equal(parsed.head.content_length, rows[i].length);
		assert_int_equal(parsed.head.plain, strcmp(rows[i].sent, rows[i].read) == 0);
		heads_done(&parsed);
	}
}

static void test_lengths_refused(void **state)
{
	(void)state;
	CHECK_ROWS(LENGTH("", CONTENT_LENGTH), LENGTH(" ", CONTENT_LENGTH),
		LENGTH(" +5", CONTENT_LENGTH), LENGTH(" -5", CONTENT_LENGTH),
		LENGTH(" 5,5", CONTENT_LENGTH), LENGTH(" 5, 5", CONTENT_LENGTH),
		LENGTH(" 5,", CONTENT_LENGTH), LENGTH(" 5 5", CONTENT_LENGTH),
		LENGTH(" 0x5", CONTENT_LENGTH), LENGTH(" 5h", CONTENT_LENGTH),
		LENGTH(" 5.0", CONTENT_LENGTH), LENGTH(" 1e3", CONTENT_LENGTH),
		LENGTH(" 1_0", CONTENT_LENGTH), LENGTH(" \"5\"", CONTENT_LENGTH),
		LENGTH(" chunked", CONTENT_LENGTH), LENGTH(" \xb2", CONTENT_LENGTH),
		LENGTH(" 9223372036854775808", CONTENT_LENGTH),
		LENGTH(" 9223372036854775813", CONTENT_LENGTH),
		LENGTH(" 18446744073709551615", CONTENT_LENGTH),
		LENGTH(" 18446744073709551616", CONTENT_LENGTH),
		LENGTH(" 18446744073709551621", CONTENT_LENGTH),
		LENGTH(" 99999999999999999999999999", CONTENT_LENGTH),
		LENGTH(" 5\r\nContent-Length: 5", CONTENT_LENGTH),
		LENGTH(" 5\r\nX: y\r\ncontent-length: 6", CONTENT_LENGTH),
		LENGTH("\r\nContent-Length: 5", CONTENT_LENGTH),
		LENGTH(" 5\r\nTransfer-Encoding: chunked", LENGTH_AND_CHUNKED),
		LENGTH(" 0\r\nTransfer-Encoding: identity", LENGTH_AND_CHUNKED),
		CODING(" chunked\r\nContent-Length: 5", LENGTH_AND_CHUNKED),
		CODING(" chunked\r\nContent-Length: x", CONTENT_LENGTH));
}

static void test_codings_refused(void **state)
{
	(void)state;
	CHECK_ROWS(CODING("", TRANSFER_ENCODING), CODING(" ,", TRANSFER_ENCODING),
		CODING(" chunked,", TRANSFER_ENCODING), CODING(" ,chunked", TRANSFER_ENCODING),
		CODING(" chunked, chunked", TRANSFER_ENCODING),
		CODING(" chunked, gzip", TRANSFER_ENCODING), CODING(" gzip", TRANSFER_ENCODING),
		CODING(" identity", TRANSFER_ENCODING), CODING(" chunked;x", TRANSFER_ENCODING),
		CODING(" chunked;x=y", TRANSFER_ENCODING),
		CODING(" \"chunked\"", TRANSFER_ENCODING), CODING(" 'chunked'", TRANSFER_ENCODING),
		CODING(" xchunked", TRANSFER_ENCODING), CODING(" chunkedx", TRANSFER_ENCODING),
		CODING(" chunk", TRANSFER_ENCODING), CODING(" chunked chunked", TRANSFER_ENCODING),
		CODING(" x chunked", TRANSFER_ENCODING),
		CODING(" \x80"
		       "chunked",
			TRANSFER_ENCODING),
		CODING(" \vchunked", FIELD_VALUE), CODING(" \0chunked", FIELD_VALUE),
		CODING(" chunked\0", FIELD_VALUE), CODING(" gz ip, chunked", TRANSFER_ENCODING),
		CODING(" gzip;q=1, chunked", TRANSFER_ENCODING),
		CODING(" gzip,, chunked", TRANSFER_ENCODING),
		CODING(" chunked, gzip, chunked", TRANSFER_ENCODING),
		CODING(" gzip, chunked", CODING_UNKNOWN), CODING(" gzip,CHUNKED", CODING_UNKNOWN),
		CODING(" gzip , deflate ,\tchunked", CODING_UNKNOWN),
		CODING(" identity, chunked", CODING_UNKNOWN),
		CODING(" chunked\r\nTransfer-Encoding: chunked", TRANSFER_ENCODING),
		CODING(" gzip\r\nTransfer-Encoding: chunked", TRANSFER_ENCODING),
		CODING("\r\nTransfer-Encoding: chunked", TRANSFER_ENCODING),
		ROW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING),
		ROW("POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n", TRANSFER_ENCODING));
}

static void test_connection(void **state)
{
	static const struct {
		struct str text;
		bool keep_alive, upgrade;
	} rows[] = {
		{STR(GET "Connection: close\r\n\r\n"), false, false},
		{STR(GET "Connection: x, CLOSE\r\n\r\n"), false, false},
		{STR(GET "Connection: keep-alive, close\r\n\r\n"), false, false},
		{STR(GET "Connection: keep-alive\r\nConnection:\tclose\t\r\n\r\n"), false, false},
		{STR(GET "Connection: keep-alive\r\nX: y\r\nConnection: close\r\n\r\n"), false,
			false},
		{STR(GET "Connection: closed\r\n\r\n"), true, false},
		{STR(GET "Connection:\r\n\r\n"), true, false},
		{STR(GET "Connection: ,,\r\n\r\n"), true, false},
		{STR(GET "Connection: \"close\"\r\n\r\n"), true, false},
		{STR("GET / HTTP/1.0\r\n\r\n"), false, false},
		{STR("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), true, false},
		{STR("GET / HTTP/1.0\r\nConnection: Keep-Alive, close\r\n\r\n"), false, false},
		{STR(GET "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"), true, true},
		{STR(GET "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"), true,
			true},
		{STR(GET "Connection: close, upgrade\r\nUpgrade: websocket\r\n\r\n"), false, true},
		{STR(GET "Upgrade: websocket\r\n\r\n"), true, false},
		{STR(GET "Connection: upgrade\r\n\r\n"), true, false},
		{STR(GET "Connection: upgrade\r\nUpgrade:\r\n\r\n"), true, false},
		{STR(GET "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"), true, false},
		{STR(GET "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n\r\n"), true, false},
		{STR(GET "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n\r\n"), true,
			false},
		{STR("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), false,
			false},
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		good(rows[i].text, &parsed);
		if (parsed.head.keep_alive != rows[i].keep_alive)
			print_error("'%.*s'\n", STR_FMT(rows[i].text));
		assert_int_equal(parsed.head.keep_alive, rows[i].keep_alive);
		assert_int_equal(parsed.head.upgrade, rows[i].upgrade);
		heads_done(&parsed);
	}
}

#define UPGRADE(value) GET "Connection: upgrade\r\nUpgrade: " value "\r\n\r\n"

// RFC 9110 7.8 and 5.6.1.2.
static void test_upgrade(void **state)
{
	static const struct str fine[] = {STR(UPGRADE("websocket")), STR(UPGRADE("a/1, b/2.0 ,c")),
		STR(UPGRADE(",, websocket,")), STR(UPGRADE("")), STR(UPGRADE("!#$%&'*+-.^_`|~/~"))};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		good(fine[i], &parsed);
		heads_done(&parsed);
	}
	CHECK_ROWS(ROW(UPGRADE("web socket"), UPGRADE), ROW(UPGRADE("a/"), UPGRADE),
		ROW(UPGRADE("/1"), UPGRADE), ROW(UPGRADE("/"), UPGRADE),
		ROW(UPGRADE("a/b/c"), UPGRADE), ROW(UPGRADE("\"a\""), UPGRADE),
		ROW(UPGRADE("a;b=c"), UPGRADE), ROW(UPGRADE("a, b@"), UPGRADE),
		ROW(UPGRADE("\xff"), UPGRADE), ROW(UPGRADE("a/ 1"), UPGRADE),
		ROW(GET "Upgrade: (a)\r\n\r\n", UPGRADE),
		ROW(GET "Upgrade: a\r\nX: y\r\nUpgrade: b c\r\n\r\n", UPGRADE),
		ROW("GET / HTTP/1.0\r\nUpgrade: a b\r\n\r\n", UPGRADE));
}

static void test_connection_options_bound(void **state)
{
	char text[400] = GET "Connection: ";
	char *at = text + strlen(text);
	struct parsed parsed;

	(void)state;
	for (int i = 0; i < HTTP_CONNECTION_OPTIONS_MAX; i++)
		at += sprintf(at, "%sa", i ? "," : "");
	strcpy(at, "\r\n\r\n");
	good(str_from(text), &parsed);
	heads_done(&parsed);
	strcpy(at, "\r\nConnection: b\r\n\r\n");
	heads_check_refused(str_from(text), REQUEST, HTTP_REFUSE_CONNECTION);
	strcpy(at, ",\r\n\r\n");
	good(str_from(text), &parsed);
	heads_done(&parsed);
	strcpy(at, ",,\r\n\r\n");
	heads_check_refused(str_from(text), REQUEST, HTTP_REFUSE_CONNECTION);
}

static void test_expect(void **state)
{
	static const struct {
		struct str text;
		bool expect;
	} rows[] = {
		{STR(POST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"), true},
		{STR(POST "Expect: 100-CONTINUE\r\nTransfer-Encoding: chunked\r\n\r\n"), true},
		{STR(POST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n"), false},
		{STR(GET "Expect: 100-continue\r\n\r\n"), false},
		{STR("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"),
			false},
		{STR("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: nothing\r\n\r\n"), false},
	};
	struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		good(rows[i].text, &parsed);
		assert_int_equal(parsed.head.expect_continue, rows[i].expect);
		heads_done(&parsed);
	}
	CHECK_ROWS(ROW(POST "Expect: 200-ok\r\n\r\n", EXPECT), ROW(POST "Expect:\r\n\r\n", EXPECT),
		ROW(POST "Expect: 100-continue, x\r\n\r\n", EXPECT),
		ROW(POST "Expect: 100-continue;x\r\n\r\n", EXPECT),
		ROW(POST "Expect: x 100-continue\r\n\r\n", EXPECT),
		ROW(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", EXPECT));
	assert_int_equal(http_refusal_status(HTTP_REFUSE_EXPECT), 417);
}

// A head of exactly `len` bytes.
static char *long_head(size_t len)
{
	char *text = malloc(len + 1);
	size_t start = sizeof(GET "X: ") - 1;

	assert_non_null(text);
	memset(text, 'x', len);
	memcpy(text, GET "X: ", start);
	memcpy(text + len - 4, "\r\n\r\n", 5);
	return text;
}

static void test_head_size(void **state)
{
	char *text = long_head(HTTP_HEAD_BYTES_MAX);
	struct parsed parsed;

	(void)state;
	heads_parse(str_make(text, HTTP_HEAD_BYTES_MAX), REQUEST, &parsed);
	assert_int_equal(parsed.result, HTTP_HEAD_BYTES_MAX);
	heads_done(&parsed);
	heads_parse(str_make(text, HTTP_HEAD_BYTES_MAX - 1), REQUEST, &parsed);
	assert_int_equal(parsed.result, 0);
	heads_done(&parsed);
	free(text);
	text = long_head(HTTP_HEAD_BYTES_MAX + 1);
	for (size_t len = HTTP_HEAD_BYTES_MAX; len <= HTTP_HEAD_BYTES_MAX + 1; len++) {
		heads_parse(str_make(text, len), REQUEST, &parsed);
		assert_int_equal(parsed.result, -1);
		assert_int_equal(parsed.why, HTTP_REFUSE_HEAD_TOO_LARGE);
		heads_done(&parsed);
	}
	free(text);
}

static void test_target_size(void **state)
{
	char text[9000];
	struct parsed parsed;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	strcpy(text + 4 + 8192, " HTTP/1.1\r\nHost: a\r\n\r\n");
	good(str_from(text), &parsed);
	assert_int_equal(parsed.head.target.len, 8192);
	heads_done(&parsed);
	heads_parse(str_make(text, 4 + 8192), REQUEST, &parsed);
	assert_int_equal(parsed.result, 0);
	heads_done(&parsed);
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	heads_check_refused(str_make(text, 4 + 8193), REQUEST, HTTP_REFUSE_URI_TOO_LONG);
	strcpy(text + 4 + 8193, " HTTP/1.1\r\nHost: a\r\n\r\n");
	heads_check_refused(str_from(text), REQUEST, HTTP_REFUSE_URI_TOO_LONG);
}

static void test_field_count(void **state)
{
	char text[2000];
	struct parsed parsed;

	(void)state;
	strcpy(text, GET);
	for (int i = 1; i < HTTP_FIELDS_MAX; i++)
		strcat(text, "a:b\r\n");
	strcat(text, "\r\n");
	good(str_from(text), &parsed);
	assert_int_equal(parsed.head.field_count, HTTP_FIELDS_MAX);
	heads_done(&parsed);
	strcpy(text + strlen(text) - 2, "a:b\r\n\r\n");
	heads_check_refused(str_from(text), REQUEST, HTTP_REFUSE_TOO_MANY_FIELDS);
}

// A fault is seen with its byte, not with the end of the head.
static void test_early_refusal(void **state)
{
	(void)state;
	CHECK_ROWS(ROW("G@", METHOD), ROW("GET /#", TARGET), ROW("GET / HTTQ", REQUEST_LINE),
		ROW("GET / HTTP/1.1\n", LINE_END), ROW(GET "X: \x01", FIELD_VALUE),
		ROW(GET " ", OBS_FOLD), ROW(GET "X ", FIELD_NAME));
}

// Whatever is cut off the end, a head that is not complete is never taken for one.
static void test_incomplete(void **state)
{
	struct str text = STR("POST http://b/c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
			      "Sec-WebSocket-Accept: x\r\nX: y \r\n\r\n");
	struct parsed parsed;

	(void)state;
	for (size_t len = 0; len < text.len; len++) {
		size_t scanned = 0;

		heads_parse(str_make(text.ptr, len), REQUEST, &parsed);
		assert_int_equal(parsed.result, 0);
		assert_int_equal(parsed.why, HTTP_REFUSE_OK);
		assert_int_equal(h1_head_end(text.ptr, len, &scanned), 0);
		heads_done(&parsed);
	}
}

// Behind the head others may follow; they are not looked at.
static void test_pipelined(void **state)
{
	struct str text = STR(GET END "GARBAGE\0\n\n");
	struct parsed parsed;
	size_t scanned = 0;

	(void)state;
	heads_parse(text, REQUEST, &parsed);
	assert_int_equal(parsed.result, sizeof(GET END) - 1);
	assert_int_equal(h1_head_end(text.ptr, text.len, &scanned), sizeof(GET END) - 1);
	heads_done(&parsed);
}

// For the log of a refused request.
static void test_refused_head_is_described(void **state)
{
	struct parsed parsed;

	(void)state;
	heads_parse(STR("PUT /x HTTP/1.1\r\n" HOST "X\0\r\n\r\n"), REQUEST, &parsed);
	assert_int_equal(parsed.result, -1);
	assert_str(parsed.head.method_text, "PUT");
	assert_str(parsed.head.target, "/x");
	heads_done(&parsed);
	heads_parse(STR("PUT /\x01 HTTP/1.1\r\n\r\n"), REQUEST, &parsed);
	assert_str(parsed.head.method_text, "PUT");
	assert_int_equal(parsed.head.target.len, 0);
	heads_done(&parsed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_empty_lines_before),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_request_line),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_targets_refused),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_hosts_refused),
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_field_names),
		cmocka_unit_test(test_field_values),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_leading_zeros),
		cmocka_unit_test(test_lengths_refused),
		cmocka_unit_test(test_codings_refused),
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_connection_options_bound),
		cmocka_unit_test(test_expect),
		cmocka_unit_test(test_head_size),
		cmocka_unit_test(test_target_size),
		cmocka_unit_test(test_field_count),
		cmocka_unit_test(test_early_refusal),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_refused_head_is_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
