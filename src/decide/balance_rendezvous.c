// SPDX-License-Identifier: Apache-2.0
// Rendezvous, the highest random weight (Thaler and Ravishankar 1998; weighted: Schindelhauer and
// Schomaker 2005): each member has a score for each key, the best has it. Shares are exact and only
// what must move moves. Linear: above some 64 members another kind is the better one.
#include "decide/balance_kinds.h"

void balance_rendezvous_build(
	struct balance_table *table, const struct balance_member *members, struct arena *arena)
{
	u32 room = MAX(table->count, 1), first = 0;
	u64 *ids = arena_zalloc(arena, sizeof(u64) * room);
	double *shares = arena_zalloc(arena, sizeof(double) * room);

	table->rendezvous.equal = true;
	for (u32 i = 0; i < table->count; i++) {
		u32 weight = table->weights[i];

		ids[i] = mix(members[i].id ^ mix(table->options.seed));
		shares[i] = weight ? 1.0 / weight : INFINITY;
		if (weight && !first)
			first = weight;
		if (weight != first && weight)
			table->rendezvous.equal = false;
	}
	table->rendezvous.ids = ids;
	table->rendezvous.shares = shares;
}

// A draw for a member and a key, the same everywhere. Only the upper bits are looked at, which the
// last step of the finaliser would not change.
static inline u64 toss(u64 key, u64 id)
{
	u64 x = key ^ id;

	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	return x * 0xc4ceb9fe1a85ec53ull;
}

static u32 pick_equal(
	const struct balance_state *state, const struct balance_ask *ask, bool within_bound)
{
	const u64 *ids = state->table->rendezvous.ids;
	u64 least = UINT64_MAX;
	u32 best = BALANCE_NONE;

	for (u32 i = 0; i < state->table->count; i++) {
		u64 score = toss(ask->key, ids[i]);

		if (score >= least || !is_open(state, i, ask->tried))
			continue;
		if (within_bound && !has_room(state, i))
			continue;
		least = score;
		best = i;
	}
	return best;
}

// The smallest -ln(1 - u) / weight wins, where u in [0, 1) is the toss. It is never below u /
// weight, so that nearly all are dismissed without a logarithm.
static u32 pick_weighted(
	const struct balance_state *state, const struct balance_ask *ask, bool within_bound)
{
	const u64 *ids = state->table->rendezvous.ids;
	const double *shares = state->table->rendezvous.shares;
	double least = INFINITY;
	u32 best = BALANCE_NONE;

	for (u32 i = 0; i < state->table->count; i++) {
		double u = (double)(i64)(toss(ask->key, ids[i]) >> 11) * 0x1p-53, score;

		if (u * shares[i] >= least || !is_open(state, i, ask->tried))
			continue;
		if (within_bound && !has_room(state, i))
			continue;
		score = -log1p(-u) * shares[i];
		if (score >= least)
			continue;
		least = score;
		best = i;
	}
	return best;
}

u32 balance_rendezvous_pick(struct balance_state *state, const struct balance_ask *ask)
{
	bool bounded = state->table->load_percent != 0;
	u32 (*pick)(const struct balance_state *, const struct balance_ask *, bool) =
		state->table->rendezvous.equal ? pick_equal : pick_weighted;
	u32 index = pick(state, ask, bounded);

	// Only where members were tried already are all others full.
	return index == BALANCE_NONE && bounded ? pick(state, ask, false) : index;
}
