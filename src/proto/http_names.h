// SPDX-License-Identifier: Apache-2.0
// The table of known field names, for the parsers that look one up per field. Inside proto/ only;
// everybody else calls http_field_known.
#pragma once

#include "proto/http.h"
#include "proto/scan.h"

enum { HTTP_KNOWN_SLOTS = 128 };

struct http_known_name {
	char text[24]; // lower case, zeros behind it
	u8 len;
	u8 unused[7];
};

// Hidden: reached without a detour through the table of shared symbols.
#pragma GCC visibility push(hidden)
extern const struct http_known_name http_known_names[HTTP_F_COUNT];
extern const u8 http_known_slots[HTTP_KNOWN_SLOTS];
#pragma GCC visibility pop

// A perfect hash: every known name has a slot of its own. len > 0.
static inline u32 http_known_slot(const char *name, size_t len)
{
	u32 first = (u8)name[0] | 0x20, last = (u8)name[len - 1] | 0x20;

	return ((u32)len + 43 * first + last) % HTTP_KNOWN_SLOTS;
}

#if SCAN_SSE2
// As http_field_known for a name of 1 to 15 bytes at which 16 can be read. The bytes need not have
// been judged before: what is known is a token.
static inline enum http_known http_known_short(const char *name, u32 len)
{
	u8 known = http_known_slots[http_known_slot(name, len)];
	const struct http_known_name *entry = &http_known_names[known];

	if (entry->len == len && scan_same(name, entry->text, len))
		return known;
	return HTTP_F_OTHER;
}

// The same for a name in lower case: what is known is so.
static inline enum http_known http_known_lower(const char *name, u32 len)
{
	u8 known = http_known_slots[http_known_slot(name, len)];
	const struct http_known_name *entry = &http_known_names[known];

	if (entry->len == len && scan_equal(name, entry->text, len))
		return known;
	return HTTP_F_OTHER;
}
#endif

// Which known names there are, while the fields of a head are gone through.
struct http_known_sum {
	u64 seen, again;
};

// The field with this number, from 1 on.
static inline void http_known_add(
	struct http_head *head, struct http_known_sum *sum, u32 known, u32 number)
{
	if (!known)
		return;
	if (likely(!(sum->seen & HTTP_BIT(known)))) {
		head->first_known[known] = (u8)number;
		sum->seen |= HTTP_BIT(known);
	} else {
		sum->again |= HTTP_BIT(known);
	}
}
