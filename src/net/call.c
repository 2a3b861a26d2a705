// SPDX-License-Identifier: Apache-2.0
#include "net/call.h"

#include <errno.h>

enum { piece_bytes = 16 * 1024 };

static struct call *of_conn(struct conn *conn)
{
	return container_of(conn, struct call, conn);
}

static struct call *of_session(struct session *session)
{
	return of_conn(conn_of_session(session));
}

void call_end(struct call *call)
{
	call->over = true;
	conn_finish(&call->conn);
}

void call_end_in_order(struct call *call, u64 deadline_ms)
{
	if (call->over)
		return;
	if (!call->stream && !conn_is_flushed(&call->conn)) {
		call->over = true;
		call->conn.session->end = SESSION_CLOSE; // what goes first still has to
		conn_poke(&call->conn);
		call_set_deadline(call, deadline_ms);
		return;
	}
	if (!call->stream) {
		call_end(call);
		return;
	}
	call->over = true;
	call->rest = CALL_REST_BYTES_MAX;
	call->stream->ops->grant(call->stream, CALL_REST_BYTES_MAX);
	call_set_deadline(call, deadline_ms);
}

static void fail(struct call *call, enum call_fault fault, int error)
{
	if (call->over) {
		conn_close(&call->conn);
		return;
	}
	call_end(call);
	call->events->on_failed(call, fault, error);
}

// ---- The answer ---------------------------------------------------------------------------------

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	struct call *call = stream->owner;

	if (call->over || head->status < 200)
		return;
	if (call->events->on_fields)
		call->events->on_fields(call, head->fields, head->field_count);
	if (end)
		call_end(call);
	call->events->on_answer(call, head->status, end);
}

static void take_body(struct call *call, struct str bytes, bool end)
{
	if (call->over) {
		call->rest -= (u32)MIN(bytes.len, (size_t)call->rest);
		if (end || call->rest == 0)
			conn_close(&call->conn);
		return;
	}
	if (end)
		call_end(call);
	if (call->events->on_body)
		call->events->on_body(call, bytes, end);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	take_body(stream->owner, str_make(slice.ptr, slice.len), end);
	slice_drop(&slice);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	const struct call *call = stream->owner;

	if (!call->over && call->events->on_fields)
		call->events->on_fields(stream->owner, fields, count);
	take_body(stream->owner, STR_EMPTY, true);
}

static void send_piece(struct stream *stream)
{
	struct call *call = stream->owner;
	struct str body = call->request->body;
	size_t len = MIN(body.len - call->body_sent, (size_t)piece_bytes);
	struct slice piece = {.ptr = body.ptr + call->body_sent, .len = len};

	call->body_sent += len;
	call->body_under_way = len;
	stream->ops->send_body(stream, piece, call->body_sent == body.len);
}

static void on_drained(struct stream *stream, size_t len)
{
	struct call *call = stream->owner;

	call->body_under_way -= len;
	if (!call->over && len && call->body_under_way == 0 &&
		call->body_sent < call->request->body.len)
		send_piece(stream);
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	bool malformed = fault == STREAM_MALFORMED || fault == STREAM_NOT_PROCESSED;
	struct call *call = stream->owner;

	if (fault == STREAM_UNWELCOME)
		fail(call, CALL_CONNECT_FAILED, conn_unwelcome_error(&call->conn));
	else
		fail(call, malformed ? CALL_ANSWER_MALFORMED : CALL_CLOSED, 0);
}

static const struct stream_events stream_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)stream;
	ASSERT(of_session(session)->over);
}

static void on_poke(struct session *session)
{
	conn_poke(&of_session(session)->conn);
}

static const struct session_events session_events = {
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
};

// ---- The request --------------------------------------------------------------------------------

static void send_request(struct call *call)
{
	const struct call_request *request = call->request;
	struct session *session = call->conn.session;
	struct stream *stream = session->ops->open(session);
	bool has_body = request->body.len > 0;
	struct http_head head;

	if (!stream) {
		fail(call, CALL_CLOSED, 0);
		return;
	}
	http_head_init(&head, NULL);
	head.method = (u8)request->method;
	head.method_text = request->method_text;
	head.path = request->path;
	head.authority = request->host;
	head.version_minor = 1;
	head.framing = has_body || request->announces_body ? HTTP_LENGTH : HTTP_NO_BODY;
	head.content_length = request->body.len;
	head.added[head.added_count++] = request->lines;
	stream->events = &stream_events;
	stream->owner = call;
	call->stream = stream;
	stream->ops->send_head(stream, &head, !has_body);
	if (has_body)
		send_piece(stream);
	if (request->answer_bytes_max)
		stream->ops->grant(stream, request->answer_bytes_max);
}

// ---- The connection -----------------------------------------------------------------------------

static void on_connected(struct conn *conn, int error)
{
	struct call *call = of_conn(conn);

	if (call->over)
		return;
	if (error) {
		fail(call, CALL_CONNECT_FAILED, error);
		return;
	}
	if (call->events->on_connected)
		call->events->on_connected(call);
	if (call->request && !call->over)
		send_request(call);
}

static void on_timer(struct conn *conn)
{
	fail(of_conn(conn), conn_is_connecting(conn) ? CALL_CONNECT_LATE : CALL_ANSWER_LATE, 0);
}

static void on_closed(struct conn *conn)
{
	struct call *call = of_conn(conn);

	ASSERT(call->over);
	call->events->on_closed(call);
}

static const struct conn_events conn_events = {
	.on_closed = on_closed,
	.on_connected = on_connected,
	.on_timer = on_timer,
};

static int use_session(struct call *call, struct h1_parser *parser, bool is_secure)
{
	struct conn *conn = &call->conn;

	if (!call->request) {
		conn_use_raw(conn, STREAM_CLIENT, &session_events);
	} else if (call->request->h2) {
		return conn_use_h2(
			conn, STREAM_CLIENT, call->request->h2, parser, is_secure, &session_events);
	} else {
		conn_use_h1(conn, STREAM_CLIENT, parser, &session_events);
	}
	return 0;
}

int call_begin(struct call *call, struct loop *loop, const struct call_peer *peer,
	const struct call_request *request, struct h1_parser *parser,
	const struct call_events *events)
{
	int error = conn_init_new(&call->conn, loop, &peer->addr, &conn_events);

	if (error)
		return error;
	call->events = events;
	call->request = request;
	call->addr = peer->addr;
	call->over = false;
	call->stream = NULL;
	call->rest = 0;
	call->body_sent = call->body_under_way = 0;
	if (peer->tls && !conn_use_tls_client(&call->conn, peer->tls))
		error = -ENOMEM;
	if (!error && peer->intro.len)
		error = conn_send_first(&call->conn, peer->intro);
	if (!error)
		error = use_session(call, parser, peer->tls);
	if (error) {
		conn_cancel(&call->conn);
		return error;
	}
	conn_connect(&call->conn, &call->addr);
	return 0;
}
