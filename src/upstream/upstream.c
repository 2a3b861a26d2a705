// SPDX-License-Identifier: Apache-2.0
#include "upstream/upstream.h"

#include "base/mem.h"
#include "upstream/lease.h"
#include "upstream/pick.h"
#include "upstream/queue.h"

// By order, and seldom: looked for only where there is one.
static void close_disabled(struct upstream *upstream, const struct pool *pool)
{
	if (atomic_load_explicit(&pool->disabled, memory_order_relaxed) == 0)
		return;
	for (u32 i = 0; i < pool->backend_count; i++)
		if (atomic_load_explicit(&pool->backends[i].is_disabled, memory_order_relaxed))
			lease_close_idle(upstream, upstream_cell(upstream, &pool->backends[i]));
}

static void on_nudge(struct message *message)
{
	struct upstream *upstream = container_of(message, struct upstream, nudge);

	// Cleared first: what happens from here on sends another one.
	atomic_store(&upstream->nudged, false);
	for (u32 i = 0; i < upstream->pool_count; i++) {
		struct picker *picker = &upstream->pickers[i];

		picker_sync(picker);
		close_disabled(upstream, picker->pool);
		if (queue_waiting(picker->pool))
			loop_defer(upstream->loop, &picker->serve);
		if (queue_others(picker))
			lease_yield_idle(picker);
	}
}

void upstream_nudge(struct upstream *upstream)
{
	if (!atomic_exchange(&upstream->nudged, true))
		loop_post(upstream->loop, &upstream->nudge);
}

void upstream_init(struct upstream *upstream, const struct upstream_config *config)
{
	struct crowd *crowd = config->crowd;

	*upstream = (struct upstream){.loop = config->loop,
		.parser = config->parser,
		.h2 = config->h2,
		.metrics = config->metrics,
		.crowd = crowd,
		.cells = crowd->cells[config->number],
		.pool_count = config->pool_count,
		.cell_count = crowd->cell_count,
		.number = config->number,
		.reports = config->reports,
		.idle_max = config->links_max / 2,
		.nudge = {.deliver = on_nudge}};
	rng_init(&upstream->rng, config->seed);
	slab_init(&upstream->links, "link", sizeof(struct link), config->links_max);
	for (u32 i = 0; i < upstream->cell_count; i++) {
		list_init(&upstream->cells[i].idle);
		list_init(&upstream->cells[i].open);
	}
	crowd_ear_init(&upstream->ear, crowd);
	upstream->pickers = mem_alloc(sizeof(struct picker) * MAX(config->pool_count, 1));
	for (u32 i = 0; i < config->pool_count; i++)
		picker_init(&upstream->pickers[i], upstream, &config->pools[i]);
	atomic_store(&crowd->members[config->number], upstream);
}

void upstream_drain(struct upstream *upstream)
{
	upstream->draining = true;
	for (u32 i = 0; i < upstream->cell_count; i++)
		lease_close_idle(upstream, &upstream->cells[i]);
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
		picker_done(&upstream->pickers[i]);
	mem_free(upstream->pickers);
	slab_done(&upstream->links);
}
