// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate.h"

#include <math.h>

#include "base/mem.h"
#include "decide/key_hash.h"

enum { nobody = UINT32_MAX, progress_steps = 50 };

// A burst brings four times as many requests a fifth of the time, for ten mean service times.
static const double burst_rate = 4, burst_part = 0.2, burst_services = 10;
static const double bucket_step = 0.01, bucket_first_ms = 1e-3;
// Of the logarithm; the 99th percentile is then 6 times the mean.
static const double lognormal_sigma = 1;
// One request in ten takes ten times as long as the others.
static const double bimodal_part = 0.1, bimodal_factor = 10;

struct job {
	double arrival, service_ms;
	u32 next, worker, met, server;
	bool in_loss; // it came while servers were lost
};

struct server {
	u32 first, last; // waiting
	u32 in_flight, in_service;
	u64 taken;
	double speed;
	bool is_lost;
};

// Of one server, as one worker knows it.
struct view {
	u32 own, others; // requests in flight
	struct balance_ewma latency;
	struct balance_curve curve;
};

struct worker {
	struct balance_state *state;
	struct view *views; // by server
};

struct departure {
	double at;
	u32 job;
};

struct simulation {
	const struct simulate_options *options;
	enum balance_kind kind;
	const struct balance_kind_info *info;
	struct rng rng;	     // arrivals and services: the same for every algorithm
	struct rng pick_rng; // the balancer's
	struct arena arena;
	const struct balance_table *table;
	struct balance_member *members;
	struct server *servers;
	struct worker workers[SIMULATE_WORKERS_MAX];
	struct departure *departures; // a heap
	u32 departure_count, departure_room;
	struct job *jobs;
	u32 job_count, job_room, free_job;
	u64 *keys;
	u32 *last_server; // of each client
	double now, next_arrival, next_news, next_mood, mean_gap;
	bool in_burst, are_lost, was_lost;
	u64 arrived, total, position;
	double sum_ms;
	struct simulate_result *result;
};

static double uniform(struct rng *rng)
{
	return (double)((rng_u64(rng) >> 11) + 1) * 0x1p-53;
}

static double exponential(struct rng *rng)
{
	return -log(uniform(rng));
}

// ---- Departures ---------------------------------------------------------------------------------

static void push(struct simulation *sim, struct departure departure)
{
	u32 at = sim->departure_count++;

	if (at == sim->departure_room) {
		sim->departure_room *= 2;
		sim->departures = mem_realloc(
			sim->departures, sizeof(*sim->departures) * sim->departure_room);
	}
	while (at > 0 && departure.at < sim->departures[(at - 1) / 2].at) {
		sim->departures[at] = sim->departures[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	sim->departures[at] = departure;
}

static struct departure pop(struct simulation *sim)
{
	struct departure *heap = sim->departures, top = heap[0];
	struct departure last = heap[--sim->departure_count];
	u32 at = 0;

	for (;;) {
		u32 child = 2 * at + 1;

		if (child >= sim->departure_count)
			break;
		if (child + 1 < sim->departure_count && heap[child + 1].at < heap[child].at)
			child++;
		if (heap[child].at >= last.at)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last;
	return top;
}

// ---- The balancer -------------------------------------------------------------------------------

static nsec now_ns(const struct simulation *sim)
{
	return (nsec)(sim->now * (double)NSEC_PER_MS);
}

static void tell(struct simulation *sim, struct worker *worker, u32 index)
{
	const struct view *view = &worker->views[index];
	struct balance_load load = {.in_flight = view->own + view->others,
		.slow_start = 1,
		.latency = view->latency,
		.now = now_ns(sim)};

	balance_change(worker->state, index, !sim->servers[index].is_lost,
		balance_cost(sim->table, index, &load));
	if (sim->kind == BALANCE_PREQUAL) {
		struct balance_ewma latency = curve_read(&view->curve, load.in_flight);

		balance_change_latency(worker->state, index, balance_latency_key(&latency));
	}
}

static u32 weight_of(const struct simulate_options *options, u32 index)
{
	return options->weight_count ? options->weights[index % options->weight_count] : 1;
}

// The table, and each worker's state of it: at the start, and again when round robin has to spread
// out over other servers.
static void build(struct simulation *sim)
{
	const struct simulate_options *options = sim->options;
	struct balance_options balance = {
		.load_percent = (u32)options->bound, .seed = options->seed};
	u32 count = (u32)options->servers;

	for (u32 i = 0; i < count; i++) {
		bool is_out = sim->info->eligible_only && sim->servers[i].is_lost;

		sim->members[i].weight = is_out ? 0 : weight_of(options, i);
	}
	sim->table = balance_build(sim->kind, sim->members, count, &balance, &sim->arena);
	for (u32 w = 0; w < options->workers; w++) {
		sim->workers[w].state = balance_state_new(sim->table, w, &sim->arena);
		for (u32 i = 0; i < count; i++)
			tell(sim, &sim->workers[w], i);
	}
}

static void hear(struct simulation *sim)
{
	for (u32 index = 0; index < sim->options->servers; index++)
		for (u32 w = 0; w < sim->options->workers; w++) {
			struct worker *worker = &sim->workers[w];
			struct view *view = &worker->views[index];
			u32 others = sim->servers[index].in_flight - view->own;

			if (others == view->others)
				continue;
			view->others = others;
			tell(sim, worker, index);
		}
}

// ---- Requests -----------------------------------------------------------------------------------

static double draw_service(struct simulation *sim)
{
	double mean = sim->options->mean_ms, normal;

	switch (sim->options->service) {
	case SERVICE_EXPONENTIAL:
		return mean * exponential(&sim->rng);
	case SERVICE_LOGNORMAL:
		normal = sqrt(2 * exponential(&sim->rng)) * cos(2 * M_PI * uniform(&sim->rng));
		return mean * exp(lognormal_sigma * normal - lognormal_sigma * lognormal_sigma / 2);
	case SERVICE_BIMODAL:
		mean /= 1 - bimodal_part + bimodal_part * bimodal_factor;
		return uniform(&sim->rng) < bimodal_part ? mean * bimodal_factor : mean;
	case SERVICE_CONSTANT:
		break;
	}
	return mean;
}

static double draw_gap(struct simulation *sim)
{
	double quiet = (1 - burst_part * burst_rate) / (1 - burst_part);

	switch (sim->options->arrival) {
	case ARRIVAL_POISSON:
		return sim->mean_gap * exponential(&sim->rng);
	case ARRIVAL_BURST:
		return sim->mean_gap * exponential(&sim->rng) /
		       (sim->in_burst ? burst_rate : quiet);
	case ARRIVAL_CONSTANT:
		break;
	}
	return sim->mean_gap;
}

// Bursts and the time between them are exponential.
static void turn_mood(struct simulation *sim)
{
	double mean = burst_services * sim->options->mean_ms;

	sim->in_burst = !sim->in_burst;
	if (!sim->in_burst)
		mean *= (1 - burst_part) / burst_part;
	sim->next_mood = sim->now + mean * exponential(&sim->rng);
	// What was drawn at the old rate is drawn anew.
	sim->next_arrival = sim->now + draw_gap(sim);
}

static u32 take_job(struct simulation *sim)
{
	u32 job = sim->free_job;

	if (job != nobody) {
		sim->free_job = sim->jobs[job].next;
		return job;
	}
	if (sim->job_count == sim->job_room) {
		sim->job_room *= 2;
		sim->jobs = mem_realloc(sim->jobs, sizeof(*sim->jobs) * sim->job_room);
	}
	return sim->job_count++;
}

static void serve(struct simulation *sim, u32 job)
{
	struct server *server = &sim->servers[sim->jobs[job].server];

	server->in_service++;
	push(sim, (struct departure){sim->now + sim->jobs[job].service_ms / server->speed, job});
}

static void note_client(struct simulation *sim, u32 client, u32 index)
{
	if (sim->last_server[client] != nobody) {
		sim->result->returns++;
		sim->result->breaks += sim->last_server[client] != index;
	}
	sim->last_server[client] = index;
}

static void arrive(struct simulation *sim, double service_ms, u32 client)
{
	static const struct balance_tried none;
	u32 at = rng_below(&sim->rng, (u32)sim->options->workers);
	struct worker *worker = &sim->workers[at];
	struct balance_ask ask = {.rng = &sim->pick_rng,
		.tried = &none,
		.position = sim->position++,
		.key = sim->keys[client]};
	u32 index = balance_pick(worker->state, &ask), job;
	struct server *server;

	if (index == BALANCE_NONE) {
		sim->result->refused++;
		return;
	}
	server = &sim->servers[index];
	job = take_job(sim);
	sim->jobs[job] = (struct job){.arrival = sim->now,
		.service_ms = service_ms,
		.next = nobody,
		.worker = at,
		.met = worker->views[index].own + worker->views[index].others,
		.server = index,
		.in_loss = sim->are_lost};
	server->taken++;
	server->in_flight++;
	sim->result->longest = MAX(sim->result->longest, server->in_flight);
	if (server->in_service < sim->options->slots) {
		serve(sim, job);
	} else if (server->first == nobody) {
		server->first = server->last = job;
	} else {
		sim->jobs[server->last].next = job;
		server->last = job;
	}
	note_client(sim, client, index);
	worker->views[index].own++;
	tell(sim, worker, index);
}

static void count(struct simulate_latency *latency, double ms)
{
	double bucket = ms > bucket_first_ms ? log(ms / bucket_first_ms) / bucket_step : 0;

	latency->buckets[MIN((u32)fmin(bucket, SIMULATE_BUCKETS), SIMULATE_BUCKETS - 1)]++;
	latency->count++;
}

static void depart(struct simulation *sim)
{
	u32 id = pop(sim).job;
	struct job *job = &sim->jobs[id];
	struct server *server = &sim->servers[job->server];
	struct worker *worker = &sim->workers[job->worker];
	struct view *view = &worker->views[job->server];
	double ms = sim->now - job->arrival;
	nsec sample = (nsec)(ms * (double)NSEC_PER_MS);

	server->in_flight--;
	server->in_service--;
	sim->sum_ms += ms;
	count(&sim->result->all, ms);
	if (job->in_loss)
		count(&sim->result->while_lost, ms);
	if (sim->kind == BALANCE_LEAST_RESPONSE_TIME)
		ewma_observe(&view->latency, sample, now_ns(sim));
	if (sim->kind == BALANCE_PREQUAL)
		curve_observe(&view->curve, job->met, sample, now_ns(sim));
	if (server->first != nobody) {
		u32 next = server->first;

		server->first = sim->jobs[next].next;
		serve(sim, next);
	}
	view->own--;
	tell(sim, worker, job->server);
	job->next = sim->free_job;
	sim->free_job = id;
}

// ---- A run --------------------------------------------------------------------------------------

// The lost ones are spread over the pool, so that slow and quick, light and heavy ones go.
static void lose(struct simulation *sim, bool lost)
{
	u64 count = sim->options->servers, gone = sim->options->lose;

	sim->are_lost = lost;
	for (u64 k = 0; k < gone; k++)
		sim->servers[k * count / gone].is_lost = lost;
	if (sim->info->eligible_only) {
		build(sim);
		return;
	}
	for (u64 k = 0; k < gone; k++)
		for (u32 w = 0; w < sim->options->workers; w++)
			tell(sim, &sim->workers[w], (u32)(k * count / gone));
}

static void next_request(struct simulation *sim, simulate_progress_fn *progress, void *context)
{
	const struct simulate_options *options = sim->options;
	const struct simulate_trace *trace = options->trace;
	double part = (double)sim->arrived / (double)sim->total;

	if (options->lose && !sim->was_lost && part >= options->lose_at) {
		sim->was_lost = true;
		lose(sim, true);
	}
	if (sim->are_lost && part >= options->back_at)
		lose(sim, false);
	if (trace) {
		const struct simulate_request *request = &trace->requests[sim->arrived];

		arrive(sim, request->service_ms, request->client);
	} else {
		double service_ms = draw_service(sim);

		arrive(sim, service_ms, rng_below(&sim->rng, (u32)options->clients));
	}
	sim->arrived++;
	if (sim->arrived == sim->total)
		sim->next_arrival = INFINITY;
	else if (trace)
		sim->next_arrival = fmax(sim->now, trace->requests[sim->arrived].at_ms);
	else
		sim->next_arrival = sim->now + draw_gap(sim);
	if (progress && sim->arrived % (sim->total / progress_steps + 1) == 0)
		progress(context, sim->kind, part);
}

static void begin(struct simulation *sim)
{
	const struct simulate_options *options = sim->options;
	u32 clients = options->trace ? options->trace->client_count : (u32)options->clients;
	struct key_hash_secret secret = {{options->seed, 0}};
	double weights = 0;

	rng_init(&sim->rng, options->seed);
	rng_init(&sim->pick_rng, options->seed + 1);
	arena_init(&sim->arena, (size_t)1 << 30);
	sim->members = mem_alloc(sizeof(*sim->members) * options->servers);
	sim->servers = mem_alloc(sizeof(*sim->servers) * options->servers);
	sim->departure_room = sim->job_room = 1024;
	sim->departures = mem_alloc(sizeof(*sim->departures) * sim->departure_room);
	sim->jobs = mem_alloc(sizeof(*sim->jobs) * sim->job_room);
	sim->free_job = nobody;
	sim->keys = mem_alloc(sizeof(u64) * clients);
	sim->last_server = mem_alloc(sizeof(u32) * clients);
	for (u32 i = 0; i < clients; i++) {
		sim->keys[i] =
			options->trace ? options->trace->keys[i] : key_hash(&secret, &i, sizeof(i));
		sim->last_server[i] = nobody;
	}
	for (u32 w = 0; w < options->workers; w++)
		sim->workers[w].views = mem_alloc(sizeof(struct view) * options->servers);
	for (u32 i = 0; i < options->servers; i++) {
		sim->members[i].id = key_hash(&secret, &(u64){i}, sizeof(u64));
		sim->servers[i].first = nobody;
	}
	build(sim);
	for (u32 i = 0; i < options->servers; i++)
		weights += weight_of(options, i);
	for (u32 i = 0; i < options->servers; i++) {
		u64 slow = options->servers * options->slow / 100;
		// Spread like the lost ones, so that a pattern of weights does not matter.
		bool is_slow = slow && ((u64)i * slow) % options->servers < slow;

		sim->servers[i].speed = sim->members[i].weight *
					((double)options->servers / weights) /
					(is_slow ? options->slow_factor : 1);
	}
}

static void end(struct simulation *sim)
{
	struct simulate_result *result = sim->result;
	double weights = 0;

	for (u32 i = 0; i < sim->options->servers; i++)
		weights += weight_of(sim->options, i);
	for (u32 i = 0; i < sim->options->servers; i++) {
		double fair = weight_of(sim->options, i) / weights * (double)sim->arrived;

		if (fair > 0)
			result->busiest =
				fmax(result->busiest, (double)sim->servers[i].taken / fair);
	}
	result->mean_ms = result->all.count ? sim->sum_ms / (double)result->all.count : 0;
	for (u32 w = 0; w < sim->options->workers; w++)
		mem_free(sim->workers[w].views);
	mem_free(sim->members);
	mem_free(sim->servers);
	mem_free(sim->departures);
	mem_free(sim->jobs);
	mem_free(sim->keys);
	mem_free(sim->last_server);
	arena_done(&sim->arena);
}

void simulate_run(const struct simulate_options *options, enum balance_kind kind,
	simulate_progress_fn *progress, void *context, struct simulate_result *ret_result)
{
	struct simulation *sim = mem_alloc(sizeof(*sim));

	*ret_result = (struct simulate_result){.kind = kind};
	sim->options = options;
	sim->kind = kind;
	sim->info = balance_kind_info(kind);
	sim->result = ret_result;
	sim->total = options->trace ? options->trace->count : options->requests;
	sim->mean_gap =
		options->mean_ms / (options->load * (double)(options->servers * options->slots));
	begin(sim);
	sim->next_arrival = options->trace ? options->trace->requests[0].at_ms : 0;
	sim->next_mood = !options->trace && options->arrival == ARRIVAL_BURST ? 0 : INFINITY;
	sim->next_news = options->workers > 1 ? options->news_ms : INFINITY;
	while (sim->next_arrival < INFINITY || sim->departure_count > 0) {
		double departure = sim->departure_count ? sim->departures[0].at : INFINITY;
		double next = fmin(departure, sim->next_arrival);

		sim->now = fmin(next, fmin(sim->next_news, sim->next_mood));
		if (sim->now >= next && departure <= sim->next_arrival) {
			depart(sim);
		} else if (sim->now >= next) {
			next_request(sim, progress, context);
		} else if (sim->now >= sim->next_news) {
			sim->next_news += options->news_ms;
			hear(sim);
		} else if (sim->next_arrival < INFINITY) {
			turn_mood(sim);
		} else {
			sim->next_mood = INFINITY;
		}
	}
	end(sim);
	mem_free(sim);
}

double simulate_percentile(const struct simulate_latency *latency, double part)
{
	u64 wanted = (u64)((double)latency->count * part), seen = 0;

	for (u32 i = 0; i < SIMULATE_BUCKETS && latency->count; i++) {
		seen += latency->buckets[i];
		if (seen > wanted)
			return bucket_first_ms * exp((i + 0.5) * bucket_step);
	}
	return 0;
}
