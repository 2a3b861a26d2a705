// SPDX-License-Identifier: Apache-2.0
// What these tests share: cmocka with its includes, texts, and strangers' bytes.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/rng.h"
#include "base/str.h"
#include "loop/loop.h"

// "at seed N" in front of a failure.
#define SEEDED(seed, condition)                                                               \
	do {                                                                                  \
		if (!(condition))                                                             \
			fail_msg("at seed %llu: %s", (unsigned long long)(seed), #condition); \
	} while (0)

// A text of up to `max` bytes that favours those which could do harm.
static inline size_t random_bytes(struct rng *rng, char *buffer, u32 max)
{
	static const char nasty[] =
		"\"\\\n\r\t\0\x1b\x7f\x80\xff= {},:'\xc3\xa4\xe2\x80\xa8\xed\xa0\x80"
		"\xf0\x9f\x98\x80\xf4\x90\x80\x80\xc0\xaf";
	size_t len = rng_below(rng, max + 1), at = 0;

	while (at < len) {
		if (rng_one_in(rng, 3))
			buffer[at++] = nasty[rng_below(rng, sizeof(nasty))];
		else if (rng_one_in(rng, 4))
			buffer[at++] = (char)rng_below(rng, 256);
		else
			buffer[at++] = (char)('a' + rng_below(rng, 26));
	}
	return len;
}

// Nothing in it but printable ASCII: no second line, no steering of terminals.
static inline bool is_one_safe_line(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return true;
}

// Is `piece` in the text?
static inline bool has(struct str text, const char *piece)
{
	return memmem(text.ptr, text.len, piece, strlen(piece)) != NULL;
}

static inline void pass_ms(struct loop *loop, u64 span_ms)
{
	u64 until_ms = loop_now_ms(loop) + span_ms;

	while (loop_now_ms(loop) < until_ms)
		loop_turn(loop, until_ms);
}

// What was logged, as one text.
struct heard {
	u32 lines;
	char text[1 << 16];
	size_t len;
};

static inline void heard_take(struct heard *heard, struct log *log)
{
	struct log_record record;

	for (; log_ring_peek(&log->ring, &record); log_ring_next(&log->ring)) {
		assert_true(heard->len + record.body.len + 2 < sizeof(heard->text));
		memcpy(heard->text + heard->len, record.body.ptr, record.body.len);
		heard->len += record.body.len;
		heard->text[heard->len++] = '\n';
		heard->lines++;
	}
	heard->text[heard->len] = '\0';
}
