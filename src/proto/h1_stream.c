// SPDX-License-Identifier: Apache-2.0
// The calls on the stream of an HTTP/1 connection, and what is sent.
#include "proto/h1_parts.h"
#include "proto/h1_write.h"

enum { number_text_max = 24 };

static void out_ended(struct h1 *h1)
{
	h1->out = H1_ENDED;
	h1_poke(h1);
	h1_maybe_done(h1);
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
	struct h1 *h1 = h1_of_stream(stream);
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
		h1_no_memory(h1);
		return;
	}
	if (tunnel) {
		h1_tunnel_begins(h1);
		h1_look_again(h1);
	} else if (interim || !(end || h1->out == H1_ENDED)) {
		h1_poke(h1); // also where the length is 0: its end is told as that of others
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
	struct h1 *h1 = h1_of_stream(stream);
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
		h1_no_memory(h1);
		return;
	}
	h1->queued += (u32)len;
	if (!end) {
		h1_poke(h1);
		return;
	}
	if (h1->out == H1_RAW)
		h1_end(h1, SESSION_SHUT);
	out_ended(h1);
}

static void h1_send_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct h1 *h1 = h1_of_stream(stream);

	if (h1->out != H1_CHUNKS) { // no place for them: the message ends without
		h1_send_body(stream, (struct slice){0}, true);
		return;
	}
	if (h1_write_trailers(h1->session.pool, h1->session.out, fields, count) != 0) {
		h1_no_memory(h1);
		return;
	}
	out_ended(h1);
}

static void h1_grant(struct stream *stream, size_t len)
{
	struct h1 *h1 = h1_of_stream(stream);

	ASSERT(len <= UINT32_MAX - h1->credit);
	h1->credit += (u32)len;
	if (h1->held.len || h1->peer_ended)
		h1_look_again(h1);
	else if (!h1->running) // whoever feeds us asks afterwards what we want
		h1_poke(h1);
}

static void h1_reset(struct stream *stream)
{
	struct h1 *h1 = h1_of_stream(stream);

	stream->events = NULL;
	stream->owner = NULL;
	if (!h1->session.busy)
		return;
	slice_drop(&h1->held);
	h1->in = H1_DROPPED;
	if (h1->session.role == STREAM_CLIENT) {
		h1_end(h1, SESSION_ABORT);
	} else if (h1->out == H1_ENDED) {
		// The answer is complete, the request is not: drop the rest so that the answer is
		// not lost by a reset (RFC 9112 9.6).
		h1->keep_alive = false;
		h1_maybe_done(h1);
		return;
	} else if (h1->out == H1_HEAD) {
		// Nothing was answered, which an orderly end shows as well as a reset; but answers
		// to earlier requests may still be leaving.
		h1->linger_left = H1_LINGER_BYTES_MAX;
		h1_end(h1, h1->peer_ended ? SESSION_CLOSE : SESSION_LINGER);
	} else if (h1->out == H1_UNTIL_CLOSE || h1->out == H1_RAW) {
		h1_end(h1, SESSION_ABORT); // an orderly end would look like a complete message
	} else {
		h1_end(h1, SESSION_CLOSE);
	}
	h1->session.busy = false;
}

static void h1_release(struct stream *stream)
{
	(void)stream; // it has ended, and serves the next message
}

static void h1_refuse(struct stream *stream)
{
	struct h1 *h1 = h1_of_stream(stream);

	h1->session.busy = false;
	h1_end(h1, SESSION_ABORT);
}

static void h1_use_parser(struct stream *stream, struct h1_parser *parser)
{
	h1_of_stream(stream)->parser = parser;
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
	struct h1 *h1 = h1_of_stream(stream);

	if (h1->in == H1_LENGTH) {
		ASSERT(len <= h1->in_left);
		h1->in_left -= len;
	}
	if (end)
		h1->peer_ended = true;
	if (h1->in == H1_LENGTH && h1->in_left == 0) {
		h1_in_ended(h1);
		h1_deliver(h1, (struct slice){0}, true);
		h1_maybe_done(h1);
	} else if (end) {
		h1_take_end(h1);
	}
}

static void h1_moved_out(struct stream *stream, u64 len)
{
	struct h1 *h1 = h1_of_stream(stream);

	if (h1->out == H1_LENGTH) {
		ASSERT(len <= h1->out_left);
		h1->out_left -= len;
	}
}

const struct stream_ops h1_stream_ops = {
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
