// SPDX-License-Identifier: Apache-2.0
// Inside of src/decide only: what tables and states are made of, and the calls of each kind that
// balance.c puts in its table of kinds.
#pragma once

#include <math.h>

#include "decide/balance.h"
#include "decide/balance_tree.h"
#include "decide/quantile.h"

typedef u32 balance_pick_fn(struct balance_state *state, const struct balance_ask *ask);

// One entry of an alias table (Walker 1977, Vose 1991): slot i is i's own below `own`, the other's
// above.
struct balance_slot {
	u32 own; // in 2^-32; UINT32_MAX: always
	u32 other;
};

struct balance_point {
	u32 hash;
	u32 index;
};

struct balance_table {
	balance_pick_fn *pick;
	enum balance_kind kind;
	enum balance_cost_kind cost;
	u32 count;
	u32 load_percent;
	u32 weight_max; // the largest there is
	const u32 *weights;
	struct balance_options options; // with the defaults filled in
	union {
		struct balance_order order;
		const struct balance_slot *slots;
		struct {
			const struct balance_point *points; // by hash
			// starts[b] is the first point of bucket b, the highest bits of a hash.
			const u32 *starts;
			u32 point_count, shift;
		} ring;
		struct {
			const u16 *entries;
			u32 size;
		} maglev;
		struct {
			const u64 *ids;	      // mixed with the seed
			const double *shares; // 1 / weight
			bool equal;	      // all weights are the same
		} rendezvous;
	};
};

struct balance_state {
	const struct balance_table *table;
	struct sum_tree weights; // of the eligible; a leaf is 0 when the member is not eligible
	double *costs;		 // of each member; kinds without a tree
	struct min_tree tree;	 // cost, INFINITY when not eligible; mins NULL: no tree
	u32 stride, unstride;	 // a member's place in the tree is index x stride, and back
	u32 *in_flight;		 // bounded load only
	u64 in_flight_sum;	 // over the eligible
	u32 cursor;		 // least_connections: behind the last one taken
	double *latency_keys;	 // Prequal only
	struct quantile *heat;	 // Prequal only: of requests in flight seen in picks
};

// Each worker lines the members up in an order of its own: odd strides meet every place of a power
// of two once. Otherwise all workers that look for the next idle member behind a row of busy ones
// would find the same one.
static inline u32 place_of(const struct balance_state *state, u32 index)
{
	return index * state->stride & (state->tree.leaves - 1);
}

static inline u32 member_at(const struct balance_state *state, u32 place)
{
	return place * state->unstride & (state->tree.leaves - 1);
}

static inline bool is_open(
	const struct balance_state *state, u32 index, const struct balance_tried *tried)
{
	return sum_tree_get(&state->weights, index) != 0 &&
	       (likely(tried->count == 0) || !balance_was_tried(tried, index));
}

// In integers and without a division: x < ceil(y) is x < y where x is whole.
static inline bool has_room(const struct balance_state *state, u32 index)
{
	const struct balance_table *table = state->table;
	unsigned __int128 used, room;

	if (table->load_percent == 0)
		return true;
	used = (unsigned __int128)((u64)state->in_flight[index] * state->weights.sums[1]) * 100;
	room = (unsigned __int128)((state->in_flight_sum + 1) * table->weights[index]) *
	       table->load_percent;
	return used < room;
}

// A number in [0, bound) that follows `hash`.
static inline u32 scale(u64 hash, u32 bound)
{
	return (u32)(((hash >> 32) * bound) >> 32);
}

// Murmur3's finaliser: every bit of the input stirs every bit of the output.
static inline u64 mix(u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ (x >> 33);
}

// Indexes of the members with a weight, by id, so that a table does not depend on the order in
// which members were written down. Gives how many.
u32 balance_by_id(const struct balance_member *members, u32 count, u32 *ret_indexes);

// The eligible and untried member that weighs on `hash` of all of them; BALANCE_NONE: there is
// none.
u32 balance_weighted(
	const struct balance_state *state, u64 hash, const struct balance_tried *tried, u32 except);

// For balance_ask.seen: a walk stepped over this one.
void balance_note_skip(const struct balance_state *state, const struct balance_ask *ask, u32 index);

// Where the walk of a hash ended without an answer.
u32 balance_hash_fallback(const struct balance_state *state, const struct balance_ask *ask);

void balance_alias_build(struct balance_table *table, struct arena *arena);
u32 balance_alias_draw(const struct balance_state *state, struct rng *rng,
	const struct balance_tried *tried, u32 except);
void balance_ring_build(
	struct balance_table *table, const struct balance_member *members, struct arena *arena);
void balance_maglev_build(
	struct balance_table *table, const struct balance_member *members, struct arena *arena);
void balance_rendezvous_build(
	struct balance_table *table, const struct balance_member *members, struct arena *arena);

balance_pick_fn balance_random_pick, balance_two_pick, balance_least_pick, balance_ring_pick,
	balance_maglev_pick, balance_rendezvous_pick, balance_prequal_pick;
