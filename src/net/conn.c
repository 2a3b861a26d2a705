// SPDX-License-Identifier: Apache-2.0
#include "net/conn.h"

#include <errno.h>

#include "net/conn_inside.h"
#include "net/mover.h"
#include "net/tls.h"

enum {
	linger_ms = 2000,
	flush_idle_ms = 30 * 1000, // a peer that takes nothing of the last bytes for so long
};

static void shut_when_flushed(struct conn *conn)
{
	if (conn->shut || !conn_is_flushed(conn) || conn->mover_out)
		return;
	conn->shut = true;
	sock_shutdown_send(conn->loop, &conn->sock);
}

// Nobody else waits for the last bytes: a peer that takes none of them must not stay for ever.
static void bound_flush(struct conn *conn)
{
	if (conn->bounded)
		return;
	conn->bounded = true;
	conn->unsent = (u32)(conn->out.len + conn->sending.len);
	loop_timer_set(conn->loop, &conn->timer, loop_now_ms(conn->loop) + flush_idle_ms);
}

static void linger(struct conn *conn)
{
	if (conn->lingering)
		return;
	shut_when_flushed(conn);
	conn->lingering = conn->shut;
	conn->bounded |= conn->shut;
	if (conn->shut)
		loop_timer_set(conn->loop, &conn->timer, loop_now_ms(conn->loop) + linger_ms);
	else
		bound_flush(conn);
}

static enum session_end end_of(const struct conn *conn)
{
	enum session_end end = (enum session_end)conn->session->end;

	return end == SESSION_LINGER && unlikely(conn->parts) ? SESSION_CLOSE : end;
}

void conn_carry_out_end(struct conn *conn)
{
	switch (end_of(conn)) {
	case SESSION_GOES_ON:
		break;
	case SESSION_SHUT:
		shut_when_flushed(conn);
		break;
	case SESSION_LINGER:
		linger(conn);
		break;
	case SESSION_CLOSE:
		if (conn_is_flushed(conn) && !conn->mover_out)
			conn_close(conn);
		else
			bound_flush(conn);
		break;
	case SESSION_ABORT:
		// Whoever still uses the session must hear of it, also when the abort is our own.
		conn->session->ops->ended(conn->session, -ECONNABORTED);
		conn_abort(conn);
		break;
	}
}

static void flush(struct conn *conn)
{
	if (bytes_is_empty(&conn->out) || op_is_out(&conn->send) || conn->mover_out)
		return;
	bytes_move_all(&conn->sending, &conn->out);
	conn->bytes_out += conn->sending.len;
	conn->session->ops->taken(conn->session);
	if (!loop_send_now(conn->loop, &conn->sock, &conn->sending)) {
		loop_send(conn->loop, &conn->sock, &conn->send, &conn->sending);
		return;
	}
	conn->session->ops->sent(conn->session);
	if (!bytes_is_empty(&conn->out))
		conn_poke(conn);
}

static void receive(struct conn *conn)
{
	u32 hints = conn->upstream ? RECV_UPSTREAM : 0;

	if (op_is_out(&conn->receive) || conn->mover_in ||
		!conn->session->ops->wants_input(conn->session))
		return;
	if (conn->session->small)
		hints |= RECV_KEEP;
	loop_recv(conn->loop, &conn->sock, &conn->receive, hints);
}

static void give_back(struct conn *conn)
{
	if (conn->sock.fd >= 0)
		sock_close(conn->loop, &conn->sock);
	bytes_clear(&conn->out);
	bytes_clear(&conn->sending);
	if (conn->is_secure)
		tls_free(conn->tls);
}

void conn_finish_close(struct conn *conn)
{
	if (op_is_out(&conn->receive) || op_is_out(&conn->send) || conn->mover_out ||
		(conn->mover_in && !conn->is_secure))
		return;
	loop_timer_cancel(conn->loop, &conn->timer);
	give_back(conn);
	conn->session->ops->done(conn->session);
	conn->events->on_closed(conn);
}

// Everything a connection has to do, at the end of a turn in which anything happened to it.
void conn_crank(struct task *task)
{
	struct conn *conn = container_of(task, struct conn, crank);

	if (conn->closing) {
		conn_finish_close(conn);
		return;
	}
	if (conn->connecting)
		return;
	if (conn->session->again) {
		conn->session->again = false;
		conn->session->ops->feed(conn->session, (struct slice){0});
	}
	flush(conn);
	if (conn->session->end != SESSION_GOES_ON)
		conn_carry_out_end(conn);
	if (!conn->closing) // else this runs again
		receive(conn);
}

void conn_on_received(struct op *op)
{
	struct conn *conn = container_of(op, struct conn, receive);
	int result = op->result;

	conn_poke(conn);
	if (conn->ready_in) {
		conn->ready_in = false;
		if (conn->mover_in)
			mover_source_ready(conn->mover_in, result);
		return;
	}
	if (conn->closing) {
		if (result > 0)
			slice_drop(&op->received);
		return;
	}
	if (result > 0) {
		conn->bytes_in += (u64)result;
		conn->session->ops->feed(conn->session, op->received);
	} else if (result != -ECANCELED) {
		// The kernel tells of a reset once. When a send was told, what looks like an
		// orderly end is not one.
		if (result == 0 && conn->was_reset)
			result = -ECONNRESET;
		conn->session->ops->ended(conn->session, result);
	}
}

void conn_on_sent(struct op *op)
{
	struct conn *conn = container_of(op, struct conn, send);
	int result = op->result;

	if (likely(result == 0 && !conn->ready_out && !conn->closing)) {
		conn->session->ops->sent(conn->session);
		if (!bytes_is_empty(&conn->out) || conn->session->end != SESSION_GOES_ON)
			conn_poke(conn);
		return;
	}
	conn_poke(conn);
	if (conn->ready_out) {
		conn->ready_out = false;
		if (conn->mover_out)
			mover_target_ready(conn->mover_out, result);
		return;
	}
	conn_send_failed(conn, result);
}

void conn_send_failed(struct conn *conn, int result)
{
	if (conn->closing)
		return;
	conn->failed = true;
	conn->was_reset |= result == -ECONNRESET;
	bytes_clear(&conn->sending);
	bytes_clear(&conn->out);
	// What the peer sent before it stopped reading may still wait in the socket (an early
	// answer): the receive that is posted finds it, and then the end. Unless nothing can be
	// decrypted any more.
	if (!conn->upstream || !op_is_out(&conn->receive) ||
		(conn->is_secure && conn->tls->state == TLS_BROKEN))
		conn->session->ops->ended(conn->session, result);
}

static void on_connected(struct op *op)
{
	struct conn *conn = container_of(op, struct conn, send);
	int result = op->result;

	conn->connecting = false;
	conn->send.done = conn->is_secure ? conn_on_sent_tls : conn_on_sent;
	conn_poke(conn);
	if (conn->closing)
		return;
	if (result != 0)
		conn->closing = true;
	else if (conn->is_secure)
		return; // the handshake comes first
	conn->events->on_connected(conn, result);
}

static void on_timer(struct timer *timer)
{
	struct conn *conn = container_of(timer, struct conn, timer);

	if (!conn->bounded) {
		conn->events->on_timer(conn);
		return;
	}
	conn->bounded = false;
	if (conn->lingering || conn_is_flushed(conn))
		conn_close(conn);
	else if (conn->out.len + conn->sending.len < conn->unsent)
		bound_flush(conn);
	else
		conn_abort(conn);
}

static void init(struct conn *conn, struct loop *loop, const struct conn_events *events)
{
	conn->loop = loop;
	conn->events = events;
	conn->session = NULL;
	op_init(&conn->receive, conn_on_received);
	op_init(&conn->send, conn_on_sent);
	conn->crank = (struct task){.run = conn_crank};
	timer_init(&conn->timer, on_timer);
	conn->out = conn->sending = (struct bytes){0};
	conn->mover_in = conn->mover_out = NULL;
	conn->bytes_in = conn->bytes_out = 0;
	conn->connecting = conn->closing = conn->shut = conn->upstream = conn->failed =
		conn->was_reset = conn->lingering = conn->bounded = false;
	conn->ready_in = conn->ready_out = conn->is_secure = conn->is_copied = conn->parts = false;
}

void conn_init_fd(struct conn *conn, struct loop *loop, int fd, const struct conn_events *events)
{
	init(conn, loop, events);
	sock_open_accepted(loop, &conn->sock, fd);
}

int conn_init_new(struct conn *conn, struct loop *loop, const struct addr *address,
	const struct conn_events *events)
{
	init(conn, loop, events);
	conn->upstream = true;
	return sock_open_new(loop, &conn->sock, address);
}

bool conn_is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

void conn_use_h1(struct conn *conn, enum stream_role role, struct h1_parser *parser,
	const struct session_events *events)
{
	h1_init(&conn->h1, role, parser, &conn->loop->blocks, &conn->out, events);
	conn->session = &conn->h1.session;
}

void conn_use_raw(struct conn *conn, enum stream_role role, const struct session_events *events)
{
	raw_init(&conn->raw, role, &conn->loop->blocks, &conn->out, events);
	conn->session = &conn->raw.session;
}

int conn_use_h2(struct conn *conn, enum stream_role role, struct h2_kit *kit,
	struct h1_parser *parser, bool is_secure, const struct session_events *events)
{
	struct session *session = h2_new(kit, role, parser, &conn->out, conn, is_secure, events);

	if (!session)
		return -ENOMEM;
	conn->session = session;
	conn_poke(conn);
	return 0;
}

void conn_use_peek(struct conn *conn, const struct session_events *events,
	const struct peek_events *peek_events)
{
	peek_init(&conn->peek, &conn->loop->blocks, &conn->out, events, peek_events);
	conn->session = &conn->peek.session;
}

int conn_send_first(struct conn *conn, struct str bytes)
{
	struct bytes *out = conn->is_secure ? &conn->tls->wire : &conn->out;
	struct bytes behind = *out;
	int result;

	*out = (struct bytes){0};
	result = bytes_write(&conn->loop->blocks, out, bytes.ptr, bytes.len);
	bytes_move_all(out, &behind);
	return result;
}

void conn_cancel(struct conn *conn)
{
	ASSERT(!conn->crank.next && !op_is_out(&conn->send));
	give_back(conn);
}

void conn_feed(struct conn *conn, struct slice slice)
{
	conn_poke(conn);
	if (conn->closing || slice.len == 0)
		slice_drop(&slice);
	else if (conn->is_secure)
		tls_feed(conn->tls, slice);
	else
		conn->session->ops->feed(conn->session, slice);
}

void conn_start(struct conn *conn)
{
	conn_poke(conn);
}

void conn_connect(struct conn *conn, const struct addr *address)
{
	conn->connecting = true;
	conn->send.done = on_connected;
	loop_connect(conn->loop, &conn->sock, &conn->send, address);
}

void conn_close(struct conn *conn)
{
	conn_poke(conn);
	if (conn->closing)
		return;
	conn->closing = true;
	if (conn->mover_in && !conn->is_secure)
		mover_stop(conn->mover_in);
	if (conn->mover_out)
		mover_stop(conn->mover_out);
	loop_cancel(conn->loop, &conn->receive);
	loop_cancel(conn->loop, &conn->send);
}

void conn_part(struct conn *conn)
{
	struct session *session = conn->session;

	if (conn->closing || conn->failed || !session->says_goodbye || op_is_out(&conn->send) ||
		session->end != SESSION_GOES_ON) {
		conn_abort(conn);
		return;
	}
	session->ops->feed(session, (struct slice){0}); // what is to be said of streams goes first
	session->ops->finish(session);
	conn->parts = conn->bounded = true;
	conn->unsent = 0; // no progress is enough
	loop_timer_set(conn->loop, &conn->timer, loop_now_ms(conn->loop) + CONN_PART_MS);
	conn_poke(conn);
}

void conn_abort(struct conn *conn)
{
	if (!conn->closing && !conn->is_copied && conn->sock.fd >= 0)
		sock_reset_on_close(conn->loop, &conn->sock);
	conn_close(conn);
}
