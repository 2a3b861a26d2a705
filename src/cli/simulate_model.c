// SPDX-License-Identifier: Apache-2.0
#include "cli/simulate_inside.h"

#include <math.h>

#include "base/mem.h"
#include "decide/key_hash.h"

enum { nobody = UINT32_MAX, progress_steps = 50 };

static const double bucket_step = 0.01, bucket_first_ms = 1e-3;

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

// ---- Requests -----------------------------------------------------------------------------------

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
	at = simulate_uniform(&sim->rng) * sim->popular[high];
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
	if (simulate_is_full(sim, server))
		simulate_tell_all(sim, index);
	else
		simulate_tell(sim, worker, index);
	simulate_note_change(sim);
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
		ewma_observe(&view->latency, sample, simulate_now_ns(sim));
	if (sim->kind == BALANCE_PREQUAL)
		curve_observe(&view->curve, job->met, sample, simulate_now_ns(sim));
}

static void depart(struct simulation *sim)
{
	u32 id = pop(sim).job;
	struct job *job = &sim->jobs[id];
	struct server *server = &sim->servers[job->server];
	struct worker *worker = &sim->workers[job->worker];
	bool was_full = simulate_is_full(sim, server);

	server->in_flight--;
	server->in_service--;
	note_latency(sim, job);
	if (server->queue.first != nobody)
		serve(sim, queue_pop(sim, &server->queue));
	worker->views[job->server].own--;
	if (was_full)
		simulate_tell_all(sim, job->server);
	else
		simulate_tell(sim, worker, job->server);
	simulate_note_change(sim);
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
		simulate_build(sim);
	for (u32 i = 0; i < options->servers; i++)
		if (is_among(i, options->lose, options->servers))
			simulate_tell_all(sim, i);
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
		double service_ms = simulate_draw_service(sim);

		arrive(sim, service_ms, draw_client(sim));
	}
	sim->arrived++;
	if (sim->arrived == sim->total)
		sim->next_arrival = INFINITY;
	else if (trace)
		sim->next_arrival =
			fmax(sim->now, trace->requests[sim->arrived].at_ms / options->pace);
	else
		sim->next_arrival = sim->now + simulate_draw_gap(sim);
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
	simulate_build(sim);
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
			simulate_turn_news(sim);
		else if (sim->next_arrival < INFINITY)
			simulate_turn_mood(sim);
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
