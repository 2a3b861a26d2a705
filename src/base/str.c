// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

#include <errno.h>

enum { distance_len_max = 64 };

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	return true;
}

size_t str_find(struct str text, char c)
{
	const char *at = text.len ? memchr(text.ptr, c, text.len) : NULL;

	return at ? (size_t)(at - text.ptr) : text.len;
}

struct str str_cut(struct str *rest, char c)
{
	size_t at = str_find(*rest, c);
	struct str before = str_make(rest->ptr, at);
	size_t skip = at < rest->len ? at + 1 : at;

	*rest = str_make(rest->ptr + skip, rest->len - skip);
	return before;
}

struct str str_trim(struct str text)
{
	while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
		text.ptr++;
		text.len--;
	}
	while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
		text.len--;
	return text;
}

int str_to_u64(struct str text, u64 max, u64 *ret_value)
{
	u64 value = 0;

	if (text.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (!ascii_is_digit(text.ptr[i]))
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (u64)(text.ptr[i] - '0'), &value))
			return -ERANGE;
	}
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

u32 str_distance(struct str a, struct str b, u32 cap)
{
	u32 rows[3][distance_len_max + 1];

	if (a.len > distance_len_max || b.len > distance_len_max)
		return cap + 1;
	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = (u32)j;
	for (size_t i = 1; i <= a.len; i++) {
		u32 *above = rows[(i + 2) % 3], *row = rows[i % 3], *above2 = rows[(i + 1) % 3];

		row[0] = (u32)i;
		for (size_t j = 1; j <= b.len; j++) {
			char x = ascii_lower(a.ptr[i - 1]), y = ascii_lower(b.ptr[j - 1]);
			u32 best = above[j - 1] + (x != y);

			best = MIN(best, MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) &&
				ascii_lower(a.ptr[i - 2]) == y)
				best = MIN(best, above2[j - 2] + 1);
			row[j] = best;
		}
	}
	return MIN(rows[a.len % 3][b.len], cap + 1);
}
