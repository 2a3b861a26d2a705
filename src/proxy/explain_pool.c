// SPDX-License-Identifier: Apache-2.0
// From the pool on: who of it may get the request, who does, and what that one gets to see.
#include "proto/h1_write.h"
#include "proxy/explain_parts.h"
#include "proxy/request.h"

enum { musts_max = BALANCE_LOOKS_MAX + 2 };

// ---- Backends -----------------------------------------------------------------------------------

// Those that are listed in any case, because the answer speaks of them.
struct musts {
	u32 count;
	u32 index[musts_max];
};

static void add_must(struct musts *musts, u32 index)
{
	for (u32 i = 0; i < musts->count; i++)
		if (musts->index[i] == index)
			return;
	if (musts->count < musts_max)
		musts->index[musts->count++] = index;
}

static u32 count_from(const struct musts *musts, u32 first)
{
	u32 count = 0;

	for (u32 i = 0; i < musts->count; i++)
		count += musts->index[i] >= first;
	return count;
}

static void tell_backend(struct explain *explain, const struct picker *picker, u32 index,
	struct explain_backend *told)
{
	const struct backend *backend = &picker->pool->backends[index];

	*told = (struct explain_backend){
		.id = explain_keep(explain, backend->id),
		.address = explain_keep(explain, backend->address),
		.index = index,
		.weight = backend->weight,
		.in_flight = picker_in_flight(picker->upstream, backend),
		.why = (u8)backend_why(backend),
		.is_full = upstream_cell(picker->upstream, backend)->is_full,
		.has_cost = picker->has_costs,
		.cost = picker->has_costs ? picker_cost_now(picker, backend) : 0,
	};
}

// The first ones, in their order, and behind them the musts that are not among these.
static void tell_backends(struct explain *explain, const struct picker *picker,
	const struct musts *musts, struct explain_pool *told)
{
	u32 total = picker->pool->backend_count, first = MIN(total, (u32)EXPLAIN_BACKENDS_MAX);

	while (first + count_from(musts, first) > EXPLAIN_BACKENDS_MAX)
		first--;
	told->backend_count = first + count_from(musts, first);
	told->backends = explain_alloc(explain, sizeof(*told->backends) * told->backend_count);
	told->backends_left_out = total - told->backend_count;
	if (!told->backends) {
		told->backend_count = 0;
		return;
	}
	for (u32 i = 0; i < first; i++)
		tell_backend(explain, picker, i, &told->backends[i]);
	for (u32 i = 0, at = first; i < musts->count; i++)
		if (musts->index[i] >= first)
			tell_backend(explain, picker, musts->index[i], &told->backends[at++]);
}

static void tell_looks(struct explain *explain, const struct pool *pool,
	const struct balance_seen *seen, struct musts *musts, struct explain_pool *told)
{
	u32 count = MIN((u32)seen->count, (u32)BALANCE_LOOKS_MAX);

	told->looks_seen = seen->count;
	told->by_weight = seen->by_weight;
	told->looks = explain_alloc(explain, sizeof(*told->looks) * MAX(count, 1u));
	if (!told->looks)
		return;
	told->look_count = count;
	for (u32 i = 0; i < count; i++) {
		const struct balance_look *look = &seen->looks[i];

		told->looks[i] = (struct explain_look){
			.backend = explain_keep(explain, pool->backends[look->index].id),
			.verdict = look->verdict,
			.cost = (double)look->cost};
		add_must(musts, look->index);
	}
}

// ---- One pool -----------------------------------------------------------------------------------

static bool is_random(enum balance_kind kind)
{
	switch (kind) {
	case BALANCE_RANDOM:
	case BALANCE_WEIGHTED_RANDOM:
	case BALANCE_POWER_OF_TWO:
	case BALANCE_LEAST_RESPONSE_TIME:
	case BALANCE_PREQUAL:
		return true;
	default:
		return false;
	}
}

// Fills in what the pick depends on, and tells it. Without a part that it is balanced by, its key
// is drawn.
static void look(struct explain *explain, struct exchange *x, struct explain_pool *told)
{
	struct rng before = x->proxy->rng;

	attempt_look(x);
	told->has_key = balance_kind_info(x->pool->kind)->keyed;
	told->is_key_random = memcmp(&before, &x->proxy->rng, sizeof(before)) != 0;
	told->key = told->has_key ? x->key : 0;
	if (x->sticky != BALANCE_NONE)
		told->cookie = explain_keep(explain, x->pool->backends[x->sticky].id);
	explain->is_chance |= told->is_key_random || is_random(x->pool->kind);
}

// By what take_place of attempt.c goes.
static bool pool_is_full(const struct pool *pool)
{
	u32 requests_max = pool->conf->limits.requests;

	return requests_max &&
	       (queue_is_general(pool) || atomic_load(&pool->requests->used) >= requests_max);
}

static enum pick_verdict tell_pool(struct explain *explain, struct exchange *x, struct pick *pick)
{
	struct explain_pool *told = &explain->pools[explain->pool_count++];
	struct upstream *upstream = exchange_upstream(x);
	struct picker *picker = upstream_picker(upstream, x->pool);
	struct pick_ask ask = {.tried = &x->tried, .seen = &x->seen.balance};
	struct musts musts = {0};
	enum pick_verdict verdict;

	told->name = explain_keep(explain, x->pool->name);
	told->algorithm = (u8)x->pool->kind;
	look(explain, x, told);
	ask.key = x->key;
	ask.preferred = x->sticky;
	told->is_pool_full = pool_is_full(x->pool);
	pick_seen_begin(&x->seen, upstream, x->pool);
	verdict = told->is_pool_full ? PICK_FULL : pick_peek(upstream, x->pool, &ask, pick);
	told->verdict = (u8)verdict;
	told->backend_total = x->pool->backend_count;
	told->eligible = x->seen.eligible;
	told->full = x->seen.full;
	told->waiting = picker->queue.count;
	told->queue_max = x->pool->conf->limits.queue;
	tell_looks(explain, x->pool, &x->seen.balance, &musts, told);
	if (x->sticky != BALANCE_NONE)
		add_must(&musts, x->sticky);
	if (verdict == PICK_OK)
		add_must(&musts, pick->backend->index);
	tell_backends(explain, picker, &musts, told);
	return verdict;
}

// ---- What follows -------------------------------------------------------------------------------

static void tell_bounds(struct explain *explain, const struct exchange *x)
{
	const struct pool *pool = x->pool;

	explain->connect_timeout_ms = pool->connect_timeout_ms;
	explain->queue_timeout_ms = pool->conf->timeouts.queue_ms;
	explain->attempts_max = x->retry->rules.attempts_max;
	if (x->tcp)
		return;
	explain->response_timeout_ms = x->route && x->route->response_timeout_ms
					       ? x->route->response_timeout_ms
					       : pool->response_timeout_ms;
	if (x->deadline_ms != UINT64_MAX)
		explain->request_timeout_ms = x->deadline_ms - x->headed_us / 1000;
	explain->body_bytes_max = x->frontend->conf->http.max_body_size;
}

static void keep_head(struct explain *explain, const struct bytes *bytes)
{
	char *at = explain_alloc(explain, bytes->len + 1);

	if (!at)
		return;
	explain->head = str_make(at, bytes->len);
	for (const struct segment *segment = bytes->head; segment; segment = segment->next) {
		if (segment->slice.len)
			memcpy(at, segment->slice.ptr, segment->slice.len);
		at += segment->slice.len;
	}
}

// As attempt.c and h1_stream.c send it.
static void tell_head(struct explain *explain, struct exchange *x, const struct pick *pick)
{
	struct h1_head_form form = {
		.chunked = x->request->framing == HTTP_CHUNKED, .keep_alive = true};
	struct bytes bytes = {0};

	x->attempt->pick = *pick;
	request_address(x, pick->backend);
	if (x->is_recorded) { // its span has an id of its own
		tracing_try(x, x->attempt);
		tracing_send(x, x->attempt);
	}
	if (h1_write_head(&x->proxy->loop->blocks, &bytes, x->request, &form) == 0)
		keep_head(explain, &bytes);
	bytes_clear(&bytes);
}

static void tell_picked(struct explain *explain, struct exchange *x, const struct pick *pick)
{
	explain->end = EXPLAIN_SENT;
	explain->picked = explain_keep(explain, pick->backend->id);
	explain->picked_address = explain_keep(explain, pick->backend->address);
	explain->picked_index = pick->backend->index;
	explain->picked_h2 = pick->backend->is_h2 && !explain->tcp;
	explain->picked_tls = pick->backend->is_tls;
	explain->picked_verified = pick->backend->conf->tls.verify;
	explain->picked_name = explain_keep(explain, pick->backend->conf->tls.server_name);
	explain->is_trial = pick->is_trial;
	if (!x->tcp)
		tell_head(explain, x, pick);
}

static void answer(struct explain *explain, enum outcome outcome)
{
	explain->end = EXPLAIN_ANSWERED;
	explain->outcome = (u8)outcome;
	explain->status = explain->tcp ? 0 : outcome_info(outcome)->status;
}

void explain_pools(struct explain *explain, struct exchange *x)
{
	struct pick pick = {0};
	enum pick_verdict verdict = tell_pool(explain, x, &pick);

	// As step_pick and fail_over do it.
	while (verdict == PICK_NOBODY && x->pool->failover &&
		x->failovers < EXCHANGE_FAILOVERS_MAX) {
		x->failovers++;
		x->pool = x->pool->failover;
		verdict = tell_pool(explain, x, &pick);
	}
	tell_bounds(explain, x);
	switch (verdict) {
	case PICK_OK:
		tell_picked(explain, x, &pick);
		break;
	case PICK_FULL:
		explain->end = EXPLAIN_WAITS;
		if (upstream_picker(exchange_upstream(x), x->pool)->queue.count >=
			x->pool->conf->limits.queue)
			answer(explain, OUTCOME_QUEUE_FULL);
		break;
	case PICK_TRIED: // nothing was
	case PICK_NOBODY:
		answer(explain, OUTCOME_NO_BACKEND_AVAILABLE);
		break;
	}
}
