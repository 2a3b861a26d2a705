// SPDX-License-Identifier: Apache-2.0
// A connection that stops in the middle, because another process goes on with it. Other callbacks
// stand in for its own meanwhile, so that a connection that never stops pays nothing for it.
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/conn_inside.h"

static void crank_frozen(struct task *task);

// Whoever has the copy may keep it open.
static void crank_copied(struct task *task)
{
	struct conn *conn = container_of(task, struct conn, crank);

	if (conn->closing && conn->sock.fd >= 0)
		(void)shutdown(conn->sock.fd, SHUT_RDWR);
	conn_crank(task);
}

static void resume_send(struct conn *conn)
{
	conn->send.done = conn_on_sent;
	if (!conn->closing && !bytes_is_empty(&conn->sending))
		loop_send(conn->loop, &conn->sock, &conn->send, &conn->sending);
}

// What a cancelled send has not sent stays in its queue.
static void on_sent_frozen(struct op *op)
{
	struct conn *conn = container_of(op, struct conn, send);

	if (op->result != -ECANCELED || conn->ready_out || conn->closing)
		conn_on_sent(op);
	else if (conn->crank.run != crank_frozen) // it was thawed before this was heard
		resume_send(conn);
}

static void crank_frozen(struct task *task)
{
	struct conn *conn = container_of(task, struct conn, crank);

	if (conn->closing) {
		conn_finish_close(conn);
		return;
	}
	if (conn->session->again) {
		conn->session->again = false;
		conn->session->ops->feed(conn->session, (struct slice){0});
	}
}

void conn_freeze(struct conn *conn)
{
	ASSERT(!conn->is_secure && !conn->connecting);
	conn->crank.run = crank_frozen;
	conn->send.done = on_sent_frozen;
	if (!conn->ready_in)
		loop_cancel(conn->loop, &conn->receive);
	if (!conn->ready_out)
		loop_cancel(conn->loop, &conn->send);
}

bool conn_is_still(struct conn *conn)
{
	if (op_is_out(&conn->receive) || op_is_out(&conn->send) || conn->mover_in ||
		conn->mover_out || conn->crank.next || conn->closing)
		return false;
	if (sock_is_quiet(&conn->sock))
		return true;
	if (!sock_holds(&conn->sock))
		sock_settle(conn->loop, &conn->sock);
	else if (conn->session->ops->wants_input(conn->session))
		loop_recv(conn->loop, &conn->sock, &conn->receive,
			conn->upstream ? RECV_UPSTREAM : 0);
	return false;
}

void conn_thaw(struct conn *conn, bool is_copied)
{
	if (conn->crank.run != crank_frozen)
		return;
	conn->crank.run = is_copied ? crank_copied : conn_crank;
	conn->is_copied = is_copied;
	if (!op_is_out(&conn->send))
		resume_send(conn);
	conn_poke(conn);
}

// A reset would be the other process', too.
int conn_copy_fd(struct conn *conn)
{
	int fd = fcntl(conn->sock.fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	conn->is_copied = true;
	return fd;
}

void conn_forsake(struct conn *conn)
{
	close(sock_release(conn->loop, &conn->sock));
	bytes_clear(&conn->sending);
	bytes_clear(&conn->out);
	conn->crank.run = conn_crank;
	conn->send.done = conn_on_sent;
	conn_close(conn);
}
