// SPDX-License-Identifier: Apache-2.0
// What is written is read back by a reader that is not ours.
#include "base/json.h"

#include <jansson.h>
#include <math.h>

#include "base/rng.h"
#include "test.h"

static json_t *read_back(const struct text *text)
{
	json_error_t error;
	json_t *value = json_loadb(text->data, text->len,
		JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);

	if (!value)
		fail_msg("not JSON: %s: %s", error.text, text->data);
	return value;
}

static void assert_text(struct text *text, const char *expected)
{
	assert_string_equal(text->data, expected);
	json_decref(read_back(text));
	text_clear(text);
}

static void commas(void **state)
{
	struct text text = {0};
	struct json json;

	(void)state;
	json_init(&json, &text);
	assert_true(json_is_complete(&json));
	json_object_begin(&json);
	assert_false(json_is_complete(&json));
	json_key(&json, "empty");
	json_object_begin(&json);
	json_object_end(&json);
	json_key(&json, "list");
	json_array_begin(&json);
	json_array_begin(&json);
	json_array_end(&json);
	json_u64(&json, 1);
	json_object_begin(&json);
	json_key_none(&json, "a");
	json_key_bool(&json, "b", true);
	json_object_end(&json);
	json_raw(&json, STR("[2,3]"));
	json_array_end(&json);
	json_key_str(&json, "str", STR("x"));
	json_key_cstr(&json, "none", NULL);
	json_key_i64(&json, "i", -5);
	json_key_f64(&json, "f", 0.25, 3);
	json_object_end(&json);
	assert_true(json_is_complete(&json));
	assert_text(&text, "{\"empty\":{},\"list\":[[],1,{\"a\":null,\"b\":true},[2,3]],"
			   "\"str\":\"x\",\"none\":null,\"i\":-5,\"f\":0.25}");
	text_done(&text);
}

// Behind what is there, as a stream of events wants it.
static void behind_other_text(void **state)
{
	struct text text = {0};
	struct json json;

	(void)state;
	text_add(&text, STR("data: "));
	json_init(&json, &text);
	json_array_begin(&json);
	json_array_end(&json);
	assert_string_equal(text.data, "data: []");
	text_done(&text);
}

static void numbers(void **state)
{
	static const struct {
		double value;
		u32 decimals;
		const char *expected;
	} rows[] = {
		{0, 3, "0.0"},
		{-0.0, 3, "0.0"},
		{3, 3, "3.0"},
		{3, 0, "3.0"},
		{2.5, 0, "3.0"},
		{0.1, 1, "0.1"},
		{0.25, 9, "0.25"},
		{1.0005, 2, "1.0"},
		{0.999, 2, "1.0"},
		{-0.999, 2, "-1.0"},
		{-0.001, 2, "0.0"},
		{-12.345, 3, "-12.345"},
		{1e-300, 9, "0.0"},
		{1e15, 3, "1.0000000000000000e+15"},
		{-1e300, 3, "-1.0000000000000001e+300"},
		{NAN, 3, "null"},
		{INFINITY, 3, "null"},
		{-INFINITY, 3, "null"},
	};
	struct text text = {0};
	struct json json;

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		json_init(&json, &text);
		json_f64(&json, rows[i].value, rows[i].decimals);
		assert_text(&text, rows[i].expected);
	}
	json_init(&json, &text);
	json_array_begin(&json);
	json_u64(&json, 0);
	json_u64(&json, UINT64_MAX);
	json_i64(&json, INT64_MIN);
	json_i64(&json, INT64_MAX);
	json_array_end(&json);
	assert_string_equal(
		text.data, "[0,18446744073709551615,-9223372036854775808,9223372036854775807]");
	text_done(&text);
}

static void random_numbers(void **state)
{
	struct text text = {0};
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (u32 i = 0; i < 10000; i++) {
		u32 decimals = rng_below(&rng, JSON_DECIMALS_MAX + 1);
		double size = pow(10, (double)rng_below(&rng, 30) - 12);
		double value = ((double)(rng_u64(&rng) >> 11) * 0x1p-53 - 0.5) * size, read;
		struct json json;
		json_t *back;

		json_init(&json, &text);
		json_f64(&json, value, decimals);
		back = read_back(&text);
		assert_true(json_is_real(back));
		read = json_real_value(back);
		assert_true(fabs(read - value) <=
			    0.5001 * pow(10, -(double)decimals) + fabs(value) * 1e-15);
		json_decref(back);
		text_clear(&text);
	}
	text_done(&text);
}

#define UNKNOWN "\xef\xbf\xbd"

static void strangers(void **state)
{
	static const struct {
		struct str value;
		const char *expected;
	} rows[] = {
		{{"", 0}, "\"\""},
		{{NULL, 0}, "\"\""},
		{{"a/b", 3}, "\"a/b\""},
		{{"\"\\", 2}, "\"\\\"\\\\\""},
		{{"\n\r\t\b\0\x1b\x7f", 7}, "\"\\n\\r\\t\\u0008\\u0000\\u001b\\u007f\""},
		{{"\xc2\x9b", 2}, "\"\\u009b\""},
		{{"\xc2\xa0", 2}, "\"\xc2\xa0\""},
		{{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
			"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{{"\xc0\x80", 2}, "\"" UNKNOWN UNKNOWN "\""},		  // overlong
		{{"\xe0\x9f\xbf", 3}, "\"" UNKNOWN UNKNOWN UNKNOWN "\""}, // overlong
		{{"\xed\xa0\x80", 3}, "\"" UNKNOWN UNKNOWN UNKNOWN "\""}, // a surrogate
		{{"\xf4\x90\x80\x80", 4}, "\"" UNKNOWN UNKNOWN UNKNOWN UNKNOWN "\""},
		{{"\xe2\x82", 2}, "\"" UNKNOWN UNKNOWN "\""}, // cut
		{{"\xe2\x82\"", 3}, "\"" UNKNOWN UNKNOWN "\\\"\""},
		{{"\xff", 1}, "\"" UNKNOWN "\""},
	};
	struct text text = {0};
	struct json json;

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		json_init(&json, &text);
		json_str(&json, rows[i].value);
		assert_text(&text, rows[i].expected);
	}
	json_init(&json, &text);
	json_object_begin(&json);
	json_key_u64(&json, "a\"b", 1);
	json_object_end(&json);
	assert_text(&text, "{\"a\\\"b\":1}");
	text_done(&text);
}

// Any code point that UTF-8 can hold comes back; any bytes at all give what a strict reader takes.
static void random_texts(void **state)
{
	struct text text = {0}, value = {0};
	struct rng rng;

	(void)state;
	rng_init(&rng, 8);
	for (u32 round = 0; round < 20000; round++) {
		bool valid = round % 2;
		struct json json;
		json_t *back;

		for (u32 i = rng_below(&rng, 12); i > 0; i--) {
			u32 code = rng_below(&rng, rng_one_in(&rng, 2) ? 0x110000 : 0x300);

			if (!valid)
				text_addc(&value,
					(char)(rng_one_in(&rng, 3) ? rng_below(&rng, 128)
								   : 128 + rng_below(&rng, 128)));
			else if (code < 0x80)
				text_addc(&value, (char)code);
			else if (code < 0x800)
				text_printf(&value, "%c%c", 0xc0 | code >> 6, 0x80 | (code & 63));
			else if (code >= 0x10000)
				text_printf(&value, "%c%c%c%c", 0xf0 | code >> 18,
					0x80 | (code >> 12 & 63), 0x80 | (code >> 6 & 63),
					0x80 | (code & 63));
			else if (code < 0xd800 || code > 0xdfff)
				text_printf(&value, "%c%c%c", 0xe0 | code >> 12,
					0x80 | (code >> 6 & 63), 0x80 | (code & 63));
		}
		json_init(&json, &text);
		json_str(&json, str_make(value.data, value.len));
		back = read_back(&text);
		for (size_t i = 0; i < text.len; i++)
			assert_true((u8)text.data[i] >= ' ' && text.data[i] != 0x7f);
		if (valid) {
			assert_int_equal(json_string_length(back), value.len);
			if (value.len)
				assert_memory_equal(json_string_value(back), value.data, value.len);
		}
		json_decref(back);
		text_clear(&text);
		text_clear(&value);
	}
	text_done(&text);
	text_done(&value);
}

static void write_random(struct json *json, struct rng *rng, u32 depth, u32 *values)
{
	u32 kind = rng_below(rng, depth < JSON_DEPTH_MAX ? 8 : 6);
	char key[16];

	(*values)++;
	switch (kind) {
	case 0:
		json_none(json);
		break;
	case 1:
		json_bool(json, rng_one_in(rng, 2));
		break;
	case 2:
		json_i64(json, (i64)(rng_u64(rng) >> rng_below(rng, 64)) *
				       (rng_one_in(rng, 2) ? 1 : -1) / 2);
		break;
	case 3:
		json_f64(json, (double)(i64)rng_u64(rng) * 1e-12, 6);
		break;
	case 4:
	case 5:
		json_str(json, STR("text"));
		break;
	case 6:
		json_array_begin(json);
		for (u32 i = rng_below(rng, 4); i > 0; i--)
			write_random(json, rng, depth + 1, values);
		json_array_end(json);
		break;
	case 7:
		json_object_begin(json);
		for (u32 i = rng_below(rng, 4); i > 0; i--) {
			snprintf(key, sizeof(key), "k%u", i);
			json_key(json, key);
			write_random(json, rng, depth + 1, values);
		}
		json_object_end(json);
		break;
	}
}

static u32 count_values(json_t *value)
{
	u32 sum = 1;
	size_t index;
	const char *key;
	json_t *child;

	if (json_is_array(value)) {
		json_array_foreach(value, index, child) sum += count_values(child);
	} else if (json_is_object(value)) {
		json_object_foreach(value, key, child) sum += count_values(child);
	}
	return sum;
}

static void random_documents(void **state)
{
	struct text text = {0};
	struct rng rng;

	(void)state;
	rng_init(&rng, 9);
	for (u32 round = 0; round < 3000; round++) {
		struct json json;
		u32 values = 0;
		json_t *back;

		json_init(&json, &text);
		write_random(&json, &rng, 0, &values);
		assert_true(json_is_complete(&json));
		back = read_back(&text);
		assert_int_equal(count_values(back), values);
		json_decref(back);
		text_clear(&text);
	}
	text_done(&text);
}

// Room that was asked for is enough: the text stays where it is.
static void reserve(void **state)
{
	struct text text = {0};
	const char *before;

	(void)state;
	text_reserve(&text, 4000);
	before = text.data;
	for (u32 i = 0; i < 1000; i++)
		text_add(&text, STR("1234"));
	assert_ptr_equal(text.data, before);
	assert_int_equal(text.len, 4000);
	text_clear(&text);
	assert_int_equal(text.len, 0);
	assert_string_equal(text.data, "");
	assert_ptr_equal(text.data, before);
	text_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas),
		cmocka_unit_test(behind_other_text),
		cmocka_unit_test(numbers),
		cmocka_unit_test(random_numbers),
		cmocka_unit_test(strangers),
		cmocka_unit_test(random_texts),
		cmocka_unit_test(random_documents),
		cmocka_unit_test(reserve),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
