// SPDX-License-Identifier: Apache-2.0
// What comes from the peer of an HTTP/1 connection: heads, bodies, the end.
#include <errno.h>

#include "proto/h1_parts.h"

enum { small_message_bytes_max = 12 * 1024 }; // with its head fits one block

void h1_in_ended(struct h1 *h1)
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
		h1_end(h1, SESSION_ABORT);
	h1_tell_reset(h1, STREAM_MALFORMED);
}

void h1_refuse_request(struct h1 *h1, enum http_refusal why)
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
		h1_in_ended(h1);
		break;
	case HTTP_LENGTH:
		h1->in_left = head->content_length;
		h1->in = H1_LENGTH;
		if (head->content_length == 0)
			h1_in_ended(h1);
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

void h1_tunnel_begins(struct h1 *h1)
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
		h1_tunnel_begins(h1);
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
		h1_maybe_done(h1);
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
int h1_hold(struct h1 *h1, struct slice more)
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
		h1_poke(h1); // the owner may want to bound how long a head may take
		return false;
	}
	if (used < 0 && server && is_preface(h1))
		return false;
	if (used < 0 && server)
		h1_refuse_request(h1, why);
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

void h1_deliver(struct h1 *h1, struct slice slice, bool end)
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
			h1_in_ended(h1);
	}
	end = h1->in == H1_ENDED;
	h1_deliver(h1, slice, end);
	if (end)
		h1_maybe_done(h1);
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
		h1_deliver(h1, slice, false);
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
	h1_in_ended(h1);
	events = h1->stream.events;
	if (events && count)
		events->on_trailers(&h1->stream, parser->fields, count);
	else if (events)
		events->on_body(&h1->stream, (struct slice){0}, true);
	block_unref(block);
	h1_maybe_done(h1);
	return true;
}

static bool drop_input(struct h1 *h1)
{
	size_t len = h1->held.len;

	slice_drop(&h1->held);
	if (h1->session.end != SESSION_LINGER)
		return false;
	if (len >= h1->linger_left)
		h1_end(h1, SESSION_CLOSE);
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
		if (server == h1->session.busy || h1_is_clogged(h1))
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

void h1_take_end(struct h1 *h1)
{
	switch ((enum h1_state)h1->in) {
	case H1_UNTIL_CLOSE:
	case H1_RAW:
		h1_in_ended(h1);
		h1_deliver(h1, (struct slice){0}, true);
		h1_maybe_done(h1);
		break;
	case H1_LENGTH:
	case H1_CHUNKS:
	case H1_TRAILERS:
		h1_end(h1, SESSION_CLOSE);
		h1_tell_reset(h1, STREAM_PEER_CLOSED);
		break;
	case H1_HEAD:
		h1_end(h1, SESSION_CLOSE);
		if (h1->session.busy)
			h1_tell_reset(h1, STREAM_PEER_CLOSED);
		break;
	case H1_ENDED:
		// A client that ended its half still gets its answer; a backend that ended while
		// the request is still being sent cannot be used again.
		h1->keep_alive = false;
		break;
	case H1_DROPPED:
		if (h1->session.end == SESSION_LINGER)
			h1_end(h1, SESSION_CLOSE);
		break;
	}
}

void h1_run(struct h1 *h1)
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
		h1_end(h1, SESSION_CLOSE);
	}
	if (h1->in == H1_HEAD && h1_is_clogged(h1))
		return; // whole requests may wait here
	if (h1->peer_ended && (h1->held.len == 0 || h1->in == H1_HEAD || h1->in == H1_TRAILERS))
		h1_take_end(h1);
}
