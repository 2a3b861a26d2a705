// SPDX-License-Identifier: Apache-2.0
#include "loop/loop.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/proc.h"
#include "loop/loop_twin.h"

// A turn ends after about so many callbacks even when more are waiting, so that the clock moves
// and fresh events get their share.
enum { heard_per_turn = 512, heard_of_long_turn = 256 };

enum { send_iov_max = 64 };

int loop_part_init(
	struct loop *loop, const struct loop_ops *ops, const struct loop_limits *limits, bool real)
{
	loop->ops = ops;
	loop->wake_fd = -1;
	if (real) {
		loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (loop->wake_fd < 0)
			return -errno;
	}
	block_pool_init(&loop->blocks, limits->large_blocks_max, limits->small_blocks_max);
	ops->read_clock(loop);
	wheel_init(&loop->wheel, loop->now_ms);
	return 0;
}

void loop_part_done(struct loop *loop)
{
	ASSERT(loop->ops_out == 0 && !loop->heard);
	block_pool_done(&loop->blocks);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
}

int loop_new(enum loop_kind kind, const struct loop_limits *limits, struct loop **ret_loop,
	const char **ret_why)
{
	const char *refusal = NULL;
	int result;

	ASSERT(kind != LOOP_SIM);
	if (kind == LOOP_EPOLL) {
		*ret_why = "epoll was asked for";
		return loop_epoll_new(limits, ret_loop);
	}
	result = loop_uring_new(limits, ret_loop, &refusal);
	if (result == 0) {
		*ret_why = kind == LOOP_URING ? "io_uring was asked for"
					      : "io_uring passed its self-test";
		return 0;
	}
	*ret_why = refusal;
	if (kind == LOOP_URING)
		return result;
	return loop_epoll_new(limits, ret_loop);
}

void loop_free(struct loop *loop)
{
	if (loop)
		loop->ops->free(loop);
}

const char *loop_kind_name(const struct loop *loop)
{
	return loop->ops->name;
}

bool loop_can_splice(const struct loop *loop)
{
	return loop->ops->can_splice;
}

// The turn.

// True: there were messages.
static bool deliver_inbox(struct loop *loop)
{
	struct message *newest, *oldest = NULL;

	if (!atomic_load_explicit(&loop->inbox, memory_order_relaxed))
		return false;
	newest = atomic_exchange(&loop->inbox, NULL);
	while (newest) {
		struct message *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest) {
		struct message *message = oldest;

		oldest = message->next;
		message->deliver(message);
	}
	return true;
}

static void run_callback(struct loop *loop, struct op *op)
{
	struct sock *sock = op->sock;

	if (op->more) {
		op->state = OP_STATE_PARKED;
		op->done(op);
		op->more = false;
		loop->ops->accept_next(loop, op);
		return;
	}
	if (sock->reading == op)
		sock->reading = NULL;
	else
		sock->writing = NULL;
	op->kind = OP_IDLE;
	loop->ops_out--;
	op->done(op);
}

static void run_tasks(struct loop *loop)
{
	struct task *task = loop->tasks;

	loop->tasks = loop->tasks_tail = NULL;
	while (task) {
		struct task *next = task->next == task ? NULL : task->next;

		task->next = NULL;
		task->run(task);
		task = next;
	}
}

// Callbacks defer tasks (flushes), and what those submit may be over at once, or defer more: going
// round again here spares a wait that would not sleep anyway.
static u32 run_rounds(struct loop *loop)
{
	u32 heard = 0;

	do {
		while (loop->heard && heard < heard_per_turn) {
			struct op *op = loop->heard;

			loop->heard = op->next;
			if (!loop->heard)
				loop->heard_tail = NULL;
			heard++;
			run_callback(loop, op);
		}
		run_tasks(loop);
		heard++;
	} while ((loop->heard || loop->tasks) && heard < heard_per_turn);
	return heard;
}

static u64 clock_ns(clockid_t id)
{
	struct timespec now = {0};

	clock_gettime(id, &now);
	return (u64)now.tv_sec * NSEC_PER_SEC + (u64)now.tv_nsec;
}

static cold void note_turn(struct loop *loop)
{
	u64 us = clock_ns(CLOCK_MONOTONIC) / 1000;

	histogram_note(loop->turns, us - MIN(us, loop->now_us));
}

void loop_turn(struct loop *loop, u64 wait_until_ms)
{
	u64 until_ms = 0;
	bool may_be_long;

	if (!loop->heard && !loop->tasks) {
		until_ms = MIN(wait_until_ms, wheel_next_ms(&loop->wheel));
		// Pairs with loop_post: either the sender sees `sleeping`, or the message is
		// seen here.
		atomic_store(&loop->sleeping, true);
		if (atomic_load(&loop->inbox))
			until_ms = 0;
	}
	loop->ops->wait(loop, until_ms);
	atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
	loop->ops->read_clock(loop);
	may_be_long = deliver_inbox(loop);
	may_be_long |= wheel_advance(&loop->wheel, loop->now_ms);
	may_be_long |= run_rounds(loop) >= heard_of_long_turn;
	if (unlikely(may_be_long) && loop->turns)
		note_turn(loop);
}

void loop_post(struct loop *loop, struct message *message)
{
	struct message *newest = atomic_load_explicit(&loop->inbox, memory_order_relaxed);

	do {
		message->next = newest;
	} while (!atomic_compare_exchange_weak(&loop->inbox, &newest, message));
	if (atomic_load(&loop->sleeping) && atomic_exchange(&loop->sleeping, false) &&
		loop->wake_fd >= 0) {
		int failed = eventfd_write(loop->wake_fd, 1);

		// Only a counter about to overflow refuses, and then the loop is awake.
		(void)failed;
	}
}

// Socks.

void sock_open(struct loop *loop, struct sock *sock, int fd)
{
	loop->ops->set_nonblocking(fd);
	sock_open_accepted(loop, sock, fd);
}

void sock_open_accepted(struct loop *loop, struct sock *sock, int fd)
{
	*sock = (struct sock){.fd = fd};
	loop->ops->open(loop, sock);
}

int sock_open_new(struct loop *loop, struct sock *sock, const struct addr *address)
{
	*sock = (struct sock){.fd = -1};
	return loop->ops->open_new(loop, sock, address);
}

void sock_close(struct loop *loop, struct sock *sock)
{
	ASSERT(!sock->reading && !sock->writing);
	if (sock->fd < 0)
		return;
	loop->ops->close(loop, sock);
	sock->fd = -1;
	sock->bits = 0;
}

int sock_release(struct loop *loop, struct sock *sock)
{
	int fd;

	ASSERT(!sock->reading && !sock->writing && sock->fd >= 0);
	fd = loop->ops->release(loop, sock);
	sock->fd = -1;
	sock->bits = 0;
	return fd;
}

void sock_reset_on_close(struct loop *loop, struct sock *sock)
{
	loop->ops->reset_on_close(loop, sock);
}

void sock_shutdown_send(struct loop *loop, struct sock *sock)
{
	ASSERT(!sock->writing);
	loop->ops->shutdown_send(loop, sock);
}

void sock_peer(struct loop *loop, const struct sock *sock, struct addr *ret_addr)
{
	loop->ops->name_of(loop, sock, true, ret_addr);
}

u64 sock_unsent(struct loop *loop, const struct sock *sock)
{
	return loop->ops->unsent(loop, sock);
}

u64 sock_held(struct loop *loop, const struct sock *sock)
{
	return sock->bits & SOCK_HOLDS && loop->ops->held ? loop->ops->held(sock) : 0;
}

void sock_local(struct loop *loop, const struct sock *sock, struct addr *ret_addr)
{
	loop->ops->name_of(loop, sock, false, ret_addr);
}

bool sock_is_quiet(const struct sock *sock)
{
	return !(sock->bits & (SOCK_ARMED | SOCK_HOLDS));
}

bool sock_holds(const struct sock *sock)
{
	return sock->bits & SOCK_HOLDS;
}

void sock_settle(struct loop *loop, struct sock *sock)
{
	ASSERT(!sock->reading && sock->fd >= 0);
	if (loop->ops->settle)
		loop->ops->settle(loop, sock);
}

// Submitting.

static inline void submit(
	struct loop *loop, struct sock *sock, struct op *op, enum op_kind kind, struct op **slot)
{
	ASSERT(op->kind == OP_IDLE && !*slot && sock->fd >= 0);
	op->sock = sock;
	op->kind = (u8)kind;
	op->state = OP_STATE_PARKED;
	op->hints = 0;
	op->more = op->cancelled = false;
	*slot = op;
	loop->ops_out++;
}

void loop_accept(struct loop *loop, struct sock *sock, struct op *op)
{
	submit(loop, sock, op, OP_ACCEPT, &sock->reading);
	loop->ops->accept(loop, op);
}

void loop_connect(struct loop *loop, struct sock *sock, struct op *op, const struct addr *address)
{
	submit(loop, sock, op, OP_CONNECT, &sock->writing);
	loop->ops->connect(loop, op, address);
}

void loop_recv(struct loop *loop, struct sock *sock, struct op *op, u32 recv_hints)
{
	submit(loop, sock, op, OP_RECV, &sock->reading);
	op->hints = (u8)recv_hints;
	loop->ops->recv(loop, op);
}

void loop_send(struct loop *loop, struct sock *sock, struct op *op, struct bytes *queue)
{
	int error = sock_kept_error(sock);

	submit(loop, sock, op, OP_SEND, &sock->writing);
	op->queue = queue;
	if (unlikely(error))
		loop_hear(loop, op, -error);
	else
		loop->ops->send(loop, op);
}

bool loop_send_now(struct loop *loop, struct sock *sock, struct bytes *queue)
{
	ASSERT(!sock->writing && sock->fd >= 0);
	return loop->ops->send_now && loop->ops->send_now(loop, sock, queue);
}

void loop_ready(struct loop *loop, struct sock *sock, struct op *op, u32 events)
{
	bool in = events & LOOP_IN;

	ASSERT(in != !!(events & LOOP_OUT));
	submit(loop, sock, op, OP_READY, in ? &sock->reading : &sock->writing);
	op->hints = (u8)events;
	loop->ops->ready(loop, op);
}

void loop_cancel(struct loop *loop, struct op *op)
{
	if (op->kind == OP_IDLE || op->cancelled)
		return;
	op->cancelled = true;
	// An accept about to be heard with `more` is ended by accept_next.
	if (op->state != OP_STATE_HEARD)
		loop->ops->cancel(loop, op);
}

// Real descriptors and the real clock.

void loop_real_read_clock(struct loop *loop)
{
	loop->now_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	loop->now_ms = loop->now_us / 1000;
	loop->wall_ms = (i64)(clock_ns(CLOCK_REALTIME) / NSEC_PER_MS);
}

clockid_t loop_busy_clock(void)
{
	clockid_t clock;

	return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : CLOCK_THREAD_CPUTIME_ID;
}

u64 loop_busy_us(clockid_t clock)
{
	return clock_ns(clock) / 1000;
}

u64 loop_process_busy_us(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000;
}

// "RAN READY SLICES", the first two in nanoseconds.
u64 loop_starved_us(pid_t thread)
{
	char path[64], buffer[128];
	struct str text;
	u64 ns = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", (int)thread);
	text = proc_read(path, buffer, sizeof(buffer));
	(void)str_cut(&text, ' ');
	return str_to_u64(str_cut(&text, ' '), UINT64_MAX, &ns) == 0 ? ns / 1000 : 0;
}

nsec loop_sleep_ns(const struct loop *loop, u64 until_ms)
{
	u64 now_ns;

	if (until_ms <= loop->now_ms || loop->heard)
		return 0;
	if (until_ms > UINT64_MAX / NSEC_PER_MS)
		return UINT64_MAX;
	// The turn itself took time, so its own clock will not do.
	now_ns = clock_ns(CLOCK_MONOTONIC);
	return until_ms * NSEC_PER_MS > now_ns ? until_ms * NSEC_PER_MS - now_ns : 0;
}

int loop_real_open_new(const struct addr *address)
{
	static const int family[] = {
		[ADDR_V4] = AF_INET, [ADDR_V6] = AF_INET6, [ADDR_UNIX] = AF_UNIX};
	int on = 1, fd;

	ASSERT(address->family >= ADDR_V4 && address->family <= ADDR_UNIX);
	fd = socket(family[address->family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (address->family != ADDR_UNIX) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	}
	return fd;
}

void loop_real_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void loop_real_reset_on_close(struct loop *loop, struct sock *sock)
{
	struct linger linger = {.l_onoff = 1};

	(void)loop;
	setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void loop_real_shutdown_send(struct loop *loop, struct sock *sock)
{
	(void)loop;
	shutdown(sock->fd, SHUT_WR);
}

u64 loop_real_unsent(struct loop *loop, const struct sock *sock)
{
	int bytes = 0;

	(void)loop;
	return ioctl(sock->fd, SIOCOUTQ, &bytes) == 0 ? (u64)bytes : 0;
}

void loop_real_name_of(struct loop *loop, const struct sock *sock, bool peer, struct addr *ret_addr)
{
	struct sockaddr_storage name = {0};
	socklen_t len = sizeof(name);

	(void)loop;
	if (peer)
		getpeername(sock->fd, (struct sockaddr *)&name, &len);
	else
		getsockname(sock->fd, (struct sockaddr *)&name, &len);
	addr_from_sockaddr(&name, ret_addr);
}

int loop_real_connect(int fd, const struct addr *address)
{
	struct sockaddr_storage to;
	socklen_t len = addr_to_sockaddr(address, &to);

	if (connect(fd, (const struct sockaddr *)&to, len) == 0)
		return 0;
	return errno == EINTR ? -EINPROGRESS : -errno;
}

int loop_real_connect_result(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

static ssize_t send_some(int fd, const struct bytes *queue, size_t *ret_tried)
{
	struct iovec iov[send_iov_max];
	struct msghdr message = {.msg_iov = iov};
	size_t tried = 0;
	int count = bytes_peek(queue, iov, send_iov_max);

	for (int i = 0; i < count; i++)
		tried += iov[i].iov_len;
	*ret_tried = tried;
	message.msg_iovlen = (size_t)count;
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// The ordinary case.
int loop_real_send_piece(int fd, struct bytes *queue)
{
	struct segment *only = queue->head;
	i64 sent;

	if (unlikely(!only || only->next))
		return 1;
	sent = loop_real_call(SYS_sendto, fd, only->slice.ptr, only->slice.len,
		MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	if (likely(sent > 0 && (size_t)sent == only->slice.len)) {
		bytes_drop_only(queue);
		return 0;
	}
	if (sent < 0)
		return sent == -EINTR ? 1 : (int)sent;
	bytes_consume(queue, (size_t)sent);
	return queue->len ? -EAGAIN : 1;
}

int loop_real_send(int fd, struct bytes *queue)
{
	int result = loop_real_send_piece(fd, queue);

	if (likely(result <= 0))
		return result;
	while (queue->len) {
		size_t tried;
		ssize_t sent = send_some(fd, queue, &tried);

		if (sent >= 0) {
			bytes_consume(queue, (size_t)sent);
			// Less than offered means full: asking again would only earn EAGAIN.
			if ((size_t)sent < tried)
				return -EAGAIN;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	// Slices without bytes hold references too.
	bytes_clear(queue);
	return 0;
}

bool loop_real_accept_is_over(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

int loop_real_accept(int fd)
{
	for (;;) {
		int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (got >= 0)
			return got;
		if (errno == EAGAIN || loop_real_accept_is_over(errno))
			return -errno;
	}
}
