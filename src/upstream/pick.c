// SPDX-License-Identifier: Apache-2.0
#include "upstream/pick.h"

#include "upstream/load.h"
#include "upstream/queue.h"

enum {
	state_bytes_max = 1 << 28,
	full_looks_max = 4, // members that are looked at again in an ordinary pick
};

// ---- What a backend costs -----------------------------------------------------------------------

u32 picker_in_flight(const struct upstream *upstream, const struct backend *backend)
{
	u32 own = upstream->cells[backend->cell].in_flight;

	return upstream->ear.in_flight ? own + upstream->ear.in_flight[backend->cell] : own;
}

double picker_cost(const struct picker *picker, const struct backend *backend, u32 in_flight)
{
	struct upstream *upstream = picker->upstream;
	u32 share = atomic_load_explicit(&backend->share, memory_order_relaxed);
	struct balance_load load = {.in_flight = in_flight,
		.slow_start = share / (double)SLOW_START_WHOLE,
		.latency = upstream->cells[backend->cell].latency,
		.now = loop_now_us(upstream->loop) * 1000};

	return balance_cost(picker->table, backend->index, &load);
}

double picker_cost_now(const struct picker *picker, const struct backend *backend)
{
	u32 own = picker_in_flight(picker->upstream, backend);
	const struct load_told *told = picker->upstream->cells[backend->cell].told;

	return picker_cost(
		picker, backend, unlikely(load_is_told(told)) ? load_in_flight(told, own) : own);
}

// Prequal's second number.
static double latency_key_of(const struct picker *picker, const struct backend *backend)
{
	const struct cell *cell = upstream_cell(picker->upstream, backend);
	struct balance_ewma latency;

	if (load_is_told(cell->told) && cell->told->has_latency)
		latency = (struct balance_ewma){
			.value_ns = (double)MAX(cell->told->latency, 1), .at = cell->told->at};
	else
		latency = curve_read(cell->curve, picker_in_flight(picker->upstream, backend));
	return balance_latency_key(&latency);
}

static bool is_in(const struct picker *picker, const struct backend *backend)
{
	return eligible_is_in(backend_why(backend)) && backend->weight > 0 &&
	       !picker->upstream->cells[backend->cell].is_full;
}

static void change(struct picker *picker, const struct backend *backend, bool in)
{
	balance_change(picker->state, backend->index, in,
		picker->has_costs ? picker_cost_now(picker, backend) : 0);
	if (picker->pool->kind == BALANCE_PREQUAL)
		balance_change_latency(
			picker->state, backend->index, latency_key_of(picker, backend));
}

void picker_cost_changed(struct picker *picker, const struct backend *backend)
{
	change(picker, backend, balance_is_eligible(picker->state, backend->index));
}

static void on_heard(struct upstream *upstream, struct backend *backend)
{
	picker_cost_changed(upstream_picker(upstream, backend->pool), backend);
}

// ---- What the control thread says ---------------------------------------------------------------

void picker_sync(struct picker *picker)
{
	struct pool *pool = picker->pool;
	u64 generation = atomic_load_explicit(&pool->generation, memory_order_acquire);
	const struct view *view = atomic_load_explicit(&pool->view, memory_order_acquire);

	if (generation == picker->generation)
		return;
	if (view->table != picker->table) {
		balance_retable(picker->state, view->table);
		picker->table = view->table;
	}
	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct backend *backend = &pool->backends[i];
		bool in = is_in(picker, backend);

		if (picker->has_costs || in != balance_is_eligible(picker->state, i))
			change(picker, backend, in);
	}
	picker->generation = generation;
	atomic_store_explicit(&picker->shared->seen, generation, memory_order_release);
	if (picker->queue.count)
		loop_defer(picker->upstream->loop, &picker->serve);
}

// What was learned of a backend before is learned.
static void give_curve(struct picker *picker, struct cell *cell)
{
	const struct balance_curve *before = cell->curve;

	cell->curve = NULL;
	if (picker->pool->kind != BALANCE_PREQUAL)
		return;
	cell->curve = arena_zalloc(&picker->arena, sizeof(*cell->curve));
	if (before)
		*cell->curve = *before;
}

// All that is of this object of the pool.
static void take_pool(struct picker *picker, struct pool *pool)
{
	struct upstream *upstream = picker->upstream;
	const struct view *view = atomic_load_explicit(&pool->view, memory_order_acquire);
	enum balance_cost_kind cost = balance_cost_kind_of(view->table);

	picker->pool = pool;
	picker->is_current = true;
	picker->shared = &pool->cells[upstream->number];
	picker->table = view->table;
	picker->has_costs = cost != BALANCE_COST_NONE;
	picker->learns = cost == BALANCE_COST_LATENCY || pool->kind == BALANCE_PREQUAL;
	arena_init(&picker->arena, state_bytes_max);
	picker->state = balance_state_new(view->table, upstream->number, &picker->arena);
	load_init(picker);
	for (u32 i = 0; i < pool->backend_count; i++) {
		struct backend *backend = &pool->backends[i];
		struct cell *cell = upstream_cell(upstream, backend);

		list_init(&cell->full_node);
		give_curve(picker, cell);
		change(picker, backend, is_in(picker, backend));
	}
	picker->generation = 0;
	picker_sync(picker);
}

void picker_init(struct picker *picker, struct upstream *upstream, struct pool *pool)
{
	picker->upstream = upstream;
	list_init(&picker->full);
	list_init(&picker->idle);
	queue_init(picker);
	take_pool(picker, pool);
}

static void leave_pool(struct picker *picker)
{
	struct upstream *upstream = picker->upstream;
	const struct pool *pool = picker->pool;

	while (!list_is_empty(&picker->full)) {
		struct cell *cell = list_first(&picker->full, struct cell, full_node);

		list_remove(&cell->full_node);
		cell->is_full = false;
	}
	picker->full_count = 0;
	for (u32 i = 0; i < pool->backend_count; i++)
		upstream_cell(upstream, &pool->backends[i])->told = NULL;
}

static void forget_curves(struct upstream *upstream, const struct pool *pool)
{
	for (u32 i = 0; i < pool->backend_count; i++)
		if (!upstream->backends[pool->backends[i].cell])
			upstream_cell(upstream, &pool->backends[i])->curve = NULL;
}

void picker_succeed(struct picker *picker, struct pool *pool)
{
	const struct pool *before = picker->pool;
	struct arena arena = picker->arena; // what has to be read once more is in it
	struct list waiting;

	list_init(&waiting);
	queue_take_out(picker, &waiting);
	leave_pool(picker);
	take_pool(picker, pool);
	forget_curves(picker->upstream, before);
	arena_done(&arena);
	picker->noted = 0; // of the requests that the new object counts
	list_for_each (node, &picker->idle)
		atomic_fetch_add(&picker->shared->idle_bounded, 1);
	queue_offer(picker, &waiting);
}

struct backend *picker_backend_now(const struct upstream *upstream, const struct backend *backend)
{
	struct backend *now = upstream->backends[backend->cell];

	return now && now->pool == upstream_picker(upstream, backend->pool)->pool ? now : NULL;
}

void picker_done(struct picker *picker)
{
	ASSERT(picker->queue.count == 0);
	leave_pool(picker);
	for (u32 i = 0; i < picker->pool->backend_count; i++)
		upstream_cell(picker->upstream, &picker->pool->backends[i])->curve = NULL;
	arena_done(&picker->arena);
}

// ---- Places -------------------------------------------------------------------------------------

static bool is_trial(const struct backend *backend)
{
	return unlikely(backend_why(backend) == ELIGIBLE_TRIAL);
}

static bool has_place(struct upstream *upstream, struct backend *backend)
{
	const struct adaptive *adaptive = backend->adaptive;

	if (is_trial(backend) && atomic_load(&backend->trials) == 0)
		return false;
	if (backend->sockets_max && upstream_cell(upstream, backend)->idle_count == 0 &&
		list_is_empty(&upstream_cell(upstream, backend)->open) &&
		atomic_load(&backend->sockets->used) >= backend->sockets_max)
		return false;
	return !adaptive || atomic_load(&adaptive->requests.used) < atomic_load(&adaptive->limit);
}

static bool take_trial(struct backend *backend)
{
	u32 left = atomic_load(&backend->trials);

	while (left && !atomic_compare_exchange_weak(&backend->trials, &left, left - 1))
		;
	return left > 0;
}

static bool take_place(struct upstream *upstream, struct backend *backend,
	const struct pick_ask *ask, struct pick *pick)
{
	struct adaptive *adaptive = backend->adaptive;

	if (!has_place(upstream, backend))
		return false;
	if (unlikely(ask->peek)) {
		pick->is_trial = is_trial(backend);
		return true;
	}
	if (adaptive) {
		pick->has_place = cap_take(&adaptive->requests,
			atomic_load_explicit(&adaptive->limit, memory_order_relaxed));
		if (!pick->has_place)
			return false;
	}
	pick->is_trial = is_trial(backend);
	if (!pick->is_trial)
		return true;
	if (take_trial(backend)) {
		// Read behind the token, so that no trial carries an older epoch than it and is
		// waited for without end.
		pick->epoch = atomic_load(&backend->epoch);
		return true;
	}
	pick->is_trial = false;
	pick_cancel(upstream, pick);
	return false;
}

static void add_full(struct picker *picker, struct cell *cell)
{
	cell->is_full = true;
	list_push_back(&picker->full, &cell->full_node);
	picker->full_count++;
}

void picker_mark_full(struct picker *picker, struct backend *backend)
{
	struct cell *cell = upstream_cell(picker->upstream, backend);

	if (cell->is_full)
		return;
	add_full(picker, cell);
	change(picker, backend, false);
}

static struct backend *backend_of(const struct picker *picker, const struct cell *cell)
{
	return picker->upstream->backends[cell - picker->upstream->cells];
}

// Lets those in again that have a place now, among the first `most` of the list.
static bool look_at_full(struct picker *picker, u32 most)
{
	bool found = false;

	for (u32 i = MIN(most, picker->full_count); i > 0; i--) {
		struct cell *cell = list_first(&picker->full, struct cell, full_node);
		struct backend *backend = backend_of(picker, cell);

		list_remove(&cell->full_node);
		if (has_place(picker->upstream, backend)) {
			cell->is_full = false;
			picker->full_count--;
			change(picker, backend, is_in(picker, backend));
			found = true;
		} else {
			list_push_back(&picker->full, &cell->full_node);
		}
	}
	return found;
}

// The same for a peek: the list stays as it is, and undo_peek puts out again who was let in.
static bool peek_at_full(struct picker *picker, u32 most)
{
	bool found = false;

	list_for_each (node, &picker->full) {
		struct backend *backend =
			backend_of(picker, list_entry(node, struct cell, full_node));

		if (most-- == 0)
			break;
		if (!has_place(picker->upstream, backend))
			continue;
		change(picker, backend,
			eligible_is_in(backend_why(backend)) && backend->weight > 0);
		found = true;
	}
	return found;
}

// In or out with the cost that it has in the state, so that the state is what it was when that is
// taken back.
static void change_back(struct picker *picker, const struct backend *backend, bool in)
{
	double now = picker->has_costs ? picker_cost_now(picker, backend) : 0;

	balance_change(picker->state, backend->index, in,
		balance_kept_cost(picker->state, backend->index, now));
}

// It may have been let in for the peek only.
static void peek_leaves_out(struct picker *picker, const struct backend *backend)
{
	struct cell *cell = upstream_cell(picker->upstream, backend);

	if (!cell->is_full)
		add_full(picker, cell);
	change_back(picker, backend, false);
}

// Those that it has found full stand behind those that were before it.
static void undo_peek(struct picker *picker, u32 full_before)
{
	while (picker->full_count > full_before) {
		struct cell *cell = list_entry(picker->full.prev, struct cell, full_node);
		struct backend *backend = backend_of(picker, cell);

		list_remove(&cell->full_node);
		cell->is_full = false;
		picker->full_count--;
		change_back(picker, backend, is_in(picker, backend));
	}
	list_for_each (node, &picker->full) {
		struct backend *backend =
			backend_of(picker, list_entry(node, struct cell, full_node));

		if (balance_is_eligible(picker->state, backend->index))
			change_back(picker, backend, false);
	}
}

// Somebody is left out for want of a place that a request may wait for: not of a trial, and not at
// a backend that it has tried.
static bool is_waited_for(const struct picker *picker, const struct balance_tried *tried)
{
	list_for_each (node, &picker->full) {
		const struct backend *backend =
			backend_of(picker, list_entry(node, struct cell, full_node));

		if (eligible_is_in(backend_why(backend)) && !is_trial(backend) &&
			!balance_was_tried(tried, backend->index))
			return true;
	}
	return false;
}

// Looks again at all who are full. False: the pool as a whole serves as many requests as it may.
static bool look_again(struct picker *picker)
{
	const struct pool *pool = picker->pool;
	u32 requests_max = pool->conf->limits.requests;

	picker_sync(picker);
	if (requests_max && atomic_load(&pool->requests->used) >= requests_max)
		return false;
	look_at_full(picker, picker->full_count);
	return true;
}

bool picker_has_answer(struct picker *picker, const struct balance_tried *tried)
{
	return look_again(picker) &&
	       (balance_has_untried(picker->state, tried) || !is_waited_for(picker, tried));
}

bool picker_has_place(struct picker *picker)
{
	return look_again(picker) && balance_has_eligible(picker->state);
}

// ---- Picking ------------------------------------------------------------------------------------

static bool may_take(const struct picker *picker, u32 index, const struct balance_tried *tried)
{
	return index < picker->pool->backend_count && balance_is_eligible(picker->state, index) &&
	       !balance_was_tried(tried, index);
}

static enum pick_verdict why_none(const struct picker *picker, const struct pick_ask *ask)
{
	if (picker->full_count && is_waited_for(picker, ask->tried))
		return PICK_FULL;
	return ask->tried->count ? PICK_TRIED : PICK_NOBODY;
}

static u64 take_position(struct pool *pool, const struct pick_ask *ask)
{
	if (pool->kind != BALANCE_ROUND_ROBIN)
		return 0;
	if (unlikely(ask->peek))
		return (*ask->peek)++;
	return atomic_fetch_add_explicit(&pool->position, 1, memory_order_relaxed);
}

static struct balance_ask ask_of(struct picker *picker, const struct pick_ask *ask)
{
	return (struct balance_ask){.key = ask->key,
		.position = take_position(picker->pool, ask),
		.rng = &picker->upstream->rng,
		.tried = ask->tried,
		.seen = ask->seen};
}

static u32 choose(struct picker *picker, const struct balance_ask *ask)
{
	if (unlikely(picker->prequal))
		return prequal_pick(picker->prequal, picker->state, ask,
			loop_now_us(picker->upstream->loop) * 1000);
	return balance_pick(picker->state, ask);
}

// Nobody may be sent there now.
static void leave_out(struct picker *picker, struct backend *backend, const struct pick_ask *ask)
{
	if (ask->seen)
		balance_look(ask->seen, backend->index, BALANCE_NO_PLACE, 0);
	if (ask->peek)
		peek_leaves_out(picker, backend);
	else
		picker_mark_full(picker, backend);
}

// Somebody may be full, or on trial.
static enum pick_verdict pick_among_full(
	struct picker *picker, const struct pick_ask *ask, struct pick *ret_pick)
{
	struct upstream *upstream = picker->upstream;
	struct pool *pool = picker->pool;
	struct balance_ask balance = ask_of(picker, ask);
	bool (*look)(struct picker *, u32) = ask->peek ? peek_at_full : look_at_full;
	bool looked = false;

	if (pool->is_bounded && !ask->is_next && queue_is_general(pool))
		return PICK_FULL;
	look(picker, full_looks_max);
	for (;;) {
		u32 index = ask->preferred;
		struct backend *backend;

		if (!may_take(picker, index, ask->tried))
			index = choose(picker, &balance);
		if (index == BALANCE_NONE) {
			if (looked || !look(picker, picker->full_count))
				return why_none(picker, ask);
			looked = true;
			continue;
		}
		backend = &pool->backends[index];
		*ret_pick = (struct pick){.backend = backend,
			.picker = picker,
			.cell = upstream_cell(upstream, backend),
			.epoch = backend->epoch};
		if (take_place(upstream, backend, ask, ret_pick))
			return PICK_OK;
		leave_out(picker, backend, ask);
	}
}

enum pick_verdict pick_backend(struct upstream *upstream, struct pool *pool,
	const struct pick_ask *ask, struct pick *ret_pick)
{
	struct picker *picker = upstream_picker(upstream, pool);
	struct balance_ask balance;
	struct backend *backend;
	u32 index;

	ASSERT(picker->pool == pool);
	if (unlikely(picker->generation !=
		     atomic_load_explicit(&pool->generation, memory_order_acquire)))
		picker_sync(picker);
	if (picker->has_costs)
		crowd_hear(upstream, on_heard);
	if (unlikely(!list_is_empty(&picker->told)))
		load_expire(picker);
	if (unlikely(pool->is_bounded || picker->full_count))
		return pick_among_full(picker, ask, ret_pick);
	if (unlikely(ask->preferred != BALANCE_NONE) &&
		may_take(picker, ask->preferred, ask->tried)) {
		index = ask->preferred;
	} else {
		balance = ask_of(picker, ask);
		index = choose(picker, &balance);
		if (unlikely(index == BALANCE_NONE))
			return why_none(picker, ask);
	}
	backend = &pool->backends[index];
	ret_pick->backend = backend;
	ret_pick->picker = picker;
	ret_pick->cell = upstream_cell(upstream, backend);
	ret_pick->epoch = atomic_load_explicit(&backend->epoch, memory_order_relaxed);
	ret_pick->is_trial = ret_pick->has_place = ret_pick->is_begun = ret_pick->is_noted = false;
	if (likely(!is_trial(backend)) || take_place(upstream, backend, ask, ret_pick))
		return PICK_OK;
	leave_out(picker, backend, ask);
	return pick_among_full(picker, ask, ret_pick);
}

enum pick_verdict pick_peek(struct upstream *upstream, struct pool *pool,
	const struct pick_ask *ask, struct pick *ret_pick)
{
	struct picker *picker = upstream_picker(upstream, pool);
	struct pick_ask peek = *ask;
	u64 hear_ms = upstream->ear.hear_ms;
	u32 full_before = picker->full_count;
	u64 position = atomic_load_explicit(&pool->position, memory_order_relaxed);
	struct balance_memory memory;
	struct prequal prequal;
	enum pick_verdict verdict;

	balance_keep(picker->state, &memory);
	if (picker->prequal)
		prequal = *picker->prequal;
	peek.peek = &position;
	verdict = pick_backend(upstream, pool, &peek, ret_pick);
	undo_peek(picker, full_before);
	balance_put_back(picker->state, &memory);
	if (picker->prequal)
		*picker->prequal = prequal;
	upstream->ear.hear_ms = hear_ms;
	return verdict;
}

u32 pick_others(const struct pool *pool, const struct balance_tried *tried)
{
	u32 others = atomic_load_explicit(&pool->eligible, memory_order_relaxed);

	for (u32 i = 0; i < tried->count && others; i++)
		others -= eligible_is_in(backend_why(&pool->backends[tried->index[i]]));
	return others;
}

// ---- The life of an attempt ---------------------------------------------------------------------

void pick_begin(struct upstream *upstream, struct pick *pick)
{
	struct cell *cell = pick->cell;

	pick->is_begun = true;
	if (likely(!pick->picker->has_costs)) {
		cell_add(&cell->in_flight, 1);
		return;
	}
	pick->met = picker_in_flight(upstream, pick->backend);
	cell_add(&cell->in_flight, 1);
	crowd_mark(upstream, cell, pick->backend->cell);
	picker_cost_changed(pick->picker, pick->backend);
}

void pick_take(struct upstream *upstream, struct backend *backend, struct pick *ret_pick)
{
	*ret_pick = (struct pick){.backend = backend,
		.picker = upstream_picker(upstream, backend->pool),
		.cell = upstream_cell(upstream, backend),
		.epoch = backend->epoch,
		.is_noted = true};
	if (backend->adaptive)
		ret_pick->has_place = cap_take(&backend->adaptive->requests, 0);
	pick_begin(upstream, ret_pick);
}

static void give_place(struct upstream *upstream, struct pick *pick)
{
	if (!pick->has_place)
		return;
	pick->has_place = false;
	cap_give(&pick->backend->adaptive->requests);
	queue_freed(upstream, pick->backend->pool);
}

static void note_trial(
	struct upstream *upstream, struct backend *backend, const struct pick *pick, u32 miss)
{
	struct cell *cell = pick->cell;

	cell_add(miss == PICK_VOID   ? &cell->trials_void
		 : miss == MISS_NONE ? &cell->trials_good
				     : &cell->trials_bad,
		1);
	report_send(&upstream->reports, backend, REPORT_LOOK, EJECTION_NONE, 0);
}

void pick_cancel(struct upstream *upstream, struct pick *pick)
{
	if (pick->is_trial)
		pick_note(upstream, pick, PICK_VOID);
	give_place(upstream, pick);
}

static void note_failure(
	struct upstream *upstream, struct backend *backend, const struct pick *pick, u32 miss)
{
	struct cell *cell = upstream_cell(upstream, backend);
	const struct conf_pool *conf = backend->pool->conf;
	enum ejection_why why = misses_note(&cell->misses, &conf->ejection, (enum miss)miss);
	struct pool_cell *shared = upstream_picker(upstream, backend->pool)->shared;

	if (why != EJECTION_NONE)
		report_send(&upstream->reports, backend, REPORT_EJECT, why, pick->error);
	if (!pick->is_trial && pick->epoch == backend->epoch) {
		cell_add(&cell->bad, 1);
		cell_add(&cell->bad_streak, 1);
		if (conf->breaker.failure_threshold &&
			cell->bad_streak % conf->breaker.failure_threshold == 0)
			report_send(&upstream->reports, backend, REPORT_LOOK, EJECTION_NONE, 0);
	}
	// Last: whoever sees it looks at the cells.
	__atomic_store_n(&shared->failures, shared->failures + 1, __ATOMIC_RELEASE);
}

void pick_note_slowly(struct upstream *upstream, struct pick *pick, u32 miss)
{
	struct cell *cell = pick->cell;
	struct backend *backend = picker_backend_now(upstream, pick->backend);

	pick->is_noted = true;
	if (!backend) // the configuration has it no more
		return;
	if (miss == MISS_NONE) {
		cell->misses = (struct misses){0};
		if (!pick->is_trial && pick->epoch == atomic_load_explicit(&backend->epoch,
							      memory_order_relaxed)) {
			cell_add(&cell->good, 1);
			cell_set(&cell->bad_streak, 0);
		}
	} else if (miss != PICK_VOID) {
		note_failure(upstream, backend, pick, miss);
	}
	if (pick->is_trial && pick->epoch == backend->epoch)
		note_trial(upstream, backend, pick, miss);
}

// True when there is room for more requests now than there was before.
static bool note_adaptive(struct backend *backend, u64 latency_us)
{
	struct adaptive *adaptive = backend->adaptive;
	u32 before, limit;

	while (atomic_flag_test_and_set_explicit(&adaptive->lock, memory_order_acquire))
		;
	before = gradient_limit(&adaptive->gradient);
	gradient_note(&adaptive->gradient, &backend->pool->conf->limits.gradient, latency_us,
		cap_used(&adaptive->requests));
	limit = gradient_limit(&adaptive->gradient);
	atomic_store(&adaptive->limit, limit); // as places are given back: see cap_give
	atomic_flag_clear_explicit(&adaptive->lock, memory_order_release);
	return limit > before;
}

void pick_note_latency(struct upstream *upstream, struct pick *pick, u64 latency_us)
{
	struct backend *backend = pick->backend;
	struct picker *picker = upstream_picker(upstream, backend->pool);
	struct cell *cell = upstream_cell(upstream, backend);
	u64 now_ns = loop_now_us(upstream->loop) * 1000;

	if (backend->adaptive && note_adaptive(backend, latency_us))
		queue_freed(upstream, backend->pool);
	if (backend->pool->conf->hedge.percent)
		hedge_note(&picker->hedge, &backend->pool->conf->hedge, latency_us);
	if (!picker->learns)
		return;
	if (cell->curve)
		curve_observe(cell->curve, pick->met, latency_us * 1000, now_ns);
	else
		ewma_observe(&cell->latency, latency_us * 1000, now_ns);
}

void pick_end_slowly(struct upstream *upstream, struct pick *pick)
{
	if (!pick->is_begun)
		return;
	pick->is_begun = false;
	pick_note(upstream, pick, PICK_VOID);
	cell_add(&pick->cell->in_flight, (u32)-1);
	if (pick->picker->has_costs) {
		const struct backend *now = picker_backend_now(upstream, pick->backend);

		crowd_mark(upstream, pick->cell, pick->backend->cell);
		if (now)
			picker_cost_changed(pick->picker, now);
	}
	give_place(upstream, pick);
}
