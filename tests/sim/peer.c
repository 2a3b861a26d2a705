// SPDX-License-Identifier: Apache-2.0
#include "peer.h"

#include <errno.h>

static void read_on(struct peer *peer)
{
	if (peer->deaf || peer->ended || peer->broken || peer->closing || !peer->connected ||
		op_is_out(&peer->receive) || timer_is_set(&peer->read_timer))
		return;
	loop_recv(peer->loop, &peer->sock, &peer->receive, 0);
}

static void on_read_timer(struct timer *timer)
{
	read_on(container_of(timer, struct peer, read_timer));
}

static void finish_close(struct task *task)
{
	struct peer *peer = container_of(task, struct peer, closing_task);

	if (op_is_out(&peer->receive) || op_is_out(&peer->send) || peer->closed)
		return;
	peer->closed = true;
	peer->open = false;
	if (peer->sock.fd >= 0)
		sock_close(peer->loop, &peer->sock);
	bytes_clear(&peer->sending);
	peer->events->on_closed(peer);
}

static void say_broken(struct peer *peer, int error)
{
	if (peer->broken || peer->closing)
		return;
	peer->broken = true;
	peer->events->on_broken(peer, error);
}

static void on_received(struct op *op)
{
	struct peer *peer = container_of(op, struct peer, receive);
	struct slice slice = op->received;

	if (peer->closing) {
		if (op->result > 0)
			slice_drop(&slice);
		loop_defer(peer->loop, &peer->closing_task);
		return;
	}
	if (op->result > 0) {
		peer->bytes_in += (u64)op->result;
		if (peer->read_pause_ms)
			loop_timer_set(peer->loop, &peer->read_timer,
				loop_now_ms(peer->loop) + peer->read_pause_ms);
		peer->events->on_bytes(peer, slice.ptr, slice.len);
		slice_drop(&slice);
		read_on(peer);
	} else if (op->result == 0 && peer->was_reset) {
		say_broken(peer, -ECONNRESET); // a reset is told once, and a send was told
	} else if (op->result == 0) {
		peer->ended = true;
		peer->events->on_end(peer);
	} else if (op->result != -ECANCELED) {
		say_broken(peer, op->result);
	} else {
		read_on(peer);
	}
}

static void on_sent(struct op *op)
{
	struct peer *peer = container_of(op, struct peer, send);

	if (peer->closing) {
		loop_defer(peer->loop, &peer->closing_task);
		return;
	}
	if (op->result == 0) {
		peer->events->on_sent(peer);
		return;
	}
	bytes_clear(&peer->sending);
	peer->was_reset |= op->result == -ECONNRESET;
	// What the other side said before may still be there to be read; a receive finds it.
	if (peer->deaf || peer->ended)
		say_broken(peer, op->result);
	else
		read_on(peer);
}

static void on_connected(struct op *op)
{
	struct peer *peer = container_of(op, struct peer, send);

	peer->connecting = false;
	peer->send.done = on_sent;
	if (peer->closing) {
		loop_defer(peer->loop, &peer->closing_task);
		return;
	}
	peer->connected = op->result == 0;
	peer->events->on_connected(peer, op->result);
	read_on(peer);
}

void peer_init(struct peer *peer, struct loop *loop, const struct peer_events *events)
{
	*peer = (struct peer){.events = events, .loop = loop, .sock.fd = -1};
	op_init(&peer->receive, on_received);
	op_init(&peer->send, on_sent);
	timer_init(&peer->read_timer, on_read_timer);
	peer->closing_task.run = finish_close;
}

int peer_connect(struct peer *peer, const struct addr *address)
{
	int error = sock_open_new(peer->loop, &peer->sock, address);

	if (error)
		return error;
	peer->open = peer->connecting = true;
	peer->send.done = on_connected;
	loop_connect(peer->loop, &peer->sock, &peer->send, address);
	return 0;
}

void peer_accept(struct peer *peer, int fd)
{
	peer->open = peer->connected = true;
	sock_open(peer->loop, &peer->sock, fd);
	read_on(peer);
}

void peer_send(struct peer *peer, const char *bytes, size_t len)
{
	ASSERT(!peer_is_sending(peer) && !peer->closing && !peer->shut);
	peer->bytes_out += len;
	ASSERT(bytes_write(&peer->loop->blocks, &peer->sending, bytes, len) == 0);
	loop_send(peer->loop, &peer->sock, &peer->send, &peer->sending);
}

void peer_set_deaf(struct peer *peer, bool deaf)
{
	peer->deaf = deaf;
	if (deaf && op_is_out(&peer->receive))
		loop_cancel(peer->loop, &peer->receive);
	read_on(peer);
}

void peer_shut(struct peer *peer)
{
	if (peer->shut || peer->closing)
		return;
	peer->shut = true;
	sock_shutdown_send(peer->loop, &peer->sock);
}

void peer_close(struct peer *peer)
{
	if (peer->closing)
		return;
	peer->closing = true;
	loop_timer_cancel(peer->loop, &peer->read_timer);
	loop_cancel(peer->loop, &peer->receive);
	loop_cancel(peer->loop, &peer->send);
	loop_defer(peer->loop, &peer->closing_task);
}

void peer_reset(struct peer *peer)
{
	if (!peer->closing && peer->sock.fd >= 0)
		sock_reset_on_close(peer->loop, &peer->sock);
	peer_close(peer);
}
