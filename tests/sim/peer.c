// SPDX-License-Identifier: Apache-2.0
#include "peer.h"

#include <errno.h>

#include "script.h"
#include "tls_wire.h"

enum { piece_bytes_max = 16 * 1024 };

static void read_on(struct peer *peer)
{
	if (peer->deaf || peer->ended || peer->broken || (peer->closing && !peer->leaving) ||
		!peer->connected || op_is_out(&peer->receive) || timer_is_set(&peer->read_timer))
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
	loop_timer_cancel(peer->loop, &peer->leave_timer);
	tls_wire_free(peer->tls);
	peer->tls = NULL;
	peer->events->on_closed(peer);
}

static void say_broken(struct peer *peer, int error)
{
	if (peer->broken || peer->closing)
		return;
	peer->broken = true;
	peer->events->on_broken(peer, error);
}

// ---- TLS ----------------------------------------------------------------------------------------

// It does with its own handshake what scripts do with their messages.
static void spoil(struct peer *peer)
{
	if (peer->spoiled)
		return;
	peer->spoiled = true;
	if (peer->events->on_spoiled)
		peer->events->on_spoiled(peer);
	if (peer->ways.act == ACT_RESET)
		peer_reset(peer);
	else if (peer->ways.act == ACT_CLOSE)
		peer_cut(peer);
}

static size_t room_on_wire(const struct peer *peer)
{
	// Small pieces first, as with scripts.
	u64 room = MAX((u64)peer->ways.piece_max, peer->wire_out / 16);

	if (peer->shaking && peer->ways.act)
		room = MIN(room, peer->ways.act_at - MIN(peer->wire_out, peer->ways.act_at));
	return (size_t)MIN(room, (u64)piece_bytes_max);
}

static void flush(struct peer *peer)
{
	char piece[piece_bytes_max];
	size_t len;

	if (op_is_out(&peer->send) || peer->fin_out || peer->broken || !peer->connected ||
		peer->spoiled || (peer->closing && !peer->leaving))
		return;
	if (tls_wire_is_flushed(peer->tls)) {
		if (!peer->shut || !peer->ways.half_fin)
			return;
		peer->fin_out = true;
		sock_shutdown_send(peer->loop, &peer->sock);
		return;
	}
	len = tls_wire_pull(peer->tls, piece, room_on_wire(peer));
	if (len == 0) {
		spoil(peer);
		return;
	}
	peer->wire_out += len;
	ASSERT(bytes_write(&peer->loop->blocks, &peer->sending, piece, len) == 0);
	loop_send(peer->loop, &peer->sock, &peer->send, &peer->sending);
}

// What ends a handshake is no event of a connection that stands.
static void fail(struct peer *peer, int error)
{
	if (!peer->shaking || !peer->ways.is_client) {
		say_broken(peer, error);
		return;
	}
	if (peer->broken || peer->closing)
		return;
	peer->broken = true;
	peer->events->on_connected(peer, error);
}

static bool shake(struct peer *peer)
{
	enum tls_wire_got got = tls_wire_shake(peer->tls);

	if (got == TLS_WIRE_DRY)
		return false;
	if (got != TLS_WIRE_BYTES || tls_wire_chose_h2(peer->tls) != peer->ways.is_h2) {
		flush(peer);
		fail(peer, PEER_BAD_TLS);
		return false;
	}
	// Only a client of TLS 1.3 is through before the other side has looked at it.
	if (peer->ways.refusal && (!peer->ways.is_client || tls_wire_is_1_2(peer->tls))) {
		fail(peer, PEER_BELIEVED);
		return false;
	}
	peer->shaking = false;
	if (peer->ways.flushes_first)
		flush(peer);
	if (peer->ways.is_client)
		peer->events->on_connected(peer, 0);
	else if (!op_is_out(&peer->send))
		peer->events->on_sent(peer);
	return true;
}

static void renew_keys(struct peer *peer)
{
	if (!peer->ways.renew_one_in || peer->shut || peer->closing || peer->broken ||
		!rng_one_in(peer->rng, peer->ways.renew_one_in))
		return;
	*peer->renewed += tls_wire_renew_keys(peer->tls);
	peer->ways.renew_one_in *= 2;
}

static void take(struct peer *peer)
{
	char plain[piece_bytes_max];
	size_t len = 0;

	if (peer->shaking && !shake(peer)) {
		flush(peer);
		return;
	}
	while (!peer->closing && !peer->broken && !peer->ended) {
		enum tls_wire_got got = tls_wire_take(peer->tls, plain, sizeof(plain), &len);

		if (peer->ways.refusal && (got == TLS_WIRE_BYTES || got == TLS_WIRE_END)) {
			say_broken(peer, PEER_BELIEVED);
			break;
		}
		switch (got) {
		case TLS_WIRE_DRY:
			renew_keys(peer);
			flush(peer);
			return;
		case TLS_WIRE_BYTES:
			peer->events->on_bytes(peer, plain, len);
			break;
		case TLS_WIRE_END:
			peer->ended = true;
			peer->events->on_end(peer);
			break;
		case TLS_WIRE_ERROR:
			say_broken(peer, PEER_BAD_TLS);
			break;
		}
	}
	flush(peer);
}

// ---- Operations ---------------------------------------------------------------------------------

static void stop_leaving(struct peer *peer)
{
	peer->leaving = false;
	loop_timer_cancel(peer->loop, &peer->leave_timer);
	loop_cancel(peer->loop, &peer->receive);
	loop_cancel(peer->loop, &peer->send);
	loop_defer(peer->loop, &peer->closing_task);
}

static void on_leave_timer(struct timer *timer)
{
	stop_leaving(container_of(timer, struct peer, leave_timer));
}

static void on_received_late(struct peer *peer, struct op *op)
{
	struct slice slice = op->received;

	if (op->result > 0)
		slice_drop(&slice);
	if (op->result > 0 && peer->leaving)
		read_on(peer);
	else if (!peer->leaving)
		loop_defer(peer->loop, &peer->closing_task);
}

static void on_received(struct op *op)
{
	struct peer *peer = container_of(op, struct peer, receive);
	struct slice slice = op->received;

	if (peer->closing) {
		on_received_late(peer, op);
		return;
	}
	if (op->result > 0) {
		peer->bytes_in += (u64)op->result;
		if (peer->read_pause_ms)
			loop_timer_set(peer->loop, &peer->read_timer,
				loop_now_ms(peer->loop) + peer->read_pause_ms);
		if (peer->tls) {
			tls_wire_feed(peer->tls, slice.ptr, slice.len);
			take(peer);
		} else {
			peer->events->on_bytes(peer, slice.ptr, slice.len);
		}
		slice_drop(&slice);
		read_on(peer);
	} else if (op->result == 0 && peer->was_reset) {
		fail(peer, -ECONNRESET); // a reset is told once, and a send was told
	} else if (op->result == 0 && peer->tls) {
		fail(peer, PEER_CUT);
	} else if (op->result == 0) {
		peer->ended = true;
		peer->events->on_end(peer);
	} else if (op->result != -ECANCELED) {
		fail(peer, op->result);
	} else {
		read_on(peer);
	}
}

// False: the wire has more to send, or the handshake is not over.
static bool wire_is_sent(struct peer *peer)
{
	if (!peer->tls)
		return true;
	flush(peer);
	return !peer->shaking && !op_is_out(&peer->send) && !peer->closing;
}

static void on_sent(struct op *op)
{
	struct peer *peer = container_of(op, struct peer, send);

	if (peer->closing) {
		if (peer->leaving && op->result == 0)
			flush(peer);
		if (peer->leaving && !op_is_out(&peer->send))
			stop_leaving(peer);
		if (!peer->leaving)
			loop_defer(peer->loop, &peer->closing_task);
		return;
	}
	if (op->result == 0) {
		if (wire_is_sent(peer))
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
	peer->began_ms = loop_now_ms(peer->loop);
	if (peer->tls && peer->connected)
		take(peer);
	else
		peer->events->on_connected(peer, op->result);
	read_on(peer);
}

void peer_init(struct peer *peer, struct loop *loop, const struct peer_events *events)
{
	*peer = (struct peer){.events = events, .loop = loop, .sock.fd = -1};
	op_init(&peer->receive, on_received);
	op_init(&peer->send, on_sent);
	timer_init(&peer->read_timer, on_read_timer);
	timer_init(&peer->leave_timer, on_leave_timer);
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
	peer->began_ms = loop_now_ms(peer->loop);
	sock_open(peer->loop, &peer->sock, fd);
	read_on(peer);
}

void peer_use_tls(struct peer *peer, struct tls_wire *tls, const struct peer_ways *ways,
	struct rng *rng, u64 *renewed)
{
	peer->tls = tls;
	peer->ways = *ways;
	peer->rng = rng;
	peer->renewed = renewed;
	peer->shaking = true;
}

void peer_send(struct peer *peer, const char *bytes, size_t len)
{
	ASSERT(!peer->shaking && !peer->closing && !peer->shut);
	peer->bytes_out += len;
	if (peer->tls) { // what is being sent may be TLS's own
		tls_wire_write(peer->tls, bytes, len);
		flush(peer);
		return;
	}
	ASSERT(!peer_is_sending(peer));
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
	if (!peer->tls) {
		sock_shutdown_send(peer->loop, &peer->sock);
		return;
	}
	if (!peer->shaking)
		tls_wire_close(peer->tls);
	flush(peer);
}

// With TLS the end in order has to be said, and to be on its way, first.
static bool says_goodbye(struct peer *peer)
{
	if (!peer->tls || peer->shaking || peer->broken || peer->cuts || peer->fin_out ||
		!peer->connected)
		return false;
	peer->leaving = true;
	if (!peer->shut)
		tls_wire_close(peer->tls);
	flush(peer);
	peer->leaving = op_is_out(&peer->send);
	return peer->leaving;
}

void peer_close(struct peer *peer)
{
	if (peer->closing)
		return;
	peer->closing = true;
	loop_timer_cancel(peer->loop, &peer->read_timer);
	if (says_goodbye(peer)) {
		loop_timer_set(peer->loop, &peer->leave_timer,
			loop_now_ms(peer->loop) + peer->ways.leave_ms);
		read_on(peer);
		return;
	}
	loop_cancel(peer->loop, &peer->receive);
	loop_cancel(peer->loop, &peer->send);
	loop_defer(peer->loop, &peer->closing_task);
}

void peer_reset(struct peer *peer)
{
	bool ends = !peer->closing || peer->leaving;

	if (ends && peer->sock.fd >= 0)
		sock_reset_on_close(peer->loop, &peer->sock);
	if (peer->leaving)
		stop_leaving(peer);
	peer->cuts = true;
	peer_close(peer);
}

void peer_cut(struct peer *peer)
{
	peer->cuts = true;
	peer_close(peer);
}
