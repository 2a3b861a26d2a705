// SPDX-License-Identifier: Apache-2.0
// What the parts of the io_uring twin share: the ring, what is asked of it, and who gets its
// completions. loop_uring.c turns the loop, sends and waits; uring_recv.c receives; uring_accept.c
// accepts.
//
// What the kernel may still mention in a completion must be alive then. An op is: its owner keeps
// it until it is heard, and it is heard only after its last completion. A standing (multishot)
// receive outlives the op that started it, and even the sock, so it has a record of its own.
#pragma once

#include <liburing.h>

#include "loop/loop_twin.h"
#include "loop/uring_buffers.h"
#include "loop/uring_probe.h"

// What user_data points to, in its lowest bits.
enum tag { TAG_OP, TAG_STANDING, TAG_DISARM, TAG_WAKE, TAG_NOBODY, TAG_MASK = 7 };

enum uring_bit {
	NONEMPTY = 1 << 0, // the last receive left bytes in the socket
	NOT_TCP = 1 << 1,  // a standing receive may miss the end there
	RESETS = 1 << 2,   // when it is closed
};

// op->state
enum uring_state {
	IN_RING = OP_STATE_TWIN, // a completion will come for it
	AT_STANDING,		 // waits for bytes from sock->held
};

struct standing;

struct uring_loop {
	struct loop loop;
	struct io_uring ring;
	struct buffers buffers;
	struct block_waiters waiters;
	struct slab standings, hoards, gathers, acceptings, accepted;
	struct list hoarding; // hoards whose receive still goes on
	struct uring_features features;
	u32 enters; // how often the ring was handed over
};

static inline struct uring_loop *uring_of(struct loop *loop)
{
	return (struct uring_loop *)(void *)loop;
}

// ---- Asking the kernel --------------------------------------------------------------------------

// Hands what was asked to the kernel outside of the one enter per turn.
void uring_hand_over(struct uring_loop *twin);

static inline struct io_uring_sqe *uring_next_sqe(struct uring_loop *twin)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&twin->ring);

	while (unlikely(!sqe)) {
		uring_hand_over(twin);
		sqe = io_uring_get_sqe(&twin->ring);
	}
	return sqe;
}

static inline void uring_sqe_tag(struct io_uring_sqe *sqe, const void *what, enum tag tag)
{
	io_uring_sqe_set_data64(sqe, (u64)(uintptr_t)what | tag);
}

// Its own completion says nothing: the op is heard with -ECANCELED or with what came before. The
// kernel cannot miss it, because this thread alone submits, and in order.
void uring_ask_cancel(struct uring_loop *twin, const struct op *op);

static inline bool uring_is_worth_repeating(i32 result)
{
	return result == -EINTR || result == -EAGAIN;
}

// ---- Receiving (uring_recv.c) -------------------------------------------------------------------

void uring_recv_init(struct uring_loop *twin);
void uring_recv_done(struct uring_loop *twin); // the ring is gone

void uring_submit_recv(struct uring_loop *twin, struct op *op);

// Completions: of a single receive, of a standing one, of the cancel of one.
void uring_recv_over(struct uring_loop *twin, struct op *op, const struct io_uring_cqe *cqe);
void uring_standing_heard(
	struct uring_loop *twin, struct standing *standing, const struct io_uring_cqe *cqe);
void uring_disarm_over(struct uring_loop *twin, struct standing *standing, i32 result);

// Back-pressure: a standing receive whose bytes nobody asked for within the turn is put down.
void uring_put_down_hoarding(struct uring_loop *twin);

// The standing receive of this sock, if there is one, is put down; or it is to live without it from
// now on, because its descriptor is about to be closed or given away.
void uring_settle(struct loop *loop, struct sock *sock);
u64 uring_held(const struct sock *sock);
void uring_standing_close(struct uring_loop *twin, struct sock *sock);

// ---- Accepting (uring_accept.c) -----------------------------------------------------------------

void uring_accept_init(struct uring_loop *twin);
void uring_accept_done(struct uring_loop *twin);

void uring_accept(struct loop *loop, struct op *op);
void uring_accept_next(struct loop *loop, struct op *op);
void uring_accept_cancel(struct uring_loop *twin, struct op *op);
void uring_accept_heard(struct uring_loop *twin, struct op *op, const struct io_uring_cqe *cqe);
