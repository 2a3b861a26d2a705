// SPDX-License-Identifier: Apache-2.0
// A conn with TLS between its socket and its session: received bytes are decrypted when the session
// wants them, its output is sealed when it is sent, and ends are said with close_notify.
#include <errno.h>

#include "net/conn_inside.h"
#include "net/tls_env.h"

// What the session is told when the byte stream ended, and nobody said that it would.
enum { cut = SESSION_CUT };

static bool is_shaking(const struct conn *conn)
{
	return conn->tls->state == TLS_SHAKING;
}

bool conn_is_connecting(const struct conn *conn)
{
	return conn->connecting || (conn->is_secure && is_shaking(conn));
}

// The handshake is over, one way or the other.
static void secured(struct conn *conn, int error)
{
	if (error)
		conn->tls->told = true; // no session was there yet
	if (conn->upstream) {
		if (error && conn->session->end == SESSION_GOES_ON)
			conn->session->end = SESSION_CLOSE;
		conn->events->on_connected(conn, error);
		return;
	}
	if (error) // the alert has to arrive: no reset behind it
		conn->session->end = SESSION_LINGER;
	conn->events->on_secured(conn, error);
}

static void shake(struct conn *conn)
{
	struct tls *tls = conn->tls;

	if (tls_is_costly(tls) && !tls_gate_pass(&tls->env->gate, tls))
		return;
	switch (tls_shake(tls)) {
	case TLS_SHAKING:
		break;
	case TLS_OPEN:
		secured(conn, 0);
		break;
	case TLS_BROKEN:
		// What is our own doing must not count against the backend.
		secured(conn, conn->upstream && tls->is_short
				      ? -ENOMEM
				      : tls_fault_error((enum tls_fault)tls->fault));
		break;
	}
}

static void tell_end(struct conn *conn, int error)
{
	conn->tls->told = true;
	conn->session->ops->ended(conn->session, error);
}

int conn_unwelcome_error(const struct conn *conn)
{
	return tls_fault_error((enum tls_fault)conn->tls->fault);
}

static void broke(struct conn *conn)
{
	struct tls *tls = conn->tls;

	if (conn->events->on_excess && tls_is_excess((enum tls_fault)tls->fault))
		conn->events->on_excess(conn);
	if (!conn->upstream || !tls_is_unwelcome((enum tls_fault)tls->fault) || conn->bytes_in) {
		tell_end(conn, tls->is_short ? -ENOMEM : -ECONNRESET);
		return;
	}
	if (conn->events->on_unwelcome)
		conn->events->on_unwelcome(conn, conn_unwelcome_error(conn));
	tell_end(conn, SESSION_UNWELCOME);
}

static void deliver(struct conn *conn)
{
	struct session *session = conn->session;
	struct tls *tls = conn->tls;
	struct slice slice;

	if (session->again) {
		session->again = false;
		session->ops->feed(session, (struct slice){0});
	}
	while (!tls->told && session->ops->wants_input(session)) {
		switch (tls_take(tls, conn->upstream, &slice)) {
		case TLS_GOT_BYTES:
			conn->bytes_in += slice.len;
			session->ops->feed(session, slice);
			break;
		case TLS_GOT_DRY:
			return;
		case TLS_GOT_END:
			tell_end(conn, 0);
			return;
		case TLS_GOT_CUT:
			tell_end(conn, cut);
			return;
		case TLS_GOT_FAULT:
			broke(conn);
			return;
		}
	}
}

static void sent(struct conn *conn)
{
	struct tls *tls = conn->tls;

	tls_sent(tls);
	if (tls->carries) {
		tls->carries = false;
		conn->session->ops->sent(conn->session);
	}
	if (!bytes_is_empty(&conn->out) || !bytes_is_empty(&tls->wire))
		conn_poke(conn);
}

static void seal(struct conn *conn)
{
	struct tls *tls = conn->tls;

	if (tls->state != TLS_OPEN || bytes_is_empty(&conn->out))
		return;
	conn->bytes_out += conn->out.len;
	if (tls_seal(tls, &conn->out, loop_now_ms(conn->loop)) != 0) {
		tls->told |= tls->state == TLS_BROKEN;
		conn_send_failed(conn, -ENOMEM);
		return;
	}
	tls->carries = true;
	conn->session->ops->taken(conn->session);
}

static void flush(struct conn *conn)
{
	struct tls *tls = conn->tls;

	if (op_is_out(&conn->send))
		return;
	seal(conn);
	if (bytes_is_empty(&tls->wire) || conn->failed)
		return;
	bytes_move_all(&conn->sending, &tls->wire);
	if (loop_send_now(conn->loop, &conn->sock, &conn->sending))
		sent(conn);
	else
		loop_send(conn->loop, &conn->sock, &conn->send, &conn->sending);
}

// Before our direction ends, in whatever way but a reset.
static void say_goodbye(struct conn *conn)
{
	if (conn->session->end == SESSION_ABORT || !conn_is_flushed(conn) || conn->failed)
		return;
	tls_close(conn->tls);
	flush(conn);
}

static void receive(struct conn *conn)
{
	const struct tls *tls = conn->tls;
	u32 hints = conn->upstream ? RECV_UPSTREAM : 0;
	bool wants = tls->state == TLS_OPEN
			     ? !tls->told && conn->session->ops->wants_input(conn->session)
			     : is_shaking(conn) || conn->lingering;

	if (!wants || op_is_out(&conn->receive) || !tls_is_dry(tls) || tls->in_over)
		return;
	if (tls->state == TLS_OPEN && conn->session->small)
		hints |= RECV_KEEP;
	loop_recv(conn->loop, &conn->sock, &conn->receive, hints);
}

static void crank(struct task *task)
{
	struct conn *conn = container_of(task, struct conn, crank);

	if (conn->closing) {
		conn_finish_close(conn);
		return;
	}
	if (conn->connecting)
		return;
	if (is_shaking(conn))
		shake(conn);
	if (!conn->is_secure) { // dropped: the clear crank goes on
		conn_poke(conn);
		return;
	}
	if (conn->closing) // by its owner: this runs again
		return;
	if (conn->tls->state == TLS_OPEN)
		deliver(conn);
	flush(conn);
	if (conn->session->end != SESSION_GOES_ON && !conn->closing) {
		say_goodbye(conn);
		conn_carry_out_end(conn);
	}
	if (!conn->closing)
		receive(conn);
}

static void on_end(struct conn *conn, int error)
{
	struct tls *tls = conn->tls;

	if (tls->state == TLS_BROKEN) {
		// One that goes on has answers, which a client takes in its time.
		if (!tls->told)
			tell_end(conn, error ? error : cut);
		else if (conn->session->end != SESSION_GOES_ON)
			conn_close(conn);
	} else if (error == 0)
		tls_feed_end(tls);
	else if (is_shaking(conn)) {
		tls->state = TLS_BROKEN;
		secured(conn, error);
	} else if (!tls->told) {
		tell_end(conn, error);
	}
}

static void on_received(struct op *op)
{
	struct conn *conn = container_of(op, struct conn, receive);
	int result = op->result;

	conn_poke(conn);
	if (conn->closing) {
		if (result > 0)
			slice_drop(&op->received);
		return;
	}
	if (result > 0)
		tls_feed(conn->tls, op->received);
	else if (result != -ECANCELED)
		on_end(conn, result == 0 && conn->was_reset ? -ECONNRESET : result);
}

void conn_on_sent_tls(struct op *op)
{
	struct conn *conn = container_of(op, struct conn, send);

	conn_poke(conn);
	if (conn->closing)
		return;
	if (op->result == 0) {
		sent(conn);
		return;
	}
	if (is_shaking(conn)) {
		conn->failed = true;
		bytes_clear(&conn->sending);
		conn->tls->state = TLS_BROKEN;
		secured(conn, op->result);
		return;
	}
	conn_send_failed(conn, op->result);
}

static bool use(struct conn *conn, struct tls *tls)
{
	if (!tls)
		return false;
	ASSERT(!conn->mover_in);
	conn->tls = tls;
	conn->is_secure = true;
	tls->conn = conn;
	conn->receive.done = on_received;
	conn->send.done = conn_on_sent_tls;
	conn->crank.run = crank;
	return true;
}

bool conn_use_tls_server(struct conn *conn, struct tls_server *server)
{
	return use(conn, tls_new_server(server, &conn->loop->blocks));
}

bool conn_use_tls_client(struct conn *conn, struct tls_client *client)
{
	return use(conn, tls_new_client(client, &conn->loop->blocks));
}

struct slice conn_drop_tls(struct conn *conn)
{
	struct slice slice = conn->tls->in;

	ASSERT(!op_is_out(&conn->receive) && !op_is_out(&conn->send));
	conn->tls->in = (struct slice){0};
	tls_free(conn->tls);
	conn->is_secure = false;
	conn->mover_in = NULL;
	conn->receive.done = conn_on_received;
	conn->send.done = conn_on_sent;
	conn->crank.run = conn_crank;
	return slice;
}

void conn_finish(struct conn *conn)
{
	if (!conn->is_secure || conn->closing || conn->tls->state != TLS_OPEN || conn->failed) {
		conn_close(conn);
		return;
	}
	if (conn->session->end < SESSION_CLOSE)
		conn->session->end = SESSION_CLOSE;
	conn->tls->told = true; // what comes in this very turn would begin something
	conn_poke(conn);
}
