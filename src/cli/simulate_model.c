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
	u32 next, worker, met, server, client;
	u16 slice;
	bool in_loss; // it came while servers were lost
};

struct queue {
	u32 first, last; // jobs
};

struct server {
	struct queue queue;
	u32 in_flight, in_service;
	u32 told;	   // in flight, by what the workers have told
	u32 taken_in_loss; // while others were lost
	double speed;
	bool is_lost;
};

// Of one server, as one worker knows it.
struct view {
	u32 own, others; // requests in flight
	u32 told;	 // of its own, what it has told
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
	struct queue waiting; // in the balancer: every server is full
	u64 *keys;
	u32 *last_server; // of each client
	double *popular;  // how many requests are of a client up to this one, of the sum of all
	double now, next_arrival, next_news, next_mood, mean_gap;
	u64 news;	 // moments of news so far
	u32 quiet;	 // of them since the last request began or ended
	bool hears_news; // it makes a difference
	bool in_burst, are_lost, was_lost;
	u64 arrived, total, position, arrived_in_loss;
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

static void queue_push(struct simulation *sim, struct queue *queue, u32 job)
{
	if (queue->first == nobody)
		queue->first = job;
	else
		sim->jobs[queue->last].next = job;
	queue->last = job;
	sim->jobs[job].next = nobody;
}

static u32 queue_pop(struct simulation *sim, struct queue *queue)
{
	u32 job = queue->first;

	queue->first = sim->jobs[job].next;
	return job;
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

static bool is_full(const struct simulation *sim, const struct server *server)
{
	u64 most = sim->options->max_connections;

	return most && server->in_flight >= most;
}

static void tell(struct simulation *sim, struct worker *worker, u32 index)
{
	const struct server *server = &sim->servers[index];
	const struct view *view = &worker->views[index];
	struct balance_load load = {.in_flight = view->own + view->others,
		.slow_start = 1,
		.latency = view->latency,
		.now = now_ns(sim)};

	balance_change(worker->state, index, !server->is_lost && !is_full(sim, server),
		balance_cost(sim->table, index, &load));
	if (sim->kind == BALANCE_PREQUAL) {
		struct balance_ewma latency = curve_read(&view->curve, load.in_flight);

		balance_change_latency(worker->state, index, balance_latency_key(&latency));
	}
}

static void tell_all(struct simulation *sim, u32 index)
{
	for (u32 w = 0; w < sim->options->workers; w++)
		tell(sim, &sim->workers[w], index);
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

		sim->members[i].weight = is_out ? 0 : simulate_weight(options, i);
	}
	sim->table = balance_build(sim->kind, sim->members, count, &balance, &sim->arena);
	for (u32 w = 0; w < options->workers; w++) {
		sim->workers[w].state = balance_state_new(sim->table, w, &sim->arena);
		for (u32 i = 0; i < count; i++)
			tell(sim, &sim->workers[w], i);
	}
}

// One worker tells its counts and reads those of the others.
static void hear(struct simulation *sim)
{
	struct worker *worker = &sim->workers[sim->news % sim->options->workers];

	for (u32 index = 0; index < sim->options->servers; index++) {
		struct view *view = &worker->views[index];
		struct server *server = &sim->servers[index];
		u32 others = server->told - view->told;

		server->told += view->own - view->told;
		view->told = view->own;
		if (others == view->others)
			continue;
		view->others = others;
		tell(sim, worker, index);
	}
}

static double news_step(const struct simulation *sim)
{
	return sim->options->news_ms / (double)sim->options->workers;
}

// When all have heard twice of a standstill there is no news until something happens.
static void turn_news(struct simulation *sim)
{
	hear(sim);
	sim->news++;
	sim->quiet++;
	sim->next_news = sim->quiet > 2 * sim->options->workers
				 ? INFINITY
				 : (double)(sim->news + 1) * news_step(sim);
}

static void note_change(struct simulation *sim)
{
	sim->quiet = 0;
	if (!sim->hears_news || sim->next_news < INFINITY)
		return;
	sim->news = (u64)(sim->now / news_step(sim));
	sim->next_news = (double)(sim->news + 1) * news_step(sim);
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

static u32 draw_client(struct simulation *sim)
{
	u32 low = 0, high = (u32)sim->options->clients - 1;
	double at;

	if (!sim->popular)
		return rng_below(&sim->rng, high + 1);
	at = uniform(&sim->rng) * sim->popular[high];
	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (sim->popular[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void note_client(struct simulation *sim, u32 client, u32 index)
{
	if (sim->last_server[client] != nobody) {
		sim->result->returns++;
		sim->result->breaks += sim->last_server[client] != index;
	}
	sim->last_server[client] = index;
}

// False: every server that is there is full.
static bool dispatch(struct simulation *sim, u32 id)
{
	static const struct balance_tried none;
	struct job *job = &sim->jobs[id];
	struct worker *worker = &sim->workers[job->worker];
	struct balance_ask ask = {.rng = &sim->pick_rng,
		.tried = &none,
		.position = sim->position,
		.key = sim->keys[job->client]};
	u32 index = balance_pick(worker->state, &ask);
	struct server *server;

	if (index == BALANCE_NONE)
		return false;
	sim->position++;
	server = &sim->servers[index];
	job->server = index;
	job->met = worker->views[index].own + worker->views[index].others;
	sim->result->taken[index]++;
	server->taken_in_loss += sim->are_lost;
	server->in_flight++;
	sim->result->longest = MAX(sim->result->longest, server->in_flight);
	if (server->in_service < sim->options->slots)
		serve(sim, id);
	else
		queue_push(sim, &server->queue, id);
	note_client(sim, job->client, index);
	worker->views[index].own++;
	if (is_full(sim, server))
		tell_all(sim, index);
	else
		tell(sim, worker, index);
	note_change(sim);
	return true;
}

static void dispatch_waiting(struct simulation *sim)
{
	while (sim->waiting.first != nobody) {
		u32 next = sim->jobs[sim->waiting.first].next;

		if (!dispatch(sim, sim->waiting.first))
			return;
		sim->waiting.first = next;
	}
}

static void arrive(struct simulation *sim, double service_ms, u32 client)
{
	u32 id = take_job(sim);

	sim->jobs[id] = (struct job){.arrival = sim->now,
		.service_ms = service_ms,
		.worker = rng_below(&sim->rng, (u32)sim->options->workers),
		.client = client,
		.slice = (u16)(sim->arrived * SIMULATE_SLICES / sim->total),
		.in_loss = sim->are_lost};
	sim->arrived_in_loss += sim->are_lost;
	if (dispatch(sim, id))
		return;
	ASSERT(sim->options->max_connections > 0);
	sim->result->waited++;
	queue_push(sim, &sim->waiting, id);
}

static void note_latency(struct simulation *sim, const struct job *job)
{
	struct view *view = &sim->workers[job->worker].views[job->server];
	double ms = sim->now - job->arrival;
	nsec sample = (nsec)(ms * (double)NSEC_PER_MS);

	sim->sum_ms += ms;
	simulate_count(&sim->result->all, ms);
	simulate_count(&sim->result->slices[job->slice], ms);
	if (job->in_loss)
		simulate_count(&sim->result->while_lost, ms);
	if (sim->kind == BALANCE_LEAST_RESPONSE_TIME)
		ewma_observe(&view->latency, sample, now_ns(sim));
	if (sim->kind == BALANCE_PREQUAL)
		curve_observe(&view->curve, job->met, sample, now_ns(sim));
}

static void depart(struct simulation *sim)
{
	u32 id = pop(sim).job;
	struct job *job = &sim->jobs[id];
	struct server *server = &sim->servers[job->server];
	struct worker *worker = &sim->workers[job->worker];
	bool was_full = is_full(sim, server);

	server->in_flight--;
	server->in_service--;
	note_latency(sim, job);
	if (server->queue.first != nobody)
		serve(sim, queue_pop(sim, &server->queue));
	worker->views[job->server].own--;
	if (was_full)
		tell_all(sim, job->server);
	else
		tell(sim, worker, job->server);
	note_change(sim);
	job->next = sim->free_job;
	sim->free_job = id;
	dispatch_waiting(sim);
}

// ---- A run --------------------------------------------------------------------------------------

// Slow and lost servers are spread over the pool, so that light and heavy ones are among them:
// `some` of `count`.
static bool is_among(u32 index, u64 some, u64 count)
{
	return some && (index * some) % count < some;
}

static void lose(struct simulation *sim, bool lost)
{
	const struct simulate_options *options = sim->options;

	sim->are_lost = lost;
	for (u32 i = 0; i < options->servers; i++)
		sim->servers[i].is_lost = lost && is_among(i, options->lose, options->servers);
	if (sim->info->eligible_only)
		build(sim);
	for (u32 i = 0; i < options->servers; i++)
		if (is_among(i, options->lose, options->servers))
			tell_all(sim, i);
	dispatch_waiting(sim);
}

static void lose_and_regain(struct simulation *sim, double part)
{
	const struct simulate_options *options = sim->options;

	if (options->lose && !sim->was_lost && part >= options->lose_at) {
		sim->was_lost = true;
		lose(sim, true);
	}
	if (sim->are_lost && part >= options->back_at)
		lose(sim, false);
}

static void next_request(struct simulation *sim, simulate_progress_fn *progress, void *context)
{
	const struct simulate_options *options = sim->options;
	const struct simulate_trace *trace = options->trace;
	double part = (double)sim->arrived / (double)sim->total;

	lose_and_regain(sim, part);
	if (trace) {
		const struct simulate_request *request = &trace->requests[sim->arrived];

		arrive(sim, request->service_ms, request->client);
	} else {
		double service_ms = draw_service(sim);

		arrive(sim, service_ms, draw_client(sim));
	}
	sim->arrived++;
	if (sim->arrived == sim->total)
		sim->next_arrival = INFINITY;
	else if (trace)
		sim->next_arrival =
			fmax(sim->now, trace->requests[sim->arrived].at_ms / options->pace);
	else
		sim->next_arrival = sim->now + draw_gap(sim);
	if (progress && sim->arrived % (sim->total / progress_steps + 1) == 0)
		progress(context, sim->info->name, part);
}

static void begin_clients(struct simulation *sim, const struct key_hash_secret *secret)
{
	const struct simulate_options *options = sim->options;
	const struct simulate_trace *trace = options->trace;
	u32 clients = trace ? trace->client_count : (u32)options->clients;
	double sum = 0;

	sim->keys = mem_alloc(sizeof(u64) * clients);
	sim->last_server = mem_alloc(sizeof(u32) * clients);
	for (u32 i = 0; i < clients; i++) {
		sim->keys[i] = trace ? trace->keys[i] : key_hash(secret, &i, sizeof(i));
		sim->last_server[i] = nobody;
	}
	if (trace || options->skew <= 0)
		return;
	sim->popular = mem_alloc(sizeof(double) * clients);
	for (u32 i = 0; i < clients; i++) {
		sum += pow(i + 1, -options->skew);
		sim->popular[i] = sum;
	}
}

static bool has_logged_servers(const struct simulate_options *options)
{
	return options->trace && options->trace->backend_count == options->servers;
}

static double speed_of(const struct simulate_options *options, u32 index)
{
	u64 slow = options->servers * options->slow / 100;
	double speed = has_logged_servers(options)
			       ? options->trace->backends[index].speed
			       : simulate_fair(options, index) * (double)options->servers;

	if (is_among(index, slow, options->servers))
		speed /= options->slow_factor;
	return speed;
}

static void begin_servers(struct simulation *sim, const struct key_hash_secret *secret)
{
	const struct simulate_options *options = sim->options;

	sim->members = mem_alloc(sizeof(*sim->members) * options->servers);
	sim->servers = mem_alloc(sizeof(*sim->servers) * options->servers);
	for (u32 i = 0; i < options->servers; i++) {
		sim->members[i].id =
			has_logged_servers(options)
				? balance_id(str_from(options->trace->backends[i].name))
				: key_hash(secret, &(u64){i}, sizeof(u64));
		sim->servers[i].queue.first = nobody;
		sim->servers[i].speed = speed_of(options, i);
	}
	for (u32 w = 0; w < options->workers; w++)
		sim->workers[w].views = mem_alloc(sizeof(struct view) * options->servers);
}

static void begin(struct simulation *sim)
{
	const struct simulate_options *options = sim->options;
	const struct simulate_trace *trace = options->trace;
	struct key_hash_secret secret = {{options->seed, 0}};

	rng_init(&sim->rng, options->seed);
	rng_init(&sim->pick_rng, options->seed + 1);
	arena_init(&sim->arena, (size_t)1 << 30);
	sim->total = trace ? trace->count : options->requests;
	sim->mean_gap =
		options->mean_ms / (options->load * (double)(options->servers * options->slots));
	sim->departure_room = sim->job_room = 1024;
	sim->departures = mem_alloc(sizeof(*sim->departures) * sim->departure_room);
	sim->jobs = mem_alloc(sizeof(*sim->jobs) * sim->job_room);
	sim->free_job = sim->waiting.first = nobody;
	begin_clients(sim, &secret);
	begin_servers(sim, &secret);
	build(sim);
	sim->hears_news =
		options->workers > 1 && balance_cost_kind_of(sim->table) != BALANCE_COST_NONE;
	sim->next_news = INFINITY;
	sim->next_arrival = trace ? trace->requests[0].at_ms / options->pace : 0;
	sim->next_mood = !trace && options->arrival == ARRIVAL_BURST ? 0 : INFINITY;
}

static void sum_up(const struct simulation *sim)
{
	const struct simulate_options *options = sim->options;
	struct simulate_result *result = sim->result;
	double left = 0, squares = 0;

	for (u32 i = 0; i < options->servers; i++) {
		double fair = simulate_fair(options, i);
		double part = result->taken[i] / (fair * (double)sim->arrived);

		result->busiest = fmax(result->busiest, part);
		squares += (part - 1) * (part - 1);
		left += is_among(i, options->lose, options->servers) ? 0 : fair;
	}
	result->deviation = sqrt(squares / (double)options->servers);
	for (u32 i = 0; i < options->servers && sim->arrived_in_loss; i++) {
		double fair = simulate_fair(options, i) / left * (double)sim->arrived_in_loss;

		result->busiest_left =
			fmax(result->busiest_left, sim->servers[i].taken_in_loss / fair);
	}
	result->mean_ms = result->all.count ? sim->sum_ms / (double)result->all.count : 0;
}

static void end(struct simulation *sim)
{
	sum_up(sim);
	for (u32 w = 0; w < sim->options->workers; w++)
		mem_free(sim->workers[w].views);
	mem_free(sim->members);
	mem_free(sim->servers);
	mem_free(sim->departures);
	mem_free(sim->jobs);
	mem_free(sim->keys);
	mem_free(sim->last_server);
	mem_free(sim->popular);
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
	begin(sim);
	while (sim->next_arrival < INFINITY || sim->departure_count > 0) {
		double departure = sim->departure_count ? sim->departures[0].at : INFINITY;
		double next = fmin(departure, sim->next_arrival);

		sim->now = fmin(next, fmin(sim->next_news, sim->next_mood));
		if (sim->now >= next && departure <= sim->next_arrival)
			depart(sim);
		else if (sim->now >= next)
			next_request(sim, progress, context);
		else if (sim->now >= sim->next_news)
			turn_news(sim);
		else if (sim->next_arrival < INFINITY)
			turn_mood(sim);
		else
			sim->next_mood = INFINITY;
	}
	end(sim);
	mem_free(sim);
}

// ---- Numbers ------------------------------------------------------------------------------------

u32 simulate_weight(const struct simulate_options *options, u32 index)
{
	return options->weight_count ? options->weights[index % options->weight_count] : 1;
}

double simulate_fair(const struct simulate_options *options, u32 index)
{
	u32 pattern = MAX(options->weight_count, 1);
	u64 sum = 0;

	for (u32 i = 0; i < pattern; i++)
		sum += simulate_weight(options, i) *
		       ((options->servers + pattern - 1 - i) / pattern);
	return (double)simulate_weight(options, index) / (double)sum;
}

void simulate_count(struct simulate_latency *latency, double ms)
{
	double bucket = ms > bucket_first_ms ? log(ms / bucket_first_ms) / bucket_step : 0;

	latency->buckets[MIN((u32)fmin(bucket, SIMULATE_BUCKETS), SIMULATE_BUCKETS - 1)]++;
	latency->count++;
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
