// SPDX-License-Identifier: Apache-2.0
// The epoll twin: readiness made to look like completion. Every system call is tried first; an op
// that meets EAGAIN is parked at its sock and tried again when the kernel reports the edge.
//
// A sock is registered once, edge-triggered for everything, at its first EAGAIN. One invariant
// replaces all epoll_ctl calls after that: a readiness bit that is clear means that the descriptor
// is not ready, or that an edge is still to be fetched.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop_twin.h"

enum {
	// Few, so that what one step of a turn has brought into the near caches is there for the
	// next. A wait costs little beside 32 receives.
	events_per_wait = 32,
	prefetch_ahead = 3, // events; a receive takes about as long as a line from far away
	accepts_per_turn = 64,
};

enum epoll_bit {
	READABLE = 1 << 0, // a receive is worth trying
	WRITABLE = 1 << 1,
	ENDED = 1 << 2, // hang-up or error was seen: a short read does not mean empty
	REGISTERED = 1 << 3,
};

struct epoll_loop {
	struct loop loop;
	int epoll_fd;
	u32 accepts_left; // in this turn
	struct block_waiters waiters;
	struct list accepts_later; // listeners that used up their share of this turn
	struct epoll_event events[events_per_wait];
};

static struct epoll_loop *epoll_of(struct loop *loop)
{
	return (struct epoll_loop *)(void *)loop;
}

static int control(struct epoll_loop *twin, struct sock *sock, int what)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = sock};

	if (epoll_ctl(twin->epoll_fd, what, sock->fd, &event))
		return -errno;
	sock->bits |= REGISTERED;
	return 0;
}

static __attribute__((noinline)) void enlist(struct epoll_loop *twin, struct op *op)
{
	int result = control(twin, op->sock, EPOLL_CTL_ADD);

	if (result)
		loop_hear(&twin->loop, op, result);
}

// The op has met EAGAIN. Registering reports a readiness that came in the meantime.
static void park(struct epoll_loop *twin, struct op *op)
{
	op->state = OP_STATE_PARKED;
	if (unlikely(!(op->sock->bits & REGISTERED)))
		enlist(twin, op);
}

// Kept apart: a receive is mostly submitted before there is anything to read, and parked at once.
static __attribute__((noinline)) void try_recv(struct epoll_loop *twin, struct op *op)
{
	struct loop *loop = &twin->loop;
	struct sock *sock = op->sock;
	struct block *block = block_get(&loop->blocks, op->hints & RECV_UPSTREAM);
	i64 got;

	if (unlikely(!block)) {
		block_waiters_add(&twin->waiters, op);
		return;
	}
	do {
		got = loop_real_call(
			SYS_recvfrom, sock->fd, block->data, BLOCK_BYTES, MSG_DONTWAIT, NULL, 0);
	} while (unlikely(got == -EINTR));
	if (got > 0) {
		if (got < BLOCK_BYTES && !(sock->bits & ENDED))
			sock->bits &= ~(u32)READABLE;
		op->received =
			(struct slice){.block = block, .ptr = block->data, .len = (size_t)got};
		loop_hear(loop, op, (i32)got);
		return;
	}
	block_unref(block);
	if (got == 0) {
		loop_hear(loop, op, 0);
	} else if (got == -EAGAIN) {
		sock->bits &= ~(u32)(READABLE | ENDED);
		park(twin, op);
	} else {
		loop_hear(loop, op, (i32)got);
	}
}

static void try_send(struct epoll_loop *twin, struct op *op)
{
	int result = loop_real_send(op->sock->fd, op->queue);

	if (unlikely(result == -EAGAIN)) {
		op->sock->bits &= ~(u32)WRITABLE;
		park(twin, op);
	} else {
		loop_hear(&twin->loop, op, result);
	}
}

static void try_accept(struct epoll_loop *twin, struct op *op)
{
	int fd;

	if (twin->accepts_left == 0) {
		op->state = OP_STATE_TWIN;
		list_push_back(&twin->accepts_later, op_node(op));
		return;
	}
	twin->accepts_left--;
	fd = loop_real_accept(op->sock->fd);
	if (fd >= 0) {
		loop_hear_more(&twin->loop, op, fd);
	} else if (fd == -EAGAIN) {
		op->sock->bits &= ~(u32)READABLE;
		park(twin, op);
	} else {
		loop_hear(&twin->loop, op, fd);
	}
}

// Submitting.

static void epoll_accept(struct loop *loop, struct op *op)
{
	if (op->sock->bits & READABLE)
		try_accept(epoll_of(loop), op);
	else
		park(epoll_of(loop), op);
}

static void epoll_accept_next(struct loop *loop, struct op *op)
{
	if (op->cancelled)
		loop_hear(loop, op, -ECANCELED);
	else
		epoll_accept(loop, op);
}

static void epoll_connect(struct loop *loop, struct op *op, const struct addr *address)
{
	int result = loop_real_connect(op->sock->fd, address);

	if (result == -EINPROGRESS) {
		park(epoll_of(loop), op);
		return;
	}
	if (result == 0)
		op->sock->bits |= WRITABLE;
	loop_hear(loop, op, result);
}

static void epoll_recv(struct loop *loop, struct op *op)
{
	if (op->sock->bits & READABLE)
		try_recv(epoll_of(loop), op);
	else
		park(epoll_of(loop), op);
}

static void epoll_send(struct loop *loop, struct op *op)
{
	if (likely(op->sock->bits & WRITABLE))
		try_send(epoll_of(loop), op);
	else
		park(epoll_of(loop), op);
}

static bool epoll_send_now(struct loop *loop, struct sock *sock, struct bytes *queue)
{
	int result;

	(void)loop;
	if (unlikely(!(sock->bits & WRITABLE)))
		return false;
	result = loop_real_send_piece(sock->fd, queue);
	if (unlikely(result == -EAGAIN))
		sock->bits &= ~(u32)WRITABLE;
	else if (unlikely(result < 0))
		sock_keep_error(sock, -result);
	return result == 0;
}

// Registering anew reports what is ready now, whatever edges were fetched before; a caller that has
// just met EAGAIN spares us that.
static void epoll_ready(struct loop *loop, struct op *op)
{
	struct epoll_loop *twin = epoll_of(loop);
	struct sock *sock = op->sock;
	int result = 0;

	sock->bits &= ~(u32)(op->hints & LOOP_IN ? READABLE | ENDED : WRITABLE);
	if (!(sock->bits & REGISTERED))
		result = control(twin, sock, EPOLL_CTL_ADD);
	else if (!(op->hints & LOOP_DRAINED))
		result = control(twin, sock, EPOLL_CTL_MOD);
	// A regular file cannot be watched; it is always ready.
	if (result == -EPERM)
		loop_hear(loop, op, LOOP_IN | LOOP_OUT);
	else if (result)
		loop_hear(loop, op, result);
}

static void epoll_cancel(struct loop *loop, struct op *op)
{
	if (op->state != OP_STATE_PARKED)
		list_remove(op_node(op));
	else if (op->kind == OP_ACCEPT && op->more)
		return; // inside its own callback; accept_next ends it
	loop_hear(loop, op, -ECANCELED);
}

// Waiting.

static void retry_reading(struct epoll_loop *twin, struct sock *sock, bool broken)
{
	struct op *op = sock->reading;

	if (!op || op->state != OP_STATE_PARKED)
		return;
	if (op->kind == OP_RECV)
		try_recv(twin, op);
	else if (op->kind == OP_ACCEPT)
		try_accept(twin, op);
	else
		loop_hear(&twin->loop, op, broken ? LOOP_IN | LOOP_OUT : LOOP_IN);
}

static void retry_writing(struct epoll_loop *twin, struct sock *sock, bool broken)
{
	struct op *op = sock->writing;

	if (!op || op->state != OP_STATE_PARKED)
		return;
	if (op->kind == OP_SEND)
		try_send(twin, op);
	else if (op->kind == OP_CONNECT)
		loop_hear(&twin->loop, op, loop_real_connect_result(sock->fd));
	else
		loop_hear(&twin->loop, op, broken ? LOOP_IN | LOOP_OUT : LOOP_OUT);
}

static void take_event(struct epoll_loop *twin, const struct epoll_event *event)
{
	struct sock *sock = event->data.ptr;
	u32 events = event->events;
	bool broken = events & (EPOLLHUP | EPOLLERR);

	if (!sock)
		return; // woken for the inbox
	if (broken || events & EPOLLRDHUP)
		sock->bits |= READABLE | ENDED;
	if (events & EPOLLIN)
		sock->bits |= READABLE;
	if (broken || events & EPOLLOUT)
		sock->bits |= WRITABLE;
	if (sock->bits & READABLE)
		retry_reading(twin, sock, broken);
	if (sock->bits & WRITABLE)
		retry_writing(twin, sock, broken);
}

static void serve_waiters(struct epoll_loop *twin, struct list *waiting, bool upstream)
{
	while (unlikely(!list_is_empty(waiting)) && block_pool_has(&twin->loop.blocks, upstream)) {
		struct list *node = waiting->next;
		struct op *op = op_of_node(node);

		list_remove(node);
		try_recv(twin, op);
		// Blocks remain, but memory for them is missing: the op waits again.
		if (op->state == OP_STATE_WAITS_BLOCK)
			return;
	}
}

static void serve_accepts(struct epoll_loop *twin)
{
	twin->accepts_left = accepts_per_turn;
	while (unlikely(!list_is_empty(&twin->accepts_later)) && twin->accepts_left) {
		struct list *node = twin->accepts_later.next;

		list_remove(node);
		try_accept(twin, op_of_node(node));
	}
}

static int timeout_ms(const struct loop *loop, u64 until_ms)
{
	nsec sleep_ns = loop_sleep_ns(loop, until_ms);

	if (sleep_ns == UINT64_MAX)
		return -1;
	return (int)MIN((sleep_ns + NSEC_PER_MS - 1) / NSEC_PER_MS, (u64)INT32_MAX);
}

static void epoll_twin_wait(struct loop *loop, u64 until_ms)
{
	struct epoll_loop *twin = epoll_of(loop);
	int count;

	serve_waiters(twin, &twin->waiters.upstream, true);
	serve_waiters(twin, &twin->waiters.client, false);
	serve_accepts(twin);
	count = epoll_wait(
		twin->epoll_fd, twin->events, events_per_wait, timeout_ms(loop, until_ms));
	ASSERT(count >= 0 || errno == EINTR);
	for (int i = 0; i < count; i++) {
		if (i + prefetch_ahead < count)
			loop_prefetch_owner(twin->events[i + prefetch_ahead].data.ptr);
		take_event(twin, &twin->events[i]);
	}
}

// Socks.

static void epoll_open(struct loop *loop, struct sock *sock)
{
	(void)loop;
	sock->bits = READABLE | WRITABLE;
}

// A new connection has nothing to read yet, so nothing is tried before an edge.
static int epoll_open_new(struct loop *loop, struct sock *sock, const struct addr *address)
{
	int fd = loop_real_open_new(address);

	(void)loop;
	if (fd < 0)
		return fd;
	sock->fd = fd;
	return 0;
}

// Closing alone would leave the registration standing while another process holds a copy of the
// descriptor (a child between fork and exec), and its events would point at a sock that is gone.
static int epoll_release(struct loop *loop, struct sock *sock)
{
	if (sock->bits & REGISTERED)
		epoll_ctl(epoll_of(loop)->epoll_fd, EPOLL_CTL_DEL, sock->fd, NULL);
	return sock->fd;
}

static void epoll_close(struct loop *loop, struct sock *sock)
{
	close(epoll_release(loop, sock));
}

static void epoll_free(struct loop *loop)
{
	struct epoll_loop *twin = epoll_of(loop);

	loop_part_done(loop);
	close(twin->epoll_fd);
	mem_free(twin);
}

static const struct loop_ops epoll_ops = {
	.name = "epoll",
	.can_splice = true,
	.free = epoll_free,
	.wait = epoll_twin_wait,
	.read_clock = loop_real_read_clock,
	.set_nonblocking = loop_real_set_nonblocking,
	.open = epoll_open,
	.open_new = epoll_open_new,
	.close = epoll_close,
	.release = epoll_release,
	.reset_on_close = loop_real_reset_on_close,
	.shutdown_send = loop_real_shutdown_send,
	.name_of = loop_real_name_of,
	.unsent = loop_real_unsent,
	.accept = epoll_accept,
	.accept_next = epoll_accept_next,
	.connect = epoll_connect,
	.recv = epoll_recv,
	.send = epoll_send,
	.ready = epoll_ready,
	.cancel = epoll_cancel,
	.send_now = epoll_send_now,
};

int loop_epoll_new(const struct loop_limits *limits, struct loop **ret_loop)
{
	struct epoll_loop *twin = mem_alloc(sizeof(*twin));
	struct epoll_event wake = {.events = EPOLLIN | EPOLLET};
	int result;

	block_waiters_init(&twin->waiters);
	list_init(&twin->accepts_later);
	twin->accepts_left = accepts_per_turn;
	twin->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (twin->epoll_fd < 0) {
		result = -errno;
		mem_free(twin);
		return result;
	}
	result = loop_part_init(&twin->loop, &epoll_ops, limits, true);
	if (result) {
		close(twin->epoll_fd);
		mem_free(twin);
		return result;
	}
	// Edge-triggered: every write to it is an edge, so nobody has to read it.
	if (epoll_ctl(twin->epoll_fd, EPOLL_CTL_ADD, twin->loop.wake_fd, &wake)) {
		result = -errno;
		epoll_free(&twin->loop);
		return result;
	}
	*ret_loop = &twin->loop;
	return 0;
}
