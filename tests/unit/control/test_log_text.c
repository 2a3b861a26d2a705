// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "base/log_text.h"

static struct log_text text;
static char buffer[256];

static struct str done(void)
{
	return str_make(buffer, (size_t)(text.at - buffer));
}

static void begin(size_t size)
{
	log_text_init(&text, buffer, size);
}

static void assert_done(const char *expected)
{
	assert_int_equal(done().len, strlen(expected));
	assert_memory_equal(buffer, expected, strlen(expected));
}

static void test_integers(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		u64 value = rng_u64(&rng) >> rng_below(&rng, 64);
		char expected[64];

		begin(sizeof(buffer));
		log_text_u64(&text, value);
		log_text_char(&text, ' ');
		log_text_i64(&text, (i64)value);
		snprintf(expected, sizeof(expected), "%" PRIu64 " %" PRId64, value, (i64)value);
		assert_done(expected);
	}
	begin(sizeof(buffer));
	log_text_u64(&text, 0);
	log_text_u64(&text, UINT64_MAX);
	log_text_i64(&text, INT64_MIN);
	log_text_digits(&text, 7, 3);
	log_text_digits(&text, 1234, 3);
	assert_done("018446744073709551615-9223372036854775808007234");
}

static void test_too_small_is_cut_not_overrun(void **state)
{
	(void)state;
	begin(4);
	log_text_bytes(&text, "abc", 3);
	assert_false(text.cut);
	log_text_bytes(&text, "de", 2);
	assert_true(text.cut);
	assert_done("abc");
	log_text_char(&text, 'd');
	log_text_char(&text, 'e');
	assert_done("abcd");
}

static void assert_date(i64 wall_ms)
{
	struct log_clock clock = {0};
	time_t second = (time_t)(wall_ms / 1000);
	struct tm tm;
	char expected[64];

	assert_non_null(gmtime_r(&second, &tm));
	log_clock_set(&clock, wall_ms);
	strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm);
	assert_memory_equal(clock.iso, expected, sizeof(clock.iso));
	strftime(expected, sizeof(expected), "%d/%b/%Y:%H:%M:%S +0000", &tm);
	assert_memory_equal(clock.clf, expected, sizeof(clock.clf));
	strftime(expected, sizeof(expected), "%b %d %H:%M:%S", &tm);
	assert_memory_equal(clock.human, expected, sizeof(clock.human));
}

static void test_dates(void **state)
{
	const u64 last_ms = 253402300799999;
	struct rng rng;

	(void)state;
	rng_init(&rng, 2);
	assert_date(0);
	assert_date((i64)last_ms);
	assert_date(951782399000);  // 2000-02-28 23:59:59
	assert_date(951782400000);  // the leap day
	assert_date(951868800000);  // 2000-03-01
	assert_date(4107542400000); // 2100-03-01, no leap day before
	for (int i = 0; i < 20000; i++)
		assert_date((i64)(rng_u64(&rng) % (last_ms + 1)));
}

static void test_clock_keeps_and_renews(void **state)
{
	struct log_clock clock = {0};

	(void)state;
	log_clock_set(&clock, -5);
	assert_memory_equal(clock.iso, "1970-01-01T00:00:00", 19);
	log_clock_set(&clock, INT64_MAX);
	assert_memory_equal(clock.iso, "9999-12-31T23:59:59", 19);
	log_clock_set(&clock, 1000);
	log_clock_set(&clock, 1999);
	assert_memory_equal(clock.iso, "1970-01-01T00:00:01", 19);
	log_clock_set(&clock, 2000);
	assert_memory_equal(clock.iso, "1970-01-01T00:00:02", 19);

	clock.offset_s = -3 * 3600;
	log_clock_set(&clock, 86400000);
	assert_memory_equal(clock.human, "Jan 01 21:00:00", 15);
	assert_memory_equal(clock.iso, "1970-01-02T00:00:00", 19);
}

static void test_escapes(void **state)
{
	static const struct {
		struct str value;
		const char *as_text, *as_json;
	} cases[] = {
		{STR("plain/path-1.2"), "plain/path-1.2", "plain/path-1.2"},
		{STR("a\nb\r"), "a\\x0ab\\x0d", "a\\u000ab\\u000d"},
		{STR("say \"hi\"\\"), "say \\\"hi\\\"\\\\", "say \\\"hi\\\"\\\\"},
		{STR("\0\x1b[2J\x7f"), "\\x00\\x1b[2J\\x7f", "\\u0000\\u001b[2J\\u007f"},
		{STR("\xc3\xa4"), "\\xc3\\xa4", "\\u00e4"},
		{STR("\xe2\x80\xa8"), "\\xe2\\x80\\xa8", "\\u2028"},
		{STR("\xf0\x9f\x98\x80"), "\\xf0\\x9f\\x98\\x80", "\\ud83d\\ude00"},
		{STR("\xff\xc3"), "\\xff\\xc3", "\\\\xff\\\\xc3"},
		{STR("\xc0\xaf"), "\\xc0\\xaf", "\\\\xc0\\\\xaf"},		   // overlong
		{STR("\xed\xa0\x80"), "\\xed\\xa0\\x80", "\\\\xed\\\\xa0\\\\x80"}, // surrogate
		{STR("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin(sizeof(buffer));
		log_text_escaped(&text, cases[i].value, LOG_ESCAPE_TEXT, sizeof(buffer));
		assert_done(cases[i].as_text);
		begin(sizeof(buffer));
		log_text_escaped(&text, cases[i].value, LOG_ESCAPE_JSON, sizeof(buffer));
		assert_done(cases[i].as_json);
	}
}

static void test_long_values_end_in_dots(void **state)
{
	(void)state;
	begin(sizeof(buffer));
	log_text_escaped(&text, STR("abcdefghij"), LOG_ESCAPE_TEXT, 10);
	assert_done("abcdefghij");
	begin(sizeof(buffer));
	log_text_escaped(&text, STR("abcdefghij"), LOG_ESCAPE_TEXT, 9);
	assert_done("abcdef...");
	assert_false(text.cut);
	begin(sizeof(buffer));
	log_text_escaped(&text, STR("abc\n\n\n"), LOG_ESCAPE_TEXT, 12); // needs 15
	assert_done("abc\\x0a...");
	begin(6);
	log_text_escaped(&text, STR("abcdefghij"), LOG_ESCAPE_TEXT, 9);
	assert_true(text.cut);
}

static size_t unescape(struct str from, char *to)
{
	size_t len = 0;

	for (size_t i = 0; i < from.len; i++) {
		unsigned byte = (u8)from.ptr[i];

		if (byte == '\\' && from.ptr[i + 1] == 'x') {
			assert_int_equal(sscanf(from.ptr + i + 2, "%2x", &byte), 1);
			i += 3;
		} else if (byte == '\\') {
			byte = (u8)from.ptr[++i];
		}
		to[len++] = (char)byte;
	}
	return len;
}

// Whatever the bytes: what comes out is short enough, one safe line, without a bare quote; and
// nothing is lost when it was not cut.
static void test_any_bytes_as_text(void **state)
{
	(void)state;
	for (u64 seed = 0; seed < 20000; seed++) {
		struct rng rng;
		char value[40], back[160];
		size_t len, max;
		struct str out;

		rng_init(&rng, seed);
		len = random_bytes(&rng, value, sizeof(value));
		max = 3 + rng_below(&rng, 160);
		begin(sizeof(buffer));
		log_text_escaped(&text, str_make(value, len), LOG_ESCAPE_TEXT, max);
		out = done();
		SEEDED(seed, out.len <= max);
		SEEDED(seed, is_one_safe_line(out.ptr, out.len));
		for (size_t i = 0; i < out.len; i++) {
			SEEDED(seed, out.ptr[i] != '"');
			i += out.ptr[i] == '\\';
			SEEDED(seed, i < out.len); // the closing quote stays what it is
		}
		if (max >= len * 4) {
			SEEDED(seed, unescape(out, back) == len);
			SEEDED(seed, memcmp(back, value, len) == 0);
		}
	}
}

static void test_any_bytes_as_json(void **state)
{
	(void)state;
	for (u64 seed = 0; seed < 20000; seed++) {
		struct rng rng;
		char value[40];
		size_t len, max;
		struct str out;
		json_t *json;

		rng_init(&rng, seed);
		len = random_bytes(&rng, value, sizeof(value));
		max = 3 + rng_below(&rng, 250);
		begin(sizeof(buffer));
		log_text_char(&text, '"');
		log_text_escaped(&text, str_make(value, len), LOG_ESCAPE_JSON, max);
		log_text_char(&text, '"');
		out = done();
		SEEDED(seed, out.len <= max + 2);
		SEEDED(seed, is_one_safe_line(out.ptr, out.len));
		json = json_loadb(out.ptr, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		SEEDED(seed, json_is_string(json));
		json_decref(json);
		json = json_stringn(value, len); // NULL when this is not UTF-8
		if (json && max >= len * 12) {
			json_t *back = json_loadb(
				out.ptr, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

			SEEDED(seed, json_equal(json, back));
			json_decref(back);
		}
		json_decref(json);
	}
}

static void test_bare_values(void **state)
{
	(void)state;
	assert_true(log_text_is_bare(STR("10.0.0.1:80")));
	assert_false(log_text_is_bare(STR_EMPTY));
	assert_false(log_text_is_bare(STR("a b")));
	assert_false(log_text_is_bare(STR("a=b")));
	assert_false(log_text_is_bare(STR("a}")));
	assert_false(log_text_is_bare(STR("\"")));
	assert_false(log_text_is_bare(STR("a\n")));
}

static void test_addresses(void **state)
{
	struct addr addr;

	(void)state;
	begin(sizeof(buffer));
	assert_int_equal(addr_parse(STR("127.0.0.1:7070"), &addr), 0);
	log_text_addr(&text, &addr);
	log_text_char(&text, ' ');
	log_text_ip(&text, &addr);
	log_text_char(&text, ' ');
	assert_int_equal(addr_parse(STR("[2001:db8::1]:443"), &addr), 0);
	log_text_addr(&text, &addr);
	log_text_char(&text, ' ');
	log_text_ip(&text, &addr);
	assert_done("127.0.0.1:7070 127.0.0.1 [2001:db8::1]:443 2001:db8::1");

	begin(sizeof(buffer));
	addr = (struct addr){.family = ADDR_UNIX, .path = "/run/a\nb"};
	log_text_addr(&text, &addr);
	assert_done("unix:/run/a\\x0ab");
}

// What is written where the room is known to be there is the same.
static void test_put(void **state)
{
	char expected[64], got[64], value[64], *end;
	struct log_text other;
	struct rng rng;

	(void)state;
	rng_init(&rng, 3);
	for (int i = 0; i < 200000; i++) {
		u64 number = rng_u64(&rng) >> rng_below(&rng, 64);

		log_text_init(&other, expected, sizeof(expected));
		log_text_u64(&other, number);
		end = log_put_u64(got, number);
		assert_int_equal(end - got, other.at - expected);
		assert_memory_equal(got, expected, (size_t)(end - got));
	}
	for (u64 number = 0; number < 20000; number++) {
		log_text_init(&other, expected, sizeof(expected));
		log_text_u64(&other, number);
		end = log_put_u64(got, number);
		assert_int_equal(end - got, other.at - expected);
		assert_memory_equal(got, expected, (size_t)(end - got));
	}
	assert_ptr_equal(LOG_PUT(got, "abc"), got + 3);
	for (size_t len = 0; len < sizeof(value); len++) {
		for (size_t odd = 0; odd <= len; odd++) {
			struct str text_ = str_make(value, len);

			memset(value, 'a', len);
			if (odd < len)
				value[odd] = "\"\\\x1f\x7f\x80"[odd % 5];
			log_text_init(&other, expected, 48);
			log_text_escaped(&other, text_, LOG_ESCAPE_JSON, 48);
			end = log_put_escaped(got, text_, LOG_ESCAPE_JSON, 48);
			assert_int_equal(end - got, other.at - expected);
			assert_memory_equal(got, expected, (size_t)(end - got));
			assert_int_equal(odd == len && len <= 48,
				(size_t)(end - got) == len && memcmp(got, value, len) == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_too_small_is_cut_not_overrun),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_clock_keeps_and_renews),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_long_values_end_in_dots),
		cmocka_unit_test(test_any_bytes_as_text),
		cmocka_unit_test(test_any_bytes_as_json),
		cmocka_unit_test(test_bare_values),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests_name("log_text", tests, NULL, NULL);
}
