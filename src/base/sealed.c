// SPDX-License-Identifier: Apache-2.0
#include "base/sealed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"

enum { checksum_len = 17 };

void sealed_format(struct text *text, const char *name, u32 version, struct str body)
{
	text_printf(text, "weir %s %u\n%016" PRIx64 "\n", name, version, hash_str(body, 0));
	text_add(text, body);
}

bool sealed_open(struct str text, const char *name, u32 version, struct str *ret_body,
	char why[static SEALED_WHY_MAX])
{
	struct str line = str_cut(&text, '\n');
	char checksum[checksum_len + 1];
	u64 found;

	if (!str_eq(str_cut(&line, ' '), STR("weir")) ||
		!str_eq(str_cut(&line, ' '), str_from(name)) ||
		str_to_u64(line, UINT32_MAX, &found) != 0) {
		snprintf(why, SEALED_WHY_MAX, "its first line is not 'weir %s %u'", name, version);
		return false;
	}
	if (found != version) {
		snprintf(why, SEALED_WHY_MAX, "it is of version %u, and this weir reads version %u",
			(u32)found, version);
		return false;
	}
	if (text.len >= checksum_len) {
		*ret_body = str_make(text.ptr + checksum_len, text.len - checksum_len);
		snprintf(checksum, sizeof(checksum), "%016" PRIx64 "\n", hash_str(*ret_body, 0));
		if (memcmp(text.ptr, checksum, checksum_len) == 0)
			return true;
	}
	snprintf(why, SEALED_WHY_MAX, "it is cut off or damaged: its checksum is another one");
	return false;
}

// Tabs end a value and newlines a row.
void sealed_add(struct text *text, struct str value)
{
	size_t done = 0;

	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c != '\\' && c != '\t' && c != '\n')
			continue;
		text_add(text, str_make(value.ptr + done, i - done));
		text_addc(text, '\\');
		text_addc(text, c == '\t' ? 't' : c == '\n' ? 'n' : c);
		done = i + 1;
	}
	text_add(text, str_make(value.ptr + done, value.len - done));
	text_addc(text, '\t');
}

void sealed_add_i64(struct text *text, i64 value)
{
	text_printf(text, "%" PRId64 "\t", value);
}

void sealed_end(struct text *text)
{
	ASSERT(text->len && text->data[text->len - 1] == '\t');
	text->data[text->len - 1] = '\n';
}

struct str sealed_cut(struct str *row, struct arena *arena)
{
	struct str value = str_cut(row, '\t'), copy = arena_str(arena, value);
	char *to = (char *)(uintptr_t)copy.ptr; // our own copy
	size_t len = 0;

	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\\' && i + 1 < value.len) {
			c = value.ptr[++i];
			c = c == 't' ? '\t' : c == 'n' ? '\n' : c;
		}
		to[len++] = c;
	}
	to[len] = '\0';
	return str_make(to, len);
}

int sealed_cut_u64(struct str *row, u64 max, u64 *ret_value)
{
	return str_to_u64(str_cut(row, '\t'), max, ret_value) == 0 ? 0 : -EINVAL;
}
