// SPDX-License-Identifier: Apache-2.0
// Members drawn by weight, and two choices among them.
#include "decide/balance_kinds.h"

enum { draws_max = 4 }; // then exactly, by the tree of the eligible weights

// Vose's method in whole numbers: each slot holds `sum`, member i brings weight x count. What a
// slot lacks comes from one that has more. A slot's own part is rounded to 2^-32.
static void fill_slots(u64 *parts, u32 count, u64 sum, struct balance_slot *slots, u32 *stack)
{
	u32 small = 0, large = count; // the poor grow from the front, the rich from the back

	for (u32 i = 0; i < count; i++) {
		if (parts[i] < sum)
			stack[small++] = i;
		else
			stack[--large] = i;
	}
	while (small > 0 && large < count) {
		u32 poor = stack[--small], rich = stack[large];

		slots[poor].own =
			(u32)(((unsigned __int128)parts[poor] << 32) / (unsigned __int128)sum);
		slots[poor].other = rich;
		parts[rich] -= sum - parts[poor];
		if (parts[rich] < sum) {
			large++;
			stack[small++] = rich;
		}
	}
}

void balance_alias_build(struct balance_table *table, struct arena *arena)
{
	u32 count = table->count;
	struct balance_slot *slots = arena_zalloc(arena, sizeof(*slots) * MAX(count, 1));
	u64 *parts = arena_zalloc(arena, sizeof(u64) * MAX(count, 1)), sum = 0;

	for (u32 i = 0; i < count; i++) {
		parts[i] = (u64)table->weights[i] * count;
		sum += table->weights[i];
		slots[i] = (struct balance_slot){UINT32_MAX, i};
	}
	if (sum > 0)
		fill_slots(
			parts, count, sum, slots, arena_zalloc(arena, sizeof(u32) * MAX(count, 1)));
	table->slots = slots;
}

// One number gives both: its product with the count has the slot above and the place in the slot
// below the point.
static u32 draw(const struct balance_table *table, struct rng *rng)
{
	unsigned __int128 product = (unsigned __int128)rng_u64(rng) * table->count;
	u32 at = (u32)(product >> 64), place = (u32)((u64)product >> 32);
	struct balance_slot slot = table->slots[at];

	return place < slot.own ? at : slot.other;
}

u32 balance_alias_draw(const struct balance_state *state, struct rng *rng,
	const struct balance_tried *tried, u32 except)
{
	if (unlikely(state->table->count == 0))
		return BALANCE_NONE;
	for (int i = 0; i < draws_max; i++) {
		u32 index = draw(state->table, rng);

		if (likely(index != except && is_open(state, index, tried)))
			return index;
	}
	return balance_weighted(state, rng_u64(rng), tried, except);
}

u32 balance_random_pick(struct balance_state *state, const struct balance_ask *ask)
{
	return balance_alias_draw(state, ask->rng, ask->tried, BALANCE_NONE);
}

u32 balance_two_pick(struct balance_state *state, const struct balance_ask *ask)
{
	u32 one = balance_alias_draw(state, ask->rng, ask->tried, BALANCE_NONE), other;

	if (one == BALANCE_NONE)
		return BALANCE_NONE;
	other = balance_alias_draw(state, ask->rng, ask->tried, one);
	if (ask->seen) {
		balance_look(ask->seen, one, BALANCE_COMPARED, state->costs[one]);
		if (other != BALANCE_NONE)
			balance_look(ask->seen, other, BALANCE_COMPARED, state->costs[other]);
	}
	if (other == BALANCE_NONE)
		return one;
	return state->costs[other] < state->costs[one] ? other : one;
}
