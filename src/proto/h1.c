// SPDX-License-Identifier: Apache-2.0
#include "proto/h1_parts.h"

void h1_end(struct h1 *h1, enum session_end end)
{
	if (end > h1->session.end) {
		h1->session.end = (u8)end;
		h1_poke(h1);
	}
}

void h1_tell_reset(struct h1 *h1, enum stream_fault fault)
{
	const struct stream_events *events = h1->stream.events;

	h1->in = H1_DROPPED;
	h1->stream.events = NULL;
	if (events)
		events->on_reset(&h1->stream, fault);
}

void h1_no_memory(struct h1 *h1)
{
	h1_end(h1, SESSION_ABORT);
}

void h1_maybe_done(struct h1 *h1)
{
	bool server = h1->session.role == STREAM_SERVER;

	if (h1->out != H1_ENDED || !h1->session.busy)
		return;
	if (h1->in != H1_ENDED && !(server && h1->in == H1_DROPPED))
		return;
	h1->session.busy = false;
	h1->stream.events = NULL;
	h1->queued = h1->in_flight = 0; // what drains from here on is nobody's
	// An answer begun before draining did not say close: the next request may be on its way,
	// and its answer will.
	if (!h1->keep_alive || h1->in == H1_DROPPED) {
		// Closing with unread bytes would reset, and the answer could be lost (RFC 9112
		// 9.6). A client that did not ask for close may have sent its next request.
		bool unread = server && (h1->in == H1_DROPPED || h1->held.len || !h1->peer_closes);

		unread |= h1->session.sees_it_out;
		h1->in = H1_DROPPED;
		h1->linger_left = H1_LINGER_BYTES_MAX;
		slice_drop(&h1->held);
		h1_end(h1, unread && !h1->peer_ended ? SESSION_LINGER : SESSION_CLOSE);
	} else {
		h1->in = h1->out = H1_HEAD;
		h1->credit = 0;
		h1->interim_heads = 0;
		h1->scanned = 0;
		h1->upgrade_asked = false;
		h1->session.small |= h1->perhaps_small;
		if (h1->held.len || h1->peer_ended)
			h1_look_again(h1);
	}
	h1->session.events->on_stream_done(&h1->session, &h1->stream);
}

static void h1_feed(struct session *session, struct slice slice)
{
	struct h1 *h1 = h1_of_session(session);

	if (slice.len && h1_hold(h1, slice) != 0) {
		h1_tell_reset(h1, STREAM_NO_MEMORY);
		h1_no_memory(h1);
		return;
	}
	h1_run(h1);
}

static void h1_ended(struct session *session, int error)
{
	struct h1 *h1 = h1_of_session(session);

	if (error == SESSION_CUT && h1->in != H1_UNTIL_CLOSE && h1->in != H1_RAW)
		error = 0;
	if (error < 0) {
		h1_end(h1, SESSION_ABORT);
		if (session->busy)
			h1_tell_reset(h1, stream_fault_of_end(error));
		return;
	}
	h1->peer_ended = true;
	h1_run(h1);
}

static bool h1_wants_input(const struct session *session)
{
	const struct h1 *h1 = container_of(session, struct h1, session);

	if (h1->peer_ended || session->end == SESSION_ABORT)
		return false;
	switch ((enum h1_state)h1->in) {
	case H1_HEAD:
		return !(session->role == STREAM_SERVER && h1->held.len &&
			 (session->busy || h1_is_clogged(h1)));
	case H1_LENGTH:
	case H1_UNTIL_CLOSE:
	case H1_RAW:
	case H1_CHUNKS:
		return h1->credit > 0 && h1->held.len == 0;
	case H1_TRAILERS:
	case H1_DROPPED:
		return true;
	case H1_ENDED:
		return h1->held.len == 0;
	}
	return false;
}

static void h1_taken(struct session *session)
{
	struct h1 *h1 = h1_of_session(session);

	h1->in_flight = h1->queued;
	h1->queued = 0;
	if (h1->in == H1_HEAD && (h1->held.len || h1->peer_ended) && !session->busy)
		h1_look_again(h1); // it may have been clogged
}

static void h1_sent(struct session *session)
{
	struct h1 *h1 = h1_of_session(session);
	const struct stream_events *events = h1->stream.events;
	u32 len = h1->in_flight;

	h1->in_flight = 0;
	if (events)
		events->on_drained(&h1->stream, len);
}

static struct stream *h1_open(struct session *session)
{
	struct h1 *h1 = h1_of_session(session);

	ASSERT(session->role == STREAM_CLIENT && !session->busy && h1->in == H1_HEAD);
	session->busy = true;
	h1->keep_alive = true;
	h1->credit = 0;
	return &h1->stream;
}

static void h1_drain(struct session *session)
{
	h1_of_session(session)->draining = true;
}

static u32 h1_room(const struct session *session)
{
	return session->end == SESSION_GOES_ON && !session->busy;
}

static void h1_finish(struct session *session)
{
	struct h1 *h1 = h1_of_session(session);

	ASSERT(!session->busy);
	h1->in = H1_DROPPED;
	h1->linger_left = H1_LINGER_BYTES_MAX;
	slice_drop(&h1->held);
	h1_end(h1, SESSION_LINGER);
}

static bool h1_head_is_partial(const struct session *session)
{
	const struct h1 *h1 = container_of(session, struct h1, session);

	return h1->in == H1_HEAD && !session->busy && h1->held.len > 0 && !h1_is_clogged(h1);
}

static void h1_refuse_late(struct session *session)
{
	h1_refuse_request(h1_of_session(session), HTTP_REFUSE_TIMEOUT);
}

static void h1_check_alive(struct session *session)
{
	(void)session; // a request of our own would be needed to ask
}

static void h1_done(struct session *session)
{
	slice_drop(&h1_of_session(session)->held);
}

const struct session_ops h1_session_ops = {
	.feed = h1_feed,
	.ended = h1_ended,
	.wants_input = h1_wants_input,
	.taken = h1_taken,
	.sent = h1_sent,
	.open = h1_open,
	.room = h1_room,
	.drain = h1_drain,
	.finish = h1_finish,
	.head_is_partial = h1_head_is_partial,
	.refuse_late = h1_refuse_late,
	.check_alive = h1_check_alive,
	.done = h1_done,
};

void h1_init(struct h1 *h1, enum stream_role role, struct h1_parser *parser,
	struct block_pool *pool, struct bytes *out, const struct session_events *events)
{
	*h1 = (struct h1){
		.session = {.ops = &h1_session_ops,
			.events = events,
			.pool = pool,
			.out = out,
			.role = (u8)role},
		.stream = {.ops = &h1_stream_ops},
		.parser = parser,
		.keep_alive = true,
	};
	h1->stream.session = &h1->session;
}
