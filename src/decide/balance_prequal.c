// SPDX-License-Identifier: Apache-2.0
// The hot and cold rule of Prequal (Wydrowski et al., NSDI'24) over a few members drawn by weight:
// of those that have not unusually much in flight the one with the lowest latency, and when all are
// hot the one with the least in flight.
#include "decide/balance_kinds.h"

u32 balance_prequal_pick(struct balance_state *state, const struct balance_ask *ask)
{
	u32 coldest = BALANCE_NONE, emptiest = BALANCE_NONE;
	double least_key = INFINITY, least = INFINITY, cold_cost = INFINITY;

	for (u32 i = 0; i < state->table->options.choices; i++) {
		u32 index = balance_alias_draw(state, ask->rng, ask->tried, emptiest);
		double cost, key;
		bool hot;

		if (index == BALANCE_NONE)
			break;
		cost = state->costs[index];
		key = state->latency_keys[index];
		quantile_add(state->heat, (u32)cost);
		hot = quantile_is_above(state->heat, (u32)cost);
		if (ask->seen)
			balance_look(ask->seen, index, hot ? BALANCE_HOT : BALANCE_COMPARED, cost);
		if (cost < least || emptiest == BALANCE_NONE) {
			least = cost;
			emptiest = index;
		}
		if (hot)
			continue;
		if (coldest == BALANCE_NONE || key < least_key ||
			(key <= least_key && cost < cold_cost)) {
			least_key = key;
			cold_cost = cost;
			coldest = index;
		}
	}
	return coldest != BALANCE_NONE ? coldest : emptiest;
}
