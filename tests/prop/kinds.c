// SPDX-License-Identifier: Apache-2.0
#include "kinds.h"

const struct balance_tried none_tried;

void pool_begin(struct pool_of_seed *pool, u64 seed, enum balance_kind kind, u32 count, int weight,
	const struct balance_options *options)
{
	static const struct balance_options defaults;

	*pool = (struct pool_of_seed){.seed = seed, .count = count};
	rng_init(&pool->rng, seed);
	arena_init(&pool->arena, KINDS_ARENA_BYTES);
	pool->members = arena_zalloc(&pool->arena, sizeof(*pool->members) * MAX(count, 1));
	for (u32 i = 0; i < count; i++) {
		pool->members[i].id = rng_u64(&pool->rng);
		pool->members[i].weight =
			weight >= 0 ? (u32)weight : rng_below(&pool->rng, (u32)-weight + 1);
	}
	pool->table = balance_build(
		kind, pool->members, count, options ? options : &defaults, &pool->arena);
	pool->state = balance_state_new(pool->table, 0, &pool->arena);
}

void pool_end(struct pool_of_seed *pool)
{
	arena_done(&pool->arena);
}

u32 pool_pick(struct pool_of_seed *pool, u64 key, const struct balance_tried *tried)
{
	return balance_pick(pool->state, &(struct balance_ask){.key = key,
						 .position = pool->position++,
						 .rng = &pool->rng,
						 .tried = tried});
}

void pool_set_load(struct pool_of_seed *pool, u32 index, bool eligible, u32 in_flight)
{
	struct balance_load load = {.in_flight = in_flight, .slow_start = 1};

	balance_change(pool->state, index, eligible, balance_cost(pool->table, index, &load));
}
