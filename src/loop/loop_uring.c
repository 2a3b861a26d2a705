// SPDX-License-Identifier: Apache-2.0
// The io_uring twin: one ring per loop, one io_uring_enter per turn. The kernel fills lent blocks
// (uring_buffers.h); the sends of a turn go out together.
//
// What the kernel may still mention in a completion must be alive then. An op is: its owner keeps
// it until it is heard, and it is heard only after its last completion. A standing (multishot)
// receive outlives the op that started it, and even the sock, so it has a record of its own.
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop_twin.h"
#include "loop/uring_buffers.h"
#include "loop/uring_probe.h"

enum {
	sq_entries = 512,
	cq_entries = 4096,
	completions_per_turn = 512, // more stay in the ring for the next turn
	accepts_max = 1024,
	gather_iov_max = 60,
	accepted_max = 8192, // taken by the kernel, not yet heard
};

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

// What a send of several slices points to until it is over.
struct gather {
	struct msghdr message;
	struct iovec iov[gather_iov_max];
};

struct accepted {
	struct accepted *next;
	int fd;
};

// One accept that goes on. The kernel may take several connections before the first is heard.
struct accepting {
	struct accepted *head, *tail;
	i32 end;
	bool armed, cancelling, has_end;
};

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

static struct uring_loop *uring_of(struct loop *loop)
{
	return (struct uring_loop *)(void *)loop;
}

// Asking the kernel.

// Hands what was asked to the kernel outside of the one enter per turn.
static void hand_over(struct uring_loop *twin)
{
	int result;

	twin->enters++;
	do {
		result = io_uring_submit(&twin->ring);
		ASSERT(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
	} while (result < 0);
}

static struct io_uring_sqe *next_sqe(struct uring_loop *twin)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&twin->ring);

	while (unlikely(!sqe)) {
		hand_over(twin);
		sqe = io_uring_get_sqe(&twin->ring);
	}
	return sqe;
}

static void sqe_tag(struct io_uring_sqe *sqe, const void *what, enum tag tag)
{
	io_uring_sqe_set_data64(sqe, (u64)(uintptr_t)what | tag);
}

static void ask_poll(struct uring_loop *twin, struct op *op, u32 events)
{
	struct io_uring_sqe *sqe = next_sqe(twin);

	io_uring_prep_poll_add(sqe, op->sock->fd, events);
	sqe_tag(sqe, op, TAG_OP);
	op->state = IN_RING;
}

// Its own completion says nothing: the op is heard with -ECANCELED or with what came before. The
// kernel cannot miss it, because this thread alone submits, and in order.
static void ask_cancel(struct uring_loop *twin, const struct op *op)
{
	struct io_uring_sqe *sqe = next_sqe(twin);

	io_uring_prep_cancel64(sqe, (u64)(uintptr_t)op | TAG_OP, 0);
	sqe_tag(sqe, NULL, TAG_NOBODY);
}

static void arm_wake(struct uring_loop *twin)
{
	struct io_uring_sqe *sqe = next_sqe(twin);

	io_uring_prep_poll_add(sqe, twin->loop.wake_fd, POLLIN);
	sqe_tag(sqe, NULL, TAG_WAKE);
}

// Receiving once.

static enum buffer_group group_of(const struct op *op)
{
	return op->hints & RECV_UPSTREAM ? GROUP_UPSTREAM : GROUP_CLIENT;
}

static void ask_recv(struct uring_loop *twin, struct op *op)
{
	struct io_uring_sqe *sqe = next_sqe(twin);

	io_uring_prep_recv(sqe, op->sock->fd, NULL, BLOCK_BYTES, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (u16)group_of(op);
	if (!(op->sock->bits & NONEMPTY))
		sqe->ioprio = IORING_RECVSEND_POLL_FIRST;
	sqe_tag(sqe, op, TAG_OP);
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

static void hear_block(struct loop *loop, struct op *op, struct block *block, i32 len)
{
	op->received = (struct slice){.block = block, .ptr = block->data, .len = (size_t)len};
	loop_hear(loop, op, len);
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

static bool is_worth_repeating(i32 result)
{
	return result == -EINTR || result == -EAGAIN;
}

static void recv_over(struct uring_loop *twin, struct op *op, const struct io_uring_cqe *cqe)
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
	else if (is_worth_repeating(cqe->res) && !op->cancelled)
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
	struct io_uring_sqe *sqe = next_sqe(twin);

	standing->group = (u8)group_of(op);
	io_uring_prep_recv_multishot(sqe, standing->sock->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = standing->group;
	if (!(standing->sock->bits & NONEMPTY))
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	sqe_tag(sqe, standing, TAG_STANDING);
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
	sqe = next_sqe(twin);
	io_uring_prep_cancel64(sqe, (u64)(uintptr_t)standing | TAG_STANDING, 0);
	sqe_tag(sqe, standing, TAG_DISARM);
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

static void submit_recv(struct uring_loop *twin, struct op *op)
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
			submit_recv(twin, op);
		break;
	default:
		if (op) {
			loop_hear(&twin->loop, op, res);
		} else {
			hold_end(twin, standing, res);
		}
	}
}

static void standing_heard(
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
static void disarm_over(struct uring_loop *twin, struct standing *standing, i32 result)
{
	standing->disarming = false;
	if (standing->armed && result < 0)
		disarm(twin, standing);
	else
		standing_unless_needed(twin, standing);
}

// Back-pressure: a standing receive whose bytes nobody asked for within the turn is put down.
static void put_down_hoarding(struct uring_loop *twin)
{
	while (unlikely(!list_is_empty(&twin->hoarding))) {
		struct hoard *hoard = list_first(&twin->hoarding, struct hoard, node);

		list_remove(&hoard->node);
		if (hoard->bytes.len)
			disarm(twin, hoard->standing);
	}
}

static void standing_close(struct uring_loop *twin, struct sock *sock)
{
	struct standing *standing = standing_of(sock);

	if (!standing)
		return;
	// The kernel must have seen the receive before its descriptor can mean something else.
	if (standing->armed && standing->asked_in_enter == twin->enters)
		hand_over(twin);
	sock->held = NULL;
	standing->sock = NULL;
	disarm(twin, standing);
	standing_unless_needed(twin, standing);
}

// Accepting.

static struct accepting *accepting_of(const struct op *op)
{
	return (struct accepting *)(uintptr_t)op->twin[0];
}

static void ask_accept(struct uring_loop *twin, struct op *op)
{
	struct io_uring_sqe *sqe = next_sqe(twin);
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

	if (twin->features.multishot_accept)
		io_uring_prep_multishot_accept(sqe, op->sock->fd, NULL, NULL, flags);
	else
		io_uring_prep_accept(sqe, op->sock->fd, NULL, NULL, flags);
	sqe_tag(sqe, op, TAG_OP);
	accepting_of(op)->armed = true;
}

static void hear_accept_end(struct uring_loop *twin, struct op *op, i32 result)
{
	slab_put(&twin->acceptings, accepting_of(op));
	loop_hear(&twin->loop, op, result);
}

// The next thing to be heard of this accept, if there is one. The op is not in the heard queue.
static void accept_progress(struct uring_loop *twin, struct op *op)
{
	struct accepting *accepting = accepting_of(op);
	struct accepted *first = accepting->head;

	op->state = IN_RING;
	if (op->cancelled && accepting->armed && !accepting->cancelling) {
		accepting->cancelling = true;
		ask_cancel(twin, op);
	}
	if (first) {
		int fd = first->fd;

		accepting->head = first->next;
		slab_put(&twin->accepted, first);
		loop_hear_more(&twin->loop, op, fd);
	} else if (accepting->armed) {
		return;
	} else if (op->cancelled) {
		hear_accept_end(twin, op, -ECANCELED);
	} else if (accepting->has_end) {
		hear_accept_end(twin, op, accepting->end);
	} else {
		ask_accept(twin, op);
	}
}

static void keep_accepted(struct uring_loop *twin, struct accepting *accepting, int fd)
{
	struct accepted *accepted = slab_get(&twin->accepted);

	if (!accepted) {
		close(fd); // refused admission
		return;
	}
	*accepted = (struct accepted){.fd = fd};
	if (accepting->head)
		accepting->tail->next = accepted;
	else
		accepting->head = accepted;
	accepting->tail = accepted;
}

static void accept_heard(struct uring_loop *twin, struct op *op, const struct io_uring_cqe *cqe)
{
	struct accepting *accepting = accepting_of(op);

	if (!(cqe->flags & IORING_CQE_F_MORE))
		accepting->armed = accepting->cancelling = false;
	if (cqe->res >= 0) {
		keep_accepted(twin, accepting, cqe->res);
	} else if (cqe->res == -EINVAL && twin->features.multishot_accept) {
		twin->features.multishot_accept = false;
	} else if (loop_real_accept_is_over(-cqe->res)) {
		accepting->has_end = true;
		accepting->end = cqe->res;
	}
	if (op->state != OP_STATE_HEARD)
		accept_progress(twin, op);
}

static void uring_accept(struct loop *loop, struct op *op)
{
	struct uring_loop *twin = uring_of(loop);
	struct accepting *accepting = slab_get(&twin->acceptings);

	if (!accepting) {
		loop_hear(loop, op, -ENOMEM);
		return;
	}
	*accepting = (struct accepting){0};
	op->twin[0] = (u64)(uintptr_t)accepting;
	op->state = IN_RING;
	ask_accept(twin, op);
}

static void uring_accept_next(struct loop *loop, struct op *op)
{
	accept_progress(uring_of(loop), op);
}

// The other submits.

static void uring_connect(struct loop *loop, struct op *op, const struct addr *address)
{
	int result = loop_real_connect(op->sock->fd, address);

	if (result == -EINPROGRESS)
		ask_poll(uring_of(loop), op, POLLOUT);
	else
		loop_hear(loop, op, result);
}

static void uring_recv(struct loop *loop, struct op *op)
{
	submit_recv(uring_of(loop), op);
}

// Sends go out with the next enter, all of a turn together: a plain call each would enter the
// kernel once per send. With MSG_WAITALL the kernel goes on by itself when the socket was full.
static void ask_send(struct uring_loop *twin, struct op *op)
{
	struct io_uring_sqe *sqe = next_sqe(twin);
	struct gather *gather = NULL;
	struct iovec first;
	int fd = op->sock->fd, flags = MSG_NOSIGNAL | MSG_WAITALL;

	if (op->queue->head->next)
		gather = slab_get(&twin->gathers);
	op->twin[1] = (u64)(uintptr_t)gather;
	if (gather) {
		int count = bytes_peek(op->queue, gather->iov, gather_iov_max);

		gather->message =
			(struct msghdr){.msg_iov = gather->iov, .msg_iovlen = (size_t)count};
		io_uring_prep_sendmsg(sqe, fd, &gather->message, (unsigned)flags);
	} else {
		bytes_peek(op->queue, &first, 1);
		io_uring_prep_send(sqe, fd, first.iov_base, first.iov_len, flags);
	}
	sqe_tag(sqe, op, TAG_OP);
	op->state = IN_RING;
}

static void uring_send(struct loop *loop, struct op *op)
{
	if (likely(op->queue->len)) {
		ask_send(uring_of(loop), op);
		return;
	}
	bytes_clear(op->queue); // slices without bytes hold references too
	loop_hear(loop, op, 0);
}

static void send_over(struct uring_loop *twin, struct op *op, i32 result)
{
	struct gather *gather = (struct gather *)(uintptr_t)op->twin[1];

	if (gather)
		slab_put(&twin->gathers, gather);
	if (result > 0)
		bytes_consume(op->queue, (size_t)result);
	if (is_worth_repeating(result))
		result = 0;
	if (result >= 0 && op->queue->len && op->cancelled)
		result = -ECANCELED;
	if (result < 0)
		loop_hear(&twin->loop, op, result);
	else
		uring_send(&twin->loop, op);
}

static void uring_ready(struct loop *loop, struct op *op)
{
	ask_poll(uring_of(loop), op, op->hints & LOOP_IN ? POLLIN | POLLRDHUP : POLLOUT);
}

static void uring_cancel(struct loop *loop, struct op *op)
{
	struct uring_loop *twin = uring_of(loop);

	if (op->kind == OP_ACCEPT) {
		struct accepting *accepting = accepting_of(op);

		if (accepting->armed && !accepting->cancelling) {
			accepting->cancelling = true;
			ask_cancel(twin, op);
		}
		return;
	}
	switch (op->state) {
	case IN_RING:
		ask_cancel(twin, op);
		break;
	case OP_STATE_WAITS_BLOCK:
		list_remove(op_node(op));
		loop_hear(loop, op, -ECANCELED);
		break;
	default: // AT_STANDING: the receive itself may go on
		loop_hear(loop, op, -ECANCELED);
	}
}

// Completions.

static void poll_over(struct uring_loop *twin, struct op *op, i32 result)
{
	struct loop *loop = &twin->loop;

	if (result < 0) {
		loop_hear(loop, op, op->cancelled ? -ECANCELED : result);
	} else if (op->kind == OP_CONNECT) {
		loop_hear(loop, op, loop_real_connect_result(op->sock->fd));
	} else if (result & (POLLERR | POLLHUP)) {
		loop_hear(loop, op, LOOP_IN | LOOP_OUT);
	} else {
		loop_hear(loop, op, op->hints & (LOOP_IN | LOOP_OUT));
	}
}

static void op_over(struct uring_loop *twin, struct op *op, const struct io_uring_cqe *cqe)
{
	if (op->kind == OP_RECV)
		recv_over(twin, op, cqe);
	else if (op->kind == OP_SEND)
		send_over(twin, op, cqe->res);
	else if (op->kind == OP_ACCEPT)
		accept_heard(twin, op, cqe);
	else
		poll_over(twin, op, cqe->res);
}

// Emptied here and not before the next wait: there it could swallow a wake that came in between.
static void woken(struct uring_loop *twin)
{
	eventfd_t count;
	int empty = eventfd_read(twin->loop.wake_fd, &count);

	(void)empty; // the wake itself was all there was to know
	arm_wake(twin);
}

static void completion(struct uring_loop *twin, const struct io_uring_cqe *cqe)
{
	void *what = (void *)(uintptr_t)(cqe->user_data & ~(u64)TAG_MASK);

	switch ((enum tag)(cqe->user_data & TAG_MASK)) {
	case TAG_OP:
		op_over(twin, what, cqe);
		break;
	case TAG_STANDING:
		standing_heard(twin, what, cqe);
		break;
	case TAG_DISARM:
		disarm_over(twin, what, cqe->res);
		break;
	case TAG_WAKE:
		woken(twin);
		break;
	default:
		break;
	}
}

// Each completion is taken out of the ring before it is acted on, so that the ring has room
// whenever acting on it has to hand something over.
static void take_completions(struct uring_loop *twin)
{
	const struct io_uring_cq *cq = &twin->ring.cq;

	for (u32 count = 0; count < completions_per_turn; count++) {
		if (!io_uring_cq_ready(&twin->ring))
			break;
		struct io_uring_cqe cqe = {0};

		memcpy(&cqe, &cq->cqes[*cq->khead & cq->ring_mask], sizeof(cqe));
		io_uring_cq_advance(&twin->ring, 1);
		completion(twin, &cqe);
	}
}

// Waiting.

static void serve_waiters(struct uring_loop *twin, struct list *waiting, enum buffer_group group)
{
	u32 tries = twin->buffers.rings[group].lent;

	while (unlikely(!list_is_empty(waiting)) && tries--) {
		struct list *node = waiting->next;

		list_remove(node);
		submit_recv(twin, op_of_node(node));
	}
}

static void enter(struct uring_loop *twin, nsec sleep_ns)
{
	struct __kernel_timespec span = {.tv_sec = (i64)(sleep_ns / NSEC_PER_SEC),
		.tv_nsec = (i64)(sleep_ns % NSEC_PER_SEC)};
	struct io_uring_cqe *cqe;
	int result;

	twin->enters++;
	if (sleep_ns == 0)
		result = io_uring_submit_and_get_events(&twin->ring);
	else if (sleep_ns == UINT64_MAX)
		result = io_uring_submit_and_wait(&twin->ring, 1);
	else
		result = io_uring_submit_and_wait_timeout(&twin->ring, &cqe, 1, &span, NULL);
	ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
		result == -EAGAIN);
}

static void uring_wait(struct loop *loop, u64 until_ms)
{
	struct uring_loop *twin = uring_of(loop);

	buffers_refill(&twin->buffers);
	serve_waiters(twin, &twin->waiters.upstream, GROUP_UPSTREAM);
	serve_waiters(twin, &twin->waiters.client, GROUP_CLIENT);
	put_down_hoarding(twin);
	enter(twin, loop_sleep_ns(loop, until_ms));
	take_completions(twin);
}

// Socks.

static void uring_open(struct loop *loop, struct sock *sock)
{
	(void)loop;
	(void)sock;
}

static int uring_open_new(struct loop *loop, struct sock *sock, const struct addr *address)
{
	int fd = loop_real_open_new(address);

	(void)loop;
	if (fd < 0)
		return fd;
	sock->fd = fd;
	return 0;
}

// A standing receive keeps the connection alive in the kernel until its cancel is through, which is
// asked before the loop waits again: so long the peer waits for the end or the reset.
static void uring_reset_on_close(struct loop *loop, struct sock *sock)
{
	sock->bits |= RESETS;
	loop_real_reset_on_close(loop, sock);
}

// While a receive stands the kernel keeps the socket beyond its descriptor, until the cancel is
// through. A reset that is to leave now is sent by dissolving the connection.
static void uring_close(struct loop *loop, struct sock *sock)
{
	if (unlikely((sock->bits & (RESETS | SOCK_ARMED)) == (RESETS | SOCK_ARMED))) {
		struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

		(void)connect(sock->fd, &nowhere, sizeof(nowhere));
	}
	standing_close(uring_of(loop), sock);
	close(sock->fd);
}

static int uring_release(struct loop *loop, struct sock *sock)
{
	ASSERT(sock_is_quiet(sock));
	standing_close(uring_of(loop), sock);
	return sock->fd;
}

static void uring_settle(struct loop *loop, struct sock *sock)
{
	struct standing *standing = standing_of(sock);

	if (standing)
		disarm(uring_of(loop), standing);
}

static void uring_free(struct loop *loop)
{
	struct uring_loop *twin = uring_of(loop);

	// Nothing may be written into blocks that are given back.
	while (twin->standings.used) {
		enter(twin, NSEC_PER_SEC);
		take_completions(twin);
	}
	io_uring_queue_exit(&twin->ring);
	buffers_done(&twin->buffers);
	loop_part_done(loop);
	slab_done(&twin->standings);
	slab_done(&twin->hoards);
	slab_done(&twin->gathers);
	slab_done(&twin->acceptings);
	slab_done(&twin->accepted);
	mem_free(twin);
}

static const struct loop_ops uring_ops = {
	.name = "io_uring",
	.can_splice = true,
	.free = uring_free,
	.wait = uring_wait,
	.read_clock = loop_real_read_clock,
	.set_nonblocking = loop_real_set_nonblocking,
	.open = uring_open,
	.open_new = uring_open_new,
	.close = uring_close,
	.release = uring_release,
	.reset_on_close = uring_reset_on_close,
	.shutdown_send = loop_real_shutdown_send,
	.name_of = loop_real_name_of,
	.accept = uring_accept,
	.accept_next = uring_accept_next,
	.connect = uring_connect,
	.recv = uring_recv,
	.send = uring_send,
	.ready = uring_ready,
	.cancel = uring_cancel,
	.settle = uring_settle,
};

// What is left to do once the ring stands. The loop is complete enough for uring_free then.
static int prepare(struct uring_loop *twin, const char **ret_why)
{
	int result = buffers_init(&twin->buffers, &twin->ring, &twin->loop.blocks);

	if (result) {
		*ret_why = "io_uring refused: no ring of buffers";
		return result;
	}
	arm_wake(twin);
	return uring_self_test(&twin->loop, ret_why);
}

int loop_uring_new(const struct loop_limits *limits, struct loop **ret_loop, const char **ret_why)
{
	struct uring_loop *twin = mem_alloc(sizeof(*twin));
	int result = uring_setup(&twin->ring, sq_entries, cq_entries, &twin->features, ret_why);

	if (result) {
		mem_free(twin);
		return result;
	}
	block_waiters_init(&twin->waiters);
	list_init(&twin->hoarding);
	slab_init(&twin->standings, "standing receive", sizeof(struct standing), UINT32_MAX);
	slab_init(&twin->hoards, "received early", sizeof(struct hoard), UINT32_MAX);
	slab_init(&twin->gathers, "send of slices", sizeof(struct gather), UINT32_MAX);
	slab_init(&twin->acceptings, "accept", sizeof(struct accepting), accepts_max);
	slab_init(&twin->accepted, "accepted", sizeof(struct accepted), accepted_max);
	result = loop_part_init(&twin->loop, &uring_ops, limits, true);
	if (result) {
		*ret_why = "io_uring refused: no event descriptor";
		io_uring_queue_exit(&twin->ring);
		mem_free(twin);
		return result;
	}
	result = prepare(twin, ret_why);
	if (result) {
		// A kernel that never let go of an op may still write to what it was lent: that
		// memory is left to it.
		if (result != -ETIMEDOUT)
			uring_free(&twin->loop);
		return result;
	}
	*ret_loop = &twin->loop;
	return 0;
}

const char *loop_uring_missing(void)
{
	struct loop_limits limits = {.large_blocks_max = 8, .small_blocks_max = 8};
	const char *why = NULL;
	struct loop *loop;

	if (loop_uring_new(&limits, &loop, &why))
		return why;
	loop_free(loop);
	return NULL;
}
