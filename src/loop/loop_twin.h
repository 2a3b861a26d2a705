// SPDX-License-Identifier: Apache-2.0
// What the twins share and nobody else sees: the table that a twin fills, the queue of completed
// ops, and plain socket calls for the two twins that stand on real descriptors.
//
// A twin embeds struct loop as its first member. loop.c checks the contract (one op per direction,
// nothing out at close) and runs the callbacks; a twin only moves ops from "out" to "heard", and
// does so from submit, cancel or wait, never calling anybody.
#pragma once

#include <errno.h>
#include <unistd.h>

#include "loop/loop.h"

// Bits of sock->bits that mean the same to every twin; the rest is the twin's own.
enum sock_bit {
	SOCK_ERROR_AT = 16, // bits 16 to 27: errno of a send_now, which the next send tells
	SOCK_ERROR_MASK = 0xfff,
	SOCK_ARMED = 1u << 30, // the twin has a receive of its own standing
	SOCK_HOLDS = 1u << 31, // bytes or an end wait in sock->held
};

static inline int sock_kept_error(const struct sock *sock)
{
	return (int)(sock->bits >> SOCK_ERROR_AT & SOCK_ERROR_MASK);
}

// The kernel tells a reset to one call; what send_now was told must not be lost.
static inline void sock_keep_error(struct sock *sock, int error)
{
	if (!sock_kept_error(sock))
		sock->bits |= (u32)error << SOCK_ERROR_AT;
}

// op->state for all twins; a twin's own states begin at OP_STATE_TWIN.
enum op_state { OP_STATE_HEARD, OP_STATE_PARKED, OP_STATE_WAITS_BLOCK, OP_STATE_TWIN };

enum { LOOP_PREFETCH_LINES = 8 };

struct loop_ops {
	const char *name;
	bool can_splice;

	void (*free)(struct loop *loop); // the twin's memory, after loop_part_done

	// Collects what is over into the heard queue; sleeps until `until_ms` at most, and not at
	// all when anything is heard already or until_ms is 0.
	void (*wait)(struct loop *loop, u64 until_ms);
	void (*read_clock)(struct loop *loop);

	void (*set_nonblocking)(int fd);
	void (*open)(struct loop *loop, struct sock *sock);
	int (*open_new)(struct loop *loop, struct sock *sock, const struct addr *address);
	void (*close)(struct loop *loop, struct sock *sock);
	int (*release)(struct loop *loop, struct sock *sock);
	void (*reset_on_close)(struct loop *loop, struct sock *sock);
	void (*shutdown_send)(struct loop *loop, struct sock *sock);
	void (*name_of)(struct loop *loop, const struct sock *sock, bool peer, struct addr *ret);
	u64 (*unsent)(struct loop *loop, const struct sock *sock);
	u64 (*held)(const struct sock *sock); // where SOCK_HOLDS; NULL: never

	// The op is filled in and hangs at its sock already.
	void (*accept)(struct loop *loop, struct op *op);
	void (*accept_next)(struct loop *loop, struct op *op); // heard once, goes on
	void (*connect)(struct loop *loop, struct op *op, const struct addr *address);
	void (*recv)(struct loop *loop, struct op *op);
	void (*send)(struct loop *loop, struct op *op);
	void (*ready)(struct loop *loop, struct op *op);
	void (*cancel)(struct loop *loop, struct op *op); // not heard yet, not cancelled before
	bool (*send_now)(struct loop *loop, struct sock *sock, struct bytes *queue); // NULL: never
	void (*settle)(struct loop *loop, struct sock *sock); // NULL: nothing is ever armed
};

// The part every twin has. 0 or negative errno (the wake descriptor; sim has none).
int loop_part_init(struct loop *loop, const struct loop_ops *ops, const struct loop_limits *limits,
	bool real) must_check;
void loop_part_done(struct loop *loop);

// Fetches the lines behind `at`, a sock or an op that will be heard shortly: with thousands of
// connections its owner, in which it is embedded near the beginning, has left the near caches.
// Harmless for any address.
static inline void loop_prefetch_owner(const void *at)
{
	uintptr_t line = (uintptr_t)at - CACHE_LINE; // no pointer: `at` may be NULL

	for (uintptr_t i = 0; i < LOOP_PREFETCH_LINES; i++)
		__builtin_prefetch((const void *)(line + i * CACHE_LINE), 1);
}

// The op is over: it waits for its callback.
static inline void loop_hear(struct loop *loop, struct op *op, i32 result)
{
	op->result = result;
	op->state = OP_STATE_HEARD;
	op->next = NULL;
	if (loop->heard_tail)
		loop->heard_tail->next = op;
	else
		loop->heard = op;
	loop->heard_tail = op;
}

// The same for an accept that goes on.
static inline void loop_hear_more(struct loop *loop, struct op *op, i32 result)
{
	op->more = true;
	loop_hear(loop, op, result);
}

// Nanoseconds to sleep until `until_ms` on the real clock; 0 = do not sleep, UINT64_MAX = no end.
nsec loop_sleep_ns(const struct loop *loop, u64 until_ms);

// A system call with six arguments: its result, or negative errno. The library's functions cost as
// much again as what the twins do around them: recv and send are cancellation points, and syscall
// carries every argument one register further.
static inline i64 loop_real_call(
	i64 number, i64 first, const void *data, size_t len, i64 flags, const void *more, i64 last)
{
#ifdef __x86_64__
	register i64 fourth __asm__("r10") = flags;
	register i64 fifth __asm__("r8") = (i64)(intptr_t)more;
	register i64 sixth __asm__("r9") = last;
	i64 result;

	__asm__ volatile(
		"syscall"
		: "=a"(result)
		: "0"(number), "D"(first), "S"(data), "d"(len), "r"(fourth), "r"(fifth), "r"(sixth)
		: "rcx", "r11", "memory");
	return result;
#else
	i64 result = syscall(number, first, data, len, flags, more, last);

	return result < 0 ? -errno : result;
#endif
}

// Plain calls on real descriptors.
void loop_real_read_clock(struct loop *loop);
int loop_real_open_new(const struct addr *address); // descriptor or negative errno
void loop_real_set_nonblocking(int fd);
void loop_real_reset_on_close(struct loop *loop, struct sock *sock);
void loop_real_shutdown_send(struct loop *loop, struct sock *sock);
void loop_real_name_of(
	struct loop *loop, const struct sock *sock, bool peer, struct addr *ret_addr);
u64 loop_real_unsent(struct loop *loop, const struct sock *sock);
int loop_real_connect(int fd, const struct addr *address); // 0, -EINPROGRESS, or the error
int loop_real_connect_result(int fd);			   // SO_ERROR as negative errno

// Sends what the socket takes now. 0: the queue is empty; -EAGAIN: the socket is full; else the
// error.
int loop_real_send(int fd, struct bytes *queue);

// The same for a queue of one piece, and only one attempt. 1: there are more pieces, or a signal
// came.
int loop_real_send_piece(int fd, struct bytes *queue);

// Takes the next connection: descriptor; -EAGAIN when none waits; or an error that ends accepting.
// Connections that died in the queue are skipped.
int loop_real_accept(int fd);

// Does this errno end accepting, or did it only concern one connection (accept(2))?
bool loop_real_accept_is_over(int error);

// Receives that wait for a block, in the order in which they came; one list for clients and one for
// upstream, linked through op->twin.
struct block_waiters {
	struct list client, upstream;
};

static inline void block_waiters_init(struct block_waiters *waiters)
{
	list_init(&waiters->client);
	list_init(&waiters->upstream);
}

static inline struct list *op_node(struct op *op)
{
	_Static_assert(sizeof(struct list) == sizeof(op->twin), "the node lives in op->twin");
	return (struct list *)(void *)op->twin;
}

static inline struct op *op_of_node(struct list *node)
{
	return container_of((void *)node, struct op, twin);
}

static inline void block_waiters_add(struct block_waiters *waiters, struct op *op)
{
	op->state = OP_STATE_WAITS_BLOCK;
	list_push_back(
		op->hints & RECV_UPSTREAM ? &waiters->upstream : &waiters->client, op_node(op));
}

// How each twin is made. *ret_why: the reason of a failure, static text.
int loop_epoll_new(const struct loop_limits *limits, struct loop **ret_loop) must_check;
int loop_uring_new(
	const struct loop_limits *limits, struct loop **ret_loop, const char **ret_why) must_check;
