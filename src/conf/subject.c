// SPDX-License-Identifier: Apache-2.0
#include "conf/subject.h"

#include "base/text.h"

enum { parts_max = 32 };

struct name {
	struct str parts[parts_max]; // "CN=a" or "CN = a"
	u32 count;
	bool has_slashes, has_spaces; // "/CN=a" | "CN = a"
};

static struct str behind(struct str text, size_t at)
{
	return str_make(text.ptr + at, text.len - at);
}

// "CN=" or "CN =" or "2.5.4.3=".
static bool begins_part(struct str text)
{
	size_t at = 0;

	while (at < text.len &&
		(ascii_is_digit(text.ptr[at]) || text.ptr[at] == '.' ||
			(ascii_lower(text.ptr[at]) >= 'a' && ascii_lower(text.ptr[at]) <= 'z')))
		at++;
	return at && str_starts(str_trim(behind(text, at)), STR("="));
}

// Where the first part ends: before "/CN=", or before ", CN=" outside of quotes.
static size_t find_end(const struct name *name, struct str text)
{
	bool is_quoted = false;

	for (size_t at = 0; at < text.len; at++) {
		struct str rest = behind(text, at);

		if (!name->has_slashes && rest.ptr[0] == '\\')
			at++;
		else if (!name->has_slashes && rest.ptr[0] == '"')
			is_quoted = !is_quoted;
		else if (name->has_slashes && rest.ptr[0] == '/' && begins_part(behind(rest, 1)))
			return at;
		else if (!name->has_slashes && !is_quoted && str_starts(rest, STR(", ")))
			return at;
	}
	return text.len;
}

static bool take_apart(struct str text, struct name *name)
{
	size_t gap = 2;

	if (str_starts(text, STR("subject=")))
		text = str_trim(behind(text, 8));
	name->has_slashes = str_starts(text, STR("/"));
	if (name->has_slashes) {
		text = behind(text, 1);
		gap = 1;
	}
	while (text.len) {
		size_t end = find_end(name, text);

		if (name->count == parts_max || !begins_part(text))
			return false;
		name->parts[name->count] = str_make(text.ptr, end);
		name->has_spaces |= str_find(text, ' ') < str_find(text, '=');
		name->count++;
		text = end + gap < text.len ? behind(text, end + gap) : STR_EMPTY;
	}
	return name->count > 0;
}

// RFC 4514 2.4. With slashes nothing is escaped, in quotes only quotes are, else all is.
static void add_value(struct text *text, struct str value, bool is_plain)
{
	bool is_quoted = !is_plain && value.len > 1 && value.ptr[0] == '"' &&
			 value.ptr[value.len - 1] == '"';

	if (is_quoted)
		value = str_make(value.ptr + 1, value.len - 2);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (is_quoted && c == '\\' && i + 1 < value.len)
			c = value.ptr[++i];
		if ((is_plain || is_quoted) && memchr(",+\"\\<>;", c, 7))
			text_addc(text, '\\');
		text_addc(text, c);
	}
}

static void add_part(struct text *text, const struct name *name, u32 index)
{
	struct str value = name->parts[index], word = str_cut(&value, '=');

	if (text->len)
		text_addc(text, ',');
	text_add(text, str_trim(word));
	text_addc(text, '=');
	add_value(text, str_trim(value), name->has_slashes);
}

// Tools that are not openssl write commas and spaces in the right order: the common name first.
static bool is_in_order(const struct name *name)
{
	static const struct str common = {"CN=", 3};

	return !name->has_slashes && !name->has_spaces && str_starts(name->parts[0], common) &&
	       !str_starts(name->parts[name->count - 1], common);
}

struct str subject_rewrite(struct arena *arena, struct str subject)
{
	struct name name = {.count = 0};
	struct text text = {0};
	bool is_other = str_starts(subject, STR("subject=")) || str_starts(subject, STR("/"));

	if (!take_apart(subject, &name))
		return STR_EMPTY;
	if (!is_other && name.count == 1 && !name.has_spaces)
		return STR_EMPTY;
	for (u32 i = 0; i < name.count; i++)
		add_part(&text, &name, is_in_order(&name) ? i : name.count - 1 - i);
	return text_take(&text, arena);
}
