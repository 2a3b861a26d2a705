// SPDX-License-Identifier: Apache-2.0
// Text for log lines, written into a buffer of the caller: integers, addresses, dates, and bytes of
// strangers. No printf, no locale, no memory of its own. Whatever does not fit is left out and
// remembered in `cut`, so a caller may take a half-written piece back.
//
// A stranger's bytes can never forge a line or steer a terminal: everything but printable ASCII is
// escaped, and quotes and backslashes are where they would end the value.
#pragma once

#include "base/addr.h"
#include "base/str.h"

struct log_text {
	char *at, *end;
	bool cut; // something did not fit
};

static inline void log_text_init(struct log_text *text, char *buffer, size_t size)
{
	*text = (struct log_text){.at = buffer, .end = buffer + size};
}

static inline void log_text_char(struct log_text *text, char c)
{
	if (likely(text->at < text->end))
		*text->at++ = c;
	else
		text->cut = true;
}

// All of it or nothing.
static inline void log_text_bytes(struct log_text *text, const char *bytes, size_t len)
{
	if (unlikely((size_t)(text->end - text->at) < len)) {
		text->cut = true;
		return;
	}
	memcpy(text->at, bytes, len);
	text->at += len;
}

// For literals: our own words, not escaped.
#define LOG_TEXT_PUT(text, literal) log_text_bytes((text), (literal), sizeof(literal) - 1)

void log_text_u64(struct log_text *text, u64 value);
void log_text_i64(struct log_text *text, i64 value);

// Decimal with leading zeros, exactly `digits` (1 to 20) long; higher digits are lost.
void log_text_digits(struct log_text *text, u64 value, u32 digits);

// addr_format and addr_format_ip, without their cost for IPv4. Paths are escaped as
// LOG_ESCAPE_TEXT.
void log_text_addr(struct log_text *text, const struct addr *addr);
void log_text_ip(struct log_text *text, const struct addr *addr);

enum log_escape {
	LOG_ESCAPE_TEXT, // \" and \\ and \xNN
	LOG_ESCAPE_JSON, // as RFC 8259; valid UTF-8 as \uNNNN, other bytes as the four characters
			 // \xNN
};

// A stranger's bytes, without quotes around them. At most `bytes_max` are written, the last three
// as
// "..." when that was not enough; an escape is never cut in two.
void log_text_escaped(
	struct log_text *text, struct str value, enum log_escape escape, size_t bytes_max);

// ---- Where the room is known to be there --------------------------------------------------------
//
// For lines that are written with each request: the caller has a buffer that the longest of them
// fits into, and each call gives where its piece ends.

#define LOG_PUT(at, literal) \
	(memcpy((at), (literal), sizeof(literal) - 1), (at) + sizeof(literal) - 1)

static inline char *log_put(char *at, struct str piece)
{
	memcpy(at, piece.ptr, piece.len);
	return at + piece.len;
}

// As log_text_escaped with room for bytes_max.
char *log_put_escaped(char *at, struct str value, enum log_escape escape, size_t bytes_max);

char *log_put_large(char *at, u64 value);
extern const char log_digit_pairs[201];

static inline char *log_put_u64(char *at, u64 value)
{
	u32 high;

	if (likely(value < 10)) {
		*at = (char)('0' + value);
		return at + 1;
	}
	if (value >= 10000)
		return log_put_large(at, value);
	high = (u32)value / 100;
	if (high >= 10) {
		memcpy(at, &log_digit_pairs[high * 2], 2);
		at += 2;
	} else if (high) {
		*at++ = (char)('0' + high);
	} else {
		memcpy(at, &log_digit_pairs[value * 2], 2);
		return at + 2;
	}
	memcpy(at, &log_digit_pairs[(u32)value % 100 * 2], 2);
	return at + 2;
}

// Does the value need neither quotes nor escapes in a key=value line?
bool log_text_is_bare(struct str value);

// The text of one second, made anew only when the second changes. Zeroed = UTC, not made yet.
struct log_clock {
	i64 second;   // Unix time the texts are of
	i32 offset_s; // east of UTC, added for `human` only
	bool made;
	char iso[19];	// 2026-05-08T14:18:45, UTC
	char clf[26];	// 08/May/2026:14:18:45 +0000, UTC
	char human[15]; // May 08 14:18:45, with offset_s
};

// Brings the texts to the moment `wall_ms` (Unix time; years outside 1970 to 9999 are clamped).
void log_clock_set(struct log_clock *clock, i64 wall_ms);
