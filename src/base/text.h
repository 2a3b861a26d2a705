// SPDX-License-Identifier: Apache-2.0
// A growing text, for what is written at start-up and on request (documents, messages, lists), not
// for the data path. Always zero-terminated. Memory that is missing ends the process (mem.h).
#pragma once

#include "base/arena.h"

struct text {
	char *data; // owned; NULL while empty
	size_t len, room;
};

void text_done(struct text *text);

// Room for so many more bytes, so that what follows takes no memory.
void text_reserve(struct text *text, size_t more);

// Empty again; the memory is kept for the next use.
void text_clear(struct text *text);

// What is in it, until it changes.
static inline struct str text_str(const struct text *text)
{
	return str_make(text->len ? text->data : "", text->len);
}

void text_add(struct text *text, struct str piece);
void text_addc(struct text *text, char c);
void text_u64(struct text *text, u64 value); // in decimal

// Letters, digits and the characters of `plain` as they are, all else as %XX (RFC 3986 2.1).
void text_add_encoded(struct text *text, struct str piece, const char *plain);

// As one segment of a path, of which only the unreserved characters stay (RFC 3986 2.3).
static inline void text_add_segment(struct text *text, struct str piece)
{
	text_add_encoded(text, piece, "-._~");
}

void text_printf(struct text *text, const char *format, ...) printf_like(2, 3);

// A copy in `arena`; the text is empty afterwards.
struct str text_take(struct text *text, struct arena *arena);
