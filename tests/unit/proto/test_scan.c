// SPDX-License-Identifier: Apache-2.0
// The fast scanners against the table, and the parser as it is against the same parser built
// without SSE2 and built on the table alone: over mutations of good heads they must agree in every
// verdict and every slice.
#include "heads.h"

#include "base/rng.h"
#include "proto/scan.h"

#define PARSERS(prefix)                                                                          \
	int prefix##_h1_parse_request(const char *, size_t, const struct h1_limits *,            \
		struct http_field *, struct http_head *, enum http_refusal *);                   \
	int prefix##_h1_parse_response(const char *, size_t, const struct h1_limits *,           \
		enum http_method, struct http_field *, struct http_head *, enum http_refusal *); \
	enum http_refusal prefix##_http_path_normalize(struct str, char *, struct str *);

PARSERS(table)
PARSERS(portable)

// Every byte at every place of every length, behind and before good bytes.
static void test_places(void **state)
{
	char bytes[64];

	(void)state;
	for (size_t len = 1; len <= 40; len++) {
		for (size_t place = 0; place < len; place++) {
			for (int byte = 0; byte < 256; byte++) {
				char *text = bytes + sizeof(bytes) - len,
				     *end = bytes + sizeof(bytes);
				const char *want;

				memset(bytes, 'a', sizeof(bytes));
				text[place] = (char)byte;
				assert_ptr_equal(
					scan_word(text, end), scan_table(text, end, SCAN_WORD));
				assert_ptr_equal(
					scan_target(text, end), scan_table(text, end, SCAN_TARGET));
				assert_ptr_equal(
					scan_path(text, end), scan_table(text, end, SCAN_PATH));
				want = byte == '\t' ? text + place
						    : scan_table(text, end, SCAN_VALUE);
				assert_ptr_equal(scan_value(text, end), want);
			}
		}
	}
}

static void test_random_bytes(void **state)
{
	struct rng rng;
	char bytes[48];

	(void)state;
	rng_init(&rng, 3);
	for (int round = 0; round < 300000; round++) {
		size_t len = rng_below(&rng, sizeof(bytes) + 1);
		u8 keep = (u8)(rng_one_in(&rng, 2) ? 0x7f : 0xff);

		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)((rng_u64(&rng) >> 20 & keep) |
					  (rng_one_in(&rng, 30) ? 0 : 0x40));
		assert_ptr_equal(
			scan_word(bytes, bytes + len), scan_table(bytes, bytes + len, SCAN_WORD));
		assert_ptr_equal(scan_target(bytes, bytes + len),
			scan_table(bytes, bytes + len, SCAN_TARGET));
		assert_ptr_equal(
			scan_path(bytes, bytes + len), scan_table(bytes, bytes + len, SCAN_PATH));
	}
}

// The table against the grammar, written down in another way.
static void test_classes(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		bool alnum =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		bool visible = c > ' ' && c < 0x7f, high = c >= 0x80;
		char text = (char)c;

		assert_int_equal(
			scan_is(text, SCAN_TOKEN), alnum || (c && strchr("!#$%&'*+-.^_`|~", c)));
		assert_int_equal(scan_is(text, SCAN_WORD), alnum || (c && strchr("-._", c)));
		assert_int_equal(
			scan_is(text, SCAN_VALUE), visible || high || c == ' ' || c == '\t');
		assert_int_equal(scan_is(text, SCAN_QUOTED),
			(visible || high || c == ' ' || c == '\t') && c != '"' && c != '\\');
		assert_int_equal(scan_is(text, SCAN_TARGET), visible && c != '#');
		assert_int_equal(
			scan_is(text, SCAN_HOST), alnum || (c && strchr("-._~!$&'()*+;=", c)));
		assert_int_equal(scan_is(text, SCAN_HEX), c && strchr("0123456789abcdefABCDEF", c));
		assert_int_equal(scan_is(text, SCAN_PATH), !c || !strchr("%?.", c));
	}
}

#if SCAN_SSE2
static bool is_lower_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!scan_is(text[i], SCAN_WORD) || text[i] == '_' ||
			(text[i] >= 'A' && text[i] <= 'Z'))
			return false;
	return true;
}

// Those that read 16 bytes whatever there is.
static void test_roomy(void **state)
{
	char bytes[64], other[64];

	(void)state;
	for (u32 len = 1; len <= 15; len++) {
		for (u32 place = 0; place < len + 1; place++) {
			for (int byte = 0; byte < 256; byte++) {
				memset(bytes, 'b', sizeof(bytes));
				memcpy(other, bytes, sizeof(other));
				bytes[place] = (char)byte;
				assert_int_equal(
					scan_all_lower(bytes, len), is_lower_name(bytes, len));
				assert_int_equal(scan_equal(bytes, other, len),
					memcmp(bytes, other, len) == 0);
			}
		}
	}
	for (u32 len = 0; len <= 40; len++) {
		for (int byte = 0; byte < 256; byte++) {
			memset(bytes, 'a', sizeof(bytes));
			bytes[len] = (char)byte;
			bytes[len + 3] = '\r';
			assert_ptr_equal(
				scan_value_stop(bytes), scan_value(bytes, bytes + sizeof(bytes)));
			assert_ptr_equal(
				scan_target_stop(bytes), scan_target(bytes, bytes + sizeof(bytes)));
		}
	}
}
#endif

static const char *const seeds[] = {
	"GET /100 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
	"POST /a/./b/%2e%2e/c?d=e HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10\r\n"
	"Content-Type: text/plain\r\nExpect: 100-continue\r\n\r\n",
	"PUT http://user.example:80/x HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n"
	"Connection: keep-alive, upgrade, x-y\r\nUpgrade: websocket\r\nX-Y: z\t \r\n\r\n",
	"\r\nOPTIONS * HTTP/1.0\r\nHost: [::1]:1\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n"
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nEmpty:\r\n\r\n",
	"GET /a/long/path/with/many/segments/and/a/query?that=is&longer=than&one=vector "
	"HTTP/1.1\r\n"
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
	"Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip\r\n"
	"Access-Control-Request-Headers: x\r\nHost:\twww.example.com\t\r\nCookie: a=b; "
	"c=\xc3\xa4\r\n\r\n",
	"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
	"Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n",
	"HTTP/1.0 404 Not \tFound\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 204\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nSet-Cookie: a\r\n\r\n",
};

// Bytes that decide something somewhere.
static const char spice[] = "\r\n\t :\0\x7f\x80\xff\x01/.%?#@[],;=\"-_0123456789abcxAZ\x1f\x0b*";

static size_t mutate(struct rng *rng, char *text, size_t len, size_t len_max)
{
	size_t at = rng_below(rng, (u32)len), from = rng_below(rng, (u32)len);
	size_t size = 1 + rng_below(rng, 20);

	switch (rng_below(rng, 5)) {
	case 0: // another byte
		text[at] = spice[rng_below(rng, sizeof(spice) - 1)];
		break;
	case 1: // one byte more
		if (len == len_max)
			break;
		memmove(text + at + 1, text + at, len - at);
		text[at] = spice[rng_below(rng, sizeof(spice) - 1)];
		return len + 1;
	case 2: // a piece less
		size = MIN(size, len - at - (at == 0));
		memmove(text + at, text + at + size, len - at - size);
		return len - size;
	case 3: // a piece twice
		size = MIN(size, MIN(len - from, len_max - len));
		memmove(text + from + size, text + from, len - from);
		return len + size;
	default: // one bit
		text[at] = (char)(text[at] ^ 1 << rng_below(rng, 8));
	}
	return len;
}

static void compare_paths(const struct parsed *parsed)
{
	struct str path = parsed->head.path, normal[3];
	char *buffers[3];
	enum http_refusal why[3];

	for (int i = 0; i < 3; i++)
		buffers[i] = malloc(path.len + 1);
	why[0] = http_path_normalize(path, buffers[0], &normal[0]);
	why[1] = table_http_path_normalize(path, buffers[1], &normal[1]);
	why[2] = portable_http_path_normalize(path, buffers[2], &normal[2]);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(why[0], why[i]);
		if (!why[0])
			assert_true(str_eq(normal[0], normal[i]));
	}
	for (int i = 0; i < 3; i++)
		free(buffers[i]);
}

// Gives the verdict.
static int compare(struct str text, bool request)
{
	static char lines[3][HEAD_LINE_MAX];
	static struct parsed parsed, others[2];

	heads_parse(text, request ? HTTP_OTHER_METHOD : HTTP_GET, &parsed);
	heads_describe(&parsed, lines[0]);
	for (int i = 0; i < 2; i++) {
		struct parsed *other = &others[i];

		other->bytes = parsed.bytes;
		if (request)
			other->result = (i ? table_h1_parse_request : portable_h1_parse_request)(
				parsed.bytes, text.len, &heads_limits, other->fields, &other->head,
				&other->why);
		else
			other->result = (i ? table_h1_parse_response : portable_h1_parse_response)(
				parsed.bytes, text.len, &heads_limits, HTTP_GET, other->fields,
				&other->head, &other->why);
		heads_describe(other, lines[i + 1]);
		assert_string_equal(lines[0], lines[i + 1]);
	}
	if (request && parsed.result > 0)
		compare_paths(&parsed);
	heads_done(&parsed);
	return parsed.result;
}

static void test_variants(void **state)
{
	static char text[2048];
	struct rng rng;
	u32 verdicts[3] = {0};

	(void)state;
	rng_init(&rng, 4);
	for (int round = 0; round < 200000; round++) {
		const char *seed = seeds[rng_below(&rng, ARRAY_LEN(seeds))];
		size_t len = strlen(seed);
		bool request = strncmp(seed, "HTTP", 4) != 0;
		int result;

		memcpy(text, seed, len);
		for (u32 count = rng_below(&rng, 5); count && len > 1; count--)
			len = mutate(&rng, text, len, sizeof(text));
		result = compare(str_make(text, len), request);
		verdicts[result < 0 ? 0 : result == 0 ? 1 : 2]++;
		if (round % 50 == 0)
			heads_check_pieces(
				str_make(text, len), request ? HTTP_OTHER_METHOD : HTTP_GET);
	}
	assert_true(verdicts[0] > 20000 && verdicts[1] > 2000 && verdicts[2] > 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
#if SCAN_SSE2
		cmocka_unit_test(test_roomy),
#endif
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_variants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
