// SPDX-License-Identifier: Apache-2.0
// A session of HTTP/2 whose peer sends anything. The first byte chooses the role (1), the size of
// the pieces (2, 4), how it ends (8), and whether the session drains (16) or asks for a WebSocket
// (32); 64: messages are long, have trailers, and some are given up in the middle; 128: the peer
// takes late what is sent. Whatever a client sends, what comes out of it as a request is, written
// for an HTTP/1 backend, exactly one request with the same meaning; and every stream and every
// block is given back.
#include <stdio.h>

#include "fuzz_check.h"
#include "fuzz_session.h"

#include "proto/h1_write.h"
#include "proto/h2.h"
#include "proto/websocket_key.h"

enum { blocks_max = 4096, long_pieces = 12, long_bytes = 16 * 1024 };

struct fuzz {
	struct block_pool pool;
	u64 now_us;
	struct h1_parser parser, own; // of what the peer sends, and of what we do
	struct bytes out;
	struct stream *streams[1024];
	u32 count;
	bool is_long, takes_late;
};

// ---- What comes out is one request --------------------------------------------------------------

static void check_request(struct fuzz *fuzz, const struct http_head *head, bool end)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	static struct fuzz_text text;
	const struct h1_limits limits = {HTTP_HEAD_BYTES_MAX, HTTP_HEAD_BYTES_MAX / 2};
	struct h1_head_form form = {.keep_alive = true, .chunked = head->framing == HTTP_CHUNKED};
	struct http_head again;
	struct bytes bytes = {0};
	enum http_refusal why;
	int used;

	fuzz_check_fields(head->fields, head->field_count, head->raw);
	ASSERT(head->path.len && (head->path.ptr[0] == '/' || str_eq(head->path, STR("*"))));
	ASSERT(http_authority_valid(head->authority));
	ASSERT(!end || head->framing != HTTP_CHUNKED);
	ASSERT(head->method != HTTP_CONNECT);
	ASSERT(h1_write_head(&fuzz->pool, &bytes, head, &form) == 0);
	fuzz_flatten(&bytes, &text);
	used = h1_parse_request(text.at, text.len, &limits, fields, &again, &why);
	ASSERT(used > 0 && (size_t)used == text.len);
	ASSERT(str_eq(again.path, head->path) && str_eq(again.method_text, head->method_text));
	ASSERT(str_eq(again.authority, head->authority));
	ASSERT(again.framing == head->framing && again.content_length == head->content_length);
	ASSERT(again.upgrade == head->upgrade);
	ASSERT(!head->upgrade || (end && head->content_length == 0));
}

// ---- What we say --------------------------------------------------------------------------------

static void send_long(struct stream *stream, const struct http_field *trailers, u16 count)
{
	static const char bytes[long_bytes];

	for (u32 i = 0; i < long_pieces; i++)
		stream->ops->send_body(
			stream, (struct slice){.ptr = bytes, .len = long_bytes}, false);
	stream->ops->send_trailers(stream, trailers, count);
}

static void send_answer(struct fuzz *fuzz, struct stream *stream, const char *text, bool end)
{
	enum http_refusal why;
	struct str all = str_from(text);

	ASSERT(h1_parse_response(all.ptr, all.len, &fuzz_limits, HTTP_GET, fuzz->own.fields,
		       &fuzz->own.head, &why) > 0);
	http_mark_hop_fields(&fuzz->own.head);
	stream->ops->send_head(stream, &fuzz->own.head, end);
}

static void send_request(struct fuzz *fuzz, struct stream *stream, const char *text, bool end)
{
	enum http_refusal why;
	struct str all = str_from(text);

	ASSERT(h1_parse_request(all.ptr, all.len, &fuzz_limits, fuzz->own.fields, &fuzz->own.head,
		       &why) > 0);
	http_mark_hop_fields(&fuzz->own.head);
	stream->ops->send_head(stream, &fuzz->own.head, end);
}

static const struct http_field trailers[] = {
	{.name = "Grpc-Status", .name_len = 11, .value = "0", .value_len = 1},
	{.name = "x-sum", .name_len = 5, .value = "", .value_len = 0},
};

static void answer(struct fuzz *fuzz, struct stream *stream, bool is_refused)
{
	static const char *const kinds[] = {
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nX-Mixed: y\r\n\r\n",
		"HTTP/1.1 299 x\r\nSet-Cookie: a=b\r\nConnection: x\r\nX: y\r\n\r\n",
	};

	if (is_refused) {
		send_answer(fuzz, stream, "HTTP/1.1 400 Bad Request\r\n\r\n", true);
		return;
	}
	if (fuzz->is_long) {
		send_answer(fuzz, stream, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", false);
		send_answer(fuzz, stream, "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", false);
		send_long(stream, trailers, ARRAY_LEN(trailers));
		return;
	}
	send_answer(fuzz, stream, kinds[fuzz->count % ARRAY_LEN(kinds)], false);
	stream->ops->send_body(stream, (struct slice){.ptr = "hello", .len = 5}, true);
}

static void agree(struct fuzz *fuzz, struct stream *stream, const struct http_head *request)
{
	const struct http_field *key = http_head_find(request, HTTP_F_SEC_WEBSOCKET_KEY);
	const struct http_field *to = http_head_find(request, HTTP_F_UPGRADE);
	char text[512], accept[WEBSOCKET_ACCEPT_BYTES] = {0};

	if (key)
		websocket_accept(str_make(key->value, key->value_len), accept);
	snprintf(text, sizeof(text),
		"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: %.*s\r\n"
		"Sec-WebSocket-Accept: %.*s\r\n\r\n",
		(int)to->value_len, to->value, (int)sizeof(accept), key ? accept : "none");
	send_answer(fuzz, stream, text, false);
	stream->ops->send_body(stream, (struct slice){.ptr = "hello", .len = 5}, false);
}

// ---- Events -------------------------------------------------------------------------------------

static void let_go(struct fuzz *fuzz, struct stream *stream)
{
	for (u32 i = 0; i < fuzz->count; i++) {
		if (fuzz->streams[i] != stream)
			continue;
		fuzz->streams[i] = fuzz->streams[--fuzz->count];
		break;
	}
	stream->ops->reset(stream);
}

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	fuzz_check_fields(head->fields, head->field_count, head->raw);
	ASSERT(head->status >= 100 && head->status <= 999);
	if (!end)
		stream->ops->grant(stream, 3000);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct fuzz *fuzz = stream->owner;
	bool is_enough = fuzz->is_long && slice.len % 8 == 5;

	if (!is_enough && !end)
		stream->ops->grant(stream, slice.len);
	slice_drop(&slice);
	if (is_enough)
		let_go(fuzz, stream);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)stream;
	for (u16 i = 0; i < count; i++)
		ASSERT(fields[i].name_len > 0 &&
			http_trailer_allowed((enum http_known)fields[i].known));
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	(void)stream;
	ASSERT(fault <= STREAM_NOT_PROCESSED);
}

static const struct stream_events stream_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = fuzz_on_drained,
	.on_reset = on_reset,
};

static void keep(struct fuzz *fuzz, struct stream *stream)
{
	stream->events = &stream_events;
	stream->owner = fuzz;
	if (fuzz->count < ARRAY_LEN(fuzz->streams))
		fuzz->streams[fuzz->count++] = stream;
	else
		stream->ops->refuse(stream);
}

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct fuzz *fuzz = h2_carrier(session);

	http_mark_hop_fields(head); // as whoever sends it on
	check_request(fuzz, head, end);
	keep(fuzz, stream);
	if (!stream->events)
		return;
	if (!end || head->upgrade)
		stream->ops->grant(stream, 1000);
	if (head->upgrade && !fuzz->is_long)
		agree(fuzz, stream, head);
	else
		answer(fuzz, stream, false);
}

static void on_refused(struct session *session, struct stream *stream)
{
	ASSERT(session->refusal != HTTP_REFUSE_OK && session->refusal < HTTP_REFUSE_COUNT);
	keep(h2_carrier(session), stream);
	if (stream->events)
		answer(h2_carrier(session), stream, true);
}

static void on_open_limit(struct session *session)
{
	ASSERT(session->ops->room(session) <= H2_STREAMS_MAX);
}

static void on_goaway(struct session *session)
{
	ASSERT(session->ops->room(session) == 0);
}

static void on_excess(struct session *session)
{
	ASSERT(h2_excess_word(h2_excess_of(session)) != NULL);
}

static const struct session_events session_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = fuzz_on_stream_done,
	.on_poke = fuzz_on_poke,
	.on_open_limit = on_open_limit,
	.on_goaway = on_goaway,
	.on_excess = on_excess,
};

// ---- A run --------------------------------------------------------------------------------------

static struct stream *open_stream(struct fuzz *fuzz, struct session *session)
{
	struct stream *stream = session->ops->open(session);

	ASSERT(stream != NULL);
	keep(fuzz, stream);
	return stream;
}

static void ask(struct fuzz *fuzz, struct session *session)
{
	struct stream *stream = open_stream(fuzz, session);

	send_request(fuzz, stream, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", true);
	stream = open_stream(fuzz, session);
	send_request(fuzz, stream, "HEAD / HTTP/1.1\r\nHost: a\r\nX-Mixed: y\r\n\r\n", true);
	stream = open_stream(fuzz, session);
	send_request(fuzz, stream,
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false);
	if (fuzz->is_long)
		send_long(stream, trailers, ARRAY_LEN(trailers));
	else
		stream->ops->send_body(stream, (struct slice){.ptr = "abc", .len = 3}, true);
}

// A request that goes over to another protocol (RFC 8441).
static void ask_tunnel(struct fuzz *fuzz, struct session *session)
{
	struct stream *stream = open_stream(fuzz, session);

	send_request(fuzz, stream,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
		true);
	stream->ops->grant(stream, 1000);
}

static void feed(struct fuzz *fuzz, struct session *session, struct str input, size_t piece)
{
	fuzz_feed_to(session, input, piece, fuzz->takes_late, &fuzz->pool, &fuzz->now_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 7, 100, BLOCK_BYTES};
	const struct str allows_connect = STR("\0\0\6\4\0\0\0\0\0\0\x8\0\0\0\1");
	static struct fuzz fuzz;
	struct session *session;
	struct h2_kit *kit;
	bool server;

	if (size == 0)
		return 0;
	server = !(data[0] & 1);
	fuzz.count = 0;
	fuzz.is_long = data[0] & 64;
	fuzz.takes_late = data[0] & 128;
	fuzz.now_us = 1;
	fuzz.parser.limits = fuzz_limits;
	block_pool_init(&fuzz.pool, blocks_max, blocks_max);
	kit = h2_kit_new(&fuzz.pool, &fuzz.now_us, 1, 2048, 1);
	session = h2_new(kit, server ? STREAM_SERVER : STREAM_CLIENT, &fuzz.parser, &fuzz.out,
		&fuzz, false, &session_events);
	ASSERT(session != NULL);
	fuzz_turn(session);
	if (server)
		feed(&fuzz, session, h2_preface, BLOCK_BYTES);
	else
		ask(&fuzz, session);
	fuzz_turn(session);
	if (!server && data[0] & 32) {
		feed(&fuzz, session, allows_connect, BLOCK_BYTES);
		ask_tunnel(&fuzz, session);
	}
	if (data[0] & 16) {
		session->ops->drain(session);
		session->ops->check_alive(session);
	}
	fuzz_turn(session);
	feed(&fuzz, session, str_make((const char *)data + 1, size - 1), pieces[data[0] >> 1 & 3]);
	session->ops->ended(session, data[0] & 8 ? -104 : 0);
	while (fuzz.count)
		let_go(&fuzz, fuzz.streams[0]);
	fuzz_turn(session);
	session->ops->done(session);
	bytes_clear(&fuzz.out);
	h2_kit_free(kit);
	block_pool_done(&fuzz.pool);
	return 0;
}
