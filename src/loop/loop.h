// SPDX-License-Identifier: Apache-2.0
// The kernel seam and the only clock. Completion outside: an owner submits an operation and is told
// when it is over. Three twins stand behind the same words: io_uring, epoll (readiness imitating
// completion), and sim (virtual network, virtual time, seeded faults). One thread per loop.
//
// The contract, word for word for all twins:
//  1. The owner embeds struct op and submits it; until it is heard, the op (and for a send its
//  queue)
//     belongs to the loop. It is heard exactly once; an accept many times, until `more` is false.
//  2. Nothing is ever heard from inside submit or cancel: callbacks run only from the loop's turn.
//     What loop_send_now says it says to its caller.
//  3. A receive owns no memory while it waits: the loop lends a block at completion. When no block
//  is free
//     the op waits inside the loop.
//  4. A send means all bytes of its queue, or an error. One send per sock at a time. The queue must
//  not be
//     touched until the send is heard.
//  5. Cancel is a wish: the op is still heard once, with -ECANCELED or with what happened before.
//     sock_close only when no op of the sock is out.
//  6. loop_now_ms() moves once per turn. Nobody else reads a clock.
#pragma once

#include <time.h>

#include "base/addr.h"
#include "base/bytes.h"
#include "base/histogram.h"
#include "base/wheel.h"

struct loop;
struct op;
struct sock;

typedef void op_done_fn(struct op *op);

enum op_kind { OP_IDLE, OP_ACCEPT, OP_CONNECT, OP_RECV, OP_SEND, OP_READY };

enum loop_ready {
	LOOP_IN = 1,
	LOOP_OUT = 2,
	// The caller has met EAGAIN in this direction within this very callback. Only a saving: the
	// epoll twin then trusts its edge and makes no system call.
	LOOP_DRAINED = 4,
};

// Hints for loop_recv.
enum recv_hint {
	RECV_UPSTREAM = 1, // may use the blocks reserved for upstream receives
	RECV_KEEP = 2,	   // small messages will go on: the twin may stay armed between receives
};

struct op {
	op_done_fn *done;
	struct sock *sock;
	struct op *next;    // the loop's
	i32 result;	    // see each call
	u8 kind;	    // enum op_kind; OP_IDLE = not submitted
	u8 state;	    // the twin's
	u8 hints;	    // recv_hint or loop_ready as submitted
	bool more : 1;	    // accept: will be heard again
	bool cancelled : 1; // the owner asked
	union {
		struct slice received; // recv with result > 0: the owner takes over this slice
		struct bytes *queue;   // send
		u64 twin[2];	       // the twin's
	};
};

static inline void op_init(struct op *op, op_done_fn *done)
{
	*op = (struct op){.done = done};
}

static inline bool op_is_out(const struct op *op)
{
	return op->kind != OP_IDLE;
}

// A descriptor known to the loop. Embedded in its owner, and must not move while open (release and
// open it again elsewhere); the fields behind fd are the twin's.
struct sock {
	int fd; // -1 = closed. In the sim twin not a kernel descriptor
	u32 bits;
	struct op *reading, *writing;
	void *held; // bytes received for nobody yet
};

// Something to run at the end of the current turn, before the loop waits. Queued at most once.
struct task;
typedef void task_fn(struct task *task);
struct task {
	struct task *next; // NULL: not queued; the last one points at itself
	task_fn *run;
};

// A message from another thread. The message is handed over with the call.
struct message;
typedef void message_fn(struct message *message);
struct message {
	struct message *next;
	message_fn *deliver; // runs on the receiving loop's thread, in its turn
};

enum loop_kind { LOOP_AUTO, LOOP_URING, LOOP_EPOLL, LOOP_SIM };

struct loop_ops; // the twin's table, loop_twin.h

struct loop {
	const struct loop_ops *ops;
	struct wheel wheel;
	struct block_pool blocks;
	struct op *heard, *heard_tail; // completed, waiting for their callback
	struct task *tasks, *tasks_tail;
	_Atomic(struct message *) inbox; // newest first; taken whole and reversed
	_Atomic(bool) sleeping;		 // tells senders whether a wake is needed
	u64 now_ms;			 // monotonic, moves once per turn
	u64 now_us;			 // the same moment, finer, for latency figures
	i64 wall_ms;			 // Unix time, read once per turn
	u32 ops_out;			 // submitted and not heard
	struct histogram *turns; // how long turns last that may be long; NULL: nobody wants to know
	int wake_fd;
};

struct loop_limits {
	u32 large_blocks_max; // 16 KiB each
	u32 small_blocks_max; // 2 KiB each
};

// Makes a loop for the calling thread (it must stay on it). `kind` AUTO tries io_uring and takes
// epoll when the kernel or a sandbox refuses. *ret_why: static text, why this twin was taken
// ("io_uring refused: Operation not permitted"). 0 or negative errno.
int loop_new(enum loop_kind kind, const struct loop_limits *limits, struct loop **ret_loop,
	const char **ret_why) must_check;

// Everything submitted must have been heard. Asserts that no block is out.
void loop_free(struct loop *loop);

// Could io_uring be used here and now? NULL: yes; else static text with the reason.
const char *loop_uring_missing(void);

const char *loop_kind_name(const struct loop *loop); // "io_uring", "epoll", "sim"

// One turn: waits for the next completion, timer, message or deferred task, but at most until
// `wait_until_ms` (UINT64_MAX: as long as it takes); then runs callbacks, timers and tasks.
// Those with messages, with timers that may be due, or with hundreds of callbacks are counted in
// loop->turns: to time all the others would cost more than most of them do.
void loop_turn(struct loop *loop, u64 wait_until_ms);

static inline u64 loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

static inline u64 loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

static inline i64 loop_wall_ms(const struct loop *loop)
{
	return loop->wall_ms;
}

static inline void loop_timer_set(struct loop *loop, struct timer *timer, u64 deadline_ms)
{
	wheel_set(&loop->wheel, timer, deadline_ms);
}

static inline void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
	wheel_cancel(&loop->wheel, timer);
}

static inline void loop_defer(struct loop *loop, struct task *task)
{
	if (task->next)
		return;
	task->next = task;
	if (loop->tasks_tail)
		loop->tasks_tail->next = task;
	else
		loop->tasks = task;
	loop->tasks_tail = task;
}

// From any thread: the message runs in a turn of `loop`. The loop must outlive it.
void loop_post(struct loop *loop, struct message *message);

// Processor time that a thread has used, read from any thread at no cost to it: by the clock that
// it got for itself. 0 once it has ended. The kernel's threads that work for io_uring are not in
// it.
clockid_t loop_busy_clock(void);
u64 loop_busy_us(clockid_t clock);
u64 loop_process_busy_us(void); // of all its threads

// Time for which a thread was ready to run and had no processor, as others or a quota had it; read
// from any thread of the process by its number (gettid). 0 once it has ended, and where the kernel
// does not count it (/proc/PID/task/TID/schedstat).
u64 loop_starved_us(pid_t thread);

// Gives an existing descriptor (listening, foreign) to the loop; makes it non-blocking.
void sock_open(struct loop *loop, struct sock *sock, int fd);

// The same for one that is non-blocking already, as accepted ones are.
void sock_open_accepted(struct loop *loop, struct sock *sock, int fd);

// A new socket for a connect to `address`'s family (TCP_NODELAY, IP_BIND_ADDRESS_NO_PORT).
// 0, or -EMFILE and the like.
int sock_open_new(struct loop *loop, struct sock *sock, const struct addr *address) must_check;

// Closes now. No op may be out. Bytes held by the twin are dropped.
void sock_close(struct loop *loop, struct sock *sock);

// Takes the descriptor away from the loop without closing it (hand-off to another worker).
int sock_release(struct loop *loop, struct sock *sock);

// The next sock_close sends a reset instead of an orderly end (SO_LINGER 0).
void sock_reset_on_close(struct loop *loop, struct sock *sock);

// Ends our direction (SHUT_WR). No send may be out. Errors are found by the next receive.
void sock_shutdown_send(struct loop *loop, struct sock *sock);

void sock_peer(struct loop *loop, const struct sock *sock, struct addr *ret_addr);
void sock_local(struct loop *loop, const struct sock *sock, struct addr *ret_addr);

// Bytes that were sent, and of which the kernel does not know that the peer has them.
u64 sock_unsent(struct loop *loop, const struct sock *sock);

// Bytes that were received for nobody yet.
u64 sock_held(struct loop *loop, const struct sock *sock);

// True when the loop holds neither bytes nor an armed receive for this sock: its descriptor may be
// read directly (splice). Only meaningful while no receive is out.
bool sock_is_quiet(const struct sock *sock);

// Bytes or an end wait here for the next receive.
bool sock_holds(const struct sock *sock);

// Ends a receive that the loop has armed for nobody in particular, so that sock_is_quiet becomes
// true in a later turn, but for what sock_holds until then. No receive may be out.
void sock_settle(struct loop *loop, struct sock *sock);

// result: a connected descriptor (non-blocking, for sock_open), or negative errno; then `more`
// tells whether the accept goes on. -EMFILE/-ENFILE/-ENOMEM end it (more = false): pause, then
// submit again.
void loop_accept(struct loop *loop, struct sock *sock, struct op *op);

// result: 0 or negative errno. -EAGAIN: the accept queue of a unix listener is full.
void loop_connect(struct loop *loop, struct sock *sock, struct op *op, const struct addr *address);

// result: > 0 bytes, then op->received is the owner's; 0 the peer ended; negative errno.
void loop_recv(struct loop *loop, struct sock *sock, struct op *op, u32 recv_hints);

// result: 0 when the whole queue is gone (the queue is empty then), or negative errno (the rest is
// still in the queue; the owner clears it).
void loop_send(struct loop *loop, struct sock *sock, struct op *op, struct bytes *queue);

// The same without a submission, when the socket takes everything now: true, and the queue is
// empty. False: what is left in the queue (all of it, for a twin that sends in batches) wants a
// loop_send, which also finds the error there may be. No send may be out.
bool loop_send_now(struct loop *loop, struct sock *sock, struct bytes *queue) must_check;

// One-shot readiness of a foreign descriptor or for splice. result: the ready bits (LOOP_IN,
// LOOP_OUT; both on error or hang-up), or negative errno. Uses sock->reading for LOOP_IN and
// sock->writing for LOOP_OUT, so a sock may wait for both at once with two ops; each call names one
// of them, with LOOP_DRAINED if it applies. Without LOOP_DRAINED it is heard at once when ready
// now.
void loop_ready(struct loop *loop, struct sock *sock, struct op *op, u32 events);

// Wish to hear the op soon. Does nothing when it is not out.
void loop_cancel(struct loop *loop, struct op *op);

// Can this twin's descriptors be spliced (real kernel sockets)?
bool loop_can_splice(const struct loop *loop);
