// SPDX-License-Identifier: Apache-2.0
#include <jansson.h>

#include "conf/read.h"
#include "conf/schema.h"

// jansson names the token where it stopped and points behind it: "'}' expected near 'foo'".
static u32 find_token_width(const char *text)
{
	const char *near = strstr(text, " near '");
	const char *end = near ? strrchr(near + 7, '\'') : NULL;

	return end && end > near + 7 ? (u32)(end - near - 7) : 1;
}

// JSON has three words only.
static void suggest_word(struct report *report, struct err *err, const char *text, u32 width)
{
	static const struct str words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
	const char *near = strstr(text, "invalid token near '");
	struct nearest nearest = {0};

	for (size_t i = 0; i < ARRAY_LEN(words) && near; i++)
		nearest_try(&nearest, str_make(near + 20, width), words[i]);
	if (nearest.found)
		report_advice(report, err, "did you mean '%.*s'?", CLIP(nearest.name));
}

static bool check_grammar(const struct read_input *input)
{
	json_error_t error;
	json_t *json = json_loadb(input->text.ptr, input->text.len, 0, &error);
	struct place place = {.file = input->file};
	struct err *err;
	u32 width;

	if (json) {
		json_decref(json);
		return true;
	}
	width = find_token_width(error.text);
	place.line = (u32)MAX(error.line, 1);
	place.column = (u32)MAX(error.column, 1);
	place.column -= MIN(width - 1, place.column - 1);
	err = report_at(input->report, CODE_SYNTAX, place, width, "not valid JSON: %s", error.text);
	suggest_word(input->report, err, error.text, width);
	return false;
}

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The number of \uXXXX, or -1.
static int parse_escape(const char *at, const char *end)
{
	int value = 0;

	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int digit = hex_digit(at[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

// JSON is YAML in flow style, but for two things: YAML wants no tabs between tokens (there are none
// in strings), and knows no surrogate pairs: "\uD83D\uDE00" is written "\U0001F600" there. The
// places behind such a pair on its line are two columns less.
static struct str to_yaml(struct arena *arena, struct str json)
{
	char *copy = arena_zalloc(arena, json.len + 1);
	const char *at = json.ptr, *end = json.ptr + json.len;
	size_t len = 0;

	while (at < end) {
		int high = parse_escape(at, end), low;

		if (*at == '\\' && (high < 0xd800 || high > 0xdbff)) {
			copy[len++] = *at++;
			copy[len++] = *at++;
			continue;
		}
		low = high >= 0 ? parse_escape(at + 6, end) : -1;
		if (low >= 0xdc00 && low <= 0xdfff) {
			static const char digits[] = "0123456789abcdef";
			u32 code = 0x10000u + (((u32)high & 0x3ff) << 10) + ((u32)low & 0x3ff);

			copy[len++] = '\\';
			copy[len++] = 'U';
			for (int shift = 28; shift >= 0; shift -= 4)
				copy[len++] = digits[(code >> shift) & 15];
			at += 12;
			continue;
		}
		copy[len++] = *at == '\t' ? ' ' : *at;
		at++;
	}
	return str_make(copy, len);
}

struct node *read_json(const struct read_input *input)
{
	struct read_input yaml = *input;

	if (!check_grammar(input))
		return NULL;
	yaml.text = to_yaml(input->report->arena, input->text);
	return read_yaml(&yaml);
}
