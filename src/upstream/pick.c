// SPDX-License-Identifier: Apache-2.0
#include "upstream/pick.h"

#include <stdatomic.h>

static bool is_eligible(const struct backend *backend)
{
	return atomic_load_explicit(&backend->state, memory_order_acquire) == BACKEND_USABLE;
}

struct backend *pick_backend(struct pool *pool, const struct balance_tried *tried)
{
	struct balance_order *order = atomic_load_explicit(&pool->order, memory_order_acquire);
	u64 position = atomic_fetch_add_explicit(&pool->position, 1, memory_order_relaxed);
	u32 index = balance_order_pick(order, position, tried);

	return index == BALANCE_NONE ? NULL : &pool->backends[index];
}

void pick_rebuild(struct pool *pool, struct arena *arena)
{
	u32 *weights = arena_zalloc(arena, sizeof(u32) * pool->backend_count);
	struct balance_order *order = arena_zalloc(arena, sizeof(*order));

	for (u32 i = 0; i < pool->backend_count; i++)
		weights[i] = is_eligible(&pool->backends[i]) ? pool->backends[i].weight : 0;
	balance_order_build(arena, weights, pool->backend_count, order);
	atomic_store_explicit(&pool->order, order, memory_order_release);
}
