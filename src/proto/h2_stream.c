// SPDX-License-Identifier: Apache-2.0
// The calls on a stream, and its body on the way to the peer: queued here, framed by libnghttp2 as
// far as windows allow, put into `out` without a copy.
#include <errno.h>

#include "proto/h2_parts.h"

enum { frame_header_bytes = 9 };

static void no_memory(struct h2 *h2)
{
	h2->is_broken = true;
	h2_end(h2, SESSION_ABORT);
}

static bool is_server(const struct h2_stream *s)
{
	return s->h2->session.role == STREAM_SERVER;
}

// ---- In -----------------------------------------------------------------------------------------

static struct slice take_held(struct h2_stream *s)
{
	size_t len = (size_t)MIN((u64)s->held.head->slice.len, s->credit);
	struct slice slice = s->held.head->slice;

	if (len == slice.len)
		return bytes_pop(&s->held);
	slice.len = len;
	if (slice.block)
		block_ref(slice.block);
	bytes_consume(&s->held, len);
	return slice;
}

static void deliver_end(struct h2_stream *s)
{
	const struct stream_events *events = s->stream.events;
	struct block *block = s->trailers_in;
	struct h1_parser *parser = s->h2->parser;
	enum http_refusal why;
	u16 count = 0;

	s->in_told = true;
	if (!block) {
		events->on_body(&s->stream, (struct slice){0}, true);
		return;
	}
	s->trailers_in = NULL;
	why = h2_read_trailers(parser, block, &count);
	if (why) {
		s->h2->session.refusal = (u8)why;
		if (!s->closed)
			(void)nghttp2_submit_rst_stream(
				s->h2->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_PROTOCOL_ERROR);
		h2_stream_fail(s, STREAM_MALFORMED);
	} else {
		events->on_trailers(&s->stream, parser->fields, count);
	}
	block_unref(block);
}

void h2_stream_hold(struct h2_stream *s, struct slice slice)
{
	struct h2 *h2 = s->h2;

	if (bytes_append(h2->kit->pool, &s->held, slice) == 0)
		return;
	h2_stream_fail(s, STREAM_NO_MEMORY);
	(void)nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
}

// Without credit not even the end is told: it must not come before its reader.
void h2_stream_deliver(struct h2_stream *s)
{
	if (s->upgrade && !s->tunnel)
		return;
	while (s->stream.events && s->credit && s->held.len) {
		struct slice slice = take_held(s);

		bool end = s->in_ended && s->held.len == 0 && !s->trailers_in && !s->in_told;

		s->credit -= slice.len;
		s->unconsumed += slice.len;
		s->in_told |= end;
		s->stream.events->on_body(&s->stream, slice, end);
	}
	if (s->stream.events && s->credit && s->held.len == 0 && s->in_ended && !s->in_told)
		deliver_end(s);
}

// What need not be held is not.
void h2_stream_take_last(struct h2_stream *s, struct slice slice)
{
	const struct stream_events *events = s->stream.events;

	if (likely(events && slice.len && s->held.len == 0 && s->credit >= slice.len &&
		    !(s->upgrade && !s->tunnel))) {
		s->credit -= slice.len;
		s->unconsumed += slice.len;
		s->in_told = true;
		events->on_body(&s->stream, slice, true);
		return;
	}
	if (slice.len && events)
		h2_stream_hold(s, slice);
	else
		slice_drop(&slice);
	h2_stream_deliver(s);
}

static void grant(struct stream *stream, size_t len)
{
	struct h2_stream *s = h2_stream_of(stream);
	u64 drained = MIN((u64)len, s->unconsumed);

	s->credit += len;
	s->unconsumed -= drained;
	if (drained && !s->closed && !s->in_ended) {
		(void)nghttp2_session_consume_stream(s->h2->ng, s->id, (size_t)drained);
		h2_poke(s->h2);
	}
	if (s->held.len || (s->in_ended && !s->in_told)) {
		s->h2->look = true;
		h2_poke(s->h2);
	}
}

// ---- Out ----------------------------------------------------------------------------------------

static void submit_trailers(struct h2_stream *s)
{
	struct h2 *h2 = s->h2;
	struct block *block = s->trailers_out;
	u16 count = 0;
	size_t n;

	s->trailers_out = NULL;
	if (h2_read_trailers(h2->parser, block, &count) == HTTP_REFUSE_OK) {
		n = h2_fields_trailers(h2->kit, h2->parser->fields, count);
		if (nghttp2_submit_trailer(h2->ng, s->id, h2->kit->nv, n) != 0)
			no_memory(h2);
	} else if (nghttp2_submit_rst_stream(
			   h2->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR) != 0) {
		no_memory(h2);
	}
	block_unref(block);
}

static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
	uint32_t *data_flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = source->ptr;
	size_t ready = s->queue.len + (s == s->h2->sender ? s->h2->passing.len : 0);
	size_t len = MIN(length, ready);

	(void)ng;
	(void)id;
	(void)buf;
	(void)user;
	if (len == 0 && !s->out_ended) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (len < ready || !s->out_ended)
		return (ssize_t)len;
	*data_flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->trailers_out) {
		*data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		submit_trailers(s);
	}
	return (ssize_t)len;
}

static int move_bytes(struct h2_stream *s, size_t len)
{
	struct bytes *out = s->h2->session.out;
	struct block_pool *pool = s->h2->kit->pool;

	while (len) {
		struct slice slice = s->queue.head->slice;
		int error;

		if (slice.len <= len) {
			len -= slice.len;
			slice = bytes_pop(&s->queue);
			if (slice.len == 0) {
				slice_drop(&slice);
				continue;
			}
			error = bytes_append(pool, out, slice);
		} else {
			slice.len = len;
			if (slice.block)
				block_ref(slice.block);
			error = bytes_append(pool, out, slice);
			bytes_consume(&s->queue, len);
			len = 0;
		}
		if (error)
			return error;
	}
	return 0;
}

// The beginning of what is passed by the queue.
static struct slice take_passing(struct h2 *h2, size_t len)
{
	struct slice slice = h2->passing;

	if (likely(len == slice.len)) {
		h2->passing = (struct slice){0};
		return slice;
	}
	slice.len = len;
	if (slice.block)
		block_ref(slice.block);
	h2->passing.ptr += len;
	h2->passing.len -= len;
	return slice;
}

// A frame that is short: its header and its bytes in one.
static int put_short(struct h2 *h2, const uint8_t *framehd, struct slice slice)
{
	size_t len = frame_header_bytes + slice.len;
	char *at = bytes_reserve(h2->kit->pool, h2->session.out, len);

	if (at) {
		memcpy(at, framehd, frame_header_bytes);
		if (slice.len) // of an end alone there is not even an address
			memcpy(at + frame_header_bytes, slice.ptr, slice.len);
		bytes_commit(h2->session.out, len);
	}
	slice_drop(&slice);
	return at ? 0 : -ENOMEM;
}

static int put_frame(struct h2 *h2, struct h2_stream *s, const uint8_t *framehd, size_t len)
{
	struct block_pool *pool = h2->kit->pool;
	struct bytes *out = h2->session.out;
	bool passes = s == h2->sender && len && s->queue.len == 0;
	struct slice slice = passes ? take_passing(h2, len) : (struct slice){0};

	if (likely(slice.len == len && len <= BYTES_COPY_MAX))
		return put_short(h2, framehd, slice);
	if (bytes_write(pool, out, framehd, frame_header_bytes) != 0) {
		slice_drop(&slice);
		return -ENOMEM;
	}
	return passes ? bytes_append(pool, out, slice) : move_bytes(s, len);
}

int h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
	nghttp2_data_source *source, void *user)
{
	struct h2 *h2 = user;
	struct h2_stream *s = source->ptr;
	struct bytes *out = h2->session.out;

	(void)ng;
	(void)frame;
	if (out->len >= H2_OUT_DATA_MAX) {
		h2->stalled = true;
		s->pending = true;
		return NGHTTP2_ERR_WOULDBLOCK;
	}
	h2->recent = s;
	if (put_frame(h2, s, framehd, length) != 0) {
		no_memory(h2);
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	// For each frame a reader may well say twice that it has room again, and on two levels;
	// when, is its own affair.
	h2->updates_due = MIN(h2->updates_due, (u32)INT32_MAX) + H2_UPDATES_PER_FRAME;
	s->pending = false;
	if (length) {
		s->framed += (u32)length;
		s->moved = true;
		if (!list_is_linked(&s->leaving_node))
			list_push_back(&h2->leaving, &s->leaving_node);
	}
	// Nobody else's turn is before the end of this one's call.
	return s == h2->sender && h2->passing.len == 0 ? NGHTTP2_ERR_PAUSE : 0;
}

static nghttp2_data_provider provider_of(struct h2_stream *s)
{
	return (nghttp2_data_provider){.source = {.ptr = s}, .read_callback = read_body};
}

static bool is_packed(struct h2_packer *packer)
{
	if (likely(!packer->is_full))
		return true;
	h2_pack_undo(packer);
	return false;
}

static int submit_response(struct h2_stream *s, const struct http_head *head, bool end)
{
	struct h2 *h2 = s->h2;
	bool interim = head->status < 200 && head->status != 101;
	bool tunnel = head->status == 101;
	u16 status = tunnel ? 200 : head->status;
	nghttp2_data_provider provider = provider_of(s);
	struct h2_packer packer;
	bool at_once = h2_is_free(h2);
	size_t count = 0;
	int error;

	if (likely(at_once)) {
		packer = h2_fields_begin(h2, head);
		count = h2_fields_response(h2->kit, head, status, end, &packer);
		at_once = is_packed(&packer);
	}
	if (unlikely(!at_once))
		count = h2_fields_response(h2->kit, head, status, end, NULL);
	s->headed_out = !interim;
	s->out_ended = end && !interim;
	if (interim || (at_once && !end)) { // a body is asked for when there is one
		error = nghttp2_submit_headers(
			h2->ng, NGHTTP2_FLAG_NONE, s->id, NULL, h2->kit->nv, count, NULL);
	} else {
		s->provides = !end;
		error = nghttp2_submit_response(
			h2->ng, s->id, h2->kit->nv, count, end ? NULL : &provider);
	}
	if (at_once && !error)
		h2_frame_head(h2, s, &packer);
	else if (at_once)
		h2_pack_undo(&packer);
	return error;
}

// The backend has agreed to what its protocol of HTTP/1 asked of it: only then is it a WebSocket.
static bool accept_is_right(const struct h2_stream *s, const struct http_head *head)
{
	const struct http_field *field = http_head_find(head, HTTP_F_SEC_WEBSOCKET_ACCEPT);
	char want[WEBSOCKET_ACCEPT_BYTES];

	if (!s->has_key)
		return true;
	websocket_accept(str_make(s->key, WEBSOCKET_KEY_BYTES), want);
	return field && str_eq(str_make(field->value, field->value_len),
				str_make(want, WEBSOCKET_ACCEPT_BYTES));
}

static void answer(struct h2_stream *s, const struct http_head *head, bool end)
{
	struct h2 *h2 = s->h2;

	if (head->status == 101) {
		if (!s->upgrade || !accept_is_right(s, head)) {
			(void)nghttp2_submit_rst_stream(
				h2->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
			h2_poke(h2);
			return;
		}
		s->tunnel = true;
	} else if (s->upgrade && head->status >= 200) {
		s->in_told = true; // no tunnel: what the client sends is nothing to anybody
	}
	if (submit_response(s, head, end) != 0) {
		no_memory(h2);
		return;
	}
	if (s->tunnel)
		h2->look = true;
	h2_poke(h2);
}

// What has to be known when the answer comes.
static bool note_upgrade(struct h2_stream *s, const struct http_head *head)
{
	const struct http_field *protocol = http_head_find(head, HTTP_F_UPGRADE);
	const struct http_field *key = http_head_find(head, HTTP_F_SEC_WEBSOCKET_KEY);

	if (!s->h2->may_connect || !protocol || protocol->value_len > H2_PROTOCOL_MAX)
		return false;
	s->upgrade = true;
	s->protocol_len = (u8)protocol->value_len;
	memcpy(s->protocol, protocol->value, protocol->value_len);
	s->has_key = key && key->value_len == WEBSOCKET_KEY_BYTES;
	if (s->has_key)
		memcpy(s->key, key->value, WEBSOCKET_KEY_BYTES);
	return true;
}

static void fail_later(struct h2_stream *s, enum stream_fault fault)
{
	s->failed = true;
	s->fault = (u8)fault;
	s->h2->look = true;
	h2_poke(s->h2);
}

static void ask(struct h2_stream *s, const struct http_head *head, bool end)
{
	struct h2 *h2 = s->h2;
	nghttp2_data_provider provider = provider_of(s);
	struct h2_packer packer;
	bool at_once = h2_is_free(h2) && h2_may_open(h2);
	size_t count = 0;
	i32 id;

	s->method = head->method;
	s->headed_out = true;
	if (unlikely(head->upgrade)) {
		if (!note_upgrade(s, head)) {
			fail_later(s, STREAM_NO_UPGRADE);
			return;
		}
		end = false;
	}
	if (likely(at_once)) {
		packer = h2_fields_begin(h2, head);
		count = h2_fields_request(h2->kit, head, h2->is_secure, end, &packer);
		at_once = is_packed(&packer);
	}
	if (unlikely(!at_once))
		count = h2_fields_request(h2->kit, head, h2->is_secure, end, NULL);
	if (at_once && !end) {
		id = nghttp2_submit_headers(
			h2->ng, NGHTTP2_FLAG_NONE, -1, NULL, h2->kit->nv, count, s);
	} else {
		s->provides = !end;
		id = nghttp2_submit_request(
			h2->ng, NULL, h2->kit->nv, count, end ? NULL : &provider, s);
	}
	if (id < 0) {
		if (at_once)
			h2_pack_undo(&packer);
		fail_later(s, STREAM_NOT_PROCESSED);
		return;
	}
	s->id = id;
	s->out_ended = end;
	if (at_once)
		h2_frame_head(h2, s, &packer);
	else
		h2_poke(h2);
}

static void send_head(struct stream *stream, const struct http_head *head, bool end)
{
	struct h2_stream *s = h2_stream_of(stream);

	if (s->closed || s->headed_out || s->h2->is_broken)
		return;
	if (is_server(s))
		answer(s, head, end);
	else
		ask(s, head, end);
}

// There are bytes, or there is an end.
static void let_take(struct h2_stream *s)
{
	nghttp2_data_provider provider;

	if (likely(!s->provides)) {
		provider = provider_of(s);
		s->provides = true;
		if (nghttp2_submit_data(s->h2->ng, NGHTTP2_FLAG_END_STREAM, s->id, &provider) ==
			NGHTTP2_ERR_NOMEM)
			no_memory(s->h2);
	} else if (s->deferred) {
		s->deferred = false;
		(void)nghttp2_session_resume_data(s->h2->ng, s->id);
	}
}

// The end of a message is framed at once where nothing is before it. What a window holds back is
// kept like the rest.
static int send_last(struct h2_stream *s, struct slice slice)
{
	struct h2 *h2 = s->h2;
	int error = 0;

	h2->sender = s;
	h2->passing = slice;
	h2_frame_next(h2);
	h2->sender = NULL;
	slice = h2->passing;
	h2->passing = (struct slice){0};
	if (unlikely(slice.len))
		error = bytes_append(h2->kit->pool, &s->queue, slice);
	return error;
}

static void send_body(struct stream *stream, struct slice slice, bool end)
{
	struct h2_stream *s = h2_stream_of(stream);
	struct h2 *h2 = s->h2;
	int error = 0;

	if (s->closed || s->failed || s->out_ended || !s->headed_out || h2->is_broken) {
		slice_drop(&slice);
		return;
	}
	s->out_ended = end;
	let_take(s);
	if (likely(end && h2_is_free(h2) && s->queue.len == 0)) {
		error = send_last(s, slice);
	} else {
		if (slice.len)
			error = bytes_append(h2->kit->pool, &s->queue, slice);
		h2_poke(h2);
	}
	if (unlikely(error))
		no_memory(h2);
}

static void send_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct h2_stream *s = h2_stream_of(stream);
	size_t len = 2;
	struct block *block;
	char *at;

	for (u16 i = 0; i < count; i++)
		len += (size_t)fields[i].name_len + fields[i].value_len + 4;
	block = count ? block_get_sized(s->h2->kit->pool, len) : NULL;
	if (block && !s->trailers_out) {
		at = block->data;
		for (u16 i = 0; i < count; i++) {
			memcpy(at, fields[i].name, fields[i].name_len);
			at += fields[i].name_len;
			memcpy(at, ": ", 2);
			memcpy(at + 2, fields[i].value, fields[i].value_len);
			at += fields[i].value_len + 2;
			memcpy(at, "\r\n", 2);
			at += 2;
		}
		memcpy(at, "\r\n", 2);
		block->used = (u32)len;
		s->trailers_out = block;
	}
	send_body(stream, (struct slice){0}, true);
}

// ---- The end ------------------------------------------------------------------------------------

void h2_stream_cut(struct h2_stream *s, u32 code)
{
	if (!s->pending) // else it goes out before the reset
		bytes_clear(&s->queue);
	(void)nghttp2_submit_rst_stream(s->h2->ng, NGHTTP2_FLAG_NONE, s->id, code);
}

static void let_go_of_answer(struct h2_stream *s)
{
	if (!s->out_ended) {
		h2_stream_cut(s, s->tunnel ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR);
	} else if (!s->in_ended) {
		// The answer is complete, the request is not (RFC 9113 8.1).
		s->refuse_rest = true;
		if (s->out_framed)
			(void)nghttp2_submit_rst_stream(
				s->h2->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
	}
}

static void leave(struct h2_stream *s)
{
	s->stream.events = NULL;
	s->stream.owner = NULL;
	s->released = true;
	bytes_clear(&s->held);
	h2_stream_settle(s);
}

static void reset(struct stream *stream)
{
	struct h2_stream *s = h2_stream_of(stream);

	if (s->id == 0 || s->failed)
		s->closed = true;
	s->failed = false;
	if (!s->closed && !s->h2->is_broken) {
		if (is_server(s))
			let_go_of_answer(s);
		else if (!s->in_ended || !s->out_ended)
			h2_stream_cut(s, NGHTTP2_CANCEL);
		h2_poke(s->h2);
	}
	leave(s);
}

static void release(struct stream *stream)
{
	leave(h2_stream_of(stream));
}

static void refuse(struct stream *stream)
{
	struct h2_stream *s = h2_stream_of(stream);

	if (!s->closed)
		h2_stream_cut(s, NGHTTP2_REFUSED_STREAM);
	h2_poke(s->h2);
	leave(s);
}

static void use_parser(struct stream *stream, struct h1_parser *parser)
{
	h2_stream_of(stream)->h2->parser = parser;
}

static bool heard(const struct stream *stream)
{
	return container_of(stream, struct h2_stream, stream)->heard;
}

static u64 raw_left(const struct stream *stream)
{
	(void)stream;
	return 0;
}

static size_t held(const struct stream *stream)
{
	return container_of(stream, struct h2_stream, stream)->held.len;
}

static bool raw_fits(const struct stream *stream)
{
	(void)stream;
	return false;
}

static void moved_in(struct stream *stream, u64 len, bool end)
{
	(void)stream;
	(void)len;
	(void)end;
	ASSERT(false && "nothing goes past HTTP/2's frames");
}

static void moved_out(struct stream *stream, u64 len)
{
	moved_in(stream, len, false);
}

const struct stream_ops h2_stream_ops = {
	.send_head = send_head,
	.send_body = send_body,
	.send_trailers = send_trailers,
	.grant = grant,
	.reset = reset,
	.release = release,
	.refuse = refuse,
	.use_parser = use_parser,
	.heard = heard,
	.raw_left = raw_left,
	.held = held,
	.raw_fits = raw_fits,
	.moved_in = moved_in,
	.moved_out = moved_out,
};
