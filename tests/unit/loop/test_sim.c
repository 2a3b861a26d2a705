// SPDX-License-Identifier: Apache-2.0
// What the simulated twin promises beyond the contract: virtual time, several loops in one thread,
// faults from the seed that are counted, and the same run for the same seed.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "world.h"

enum { clients_max = 8, patience_ms = 30 * 1000 };

static const struct addr server_addr = {.family = ADDR_V4, .port = 80, .ip = {10, 9, 9, 9}};

// A server that echoes and a few clients that check the echo, each on a loop of its own.
struct scene {
	struct sim_net *net;
	struct loop *inside, *outside;
	struct sock listener;
	struct op accept;
	struct timer accept_again;
	struct client *clients[clients_max];
	struct server *servers;
	u32 servers_open, clients_open, complete, cut, refused, timed_out, early;
	u64 trace; // a hash of everything that was heard, and when
};

struct server {
	struct scene *scene;
	struct sock sock;
	struct op recv, send;
	struct bytes queue;
	bool ended, dying;
};

struct client {
	struct scene *scene;
	struct sock sock;
	struct op connect, recv, send;
	struct timer patience;
	struct bytes queue;
	u64 to_send, received;
	bool dying, connected;
};

static void note(struct scene *scene, u32 what, i32 result)
{
	struct {
		u64 before, now_us;
		u32 what;
		i32 result;
	} line = {scene->trace, sim_net_now_us(scene->net), what, result};

	scene->trace = hash_bytes(&line, sizeof(line), 1);
}

static void server_close(struct server *server)
{
	struct scene *scene = server->scene;

	server->dying = true;
	loop_cancel(scene->inside, &server->recv);
	loop_cancel(scene->inside, &server->send);
	if (op_is_out(&server->recv) || op_is_out(&server->send))
		return;
	bytes_clear(&server->queue);
	sock_close(scene->inside, &server->sock);
	scene->servers_open--;
	mem_free(server);
}

static void server_received(struct op *op)
{
	struct server *server = container_of(op, struct server, recv);
	struct loop *loop = server->scene->inside;

	note(server->scene, 1, op->result);
	if (op->result > 0) {
		assert_int_equal(op->received.len, op->result);
		assert_int_equal(bytes_append(&loop->blocks, &server->queue, op->received), 0);
	}
	if (server->dying || op->result < 0) {
		server_close(server);
		return;
	}
	server->ended = op->result == 0;
	loop_send(loop, &server->sock, &server->send, &server->queue);
}

static void server_sent(struct op *op)
{
	struct server *server = container_of(op, struct server, send);
	struct loop *loop = server->scene->inside;

	note(server->scene, 2, op->result);
	if (server->dying || op->result < 0 || server->ended)
		server_close(server);
	else
		loop_recv(loop, &server->sock, &server->recv, 0);
}

static void accepted(struct op *op)
{
	struct scene *scene = container_of(op, struct scene, accept);
	struct server *server;

	note(scene, 3, op->result < 0 ? op->result : 0);
	if (op->result < 0) {
		assert_false(op->more);
		if (op->result == -EMFILE)
			loop_timer_set(scene->inside, &scene->accept_again,
				loop_now_ms(scene->inside) + 10);
		return;
	}
	server = mem_alloc(sizeof(*server));
	server->scene = scene;
	op_init(&server->recv, server_received);
	op_init(&server->send, server_sent);
	sock_open(scene->inside, &server->sock, op->result);
	scene->servers_open++;
	loop_recv(scene->inside, &server->sock, &server->recv, 0);
}

static void accept_again(struct timer *timer)
{
	struct scene *scene = container_of(timer, struct scene, accept_again);

	loop_accept(scene->inside, &scene->listener, &scene->accept);
}

static void client_close(struct client *client)
{
	struct scene *scene = client->scene;
	struct loop *loop = scene->outside;

	client->dying = true;
	loop_cancel(loop, &client->connect);
	loop_cancel(loop, &client->recv);
	loop_cancel(loop, &client->send);
	if (op_is_out(&client->connect) || op_is_out(&client->recv) || op_is_out(&client->send))
		return;
	loop_timer_cancel(loop, &client->patience);
	bytes_clear(&client->queue);
	sock_close(loop, &client->sock);
	scene->clients_open--;
	mem_free(client);
}

static void client_impatient(struct timer *timer)
{
	client_close(container_of(timer, struct client, patience));
}

static void client_received(struct op *op)
{
	struct client *client = container_of(op, struct client, recv);
	struct scene *scene = client->scene;

	note(scene, 4, op->result);
	if (op->result > 0) {
		// Whatever happens on the way, what comes is a beginning of what was sent.
		assert_true(pattern_matches(op->received.ptr, client->received, op->received.len));
		client->received += op->received.len;
		assert_true(client->received <= client->to_send);
		slice_drop(&op->received);
	}
	if (!client->dying && op->result > 0) {
		loop_recv(scene->outside, &client->sock, &client->recv, 0);
		return;
	}
	if (!client->dying && op->result == 0 && client->received == client->to_send)
		scene->complete++;
	else if (!client->dying && op->result == 0)
		scene->early++;
	else
		scene->cut++;
	client_close(client);
}

static void client_sent(struct op *op)
{
	struct client *client = container_of(op, struct client, send);

	note(client->scene, 5, op->result);
	if (client->dying || op->result < 0)
		client_close(client);
	else
		sock_shutdown_send(client->scene->outside, &client->sock);
}

static void client_connected(struct op *op)
{
	struct client *client = container_of(op, struct client, connect);
	struct scene *scene = client->scene;
	struct loop *loop = scene->outside;
	static char data[60000];

	note(scene, 6, op->result);
	scene->refused += op->result == -ECONNREFUSED;
	scene->timed_out += op->result == -ETIMEDOUT;
	if (client->dying || op->result < 0) {
		client_close(client);
		return;
	}
	pattern_fill(data, 0, client->to_send);
	assert_int_equal(bytes_write(&loop->blocks, &client->queue, data, client->to_send), 0);
	loop_send(loop, &client->sock, &client->send, &client->queue);
	loop_recv(loop, &client->sock, &client->recv, RECV_KEEP);
}

static void client_open(struct scene *scene, u64 to_send)
{
	struct client *client = mem_alloc(sizeof(*client));
	struct loop *loop = scene->outside;

	*client = (struct client){.scene = scene, .to_send = to_send};
	op_init(&client->connect, client_connected);
	op_init(&client->recv, client_received);
	op_init(&client->send, client_sent);
	timer_init(&client->patience, client_impatient);
	scene->clients_open++;
	assert_int_equal(sock_open_new(loop, &client->sock, &server_addr), 0);
	loop_timer_set(loop, &client->patience, loop_now_ms(loop) + patience_ms);
	loop_connect(loop, &client->sock, &client->connect, &server_addr);
}

static void scene_open(struct scene *scene, u64 seed, const struct sim_config *config)
{
	struct loop_limits few = {.large_blocks_max = 2, .small_blocks_max = 2048};

	*scene = (struct scene){.net = sim_net_new(seed, config)};
	scene->inside = sim_loop_new(scene->net, &few);
	scene->outside = sim_loop_new(scene->net, &few);
	sim_loop_set_outside(scene->outside);
	op_init(&scene->accept, accepted);
	timer_init(&scene->accept_again, accept_again);
	sock_open(scene->inside, &scene->listener, sim_listen(scene->net, &server_addr));
	loop_accept(scene->inside, &scene->listener, &scene->accept);
}

// Ends everything and checks that nothing is left; loop_free checks ops and blocks.
static void scene_close(struct scene *scene)
{
	loop_timer_cancel(scene->inside, &scene->accept_again);
	loop_cancel(scene->inside, &scene->accept);
	sim_net_run(scene->net, UINT64_MAX);
	assert_true(sim_net_is_stuck(scene->net));
	assert_int_equal(scene->servers_open, 0);
	assert_int_equal(scene->clients_open, 0);
	sock_close(scene->inside, &scene->listener);
	loop_free(scene->inside);
	loop_free(scene->outside);
	sim_net_free(scene->net);
}

static void scene_play(struct scene *scene, u64 seed, const struct sim_config *config)
{
	struct rng rng;

	scene_open(scene, seed, config);
	rng_init(&rng, seed);
	for (u32 i = 0; i < clients_max; i++)
		client_open(scene, 1 + rng_below(&rng, rng_one_in(&rng, 3) ? 60000 : 300));
	// The loop of the clients drives; the server takes its turns inside its waits.
	while (scene->clients_open)
		loop_turn(scene->outside, UINT64_MAX);
}

static void calm_network_loses_nothing(void **state)
{
	struct sim_config config = sim_config_calm();

	(void)state;
	for (u64 seed = 1; seed <= 50; seed++) {
		struct scene scene;

		scene_play(&scene, seed, &config);
		assert_int_equal(scene.complete, clients_max);
		scene_close(&scene);
	}
}

static void add_counts(struct sim_counts *sum, const struct sim_counts *counts)
{
	for (size_t i = 0; i < sizeof(*sum) / sizeof(u64); i++)
		((u64 *)(void *)sum)[i] += ((const u64 *)(const void *)counts)[i];
}

static void rough_network_breaks_nothing(void **state)
{
	struct sim_config config = sim_config_rough();
	struct sim_counts sum = {0};
	u32 complete = 0, cut = 0, refused = 0, timed_out = 0, early = 0;

	(void)state;
	config.connect_timeout_us = patience_ms * 1000 / 2;
	for (u64 seed = 1; seed <= 400; seed++) {
		struct scene scene;

		scene_play(&scene, seed, &config);
		complete += scene.complete;
		cut += scene.cut;
		refused += scene.refused;
		timed_out += scene.timed_out;
		early += scene.early;
		add_counts(&sum, sim_net_counts(scene.net));
		scene_close(&scene);
	}
	printf("%u complete, %u cut, %u ended early, %u refused, %u timed out; short reads %llu, "
	       "partial sends %llu, delays %llu, resets %llu (unread thrown away %llu), early ends "
	       "%llu, accept limits %llu, waits for blocks %llu\n",
		complete, cut, early, refused, timed_out, (unsigned long long)sum.short_reads,
		(unsigned long long)sum.partial_sends, (unsigned long long)sum.delays,
		(unsigned long long)sum.resets, (unsigned long long)sum.discards,
		(unsigned long long)sum.early_ends, (unsigned long long)sum.accept_limits,
		(unsigned long long)sum.block_waits);
	assert_true(complete > 0 && cut > 0 && early > 0);
	assert_int_equal(refused, sum.refusals);
	assert_int_equal(timed_out, sum.connect_timeouts);
	for (size_t i = 0; i < sizeof(sum) / sizeof(u64); i++)
		assert_true(((u64 *)(void *)&sum)[i] > 0);
}

static void same_seed_same_run(void **state)
{
	struct sim_config config = sim_config_rough();
	u32 alike = 0;

	(void)state;
	for (u64 seed = 1; seed <= 20; seed++) {
		struct scene first, again, other;

		scene_play(&first, seed, &config);
		scene_close(&first);
		scene_play(&again, seed, &config);
		scene_close(&again);
		scene_play(&other, seed + 1000, &config);
		scene_close(&other);
		assert_true(first.trace == again.trace);
		alike += first.trace == other.trace;
	}
	assert_int_equal(alike, 0);
}

static void accept_ends_at_the_limit_and_goes_on(void **state)
{
	struct sim_config config = sim_config_calm();
	struct scene scene;

	(void)state;
	config.accept_limit_one_in = 2;
	scene_play(&scene, 3, &config);
	assert_int_equal(scene.complete, clients_max);
	assert_true(sim_net_counts(scene.net)->accept_limits > 0);
	scene_close(&scene);
}

static u32 hours_passed;

static void hour_passed(struct timer *timer)
{
	(void)timer;
	hours_passed++;
}

static void time_jumps(void **state)
{
	struct sim_config config = sim_config_calm();
	struct scene scene;
	struct timer timer;
	u64 start_ms;

	(void)state;
	scene_open(&scene, 1, &config);
	start_ms = loop_now_ms(scene.inside);
	timer_init(&timer, hour_passed);
	hours_passed = 0;
	loop_timer_set(scene.inside, &timer, start_ms + 3600 * 1000);
	// The timer is on one loop, the wait on the other.
	while (!hours_passed)
		loop_turn(scene.outside, UINT64_MAX);
	assert_int_equal(loop_now_ms(scene.inside), start_ms + 3600 * 1000);
	// Now nothing can happen any more: a wait without end comes back.
	loop_turn(scene.outside, UINT64_MAX);
	assert_true(sim_net_is_stuck(scene.net));
	scene_close(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calm_network_loses_nothing),
		cmocka_unit_test(rough_network_breaks_nothing),
		cmocka_unit_test(same_seed_same_run),
		cmocka_unit_test(accept_ends_at_the_limit_and_goes_on),
		cmocka_unit_test(time_jumps),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	world_kind = LOOP_SIM;
	return cmocka_run_group_tests_name("sim", tests, NULL, NULL) ? 1 : 0;
}
