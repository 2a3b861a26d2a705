// SPDX-License-Identifier: Apache-2.0
// A borrowed slice of text: pointer and length, no owner, no terminator. Whoever keeps one longer
// than the call that gave it must know who owns the bytes.
#pragma once

#include <string.h>

#include "base/base.h"

struct str {
	const char *ptr;
	size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_FMT(s)   (int)(s).len, (s).ptr // for "%.*s"
#define STR_EMPTY    ((struct str){"", 0})

static inline struct str str_make(const char *ptr, size_t len)
{
	return (struct str){ptr, len};
}

static inline struct str str_from(const char *terminated)
{
	return (struct str){terminated, strlen(terminated)};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static inline bool str_ends(struct str text, struct str end)
{
	return text.len >= end.len && memcmp(text.ptr + text.len - end.len, end.ptr, end.len) == 0;
}

static inline bool str_starts(struct str text, struct str prefix)
{
	return text.len >= prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0;
}

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool str_eq_nocase(struct str a, struct str b); // ASCII letters only

// Where the first `c` stands, or text.len.
size_t str_find(struct str text, char c);

// Cuts the text before the first `c`: returns the part before, moves *rest behind it (empty when
// none).
struct str str_cut(struct str *rest, char c);

// Without spaces and tabs at both ends.
struct str str_trim(struct str text);

// Decimal digits only, no sign, no space, no wrap. 0, or -EINVAL, or -ERANGE when above `max`.
int str_to_u64(struct str text, u64 max, u64 *ret_value) must_check;

// Damerau-Levenshtein distance (adjacent swaps count one), capped at `cap` + 1. For "did you mean".
u32 str_distance(struct str a, struct str b, u32 cap);
