// SPDX-License-Identifier: Apache-2.0
// The experiment of Figure 6 of "Load is not what you should balance: introducing Prequal"
// (NSDI'24): as load climbs above what the servers were allotted, weighted round robin runs into
// the deadline at once, and Prequal lives on what the other tenants of the machines leave.
//
// The model, with one unit of capacity being what a replica is allotted, a tenth of its machine:
//  - 100 clients, 100 replicas, each replica on a machine of its own. Queries arrive at the clients
//    as one Poisson process. Their work is normal with deviation = mean = 20 ms of the allotment,
//    cut off at 0 and scaled to that mean. A query runs on one thread, four of which are the
//    allotment: alone it takes 80 ms on average. A replica shares its capacity evenly between its
//    queries. The deadline is 5 s; a query that is late is an error and is finished all the same.
//  - Other tenants. A fifth of the machines is tight: the other tenants want all they can get, and
//    the replica gets its allotment and no more. On the others the tenants want between 4 and 9
//    tenths of the machine, drawn anew after exponential times with mean 5 s, and the replica may
//    use what is left: 1 to 6 allotments. Which machines are tight is fixed by the seed.
//  - Load climbs through 0.75 0.83 0.93 1.03 1.14 1.27 1.41 1.57 1.74 of the sum of the allotments,
//    a minute each, without a pause. Error and p99.9 of a step are of the queries that began in it.
//  - Round robin: each client goes through all replicas with an offset of its own. The weights of
//    the paper's weighted round robin are queries by CPU time used, which is the same everywhere.
//  - Prequal: each client has its own pool with the paper's constants. The answers to the probes
//    that a query triggers are there before the client's next query (20 ms later) and not before.
//    A replica estimates latency from its own queries by what they met (balance_curve).
//  - One balancer that sees all requests: the same rule over its own counts (balance_pick).
//
// Without arguments a seed or two; with a number, that many seeds (10 take a minute or two).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "decide/balance_tree.h"
#include "decide/prequal.h"
#include "farm.h"

enum { replicas = 100, clients = 100, steps = 9, buckets = 1024, no_query = UINT32_MAX };

static const double loads[steps] = {0.75, 0.83, 0.93, 1.03, 1.14, 1.27, 1.41, 1.57, 1.74};
static const double step_seconds = 60, work_mean = 0.02, thread_speed = 0.25, deadline = 5;
static const double tight_part = 0.2, mood_seconds = 5, machine = 10;

enum policy { ROUND_ROBIN, PREQUAL_POOLS, PREQUAL_CELLS, POLICIES };
static const char *const policy_names[] = {"round robin", "Prequal, 100 clients", "Prequal, cells"};

static u32 seed_count = 1;

struct query {
	double began;
	u32 met, next;
};

// Processor sharing: `served` is how much each query has got that was there all the time, and a
// query is done when it reaches what it had at its arrival and its work.
struct replica {
	struct event_queue queue; // by the mark that `served` must reach
	u32 room;
	double served, updated, capacity;
	bool tight;
	struct balance_curve curve;
};

struct step_result {
	u64 queries, errors;
	u32 histogram[buckets]; // of latency, in steps of 2 % from 1 ms on
};

struct world {
	enum policy policy;
	struct rng rng;
	struct arena arena;
	const struct balance_table *table;
	struct balance_state *state;
	struct replica replicas[replicas];
	struct min_tree next; // completion by replica
	struct query *queries;
	u32 query_count, query_room, free_query;
	struct prequal pools[clients];
	u64 positions[clients];
	double now;
	struct step_result results[steps];
};

static double uniform(struct rng *rng)
{
	return (double)((rng_u64(rng) >> 11) + 1) * 0x1p-53;
}

static double exponential(struct rng *rng, double mean)
{
	return -log(uniform(rng)) * mean;
}

// A normal cut off at 0 has 1.0833 times the mean when both were 1.
static double draw_work(struct rng *rng)
{
	double normal = sqrt(-2 * log(uniform(rng))) * cos(2 * M_PI * uniform(rng));

	return fmax(0, 1 + normal) / 1.08331547 * work_mean;
}

static double speed_of(const struct replica *replica)
{
	return fmin(thread_speed, replica->capacity / MAX(replica->queue.count, 1));
}

static void catch_up(struct world *world, struct replica *replica)
{
	replica->served += (world->now - replica->updated) * speed_of(replica);
	replica->updated = world->now;
}

static void plan_next(struct world *world, u32 index)
{
	const struct replica *replica = &world->replicas[index];
	double at = INFINITY;

	if (replica->queue.count > 0)
		at = world->now +
		     fmax(0, replica->queue.events[0].at - replica->served) / speed_of(replica);
	min_tree_set(&world->next, index, at);
}

static void draw_mood(struct world *world, u32 index)
{
	struct replica *replica = &world->replicas[index];

	catch_up(world, replica);
	replica->capacity = replica->tight ? 1 : machine * (1 - (0.4 + 0.5 * uniform(&world->rng)));
	plan_next(world, index);
}

// What balance_pick is told: it sees all queries, as one balancer does.
static void tell_cells(struct world *world, u32 index)
{
	struct replica *replica = &world->replicas[index];
	struct balance_ewma latency = curve_read(&replica->curve, replica->queue.count);

	balance_change(world->state, index, true, replica->queue.count);
	balance_change_latency(world->state, index, balance_latency_key(&latency));
}

static u32 choose(struct world *world, u32 client)
{
	static const struct balance_tried none;
	struct balance_ask ask = {
		.rng = &world->rng, .tried = &none, .position = world->positions[client]++};

	if (world->policy != PREQUAL_POOLS)
		return balance_pick(world->state, &ask);
	return prequal_pick(
		&world->pools[client], world->state, &ask, (nsec)(world->now * NSEC_PER_SEC));
}

static void send_probes(struct world *world, u32 client)
{
	u32 targets[PREQUAL_PROBES_MAX];
	struct prequal *pool = &world->pools[client];
	u32 count = prequal_targets(pool, &world->rng, targets);

	for (u32 i = 0; i < count; i++) {
		const struct replica *replica = &world->replicas[targets[i]];
		struct balance_ewma latency = curve_read(&replica->curve, replica->queue.count);

		prequal_add(pool, targets[i], replica->queue.count, (nsec)latency.value_ns,
			(nsec)(world->now * NSEC_PER_SEC), &world->rng);
	}
}

static u32 take_query(struct world *world)
{
	u32 query = world->free_query;

	if (query != no_query) {
		world->free_query = world->queries[query].next;
		return query;
	}
	if (world->query_count == world->query_room) {
		world->query_room *= 2;
		world->queries =
			mem_realloc(world->queries, sizeof(world->queries[0]) * world->query_room);
	}
	return world->query_count++;
}

static void arrive(struct world *world)
{
	u32 client = rng_below(&world->rng, clients), index = choose(world, client);
	struct replica *replica = &world->replicas[index];
	u32 query = take_query(world);

	catch_up(world, replica);
	world->queries[query] = (struct query){world->now, replica->queue.count, no_query};
	if (replica->queue.count == replica->room) {
		replica->room *= 2;
		replica->queue.events =
			mem_realloc(replica->queue.events, sizeof(struct event) * replica->room);
	}
	event_push(
		&replica->queue, (struct event){replica->served + draw_work(&world->rng), query});
	plan_next(world, index);
	if (world->policy == PREQUAL_POOLS)
		send_probes(world, client);
	if (world->policy == PREQUAL_CELLS)
		tell_cells(world, index);
}

static void count(struct world *world, double began, double latency)
{
	struct step_result *result = &world->results[(u32)(began / step_seconds)];
	double bucket = log(latency / 1e-3) / 0.02;

	result->queries++;
	result->errors += latency > deadline;
	result->histogram[bucket < 0 ? 0 : MIN((u32)bucket, buckets - 1)]++;
}

static void complete(struct world *world, u32 index)
{
	struct replica *replica = &world->replicas[index];
	u32 query = replica->queue.events[0].name;
	struct query *done = &world->queries[query];

	catch_up(world, replica);
	event_pop(&replica->queue);
	count(world, done->began, world->now - done->began);
	curve_observe(&replica->curve, done->met, (nsec)((world->now - done->began) * NSEC_PER_SEC),
		(nsec)(world->now * NSEC_PER_SEC));
	done->next = world->free_query;
	world->free_query = query;
	plan_next(world, index);
	if (world->policy == PREQUAL_CELLS)
		tell_cells(world, index);
}

static void world_begin(struct world *world, enum policy policy, u64 seed)
{
	static const enum balance_kind kinds[] = {
		BALANCE_ROUND_ROBIN, BALANCE_POWER_OF_TWO, BALANCE_PREQUAL};
	struct balance_member members[replicas];

	memset(world, 0, sizeof(*world));
	world->policy = policy;
	rng_init(&world->rng, seed);
	arena_init(&world->arena, 16 * 1024 * 1024);
	min_tree_init(&world->next, replicas, &world->arena);
	world->query_room = 1024;
	world->queries = mem_alloc(sizeof(world->queries[0]) * world->query_room);
	world->free_query = no_query;
	for (u32 i = 0; i < replicas; i++) {
		struct replica *replica = &world->replicas[i];

		members[i] = (struct balance_member){i + 1, 1};
		replica->room = 64;
		replica->queue.events = mem_alloc(sizeof(struct event) * replica->room);
		replica->tight = i < tight_part * replicas;
		draw_mood(world, i);
	}
	world->table = balance_build(
		kinds[policy], members, replicas, &(struct balance_options){0}, &world->arena);
	world->state = balance_state_new(world->table, 0, &world->arena);
	for (u32 i = 0; i < clients; i++) {
		prequal_init(&world->pools[i], &(struct prequal_options){0}, replicas);
		world->positions[i] = rng_below(&world->rng, replicas);
	}
}

static void world_end(struct world *world)
{
	for (u32 i = 0; i < replicas; i++)
		mem_free(world->replicas[i].queue.events);
	mem_free(world->queries);
	arena_done(&world->arena);
}

// Until the last query has its answer, so that the slow ones count too.
static void world_run(struct world *world)
{
	double end = steps * step_seconds, next_arrival = 0, next_mood = 0;

	while (next_arrival < INFINITY || world->next.mins[1] < INFINITY) {
		double completion = world->next.mins[1];

		if (next_mood < next_arrival && next_mood < completion) {
			world->now = next_mood;
			next_mood += exponential(&world->rng, mood_seconds / replicas);
			draw_mood(world, rng_below(&world->rng, replicas));
		} else if (completion <= next_arrival) {
			world->now = completion;
			complete(world, min_tree_find(&world->next, 0));
		} else {
			double load = loads[(u32)(next_arrival / step_seconds)];

			world->now = next_arrival;
			next_arrival += exponential(&world->rng, work_mean / (load * replicas));
			if (next_arrival >= end)
				next_arrival = INFINITY;
			arrive(world);
		}
	}
}

static double p999(const struct step_result *result)
{
	u64 seen = 0;

	for (u32 i = buckets; i-- > 0;) {
		seen += result->histogram[i];
		if (seen * 1000 > result->queries)
			return 1e-3 * exp((i + 1) * 0.02);
	}
	return 0;
}

static void print_steps(const struct world *world, u64 seed)
{
	print_message("# %s, seed %llu: p99.9 in s (errors)", policy_names[world->policy],
		(unsigned long long)seed);
	for (u32 i = 0; i < steps; i++)
		print_message(" %.2f: %.2f (%llu)", loads[i], p999(&world->results[i]),
			(unsigned long long)world->results[i].errors);
	print_message("\n");
}

static void expect(enum policy policy)
{
	struct world *world = mem_alloc(sizeof(*world));

	for (u64 seed = 1; seed <= seed_count; seed++) {
		world_begin(world, policy, seed);
		world_run(world);
		print_steps(world, seed);
		for (u32 i = 0; i < steps; i++) {
			const struct step_result *result = &world->results[i];

			assert_true(result->queries > 100000);
			if (policy != ROUND_ROBIN || i < 3)
				assert_int_equal(result->errors, 0);
			else
				assert_true(p999(result) >= deadline);
		}
		world_end(world);
	}
	mem_free(world);
}

static void round_robin_meets_the_deadline_above_the_allotment(void **state)
{
	(void)state;
	expect(ROUND_ROBIN);
}

static void prequal_has_no_errors(void **state)
{
	(void)state;
	expect(PREQUAL_POOLS);
}

static void prequal_over_cells_has_no_errors(void **state)
{
	(void)state;
	expect(PREQUAL_CELLS);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_robin_meets_the_deadline_above_the_allotment),
		cmocka_unit_test(prequal_has_no_errors),
		cmocka_unit_test(prequal_over_cells_has_no_errors),
	};

	if (argc > 1)
		seed_count = (u32)strtoul(argv[1], NULL, 10);
	return cmocka_run_group_tests_name("prequal", tests, NULL, NULL);
}
