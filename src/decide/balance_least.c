// SPDX-License-Identifier: Apache-2.0
// The cheapest of all. Among equals the next in turn behind the last one taken, so that an idle
// pool is used evenly.
#include "decide/balance_kinds.h"

// Tried members leave the tree for the length of one search; a retry is rare. Gives a place.
static u32 find_untried(struct balance_state *state, const struct balance_tried *tried)
{
	double costs[BALANCE_TRIED_MAX] = {0};
	u32 found;

	for (u32 i = 0; i < tried->count; i++) {
		u32 place = place_of(state, tried->index[i]);

		if (tried->index[i] >= state->table->count)
			continue;
		costs[i] = min_tree_get(&state->tree, place);
		min_tree_set(&state->tree, place, INFINITY);
	}
	found = state->tree.mins[1] < INFINITY ? min_tree_find(&state->tree, state->cursor)
					       : BALANCE_NONE;
	// Backwards, so that a member that is named twice gets its own cost back.
	for (u32 i = tried->count; i-- > 0;)
		if (tried->index[i] < state->table->count)
			min_tree_set(&state->tree, place_of(state, tried->index[i]), costs[i]);
	return found;
}

u32 balance_least_pick(struct balance_state *state, const struct balance_ask *ask)
{
	u32 place;

	if (unlikely(ask->tried->count > 0))
		place = find_untried(state, ask->tried);
	else if (state->tree.mins[1] < INFINITY)
		place = min_tree_find(&state->tree, state->cursor);
	else
		place = BALANCE_NONE;
	if (place == BALANCE_NONE)
		return BALANCE_NONE;
	state->cursor = (place + 1) & (state->tree.leaves - 1);
	if (ask->seen)
		balance_look(ask->seen, member_at(state, place), BALANCE_COMPARED,
			min_tree_get(&state->tree, place));
	return member_at(state, place);
}

u32 balance_hash_fallback(const struct balance_state *state, const struct balance_ask *ask)
{
	if (ask->seen)
		ask->seen->by_weight = true;
	if (state->table->load_percent && state->tree.mins[1] < INFINITY) {
		// The emptiest member is below the mean and so has room, if it may be taken.
		u32 emptiest = member_at(
			state, min_tree_find(&state->tree, scale(ask->key, state->tree.leaves)));

		if (is_open(state, emptiest, ask->tried))
			return emptiest;
	}
	return balance_weighted(state, ask->key, ask->tried, BALANCE_NONE);
}
