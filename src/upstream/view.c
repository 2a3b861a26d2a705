// SPDX-License-Identifier: Apache-2.0
#include "upstream/view.h"

#include "base/mem.h"

enum { arena_bytes_max = 1 << 28 };

// The member's weight in a table of this kind, now.
static u32 weight_now(const struct pool *pool, u32 index)
{
	const struct backend *backend = &pool->backends[index];
	u32 share = atomic_load_explicit(&backend->share, memory_order_relaxed);

	if (balance_kind_info(pool->kind)->eligible_only && !eligible_is_in(backend_why(backend)))
		return 0;
	return pool->kind == BALANCE_RANDOM ? (backend->weight > 0) * share
					    : backend->weight * share;
}

static bool scales_weights(const struct pool *pool)
{
	switch (pool->kind) {
	case BALANCE_ROUND_ROBIN:
	case BALANCE_RANDOM:
	case BALANCE_WEIGHTED_RANDOM:
		return true;
	default:
		return false;
	}
}

static struct view *build(struct pool *pool, u64 generation)
{
	struct view *view = mem_alloc(sizeof(*view));
	enum balance_kind kind = pool->kind;
	struct balance_member *members;
	bool whole = true;

	arena_init(&view->arena, arena_bytes_max);
	view->generation = generation;
	members = arena_zalloc(&view->arena, sizeof(*members) * MAX(pool->backend_count, 1));
	for (u32 i = 0; i < pool->backend_count; i++)
		whole &= pool->backends[i].share == SLOW_START_WHOLE;
	for (u32 i = 0; i < pool->backend_count; i++) {
		members[i] = pool->members[i];
		if (!scales_weights(pool))
			continue;
		members[i].weight = weight_now(pool, i);
		if (whole)
			members[i].weight /= SLOW_START_WHOLE; // as the operator knows them
		members[i].weight = MIN(members[i].weight, (u32)BALANCE_WEIGHT_MAX);
	}
	if (kind == BALANCE_RANDOM && !whole)
		kind = BALANCE_WEIGHTED_RANDOM; // while shares are unequal
	view->table =
		balance_build(kind, members, pool->backend_count, &pool->options, &view->arena);
	return view;
}

void view_init(struct pool *pool)
{
	pool->view = build(pool, 0);
}

void view_publish(struct pool *pool, const u8 *why, const u8 *shares, u32 eligible)
{
	u64 generation = atomic_load_explicit(&pool->generation, memory_order_relaxed) + 1;
	bool eligible_only = balance_kind_info(pool->kind)->eligible_only;
	bool rebuild = pool->is_reweighed;

	for (u32 i = 0; i < pool->backend_count; i++) {
		struct backend *backend = &pool->backends[i];
		bool was = eligible_is_in(backend_why(backend));

		if (eligible_only && was != eligible_is_in((enum eligible_why)why[i]))
			rebuild = true;
		if (shares[i] != atomic_load_explicit(&backend->share, memory_order_relaxed))
			rebuild |= scales_weights(pool);
		atomic_store_explicit(&backend->why, why[i], memory_order_release);
		atomic_store_explicit(&backend->share, shares[i], memory_order_relaxed);
	}
	pool->is_reweighed = false;
	atomic_store_explicit(&pool->eligible, eligible, memory_order_relaxed);
	if (rebuild) {
		struct view *view = build(pool, generation);

		view->older = atomic_load_explicit(&pool->view, memory_order_relaxed);
		atomic_store_explicit(&pool->view, view, memory_order_release);
	}
	atomic_store_explicit(&pool->generation, generation, memory_order_release);
}

void view_reweigh(struct backend *backend, u32 weight)
{
	struct pool *pool = backend->pool;

	atomic_store_explicit(&backend->weight, weight, memory_order_relaxed);
	pool->members[backend->index].weight = weight;
	pool->is_reweighed = true;
}

void view_checked(struct backend *backend, u64 now_ms, u64 latency_us)
{
	if (latency_us)
		atomic_store_explicit(&backend->check_us, latency_us, memory_order_relaxed);
	atomic_store_explicit(&backend->checked_ms, MAX(now_ms, (u64)1), memory_order_relaxed);
}

static void free_view(struct view *view)
{
	arena_done(&view->arena);
	mem_free(view);
}

static u64 least_seen(const struct pool *pool)
{
	u64 least = UINT64_MAX;

	for (u32 i = 0; i < pool->worker_count; i++) {
		// Read once: a macro that compares it and then reads it again would take what it
		// has become meanwhile.
		u64 seen = atomic_load_explicit(&pool->cells[i].seen, memory_order_acquire);

		least = MIN(least, seen);
	}
	return least;
}

static void free_older(struct view *view)
{
	struct view *old = view->older;

	view->older = NULL;
	while (old) {
		struct view *older = old->older;

		free_view(old);
		old = older;
	}
}

bool view_collect(struct pool *pool)
{
	struct view *view = atomic_load_explicit(&pool->view, memory_order_relaxed);
	u64 seen;

	if (!view->older)
		return true;
	seen = least_seen(pool);
	while (view->older && view->generation > seen)
		view = view->older;
	if (view->generation <= seen)
		free_older(view);
	return !((struct view *)pool->view)->older;
}

void view_done(struct pool *pool)
{
	struct view *view = pool->view;

	if (!view)
		return;
	free_older(view);
	free_view(view);
	pool->view = NULL;
}
