// SPDX-License-Identifier: Apache-2.0
#include "upstream/upstream.h"

#include "base/mem.h"
#include "upstream/link.h"
#include "upstream/pick.h"
#include "upstream/queue.h"

// By order, and seldom: looked for only where there is one.
static void close_disabled(struct upstream *upstream, const struct pool *pool)
{
	if (atomic_load_explicit(&pool->disabled, memory_order_relaxed) == 0)
		return;
	for (u32 i = 0; i < pool->backend_count; i++)
		if (atomic_load_explicit(&pool->backends[i].is_disabled, memory_order_relaxed))
			link_close_idle(upstream_cell(upstream, &pool->backends[i]));
}

static void on_nudge(struct message *message)
{
	struct upstream *upstream = container_of(message, struct upstream, nudge);

	// Cleared first: what happens from here on sends another one.
	atomic_store(&upstream->nudged, false);
	for (u32 i = 0; i < upstream->pool_count; i++) {
		struct picker *picker = &upstream->pickers[i];

		if (!picker->pool)
			continue;
		picker_sync(picker);
		close_disabled(upstream, picker->pool);
		if (queue_waiting(picker->pool))
			loop_defer(upstream->loop, &picker->serve);
		if (queue_others(picker))
			link_yield_idle(picker);
	}
}

void upstream_nudge(struct upstream *upstream)
{
	if (!atomic_exchange(&upstream->nudged, true))
		loop_post(upstream->loop, &upstream->nudge);
}

void upstream_init(struct upstream *upstream, const struct upstream_config *config)
{
	struct crowd *crowd = &config->slots->crowd;

	*upstream = (struct upstream){.loop = config->loop,
		.parser = config->parser,
		.h2 = config->h2,
		.metrics = config->metrics,
		.slots = config->slots,
		.crowd = crowd,
		.cells = crowd->cells[config->number],
		.backends = config->backends,
		.pool_count = config->pool_count,
		.backend_count = config->backend_count,
		.number = config->number,
		.reports = config->reports,
		.idle_max = config->links_max / 2,
		.nudge = {.deliver = on_nudge}};
	rng_init(&upstream->rng, config->seed);
	slab_init(&upstream->links, "link", sizeof(struct link), config->links_max);
	for (u32 i = 0; i < upstream->backend_count; i++) {
		list_init(&upstream->cells[i].idle);
		list_init(&upstream->cells[i].open);
	}
	crowd_ear_init(&upstream->ear, crowd);
	upstream->pickers = mem_alloc(sizeof(struct picker) * MAX(config->slots->pools.max, 1));
	for (u32 i = 0; i < config->pool_count; i++)
		if (config->pools[i])
			picker_init(&upstream->pickers[i], upstream, config->pools[i]);
	atomic_store(&crowd->members[config->number], upstream);
}

// ---- Another configuration ----------------------------------------------------------------------

static void close_gone(struct upstream *upstream, const struct pool *pool)
{
	for (u32 i = 0; i < pool->backend_count; i++) {
		u32 cell = pool->backends[i].cell;

		if (!upstream->backends[cell])
			link_close_idle(&upstream->cells[cell]);
	}
}

static void adopt_pool(struct upstream *upstream, u32 slot, struct pool *pool)
{
	struct picker *picker = &upstream->pickers[slot];
	const struct pool *before = picker->pool;

	if (before == pool)
		return;
	// A pool that is gone stays until all are over who still use it.
	if (!before)
		picker_init(picker, upstream, pool);
	else if (pool)
		picker_succeed(picker, pool);
	else
		picker->is_current = false;
	if (before)
		close_gone(upstream, before);
}

void upstream_adopt(struct upstream *upstream, const struct upstream_change *change)
{
	for (u32 i = upstream->backend_count; i < change->backend_count; i++) {
		list_init(&upstream->cells[i].idle);
		list_init(&upstream->cells[i].open);
	}
	upstream->backends = change->backends;
	upstream->backend_count = change->backend_count;
	upstream->pool_count = change->pool_count;
	for (u32 i = 0; i < change->pool_count; i++)
		if (change->pools[i] || upstream->pickers[i].pool)
			adopt_pool(upstream, i, change->pools[i]);
	for (u32 i = 0; i < change->backend_count; i++)
		if (change->backends[i] && !list_is_empty(&upstream->cells[i].idle))
			link_close_unfit(upstream, i);
}

void upstream_let_go(struct upstream *upstream, const struct pool *pool)
{
	struct picker *picker = &upstream->pickers[pool->index];

	if (picker->pool != pool)
		return;
	ASSERT(!picker->is_current);
	picker_done(picker);
	picker->pool = NULL;
}

void upstream_forget(struct upstream *upstream, u32 slot)
{
	struct cell *cell = &upstream->cells[slot];

	ASSERT(!upstream->backends[slot] && cell->in_flight == 0 && cell->connections == 0 &&
		list_is_empty(&cell->idle) && !cell->is_full);
	// What others read is set one by one. What is zero stays untouched, and so does is_dirty:
	// the cell may be in a list of the crowd's.
	cell_set(&cell->good, 0);
	cell_set(&cell->bad, 0);
	cell_set(&cell->bad_streak, 0);
	cell_set(&cell->trials_good, 0);
	cell_set(&cell->trials_bad, 0);
	cell_set(&cell->trials_void, 0);
	cell->misses = (struct misses){0};
	cell->latency = (struct balance_ewma){0};
	cell->curve = NULL;
	cell->told = NULL;
	cell->load_probes = 0;
}

void upstream_drain(struct upstream *upstream)
{
	upstream->draining = true;
	for (u32 i = 0; i < upstream->backend_count; i++)
		link_close_idle(&upstream->cells[i]);
}

bool upstream_is_empty(const struct upstream *upstream)
{
	return upstream->links.used == 0;
}

void upstream_done(struct upstream *upstream)
{
	loop_timer_cancel(upstream->loop, &upstream->ear.tell);
	crowd_ear_done(&upstream->ear);
	for (u32 i = 0; i < upstream->pool_count; i++)
		if (upstream->pickers[i].pool)
			picker_done(&upstream->pickers[i]);
	mem_free(upstream->pickers);
	slab_done(&upstream->links);
}
