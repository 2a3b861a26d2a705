// SPDX-License-Identifier: Apache-2.0
// What the targets for sessions have in common: events that nobody waits for, the turns of a
// connection, and bytes that arrive in pieces.
#pragma once

#include "proto/stream.h"

// Bytes in one place.
struct fuzz_text {
	size_t len;
	char at[256 * 1024];
};

static inline void fuzz_put(struct fuzz_text *to, const void *bytes, size_t len)
{
	ASSERT(to->len + len <= sizeof(to->at));
	memcpy(to->at + to->len, bytes, len);
	to->len += len;
}

// All that is in the queue, which is empty afterwards.
static inline void fuzz_flatten(struct bytes *bytes, struct fuzz_text *text)
{
	text->len = 0;
	while (!bytes_is_empty(bytes)) {
		struct slice slice = bytes_pop(bytes);

		fuzz_put(text, slice.ptr, slice.len);
		slice_drop(&slice);
	}
}

static inline void fuzz_on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static inline void fuzz_on_stream_done(struct session *session, struct stream *stream)
{
	(void)session;
	(void)stream;
}

static inline void fuzz_on_poke(struct session *session)
{
	(void)session;
}

static inline void fuzz_go_on(struct session *session)
{
	if (session->again) {
		session->again = false;
		session->ops->feed(session, (struct slice){0});
	}
}

// What a connection does with its session between two receives; the peer takes all that is sent.
static inline void fuzz_turn(struct session *session)
{
	for (u32 i = 0; i < 4; i++) {
		fuzz_go_on(session);
		bytes_clear(session->out);
		session->ops->taken(session);
		session->ops->sent(session);
	}
}

// `input` arrives in pieces, a millisecond apart, until the session has enough. `takes_late`: the
// peer takes what is sent when we no longer read.
static inline void fuzz_feed_to(struct session *session, struct str input, size_t piece,
	bool takes_late, struct block_pool *pool, u64 *now_us)
{
	while (input.len && session->end == SESSION_GOES_ON) {
		size_t len = MIN(input.len, piece);
		struct block *block = block_get(pool, true);

		ASSERT(block != NULL);
		memcpy(block->data, input.ptr, len);
		session->ops->feed(session, (struct slice){block, block->data, len});
		if (takes_late && session->ops->wants_input(session))
			fuzz_go_on(session);
		else
			fuzz_turn(session);
		input = str_make(input.ptr + len, input.len - len);
		*now_us += 1000;
	}
}

static inline void fuzz_feed(struct session *session, struct str input, size_t piece,
	struct block_pool *pool, u64 *now_us)
{
	fuzz_feed_to(session, input, piece, false, pool, now_us);
}
