// SPDX-License-Identifier: Apache-2.0
// Seeds in which backends are judged: health checks, ejections, breakers, retries, hedges, limits.
// The control thread's model and checker run beside the worker, on its loop.
#include <stdio.h>

#include "base/mem.h"
#include "control/checker.h"
#include "control/model.h"
#include "proxy/exchange.h"
#include "sim.h"
#include "upstream/queue.h"

struct judge {
	struct world *world;
	struct model *model;
	struct checker *checker;
	struct timer tick;
	bool stopped;
	u64 published;		  // of which the worker was told
	u64 out_ms[SERVERS_MAX];  // by cell: since when no request may come to it; 0: one may
	u64 room_ms[SERVERS_MAX]; // by pool: since when somebody waits though there is room
};

enum { room_wait_ms = 2 * MODEL_TICK_MS }; // until the worker has heard of it

// ---- Plans --------------------------------------------------------------------------------------

static u32 one_of(struct world *world, u32 a, u32 b, u32 c)
{
	const u32 choices[] = {a, b, c};

	return choices[rng_below(&world->rng, 3)];
}

static void plan_check(struct world *world, struct conf_pool *pool, bool tcp)
{
	// That of gRPC needs backends that all speak HTTP/2.
	static const enum conf_check_type types[] = {
		CONF_CHECK_AUTO, CONF_CHECK_HTTP, CONF_CHECK_TCP, CONF_CHECK_NONE};
	struct conf_statuses *statuses = arena_zalloc(&world->arena, sizeof(*statuses));

	*statuses = (struct conf_statuses){200, 299};
	pool->check.type = tcp ? (plan_one_in(world, 2) ? CONF_CHECK_TCP : CONF_CHECK_NONE)
			       : types[plan_between(world, 0, ARRAY_LEN(types) - 1)];
	pool->check.rules = (struct health_rules){.healthy_threshold = plan_between(world, 1, 3),
		.unhealthy_threshold = plan_between(world, 1, 3),
		.interval_ms = plan_between(world, 300, 900),
		.fast_interval_ms = plan_between(world, 40, 200),
		.timeout_ms = plan_between(world, 60, 250),
		.jitter_percent = 10};
	pool->check.path = STR("/health");
	pool->check.method = STR("GET");
	pool->check.expect.statuses = statuses;
	pool->check.expect.status_count = 1;
}

static void plan_breaker(struct world *world, struct conf_pool *pool)
{
	u32 open_ms = plan_between(world, 50, 500);

	pool->breaker = (struct breaker_rules){
		.failure_threshold = plan_one_in(world, 4) ? 0 : plan_between(world, 2, 5),
		.error_percent = plan_one_in(world, 2) ? 50 : 0,
		.requests_min = 4,
		.window_ms = 1000,
		.success_threshold = plan_between(world, 1, 3),
		.trials_max = plan_between(world, 1, 2),
		.open_ms = open_ms,
		.open_ms_max = open_ms * plan_between(world, 1, 4),
		.share_percent = plan_one_in(world, 2) ? 100 : 50};
	pool->ejection = (struct ejection_rules){.connect_failures = plan_between(world, 0, 3),
		.errors = plan_between(world, 0, 4),
		.timeouts = plan_between(world, 0, 2),
		.base_ms = plan_between(world, 50, 400),
		.jitter_percent = 10,
		.share_percent = pool->breaker.share_percent};
	pool->ejection.max_ms = pool->ejection.base_ms * 3;
	pool->success_rate.enabled = plan_one_in(world, 4);
	pool->success_rate.interval_ms = 200;
	pool->success_rate.rules = (struct outlier_rules){.backends_min = 2,
		.requests_min = 3,
		.factor_thousandths = 900,
		.margin_percent = 5};
	pool->panic_percent = plan_one_in(world, 2) ? 50 : 0;
	pool->slow_start_ms = plan_one_in(world, 3) ? plan_between(world, 50, 800) : 0;
}

static void plan_retry(struct world *world, struct conf_pool *pool)
{
	struct retry_rules *rules = &pool->retry.rules;

	*rules = (struct retry_rules){.attempts_max = plan_between(world, 1, 4),
		.causes = plan_between(world, 0, 7),
		.has_budget = !plan_one_in(world, 4),
		.backoff_base_ms = one_of(world, 0, 20, plan_one_in(world, 2) ? 600 : 60),
		.backoff_max_ms = 600,
		.budget = {.percent = one_of(world, 0, 20, 100),
			.least = plan_between(world, 0, 6),
			.window_ms = 1000}};
	if (plan_one_in(world, 2)) {
		rules->statuses[rules->status_count++] = 500;
		rules->statuses[rules->status_count++] = 503;
	}
	pool->retry.body_bytes_max = one_of(world, 0, 1000, 64 * 1024);
	pool->retry.try_timeout_ms = plan_one_in(world, 2) ? plan_between(world, 150, 500) : 0;
	pool->timeouts.request_ms = plan_one_in(world, 4) ? plan_between(world, 100, 3000) : 0;
	if (rules->has_budget && plan_one_in(world, 3))
		pool->hedge = (struct hedge_rules){.percent = one_of(world, 1, 50, 90),
			.samples_min = plan_between(world, 1, 5),
			.delay_min_ms = 1};
}

static void plan_limits(struct world *world, struct conf_pool *pool)
{
	pool->limits.requests = plan_one_in(world, 6) ? plan_between(world, 1, 3) : 0;
	pool->limits.queue = plan_one_in(world, 4) ? plan_between(world, 0, 2) : 50;
	pool->timeouts.queue_ms = plan_between(world, 100, plan_one_in(world, 3) ? 3000 : 900);
	pool->limits.adaptive = plan_one_in(world, 8);
	pool->limits.gradient = (struct gradient_rules){1, 4, 2};
	pool->limits.shed.target_ms = plan_one_in(world, 4) ? plan_between(world, 10, 80) : 0;
	pool->limits.shed.interval_ms = 100;
}

void judge_plan_pool(struct world *world, struct conf_pool *pool, bool tcp)
{
	struct conf_hash_part *part = arena_zalloc(&world->arena, sizeof(*part));

	part->kind = tcp || plan_one_in(world, 2) ? CONF_HASH_CLIENT_IP : CONF_HASH_PATH;
	pool->algorithm = (enum conf_algorithm)plan_between(world, CONF_ROUND_ROBIN, CONF_PREQUAL);
	pool->hash.parts = part;
	pool->hash.part_count = 1;
	pool->hash.ipv4_bits = 32;
	pool->hash.ipv6_bits = 64;
	pool->hash.load_percent = plan_one_in(world, 3) ? 125 : 0;
	plan_check(world, pool, tcp);
	plan_breaker(world, pool);
	plan_retry(world, pool);
	plan_limits(world, pool);
}

void judge_plan_backend(struct world *world, struct conf_backend *backend, u32 index)
{
	backend->max_connections = plan_one_in(world, 5) ? plan_between(world, 1, 3) : 0;
	backend->is_backup = index > 0 && plan_one_in(world, 8);
	backend->slow_start_ms = plan_one_in(world, 10) ? plan_between(world, 50, 500) : 0;
}

// ---- The control thread's part ------------------------------------------------------------------

static void on_change(void *owner, const struct model_change *change)
{
	struct judge *judge = owner;
	struct world *world = judge->world;
	struct str to = str_from(change->to);

	world_say(world, "model: %.*s %.*s: %s to %s, %s, %u eligible", STR_FMT(change->pool->name),
		STR_FMT(change->backend ? change->backend->id : STR_EMPTY), change->from,
		change->to, change->reason, change->eligible);
	switch ((enum model_change_kind)change->kind) {
	case MODEL_HEALTH:
		world_fault(world, str_eq(to, STR("up")) ? FAULT_WENT_UP : FAULT_WENT_DOWN);
		break;
	case MODEL_EJECTED:
		world_fault(world, FAULT_EJECTED);
		break;
	case MODEL_RETURNED:
		world_fault(world, FAULT_RETURNED);
		break;
	case MODEL_BREAKER:
		world_fault(world, str_eq(to, STR("open"))	  ? FAULT_BREAKER_OPENS
				   : str_eq(to, STR("half_open")) ? FAULT_BREAKER_HALF_OPENS
								  : FAULT_BREAKER_CLOSES);
		break;
	case MODEL_PANIC:
		world_fault(world, FAULT_PANIC);
		break;
	case MODEL_POOL:
		world_fault(world, FAULT_POOL_LOST);
		break;
	case MODEL_CHECK_TYPE:
		break;
	}
	if (change->eligible == 0)
		world->has_lost[change->pool->index] = true;
}

// As in control/watch.c: only when there is news.
static void follow(struct judge *judge)
{
	if (judge->published == model_published(judge->model))
		return;
	judge->published = model_published(judge->model);
	upstream_nudge(&judge->world->proxy->upstream);
}

static void on_report(struct message *message)
{
	struct report *report = container_of(message, struct report, message);
	struct judge *judge = report->owner;

	if (!judge->stopped) {
		model_report(judge->model, report, world_now_ms(judge->world));
		checker_wake(judge->checker);
		follow(judge);
	}
	mem_free(report);
}

static void on_tick(struct timer *timer)
{
	struct judge *judge = container_of(timer, struct judge, tick);
	u64 now_ms = world_now_ms(judge->world);

	if (!model_tick(judge->model, now_ms))
		upstream_nudge(&judge->world->proxy->upstream);
	checker_wake(judge->checker);
	follow(judge);
	loop_timer_set(judge->world->loop, &judge->tick, now_ms + MODEL_TICK_MS);
}

void judge_start(struct world *world)
{
	struct judge *judge = mem_alloc(sizeof(*judge));
	u64 now_ms = world_now_ms(world);

	world->judge = judge;
	judge->world = world;
	judge->model = model_new(world->snapshot, on_change, judge, rng_u64(&world->rng), now_ms);
	judge->checker = checker_new(world->loop, judge->model, world->snapshot, 16);
	world->proxy->upstream.reports = (struct report_to){world->loop, on_report, judge};
	timer_init(&judge->tick, on_tick);
	loop_timer_set(world->loop, &judge->tick, now_ms + MODEL_TICK_MS);
	checker_wake(judge->checker);
}

void judge_stop(struct world *world)
{
	struct judge *judge = world->judge;

	if (!judge || judge->stopped)
		return;
	judge->stopped = true;
	loop_timer_cancel(world->loop, &judge->tick);
	checker_stop(judge->checker);
}

bool judge_is_idle(const struct world *world)
{
	return !world->judge || checker_is_idle(world->judge->checker);
}

void judge_free(struct world *world)
{
	mem_free(world->flows);
	if (!world->judge)
		return;
	checker_free(world->judge->checker);
	model_free(world->judge->model);
	mem_free(world->judge);
}

// The pool that takes over when its own is lost, or its own.
static u32 last_pool(const struct call *call)
{
	i32 failover = call->world->conf->pools[call->pool].failover;

	return failover < 0 ? call->pool : (u32)failover;
}

// ---- What must hold -----------------------------------------------------------------------------

static bool looks_stale(const struct arrival *arrival)
{
	// A part of a record or of a frame says nothing.
	bool is_framed = server_is_h2(arrival->server) || server_is_tls(arrival->server);
	bool is_unheard = !arrival->spoke || (arrival->reset && is_framed);

	return arrival->kept && is_unheard && !arrival->broken && !arrival->in_ended;
}

// Sent once more because a kept connection had been closed, to the same backend or, when that could
// not be connected to, to another one: not a retry. It happens once.
static bool is_replay(const struct call *call, u32 index)
{
	u32 first = 1;

	while (first < index && !looks_stale(&call->attempts[first - 1]))
		first++;
	return first == index && looks_stale(&call->attempts[index - 1]);
}

// What came to a pool and what was taken from its budget, by the worker's own counts and time.
enum { flow_max = 1024 };

struct flow {
	u32 count;
	u64 requests, charged; // so far
	struct {
		u64 at_ms;
		u32 requests, charged;
	} steps[flow_max];
};

// In any window no more is taken than the rules allow for what came in it.
static void check_budget(struct world *world, u32 pool, const struct flow *flow)
{
	const struct budget_rules *rules = &world->conf->pools[pool].retry.rules.budget;
	u64 now_ms = flow->steps[flow->count - 1].at_ms, requests = 0, charged = 0;

	for (u32 i = 0; i < flow->count; i++) {
		if (flow->steps[i].at_ms + rules->window_ms <= now_ms)
			continue;
		requests += flow->steps[i].requests;
		charged += flow->steps[i].charged;
	}
	if (charged > MAX((u64)rules->least, requests * rules->percent / 100))
		world_fail(world, "%llu second tries within a budget of %u or %u %% of %llu",
			(unsigned long long)charged, rules->least, rules->percent,
			(unsigned long long)requests);
}

// Who is out gets nothing from the next pick on.
static void check_asked(struct world *world, const struct exchange *x)
{
	const struct pick *pick = &x->attempt->pick;
	u64 leased_ms = x->attempt->leased_us / 1000, out_ms;

	// A replay goes where it was, whatever has become of that.
	if (x->over || !pick->is_begun || x->replayed)
		return;
	out_ms = world->judge->out_ms[pick->backend->cell];
	if (out_ms && leased_ms > out_ms + 1)
		world_fail(world, "a backend that is out (%s) is asked",
			eligible_why_text(backend_why(pick->backend)));
}

static bool has_room(const struct world *world, const struct backend *backend)
{
	const struct cell *cell = &world->snapshot->cells[0][backend->cell];
	enum eligible_why why = backend_why(backend);

	return eligible_is_in(why) && why != ELIGIBLE_TRIAL && backend->weight > 0 &&
	       (!backend->sockets_max || cell->idle_count ||
		       cap_used(backend->sockets) < backend->sockets_max) &&
	       (!backend->adaptive ||
		       cap_used(&backend->adaptive->requests) < backend->adaptive->limit);
}

// Nobody waits for long where there is room.
static void check_room(struct world *world, const struct pool *pool)
{
	u32 requests_max = pool->conf->limits.requests;
	u64 *since_ms = &world->judge->room_ms[pool->index];
	bool room = false;

	for (u32 i = 0; i < pool->backend_count && queue_is_general(pool); i++)
		room |= has_room(world, &pool->backends[i]);
	if (!room || (requests_max && cap_used(pool->requests) >= requests_max))
		*since_ms = 0;
	else if (*since_ms == 0)
		*since_ms = world_now_ms(world);
	else if (world_now_ms(world) > *since_ms + room_wait_ms)
		world_fail(world, "somebody waits though there is room");
}

static void check_sockets(struct world *world, const struct backend *backend)
{
	u32 connections = world->snapshot->cells[0][backend->cell].connections;

	if (backend->sockets_max && connections > backend->sockets_max)
		world_fail(world, "%u connections to a backend that takes %u", connections,
			backend->sockets_max);
}

static void check_judged(struct world *world)
{
	for (u32 p = 0; p < world->snapshot->pool_count; p++) {
		const struct pool *pool = world->snapshot->pools[p];

		check_room(world, pool);
		for (u32 b = 0; b < pool->backend_count; b++) {
			u64 *out_ms = &world->judge->out_ms[pool->backends[b].cell];

			check_sockets(world, &pool->backends[b]);
			if (eligible_is_in(backend_why(&pool->backends[b])))
				*out_ms = 0;
			else if (*out_ms == 0)
				*out_ms = world_now_ms(world);
		}
	}
	list_for_each (node, &world->proxy->client_list) {
		const struct client *client = list_entry(node, struct client, node);

		for (const struct exchange *x = client->exchanges; x; x = x->next_of_client)
			check_asked(world, x);
	}
}

void judge_check_turn(struct world *world)
{
	if (world->judge)
		check_judged(world);
	if (!world->flows)
		world->flows = mem_alloc(sizeof(struct flow) * world->pool_count);
	for (u32 i = 0; i < world->pool_count; i++) {
		const struct pool_cell *cell = world->snapshot->pools[i]->cells;
		struct flow *flow = &world->flows[i];
		u32 requests = (u32)(cell->requests - flow->requests);
		u32 charged = (u32)(cell->charged - flow->charged);

		if ((!requests && !charged) || flow->count == flow_max)
			continue;
		flow->requests += requests;
		flow->charged += charged;
		flow->steps[flow->count].at_ms = loop_now_ms(world->loop);
		flow->steps[flow->count].requests = requests;
		flow->steps[flow->count++].charged = charged;
		if (charged)
			check_budget(world, i, flow);
	}
}

// Who is on trial and has no trial left stays out for ever, if one was lost.
static void check_trials(struct world *world)
{
	(void)model_tick(world->judge->model, world_now_ms(world));
	for (u32 i = 0; i < world->snapshot->backend_count; i++) {
		const struct model_state *state =
			model_state(world->judge->model, world->snapshot->backends[i]);

		if (state->breaker.state == BREAKER_HALF_OPEN && state->breaker.trials)
			world_fail(world, "%u trials never end", state->breaker.trials);
	}
}

static void check_backend(struct world *world, struct backend *backend)
{
	const struct cell *cell = &world->snapshot->cells[0][backend->cell];

	if (cell->in_flight || cell->connections || cell->idle_count)
		world_fail(world, "%u requests, %u connections, %u idle ones left in a cell",
			cell->in_flight, cell->connections, cell->idle_count);
	if (cap_used(backend->sockets))
		world_fail(world, "%u sockets left in a bound", cap_used(backend->sockets));
	if (backend->adaptive && cap_used(&backend->adaptive->requests))
		world_fail(world, "requests left in an adaptive bound");
}

void judge_adopt(struct world *world, struct snapshot *snapshot)
{
	// Another object of a pool has another budget.
	for (u32 i = 0; world->flows && i < world->pool_count; i++)
		if (snapshot->pools[i] != world->snapshot->pools[i])
			world->flows[i] = (struct flow){0};
	if (!world->judge)
		return;
	checker_adopt(world->judge->checker, snapshot);
	model_adopt(world->judge->model, snapshot, world_now_ms(world));
}

void judge_check_end(struct world *world)
{
	if (world->judge)
		check_trials(world);
	for (u32 p = 0; p < world->snapshot->pool_count; p++) {
		struct pool *pool = world->snapshot->pools[p];

		if (queue_waiting(pool) || atomic_load(&pool->cells[0].waiting) ||
			atomic_load(&pool->cells[0].idle_bounded) || cap_used(pool->requests))
			world_fail(world, "somebody is left in a queue or a bound of a pool");
		for (u32 b = 0; b < pool->backend_count; b++)
			check_backend(world, &pool->backends[b]);
	}
}

static u32 tries_of(const struct call *call, u32 pool)
{
	const struct conf_pool *conf = &call->world->conf->pools[pool];

	return MAX(conf->retry.rules.attempts_max, conf->hedge.percent ? 2u : 1u);
}

// What came before ended in order with a part of an answer: no failure that may be tried again. An
// answer whose status asks for it is one, and whose try may have taken too long.
static bool had_answered(const struct call *call, const struct arrival *before)
{
	const struct conf *conf = call->world->conf;
	bool may_be_late = conf->pools[call->pool].retry.try_timeout_ms ||
			   conf->pools[last_pool(call)].retry.try_timeout_ms;

	return before->spoke && before->request_whole && before->gave_up && !before->stalled &&
	       !before->reset && call->answer.status < 500 && !may_be_late && !judge_hedges(call);
}

// One more arrival of a call at a backend.
void judge_check_again(struct call *call, const struct arrival *arrival)
{
	struct world *world = call->world;
	// The second copy of a hedged request is bounded by the budget alone.
	u32 tries_max = MAX(tries_of(call, call->pool), tries_of(call, last_pool(call)));
	u32 replays = 0;
	bool on_its_way;

	for (u32 n = 1; n < call->attempt_count; n++)
		replays += is_replay(call, n);
	if (!call->may_replay)
		world_fail(world, "call %u: %s came to backends twice", call->id, call->method);
	if (had_answered(call, &call->attempts[call->attempt_count - 2]))
		world_fail(
			world, "call %u: sent again though its answer had begun to come", call->id);
	if (replays > 1)
		world_fail(world, "call %u: replayed %u times", call->id, replays);
	if (call->attempt_count - replays > tries_max)
		world_fail(world, "call %u: %u tries of %u", call->id,
			call->attempt_count - replays, tries_max);
	// What was on its way when the answer began may still arrive.
	on_its_way =
		(judge_hedges(call) || call->local) && arrival->began_ms < call->got_ms + SLACK_MS;
	if (call->got_head && !call->unasked && !on_its_way)
		world_fail(world, "call %u: sent again though its answer has begun", call->id);
}

static bool pool_has_limits(const struct conf_pool *pool)
{
	for (u32 i = 0; i < pool->backend_count; i++)
		if (pool->backends[i].max_connections)
			return true;
	return pool->limits.requests || pool->limits.adaptive;
}

bool judge_has_limits(const struct call *call)
{
	const struct conf *conf = call->world->conf;

	return pool_has_limits(&conf->pools[call->pool]) ||
	       pool_has_limits(&conf->pools[last_pool(call)]);
}

bool judge_hedges(const struct call *call)
{
	const struct conf *conf = call->world->conf;

	return conf->pools[call->pool].hedge.percent || conf->pools[last_pool(call)].hedge.percent;
}

bool judge_is_late(const struct call *call)
{
	u64 request_ms = call->world->conf->pools[call->pool].timeouts.request_ms;

	return request_ms &&
	       MAX(call->got_ms, call->ended_ms) + SLACK_MS >= call->head_since_ms + request_ms;
}

void judge_excuses(const struct call *call, bool *backend, bool *connection)
{
	const struct world *world = call->world;
	u32 pools[] = {call->pool, last_pool(call)};

	*backend |= judge_is_late(call);
	for (u32 i = 0; i < ARRAY_LEN(pools); i++) {
		*connection |= world->has_lost[pools[i]] || world->has_trouble[pools[i]] ||
			       pool_has_limits(&world->conf->pools[pools[i]]);
		*backend |= world->has_trouble[pools[i]] && call->local;
	}
}
