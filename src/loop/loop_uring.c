// SPDX-License-Identifier: Apache-2.0
// The io_uring twin: one ring per loop, one io_uring_enter per turn. The small sends of a turn go
// out together. Receives and accepts are files of their own (uring_inside.h).
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/uring_inside.h"

enum {
	sq_entries = 512,
	cq_entries = 4096,
	completions_per_turn = 512, // more stay in the ring for the next turn
	gather_iov_max = 60,
	large_send_bytes = BLOCK_BYTES / 2,
};

// What a send of several slices points to until it is over.
struct gather {
	struct msghdr message;
	struct iovec iov[gather_iov_max];
};

// Asking the kernel.

void uring_hand_over(struct uring_loop *twin)
{
	int result;

	twin->enters++;
	do {
		result = io_uring_submit(&twin->ring);
		ASSERT(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
	} while (result < 0);
}

static void ask_poll(struct uring_loop *twin, struct op *op, u32 events)
{
	struct io_uring_sqe *sqe = uring_next_sqe(twin);

	io_uring_prep_poll_add(sqe, op->sock->fd, events);
	uring_sqe_tag(sqe, op, TAG_OP);
	op->state = IN_RING;
}

void uring_ask_cancel(struct uring_loop *twin, const struct op *op)
{
	struct io_uring_sqe *sqe = uring_next_sqe(twin);

	io_uring_prep_cancel64(sqe, (u64)(uintptr_t)op | TAG_OP, 0);
	uring_sqe_tag(sqe, NULL, TAG_NOBODY);
}

static void arm_wake(struct uring_loop *twin)
{
	struct io_uring_sqe *sqe = uring_next_sqe(twin);

	io_uring_prep_poll_add(sqe, twin->loop.wake_fd, POLLIN);
	uring_sqe_tag(sqe, NULL, TAG_WAKE);
}

// Submitting.

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
	uring_submit_recv(uring_of(loop), op);
}

// Small sends go out with the next enter, all of a turn together: a plain call each would enter the
// kernel once per send. Without MSG_WAITALL, with which the kernel would go on by itself when the
// socket was full, but tell of a reset that it meets then as of a send that moved less.
static void ask_send(struct uring_loop *twin, struct op *op)
{
	struct io_uring_sqe *sqe = uring_next_sqe(twin);
	struct gather *gather = NULL;
	struct iovec first;
	int fd = op->sock->fd, flags = MSG_NOSIGNAL;

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
	uring_sqe_tag(sqe, op, TAG_OP);
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

// Beside copying so much, entering the kernel costs little; and what was just made is still warm.
static bool uring_send_now(struct loop *loop, struct sock *sock, struct bytes *queue)
{
	int result;

	(void)loop;
	if (queue->len < large_send_bytes)
		return false;
	result = loop_real_send(sock->fd, queue);
	if (unlikely(result < 0 && result != -EAGAIN))
		sock_keep_error(sock, -result);
	return result == 0;
}

static void send_over(struct uring_loop *twin, struct op *op, i32 result)
{
	struct gather *gather = (struct gather *)(uintptr_t)op->twin[1];

	if (gather)
		slab_put(&twin->gathers, gather);
	if (result > 0)
		bytes_consume(op->queue, (size_t)result);
	if (uring_is_worth_repeating(result))
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
		uring_accept_cancel(twin, op);
		return;
	}
	switch (op->state) {
	case IN_RING:
		uring_ask_cancel(twin, op);
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
		uring_recv_over(twin, op, cqe);
	else if (op->kind == OP_SEND)
		send_over(twin, op, cqe->res);
	else if (op->kind == OP_ACCEPT)
		uring_accept_heard(twin, op, cqe);
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
		uring_standing_heard(twin, what, cqe);
		break;
	case TAG_DISARM:
		uring_disarm_over(twin, what, cqe->res);
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
		uring_submit_recv(twin, op_of_node(node));
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
	uring_put_down_hoarding(twin);
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
	uring_standing_close(uring_of(loop), sock);
	close(sock->fd);
}

static int uring_release(struct loop *loop, struct sock *sock)
{
	ASSERT(sock_is_quiet(sock));
	uring_standing_close(uring_of(loop), sock);
	return sock->fd;
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
	uring_recv_done(twin);
	uring_accept_done(twin);
	slab_done(&twin->gathers);
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
	.unsent = loop_real_unsent,
	.held = uring_held,
	.accept = uring_accept,
	.accept_next = uring_accept_next,
	.connect = uring_connect,
	.recv = uring_recv,
	.send = uring_send,
	.send_now = uring_send_now,
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
	uring_recv_init(twin);
	uring_accept_init(twin);
	slab_init(&twin->gathers, "send of slices", sizeof(struct gather), UINT32_MAX);
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
