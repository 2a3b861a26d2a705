// SPDX-License-Identifier: Apache-2.0
#include "admin/server.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/server_inside.h"
#include "base/mem.h"

enum {
	head_bytes_max = 16 * 1024,
	call_bytes_max = 4 << 20,
	window_bytes = 128 * 1024, // of an answer that may be on its way
	piece_bytes = 16 * 1024,
	patience_ms = 30 * 1000, // without progress
	idle_ms = 75 * 1000,
	pause_ms = 100,
	kept_bytes = 256 * 1024, // of a stream's buffer between two sends
};

static struct admin_client *of_session(struct session *session)
{
	return container_of(conn_of_session(session), struct admin_client, conn);
}

static u64 now_ms(const struct admin_server *server)
{
	return loop_now_ms(server->config.loop);
}

// ---- The life of a call -------------------------------------------------------------------------

struct grave {
	struct task task;
	struct admin_call *call;
};

static void free_call(struct task *task)
{
	struct grave *grave = container_of(task, struct grave, task);
	struct admin_call *call = grave->call;

	call->server->call_count--;
	text_done(&call->out);
	arena_done(&call->arena);
	mem_free(call);
	mem_free(grave);
}

static void bury(struct admin_call *call)
{
	struct grave *grave = mem_alloc(sizeof(*grave));

	*grave = (struct grave){.task = {.run = free_call}, .call = call};
	loop_defer(call->server->config.loop, &grave->task);
}

static struct admin_call *new_call(struct admin_client *client, struct stream *stream)
{
	struct admin_call *call = mem_alloc(sizeof(*call));

	arena_init(&call->arena, call_bytes_max);
	call->server = client->server;
	call->owner = client->server->config.owner;
	call->client = client;
	list_init(&call->node);
	client->server->call_count++;
	client->call = call;
	client->stream = stream;
	client->request_ended = client->to_head = client->refuses_body = false;
	client->active_ms = now_ms(client->server);
	client->body.len = 0;
	return call;
}

static void count_stream_out(struct admin_call *call)
{
	if (call->streams)
		call->server->stream_count--;
	call->streams = false;
}

// The connection and the call part. A call that was not answered yet stays its handler's.
static void part(struct admin_client *client)
{
	struct admin_call *call = client->call;

	if (!call)
		return;
	client->call = NULL;
	client->stream = NULL;
	call->client = NULL;
	text_done(&client->body);
	count_stream_out(call);
	if (call->answered && (call->over || !call->on_gone)) {
		bury(call);
		return;
	}
	if (call->on_gone)
		call->on_gone(call);
}

void admin_call_over(struct admin_call *call)
{
	call->over = true;
	if (!call->client)
		bury(call);
}

// ---- Sending ------------------------------------------------------------------------------------

// False: no memory for now.
static bool send_piece(struct admin_call *call, size_t len, bool end)
{
	struct admin_client *client = call->client;
	struct stream *stream = client->stream;
	struct bytes room = {0};

	if (bytes_write(&client->server->config.loop->blocks, &room, call->out.data + call->sent,
		    len) != 0)
		return false;
	call->sent += len;
	call->queued += len;
	while (room.len) {
		struct slice slice = bytes_pop(&room);

		stream->ops->send_body(stream, slice, end && room.len == 0);
	}
	return true;
}

void admin_call_pump(struct admin_call *call)
{
	struct admin_client *client = call->client;

	while (client && client->call == call && !client->to_head && call->sent < call->out.len &&
		call->queued < window_bytes) {
		size_t len = MIN(call->out.len - call->sent, (size_t)piece_bytes);
		bool end = call->over && call->sent + len == call->out.len;

		if (!send_piece(call, len, end)) {
			if (call->queued == 0)
				conn_abort(&client->conn);
			return;
		}
		if (end)
			return; // the call may be gone
	}
}

static void on_drained(struct stream *stream, size_t len)
{
	struct admin_client *client = stream->owner;
	struct admin_call *call = client->call;

	client->active_ms = now_ms(client->server);
	if (!call)
		return;
	call->queued -= MIN(len, call->queued);
	admin_call_pump(call);
	if (client->call != call || !call->streams || call->sent < call->out.len || call->queued)
		return;
	call->sent = call->out.len = 0;
	if (call->out.room > kept_bytes)
		text_done(&call->out);
	if (call->on_room)
		call->on_room(call);
}

// ---- Receiving ----------------------------------------------------------------------------------

static void serve(struct admin_client *client)
{
	struct admin_call *call = client->call;

	client->request_ended = true;
	call->body = arena_str(&call->arena, str_make(client->body.data, client->body.len));
	text_done(&client->body);
	admin_call_serve(call);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct admin_client *client = stream->owner;
	struct admin_call *call = client->call;
	size_t len = slice.len;

	client->active_ms = now_ms(client->server);
	if (call && !client->refuses_body)
		text_add(&client->body, str_make(slice.ptr, len));
	slice_drop(&slice);
	if (!call || client->refuses_body)
		return;
	if (client->body.len > client->body_max) {
		client->refuses_body = true;
		admin_problem(call, 413, "Send less.", "the body is larger than %u bytes",
			client->body_max);
	} else if (end) {
		serve(client);
	} else {
		stream->ops->grant(stream, len);
	}
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)fields;
	(void)count;
	on_body(stream, (struct slice){0}, true);
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	struct admin_client *client = stream->owner;

	(void)fault;
	part(client);
	conn_abort(&client->conn);
}

static const struct stream_events stream_events = {
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

static void take_body(struct admin_client *client, struct stream *stream)
{
	struct admin_call *call = client->call;
	const struct http_head *head = call->head;

	client->body_max = admin_call_body_max(call);
	if (head->framing == HTTP_LENGTH && head->content_length > client->body_max) {
		client->refuses_body = true;
		admin_problem(call, 413, "Send less.", "the body is larger than %u bytes",
			client->body_max);
		return;
	}
	if (head->expect_continue)
		stream->ops->send_head(stream,
			&(struct http_head){.status = 100,
				.reason = STR("Continue"),
				.version_minor = 1,
				.keep_alive = true},
			false);
	stream->ops->grant(stream, client->body_max + 1);
}

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct admin_client *client = of_session(session);
	struct admin_call *call = new_call(client, stream);

	stream->events = &stream_events;
	stream->owner = client;
	client->to_head = head->method == HTTP_HEAD;
	call->head = http_head_copy(&call->arena, head);
	if (!call->head)
		conn_abort(&client->conn);
	else if (end)
		serve(client);
	else
		take_body(client, stream);
}

static void on_refused(struct session *session, struct stream *stream)
{
	struct admin_client *client = of_session(session);
	enum http_refusal why = (enum http_refusal)session->refusal;
	struct admin_call *call = new_call(client, stream);

	stream->events = &stream_events;
	stream->owner = client;
	admin_problem(call, http_refusal_status(why), NULL, "%s", http_refusal_text(why));
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	struct admin_client *client = of_session(session);

	(void)stream;
	part(client);
	client->active_ms = now_ms(client->server);
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

// ---- Connections --------------------------------------------------------------------------------

// A request that its handler works on may take as long as it takes.
static bool waits_for_us(const struct admin_client *client)
{
	const struct admin_call *call = client->call;

	return call && client->request_ended && call->queued == 0 && call->sent == call->out.len;
}

static void on_timer(struct conn *conn)
{
	struct admin_client *client = container_of(conn, struct admin_client, conn);
	u64 patience = client->call || conn->session->ops->head_is_partial(conn->session)
			       ? (u64)patience_ms
			       : idle_ms;
	u64 due_ms = client->active_ms + patience;

	if (!waits_for_us(client) && now_ms(client->server) >= due_ms) {
		conn_abort(conn);
		return;
	}
	conn_set_timer(conn, now_ms(client->server) + patience_ms);
}

static void on_closed(struct conn *conn)
{
	struct admin_client *client = container_of(conn, struct admin_client, conn);

	part(client);
	text_done(&client->body);
	list_remove(&client->node);
	client->server->client_count--;
	mem_free(client);
}

static const struct conn_events conn_events = {.on_closed = on_closed, .on_timer = on_timer};

static u32 uid_of_peer(int fd)
{
	struct ucred credentials;
	socklen_t len = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) != 0)
		return UINT32_MAX;
	return credentials.uid;
}

static void take(struct admin_door *door, int fd)
{
	struct admin_server *server = door->server;
	struct admin_client *client;

	if (server->stopping || server->client_count >= ADMIN_CLIENTS_MAX) {
		close(fd);
		return;
	}
	client = mem_alloc(sizeof(*client));
	client->server = server;
	client->door = door;
	if (door->address.family == ADDR_UNIX)
		client->uid = uid_of_peer(fd);
	server->client_count++;
	list_push_back(&server->clients, &client->node);
	conn_init_fd(&client->conn, server->config.loop, fd, &conn_events);
	sock_peer(server->config.loop, &client->conn.sock, &client->peer);
	conn_use_h1(&client->conn, STREAM_SERVER, &server->parser, &session_events);
	client->active_ms = now_ms(server);
	conn_set_timer(&client->conn, client->active_ms + patience_ms);
	conn_start(&client->conn);
}

// ---- Listening ----------------------------------------------------------------------------------

static void on_resume(struct timer *timer)
{
	struct admin_door *door = container_of(timer, struct admin_door, resume);

	if (!door->server->stopping && !op_is_out(&door->accept))
		loop_accept(door->server->config.loop, &door->sock, &door->accept);
}

static void on_accept(struct op *op)
{
	struct admin_door *door = container_of(op, struct admin_door, accept);
	struct loop *loop = door->server->config.loop;

	if (op->result >= 0)
		take(door, op->result);
	if (op->more)
		return;
	if (door->server->stopping)
		sock_close(loop, &door->sock);
	else
		loop_timer_set(loop, &door->resume, loop_now_ms(loop) + pause_ms);
}

void admin_server_listen(
	struct admin_server *server, int fd, const struct addr *address, const char *only_path)
{
	struct admin_door *door = mem_alloc(sizeof(*door));

	door->server = server;
	door->address = *address;
	door->only_path = only_path;
	op_init(&door->accept, on_accept);
	timer_init(&door->resume, on_resume);
	list_push_back(&server->doors, &door->node);
	sock_open(server->config.loop, &door->sock, fd);
	loop_accept(server->config.loop, &door->sock, &door->accept);
}

// ---- Life ---------------------------------------------------------------------------------------

struct admin_server *admin_server_new(const struct admin_server_config *config)
{
	struct admin_server *server = mem_alloc(sizeof(*server));

	server->config = *config;
	list_init(&server->doors);
	list_init(&server->clients);
	server->parser.limits = (struct h1_limits){
		.head_bytes_max = head_bytes_max, .target_bytes_max = head_bytes_max};
	return server;
}

void admin_server_stop(struct admin_server *server)
{
	struct loop *loop = server->config.loop;

	server->stopping = true;
	list_for_each (node, &server->doors) {
		struct admin_door *door = list_entry(node, struct admin_door, node);

		loop_timer_cancel(loop, &door->resume);
		if (op_is_out(&door->accept))
			loop_cancel(loop, &door->accept);
		else
			sock_close(loop, &door->sock);
	}
	list_for_each (node, &server->clients)
		conn_close(&list_entry(node, struct admin_client, node)->conn);
}

static bool doors_are_closed(const struct admin_server *server)
{
	list_for_each (node, &server->doors)
		if (list_entry(node, struct admin_door, node)->sock.fd >= 0)
			return false;
	return true;
}

bool admin_server_is_idle(const struct admin_server *server)
{
	return server->client_count == 0 && server->call_count == 0 && doors_are_closed(server);
}

void admin_server_free(struct admin_server *server)
{
	list_for_each_safe (node, &server->doors) {
		struct admin_door *door = list_entry(node, struct admin_door, node);

		list_remove(&door->node);
		mem_free(door);
	}
	mem_free(server);
}
