// SPDX-License-Identifier: Apache-2.0
#include "still.h"

#include "base/hash.h"
#include "decide/balance_kinds.h"
#include "upstream/pick.h"

static u64 add(u64 hash, const void *bytes, size_t len)
{
	return hash_bytes(bytes, len, hash);
}

// Numbers of members that are out mean nothing: they are set when those come in again.
static u64 add_members(u64 hash, const struct balance_state *state, const double *numbers)
{
	for (u32 i = 0; i < state->table->count && numbers; i++)
		if (sum_tree_get(&state->weights, i))
			hash = add(hash, &numbers[i], sizeof(numbers[i]));
	return hash;
}

static u64 add_state(u64 hash, const struct picker *picker)
{
	const struct balance_state *state = picker->state;
	u32 count = state->table->count;

	hash = add(hash, state, sizeof(*state));
	hash = add(hash, state->weights.sums, sizeof(u32) * 2 * state->weights.leaves);
	hash = add_members(hash, state, state->costs);
	hash = add_members(hash, state, state->latency_keys);
	if (state->tree.mins)
		hash = add(hash, state->tree.mins, sizeof(double) * 2 * state->tree.leaves);
	if (state->in_flight)
		hash = add(hash, state->in_flight, sizeof(u32) * count);
	if (state->heat)
		hash = add(hash, state->heat, sizeof(*state->heat));
	if (picker->prequal)
		hash = add(hash, picker->prequal, sizeof(*picker->prequal));
	return hash;
}

static u64 add_pool(u64 hash, struct proxy *proxy, struct pool *pool)
{
	struct picker *picker = upstream_picker(&proxy->upstream, pool);

	picker_sync(picker);
	hash = add(hash, pool, sizeof(*pool));
	hash = add(hash, pool->backends, sizeof(struct backend) * pool->backend_count);
	hash = add(hash, pool->cells, sizeof(struct pool_cell) * pool->worker_count);
	hash = add(hash, picker, sizeof(*picker));
	for (u32 i = 0; i < pool->backend_count; i++)
		if (pool->backends[i].adaptive)
			hash = add(hash, pool->backends[i].adaptive, sizeof(struct adaptive));
	return add_state(hash, picker);
}

u64 still_hash(struct proxy *proxy)
{
	const struct snapshot *snapshot = proxy->snapshot;
	const struct block_pool *blocks = &proxy->loop->blocks;
	u32 used[] = {proxy->clients.used, proxy->exchanges.used, proxy->arenas.used,
		blocks->large.used, blocks->small.used, blocks->segments.used,
		proxy->loop->wheel.count, proxy->loop->ops_out};
	u64 hash = 1;

	for (u32 i = 0; i < snapshot->pool_count; i++)
		hash = add_pool(hash, proxy, snapshot->pools[i]);
	hash = add(hash, snapshot->cells[0], sizeof(struct cell) * snapshot->backend_count);
	hash = add(hash, &proxy->upstream, sizeof(proxy->upstream));
	hash = add(hash, &proxy->rng, sizeof(proxy->rng));
	hash = add(hash, proxy->metrics, sizeof(*proxy->metrics));
	hash = add(hash, &proxy->next_exchange, sizeof(proxy->next_exchange));
	return add(hash, used, sizeof(used));
}
