// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void text_done(struct text *text)
{
	mem_free(text->data);
	*text = (struct text){0};
}

void text_reserve(struct text *text, size_t more)
{
	size_t needed = text->len + more + 1;

	if (needed <= text->room)
		return;
	text->room = MAX(needed, MAX((size_t)256, text->room * 2));
	text->data = mem_realloc(text->data, text->room);
}

void text_clear(struct text *text)
{
	text->len = 0;
	if (text->data)
		text->data[0] = '\0';
}

void text_add(struct text *text, struct str piece)
{
	text_reserve(text, piece.len);
	if (piece.len)
		memcpy(text->data + text->len, piece.ptr, piece.len);
	text->len += piece.len;
	text->data[text->len] = '\0';
}

void text_addc(struct text *text, char c)
{
	text_add(text, str_make(&c, 1));
}

void text_add_encoded(struct text *text, struct str piece, const char *plain)
{
	for (size_t i = 0; i < piece.len; i++) {
		char c = piece.ptr[i], lower = ascii_lower(c);

		if (ascii_is_digit(c) || (lower >= 'a' && lower <= 'z') || (c && strchr(plain, c)))
			text_addc(text, c);
		else
			text_printf(text, "%%%02X", (unsigned)(u8)c);
	}
}

void text_u64(struct text *text, u64 value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	text_add(text, str_make(digits + at, sizeof(digits) - at));
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	ASSERT(len >= 0);
	text_reserve(text, (size_t)len);
	va_start(args, format);
	vsnprintf(text->data + text->len, (size_t)len + 1, format, args);
	va_end(args);
	text->len += (size_t)len;
}

struct str text_take(struct text *text, struct arena *arena)
{
	struct str copy = arena_str(arena, str_make(text->data, text->len));

	text_done(text);
	return copy;
}
