// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <math.h>

// From here on doubles have no digits behind the point that could be told apart.
static const double plain_max = 1e15;

void json_init(struct json *json, struct text *text)
{
	*json = (struct json){.text = text};
}

bool json_is_complete(const struct json *json)
{
	return json->depth == 0 && !json->keyed;
}

static u32 bit(const struct json *json)
{
	return 1u << json->depth;
}

static bool is_in_object(const struct json *json)
{
	return json->depth > 0 && (json->objects & bit(json));
}

static void put_comma(struct json *json)
{
	if (json->depth == 0)
		return;
	if (json->begun & bit(json))
		text_addc(json->text, ',');
	json->begun |= bit(json);
}

// In front of every value.
static void begin_value(struct json *json)
{
	ASSERT(is_in_object(json) == json->keyed);
	if (json->keyed)
		json->keyed = false;
	else
		put_comma(json);
}

static void put(struct json *json, const char *bytes, size_t len)
{
	text_add(json->text, str_make(bytes, len));
}

// ---- Containers ---------------------------------------------------------------------------------

static void begin(struct json *json, bool object)
{
	begin_value(json);
	ASSERT(json->depth < JSON_DEPTH_MAX);
	json->depth++;
	json->begun &= ~bit(json);
	json->objects &= ~bit(json);
	if (object)
		json->objects |= bit(json);
	text_addc(json->text, object ? '{' : '[');
}

static void end(struct json *json, bool object)
{
	ASSERT(json->depth > 0 && is_in_object(json) == object && !json->keyed);
	json->depth--;
	text_addc(json->text, object ? '}' : ']');
}

void json_object_begin(struct json *json)
{
	begin(json, true);
}

void json_object_end(struct json *json)
{
	end(json, true);
}

void json_array_begin(struct json *json)
{
	begin(json, false);
}

void json_array_end(struct json *json)
{
	end(json, false);
}

// ---- Texts --------------------------------------------------------------------------------------

static bool continues(struct str text, size_t at, u8 from, u8 to)
{
	return at < text.len && (u8)text.ptr[at] >= from && (u8)text.ptr[at] <= to;
}

// How many bytes the UTF-8 sequence at the beginning takes (RFC 3629: neither overlong forms nor
// surrogates, nothing above U+10FFFF). 0: there is none.
static size_t utf8_len(struct str text)
{
	u8 first = (u8)text.ptr[0], from = 0x80, to = 0xbf;
	size_t len;

	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (first == 0xe0)
		from = 0xa0;
	else if (first == 0xed)
		to = 0x9f;
	else if (first == 0xf0)
		from = 0x90;
	else if (first == 0xf4)
		to = 0x8f;
	if (!continues(text, 1, from, to))
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!continues(text, i, 0x80, 0xbf))
			return 0;
	return len;
}

static void put_escape(struct json *json, u8 code)
{
	char escape[6] = {
		'\\', 'u', '0', '0', "0123456789abcdef"[code >> 4], "0123456789abcdef"[code & 15]};

	switch (code) {
	case '"':
		put(json, "\\\"", 2);
		break;
	case '\\':
		put(json, "\\\\", 2);
		break;
	case '\n':
		put(json, "\\n", 2);
		break;
	case '\r':
		put(json, "\\r", 2);
		break;
	case '\t':
		put(json, "\\t", 2);
		break;
	default:
		put(json, escape, sizeof(escape));
		break;
	}
}

static bool is_plain(char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

// What is not plain, one character of it. Gives how many bytes it took.
static size_t put_special(struct json *json, struct str text)
{
	u8 first = (u8)text.ptr[0];
	size_t len = utf8_len(text);

	if (len == 0) {
		put(json, "\xef\xbf\xbd", 3);
		return 1;
	}
	if (len == 1)
		put_escape(json, first);
	else if (len == 2 && first == 0xc2 && (u8)text.ptr[1] < 0xa0)
		put_escape(json, (u8)text.ptr[1]);
	else
		put(json, text.ptr, len);
	return len;
}

static void put_quoted(struct json *json, struct str text)
{
	text_addc(json->text, '"');
	while (text.len) {
		size_t plain = 0;

		while (plain < text.len && is_plain(text.ptr[plain]))
			plain++;
		put(json, text.ptr, plain);
		text = str_make(text.ptr + plain, text.len - plain);
		if (text.len) {
			size_t taken = put_special(json, text);

			text = str_make(text.ptr + taken, text.len - taken);
		}
	}
	text_addc(json->text, '"');
}

void json_key(struct json *json, const char *key)
{
	ASSERT(is_in_object(json) && !json->keyed);
	put_comma(json);
	put_quoted(json, str_from(key));
	text_addc(json->text, ':');
	json->keyed = true;
}

void json_str(struct json *json, struct str value)
{
	begin_value(json);
	put_quoted(json, value);
}

void json_cstr(struct json *json, const char *value)
{
	if (value)
		json_str(json, str_from(value));
	else
		json_none(json);
}

// ---- All others ---------------------------------------------------------------------------------

void json_raw(struct json *json, struct str value)
{
	begin_value(json);
	text_add(json->text, value);
}

void json_bool(struct json *json, bool value)
{
	json_raw(json, value ? STR("true") : STR("false"));
}

void json_none(struct json *json)
{
	json_raw(json, STR("null"));
}

void json_u64(struct json *json, u64 value)
{
	begin_value(json);
	text_u64(json->text, value);
}

void json_i64(struct json *json, i64 value)
{
	begin_value(json);
	if (value < 0)
		text_addc(json->text, '-');
	text_u64(json->text, value < 0 ? -(u64)value : (u64)value);
}

static void put_decimals(struct json *json, u64 part, u32 decimals)
{
	char digits[JSON_DECIMALS_MAX] = {0};
	u32 len = decimals;

	for (u32 i = decimals; i-- > 0; part /= 10)
		digits[i] = (char)('0' + part % 10);
	while (len > 1 && digits[len - 1] == '0')
		len--;
	text_addc(json->text, '.');
	if (len)
		put(json, digits, len);
	else
		text_addc(json->text, '0');
}

void json_f64(struct json *json, double value, u32 decimals)
{
	u64 scale = 1, whole, part;
	double size = fabs(value);

	ASSERT(decimals <= JSON_DECIMALS_MAX);
	if (!isfinite(value)) {
		json_none(json);
		return;
	}
	begin_value(json);
	if (size >= plain_max) {
		text_printf(json->text, "%.16e", value);
		return;
	}
	for (u32 i = 0; i < decimals; i++)
		scale *= 10;
	whole = (u64)size;
	part = (u64)((size - (double)whole) * (double)scale + 0.5);
	if (part >= scale) {
		whole++;
		part -= scale;
	}
	if (value < 0 && (whole || part))
		text_addc(json->text, '-');
	text_u64(json->text, whole);
	put_decimals(json, part, decimals);
}
