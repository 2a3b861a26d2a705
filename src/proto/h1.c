// SPDX-License-Identifier: Apache-2.0
#include "proto/h1.h"

#include <errno.h>

#include "proto/h1_write.h"

enum {
	linger_bytes_max = 1024 * 1024,
	small_message_bytes_max = 12 * 1024, // with its head fits one block
	number_text_max = 24,
	clogged_bytes = 16 * 1024, // answers not sent: no further request is taken
};

enum h1_state {
	H1_HEAD,	// in: waiting for a head; out: nothing sent yet
	H1_LENGTH,	// body of in_left / out_left bytes
	H1_CHUNKS,	// chunked body
	H1_TRAILERS,	// in: behind the last chunk
	H1_UNTIL_CLOSE, // body to the end of the byte stream
	H1_RAW,		// tunnel
	H1_ENDED,	// this half is complete
	H1_DROPPED,	// in: whatever comes is dropped
};

static struct h1 *of_session(struct session *session)
{
	return container_of(session, struct h1, session);
}

static struct h1 *of_stream(struct stream *stream)
{
	return container_of(stream, struct h1, stream);
}

static void poke(struct h1 *h1)
{
	h1->session.events->on_poke(&h1->session);
}

static void look_again(struct h1 *h1)
{
	if (!h1->running) // else the loop in run() goes on by itself
		h1->session.again = true;
	poke(h1);
}

// A client that sends requests and takes no answers must not fill our memory.
static bool is_clogged(const struct h1 *h1)
{
	return h1->session.role == STREAM_SERVER && h1->session.out->len >= clogged_bytes;
}

// Ends only ever grow more final.
static void end_session(struct h1 *h1, enum session_end end)
{
	if (end > h1->session.end) {
		h1->session.end = (u8)end;
		poke(h1);
	}
}

static void tell_reset(struct h1 *h1, enum stream_fault fault)
{
	const struct stream_events *events = h1->stream.events;

	h1->in = H1_DROPPED;
	h1->stream.events = NULL;
	if (events)
		events->on_reset(&h1->stream, fault);
}

static void no_memory(struct h1 *h1)
{
	end_session(h1, SESSION_ABORT);
}

// Both halves over: the session is free for the next message, or ends.
static void maybe_done(struct h1 *h1)
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
		h1->linger_left = linger_bytes_max;
		slice_drop(&h1->held);
		end_session(h1, unread && !h1->peer_ended ? SESSION_LINGER : SESSION_CLOSE);
	} else {
		h1->in = h1->out = H1_HEAD;
		h1->credit = 0;
		h1->interim_heads = 0;
		h1->scanned = 0;
		h1->upgrade_asked = false;
		h1->session.small |= h1->perhaps_small;
		if (h1->held.len || h1->peer_ended)
			look_again(h1);
	}
	h1->session.events->on_stream_done(&h1->session, &h1->stream);
}

static void in_ended(struct h1 *h1)
{
	h1->in = H1_ENDED;
	// Bytes behind a complete answer belong to no request: RFC 9112 9.2 forbids to use them.
	if (h1->session.role == STREAM_CLIENT && h1->held.len)
		h1->keep_alive = false;
}

static void malformed(struct h1 *h1, enum http_refusal why)
{
	h1->session.refusal = (u8)why;
	h1->keep_alive = false;
	slice_drop(&h1->held);
	if (h1->session.role == STREAM_CLIENT)
		end_session(h1, SESSION_ABORT);
	tell_reset(h1, STREAM_MALFORMED);
}

static void refuse_request(struct h1 *h1, enum http_refusal why)
{
	h1->session.refusal = (u8)why;
	h1->session.busy = true;
	h1->keep_alive = false;
	h1->peer_minor_0 = false;
	h1->method = HTTP_OTHER_METHOD;
	h1->in = H1_DROPPED;
	slice_drop(&h1->held);
	h1->session.events->on_refused(&h1->session, &h1->stream);
}

static void enter_body(struct h1 *h1, struct http_head *head)
{
	switch ((enum http_framing)head->framing) {
	case HTTP_NO_BODY:
		in_ended(h1);
		break;
	case HTTP_LENGTH:
		h1->in_left = head->content_length;
		h1->in = H1_LENGTH;
		if (head->content_length == 0)
			in_ended(h1);
		break;
	case HTTP_CHUNKED:
		h1->chunked = (struct h1_chunked){0};
		h1->in = H1_CHUNKS;
		break;
	case HTTP_UNTIL_CLOSE:
		h1->in = H1_UNTIL_CLOSE;
		h1->keep_alive = false;
		break;
	}
}

static void consume(struct h1 *h1, size_t len)
{
	h1->held.ptr += len;
	h1->held.len -= len;
	if (h1->held.len == 0)
		slice_drop(&h1->held);
}

// What a long body leaves in the kernel costs nobody memory, so a receive that goes on by itself is
// only for short messages. One without a length is taken for long until it has ended.
static void judge_size(struct h1 *h1, const struct http_head *head)
{
	u64 len = head->framing == HTTP_LENGTH ? head->content_length : 0;
	bool known = head->framing == HTTP_NO_BODY || head->framing == HTTP_LENGTH;

	h1->perhaps_small = !known;
	h1->session.small = head->keep_alive & known & (len <= small_message_bytes_max);
}

// The head's text lies in the held block, which must outlive the event: the block is kept by a
// second reference while held moves on.
static void request_head(struct h1 *h1, struct http_head *head, size_t used)
{
	struct block *block = h1->held.block;

	block_ref(block);
	consume(h1, used);
	h1->scanned = 0;
	h1->method = head->method;
	h1->peer_minor_0 = head->version_minor == 0;
	h1->keep_alive = head->keep_alive;
	h1->peer_closes = !head->keep_alive;
	h1->upgrade_asked = head->upgrade;
	h1->credit = 0;
	h1->session.busy = true;
	judge_size(h1, head);
	h1->out = H1_HEAD;
	enter_body(h1, head);
	h1->session.events->on_request(&h1->session, &h1->stream, head, h1->in == H1_ENDED);
	block_unref(block);
}

static void tunnel_begins(struct h1 *h1)
{
	h1->in = h1->out = H1_RAW;
	h1->keep_alive = false;
}

static void response_head(struct h1 *h1, struct http_head *head, size_t used)
{
	struct block *block = h1->held.block;
	const struct stream_events *events = h1->stream.events;
	bool interim = head->status < 200 && head->status != 101;
	bool end;

	if (head->status == 101 && !h1->upgrade_asked) {
		malformed(h1, HTTP_REFUSE_STATUS_LINE);
		return;
	}
	if (interim && ++h1->interim_heads > HTTP_INTERIM_MAX) {
		malformed(h1, HTTP_REFUSE_INTERIM_FLOOD);
		return;
	}
	block_ref(block);
	consume(h1, used);
	h1->scanned = 0;
	if (head->status == 101 ||
		(h1->method == HTTP_CONNECT && head->status >= 200 && head->status < 300)) {
		tunnel_begins(h1);
	} else if (!interim) {
		if (!head->keep_alive)
			h1->keep_alive = false;
		judge_size(h1, head);
		enter_body(h1, head);
	}
	end = h1->in == H1_ENDED;
	if (events)
		events->on_head(&h1->stream, head, end);
	block_unref(block);
	if (end)
		maybe_done(h1);
}

static bool held_can_grow(const struct h1 *h1, size_t by)
{
	const struct block *block = h1->held.block;

	return block->refs == 1 && h1->held.ptr + h1->held.len == block->data + block->used &&
	       block->size - block->used >= by;
}

// Puts new bytes behind what is held. A leftover moves to a block of its own, twice as large as
// needed, so that a head which drips in is copied a bounded number of times and no receive block is
// kept for it.
static int hold(struct h1 *h1, struct slice more)
{
	size_t need = h1->held.len + more.len;
	struct block *block;

	if (h1->held.len == 0) {
		h1->held = more;
		return 0;
	}
	if (held_can_grow(h1, more.len)) {
		memcpy(h1->held.block->data + h1->held.block->used, more.ptr, more.len);
		h1->held.block->used += (u32)more.len;
		h1->held.len = need;
		slice_drop(&more);
		return 0;
	}
	block = block_get_sized(h1->session.pool, need <= BLOCK_SMALL_BYTES / 2 ? need : need * 2);
	if (!block) {
		slice_drop(&more);
		return -ENOMEM;
	}
	memcpy(block->data, h1->held.ptr, h1->held.len);
	memcpy(block->data + h1->held.len, more.ptr, more.len);
	block->used = (u32)need;
	slice_drop(&h1->held);
	slice_drop(&more);
	h1->held = (struct slice){.block = block, .ptr = block->data, .len = need};
	return 0;
}

// Looks for the end of a head or trailer section behind what was searched before.
static bool find_end(struct h1 *h1)
{
	size_t scanned = h1->scanned, end;

	if (h1->in == H1_HEAD)
		end = h1_head_end(h1->held.ptr, h1->held.len, &scanned);
	else
		end = h1_trailers_end(h1->held.ptr, h1->held.len, &scanned);
	h1->scanned = (u32)MAX(scanned, (size_t)1);
	return end != 0;
}

static bool head_can_be_parsed(struct h1 *h1)
{
	if (h1->scanned == 0)
		return true; // the first look at these bytes is the parser's own
	return find_end(h1) || h1->held.len >= h1->parser->limits.head_bytes_max;
}

// Is it another protocol that begins here, and does somebody speak it?
static bool is_preface(struct h1 *h1)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	size_t len = MIN(h1->held.len, sizeof(preface) - 1);
	const struct session_events *events = h1->session.events;

	if (len < 4 || memcmp(h1->held.ptr, preface, len) != 0 || !events->on_preface)
		return false;
	if (!events->on_preface(&h1->session, &h1->held))
		return false;
	h1->held = (struct slice){0};
	h1->in = H1_DROPPED;
	return true;
}

// Gives true when it got further.
static bool take_head(struct h1 *h1)
{
	struct h1_parser *parser = h1->parser;
	enum http_refusal why = HTTP_REFUSE_OK;
	bool server = h1->session.role == STREAM_SERVER;
	int used;

	if (h1->held.len == 0 || !head_can_be_parsed(h1))
		return false;
	if (server)
		used = h1_parse_request(h1->held.ptr, h1->held.len, &parser->limits, parser->fields,
			&parser->head, &why);
	else
		used = h1_parse_response(h1->held.ptr, h1->held.len, &parser->limits,
			(enum http_method)h1->method, parser->fields, &parser->head, &why);
	if (used == 0) {
		(void)find_end(h1);
		poke(h1); // the owner may want to bound how long a head may take
		return false;
	}
	if (used < 0 && server && is_preface(h1))
		return false;
	if (used < 0 && server)
		refuse_request(h1, why);
	else if (used < 0)
		malformed(h1, why);
	else if (server)
		request_head(h1, &parser->head, (size_t)used);
	else
		response_head(h1, &parser->head, (size_t)used);
	return true;
}

// Cuts the first `len` bytes off what is held, as a slice of its own.
static struct slice split_held(struct h1 *h1, const char *ptr, size_t len)
{
	block_ref(h1->held.block);
	return (struct slice){.block = h1->held.block, .ptr = ptr, .len = len};
}

static void deliver(struct h1 *h1, struct slice slice, bool end)
{
	const struct stream_events *events = h1->stream.events;

	if (events)
		events->on_body(&h1->stream, slice, end);
	else
		slice_drop(&slice);
}

// A message that outruns its reader is a long one: from here on no more than the credit is asked of
// the kernel.
static void use_credit(struct h1 *h1, size_t len)
{
	h1->credit -= (u32)len;
	if (h1->credit == 0)
		h1->session.small = h1->perhaps_small = false;
}

static bool take_plain(struct h1 *h1)
{
	size_t len = (size_t)MIN(h1->held.len, (size_t)h1->credit);
	struct slice slice;
	bool end;

	if (h1->in == H1_LENGTH)
		len = (size_t)MIN((u64)len, h1->in_left);
	if (len == 0)
		return false;
	slice = split_held(h1, h1->held.ptr, len);
	consume(h1, len);
	use_credit(h1, len);
	if (h1->in == H1_LENGTH) {
		h1->in_left -= len;
		if (h1->in_left == 0)
			in_ended(h1);
	}
	end = h1->in == H1_ENDED;
	deliver(h1, slice, end);
	if (end)
		maybe_done(h1);
	return true;
}

static bool take_chunks(struct h1 *h1)
{
	enum http_refusal why = HTTP_REFUSE_OK;
	struct str data = {0};
	size_t used = 0, len = (size_t)MIN(h1->held.len, (size_t)h1->credit);
	enum h1_chunk_event event;
	struct slice slice;

	// Without credit not even the framing is read: the end must not come before its reader.
	if (len == 0)
		return false;
	event = h1_chunked_feed(&h1->chunked, h1->held.ptr, len, &used, &data, &why);
	switch (event) {
	case H1_CHUNK_MORE:
		consume(h1, used);
		return h1->held.len > 0 && used > 0;
	case H1_CHUNK_DATA:
		slice = split_held(h1, data.ptr, data.len);
		use_credit(h1, data.len);
		consume(h1, used);
		deliver(h1, slice, false);
		return true;
	case H1_CHUNK_TRAILERS:
		consume(h1, used);
		h1->in = H1_TRAILERS;
		h1->scanned = 0;
		return true;
	case H1_CHUNK_BAD:
		break;
	}
	malformed(h1, why);
	return false;
}

static bool take_trailers(struct h1 *h1)
{
	struct h1_parser *parser = h1->parser;
	enum http_refusal why = HTTP_REFUSE_OK;
	const struct stream_events *events;
	struct block *block = h1->held.block;
	u16 count = 0;
	int used;

	if (h1->held.len == 0 || !head_can_be_parsed(h1))
		return false;
	used = h1_parse_trailers(
		h1->held.ptr, h1->held.len, &parser->limits, parser->fields, &count, &why);
	if (used < 0) {
		malformed(h1, why);
		return false;
	}
	if (used == 0) {
		(void)find_end(h1);
		return false;
	}
	block_ref(block);
	consume(h1, (size_t)used);
	h1->scanned = 0;
	in_ended(h1);
	events = h1->stream.events;
	if (events && count)
		events->on_trailers(&h1->stream, parser->fields, count);
	else if (events)
		events->on_body(&h1->stream, (struct slice){0}, true);
	block_unref(block);
	maybe_done(h1);
	return true;
}

static bool drop_input(struct h1 *h1)
{
	size_t len = h1->held.len;

	slice_drop(&h1->held);
	if (h1->session.end != SESSION_LINGER)
		return false;
	if (len >= h1->linger_left)
		end_session(h1, SESSION_CLOSE);
	else
		h1->linger_left -= (u32)len;
	return false;
}

static bool take_some(struct h1 *h1)
{
	bool server = h1->session.role == STREAM_SERVER;

	switch ((enum h1_state)h1->in) {
	case H1_HEAD:
		// A client's next request waits for the answer before it; a backend may not speak
		// unasked.
		if (server == h1->session.busy || is_clogged(h1))
			break;
		return take_head(h1);
	case H1_LENGTH:
	case H1_UNTIL_CLOSE:
	case H1_RAW:
		return take_plain(h1);
	case H1_CHUNKS:
		return take_chunks(h1);
	case H1_TRAILERS:
		return take_trailers(h1);
	case H1_ENDED:
		break;
	case H1_DROPPED:
		return drop_input(h1);
	}
	return false;
}

// The peer's end of stream, once everything before it was consumed.
static void take_end(struct h1 *h1)
{
	switch ((enum h1_state)h1->in) {
	case H1_UNTIL_CLOSE:
	case H1_RAW:
		in_ended(h1);
		deliver(h1, (struct slice){0}, true);
		maybe_done(h1);
		break;
	case H1_LENGTH:
	case H1_CHUNKS:
	case H1_TRAILERS:
		end_session(h1, SESSION_CLOSE);
		tell_reset(h1, STREAM_PEER_CLOSED);
		break;
	case H1_HEAD:
		end_session(h1, SESSION_CLOSE);
		if (h1->session.busy)
			tell_reset(h1, STREAM_PEER_CLOSED);
		break;
	case H1_ENDED:
		// A client that ended its half still gets its answer; a backend that ended while
		// the request is still being sent cannot be used again.
		h1->keep_alive = false;
		break;
	case H1_DROPPED:
		if (h1->session.end == SESSION_LINGER)
			end_session(h1, SESSION_CLOSE);
		break;
	}
}

static void run(struct h1 *h1)
{
	h1->running = true;
	while (h1->held.len && take_some(h1))
		;
	h1->running = false;
	if (h1->held.len && h1->in == H1_HEAD && !h1->session.busy &&
		h1->session.role == STREAM_CLIENT) {
		// An idle backend that speaks unasked (a 408, say) must not answer the next
		// request.
		slice_drop(&h1->held);
		end_session(h1, SESSION_CLOSE);
	}
	if (h1->in == H1_HEAD && is_clogged(h1))
		return; // whole requests may wait here
	if (h1->peer_ended && (h1->held.len == 0 || h1->in == H1_HEAD || h1->in == H1_TRAILERS))
		take_end(h1);
}

static void h1_feed(struct session *session, struct slice slice)
{
	struct h1 *h1 = of_session(session);

	if (slice.len && hold(h1, slice) != 0) {
		tell_reset(h1, STREAM_NO_MEMORY);
		no_memory(h1);
		return;
	}
	run(h1);
}

static void h1_ended(struct session *session, int error)
{
	struct h1 *h1 = of_session(session);

	if (error == SESSION_CUT && h1->in != H1_UNTIL_CLOSE && h1->in != H1_RAW)
		error = 0;
	if (error < 0) {
		end_session(h1, SESSION_ABORT);
		if (session->busy)
			tell_reset(h1, STREAM_PEER_RESET);
		return;
	}
	h1->peer_ended = true;
	run(h1);
}

static bool h1_wants_input(const struct session *session)
{
	const struct h1 *h1 = container_of(session, struct h1, session);

	if (h1->peer_ended || session->end == SESSION_ABORT)
		return false;
	switch ((enum h1_state)h1->in) {
	case H1_HEAD:
		return !(session->role == STREAM_SERVER && h1->held.len &&
			 (session->busy || is_clogged(h1)));
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
	struct h1 *h1 = of_session(session);

	h1->in_flight = h1->queued;
	h1->queued = 0;
	if (h1->in == H1_HEAD && (h1->held.len || h1->peer_ended) && !session->busy)
		look_again(h1); // it may have been clogged
}

static void h1_sent(struct session *session)
{
	struct h1 *h1 = of_session(session);
	const struct stream_events *events = h1->stream.events;
	u32 len = h1->in_flight;

	h1->in_flight = 0;
	if (events)
		events->on_drained(&h1->stream, len);
}

static struct stream *h1_open(struct session *session)
{
	struct h1 *h1 = of_session(session);

	ASSERT(session->role == STREAM_CLIENT && !session->busy && h1->in == H1_HEAD);
	session->busy = true;
	h1->keep_alive = true;
	h1->credit = 0;
	return &h1->stream;
}

static void h1_drain(struct session *session)
{
	of_session(session)->draining = true;
}

static u32 h1_room(const struct session *session)
{
	return session->end == SESSION_GOES_ON && !session->busy;
}

static void h1_finish(struct session *session)
{
	struct h1 *h1 = of_session(session);

	ASSERT(!session->busy);
	h1->in = H1_DROPPED;
	h1->linger_left = linger_bytes_max;
	slice_drop(&h1->held);
	end_session(h1, SESSION_LINGER);
}

static bool h1_head_is_partial(const struct session *session)
{
	const struct h1 *h1 = container_of(session, struct h1, session);

	return h1->in == H1_HEAD && !session->busy && h1->held.len > 0 && !is_clogged(h1);
}

static void h1_refuse_late(struct session *session)
{
	refuse_request(of_session(session), HTTP_REFUSE_TIMEOUT);
}

static void h1_check_alive(struct session *session)
{
	(void)session; // a request of our own would be needed to ask
}

static void h1_done(struct session *session)
{
	slice_drop(&of_session(session)->held);
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

static void out_ended(struct h1 *h1)
{
	h1->out = H1_ENDED;
	poke(h1);
	maybe_done(h1);
}

static enum h1_state out_state_for(struct h1 *h1, const struct http_head *head)
{
	switch ((enum http_framing)head->framing) {
	case HTTP_NO_BODY:
		return H1_ENDED;
	case HTTP_LENGTH:
		h1->out_left = head->content_length;
		return H1_LENGTH;
	case HTTP_CHUNKED:
	case HTTP_UNTIL_CLOSE:
		break;
	}
	// A length that is not known is chunked, except towards an HTTP/1.0 client.
	if (h1->session.role == STREAM_SERVER && h1->peer_minor_0) {
		h1->keep_alive = false;
		return H1_UNTIL_CLOSE;
	}
	return H1_CHUNKS;
}

static void h1_send_head(struct stream *stream, const struct http_head *head, bool end)
{
	struct h1 *h1 = of_stream(stream);
	bool server = h1->session.role == STREAM_SERVER;
	bool interim = server && head->status < 200 && head->status != 101;
	bool tunnel = server && (head->status == 101 ||
					(h1->method == HTTP_CONNECT && head->status / 100 == 2));
	struct h1_head_form form = {.server = server, .peer_minor_0 = h1->peer_minor_0};

	if (interim && h1->peer_minor_0)
		return; // RFC 9110 15.2: a 1.0 client does not know interim answers
	if (!interim) {
		if (server && (!head->keep_alive || h1->draining))
			h1->keep_alive = false;
		h1->out = (u8)(tunnel ? H1_RAW : out_state_for(h1, head));
		form.chunked = h1->out == H1_CHUNKS;
	}
	if (!server) {
		h1->method = head->method;
		h1->upgrade_asked = head->upgrade;
	}
	form.keep_alive = h1->keep_alive || tunnel || interim;
	if (h1_write_head(h1->session.pool, h1->session.out, head, &form) != 0) {
		no_memory(h1);
		return;
	}
	if (tunnel) {
		tunnel_begins(h1);
		look_again(h1);
	} else if (interim || !(end || h1->out == H1_ENDED)) {
		poke(h1); // also where the length is 0: its end is told as that of others
	} else if (h1->out == H1_CHUNKS) {
		stream->ops->send_body(stream, (struct slice){0}, true);
	} else {
		out_ended(h1);
	}
}

// Hexadecimal length and CRLF, without leading zeros; gives the number of characters.
static size_t chunk_line(char *text, size_t len)
{
	int digits = (67 - __builtin_clzll((u64)len)) / 4;

	for (int i = digits - 1; i >= 0; i--) {
		text[i] = "0123456789abcdef"[len & 15];
		len >>= 4;
	}
	text[digits] = '\r';
	text[digits + 1] = '\n';
	return (size_t)digits + 2;
}

static int append_chunk(struct h1 *h1, struct slice slice)
{
	struct bytes *out = h1->session.out;
	struct block_pool *pool = h1->session.pool;
	char line[number_text_max];
	int result = bytes_write(pool, out, line, chunk_line(line, slice.len));

	if (result != 0) {
		slice_drop(&slice);
		return result;
	}
	result = bytes_append(pool, out, slice);
	return result ? result : bytes_write(pool, out, "\r\n", 2);
}

static void h1_send_body(struct stream *stream, struct slice slice, bool end)
{
	struct h1 *h1 = of_stream(stream);
	size_t len = slice.len;
	int result = 0;

	if (h1->out == H1_ENDED || h1->out == H1_HEAD || h1->session.end == SESSION_ABORT) {
		slice_drop(&slice);
		return;
	}
	if (h1->out == H1_LENGTH) {
		ASSERT(len <= h1->out_left);
		h1->out_left -= len;
		ASSERT(!end || h1->out_left == 0);
	}
	if (len && h1->out == H1_CHUNKS)
		result = append_chunk(h1, slice);
	else if (len)
		result = bytes_append(h1->session.pool, h1->session.out, slice);
	if (result == 0 && end && h1->out == H1_CHUNKS)
		result = bytes_write(h1->session.pool, h1->session.out, "0\r\n\r\n", 5);
	if (result != 0) {
		no_memory(h1);
		return;
	}
	h1->queued += (u32)len;
	if (!end) {
		poke(h1);
		return;
	}
	if (h1->out == H1_RAW)
		end_session(h1, SESSION_SHUT);
	out_ended(h1);
}

static void h1_send_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct h1 *h1 = of_stream(stream);

	if (h1->out != H1_CHUNKS) { // no place for them: the message ends without
		h1_send_body(stream, (struct slice){0}, true);
		return;
	}
	if (h1_write_trailers(h1->session.pool, h1->session.out, fields, count) != 0) {
		no_memory(h1);
		return;
	}
	out_ended(h1);
}

static void h1_grant(struct stream *stream, size_t len)
{
	struct h1 *h1 = of_stream(stream);

	ASSERT(len <= UINT32_MAX - h1->credit);
	h1->credit += (u32)len;
	if (h1->held.len || h1->peer_ended)
		look_again(h1);
	else if (!h1->running) // whoever feeds us asks afterwards what we want
		poke(h1);
}

static void h1_reset(struct stream *stream)
{
	struct h1 *h1 = of_stream(stream);

	stream->events = NULL;
	stream->owner = NULL;
	if (!h1->session.busy)
		return;
	slice_drop(&h1->held);
	h1->in = H1_DROPPED;
	if (h1->session.role == STREAM_CLIENT) {
		end_session(h1, SESSION_ABORT);
	} else if (h1->out == H1_ENDED) {
		// The answer is complete, the request is not: drop the rest so that the answer is
		// not lost by a reset (RFC 9112 9.6).
		h1->keep_alive = false;
		maybe_done(h1);
		return;
	} else if (h1->out == H1_HEAD) {
		// Nothing was answered, which an orderly end shows as well as a reset; but answers
		// to earlier requests may still be leaving.
		h1->linger_left = linger_bytes_max;
		end_session(h1, h1->peer_ended ? SESSION_CLOSE : SESSION_LINGER);
	} else if (h1->out == H1_UNTIL_CLOSE || h1->out == H1_RAW) {
		end_session(h1, SESSION_ABORT); // an orderly end would look like a complete message
	} else {
		end_session(h1, SESSION_CLOSE);
	}
	h1->session.busy = false;
}

static void h1_release(struct stream *stream)
{
	(void)stream; // it has ended, and serves the next message
}

static void h1_refuse(struct stream *stream)
{
	struct h1 *h1 = of_stream(stream);

	h1->session.busy = false;
	end_session(h1, SESSION_ABORT);
}

static void h1_use_parser(struct stream *stream, struct h1_parser *parser)
{
	of_stream(stream)->parser = parser;
}

static u64 h1_raw_left(const struct stream *stream)
{
	const struct h1 *h1 = container_of(stream, struct h1, stream);

	if (h1->peer_ended)
		return 0;
	if (h1->in == H1_LENGTH)
		return h1->in_left;
	return h1->in == H1_RAW || h1->in == H1_UNTIL_CLOSE ? UINT64_MAX : 0;
}

static size_t h1_held(const struct stream *stream)
{
	return container_of(stream, struct h1, stream)->held.len;
}

static bool h1_raw_fits(const struct stream *stream)
{
	const struct h1 *h1 = container_of(stream, struct h1, stream);

	return h1->out == H1_LENGTH || h1->out == H1_RAW || h1->out == H1_UNTIL_CLOSE;
}

static void h1_moved_in(struct stream *stream, u64 len, bool end)
{
	struct h1 *h1 = of_stream(stream);

	if (h1->in == H1_LENGTH) {
		ASSERT(len <= h1->in_left);
		h1->in_left -= len;
	}
	if (end)
		h1->peer_ended = true;
	if (h1->in == H1_LENGTH && h1->in_left == 0) {
		in_ended(h1);
		deliver(h1, (struct slice){0}, true);
		maybe_done(h1);
	} else if (end) {
		take_end(h1);
	}
}

static void h1_moved_out(struct stream *stream, u64 len)
{
	struct h1 *h1 = of_stream(stream);

	if (h1->out == H1_LENGTH) {
		ASSERT(len <= h1->out_left);
		h1->out_left -= len;
	}
}

static const struct stream_ops stream_ops = {
	.send_head = h1_send_head,
	.send_body = h1_send_body,
	.send_trailers = h1_send_trailers,
	.grant = h1_grant,
	.reset = h1_reset,
	.release = h1_release,
	.refuse = h1_refuse,
	.use_parser = h1_use_parser,
	.raw_left = h1_raw_left,
	.held = h1_held,
	.raw_fits = h1_raw_fits,
	.moved_in = h1_moved_in,
	.moved_out = h1_moved_out,
};

void h1_init(struct h1 *h1, enum stream_role role, struct h1_parser *parser,
	struct block_pool *pool, struct bytes *out, const struct session_events *events)
{
	*h1 = (struct h1){
		.session = {.ops = &h1_session_ops,
			.events = events,
			.pool = pool,
			.out = out,
			.role = (u8)role,
			.small = role == STREAM_CLIENT}, // a client may send but one request
		.stream = {.ops = &stream_ops},
		.parser = parser,
		.keep_alive = true,
	};
	h1->stream.session = &h1->session;
}
