// SPDX-License-Identifier: Apache-2.0
#include "cli/origin_client.h"

#include <stdio.h>

#include "cli/origin_answer.h"

enum {
	window_bytes = 256 * 1024, // of a body on its way, in either direction
	crowd = 256, // more clients than these get smaller windows, for want of memory
	crowd_window_bytes = 16 * 1024, // of an answer
	piece_bytes = 32 * 1024,
	adler_base = 65521,
	adler_run = 5552, // bytes after which the sums must be reduced (RFC 1950)
	json_kept_bytes = 4096,
};

static struct origin_client *of_session(struct session *session)
{
	return container_of(conn_of_session(session), struct origin_client, conn);
}

static struct origin_client *of_stream(struct stream *stream)
{
	return stream->owner;
}

static u32 adler_add(u32 adler, struct str data)
{
	u32 a = adler & 0xffff, b = adler >> 16;

	while (data.len) {
		size_t run = MIN(data.len, (size_t)adler_run);

		for (size_t i = 0; i < run; i++) {
			a += (unsigned char)data.ptr[i];
			b += a;
		}
		a %= adler_base;
		b %= adler_base;
		data = str_make(data.ptr + run, data.len - run);
	}
	return b << 16 | a;
}

// ---- The end of a request -----------------------------------------------------------------------

static void end_work(struct origin_client *client)
{
	struct origin *origin = client->origin;
	u64 now_us = loop_now_us(origin->loop);

	if (client->began_us == 0)
		return;
	origin->in_flight--;
	curve_observe(
		&origin->latency, client->met, (now_us - client->began_us) * 1000, now_us * 1000);
	client->began_us = 0;
}

u32 origin_latency_us(const struct origin *origin)
{
	struct balance_ewma latency = curve_read(&origin->latency, origin->in_flight);

	return (u32)(latency.value_ns / 1000);
}

static void finish(struct origin_client *client)
{
	end_work(client);
	loop_timer_cancel(client->origin->loop, &client->delay);
	client->stream = NULL;
	client->json.len = 0;
	if (client->json.room > json_kept_bytes)
		text_done(&client->json);
}

// Before its answer, or in the middle of it; and the connection with it.
static void break_off(struct origin_client *client)
{
	struct stream *stream = client->stream;

	finish(client);
	stream->ops->reset(stream);
	if (client->fault == ORIGIN_RESET)
		conn_abort(&client->conn);
}

// ---- Answering ----------------------------------------------------------------------------------

// The content of answers made with ?size.
static const char *pattern(void)
{
	static char text[piece_bytes];

	if (!text[0])
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = i % 64 == 63 ? '\n' : "0123456789abcdef"[i / 64 % 16];
	return text;
}

static void send_pieces(struct origin_client *client)
{
	struct stream *stream = client->stream;
	u32 window = client->origin->clients.used > crowd ? crowd_window_bytes : window_bytes;
	bool cuts = client->fault == ORIGIN_CUT;

	while (stream && client->answer_left && client->queued < window) {
		u32 piece = MIN(window - client->queued, (u32)piece_bytes);
		size_t len = (size_t)MIN(client->answer_left, (u64)piece);
		struct slice slice = {.ptr = pattern(), .len = len};

		client->answer_left -= len;
		client->queued += (u32)len;
		// Behind the last piece the next request may already be running.
		stream->ops->send_body(stream, slice, client->answer_left == 0 && !cuts);
		if (cuts && client->answer_left == 0)
			break_off(client);
		stream = client->stream;
	}
}

static void add(struct http_head *head, const char *name, struct str value, u8 known)
{
	head->fields[head->field_count++] = (struct http_field){.name = name,
		.value = value.ptr,
		.value_len = (u32)value.len,
		.name_len = (u16)strlen(name),
		.known = known,
		.hop = known == HTTP_F_UPGRADE}; // the session writes it itself
	head->any_hop |= known == HTTP_F_UPGRADE;
	head->first_known[known] = (u8)head->field_count;
}

static bool has_no_body(u16 status)
{
	return status < 200 || status == 204 || status == 304;
}

static void send_head(struct origin_client *client, struct http_head *head, bool end)
{
	char load[64];

	head->status = client->status;
	head->reason = str_from(http_reason(client->status));
	head->version_minor = 1;
	head->keep_alive = client->request_ended || client->kind == ORIGIN_ECHO;
	if (client->is_counted)
		client->origin->counts.statuses[client->status]++;
	add(head, "Server", STR("weir/" WEIR_VERSION " test-backend"), HTTP_F_SERVER);
	if (client->tells_load) {
		u32 us = origin_latency_us(client->origin);
		int len = snprintf(load, sizeof(load), "in_flight=%u, latency_ms=%u.%03u",
			client->origin->in_flight, us / 1000, us % 1000);

		add(head, "X-Weir-Load", str_make(load, (size_t)len), HTTP_F_OTHER);
	}
	client->stream->ops->send_head(client->stream, head, end);
}

static void send_sized(struct origin_client *client)
{
	struct http_field fields[4];
	struct http_head head = {.fields = fields, .framing = HTTP_LENGTH};
	bool end = client->to_head || has_no_body(client->status) || client->answer_bytes == 0;

	add(&head, "Content-Type", STR("text/plain"), HTTP_F_CONTENT_TYPE);
	head.content_length = client->answer_bytes;
	head.has_content_length = !client->chunked && !has_no_body(client->status);
	if (client->chunked)
		head.framing = HTTP_CHUNKED;
	if (client->to_head || has_no_body(client->status))
		head.framing = HTTP_NO_BODY;
	client->answer_left = end ? 0 : client->answer_bytes;
	if (client->fault == ORIGIN_CUT)
		client->answer_left /= 2;
	send_head(client, &head, end);
	send_pieces(client);
}

static void send_json(struct origin_client *client)
{
	struct http_field fields[4];
	struct http_head head = {.fields = fields, .framing = HTTP_LENGTH};
	struct stream *stream = client->stream;
	struct bytes room = {0};
	bool end = client->to_head || has_no_body(client->status);
	bool cuts = client->fault == ORIGIN_CUT;
	size_t len = cuts ? client->json.len / 2 : client->json.len;

	add(&head, "Content-Type", STR("application/json"), HTTP_F_CONTENT_TYPE);
	head.content_length = client->json.len;
	head.has_content_length = !has_no_body(client->status);
	if (end)
		head.framing = HTTP_NO_BODY;
	if (!end) {
		struct block_pool *pool = &client->origin->loop->blocks;

		if (bytes_write(pool, &room, client->json.data, len) != 0) {
			conn_abort(&client->conn);
			return;
		}
	}
	send_head(client, &head, end);
	while (!end && room.len) {
		struct slice slice = bytes_pop(&room);

		stream->ops->send_body(stream, slice, room.len == 0 && !cuts);
	}
	if (cuts)
		break_off(client);
}

static void send_echo_head(struct origin_client *client)
{
	struct http_field fields[4];
	struct http_head head = {.fields = fields, .framing = HTTP_CHUNKED};
	bool end = client->to_head || has_no_body(client->status) || client->request_ended;

	add(&head, "Content-Type", STR("application/octet-stream"), HTTP_F_CONTENT_TYPE);
	if (client->answer_bytes != UINT64_MAX) {
		head.framing = HTTP_LENGTH;
		head.content_length = client->answer_bytes;
		head.has_content_length = true;
	}
	if (client->to_head || has_no_body(client->status))
		head.framing = HTTP_NO_BODY;
	client->ended = end;
	send_head(client, &head, end);
}

static void send_switch(struct origin_client *client)
{
	struct http_field fields[5];
	struct http_head head = {.fields = fields, .framing = HTTP_NO_BODY};
	bool is_websocket = client->kind == ORIGIN_WEBSOCKET;

	client->status = 101;
	add(&head, "Upgrade", is_websocket ? STR("websocket") : STR("echo"), HTTP_F_UPGRADE);
	if (is_websocket)
		add(&head, "Sec-WebSocket-Accept",
			str_make(client->websocket.accept, sizeof(client->websocket.accept)),
			HTTP_F_SEC_WEBSOCKET_ACCEPT);
	send_head(client, &head, false);
	client->stream->ops->grant(client->stream, window_bytes);
}

static void answer(struct origin_client *client)
{
	if (client->has_size) {
		send_sized(client);
		return;
	}
	origin_answer_finish(client);
	send_json(client);
}

static bool is_without_body(const struct origin_client *client)
{
	return client->to_head || has_no_body(client->status) || client->kind >= ORIGIN_TUNNEL ||
	       (client->kind == ORIGIN_ECHO && client->request_ended) ||
	       (client->has_size && client->answer_bytes < 2);
}

// Ends the request here, when that is its fate. What has no body to halve is cut before its head.
static bool meets_its_end(struct origin_client *client)
{
	if (client->fault == ORIGIN_RESET || client->fault == ORIGIN_CLOSE ||
		(client->fault == ORIGIN_CUT && is_without_body(client))) {
		break_off(client);
		return true;
	}
	return false;
}

// What has to wait neither for the delay nor for the request body any more.
static void go_on(struct origin_client *client)
{
	if (timer_is_set(&client->delay) || client->fault == ORIGIN_HANG || meets_its_end(client))
		return;
	switch ((enum origin_kind)client->kind) {
	case ORIGIN_ECHO:
		send_echo_head(client);
		if (client->stream && !client->request_ended)
			client->stream->ops->grant(client->stream, window_bytes);
		break;
	case ORIGIN_TUNNEL:
	case ORIGIN_WEBSOCKET:
		send_switch(client);
		break;
	case ORIGIN_MIRROR:
	case ORIGIN_HEALTH:
	case ORIGIN_LOAD:
	case ORIGIN_CONTROL:
	case ORIGIN_WRONG:
		if (client->request_ended)
			answer(client);
		break;
	}
}

static void on_delay_over(struct timer *timer)
{
	struct origin_client *client = container_of(timer, struct origin_client, delay);

	if (client->stream)
		go_on(client);
}

// ---- The request --------------------------------------------------------------------------------

static void echo(struct origin_client *client, struct slice slice, bool end)
{
	struct stream *stream = client->stream;
	size_t len = slice.len;

	if (client->ended) { // HEAD /echo and the like: read and drop
		slice_drop(&slice);
		stream->ops->grant(stream, len);
		return;
	}
	if (client->fault == ORIGIN_CUT) {
		slice.len /= 2;
		if (slice.len)
			stream->ops->send_body(stream, slice, false);
		else
			slice_drop(&slice);
		break_off(client);
		return;
	}
	client->ended = end;
	stream->ops->send_body(stream, slice, end);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct origin_client *client = of_stream(stream);
	size_t len = slice.len;

	client->body_bytes += len;
	client->request_ended |= end;
	if (client->is_counted)
		origin_counts_add_body(&client->origin->counts, len, end && client->body_bytes);
	switch ((enum origin_kind)client->kind) {
	case ORIGIN_ECHO:
	case ORIGIN_TUNNEL:
		echo(client, slice, end);
		return;
	case ORIGIN_WEBSOCKET:
		websocket_feed(&client->websocket, stream, slice, end);
		return;
	case ORIGIN_MIRROR:
	case ORIGIN_HEALTH:
	case ORIGIN_LOAD:
	case ORIGIN_CONTROL:
	case ORIGIN_WRONG:
		break;
	}
	client->adler = adler_add(client->adler, str_make(slice.ptr, len));
	slice_drop(&slice);
	if (end)
		go_on(client);
	else
		stream->ops->grant(stream, len);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)fields;
	(void)count;
	on_body(stream, (struct slice){0}, true);
}

static void on_drained(struct stream *stream, size_t len)
{
	struct origin_client *client = of_stream(stream);

	client->queued -= (u32)MIN(len, (size_t)client->queued);
	switch ((enum origin_kind)client->kind) {
	case ORIGIN_ECHO:
	case ORIGIN_TUNNEL:
	case ORIGIN_WEBSOCKET:
		stream->ops->grant(stream, len);
		break;
	case ORIGIN_MIRROR:
	case ORIGIN_HEALTH:
	case ORIGIN_LOAD:
	case ORIGIN_CONTROL:
	case ORIGIN_WRONG:
		send_pieces(client);
		break;
	}
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	struct origin_client *client = of_stream(stream);

	(void)fault;
	finish(client);
	conn_abort(&client->conn);
}

static const struct stream_events stream_events = {
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

static void begin(struct origin_client *client, struct stream *stream)
{
	stream->events = &stream_events;
	stream->owner = client;
	client->stream = stream;
	client->body_bytes = client->answer_left = client->answer_bytes = 0;
	client->adler = 1;
	client->queued = client->delay_ms = 0;
	client->status = 200;
	client->kind = ORIGIN_MIRROR;
	client->has_size = client->chunked = client->to_head = false;
	client->request_ended = client->ended = client->awaits_continue = client->is_counted =
		client->tells_load = false;
	client->fault = ORIGIN_SOUND;
}

static void count(struct origin_client *client, enum http_method method)
{
	struct origin_counts *counts = &client->origin->counts;

	if (client->kind == ORIGIN_CONTROL || client->kind == ORIGIN_LOAD)
		return;
	client->is_counted = client->kind != ORIGIN_HEALTH;
	if (client->is_counted) {
		counts->requests++;
		counts->methods[method]++;
		client->began_us = loop_now_us(client->origin->loop);
		client->met = client->origin->in_flight++;
	} else {
		counts->health_checks++;
	}
}

static void meet_fate(struct origin_client *client)
{
	struct origin *origin = client->origin;
	struct origin_fate fate;

	if (client->kind == ORIGIN_CONTROL)
		return;
	fate = origin_faults_next(&origin->faults, client->kind == ORIGIN_HEALTH);
	client->fault = fate.kind;
	if (client->kind != ORIGIN_LOAD) // it tells how slow we are, and is not
		client->delay_ms += fate.delay_ms;
	if (client->is_counted && fate.kind != ORIGIN_SOUND)
		origin->counts.faulty++;
	if (fate.kind == ORIGIN_STATUS)
		origin_answer_wrong(client, fate.status, "told to fail");
	else if (fate.status)
		client->status = fate.status;
}

// A request body is read while the delay runs, except where it is the answer.
static void let_in(struct origin_client *client)
{
	struct stream *stream = client->stream;

	if (client->awaits_continue)
		stream->ops->send_head(stream,
			&(struct http_head){.status = 100,
				.reason = STR("Continue"),
				.version_minor = 1,
				.keep_alive = true},
			false);
	if (!client->request_ended && client->kind < ORIGIN_ECHO)
		stream->ops->grant(stream, window_bytes);
	go_on(client);
}

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct origin_client *client = of_session(session);
	struct loop *loop = client->origin->loop;

	begin(client, stream);
	client->request_ended = end;
	client->awaits_continue = head->expect_continue && !end;
	origin_answer_begin(client, head, end);
	count(client, (enum http_method)head->method);
	meet_fate(client);
	if (client->delay_ms)
		loop_timer_set(loop, &client->delay, loop_now_ms(loop) + client->delay_ms);
	if (client->fault != ORIGIN_HANG)
		let_in(client);
}

static void on_refused(struct session *session, struct stream *stream)
{
	struct origin_client *client = of_session(session);
	enum http_refusal why = (enum http_refusal)session->refusal;

	begin(client, stream);
	origin_answer_wrong(client, http_refusal_status(why), http_refusal_text(why));
	answer(client);
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)stream;
	finish(of_session(session));
}

static void on_poke(struct session *session)
{
	conn_poke(&of_session(session)->conn);
}

static const struct session_events session_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
};

// ---- The connection -----------------------------------------------------------------------------

static void on_closed(struct conn *conn)
{
	struct origin_client *client = container_of(conn, struct origin_client, conn);

	finish(client);
	text_done(&client->json);
	list_remove(&client->node);
	if (!client->is_control)
		client->origin->counts.sockets--;
	slab_put(&client->origin->clients, client);
}

static const struct conn_events conn_events = {.on_closed = on_closed};

void origin_accept(struct origin *origin, int fd)
{
	struct origin_client *client = slab_get(&origin->clients);
	struct sock sock;

	if (!client) {
		sock_open(origin->loop, &sock, fd);
		sock_close(origin->loop, &sock);
		return;
	}
	client->origin = origin;
	client->stream = NULL;
	client->json = (struct text){0};
	client->is_control = false;
	client->began_us = 0;
	origin_counts_add_socket(&origin->counts);
	timer_init(&client->delay, on_delay_over);
	list_push_front(&origin->client_list, &client->node);
	conn_init_fd(&client->conn, origin->loop, fd, &conn_events);
	conn_use_h1(&client->conn, STREAM_SERVER, &origin->parser, &session_events);
	conn_start(&client->conn);
	if (origin->stopping || origin->refusing)
		conn_close(&client->conn);
}

void origin_client_obey(struct origin_client *client)
{
	if (client->origin->refusing && !client->is_control) {
		conn_close(&client->conn);
	} else if (client->stream && client->fault == ORIGIN_HANG) {
		client->fault = ORIGIN_SOUND;
		let_in(client);
	}
}
