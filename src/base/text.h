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
void text_add(struct text *text, struct str piece);
void text_addc(struct text *text, char c);
void text_add_u64(struct text *text, u64 value); // in decimal

// Room for `more` bytes behind data + len (and the zero), for who writes them there himself and
// then moves len.
void text_reserve(struct text *text, size_t more);
void text_printf(struct text *text, const char *format, ...) printf_like(2, 3);

// A copy in `arena`; the text is empty afterwards.
struct str text_take(struct text *text, struct arena *arena);
