// SPDX-License-Identifier: Apache-2.0
#include "farm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// Sojourn times in steps of 2 %, from 1e-6 on.
enum { buckets = 2048, nobody = UINT32_MAX };
static const double bucket_step = 0.02, bucket_first = 1e-6;

struct job {
	double arrival;
	u32 next, worker, met; // in flight when it came
};

struct server {
	u32 first, last; // jobs, the first is being served
	u32 length;
	double speed;
};

struct latencies {
	struct balance_ewma ewma;
	struct balance_curve curve;
};

struct worker {
	struct balance_state *state;
	u32 own[FARM_SERVERS_MAX], others[FARM_SERVERS_MAX];
	struct latencies *latencies; // of each server; one array for all or one for each
};

struct farm {
	const struct farm_options *options;
	const struct balance_table *table;
	struct server servers[FARM_SERVERS_MAX];
	struct worker workers[FARM_WORKERS_MAX];
	u32 worker_count;
	struct event_queue queue; // departures, named by server
	struct job *jobs;
	u32 job_count, job_room, free_job;
	struct rng rng;
	double now, next_arrival, next_sync, arrival_rate, unit_ns;
	u64 position;
	u64 counted, slow, first;
	double sum;
	u64 histogram[buckets];
	u32 longest;
};

static double exponential(struct rng *rng)
{
	return -log((double)((rng_u64(rng) >> 11) + 1) * 0x1p-53);
}

static void tell(struct farm *farm, struct worker *worker, u32 index)
{
	const struct latencies *latencies = &worker->latencies[index];
	struct balance_load load = {.in_flight = worker->own[index] + worker->others[index],
		.slow_start = 1,
		.latency = latencies->ewma,
		.now = (nsec)(farm->now * farm->unit_ns)};

	balance_change(worker->state, index, true, balance_cost(farm->table, index, &load));
	if (farm->options->kind == BALANCE_PREQUAL) {
		struct balance_ewma latency = curve_read(&latencies->curve, load.in_flight);

		balance_change_latency(worker->state, index, balance_latency_key(&latency));
	}
}

static u32 take_job(struct farm *farm)
{
	u32 job = farm->free_job;

	if (job != nobody) {
		farm->free_job = farm->jobs[job].next;
		return job;
	}
	if (farm->job_count == farm->job_room) {
		farm->job_room *= 2;
		farm->jobs = mem_realloc(farm->jobs, sizeof(*farm->jobs) * farm->job_room);
	}
	return farm->job_count++;
}

static void arrive(struct farm *farm)
{
	static const struct balance_tried none;
	u32 at = farm->worker_count > 1 ? rng_below(&farm->rng, farm->worker_count) : 0;
	struct worker *worker = &farm->workers[at];
	u32 index = balance_pick(worker->state,
		&(struct balance_ask){.rng = &farm->rng,
			.tried = &none,
			.position = farm->position++,
			.key = farm->options->kind == BALANCE_RENDEZVOUS ||
					       balance_kind_info(farm->options->kind)->keyed
				       ? rng_u64(&farm->rng)
				       : 0});
	struct server *server = &farm->servers[index];
	u32 job = take_job(farm);

	farm->jobs[job] = (struct job){farm->now, nobody, at,
		farm->options->own_latency ? worker->own[index] + worker->others[index]
					   : server->length};
	if (server->length++ == 0) {
		server->first = job;
		event_push(&farm->queue,
			(struct event){farm->now + exponential(&farm->rng) / server->speed, index});
	} else {
		farm->jobs[server->last].next = job;
	}
	server->last = job;
	farm->longest = MAX(farm->longest, server->length);
	worker->own[index]++;
	tell(farm, worker, index);
}

static void count(struct farm *farm, u32 index, double sojourn)
{
	double step = log(sojourn / bucket_first) / bucket_step;
	u32 bucket = step < 0 ? 0 : step >= buckets ? buckets - 1 : (u32)step;

	farm->histogram[bucket]++;
	farm->counted++;
	farm->sum += sojourn;
	farm->slow += index < farm->options->slow_servers;
	farm->first += index == 0;
}

static void depart(struct farm *farm)
{
	u32 index = farm->queue.events[0].name;
	struct server *server = &farm->servers[index];
	u32 job = server->first;
	struct worker *worker = &farm->workers[farm->jobs[job].worker];
	double sojourn = farm->now - farm->jobs[job].arrival;
	u32 met = farm->jobs[job].met;

	server->first = farm->jobs[job].next;
	farm->jobs[job].next = farm->free_job;
	farm->free_job = job;
	if (--server->length > 0)
		event_replace(&farm->queue,
			(struct event){farm->now + exponential(&farm->rng) / server->speed, index});
	else
		event_pop(&farm->queue);
	if (farm->now > farm->options->duration / 5)
		count(farm, index, sojourn);
	if (farm->options->kind == BALANCE_LEAST_RESPONSE_TIME)
		ewma_observe(&worker->latencies[index].ewma, (nsec)(sojourn * farm->unit_ns),
			(nsec)(farm->now * farm->unit_ns));
	if (farm->options->kind == BALANCE_PREQUAL)
		curve_observe(&worker->latencies[index].curve, met, (nsec)(sojourn * farm->unit_ns),
			(nsec)(farm->now * farm->unit_ns));
	worker->own[index]--;
	tell(farm, worker, index);
}

static void sync_workers(struct farm *farm)
{
	for (u32 index = 0; index < farm->options->servers; index++)
		for (u32 w = 0; w < farm->worker_count; w++) {
			struct worker *worker = &farm->workers[w];
			u32 others = farm->servers[index].length - worker->own[index];

			if (others == worker->others[index])
				continue;
			worker->others[index] = others;
			tell(farm, worker, index);
		}
}

static double percentile(const struct farm *farm, double part)
{
	u64 wanted = (u64)((double)farm->counted * part), seen = 0;

	for (u32 i = 0; i < buckets; i++) {
		seen += farm->histogram[i];
		if (seen > wanted)
			return bucket_first * exp((i + 0.5) * bucket_step);
	}
	return INFINITY;
}

static void prepare(struct farm *farm, const struct farm_options *options, struct arena *arena)
{
	struct balance_member members[FARM_SERVERS_MAX];

	farm->options = options;
	farm->unit_ns = options->unit_ns > 0 ? options->unit_ns : 10 * NSEC_PER_MS;
	farm->worker_count = MAX(options->workers, 1);
	farm->free_job = nobody;
	farm->job_room = 1024;
	farm->jobs = mem_alloc(sizeof(*farm->jobs) * farm->job_room);
	farm->queue.events = mem_alloc(sizeof(struct event) * options->servers);
	rng_init(&farm->rng, options->seed);
	for (u32 i = 0; i < options->servers; i++) {
		members[i] = (struct balance_member){rng_u64(&farm->rng), 1};
		farm->servers[i].speed = i < options->slow_servers ? options->slow_speed : 1;
		farm->arrival_rate += options->load * farm->servers[i].speed;
	}
	farm->table =
		balance_build(options->kind, members, options->servers, &options->balance, arena);
	for (u32 w = 0; w < farm->worker_count; w++) {
		struct worker *worker = &farm->workers[w];

		worker->state = balance_state_new(farm->table, w, arena);
		worker->latencies =
			w == 0 || options->own_latency
				? arena_zalloc(arena, sizeof(struct latencies) * options->servers)
				: farm->workers[0].latencies;
	}
	farm->next_arrival = exponential(&farm->rng) / farm->arrival_rate;
	farm->next_sync = farm->worker_count > 1 && !options->blind ? options->sync : INFINITY;
}

void farm_run(const struct farm_options *options, struct farm_result *ret_result)
{
	struct farm *farm = mem_alloc(sizeof(*farm));
	struct arena arena;

	arena_init(&arena, 256 * 1024 * 1024);
	prepare(farm, options, &arena);
	while (farm->now < options->duration) {
		double departure = farm->queue.count ? farm->queue.events[0].at : INFINITY;

		if (farm->next_sync < farm->next_arrival && farm->next_sync < departure) {
			farm->now = farm->next_sync;
			farm->next_sync += options->sync;
			sync_workers(farm);
		} else if (departure < farm->next_arrival) {
			farm->now = departure;
			depart(farm);
		} else {
			farm->now = farm->next_arrival;
			farm->next_arrival += exponential(&farm->rng) / farm->arrival_rate;
			arrive(farm);
		}
	}
	*ret_result = (struct farm_result){.requests = farm->counted,
		.mean = farm->sum / (double)farm->counted,
		.p50 = percentile(farm, 0.5),
		.p99 = percentile(farm, 0.99),
		.p999 = percentile(farm, 0.999),
		.slow_share = (double)farm->slow / (double)farm->counted,
		.longest = farm->longest,
		.requests_of_first = (double)farm->first / (double)farm->counted};
	mem_free(farm->jobs);
	mem_free(farm->queue.events);
	mem_free(farm);
	arena_done(&arena);
}
