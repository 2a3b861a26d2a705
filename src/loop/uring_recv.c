// SPDX-License-Identifier: Apache-2.0
// Receives of the io_uring twin: single ones, and standing ones, which go on from one op to the
// next. The kernel fills lent blocks (uring_buffers.h); what a socket is known to hold is read at
// once.
#include <sys/socket.h>
#include <sys/syscall.h>

#include "loop/uring_inside.h"

// What a standing receive brought while nobody was receiving.
struct hoard {
	struct standing *standing;
	struct list node; // in uring_loop.hoarding until its receive is put down
	struct bytes bytes;
	i32 end; // what came after the bytes: 0 or an error
	bool has_end;
};

// A multishot receive. Lives until the kernel has let go of it, even when the sock is closed. Every
// idle connection has one, so it is small.
struct standing {
	struct sock *sock; // NULL: closed
	struct hoard *hoard;
	u32 asked_in_enter; // uring_loop.enters when it was put into the ring
	u8 group;	    // enum buffer_group
	bool armed;
	bool disarming; // a cancel is on its way, and its own completion will come
	bool lost; // there was no memory to hold what came: the stream is broken behind the hoard
};

// Receiving once.

static enum buffer_group group_of(const struct op *op)
{
	return op->hints & RECV_UPSTREAM ? GROUP_UPSTREAM : GROUP_CLIENT;
}

static void hear_block(struct loop *loop, struct op *op, struct block *block, i32 len)
{
	op->received = (struct slice){.block = block, .ptr = block->data, .len = (size_t)len};
	loop_hear(loop, op, len);
}

// A socket that holds more is read by a plain call, into a block that is still warm. By way of the
// ring the bytes of all bodies on their way would be read before the first of them goes on, each
// into the block unused for longest.
static bool recv_now(struct uring_loop *twin, struct op *op)
{
	struct block *block = block_get(&twin->loop.blocks, op->hints & RECV_UPSTREAM);
	struct sock *sock = op->sock;
	i64 got;

	if (unlikely(!block))
		return false;
	do {
		got = loop_real_call(
			SYS_recvfrom, sock->fd, block->data, BLOCK_BYTES, MSG_DONTWAIT, NULL, 0);
	} while (unlikely(got == -EINTR));
	if (got < BLOCK_BYTES)
		sock->bits &= ~(u32)NONEMPTY;
	if (likely(got > 0)) {
		hear_block(&twin->loop, op, block, (i32)got);
		return true;
	}
	block_unref(block);
	if (got == -EAGAIN)
		return false;
	loop_hear(&twin->loop, op, (i32)got);
	return true;
}

static void ask_recv(struct uring_loop *twin, struct op *op)
{
	struct io_uring_sqe *sqe;

	if (op->sock->bits & NONEMPTY && recv_now(twin, op))
		return;
	sqe = uring_next_sqe(twin);
	io_uring_prep_recv(sqe, op->sock->fd, NULL, BLOCK_BYTES, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (u16)group_of(op);
	if (!(op->sock->bits & NONEMPTY))
		sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
	uring_sqe_tag(sqe, op, TAG_OP);
	op->state = IN_RING;
}

static void note_nonempty(struct sock *sock, u32 flags)
{
	if (flags & IORING_CQE_F_SOCK_NONEMPTY)
		sock->bits |= NONEMPTY;
	else
		sock->bits &= ~(u32)NONEMPTY;
}

static struct block *block_of_cqe(
	struct uring_loop *twin, const struct io_uring_cqe *cqe, enum buffer_group group)
{
	if (!(cqe->flags & IORING_CQE_F_BUFFER))
		return NULL;
	return buffers_take(&twin->buffers, group, (u16)(cqe->flags >> IORING_CQE_BUFFER_SHIFT));
}

// The kernel found no block: the op waits for one here.
static void wait_for_block(struct uring_loop *twin, struct op *op)
{
	buffers_want_more(&twin->buffers, group_of(op));
	if (op->cancelled)
		loop_hear(&twin->loop, op, -ECANCELED);
	else
		block_waiters_add(&twin->waiters, op);
}

void uring_recv_over(struct uring_loop *twin, struct op *op, const struct io_uring_cqe *cqe)
{
	struct block *block = block_of_cqe(twin, cqe, group_of(op));

	note_nonempty(op->sock, cqe->flags);
	if (cqe->res > 0) {
		hear_block(&twin->loop, op, block, cqe->res);
		return;
	}
	if (block)
		block_unref(block);
	if (cqe->res == -ENOBUFS)
		wait_for_block(twin, op);
	else if (uring_is_worth_repeating(cqe->res) && !op->cancelled)
		ask_recv(twin, op);
	else
		loop_hear(&twin->loop, op, cqe->res);
}

// Standing receives.

static struct standing *standing_of(const struct sock *sock)
{
	return sock->held;
}

static void drop_hoard(struct uring_loop *twin, struct standing *standing)
{
	struct hoard *hoard = standing->hoard;

	if (!hoard)
		return;
	bytes_clear(&hoard->bytes);
	list_remove(&hoard->node);
	slab_put(&twin->hoards, hoard);
	standing->hoard = NULL;
}

// Frees it when its sock is closed and the kernel will not mention it any more.
static void standing_unless_needed(struct uring_loop *twin, struct standing *standing)
{
	if (standing->sock || standing->armed || standing->disarming)
		return;
	drop_hoard(twin, standing);
	slab_put(&twin->standings, standing);
}

static void ask_standing(struct uring_loop *twin, struct standing *standing, struct op *op)
{
	struct io_uring_sqe *sqe = uring_next_sqe(twin);

	standing->group = (u8)group_of(op);
	io_uring_prep_recv_multishot(sqe, standing->sock->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = standing->group;
	if (!(standing->sock->bits & NONEMPTY))
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	uring_sqe_tag(sqe, standing, TAG_STANDING);
	standing->armed = true;
	standing->asked_in_enter = twin->enters;
	standing->sock->bits |= SOCK_ARMED;
	op->state = AT_STANDING;
}

static void disarm(struct uring_loop *twin, struct standing *standing)
{
	struct io_uring_sqe *sqe;

	if (!standing->armed || standing->disarming)
		return;
	standing->disarming = true;
	sqe = uring_next_sqe(twin);
	io_uring_prep_cancel64(sqe, (u64)(uintptr_t)standing | TAG_STANDING, 0);
	uring_sqe_tag(sqe, standing, TAG_DISARM);
}

static bool is_tcp(const struct sock *sock)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	getsockopt(sock->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	return domain == AF_INET || domain == AF_INET6;
}

// NULL: this sock is better served by single receives.
static struct standing *standing_for(struct uring_loop *twin, struct sock *sock)
{
	struct standing *standing = standing_of(sock);

	if (standing || sock->bits & NOT_TCP || !twin->features.multishot_recv)
		return standing;
	if (!is_tcp(sock)) {
		sock->bits |= NOT_TCP;
		return NULL;
	}
	standing = slab_get(&twin->standings);
	if (!standing)
		return NULL;
	*standing = (struct standing){.sock = sock};
	sock->held = standing;
	return standing;
}

static void update_holds(struct uring_loop *twin, struct standing *standing)
{
	struct hoard *hoard = standing->hoard;

	if (hoard && !hoard->bytes.len && !hoard->has_end)
		drop_hoard(twin, standing);
	if (standing->hoard || standing->lost)
		standing->sock->bits |= SOCK_HOLDS;
	else
		standing->sock->bits &= ~(u32)SOCK_HOLDS;
}

// Gives what is held to the op. False: nothing is.
static bool hear_held(struct uring_loop *twin, struct standing *standing, struct op *op)
{
	struct hoard *hoard = standing->hoard;

	if (likely(!(op->sock->bits & SOCK_HOLDS)))
		return false;
	if (hoard && hoard->bytes.len) {
		op->received = bytes_pop(&hoard->bytes);
		loop_hear(&twin->loop, op, (i32)op->received.len);
	} else if (standing->lost) {
		loop_hear(&twin->loop, op, -ENOMEM);
	} else {
		ASSERT(hoard); // there is something to tell
		hoard->has_end = false;
		loop_hear(&twin->loop, op, hoard->end);
	}
	update_holds(twin, standing);
	return true;
}

// Where bytes and an end go that nobody asked for. NULL: no memory.
static struct hoard *hoard_of(struct uring_loop *twin, struct standing *standing)
{
	struct hoard *hoard = standing->hoard ? standing->hoard : slab_get(&twin->hoards);

	if (hoard && !standing->hoard) {
		*hoard = (struct hoard){.standing = standing};
		list_init(&hoard->node);
		standing->hoard = hoard;
	}
	return hoard;
}

static void hold(struct uring_loop *twin, struct standing *standing, struct slice slice)
{
	struct hoard *hoard = hoard_of(twin, standing);

	if (!hoard)
		block_unref(slice.block);
	if (!hoard || bytes_append(&twin->loop.blocks, &hoard->bytes, slice))
		standing->lost = true;
	else if (!list_is_linked(&hoard->node))
		list_push_back(&twin->hoarding, &hoard->node);
}

static void hold_end(struct uring_loop *twin, struct standing *standing, i32 end)
{
	struct hoard *hoard = hoard_of(twin, standing);

	if (!hoard) {
		standing->lost = true;
		return;
	}
	hoard->has_end = true;
	hoard->end = end;
}

void uring_submit_recv(struct uring_loop *twin, struct op *op)
{
	struct standing *standing = standing_of(op->sock);

	if (op->hints & RECV_KEEP)
		standing = standing_for(twin, op->sock);
	if (!standing) {
		ask_recv(twin, op);
		return;
	}
	if (hear_held(twin, standing, op))
		return;
	if (standing->armed) {
		op->state = AT_STANDING;
		if (!(op->hints & RECV_KEEP))
			disarm(twin, standing);
	} else if (op->hints & RECV_KEEP) {
		ask_standing(twin, standing, op);
	} else {
		ask_recv(twin, op);
	}
}

static struct op *waiting_at(const struct standing *standing)
{
	struct op *op = standing->sock->reading;

	return op && op->kind == OP_RECV && op->state == AT_STANDING ? op : NULL;
}

// The end of the stream, an error, or our own cancel.
static void standing_over(
	struct uring_loop *twin, struct standing *standing, struct op *op, i32 res)
{
	switch (res) {
	case -ENOBUFS:
		if (op)
			wait_for_block(twin, op);
		else
			buffers_want_more(&twin->buffers, (enum buffer_group)standing->group);
		break;
	case -ECANCELED:
		if (op)
			uring_submit_recv(twin, op);
		break;
	default:
		if (op) {
			loop_hear(&twin->loop, op, res);
		} else {
			hold_end(twin, standing, res);
		}
	}
}

void uring_standing_heard(
	struct uring_loop *twin, struct standing *standing, const struct io_uring_cqe *cqe)
{
	struct block *block = block_of_cqe(twin, cqe, (enum buffer_group)standing->group);
	struct op *op;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		standing->armed = false;
	if (!standing->sock) {
		if (block)
			block_unref(block);
		standing_unless_needed(twin, standing);
		return;
	}
	if (!standing->armed)
		standing->sock->bits &= ~(u32)SOCK_ARMED;
	note_nonempty(standing->sock, cqe->flags);
	op = waiting_at(standing);
	if (cqe->res > 0 && op) {
		hear_block(&twin->loop, op, block, cqe->res);
	} else if (cqe->res > 0) {
		ASSERT(block); // bytes have come in one
		hold(twin, standing,
			(struct slice){
				.block = block, .ptr = block->data, .len = (size_t)cqe->res});
	} else {
		if (block)
			block_unref(block);
		standing_over(twin, standing, op, cqe->res);
	}
	update_holds(twin, standing);
}

// The cancel is through, and the last completion of the receive has come or will. Should the cancel
// have missed a receive that goes on, it is repeated: nobody else would ever end it.
void uring_disarm_over(struct uring_loop *twin, struct standing *standing, i32 result)
{
	standing->disarming = false;
	if (standing->armed && result < 0)
		disarm(twin, standing);
	else
		standing_unless_needed(twin, standing);
}

void uring_put_down_hoarding(struct uring_loop *twin)
{
	while (unlikely(!list_is_empty(&twin->hoarding))) {
		struct hoard *hoard = list_first(&twin->hoarding, struct hoard, node);

		list_remove(&hoard->node);
		if (hoard->bytes.len)
			disarm(twin, hoard->standing);
	}
}

void uring_standing_close(struct uring_loop *twin, struct sock *sock)
{
	struct standing *standing = standing_of(sock);

	if (!standing)
		return;
	// The kernel must have seen the receive before its descriptor can mean something else.
	if (standing->armed && standing->asked_in_enter == twin->enters)
		uring_hand_over(twin);
	sock->held = NULL;
	standing->sock = NULL;
	disarm(twin, standing);
	standing_unless_needed(twin, standing);
}

u64 uring_held(const struct sock *sock)
{
	const struct standing *standing = standing_of(sock);

	return standing && standing->hoard ? standing->hoard->bytes.len : 0;
}

void uring_settle(struct loop *loop, struct sock *sock)
{
	struct standing *standing = standing_of(sock);

	if (standing)
		disarm(uring_of(loop), standing);
}

void uring_recv_init(struct uring_loop *twin)
{
	list_init(&twin->hoarding);
	slab_init(&twin->standings, "standing receive", sizeof(struct standing), UINT32_MAX);
	slab_init(&twin->hoards, "received early", sizeof(struct hoard), UINT32_MAX);
}

void uring_recv_done(struct uring_loop *twin)
{
	slab_done(&twin->standings);
	slab_done(&twin->hoards);
}
