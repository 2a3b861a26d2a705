// SPDX-License-Identifier: Apache-2.0
// The simulated twin: ops on the ends of sim_wire.h. An op that could be over at once is so only
// half of the time, and else a little later, so that owners meet the orders of events of both real
// twins and a few more.
#include "loop/loop_sim.h"

#include "base/mem.h"
#include "loop/loop_twin.h"
#include "loop/sim_wire.h"

enum { turn_us = 1 }; // what a turn takes, so that a busy loop does not stop time

static const i64 wall_start_ms = 1700000000000;

struct sim_loop {
	struct loop loop;
	struct sim_net *net;
	struct list node;
	struct block_waiters waiters;
	bool in_turn, outside;
};

static struct sim_loop *sim_of(struct loop *loop)
{
	return (struct sim_loop *)(void *)loop;
}

static struct wire_end *end_of(struct loop *loop, const struct sock *sock)
{
	return wire_end_of(sim_of(loop)->net, sock->fd);
}

// Trying what waits.

static void give_bytes(struct wire_end *end, struct op *op)
{
	struct sim_net *net = end->net;
	struct block *block = block_get(&end->loop->blocks, op->hints & RECV_UPSTREAM);
	size_t len = MIN(end->unread, (size_t)BLOCK_BYTES);

	if (!block) {
		net->counts.block_waits++;
		block_waiters_add(&sim_of(end->loop)->waiters, op);
		return;
	}
	if (len > 1 && wire_strikes(net, net->config.short_read_one_in, &net->counts.short_reads))
		len = 1 + rng_below(&net->rng, (u32)len - 1);
	wire_read(end, block->data, len);
	op->received = (struct slice){.block = block, .ptr = block->data, .len = len};
	loop_hear(end->loop, op, (i32)len);
}

static i32 take_error(struct wire_end *end)
{
	i32 error = end->error;

	end->error = 0;
	return -error;
}

static void try_recv(struct wire_end *end, struct op *op)
{
	if (end->unread)
		give_bytes(end, op);
	else if (end->error)
		loop_hear(end->loop, op, take_error(end));
	else if (end->fin_arrived || end->was_reset)
		loop_hear(end->loop, op, 0);
	else if (!end->peer)
		loop_hear(end->loop, op, -ENOTCONN);
}

static void try_accept(struct wire_end *end, struct op *op)
{
	struct sim_net *net = end->net;
	struct wire_end *accepted;

	if (op->cancelled) {
		loop_hear(end->loop, op, -ECANCELED);
		return;
	}
	if (list_is_empty(&end->backlog))
		return;
	if (wire_strikes(net, net->config.accept_limit_one_in, &net->counts.accept_limits)) {
		loop_hear(end->loop, op, -EMFILE);
		return;
	}
	accepted = wire_accept(end);
	loop_hear_more(end->loop, op, wire_fd(accepted));
}

static void try_send(struct wire_end *end, struct op *op)
{
	struct sim_net *net = end->net;

	if (end->error || end->was_reset || end->fin_sent || !end->peer) {
		loop_hear(end->loop, op, end->error ? take_error(end) : -EPIPE);
		return;
	}
	while (op->queue->len) {
		size_t len = MIN(wire_room(end), op->queue->len);
		bool partial;

		if (len == 0)
			return;
		partial = len > 1 && wire_strikes(net, net->config.partial_send_one_in,
					     &net->counts.partial_sends);
		if (partial)
			len = 1 + rng_below(&net->rng, (u32)len - 1);
		wire_send(end, op->queue, len);
		if (partial) {
			wire_later(end, WIRE_WRITE, wire_latency_us(net));
			return;
		}
	}
	bytes_clear(op->queue); // slices without bytes hold references too
	loop_hear(end->loop, op, 0);
}

static void try_reading(struct wire_end *end)
{
	struct op *op = end->sock->reading;

	if (!op || op->state != OP_STATE_PARKED || op->more)
		return;
	if (op->kind == OP_RECV)
		try_recv(end, op);
	else if (op->kind == OP_ACCEPT)
		try_accept(end, op);
	else if (end->error || end->was_reset)
		loop_hear(end->loop, op, LOOP_IN | LOOP_OUT);
	else if (end->unread || end->fin_arrived || !list_is_empty(&end->backlog))
		loop_hear(end->loop, op, LOOP_IN);
}

static void try_writing(struct wire_end *end)
{
	struct op *op = end->sock->writing;

	if (!op || op->state != OP_STATE_PARKED || op->kind == OP_CONNECT)
		return;
	if (op->kind == OP_SEND)
		try_send(end, op);
	else if (end->error || end->was_reset)
		loop_hear(end->loop, op, LOOP_IN | LOOP_OUT);
	else if (wire_room(end))
		loop_hear(end->loop, op, LOOP_OUT);
}

static void try_cancel(struct wire_end *end, struct op *op)
{
	if (!op || !op->cancelled || op->state == OP_STATE_HEARD || op->more)
		return;
	if (op->state == OP_STATE_WAITS_BLOCK)
		list_remove(op_node(op));
	loop_hear(end->loop, op, -ECANCELED);
}

static void news(struct wire_end *end, enum wire_news what)
{
	struct op *writing = end->sock->writing;

	switch (what) {
	case WIRE_READ:
		try_reading(end);
		break;
	case WIRE_CONNECTED:
		if (writing && writing->kind == OP_CONNECT && writing->state == OP_STATE_PARKED)
			loop_hear(end->loop, writing, end->connect_result);
		break;
	case WIRE_CANCEL_READ:
		try_cancel(end, end->sock->reading);
		break;
	case WIRE_CANCEL_WRITE:
		try_cancel(end, writing);
		break;
	default:
		try_writing(end);
	}
}

// Submitting.

static void now_or_later(struct wire_end *end, enum wire_news what)
{
	if (rng_one_in(&end->net->rng, 2))
		news(end, what);
	else
		wire_later(end, what, wire_latency_us(end->net));
}

static void sim_read(struct loop *loop, struct op *op)
{
	now_or_later(end_of(loop, op->sock), WIRE_READ);
}

static void sim_write(struct loop *loop, struct op *op)
{
	now_or_later(end_of(loop, op->sock), WIRE_WRITE);
}

static bool sim_send_now(struct loop *loop, struct sock *sock, struct bytes *queue)
{
	struct wire_end *end = end_of(loop, sock);

	if (end->error || end->was_reset || end->fin_sent || !end->peer ||
		wire_room(end) < queue->len || rng_one_in(&end->net->rng, 2))
		return false;
	wire_send(end, queue, queue->len);
	bytes_clear(queue);
	return true;
}

static void sim_connect(struct loop *loop, struct op *op, const struct addr *address)
{
	wire_connect(end_of(loop, op->sock), address);
}

static void sim_ready(struct loop *loop, struct op *op)
{
	if (op->hints & LOOP_IN)
		sim_read(loop, op);
	else
		sim_write(loop, op);
}

static void sim_cancel(struct loop *loop, struct op *op)
{
	bool reading = op->sock->reading == op;

	now_or_later(end_of(loop, op->sock), reading ? WIRE_CANCEL_READ : WIRE_CANCEL_WRITE);
}

// Waiting: time and the other loops.

static u64 now_ms(const struct sim_net *net)
{
	return net->now_us / 1000;
}

static bool has_work(const struct sim_loop *sim)
{
	const struct loop *loop = &sim->loop;

	return loop->heard || loop->tasks || loop->inbox ||
	       wheel_next_ms(&loop->wheel) <= now_ms(sim->net) ||
	       (!list_is_empty(&sim->waiters.upstream) && block_pool_has(&loop->blocks, true)) ||
	       (!list_is_empty(&sim->waiters.client) && block_pool_has(&loop->blocks, false));
}

static bool run_others(struct sim_net *net)
{
	bool ran = false;

	list_for_each (node, &net->loops) {
		struct sim_loop *sim = list_entry(node, struct sim_loop, node);

		if (sim->in_turn || !has_work(sim))
			continue;
		loop_turn(&sim->loop, 0);
		ran = true;
	}
	return ran;
}

// Jumps to the next thing that happens anywhere, `until_us` at the latest. False: nothing will.
static bool jump(struct sim_net *net, u64 until_us)
{
	u64 next_us = MIN(until_us, wire_next_us(net));

	list_for_each (node, &net->loops) {
		u64 timer_ms = wheel_next_ms(&list_entry(node, struct sim_loop, node)->loop.wheel);

		if (timer_ms != UINT64_MAX)
			next_us = MIN(next_us, timer_ms * 1000);
	}
	net->stuck = next_us == UINT64_MAX;
	if (net->stuck)
		return false;
	net->now_us = MAX(net->now_us, next_us);
	wire_run_due(net);
	return true;
}

static void serve_waiters(struct sim_loop *sim, struct list *waiting, bool upstream)
{
	while (!list_is_empty(waiting) && block_pool_has(&sim->loop.blocks, upstream)) {
		struct list *node = waiting->next;
		struct op *op = op_of_node(node);

		list_remove(node);
		op->state = OP_STATE_PARKED;
		try_recv(end_of(&sim->loop, op->sock), op);
	}
}

static void sim_wait(struct loop *loop, u64 until_ms)
{
	struct sim_loop *sim = sim_of(loop);
	struct sim_net *net = sim->net;
	u64 until_us = until_ms > UINT64_MAX / 1000 ? UINT64_MAX : until_ms * 1000;

	sim->in_turn = true;
	net->stuck = false;
	net->now_us += turn_us;
	wire_run_due(net);
	for (;;) {
		serve_waiters(sim, &sim->waiters.upstream, true);
		serve_waiters(sim, &sim->waiters.client, false);
		if (loop->heard || loop->inbox || until_us <= net->now_us)
			break;
		if (!run_others(net) && !jump(net, until_us))
			break;
	}
	sim->in_turn = false;
}

static void sim_read_clock(struct loop *loop)
{
	const struct sim_net *net = sim_of(loop)->net;

	loop->now_us = net->now_us;
	loop->now_ms = net->now_us / 1000;
	loop->wall_ms = wall_start_ms + (i64)loop->now_ms;
}

// Socks.

static void sim_set_nonblocking(int fd)
{
	(void)fd; // nothing blocks here
}

static void sim_open(struct loop *loop, struct sock *sock)
{
	struct wire_end *end = wire_end_of(sim_of(loop)->net, sock->fd);

	ASSERT(!end->sock && !end->closed);
	end->loop = loop;
	end->sock = sock;
	end->outside = sim_of(loop)->outside;
}

static int sim_open_new(struct loop *loop, struct sock *sock, const struct addr *address)
{
	struct wire_end *end = wire_end_new(sim_of(loop)->net);

	(void)address;
	sock->fd = wire_fd(end);
	sim_open(loop, sock);
	return 0;
}

static void sim_close(struct loop *loop, struct sock *sock)
{
	wire_close(end_of(loop, sock));
}

static int sim_release(struct loop *loop, struct sock *sock)
{
	struct wire_end *end = end_of(loop, sock);

	end->sock = NULL;
	end->loop = NULL;
	return sock->fd;
}

static void sim_reset_on_close(struct loop *loop, struct sock *sock)
{
	end_of(loop, sock)->reset_on_close = true;
}

static void sim_shutdown_send(struct loop *loop, struct sock *sock)
{
	wire_shutdown(end_of(loop, sock));
}

static void sim_name_of(
	struct loop *loop, const struct sock *sock, bool peer, struct addr *ret_addr)
{
	const struct wire_end *end = end_of(loop, sock);

	*ret_addr = peer ? end->remote : end->local;
}

static u64 sim_unsent(struct loop *loop, const struct sock *sock)
{
	const struct wire_end *end = end_of(loop, sock);

	return end->peer ? end->peer->window_used : 0;
}

static void sim_free(struct loop *loop)
{
	struct sim_loop *sim = sim_of(loop);

	ASSERT(!sim->in_turn);
	list_remove(&sim->node);
	loop_part_done(loop);
	mem_free(sim);
}

static const struct loop_ops sim_ops = {
	.name = "sim",
	.free = sim_free,
	.wait = sim_wait,
	.read_clock = sim_read_clock,
	.set_nonblocking = sim_set_nonblocking,
	.open = sim_open,
	.open_new = sim_open_new,
	.close = sim_close,
	.release = sim_release,
	.reset_on_close = sim_reset_on_close,
	.shutdown_send = sim_shutdown_send,
	.name_of = sim_name_of,
	.unsent = sim_unsent,
	.accept = sim_read,
	.accept_next = sim_read,
	.connect = sim_connect,
	.recv = sim_read,
	.send = sim_write,
	.ready = sim_ready,
	.cancel = sim_cancel,
	.send_now = sim_send_now,
};

struct loop *sim_loop_new(struct sim_net *net, const struct loop_limits *limits)
{
	struct sim_loop *sim = mem_alloc(sizeof(*sim));
	int result;

	sim->net = net;
	block_waiters_init(&sim->waiters);
	result = loop_part_init(&sim->loop, &sim_ops, limits, false);
	ASSERT(result == 0);
	list_push_back(&net->loops, &sim->node);
	return &sim->loop;
}

void sim_loop_set_outside(struct loop *loop)
{
	sim_of(loop)->outside = true;
}

// The network.

struct sim_config sim_config_calm(void)
{
	return (struct sim_config){.latency_us_min = 20,
		.latency_us_max = 500,
		.window_bytes = 64 * 1024,
		.delay_us_max = 50 * 1000,
		.connect_timeout_us = 127 * 1000 * 1000};
}

struct sim_config sim_config_rough(void)
{
	struct sim_config config = sim_config_calm();

	config.short_read_one_in = 4;
	config.partial_send_one_in = 4;
	config.delay_one_in = 10;
	config.refuse_one_in = 20;
	config.connect_timeout_one_in = 60;
	config.reset_one_in = 80;
	config.early_end_one_in = 80;
	config.accept_limit_one_in = 40;
	return config;
}

struct sim_net *sim_net_new(u64 seed, const struct sim_config *config)
{
	struct sim_net *net = mem_alloc(sizeof(*net));

	ASSERT(config->latency_us_min <= config->latency_us_max && config->window_bytes > 0);
	net->config = *config;
	net->now_us = 1000 * 1000; // a clock at zero hides mistakes with the time before
	net->news = news;
	rng_init(&net->rng, seed);
	list_init(&net->loops);
	return net;
}

void sim_net_free(struct sim_net *net)
{
	if (!net)
		return;
	ASSERT(list_is_empty(&net->loops));
	wire_done(net);
	mem_free(net);
}

int sim_listen(struct sim_net *net, const struct addr *address)
{
	struct wire_end *end = wire_end_new(net);

	end->listening = true;
	end->local = *address;
	return wire_fd(end);
}

void sim_pair(struct sim_net *net, int ret_fds[2])
{
	struct wire_end *a = wire_end_new(net), *b = wire_end_new(net);

	a->local = b->remote = (struct addr){.family = ADDR_V4, .port = 1, .ip = {10, 0, 0, 1}};
	b->local = a->remote = (struct addr){.family = ADDR_V4, .port = 2, .ip = {10, 0, 0, 2}};
	wire_join(a, b);
	ret_fds[0] = wire_fd(a);
	ret_fds[1] = wire_fd(b);
}

struct sim_config *sim_net_config(struct sim_net *net)
{
	return &net->config;
}

const struct sim_counts *sim_net_counts(const struct sim_net *net)
{
	return &net->counts;
}

u64 sim_net_now_us(const struct sim_net *net)
{
	return net->now_us;
}

bool sim_net_is_stuck(const struct sim_net *net)
{
	return net->stuck;
}

void sim_net_run(struct sim_net *net, u64 until_ms)
{
	u64 until_us = until_ms > UINT64_MAX / 1000 ? UINT64_MAX : until_ms * 1000;

	net->stuck = false;
	while (net->now_us < until_us)
		if (!run_others(net) && !jump(net, UINT64_MAX))
			break;
}
