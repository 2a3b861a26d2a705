// SPDX-License-Identifier: Apache-2.0
// The contract of loop.h, word for word, on the twin named by the first argument. This file: bytes
// (receive, send, cancel, blocks). test_contract_life.c: everything around them.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "world.h"

static void recv_gets_bytes_that_are_there(struct world *world)
{
	struct end a, b;
	char data[300];

	ends_pair(world, &a, &b);
	pattern_fill(data, 0, sizeof(data));
	end_send(&a, data, sizeof(data));
	turn_until(world, &a.sends_heard, 1);
	assert_int_equal(a.send_result, 0);
	b.keep_going = true;
	end_recv(&b);
	while (b.received_bytes < sizeof(data))
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	assert_int_equal(b.received_bytes, sizeof(data));
	assert_int_equal(a.sends_heard, 1);
	end_close_hard(&a);
	end_close_hard(&b);
}

static void recv_waits_for_bytes(struct world *world)
{
	struct end a, b;
	char data[10];

	ends_pair(world, &a, &b);
	end_recv(&b);
	turn_idly(world, 3);
	assert_int_equal(b.recvs_heard, 0);
	assert_true(op_is_out(&b.recv));
	pattern_fill(data, 0, sizeof(data));
	end_send(&a, data, sizeof(data));
	turn_until(world, &b.recvs_heard, 1);
	assert_true(b.recv_result > 0);
	assert_false(op_is_out(&b.recv));
	turn_idly(world, 3);
	assert_int_equal(b.recvs_heard, 1);
	end_close_hard(&a);
	end_close_hard(&b);
}

static void bytes_then_end_then_end_again(struct world *world)
{
	struct end a, b;
	char data[5000];

	ends_pair(world, &a, &b);
	pattern_fill(data, 0, sizeof(data));
	end_send(&a, data, sizeof(data));
	turn_until(world, &a.sends_heard, 1);
	end_close(&a);
	b.keep_going = true;
	end_recv(&b);
	while (op_is_out(&b.recv))
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	assert_int_equal(b.recv_result, 0);
	assert_int_equal(b.received_bytes, sizeof(data));
	end_recv(&b);
	turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	assert_int_equal(b.recv_result, 0);
	end_close(&b);
}

static void end_comes_to_a_waiting_recv(struct world *world)
{
	struct end a, b;

	ends_pair(world, &a, &b);
	end_recv(&b);
	turn_idly(world, 2);
	end_close(&a);
	turn_until(world, &b.recvs_heard, 1);
	assert_int_equal(b.recv_result, 0);
	end_close(&b);
}

static void reset_comes_to_a_waiting_recv(struct world *world)
{
	struct end a, b;

	ends_pair(world, &a, &b);
	end_recv(&b);
	turn_idly(world, 2);
	sock_reset_on_close(world->loop, &a.sock);
	end_close(&a);
	turn_until(world, &b.recvs_heard, 1);
	assert_int_equal(b.recv_result, -ECONNRESET);
	end_close(&b);
}

// More than one receive takes, all of it in the socket with what ended it: none of it may be told
// as less, and a reset not as an orderly end.
static void what_a_socket_holds_comes_before_its_end(struct world *world)
{
	static char data[3 * BLOCK_BYTES]; // so that the end is met by a read that expects more

	for (int resets = 0; resets < 2; resets++) {
		struct end a, b;

		ends_pair(world, &a, &b);
		pattern_fill(data, 0, sizeof(data));
		end_send(&a, data, sizeof(data));
		turn_until(world, &a.sends_heard, 1);
		turn_idly(world, 2);
		end_recv(&b);
		turn_until(world, &b.recvs_heard, 1);
		assert_true(b.recv_result > 0);
		if (resets)
			sock_reset_on_close(world->loop, &a.sock);
		end_close(&a);
		turn_idly(world, 1);
		b.keep_going = true;
		end_recv(&b);
		while (op_is_out(&b.recv))
			turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
		assert_int_equal(b.recv_result, resets ? -ECONNRESET : 0);
		if (!resets)
			assert_int_equal(b.received_bytes, sizeof(data));
		end_close(&b);
	}
}

static void half_close_leaves_the_other_direction(struct world *world)
{
	struct end a, b;
	char data[100];

	ends_pair(world, &a, &b);
	pattern_fill(data, 0, sizeof(data));
	end_recv(&a);
	end_recv(&b);
	turn_idly(world, 1);
	sock_shutdown_send(world->loop, &a.sock);
	turn_until(world, &b.recvs_heard, 1);
	assert_int_equal(b.recv_result, 0);
	end_send(&b, data, sizeof(data));
	a.keep_going = true;
	turn_until(world, &b.sends_heard, 1);
	assert_int_equal(b.send_result, 0);
	while (a.received_bytes < sizeof(data))
		turn_until(world, &a.recvs_heard, a.recvs_heard + 1);
	sock_shutdown_send(world->loop, &b.sock);
	while (op_is_out(&a.recv))
		turn_until(world, &a.recvs_heard, a.recvs_heard + 1);
	assert_int_equal(a.recv_result, 0);
	end_close(&a);
	end_close(&b);
}

static void empty_send_is_heard(struct world *world)
{
	struct end a, b;

	ends_pair(world, &a, &b);
	end_send(&a, "", 0);
	turn_until(world, &a.sends_heard, 1);
	assert_int_equal(a.send_result, 0);
	end_close(&a);
	end_close(&b);
}

// A queue of many slices, some empty, some a whole block.
static void fill_queue(struct end *end, u64 total)
{
	static char data[BLOCK_SMALL_BYTES];
	struct rng rng;
	u64 at = end->out.len;

	rng_init(&rng, 7);
	while (at < total) {
		size_t part = MIN(total - at, 1 + rng_below(&rng, sizeof(data) - 1));

		pattern_fill(data, at, part);
		assert_int_equal(bytes_write(&end->world->loop->blocks, &end->out, data, part), 0);
		at += part;
	}
}

static void send_means_all_bytes(struct world *world)
{
	enum { total = 4 * 1024 * 1024 };
	struct end a, b;

	ends_pair(world, &a, &b);
	fill_queue(&a, total);
	end_send(&a, "", 0);
	turn_idly(world, 5);
	// Nobody reads: the kernel (or the virtual wire) cannot have taken all of it.
	assert_int_equal(a.sends_heard, 0);
	b.discard = true;
	while (b.received_bytes < total) {
		end_recv(&b);
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
		assert_true(b.recv_result > 0);
	}
	turn_until(world, &a.sends_heard, 1);
	assert_int_equal(a.send_result, 0);
	turn_idly(world, 2);
	assert_int_equal(a.sends_heard, 1);
	end_close(&a);
	end_close(&b);
}

static void what_the_peer_has_not_is_told(struct world *world)
{
	enum { total = 4 * 1024 * 1024 };
	struct end a, b;

	ends_pair(world, &a, &b);
	assert_int_equal(sock_unsent(world->loop, &a.sock), 0);
	fill_queue(&a, total);
	end_send(&a, "", 0);
	turn_idly(world, 5);
	assert_int_equal(a.sends_heard, 0);
	assert_true(sock_unsent(world->loop, &a.sock) > 0);
	b.discard = true;
	while (b.received_bytes < total) {
		end_recv(&b);
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	}
	turn_until(world, &a.sends_heard, 1);
	for (u32 i = 0; i < 1000 && sock_unsent(world->loop, &a.sock); i++)
		turn_idly(world, 1);
	assert_int_equal(sock_unsent(world->loop, &a.sock), 0);
	end_close(&a);
	end_close(&b);
}

// Some go at once, the others by a submission, and the bytes keep their order.
static void a_send_at_once_takes_all_or_leaves_the_rest(struct world *world)
{
	enum { rounds = 400, len = 1500 };
	struct end a, b;
	char data[len];
	u32 at_once = 0;

	ends_pair(world, &a, &b);
	b.keep_going = true;
	b.discard = true;
	for (u64 i = 0; i < rounds; i++) {
		u32 heard = a.sends_heard;

		pattern_fill(data, i * len, len);
		assert_int_equal(bytes_write(&world->loop->blocks, &a.out, data, len), 0);
		if (loop_send_now(world->loop, &a.sock, &a.out)) {
			assert_true(!a.out.head && !op_is_out(&a.send));
			at_once++;
			turn_idly(world, 1);
			assert_int_equal(a.sends_heard, heard);
			continue;
		}
		assert_true(a.out.len > 0 && a.out.len <= len);
		loop_send(world->loop, &a.sock, &a.send, &a.out);
		if (!op_is_out(&b.recv))
			end_recv(&b);
		turn_until(world, &a.sends_heard, heard + 1);
		assert_int_equal(a.send_result, 0);
	}
	assert_true(world_kind == LOOP_URING ? at_once == 0 : at_once > 0);
	if (!op_is_out(&b.recv))
		end_recv(&b);
	while (b.received_bytes < (u64)rounds * len)
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	end_close_hard(&a);
	end_close_hard(&b);
}

// The kernel tells a reset to one call. Whichever that is, one of the two ops is told, or a cut
// message would look whole.
static void a_reset_is_told(struct world *world)
{
	static const u64 sizes[] = {1000, BLOCK_BYTES, 4 * 1024 * 1024};

	for (u32 i = 0; i < ARRAY_LEN(sizes); i++) {
		bool waits = i == ARRAY_LEN(sizes) - 1; // until there is room
		struct end a, b;

		ends_pair(world, &a, &b);
		end_recv(&b);
		fill_queue(&b, sizes[i]);
		if (waits) {
			loop_send(world->loop, &b.sock, &b.send, &b.out);
			turn_idly(world, 3);
			assert_true(op_is_out(&b.send));
		}
		sock_reset_on_close(world->loop, &a.sock);
		end_close(&a);
		if (!waits && !loop_send_now(world->loop, &b.sock, &b.out))
			loop_send(world->loop, &b.sock, &b.send, &b.out);
		while (op_is_out(&b.send) || op_is_out(&b.recv))
			turn_idly(world, 1);
		assert_true(b.recv_result == -ECONNRESET ||
			    (b.sends_heard && b.send_result == -ECONNRESET));
		bytes_clear(&b.out);
		end_close(&b);
	}
}

static void send_fails_when_the_peer_resets(struct world *world)
{
	struct end a, b;

	ends_pair(world, &a, &b);
	fill_queue(&a, 4 * 1024 * 1024);
	end_send(&a, "", 0);
	turn_idly(world, 3);
	assert_int_equal(a.sends_heard, 0);
	sock_reset_on_close(world->loop, &b.sock);
	end_close(&b);
	turn_until(world, &a.sends_heard, 1);
	assert_true(a.send_result == -ECONNRESET || a.send_result == -EPIPE);
	assert_true(a.out.len > 0);
	end_close(&a);
}

static void cancelled_send_keeps_the_rest(struct world *world)
{
	enum { total = 4 * 1024 * 1024 };
	struct end a, b;

	ends_pair(world, &a, &b);
	fill_queue(&a, total);
	end_send(&a, "", 0);
	turn_idly(world, 3);
	loop_cancel(world->loop, &a.send);
	assert_int_equal(a.sends_heard, 0);
	loop_cancel(world->loop, &a.send);
	turn_until(world, &a.sends_heard, 1);
	assert_int_equal(a.send_result, -ECANCELED);
	// What the peer gets and what is left make up the whole.
	sock_shutdown_send(world->loop, &a.sock);
	b.discard = b.keep_going = true;
	end_recv(&b);
	while (op_is_out(&b.recv))
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	assert_int_equal(b.recv_result, 0);
	assert_int_equal(b.received_bytes + a.out.len, total);
	assert_int_equal(a.sends_heard, 1);
	end_close(&a);
	end_close(&b);
}

static void cancelled_recv_is_heard_once(struct world *world)
{
	struct end a, b;
	char data[10];

	ends_pair(world, &a, &b);
	for (u32 round = 1; round <= 3; round++) {
		end_recv(&b);
		turn_idly(world, round - 1); // the first wish comes in the turn of the submit
		loop_cancel(world->loop, &b.recv);
		loop_cancel(world->loop, &b.recv);
		assert_int_equal(b.recvs_heard, round - 1);
		turn_until(world, &b.recvs_heard, round);
		assert_int_equal(b.recv_result, -ECANCELED);
		turn_idly(world, 2);
		assert_int_equal(b.recvs_heard, round);
	}
	loop_cancel(world->loop, &b.recv);
	assert_false(op_is_out(&b.recv));
	// The sock goes on as if nothing had been.
	pattern_fill(data, 0, sizeof(data));
	end_send(&a, data, sizeof(data));
	b.keep_going = true;
	end_recv(&b);
	while (b.received_bytes < sizeof(data))
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	end_close_hard(&a);
	end_close_hard(&b);
}

// Bytes and the wish race: no byte may be lost, whichever wins.
static void cancel_races_with_bytes(struct world *world)
{
	enum { rounds = 200 };
	struct end a, b;
	u32 heard = 0;
	u64 sent = 0;

	ends_pair(world, &a, &b);
	for (u32 round = 0; round < rounds; round++) {
		char data[16];

		b.hints = round % 3 ? 0 : RECV_KEEP;
		end_recv(&b);
		if (round % 2)
			turn_idly(world, 1);
		pattern_fill(data, sent, sizeof(data));
		end_send(&a, data, sizeof(data));
		sent += sizeof(data);
		if (round % 5 == 0)
			loop_turn(world->loop, 0);
		loop_cancel(world->loop, &b.recv);
		turn_until(world, &b.recvs_heard, ++heard);
		assert_true(b.recv_result > 0 || b.recv_result == -ECANCELED);
		turn_until(world, &a.sends_heard, round + 1);
	}
	b.keep_going = true;
	if (b.received_bytes < sent) {
		end_recv(&b);
		while (b.received_bytes < sent)
			turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	}
	assert_int_equal(b.received_bytes, sent);
	end_close_hard(&a);
	end_close_hard(&b);
}

static void recv_takes_turns_with_keep(struct world *world)
{
	enum { rounds = 300 };
	struct end a, b;
	u64 sent = 0;

	ends_pair(world, &a, &b);
	for (u32 round = 0; round < rounds; round++) {
		char data[700];
		size_t len = 1 + round * 7 % sizeof(data);

		b.hints = round / 50 % 2 ? 0 : RECV_KEEP;
		pattern_fill(data, sent, len);
		end_send(&a, data, len);
		turn_until(world, &a.sends_heard, round + 1);
		sent += len;
		// Sometimes several messages come before anybody asks.
		if (round % 7 == 3)
			continue;
		while (b.received_bytes < sent) {
			end_recv(&b);
			turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
			assert_true(b.recv_result > 0);
			bytes_clear(&b.in);
		}
	}
	end_close(&a);
	end_recv(&b);
	turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	assert_int_equal(b.recv_result, 0);
	end_close(&b);
}

// With nobody receiving, a flood must stop at the sender, whatever the twin has armed.
static void keep_does_not_defeat_back_pressure(struct world *world)
{
	enum { total = 4 * 1024 * 1024 };
	struct end a, b;

	ends_pair(world, &a, &b);
	b.hints = RECV_KEEP;
	b.discard = true;
	end_recv(&b);
	turn_idly(world, 2);
	fill_queue(&a, total);
	end_send(&a, "", 0);
	turn_until(world, &b.recvs_heard, 1);
	turn_idly(world, 20);
	assert_int_equal(a.sends_heard, 0);
	while (b.received_bytes < total) {
		end_recv(&b);
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
		assert_true(b.recv_result > 0);
	}
	turn_until(world, &a.sends_heard, 1);
	assert_int_equal(a.send_result, 0);
	end_close(&a);
	end_close(&b);
}

static void keep_becomes_quiet(struct world *world)
{
	struct end a, b;
	char data[20];
	u32 turns = 0;

	ends_pair(world, &a, &b);
	assert_true(sock_is_quiet(&b.sock));
	pattern_fill(data, 0, sizeof(data));
	b.hints = RECV_KEEP;
	end_recv(&b);
	turn_idly(world, 1);
	end_send(&a, data, 10);
	while (b.received_bytes < 10) {
		if (!op_is_out(&b.recv))
			end_recv(&b);
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	}
	turn_until(world, &a.sends_heard, 1);
	// A receive without the hint, then its cancel, lets the twin put everything down.
	b.hints = 0;
	end_recv(&b);
	loop_cancel(world->loop, &b.recv);
	turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	assert_int_equal(b.recv_result, -ECANCELED);
	while (!sock_is_quiet(&b.sock)) {
		assert_true(turns++ < 100);
		turn_idly(world, 1);
	}
	end_send(&a, data + 10, 10);
	b.keep_going = true;
	end_recv(&b);
	while (b.received_bytes < 20)
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	end_close_hard(&a);
	end_close_hard(&b);
}

// Bytes that come piece by piece, each in its own turn, must stop as well: held bytes are not a
// place to keep a stream.
static void keep_holds_little(struct world *world)
{
	enum { pieces = 120, len = 16000 };
	struct end a, b;
	static char data[len];
	u32 sent = 1;

	ends_pair(world, &a, &b);
	b.hints = RECV_KEEP;
	b.discard = true;
	pattern_fill(data, 0, len);
	end_send(&a, data, len);
	end_recv(&b);
	turn_until(world, &b.recvs_heard, 1);
	while (b.received_bytes < len) {
		end_recv(&b);
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	}
	turn_until(world, &a.sends_heard, 1);
	for (u32 i = 1; i < pieces; i++) {
		if (!op_is_out(&a.send)) {
			pattern_fill(data, (u64)sent * len, len);
			end_send(&a, data, len);
			sent++;
		}
		turn_idly(world, 1);
		assert_true(world->loop->blocks.large.used < WORLD_LARGE_BLOCKS / 2);
	}
	while (b.received_bytes < (u64)sent * len) {
		end_recv(&b);
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
		assert_true(b.recv_result > 0);
	}
	end_close_hard(&a);
	end_close(&b);
}

static void a_plain_recv_follows_an_armed_one(struct world *world)
{
	struct end a, b;
	char data[20];

	ends_pair(world, &a, &b);
	pattern_fill(data, 0, sizeof(data));
	b.hints = RECV_KEEP;
	end_recv(&b);
	turn_idly(world, 1);
	end_send(&a, data, 10);
	turn_until(world, &b.recvs_heard, 1);
	turn_until(world, &a.sends_heard, 1);
	while (b.received_bytes < 10) {
		end_recv(&b);
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	}
	b.hints = 0;
	b.keep_going = true;
	end_recv(&b);
	turn_idly(world, 3);
	assert_true(op_is_out(&b.recv));
	end_send(&a, data + 10, 10);
	while (b.received_bytes < 20)
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	end_close_hard(&a);
	end_close_hard(&b);
}

static void armed_socks_may_be_closed(struct world *world)
{
	struct end pairs[20][2];
	char data[10];

	pattern_fill(data, 0, sizeof(data));
	for (u32 i = 0; i < 20; i++) {
		ends_pair(world, &pairs[i][0], &pairs[i][1]);
		pairs[i][1].hints = RECV_KEEP;
		end_recv(&pairs[i][1]);
		end_send(&pairs[i][0], data, sizeof(data));
	}
	for (u32 i = 0; i < 20; i++) {
		turn_until(world, &pairs[i][1].recvs_heard, 1);
		turn_until(world, &pairs[i][0].sends_heard, 1);
		if (i % 3 == 0)
			sock_reset_on_close(world->loop, &pairs[i][1].sock);
		if (i % 4 == 1) // more bytes that nobody will hear of
			end_send(&pairs[i][0], data, sizeof(data));
		end_close(&pairs[i][1]);
	}
	for (u32 i = 0; i < 20; i++) {
		struct end *a = &pairs[i][0];

		end_recv(a);
		turn_until(world, &a->recvs_heard, 1);
		assert_true(a->recv_result == 0 || a->recv_result == -ECONNRESET);
		while (op_is_out(&a->send))
			turn_idly(world, 1);
		// A reset is told once: to the send, when that was still to be made.
		if (i % 3 == 0)
			assert_true(a->recv_result == -ECONNRESET || a->send_result == -ECONNRESET);
		end_close_hard(a);
	}
}

// A standing receive that is asked for, cancelled and closed within one turn, whose descriptor
// means another connection at the end of it: the bytes there are none of its business.
struct swap {
	struct task task;
	struct world *world;
	struct sock old;
	struct op op;
	struct end fresh, peer;
	int other_fd;
	u32 heard;
};

static void swap_heard(struct op *op)
{
	struct swap *swap = container_of(op, struct swap, op);
	int fd = swap->old.fd;

	assert_int_equal(op->result, -ECANCELED);
	sock_close(swap->world->loop, &swap->old);
	assert_int_equal(dup2(swap->other_fd, fd), fd);
	close(swap->other_fd);
	sock_open(swap->world->loop, &swap->fresh.sock, fd);
	swap->fresh.keep_going = true;
	end_recv(&swap->fresh);
	swap->heard++;
}

static void swap_run(struct task *task)
{
	struct swap *swap = container_of(task, struct swap, task);

	loop_recv(swap->world->loop, &swap->old, &swap->op, RECV_KEEP);
	loop_cancel(swap->world->loop, &swap->op);
}

static void descriptors_change_hands_within_a_turn(struct world *world)
{
	enum { len = 100 };
	struct swap swap = {.task.run = swap_run, .world = world};
	struct end old_peer;
	struct sock sock;
	char data[len];

	if (!world_is_real())
		world_skip(world);
	end_init(&swap.fresh, world);
	end_init(&swap.peer, world);
	end_init(&old_peer, world);
	op_init(&swap.op, swap_heard);
	world_pair(world, &swap.old, &old_peer.sock);
	world_pair(world, &sock, &swap.peer.sock);
	swap.other_fd = sock_release(world->loop, &sock);
	pattern_fill(data, 0, len);
	end_send(&swap.peer, data, len);
	turn_until(world, &swap.peer.sends_heard, 1);
	loop_defer(world->loop, &swap.task);
	turn_until(world, &swap.heard, 1);
	while (swap.fresh.received_bytes < len)
		turn_until(world, &swap.fresh.recvs_heard, swap.fresh.recvs_heard + 1);
	// The old connection has ended for its peer.
	end_recv(&old_peer);
	turn_until(world, &old_peer.recvs_heard, 1);
	assert_int_equal(old_peer.recv_result, 0);
	end_close(&old_peer);
	end_close_hard(&swap.fresh);
	end_close_hard(&swap.peer);
}

static void idle_recvs_hold_no_blocks(void **state)
{
	enum { count = 200, large = 8 };
	struct world *world = world_new(large);
	struct end *ends = mem_alloc(2 * count * sizeof(*ends));
	char data[100];

	(void)state;
	pattern_fill(data, 0, sizeof(data));
	for (u32 i = 0; i < 2 * count; i += 2) {
		ends_pair(world, &ends[i], &ends[i + 1]);
		ends[i + 1].discard = true;
		end_recv(&ends[i + 1]);
	}
	turn_idly(world, 3);
	assert_true(world->loop->blocks.large.used <= large);
	for (u32 i = 0; i < 2 * count; i += 2)
		end_send(&ends[i], data, sizeof(data));
	for (u32 i = 0; i < 2 * count; i += 2) {
		turn_until(world, &ends[i + 1].recvs_heard, 1);
		assert_true(ends[i + 1].recv_result > 0);
	}
	for (u32 i = 0; i < 2 * count; i++)
		end_close_hard(&ends[i]);
	mem_free(ends);
	world_free(world);
}

// Receives that hand their block to the test instead of a queue.
struct holder {
	struct sock sock, peer;
	struct op op, send;
	struct bytes out;
	u32 heard;
	i32 result;
	struct slice slice;
};

static u32 holders_heard;

static void holder_done(struct op *op)
{
	struct holder *holder = container_of(op, struct holder, op);

	holder->heard++;
	holder->result = op->result;
	if (op->result > 0) {
		holders_heard++;
		holder->slice = op->received;
	}
}

static void holder_sent(struct op *op)
{
	assert_int_equal(op->result, 0);
}

static void holder_open(struct world *world, struct holder *holder, u32 hints)
{
	*holder = (struct holder){0};
	op_init(&holder->op, holder_done);
	op_init(&holder->send, holder_sent);
	world_pair(world, &holder->sock, &holder->peer);
	assert_int_equal(bytes_write(&world->loop->blocks, &holder->out, "hello", 5), 0);
	loop_send(world->loop, &holder->peer, &holder->send, &holder->out);
	loop_recv(world->loop, &holder->sock, &holder->op, hints);
}

static void holder_sends_all(struct world *world, const struct holder *holder)
{
	while (op_is_out(&holder->send))
		turn_idly(world, 1);
}

// What it was sent may be heard before the send, and a cancelled one need not have been sent any.
static void holder_close(struct world *world, struct holder *holder)
{
	holder_sends_all(world, holder);
	assert_false(op_is_out(&holder->op));
	assert_int_equal(holder->heard, 1);
	slice_drop(&holder->slice);
	sock_close(world->loop, &holder->sock);
	sock_close(world->loop, &holder->peer);
}

static void recv_waits_for_a_block(void **state)
{
	enum { count = 40, large = 16, for_clients = large - large / 4 };
	struct world *world = world_new(large);
	struct holder clients[count], upstream[large / 4];
	u32 closed = 0;

	(void)state;
	holders_heard = 0;
	for (u32 i = 0; i < count; i++)
		holder_open(world, &clients[i], i % 2 ? RECV_KEEP : 0);
	for (u32 i = 0; i < count; i++)
		holder_sends_all(world, &clients[i]);
	turn_until(world, &holders_heard, 1);
	turn_idly(world, 10);
	// Clients leave a quarter free; the others wait inside the loop, unheard.
	assert_true(holders_heard <= for_clients);
	for (u32 i = 0; i < large / 4; i++)
		holder_open(world, &upstream[i], RECV_UPSTREAM | (i % 2 ? RECV_KEEP : 0));
	for (u32 i = 0; i < large / 4; i++)
		turn_until(world, &upstream[i].heard, 1);
	// One of those that wait is cancelled, the rest are heard as blocks come back.
	for (u32 i = 0; i < count; i++) {
		if (clients[i].heard)
			continue;
		loop_cancel(world->loop, &clients[i].op);
		turn_until(world, &clients[i].heard, 1);
		assert_int_equal(clients[i].result, -ECANCELED);
		break;
	}
	for (u32 i = 0; i < large / 4; i++)
		holder_close(world, &upstream[i]);
	while (closed < count) {
		for (u32 i = 0; i < count; i++) {
			if (clients[i].sock.fd < 0 || !clients[i].heard)
				continue;
			assert_true(clients[i].result == 5 || clients[i].result == -ECANCELED);
			holder_close(world, &clients[i]);
			closed++;
		}
		loop_turn(world->loop, loop_now_ms(world->loop) + 2);
	}
	world_free(world);
}

// Many pairs, both directions at once, sizes and hints from a seed; every byte arrives in order.
static void streams_keep_their_bytes(struct world *world)
{
	enum { pairs = 12, rounds = 40 };
	struct end ends[2 * pairs];
	u64 sent[2 * pairs] = {0};
	struct rng rng;

	rng_init(&rng, 42);
	for (u32 i = 0; i < 2 * pairs; i += 2) {
		ends_pair(world, &ends[i], &ends[i + 1]);
		for (u32 side = 0; side < 2; side++) {
			ends[i + side].hints = rng_below(&rng, 4);
			ends[i + side].keep_going = ends[i + side].discard = true;
			end_recv(&ends[i + side]);
		}
	}
	for (u32 round = 0; round < rounds; round++) {
		static char data[60000];

		for (u32 i = 0; i < 2 * pairs; i++) {
			size_t len = 1 + rng_below(&rng, rng_one_in(&rng, 4) ? sizeof(data) : 500);

			if (op_is_out(&ends[i].send))
				continue;
			pattern_fill(data, sent[i], len);
			end_send(&ends[i], data, len);
			sent[i] += len;
		}
		loop_turn(world->loop, 0);
	}
	for (u32 i = 0; i < 2 * pairs; i++) {
		struct end *other = &ends[i ^ 1];

		while (other->received_bytes < sent[i])
			turn_until(world, &other->recvs_heard, other->recvs_heard + 1);
		assert_int_equal(other->received_bytes, sent[i]);
	}
	for (u32 i = 0; i < 2 * pairs; i++)
		end_close_hard(&ends[i]);
}

WORLD_TEST(recv_gets_bytes_that_are_there)
WORLD_TEST(recv_waits_for_bytes)
WORLD_TEST(bytes_then_end_then_end_again)
WORLD_TEST(end_comes_to_a_waiting_recv)
WORLD_TEST(reset_comes_to_a_waiting_recv)
WORLD_TEST(what_a_socket_holds_comes_before_its_end)
WORLD_TEST(half_close_leaves_the_other_direction)
WORLD_TEST(empty_send_is_heard)
WORLD_TEST(send_means_all_bytes)
WORLD_TEST(what_the_peer_has_not_is_told)
WORLD_TEST(a_send_at_once_takes_all_or_leaves_the_rest)
WORLD_TEST(a_reset_is_told)
WORLD_TEST(send_fails_when_the_peer_resets)
WORLD_TEST(cancelled_send_keeps_the_rest)
WORLD_TEST(cancelled_recv_is_heard_once)
WORLD_TEST(cancel_races_with_bytes)
WORLD_TEST(recv_takes_turns_with_keep)
WORLD_TEST(keep_does_not_defeat_back_pressure)
WORLD_TEST(keep_becomes_quiet)
WORLD_TEST(keep_holds_little)
WORLD_TEST(a_plain_recv_follows_an_armed_one)
WORLD_TEST(armed_socks_may_be_closed)
WORLD_TEST(descriptors_change_hands_within_a_turn)
WORLD_TEST(streams_keep_their_bytes)

const struct CMUnitTest contract_tests[] = {
	cmocka_unit_test(test_recv_gets_bytes_that_are_there),
	cmocka_unit_test(test_recv_waits_for_bytes),
	cmocka_unit_test(test_bytes_then_end_then_end_again),
	cmocka_unit_test(test_end_comes_to_a_waiting_recv),
	cmocka_unit_test(test_reset_comes_to_a_waiting_recv),
	cmocka_unit_test(test_what_a_socket_holds_comes_before_its_end),
	cmocka_unit_test(test_half_close_leaves_the_other_direction),
	cmocka_unit_test(test_empty_send_is_heard),
	cmocka_unit_test(test_send_means_all_bytes),
	cmocka_unit_test(test_what_the_peer_has_not_is_told),
	cmocka_unit_test(test_a_reset_is_told),
	cmocka_unit_test(test_send_fails_when_the_peer_resets),
	cmocka_unit_test(test_cancelled_send_keeps_the_rest),
	cmocka_unit_test(test_cancelled_recv_is_heard_once),
	cmocka_unit_test(test_cancel_races_with_bytes),
	cmocka_unit_test(test_recv_takes_turns_with_keep),
	cmocka_unit_test(test_keep_does_not_defeat_back_pressure),
	cmocka_unit_test(test_keep_becomes_quiet),
	cmocka_unit_test(test_keep_holds_little),
	cmocka_unit_test(test_a_plain_recv_follows_an_armed_one),
	cmocka_unit_test(test_armed_socks_may_be_closed),
	cmocka_unit_test(test_descriptors_change_hands_within_a_turn),
	cmocka_unit_test(idle_recvs_hold_no_blocks),
	cmocka_unit_test(recv_waits_for_a_block),
	cmocka_unit_test(test_streams_keep_their_bytes),
	cmocka_unit_test(test_a_send_at_once_takes_all_or_leaves_the_rest),
};
const size_t contract_tests_count = ARRAY_LEN(contract_tests);

int main(int argc, char **argv)
{
	const char *twin = argc > 1 ? argv[1] : "";
	int failed;

	if (strcmp(twin, "epoll") == 0) {
		world_kind = LOOP_EPOLL;
	} else if (strcmp(twin, "io_uring") == 0) {
		world_kind = LOOP_URING;
	} else if (strcmp(twin, "sim") == 0) {
		world_kind = LOOP_SIM;
	} else {
		fprintf(stderr, "Name the twin to test: epoll, io_uring or sim [seed].\n");
		return 2;
	}
	if (argc > 2)
		world_seed = strtoull(argv[2], NULL, 10);
	if (world_kind == LOOP_URING && loop_uring_missing()) {
		printf("skipped: %s\n", loop_uring_missing());
		return 77;
	}
	// An ASSERT must not swallow what was printed before it.
	setvbuf(stdout, NULL, _IOLBF, 0);
	failed = _cmocka_run_group_tests("bytes", contract_tests, contract_tests_count, NULL, NULL);
	failed += _cmocka_run_group_tests(
		"life", contract_life_tests, contract_life_tests_count, NULL, NULL);
	return failed ? 1 : 0;
}
