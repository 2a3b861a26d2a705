// SPDX-License-Identifier: Apache-2.0
#include "proto/raw.h"

#include <errno.h>

static struct raw *of_session(struct session *session)
{
	return container_of(session, struct raw, session);
}

static struct raw *of_stream(struct stream *stream)
{
	return container_of(stream, struct raw, stream);
}

static void end_session(struct raw *raw, enum session_end end)
{
	if (end > raw->session.end) {
		raw->session.end = (u8)end;
		raw->session.events->on_poke(&raw->session);
	}
}

static void maybe_done(struct raw *raw)
{
	if (!raw->in_ended || !raw->out_ended || !raw->session.busy)
		return;
	raw->session.busy = false;
	raw->stream.events = NULL;
	end_session(raw, SESSION_CLOSE);
	raw->session.events->on_stream_done(&raw->session, &raw->stream);
}

static void tell_reset(struct raw *raw, enum stream_fault fault)
{
	const struct stream_events *events = raw->stream.events;

	raw->stream.events = NULL;
	if (events)
		events->on_reset(&raw->stream, fault);
}

static void deliver(struct raw *raw, struct slice slice, bool end)
{
	const struct stream_events *events = raw->stream.events;

	if (events)
		events->on_body(&raw->stream, slice, end);
	else
		slice_drop(&slice);
}

static void run(struct raw *raw)
{
	size_t len = (size_t)MIN((u64)raw->held.len, raw->credit);

	if (len) {
		struct slice slice = {raw->held.block, raw->held.ptr, len};

		block_ref(slice.block);
		raw->held.ptr += len;
		raw->held.len -= len;
		raw->credit -= len;
		if (raw->held.len == 0)
			slice_drop(&raw->held);
		deliver(raw, slice, false);
	}
	if (raw->peer_ended && raw->held.len == 0 && !raw->in_ended) {
		raw->in_ended = true;
		deliver(raw, (struct slice){0}, true);
		maybe_done(raw);
	}
}

static void raw_feed(struct session *session, struct slice slice)
{
	struct raw *raw = of_session(session);

	if (slice.len) {
		ASSERT(raw->held.len == 0); // a receive is only posted when nothing is held
		raw->held = slice;
	}
	run(raw);
}

static void raw_ended(struct session *session, int error)
{
	struct raw *raw = of_session(session);

	if (error < 0) {
		end_session(raw, SESSION_ABORT);
		tell_reset(raw, stream_fault_of_end(error));
		return;
	}
	raw->peer_ended = true;
	run(raw);
}

static bool raw_wants_input(const struct session *session)
{
	const struct raw *raw = container_of(session, struct raw, session);

	return !raw->peer_ended && raw->credit > 0 && raw->held.len == 0;
}

static void raw_taken(struct session *session)
{
	struct raw *raw = of_session(session);

	raw->in_flight = raw->queued;
	raw->queued = 0;
}

static void raw_sent(struct session *session)
{
	struct raw *raw = of_session(session);
	u32 len = raw->in_flight;

	raw->in_flight = 0;
	if (raw->stream.events)
		raw->stream.events->on_drained(&raw->stream, len);
}

static struct stream *raw_open(struct session *session)
{
	return &of_session(session)->stream;
}

static void raw_drain(struct session *session)
{
	(void)session; // a TCP connection has no word for it; the owner bounds it by time
}

static u32 raw_room(const struct session *session)
{
	return session->end == SESSION_GOES_ON; // the one stream is open from the start
}

static void raw_finish(struct session *session)
{
	end_session(of_session(session), SESSION_CLOSE);
}

static bool raw_head_is_partial(const struct session *session)
{
	(void)session;
	return false;
}

static void raw_ignore(struct session *session)
{
	(void)session;
}

static void raw_done(struct session *session)
{
	slice_drop(&of_session(session)->held);
}

const struct session_ops raw_session_ops = {
	.feed = raw_feed,
	.ended = raw_ended,
	.wants_input = raw_wants_input,
	.taken = raw_taken,
	.sent = raw_sent,
	.open = raw_open,
	.room = raw_room,
	.drain = raw_drain,
	.finish = raw_finish,
	.head_is_partial = raw_head_is_partial,
	.refuse_late = raw_ignore,
	.check_alive = raw_ignore,
	.done = raw_done,
};

static void raw_send_head(struct stream *stream, const struct http_head *head, bool end)
{
	(void)stream;
	(void)head;
	(void)end;
	ASSERT(false && "a raw stream has no head");
}

static void raw_send_body(struct stream *stream, struct slice slice, bool end)
{
	struct raw *raw = of_stream(stream);
	size_t len = slice.len;

	if (raw->out_ended || raw->session.end == SESSION_ABORT) {
		slice_drop(&slice);
		return;
	}
	if (len && bytes_append(raw->session.pool, raw->session.out, slice) != 0) {
		end_session(raw, SESSION_ABORT);
		return;
	}
	raw->queued += (u32)len;
	raw->session.events->on_poke(&raw->session);
	if (end) {
		raw->out_ended = true;
		end_session(raw, SESSION_SHUT);
		maybe_done(raw);
	}
}

static void raw_send_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)fields;
	(void)count;
	raw_send_body(stream, (struct slice){0}, true);
}

static void raw_grant(struct stream *stream, size_t len)
{
	struct raw *raw = of_stream(stream);

	raw->credit += len;
	raw->session.again = raw->held.len || raw->peer_ended;
	raw->session.events->on_poke(&raw->session);
}

static void raw_reset(struct stream *stream)
{
	struct raw *raw = of_stream(stream);

	stream->events = NULL;
	stream->owner = NULL;
	raw->session.busy = false;
	slice_drop(&raw->held);
	end_session(raw, SESSION_ABORT);
}

static void raw_release(struct stream *stream)
{
	(void)stream; // both halves have ended
}

static void raw_use_parser(struct stream *stream, struct h1_parser *parser)
{
	(void)stream;
	(void)parser;
}

static u64 raw_raw_left(const struct stream *stream)
{
	const struct raw *raw = container_of(stream, struct raw, stream);

	return raw->peer_ended ? 0 : UINT64_MAX;
}

static size_t raw_held(const struct stream *stream)
{
	return container_of(stream, struct raw, stream)->held.len;
}

static bool raw_raw_fits(const struct stream *stream)
{
	(void)stream;
	return true;
}

static void raw_moved_in(struct stream *stream, u64 len, bool end)
{
	struct raw *raw = of_stream(stream);

	(void)len;
	if (end) {
		raw->peer_ended = true;
		run(raw);
	}
}

static void raw_moved_out(struct stream *stream, u64 len)
{
	(void)stream;
	(void)len;
}

static const struct stream_ops raw_stream_ops = {
	.send_head = raw_send_head,
	.send_body = raw_send_body,
	.send_trailers = raw_send_trailers,
	.grant = raw_grant,
	.reset = raw_reset,
	.release = raw_release,
	.refuse = raw_reset,
	.use_parser = raw_use_parser,
	.raw_left = raw_raw_left,
	.held = raw_held,
	.raw_fits = raw_raw_fits,
	.moved_in = raw_moved_in,
	.moved_out = raw_moved_out,
};

void raw_skip_input(struct raw *raw)
{
	raw->peer_ended = raw->in_ended = true;
}

void raw_init(struct raw *raw, enum stream_role role, struct block_pool *pool, struct bytes *out,
	const struct session_events *events)
{
	*raw = (struct raw){
		.session = {.ops = &raw_session_ops,
			.events = events,
			.pool = pool,
			.out = out,
			.role = (u8)role,
			.busy = true},
		.stream = {.ops = &raw_stream_ops},
	};
	raw->stream.session = &raw->session;
}
