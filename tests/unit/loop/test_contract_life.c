// SPDX-License-Identifier: Apache-2.0
// The second half of the contract: accept, connect, ready, closing, timers, tasks, messages.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "world.h"

enum { accepted_max = 600 };

struct listener {
	struct sock sock;
	struct op op;
	struct world *world;
	int fds[accepted_max];
	u32 accepted, ended, cancel_at;
	i32 end_result;
	bool more_at_end;
};

static void accept_done(struct op *op)
{
	struct listener *listener = container_of(op, struct listener, op);

	if (op->result >= 0) {
		assert_true(op->more && op_is_out(op));
		assert_true(listener->accepted < accepted_max);
		listener->fds[listener->accepted++] = op->result;
		if (listener->accepted == listener->cancel_at)
			loop_cancel(listener->world->loop, op);
	} else if (!op->more) {
		assert_false(op_is_out(op));
		listener->ended++;
		listener->end_result = op->result;
	}
}

static void listener_open(struct listener *listener, struct world *world, struct addr *ret_addr)
{
	*listener = (struct listener){.world = world};
	op_init(&listener->op, accept_done);
	sock_open(world->loop, &listener->sock, world_listen(world, ret_addr));
}

static void listener_close(struct listener *listener)
{
	struct loop *loop = listener->world->loop;

	if (op_is_out(&listener->op)) {
		loop_cancel(loop, &listener->op);
		turn_until(listener->world, &listener->ended, 1);
		assert_int_equal(listener->end_result, -ECANCELED);
	}
	sock_close(loop, &listener->sock);
	for (u32 i = 0; i < listener->accepted; i++) {
		struct sock sock;

		sock_open(loop, &sock, listener->fds[i]);
		sock_close(loop, &sock);
	}
}

struct dial {
	struct sock sock;
	struct op op;
	u32 heard;
	i32 result;
};

static void dial_done(struct op *op)
{
	struct dial *dial = container_of(op, struct dial, op);

	dial->heard++;
	dial->result = op->result;
}

static void dial_start(struct dial *dial, struct world *world, const struct addr *to)
{
	*dial = (struct dial){0};
	op_init(&dial->op, dial_done);
	assert_int_equal(sock_open_new(world->loop, &dial->sock, to), 0);
	loop_connect(world->loop, &dial->sock, &dial->op, to);
	assert_int_equal(dial->heard, 0);
	assert_true(op_is_out(&dial->op));
}

static void accept_goes_on(struct world *world)
{
	enum { count = 150 };
	struct listener listener;
	struct dial dials[count];
	struct addr addr;

	listener_open(&listener, world, &addr);
	loop_accept(world->loop, &listener.sock, &listener.op);
	for (u32 i = 0; i < count; i++)
		dial_start(&dials[i], world, &addr);
	turn_until(world, &listener.accepted, count);
	for (u32 i = 0; i < count; i++) {
		turn_until(world, &dials[i].heard, 1);
		assert_int_equal(dials[i].result, 0);
	}
	assert_int_equal(listener.accepted, count);
	listener_close(&listener);
	for (u32 i = 0; i < count; i++)
		sock_close(world->loop, &dials[i].sock);
}

static void accepted_connections_carry_bytes(struct world *world)
{
	struct listener listener;
	struct addr addr, name;
	struct dial dial;
	struct end client, server;
	char data[100];

	listener_open(&listener, world, &addr);
	loop_accept(world->loop, &listener.sock, &listener.op);
	dial_start(&dial, world, &addr);
	turn_until(world, &dial.heard, 1);
	assert_int_equal(dial.result, 0);
	turn_until(world, &listener.accepted, 1);
	sock_peer(world->loop, &dial.sock, &name);
	assert_true(addr_equal(&name, &addr));
	end_init(&client, world);
	end_init(&server, world);
	sock_open(world->loop, &client.sock, sock_release(world->loop, &dial.sock));
	sock_open(world->loop, &server.sock, listener.fds[0]);
	listener.accepted = 0;
	sock_local(world->loop, &server.sock, &name);
	assert_true(addr_equal(&name, &addr));
	end_recv(&server);
	turn_idly(world, 1);
	pattern_fill(data, 0, sizeof(data));
	end_send(&client, data, sizeof(data));
	server.keep_going = true;
	while (server.received_bytes < sizeof(data))
		turn_until(world, &server.recvs_heard, server.recvs_heard + 1);
	end_close_hard(&client);
	end_close_hard(&server);
	listener_close(&listener);
}

static void accept_cancelled_while_idle(struct world *world)
{
	struct listener listener;
	struct addr addr;

	listener_open(&listener, world, &addr);
	loop_accept(world->loop, &listener.sock, &listener.op);
	turn_idly(world, 2);
	loop_cancel(world->loop, &listener.op);
	assert_int_equal(listener.ended, 0);
	turn_until(world, &listener.ended, 1);
	assert_int_equal(listener.end_result, -ECANCELED);
	turn_idly(world, 2);
	assert_int_equal(listener.ended, 1);
	listener_close(&listener);
}

// After the wish connections that were on their way may still come, then exactly one end; and the
// rest is there for the next accept.
static void accept_cancelled_from_its_callback(struct world *world)
{
	enum { count = 20 };
	struct listener listener;
	struct dial dials[count];
	struct addr addr;

	listener_open(&listener, world, &addr);
	for (u32 i = 0; i < count; i++)
		dial_start(&dials[i], world, &addr);
	for (u32 i = 0; i < count; i++)
		turn_until(world, &dials[i].heard, 1);
	listener.cancel_at = 3;
	loop_accept(world->loop, &listener.sock, &listener.op);
	turn_until(world, &listener.ended, 1);
	assert_int_equal(listener.end_result, -ECANCELED);
	assert_true(listener.accepted >= 3);
	listener.cancel_at = 0;
	listener.ended = 0;
	if (listener.accepted < count) {
		loop_accept(world->loop, &listener.sock, &listener.op);
		turn_until(world, &listener.accepted, count);
	}
	assert_int_equal(listener.accepted, count);
	listener_close(&listener);
	for (u32 i = 0; i < count; i++)
		sock_close(world->loop, &dials[i].sock);
}

// Runs in a child of its own: the limit cannot be given back below what is open.
static void accept_without_descriptors(void)
{
	struct world *world = world_new(WORLD_LARGE_BLOCKS);
	struct listener listener;
	struct addr addr;
	struct dial dials[3];
	struct rlimit limit;
	int probe;

	listener_open(&listener, world, &addr);
	for (u32 i = 0; i < 3; i++)
		dial_start(&dials[i], world, &addr);
	for (u32 i = 0; i < 3; i++)
		turn_until(world, &dials[i].heard, 1);
	getrlimit(RLIMIT_NOFILE, &limit);
	probe = dup(0);
	close(probe);
	limit.rlim_cur = (rlim_t)probe + 1;
	setrlimit(RLIMIT_NOFILE, &limit);
	loop_accept(world->loop, &listener.sock, &listener.op);
	turn_until(world, &listener.ended, 1);
	assert_int_equal(listener.end_result, -EMFILE);
	assert_int_equal(listener.accepted, 1);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	listener.ended = 0;
	loop_accept(world->loop, &listener.sock, &listener.op);
	turn_until(world, &listener.accepted, 3);
	listener_close(&listener);
	for (u32 i = 0; i < 3; i++)
		sock_close(world->loop, &dials[i].sock);
	world_free(world);
}

static void accept_ends_when_descriptors_run_out(void **state)
{
	int status = 0;
	pid_t child;

	(void)state;
	if (!world_is_real())
		skip();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		accept_without_descriptors();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void connect_refused(struct world *world)
{
	struct listener listener;
	struct dial dial;
	struct addr addr;

	listener_open(&listener, world, &addr);
	listener_close(&listener);
	dial_start(&dial, world, &addr);
	turn_until(world, &dial.heard, 1);
	assert_int_equal(dial.result, -ECONNREFUSED);
	turn_idly(world, 2);
	assert_int_equal(dial.heard, 1);
	sock_close(world->loop, &dial.sock);
}

static void connect_cancelled(struct world *world)
{
	struct listener listener;
	struct dial dial;
	struct addr addr;

	listener_open(&listener, world, &addr);
	dial_start(&dial, world, &addr);
	loop_cancel(world->loop, &dial.op);
	assert_int_equal(dial.heard, 0);
	turn_until(world, &dial.heard, 1);
	assert_true(dial.result == 0 || dial.result == -ECANCELED);
	turn_idly(world, 2);
	assert_int_equal(dial.heard, 1);
	sock_close(world->loop, &dial.sock);
	listener_close(&listener);
}

static void ready_on_a_foreign_descriptor(struct world *world)
{
	struct sock reader, writer;
	struct dial in, out;
	char byte;
	int fds[2];

	if (!world_is_real())
		world_skip(world);
	assert_int_equal(pipe(fds), 0);
	sock_open(world->loop, &reader, fds[0]);
	sock_open(world->loop, &writer, fds[1]);
	in = (struct dial){0};
	out = (struct dial){0};
	op_init(&in.op, dial_done);
	op_init(&out.op, dial_done);
	loop_ready(world->loop, &reader, &in.op, LOOP_IN);
	loop_ready(world->loop, &writer, &out.op, LOOP_OUT);
	assert_int_equal(out.heard, 0);
	turn_until(world, &out.heard, 1);
	assert_int_equal(out.result, LOOP_OUT);
	turn_idly(world, 2);
	assert_int_equal(in.heard, 0);
	assert_int_equal(write(fds[1], "xy", 2), 2);
	turn_until(world, &in.heard, 1);
	assert_int_equal(in.result & LOOP_IN, LOOP_IN);
	// Half is left: asking again without having met EAGAIN is answered at once.
	assert_int_equal(read(fds[0], &byte, 1), 1);
	loop_ready(world->loop, &reader, &in.op, LOOP_IN);
	turn_until(world, &in.heard, 2);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(read(fds[0], &byte, 1), -1);
	loop_ready(world->loop, &reader, &in.op, LOOP_IN | LOOP_DRAINED);
	turn_idly(world, 2);
	assert_int_equal(in.heard, 2);
	assert_int_equal(write(fds[1], "z", 1), 1);
	turn_until(world, &in.heard, 3);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	loop_ready(world->loop, &reader, &in.op, LOOP_IN);
	turn_idly(world, 1);
	loop_cancel(world->loop, &in.op);
	assert_int_equal(in.heard, 3);
	turn_until(world, &in.heard, 4);
	assert_int_equal(in.result, -ECANCELED);
	loop_ready(world->loop, &reader, &in.op, LOOP_IN);
	sock_close(world->loop, &writer);
	turn_until(world, &in.heard, 5);
	assert_int_equal(in.result & LOOP_IN, LOOP_IN);
	sock_close(world->loop, &reader);
}

// Both directions of one sock at once, beside each other.
static void ready_both_ways(struct world *world)
{
	struct end a, b;
	struct dial in = {0}, out = {0};
	char data[5];

	ends_pair(world, &a, &b);
	op_init(&in.op, dial_done);
	op_init(&out.op, dial_done);
	loop_ready(world->loop, &b.sock, &in.op, LOOP_IN);
	loop_ready(world->loop, &b.sock, &out.op, LOOP_OUT);
	turn_until(world, &out.heard, 1);
	turn_idly(world, 2);
	assert_int_equal(in.heard, 0);
	pattern_fill(data, 0, sizeof(data));
	end_send(&a, data, sizeof(data));
	turn_until(world, &in.heard, 1);
	assert_int_equal(in.result & LOOP_IN, LOOP_IN);
	// Nothing was read by being told: a receive gets it.
	end_recv(&b);
	turn_until(world, &b.recvs_heard, 1);
	assert_true(b.recv_result > 0);
	end_close_hard(&a);
	end_close_hard(&b);
}

struct splicer {
	struct world *world;
	struct sock *from, *to;
	struct op in, out;
	int pipe[2];
	size_t in_pipe;
	u64 moved;
	u32 ended;
};

static void splice_on(struct splicer *splicer);

static void splice_in_ready(struct op *op)
{
	splice_on(container_of(op, struct splicer, in));
}

static void splice_out_ready(struct op *op)
{
	splice_on(container_of(op, struct splicer, out));
}

// The way of a caller who reads descriptors directly: splice until EAGAIN, then ask.
static void splice_on(struct splicer *splicer)
{
	enum { flags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE, step = 65536 };
	struct loop *loop = splicer->world->loop;

	for (;;) {
		ssize_t got;

		while (splicer->in_pipe) {
			got = splice(splicer->pipe[0], NULL, splicer->to->fd, NULL,
				splicer->in_pipe, flags);
			if (got < 0) {
				assert_int_equal(errno, EAGAIN);
				loop_ready(
					loop, splicer->to, &splicer->out, LOOP_OUT | LOOP_DRAINED);
				return;
			}
			splicer->in_pipe -= (size_t)got;
			splicer->moved += (u64)got;
		}
		got = splice(splicer->from->fd, NULL, splicer->pipe[1], NULL, step, flags);
		if (got < 0) {
			assert_int_equal(errno, EAGAIN);
			loop_ready(loop, splicer->from, &splicer->in, LOOP_IN | LOOP_DRAINED);
			return;
		}
		if (got == 0) {
			splicer->ended++;
			return;
		}
		splicer->in_pipe += (size_t)got;
	}
}

static void splice_between_socks(struct world *world)
{
	enum { total = 3 * 1024 * 1024, part = 50000 };
	struct end a, b, c, d;
	struct splicer splicer = {.world = world};
	static char data[part];
	u64 sent = 0;

	if (!loop_can_splice(world->loop))
		world_skip(world);
	ends_pair(world, &a, &b);
	ends_pair(world, &c, &d);
	splicer.from = &b.sock;
	splicer.to = &c.sock;
	op_init(&splicer.in, splice_in_ready);
	op_init(&splicer.out, splice_out_ready);
	assert_int_equal(pipe2(splicer.pipe, O_NONBLOCK | O_CLOEXEC), 0);
	// First some bytes the ordinary way, so that the bits of the twin are in use.
	pattern_fill(data, 0, 10);
	end_send(&a, data, 10);
	end_recv(&b);
	turn_until(world, &b.recvs_heard, 1);
	turn_until(world, &a.sends_heard, 1);
	assert_int_equal(b.received_bytes, 10);
	assert_true(sock_is_quiet(&b.sock));
	splice_on(&splicer);
	d.discard = d.keep_going = true;
	while (sent < total) {
		u32 heard = a.sends_heard;

		pattern_fill(data, sent, part);
		end_send(&a, data, part);
		sent += part;
		if (!op_is_out(&d.recv))
			turn_idly(world, 3);
		// Nobody reads before all is full on the way.
		if (op_is_out(&a.send) && !op_is_out(&d.recv))
			end_recv(&d);
		if (op_is_out(&a.send))
			turn_until(world, &a.sends_heard, heard + 1);
	}
	assert_true(op_is_out(&d.recv));
	sock_shutdown_send(world->loop, &a.sock);
	turn_until(world, &splicer.ended, 1);
	assert_int_equal(splicer.moved, sent);
	sock_shutdown_send(world->loop, &c.sock);
	while (op_is_out(&d.recv))
		turn_until(world, &d.recvs_heard, d.recvs_heard + 1);
	assert_int_equal(d.received_bytes, sent);
	close(splicer.pipe[0]);
	close(splicer.pipe[1]);
	end_close(&a);
	end_close(&b);
	end_close(&c);
	end_close(&d);
}

static void close_comes_after_both_are_heard(struct world *world)
{
	struct end a, b;

	ends_pair(world, &a, &b);
	end_recv(&a);
	for (u32 i = 0; i < 2000; i++)
		assert_int_equal(bytes_write(&world->loop->blocks, &a.out,
					 (const char[BLOCK_SMALL_BYTES]){0}, BLOCK_SMALL_BYTES),
			0);
	end_send(&a, "", 0);
	turn_idly(world, 2);
	end_close_hard(&a);
	assert_int_equal(a.recvs_heard, 1);
	assert_int_equal(a.sends_heard, 1);
	assert_int_equal(a.recv_result, -ECANCELED);
	assert_int_equal(a.send_result, -ECANCELED);
	end_close(&b);
}

static u8 tcp_state(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_state;
}

// The peer hears of a reset although this loop does nothing more, also when the twin has a receive
// of its own standing: whoever counts connections may make the next one now.
static void a_reset_leaves_with_the_close(struct world *world)
{
	char data[1];

	pattern_fill(data, 0, sizeof(data));
	for (u32 round = 0; round < 2; round++) {
		struct end a, b;
		u32 waits = 0;

		ends_pair(world, &a, &b);
		a.hints = round ? RECV_KEEP : 0;
		end_recv(&a);
		end_send(&b, data, sizeof(data));
		turn_until(world, &a.recvs_heard, 1);
		turn_until(world, &b.sends_heard, 1);
		sock_reset_on_close(world->loop, &a.sock);
		end_close(&a);
		while (world_is_real() && tcp_state(b.sock.fd) != TCP_CLOSE) {
			assert_true(waits++ < 5000);
			usleep(1000);
		}
		end_close(&b);
	}
}

// Descriptor numbers come back at once; nothing of the old connection may show up in the new one.
static void reused_descriptors_start_fresh(struct world *world)
{
	char data[64];

	pattern_fill(data, 0, sizeof(data));
	for (u32 round = 0; round < 50; round++) {
		struct end a, b;

		ends_pair(world, &a, &b);
		b.hints = round % 2 ? RECV_KEEP : 0;
		end_send(&a, data, sizeof(data));
		if (round % 3 == 0) {
			end_recv(&b);
			turn_until(world, &b.recvs_heard, 1);
			assert_true(b.recv_result > 0);
		}
		end_close_hard(&a);
		end_close_hard(&b);
	}
}

static void released_socks_go_elsewhere(struct world *world)
{
	struct world *there;
	struct end a, b, moved;
	char data[40];
	int fd;

	there = world_new_beside(world);
	pattern_fill(data, 0, sizeof(data));
	ends_pair(world, &a, &b);
	end_send(&a, data, 20);
	b.keep_going = true;
	end_recv(&b);
	while (b.received_bytes < 20)
		turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	b.keep_going = false;
	loop_cancel(world->loop, &b.recv);
	turn_until(world, &b.recvs_heard, b.recvs_heard + 1);
	turn_until(world, &a.sends_heard, 1);
	fd = sock_release(world->loop, &b.sock);
	assert_int_equal(b.sock.fd, -1);
	end_init(&moved, there);
	moved.received_bytes = 20;
	moved.keep_going = true;
	sock_open(there->loop, &moved.sock, fd);
	end_recv(&moved);
	turn_idly(there, 1);
	end_send(&a, data + 20, 20);
	turn_until(world, &a.sends_heard, 2);
	while (moved.received_bytes < 40)
		turn_until(there, &moved.recvs_heard, moved.recvs_heard + 1);
	end_close_hard(&moved);
	end_close(&a);
	end_close(&b);
	world_free_beside(there);
}

struct alarm {
	struct timer timer;
	struct world *world;
	u64 deadline_ms, fired_at_ms;
	u32 fired;
};

static void alarm_fired(struct timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	alarm->fired++;
	alarm->fired_at_ms = loop_now_ms(alarm->world->loop);
}

static void timers_fire_in_turns(struct world *world)
{
	struct alarm alarms[30];
	u64 start_ms = loop_now_ms(world->loop);

	for (u32 i = 0; i < 30; i++) {
		alarms[i] =
			(struct alarm){.world = world, .deadline_ms = start_ms + 1 + i * 7 % 30};
		timer_init(&alarms[i].timer, alarm_fired);
		loop_timer_set(world->loop, &alarms[i].timer, alarms[i].deadline_ms);
	}
	loop_timer_cancel(world->loop, &alarms[4].timer);
	alarms[5].deadline_ms += 20;
	loop_timer_set(world->loop, &alarms[5].timer, alarms[5].deadline_ms);
	for (u32 i = 0; i < 30; i++) {
		if (i == 4)
			continue;
		turn_until(world, &alarms[i].fired, 1);
		assert_true(alarms[i].fired_at_ms >= alarms[i].deadline_ms);
	}
	assert_int_equal(alarms[4].fired, 0);
	for (u32 i = 0; i < 30; i++)
		assert_true(alarms[i].fired <= 1);
}

static void the_clock_moves_once_per_turn(struct world *world)
{
	struct end a, b;
	u64 before_ms = loop_now_ms(world->loop);
	i64 wall_ms = loop_wall_ms(world->loop);

	ends_pair(world, &a, &b);
	if (world_is_real())
		usleep(3000);
	assert_int_equal(loop_now_ms(world->loop), before_ms);
	loop_turn(world->loop, before_ms + 3);
	assert_true(loop_now_ms(world->loop) >= before_ms + 3);
	assert_int_equal(loop_now_us(world->loop) / 1000, loop_now_ms(world->loop));
	assert_true(loop_wall_ms(world->loop) > wall_ms);
	end_close(&a);
	end_close(&b);
}

struct errand {
	struct task task;
	struct world *world;
	u32 runs, again;
	struct end *sender;
};

static void errand_run(struct task *task)
{
	struct errand *errand = container_of(task, struct errand, task);

	errand->runs++;
	if (errand->sender) {
		end_send(errand->sender, "", 0);
		errand->sender = NULL;
	}
	if (errand->again) {
		errand->again--;
		loop_defer(errand->world->loop, task);
	}
}

static void tasks_run_once_before_the_loop_waits(struct world *world)
{
	struct errand errand = {.task.run = errand_run, .world = world, .again = 2};
	struct end a, b;
	char data[10];

	ends_pair(world, &a, &b);
	pattern_fill(data, 0, sizeof(data));
	assert_int_equal(bytes_write(&world->loop->blocks, &a.out, data, sizeof(data)), 0);
	errand.sender = &a;
	loop_defer(world->loop, &errand.task);
	loop_defer(world->loop, &errand.task);
	assert_int_equal(errand.runs, 0);
	loop_turn(world->loop, UINT64_MAX); // must not sleep: a task waits
	assert_true(errand.runs >= 1);
	while (errand.runs < 3)
		loop_turn(world->loop, UINT64_MAX);
	turn_until(world, &a.sends_heard, 1);
	end_recv(&b);
	turn_until(world, &b.recvs_heard, 1);
	assert_true(b.recv_result > 0);
	assert_int_equal(errand.runs, 3);
	end_close(&a);
	end_close(&b);
}

enum { letters_per_sender = 500, senders = 3 };

struct letter {
	struct message message;
	u32 sender, number;
};

struct letterbox {
	struct world *world;
	struct letter letters[senders][letters_per_sender];
	u32 next[senders], count;
	pthread_t reader;
};

static struct letterbox *letterbox;

static void letter_read(struct message *message)
{
	struct letter *letter = container_of(message, struct letter, message);

	assert_true(pthread_equal(pthread_self(), letterbox->reader));
	// From one sender they come in the order in which they were posted.
	assert_int_equal(letter->number, letterbox->next[letter->sender]);
	letterbox->next[letter->sender]++;
	letterbox->count++;
}

static void *letters_post(void *arg)
{
	u32 sender = (u32)(uintptr_t)arg;

	for (u32 i = 0; i < letters_per_sender; i++) {
		struct letter *letter = &letterbox->letters[sender][i];

		*letter = (struct letter){
			.message.deliver = letter_read, .sender = sender, .number = i};
		loop_post(letterbox->world->loop, &letter->message);
		if (i % 50 == 0)
			usleep(200); // lets the loop fall asleep now and then
	}
	return NULL;
}

static void messages_come_from_other_threads(struct world *world)
{
	pthread_t threads[senders];

	letterbox = mem_alloc(sizeof(*letterbox));
	letterbox->world = world;
	letterbox->reader = pthread_self();
	for (u32 i = 0; i < senders; i++) {
		if (world_is_real())
			assert_int_equal(pthread_create(&threads[i], NULL, letters_post,
						 (void *)(uintptr_t)i),
				0);
		else
			letters_post((void *)(uintptr_t)i);
	}
	while (letterbox->count < senders * letters_per_sender)
		loop_turn(world->loop, UINT64_MAX);
	for (u32 i = 0; i < senders && world_is_real(); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(letterbox->count, senders * letters_per_sender);
	mem_free(letterbox);
}

WORLD_TEST(accept_goes_on)
WORLD_TEST(accepted_connections_carry_bytes)
WORLD_TEST(accept_cancelled_while_idle)
WORLD_TEST(accept_cancelled_from_its_callback)
WORLD_TEST(connect_refused)
WORLD_TEST(connect_cancelled)
WORLD_TEST(ready_on_a_foreign_descriptor)
WORLD_TEST(ready_both_ways)
WORLD_TEST(splice_between_socks)
WORLD_TEST(close_comes_after_both_are_heard)
WORLD_TEST(a_reset_leaves_with_the_close)
WORLD_TEST(reused_descriptors_start_fresh)
WORLD_TEST(released_socks_go_elsewhere)
WORLD_TEST(timers_fire_in_turns)
WORLD_TEST(the_clock_moves_once_per_turn)
WORLD_TEST(tasks_run_once_before_the_loop_waits)
WORLD_TEST(messages_come_from_other_threads)

const struct CMUnitTest contract_life_tests[] = {
	cmocka_unit_test(test_accept_goes_on),
	cmocka_unit_test(test_accepted_connections_carry_bytes),
	cmocka_unit_test(test_accept_cancelled_while_idle),
	cmocka_unit_test(test_accept_cancelled_from_its_callback),
	cmocka_unit_test(accept_ends_when_descriptors_run_out),
	cmocka_unit_test(test_connect_refused),
	cmocka_unit_test(test_connect_cancelled),
	cmocka_unit_test(test_ready_on_a_foreign_descriptor),
	cmocka_unit_test(test_ready_both_ways),
	cmocka_unit_test(test_splice_between_socks),
	cmocka_unit_test(test_close_comes_after_both_are_heard),
	cmocka_unit_test(test_a_reset_leaves_with_the_close),
	cmocka_unit_test(test_reused_descriptors_start_fresh),
	cmocka_unit_test(test_released_socks_go_elsewhere),
	cmocka_unit_test(test_timers_fire_in_turns),
	cmocka_unit_test(test_the_clock_moves_once_per_turn),
	cmocka_unit_test(test_tasks_run_once_before_the_loop_waits),
	cmocka_unit_test(test_messages_come_from_other_threads),
};
const size_t contract_life_tests_count = ARRAY_LEN(contract_life_tests);
