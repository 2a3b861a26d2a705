// SPDX-License-Identifier: Apache-2.0
#include "conf/hide.h"

#include "base/text.h"
#include "conf/variables.h"

static bool is_name_char(char c)
{
	return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || ascii_is_digit(c) || c == '_' ||
	       c == '-';
}

static size_t skip_blanks(struct str text, size_t at)
{
	while (at < text.len && ascii_is_blank(text.ptr[at]))
		at++;
	return at;
}

// Where the value of `name` begins when this is the key at `at`; else 0.
static size_t find_value(struct str line, size_t at, struct str name)
{
	size_t end = at + name.len;

	if (end > line.len || memcmp(line.ptr + at, name.ptr, name.len) != 0 ||
		(at > 0 && is_name_char(line.ptr[at - 1])))
		return 0;
	if (end < line.len && (line.ptr[end] == '"' || line.ptr[end] == '\''))
		end++;
	end = skip_blanks(line, end);
	if (end == line.len || (line.ptr[end] != ':' && line.ptr[end] != '='))
		return 0;
	return skip_blanks(line, end + 1);
}

// Behind the quote that ends what begins with one; a doubled one does not end it.
static size_t end_of_quoted(struct str line, size_t at)
{
	char quote = line.ptr[at++];

	for (; at < line.len; at++) {
		if (quote == '"' && line.ptr[at] == '\\')
			at++;
		else if (line.ptr[at] == quote && (at + 1 == line.len || line.ptr[at + 1] != quote))
			return at + 1;
		else if (line.ptr[at] == quote)
			at++;
	}
	return line.len;
}

// Inside of brackets a comma ends a value, else it is part of one.
static size_t end_of_plain(struct str line, size_t key_at, size_t at)
{
	bool in_brackets = str_find(str_make(line.ptr, key_at), '{') < key_at;

	while (at < line.len && line.ptr[at] != '\r' &&
		!(in_brackets && (line.ptr[at] == ',' || line.ptr[at] == '}')))
		at++;
	return at;
}

// The value without its quotes.
static struct str inside(struct str line, size_t at, size_t end)
{
	struct str value = str_trim(str_make(line.ptr + at, end - at));

	if (value.len > 1 && (value.ptr[0] == '"' || value.ptr[0] == '\''))
		value = str_make(value.ptr + 1, value.len - 2);
	return value;
}

static void add_hidden(struct text *text, struct str value)
{
	for (size_t i = 0; i < value.len; i++)
		if (((u8)value.ptr[i] & 0xc0) != 0x80)
			text_addc(text, '*');
}

static void add_line(struct text *text, struct str line, struct str name)
{
	size_t at = 0, value, end;

	for (size_t i = 0; i + name.len < line.len; i++) {
		value = find_value(line, i, name);
		if (!value || value == line.len || line.ptr[value] == '{')
			continue;
		end = line.ptr[value] == '"' || line.ptr[value] == '\''
			      ? end_of_quoted(line, value)
			      : end_of_plain(line, i, value);
		if (!variables_is_one(inside(line, value, end))) {
			text_add(text, str_make(line.ptr + at, value - at));
			add_hidden(text, str_make(line.ptr + value, end - value));
			at = end;
		}
		i = end - 1;
	}
	text_add(text, str_make(line.ptr + at, line.len - at));
}

static struct str hide_one(struct arena *arena, struct str text, struct str name)
{
	struct text hidden = {0};

	if (!memmem(text.ptr, text.len, name.ptr, name.len))
		return text;
	while (text.len) {
		struct str rest = text, line = str_cut(&rest, '\n');

		add_line(&hidden, line, name);
		if (line.len < text.len)
			text_addc(&hidden, '\n');
		text = rest;
	}
	return text_take(&hidden, arena);
}

// Keys of several maps may have one name. A second round would take what the first one left.
static bool is_first_of_name(u32 index)
{
	for (u32 i = 0; i < index; i++)
		if (schema_keys[i].kind == KIND_SECRET &&
			str_eq(schema_keys[i].name, schema_keys[index].name))
			return false;
	return true;
}

// "postgres://me:PASSWORD@host": in URLs anywhere, comments too.
static struct str hide_passwords(struct arena *arena, struct str text)
{
	struct text hidden = {0};
	size_t at = 0, colon, end;

	if (!memmem(text.ptr, text.len, "://", 3))
		return text;
	for (size_t i = 0; i + 3 < text.len; i++) {
		if (memcmp(text.ptr + i, "://", 3) != 0)
			continue;
		colon = 0;
		for (end = i + 3; end < text.len && (u8)text.ptr[end] > ' ' &&
				  !strchr("/@\"'", text.ptr[end]);
			end++)
			if (text.ptr[end] == ':' && !colon)
				colon = end + 1;
		if (!colon || end == text.len || text.ptr[end] != '@')
			continue;
		text_add(&hidden, str_make(text.ptr + at, colon - at));
		add_hidden(&hidden, str_make(text.ptr + colon, end - colon));
		at = end;
		i = end;
	}
	text_add(&hidden, str_make(text.ptr + at, text.len - at));
	return text_take(&hidden, arena);
}

struct str hide_secrets(struct arena *arena, struct str text)
{
	text = hide_passwords(arena, text);
	for (u32 i = 0; i < schema_key_count; i++)
		if (schema_keys[i].kind == KIND_SECRET && is_first_of_name(i))
			text = hide_one(arena, text, schema_keys[i].name);
	return text;
}

struct str hide_values(struct arena *arena, struct str text)
{
	struct text hidden = {0};

	while (text.len) {
		struct str value = str_cut(&text, '\n'), name = str_cut(&value, '=');

		text_add(&hidden, name);
		if (value.ptr > name.ptr + name.len)
			text_addc(&hidden, '=');
		add_hidden(&hidden, value);
		text_addc(&hidden, '\n');
	}
	return text_take(&hidden, arena);
}
