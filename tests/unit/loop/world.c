// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { give_up_ms = 20 * 1000, idle_step_ms = 2, kernel_buffer_bytes = 128 * 1024 };

enum loop_kind world_kind;
u64 world_seed;

static struct world *make(u32 large_blocks_max, struct sim_net *net)
{
	struct world *world = mem_alloc(sizeof(*world));
	struct loop_limits limits = {
		.large_blocks_max = large_blocks_max, .small_blocks_max = WORLD_SMALL_BLOCKS};
	const char *why = NULL;

	world->net = net;
	if (net) {
		world->loop = sim_loop_new(net, &limits);
		return world;
	}
	assert_int_equal(loop_new(world_kind, &limits, &world->loop, &why), 0);
	assert_non_null(why);
	return world;
}

struct world *world_new(u32 large_blocks_max)
{
	struct sim_config calm = sim_config_calm();

	if (world_kind == LOOP_SIM)
		return make(large_blocks_max, sim_net_new(++world_seed, &calm));
	return make(large_blocks_max, NULL);
}

struct world *world_new_beside(struct world *first)
{
	return make(WORLD_LARGE_BLOCKS, first->net);
}

void world_free(struct world *world)
{
	loop_free(world->loop);
	sim_net_free(world->net);
	mem_free(world);
}

void world_free_beside(struct world *world)
{
	loop_free(world->loop);
	mem_free(world);
}

void world_skip(struct world *world)
{
	world_free(world);
	skip();
	abort(); // not reached: skip() jumps
}

int world_listen(struct world *world, struct addr *ret_addr)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_storage storage = {0};
	socklen_t len = sizeof(storage);
	int fd;

	if (world->net) {
		static u16 port = 1000;

		*ret_addr = (struct addr){.family = ADDR_V4, .port = ++port, .ip = {127, 0, 0, 1}};
		return sim_listen(world->net, ret_addr);
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 512), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&storage, &len), 0);
	addr_from_sockaddr(&storage, ret_addr);
	return fd;
}

// What the kernel takes for a peer that does not read grows otherwise with what connections before
// have been through, up to several megabytes. An accepted socket has what its listener has.
static void bound_buffers(int fd)
{
	int bytes = kernel_buffer_bytes;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
}

static void real_pair(struct world *world, int fds[2])
{
	struct addr addr;
	struct sockaddr_storage to;
	socklen_t len;
	int listener = world_listen(world, &addr);

	bound_buffers(listener);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bound_buffers(fds[0]);
	len = addr_to_sockaddr(&addr, &to);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&to, len), 0);
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(listener);
}

void world_pair(struct world *world, struct sock *a, struct sock *b)
{
	int fds[2];

	if (world->net)
		sim_pair(world->net, fds);
	else
		real_pair(world, fds);
	sock_open(world->loop, a, fds[0]);
	sock_open(world->loop, b, fds[1]);
}

static void recv_done(struct op *op)
{
	struct end *end = container_of(op, struct end, recv);

	end->recvs_heard++;
	end->recv_result = op->result;
	if (op->result <= 0)
		return;
	assert_int_equal(op->received.len, op->result);
	assert_true(pattern_matches(op->received.ptr, end->received_bytes, op->received.len));
	end->received_bytes += op->received.len;
	if (end->discard)
		slice_drop(&op->received);
	else
		assert_int_equal(
			bytes_append(&end->world->loop->blocks, &end->in, op->received), 0);
	if (end->keep_going)
		end_recv(end);
}

static void send_done(struct op *op)
{
	struct end *end = container_of(op, struct end, send);

	end->sends_heard++;
	end->send_result = op->result;
	if (op->result == 0)
		assert_int_equal(end->out.len, 0);
}

void end_init(struct end *end, struct world *world)
{
	*end = (struct end){.sock.fd = -1, .world = world};
	op_init(&end->recv, recv_done);
	op_init(&end->send, send_done);
}

void ends_pair(struct world *world, struct end *a, struct end *b)
{
	end_init(a, world);
	end_init(b, world);
	world_pair(world, &a->sock, &b->sock);
}

void end_recv(struct end *end)
{
	u32 heard = end->recvs_heard;

	loop_recv(end->world->loop, &end->sock, &end->recv, end->hints);
	assert_int_equal(end->recvs_heard, heard);
	assert_true(op_is_out(&end->recv));
}

void end_send(struct end *end, const void *data, size_t len)
{
	u32 heard = end->sends_heard;

	assert_int_equal(bytes_write(&end->world->loop->blocks, &end->out, data, len), 0);
	loop_send(end->world->loop, &end->sock, &end->send, &end->out);
	assert_int_equal(end->sends_heard, heard);
	assert_true(op_is_out(&end->send));
}

void end_close(struct end *end)
{
	sock_close(end->world->loop, &end->sock);
	bytes_clear(&end->in);
	bytes_clear(&end->out);
}

void end_close_hard(struct end *end)
{
	struct world *world = end->world;
	u32 turns = 0;

	end->keep_going = false;
	loop_cancel(world->loop, &end->recv);
	loop_cancel(world->loop, &end->send);
	while (op_is_out(&end->recv) || op_is_out(&end->send)) {
		assert_true(turns++ < 1000);
		loop_turn(world->loop, loop_now_ms(world->loop) + idle_step_ms);
	}
	end_close(end);
}

void turn_until(struct world *world, const u32 *what, u32 count)
{
	u64 give_up = loop_now_ms(world->loop) + give_up_ms;

	while (*what < count) {
		assert_true(loop_now_ms(world->loop) < give_up);
		loop_turn(world->loop, give_up);
	}
}

void turn_idly(struct world *world, u32 turns)
{
	for (u32 i = 0; i < turns; i++)
		loop_turn(world->loop, loop_now_ms(world->loop) + idle_step_ms);
}

static char pattern_at(u64 position)
{
	return (char)((position * 2654435761u) >> 13);
}

void pattern_fill(char *to, u64 position, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = pattern_at(position + i);
}

bool pattern_matches(const char *data, u64 position, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != pattern_at(position + i))
			return false;
	return true;
}
