// SPDX-License-Identifier: Apache-2.0
// Builds the world of a seed, lets it run, and takes it down.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sim.h"

enum {
	arena_bytes_max = 64 * 1024 * 1024,
	give_up_ms = 15 * 60 * 1000, // virtual; everything is over long before
	step_ms = 100,
	log_bytes = 32 * 1024,
	turns_max = 2 * 1000 * 1000,
};

u64 sim_faults[FAULT_COUNT];
u64 sim_exchanges, sim_outcomes[OUTCOME_COUNT];
u64 sim_moves[STEP_COUNT][STEP_COUNT];
bool sim_verbose, sim_repeats;

struct listening {
	struct world *world;
	const struct frontend *frontend;
	struct sock sock;
	struct op accept;
	bool open;
};

struct plans { // the worker's own timers
	struct world *world;
	struct timer drain, abort;
};

void world_fail(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->failure[0])
		return;
	va_start(arguments, format);
	vsnprintf(world->failure, sizeof(world->failure), format, arguments);
	va_end(arguments);
	world_say(world, "FAILED: %s", world->failure);
}

void world_say(const struct world *world, const char *format, ...)
{
	va_list arguments;

	if (!sim_verbose)
		return;
	printf("%8.3f  ", (double)sim_net_now_us(world->net) / 1000.0);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

// ---- The listeners ------------------------------------------------------------------------------

static void on_accept(struct op *op)
{
	struct listening *listening = container_of(op, struct listening, accept);
	struct world *world = listening->world;

	if (op->result >= 0)
		proxy_accept(world->proxy, listening->frontend, op->result);
	if (op->more)
		return;
	sock_close(world->loop, &listening->sock);
	listening->open = false;
}

static void listen_all(struct world *world)
{
	world->listener_count = world->snapshot->frontend_count;
	world->listeners = mem_alloc(sizeof(struct listening) * world->listener_count);
	for (u32 i = 0; i < world->listener_count; i++) {
		struct listening *listening = &world->listeners[i];

		listening->world = world;
		listening->frontend = world->snapshot->frontends[i];
		listening->open = true;
		sock_open(world->loop, &listening->sock,
			sim_listen(world->net, &listening->frontend->conf->binds[0].addr));
		op_init(&listening->accept, on_accept);
		loop_accept(world->loop, &listening->sock, &listening->accept);
	}
}

void world_listen_for(struct world *world, const struct snapshot *snapshot)
{
	for (u32 i = 0; i < world->listener_count; i++)
		world->listeners[i].frontend = snapshot->frontends[i];
}

static void drain(struct world *world)
{
	if (world->drained_ms)
		return;
	world->drained_ms = world_now_ms(world);
	world_say(world, "drain");
	for (u32 i = 0; i < world->listener_count; i++)
		if (world->listeners[i].open)
			loop_cancel(world->loop, &world->listeners[i].accept);
	proxy_drain(world->proxy);
}

static void on_drain(struct timer *timer)
{
	struct world *world = container_of(timer, struct plans, drain)->world;

	world_fault(world, FAULT_DRAIN);
	drain(world);
}

static void on_abort(struct timer *timer)
{
	struct world *world = container_of(timer, struct plans, abort)->world;

	world_fault(world, FAULT_ABORT);
	drain(world);
	world->aborted_ms = world_now_ms(world);
	world_say(world, "abort");
	proxy_abort(world->proxy);
}

// ---- Building -----------------------------------------------------------------------------------

static void build_net(struct world *world)
{
	static const u32 windows[] = {500, 4000, 20000, 65536, 262144};
	struct sim_config config = sim_config_calm();

	config.window_bytes = windows[plan_between(world, 0, ARRAY_LEN(windows) - 1)];
	world->long_body_max = config.window_bytes < 4000 ? 30 * 1024 : 300 * 1024;
	config.short_read_one_in = plan_one_in(world, 2) ? plan_between(world, 2, 20) : 0;
	config.partial_send_one_in = plan_one_in(world, 2) ? plan_between(world, 2, 20) : 0;
	config.delay_one_in = plan_one_in(world, 3) ? plan_between(world, 5, 50) : 0;
	config.delay_us_max = 8000;
	world->smooth = !config.short_read_one_in && !config.partial_send_one_in &&
			config.window_bytes >= 65536;
	world->net = sim_net_new(rng_u64(&world->rng), &config);
}

static void build_loops(struct world *world)
{
	struct loop_limits outside = {1024, 8192}, inside = {512, 4096};

	if (world->scarce) {
		inside.large_blocks_max = plan_between(world, 12, 40);
		inside.small_blocks_max = plan_between(world, 40, 200);
	}
	world->loop = sim_loop_new(world->net, &inside);
	world->outside = sim_loop_new(world->net, &outside);
	sim_loop_set_outside(world->outside);
}

static void build_proxy(struct world *world)
{
	struct proxy_limits limits = {.clients_max = 64, .links_max = 64};

	if (world->scarce) {
		limits.clients_max = plan_between(world, 1, 6);
		limits.links_max = plan_between(world, 1, 6);
	}
	for (u32 i = 0; i < world->conf->frontend_count; i++)
		if (world->conf->frontends[i].limits.connections)
			world->may_be_full = true;
	world->trace = mem_alloc(sizeof(*world->trace));
	trace_init(world->trace, &world->loop->now_us);
	trace_attach_thread(world->trace);
	world->snapshot = snapshot_build(world->conf, &world->arena, 1);
	tls_secure(world, world->snapshot);
	world->proxy = mem_alloc_lines(sizeof(*world->proxy));
	log_init(&world->log, LOG_WARN, LOG_JSON, &world->loop->wall_ms, log_bytes, NULL);
	proxy_init(world->proxy, world->loop, world->snapshot, 0, &limits, &world->log,
		world->trace, &world->metrics, rng_u64(&world->rng));
	world->stats = world->proxy->stats = stats_new(world->snapshot);
	look_start(world);
	spans_start(world);
	if (world->judged)
		judge_start(world);
	listen_all(world);
}

static void add_trouble(struct world *world)
{
	struct sim_config *config = sim_net_config(world->net);

	if (!world->chaotic)
		return;
	config->refuse_one_in = plan_between(world, 3, 20);
	config->connect_timeout_one_in = plan_between(world, 6, 30);
	config->connect_timeout_us = 30 * 1000 * 1000;
}

// ---- Running ------------------------------------------------------------------------------------

static bool callers_are_done(const struct world *world)
{
	for (u32 i = 0; i < world->caller_count; i++)
		if (!caller_is_done(world->callers[i]) && !caller_waits_for_ever(world->callers[i]))
			return false;
	return true;
}

static void describe_stuck(struct world *world, const char *what)
{
	char text[256] = "";

	for (u32 i = 0; i < world->caller_count && !*text; i++)
		if (!caller_is_done(world->callers[i]) && !caller_waits_for_ever(world->callers[i]))
			caller_describe(world->callers[i], text, sizeof(text));
	world_fail(world, "%s: %u clients, %u exchanges, %u links; %s", what,
		world->proxy->client_count, world->proxy->exchanges.used,
		world->proxy->upstream.links.used, text);
}

typedef bool goal_fn(const struct world *world);

static bool proxy_is_over(const struct world *world)
{
	return proxy_is_empty(world->proxy);
}

static bool peers_are_over(const struct world *world)
{
	for (u32 i = 0; i < world->listener_count; i++)
		if (world->listeners[i].open)
			return false;
	return world->callers_open == 0 && world->services_open == 0 &&
	       world->outside->ops_out == 0;
}

// What must be the same again: when anything happens, what was on the wires, what waits.
static void note_course(struct world *world)
{
	const struct sim_counts *counts = sim_net_counts(world->net);
	u64 now[] = {sim_net_now_us(world->net), counts->bytes, counts->events,
		world->metrics.values[M_REQUESTS], world->loop->blocks.large.used};

	world->course = hash_bytes(now, sizeof(now), world->course);
}

static bool run_until(struct world *world, goal_fn *goal, const char *what)
{
	u64 until_ms = world_now_ms(world) + give_up_ms;
	u64 turns = 0;

	while (!goal(world)) {
		// In small steps, since the goal may be reached by the peers alone.
		loop_turn(world->loop, world_now_ms(world) + step_ms);
		check_turn(world);
		look_turn(world);
		note_course(world);
		if (world->failure[0])
			return false;
		if (world_now_ms(world) >= until_ms || sim_net_is_stuck(world->net)) {
			describe_stuck(world, what);
			return false;
		}
		if (++turns > turns_max) {
			describe_stuck(world, "the worker spins");
			return false;
		}
	}
	return true;
}

static void release_peers(struct world *world)
{
	for (u32 i = 0; i < world->caller_count; i++)
		caller_release(world->callers[i]);
	for (u32 i = 0; i < world->server_count; i++)
		server_release(world->servers[i]);
}

static void run_world(struct world *world, struct plans *plans)
{
	u64 now_ms = world_now_ms(world);

	plans->world = world;
	timer_init(&plans->drain, on_drain);
	timer_init(&plans->abort, on_abort);
	if (world->drain_ms)
		loop_timer_set(world->loop, &plans->drain, now_ms + world->drain_ms);
	if (world->abort_ms)
		loop_timer_set(world->loop, &plans->abort, now_ms + world->abort_ms);
	again_begin(world);
	for (u32 i = 0; i < world->caller_count; i++)
		caller_start(world->callers[i]);
	if (!run_until(world, callers_are_done, "a client waits for ever"))
		return;
	world->ending_ms = world_now_ms(world);
	drain(world);
	loop_timer_cancel(world->loop, &plans->drain);
	loop_timer_cancel(world->loop, &plans->abort);
	again_stop(world);
	if (!run_until(world, proxy_is_over, "draining does not end"))
		return;
	judge_stop(world);
	if (!run_until(world, judge_is_idle, "a health check does not end"))
		return;
	release_peers(world);
	if (!run_until(world, peers_are_over, "a connection is not closed"))
		return;
	for (u32 i = 0; i < world->call_count; i++)
		check_call(&world->calls[i]);
	again_check_end(world);
	check_end(world);
	look_end(world);
}

// ---- The end ------------------------------------------------------------------------------------

static void note_totals(struct world *world)
{
	const struct sim_counts *counts = sim_net_counts(world->net);

	if (sim_repeats) // all of it is counted
		return;
	world->faults[FAULT_NET_REFUSED] += counts->refusals;
	world->faults[FAULT_NET_TIMEOUT] += counts->connect_timeouts;
	world->faults[FAULT_NET_DISCARD] += counts->discards;
	world->faults[FAULT_NO_BLOCKS] += counts->block_waits;
	world->faults[FAULT_FULL] += world->metrics.values[M_CONNECTIONS_REFUSED];
	world->faults[FAULT_RETRY] += world->metrics.values[M_RETRIES];
	world->faults[FAULT_RETRY_REFUSED] += world->metrics.values[M_RETRIES_REFUSED];
	world->faults[FAULT_HEDGE] += world->metrics.values[M_HEDGES];
	world->faults[FAULT_HEDGE_WON] += world->metrics.values[M_HEDGES_WON];
	world->faults[FAULT_QUEUED] += world->metrics.values[M_QUEUED];
	for (u32 i = 0; i < FAULT_COUNT; i++)
		sim_faults[i] += world->faults[i];
	sim_exchanges += world->exchanges;
	for (u32 from = 0; from < STEP_COUNT; from++)
		for (u32 to = 0; to < STEP_COUNT; to++)
			sim_moves[from][to] += world->proxy->moves[from][to];
}

// Whatever is left after a failure hangs together with what went wrong: it stays.
static int give_up(struct world *world)
{
	printf("FAIL seed %llu: %s\n", (unsigned long long)world->seed, world->failure);
	fflush(stdout);
	if (sim_verbose)
		trace_print(world->trace, STDOUT_FILENO);
	if (world->has_tls)
		tls_forget();
	trace_attach_thread(NULL);
	return 1;
}

static int take_down(struct world *world)
{
	trace_attach_thread(NULL);
	log_done(&world->log);
	loop_free(world->loop);
	loop_free(world->outside);
	for (u32 i = 0; i < world->caller_count; i++)
		caller_free(world->callers[i]);
	for (u32 i = 0; i < world->server_count; i++)
		server_free(world->servers[i]);
	sim_net_free(world->net);
	judge_free(world);
	spans_free(world);
	stats_free(world->stats);
	look_done(world);
	records_free(world->records);
	again_free(world);
	tls_check_gone(world);
	if (world->failure[0])
		return give_up(world);
	arena_done(&world->arena);
	mem_free(world->listeners);
	mem_free(world->trace);
	mem_free(world->proxy);
	mem_free(world);
	return 0;
}

int world_run(u64 seed, u64 *ret_course)
{
	struct world *world = mem_alloc(sizeof(*world));
	struct plans plans;

	world->seed = seed;
	rng_init(&world->rng, seed);
	arena_init(&world->arena, arena_bytes_max);
	build_net(world);
	world->scarce = plan_one_in(world, 10);
	world->judged = plan_one_in(world, 2);
	build_loops(world);
	plan_world(world);
	build_proxy(world);
	plan_calls(world);
	add_trouble(world);
	run_world(world, &plans);
	*ret_course = world->course;
	note_totals(world);
	if (world->failure[0])
		return give_up(world);
	proxy_done(world->proxy);
	check_gone(world);
	if (world->failure[0])
		return give_up(world);
	return take_down(world);
}
