// SPDX-License-Identifier: Apache-2.0
#include "proto/peek.h"

#include <errno.h>

static struct peek *of_session(struct session *session)
{
	return container_of(session, struct peek, session);
}

static void end_session(struct peek *peek, enum session_end end)
{
	if (end <= peek->session.end)
		return;
	peek->session.end = (u8)end;
	peek->session.events->on_poke(&peek->session);
}

// ---- Gathering ----------------------------------------------------------------------------------

// Room behind what is held, in a block of our own.
static size_t room_behind(const struct peek *peek)
{
	const struct block *block = peek->held.block;
	const char *end = peek->held.ptr + peek->held.len;

	if (!block || block->refs != 1 || peek->held.ptr != block->data)
		return 0;
	return (size_t)(block->data + block->size - end);
}

// Into a block that all that is wanted fits in: what came is small, and the block it came in is one
// of those that receives need.
static bool move_to_own(struct peek *peek, struct slice more)
{
	size_t len = peek->held.len + more.len;
	struct block *block = block_get_sized(peek->session.pool, MAX(len, (size_t)peek->need));

	if (!block)
		return false;
	if (peek->held.len)
		memcpy(block->data, peek->held.ptr, peek->held.len);
	memcpy(block->data + peek->held.len, more.ptr, more.len);
	block->used = block->size;
	slice_drop(&peek->held);
	peek->held = (struct slice){block, block->data, len};
	return true;
}

static bool append(struct peek *peek, struct slice more)
{
	if (more.len > room_behind(peek))
		return move_to_own(peek, more);
	memcpy((char *)peek->held.ptr + peek->held.len, more.ptr, more.len);
	peek->held.len += more.len;
	return true;
}

static void lack_memory(struct peek *peek)
{
	peek->is_refused = true;
	end_session(peek, SESSION_ABORT);
	peek->events->on_ended(peek, -ENOMEM);
}

static void peek_feed(struct session *session, struct slice slice)
{
	struct peek *peek = of_session(session);

	if (peek->is_refused || slice.len == 0) {
		slice_drop(&slice);
		return;
	}
	if (peek->held.len) {
		bool is_kept = append(peek, slice);

		slice_drop(&slice);
		if (!is_kept) {
			lack_memory(peek);
			return;
		}
		if (peek->held.len >= peek->need)
			(void)peek->events->on_bytes(peek);
		return;
	}
	peek->held = slice;
	if (slice.len < peek->need || peek->events->on_bytes(peek)) {
		slice = peek->held;
		peek->held = (struct slice){0};
		if (!move_to_own(peek, slice))
			lack_memory(peek);
		slice_drop(&slice);
	}
}

static void peek_ended(struct session *session, int error)
{
	struct peek *peek = of_session(session);

	if (peek->is_refused || error)
		end_session(peek, error ? SESSION_ABORT : SESSION_CLOSE);
	if (!peek->is_refused) {
		peek->is_refused = true;
		peek->events->on_ended(peek, error);
	}
}

static bool peek_wants_input(const struct session *session)
{
	const struct peek *peek = container_of(session, struct peek, session);

	return peek->is_refused ? session->end == SESSION_LINGER : peek->held.len < peek->need;
}

static void do_nothing(struct session *session)
{
	(void)session;
}

static u32 peek_room(const struct session *session)
{
	(void)session;
	return 0;
}

static void peek_finish(struct session *session)
{
	peek_refuse(of_session(session), STR_EMPTY);
}

static bool peek_head_is_partial(const struct session *session)
{
	(void)session;
	return false;
}

static void peek_done(struct session *session)
{
	slice_drop(&of_session(session)->held);
}

const struct session_ops peek_session_ops = {
	.feed = peek_feed,
	.ended = peek_ended,
	.wants_input = peek_wants_input,
	.taken = do_nothing,
	.sent = do_nothing,
	.room = peek_room,
	.drain = do_nothing,
	.finish = peek_finish,
	.head_is_partial = peek_head_is_partial,
	.refuse_late = peek_finish,
	.check_alive = do_nothing,
	.done = peek_done,
};

static void peek_reset(struct stream *stream)
{
	stream->events = NULL;
	stream->owner = NULL;
}

static const struct stream_ops peek_stream_ops = {
	.reset = peek_reset, .release = peek_reset, .refuse = peek_reset};

void peek_init(struct peek *peek, struct block_pool *pool, struct bytes *out,
	const struct session_events *session_events, const struct peek_events *events)
{
	*peek = (struct peek){
		.session = {.ops = &peek_session_ops,
			.events = session_events,
			.pool = pool,
			.out = out,
			.role = STREAM_SERVER,
			.small = true},
		.stream = {.ops = &peek_stream_ops},
		.events = events,
		.need = 1,
	};
	peek->stream.session = &peek->session;
}

struct slice peek_take(struct peek *peek, size_t skip)
{
	struct slice slice = peek->held;

	ASSERT(skip <= slice.len);
	peek->held = (struct slice){0};
	slice.ptr += skip;
	slice.len -= skip;
	if (slice.len == 0)
		slice_drop(&slice);
	return slice;
}

void peek_refuse(struct peek *peek, struct str farewell)
{
	peek->is_refused = true;
	slice_drop(&peek->held);
	if (farewell.len &&
		bytes_write(peek->session.pool, peek->session.out, farewell.ptr, farewell.len) != 0)
		end_session(peek, SESSION_ABORT);
	else
		end_session(peek, SESSION_LINGER);
}
