// SPDX-License-Identifier: Apache-2.0
// A ring of points, several for each member; a key belongs to the next point behind it. Where a
// member's points are follows from its id, its weight and the seed alone, so members that come and
// go move nobody else's keys.
#include "decide/balance_kinds.h"

enum {
	points_max = 1 << 21, // 16 MiB; beyond, each member has half as many points, or a quarter
	steps_max = 1024,
};

// Every member keeps one at least.
static u32 points_of(u32 weight, u32 per_weight, u32 halvings)
{
	return weight ? (u32)MAX(1, ((u64)weight * per_weight) >> halvings) : 0;
}

static u32 choose_halvings(const struct balance_table *table, u32 *ret_points)
{
	for (u32 halvings = 0;; halvings++) {
		u64 sum = 0;

		for (u32 i = 0; i < table->count; i++)
			sum += points_of(table->weights[i], table->options.ring_points, halvings);
		// At one point for each member no halving makes it less.
		if (sum <= points_max || halvings == 48) {
			*ret_points = (u32)sum;
			return halvings;
		}
	}
}

static u32 point_hash(u64 id, u64 seed, u32 number)
{
	return (u32)(mix(mix(id ^ mix(seed)) + number * 0x9e3779b97f4a7c15ull) >> 32);
}

// Points are spread evenly, so a bucket for each of them or two sorts them: counted, then laid into
// their buckets, each of which is put in order as it fills. Points of lower buckets are lower, and
// places not yet taken are 0, so nothing moves beyond its bucket. Equal hashes stay in the order of
// ids.
static void lay(struct balance_point *points, u32 *end, struct balance_point point)
{
	u32 at = (*end)++;

	while (at > 0 && points[at - 1].hash > point.hash) {
		points[at] = points[at - 1];
		at--;
	}
	points[at] = point;
}

struct plan {
	const struct balance_member *members;
	u32 *by_id, count;
	u32 halvings;
	u64 seed;
	u32 per_weight;
	const u32 *weights;
};

// First `starts` counts, then it is the end of each bucket while that fills, which at last is the
// start of the next one.
static void fill(
	const struct plan *plan, u32 *starts, u32 shift, u32 buckets, struct balance_point *points)
{
	u32 sum = 0;

	for (u32 pass = 0; pass < 2; pass++) {
		for (u32 i = 0; i < plan->count; i++) {
			u32 index = plan->by_id[i];
			u32 number =
				points_of(plan->weights[index], plan->per_weight, plan->halvings);

			for (u32 k = 0; k < number; k++) {
				u32 hash = point_hash(plan->members[index].id, plan->seed, k);

				if (pass == 0)
					starts[hash >> shift]++;
				else
					lay(points, &starts[hash >> shift],
						(struct balance_point){hash, index});
			}
		}
		for (u32 b = 0; pass == 0 && b < buckets; b++) {
			u32 size = starts[b];

			starts[b] = sum;
			sum += size;
		}
	}
	memmove(starts + 1, starts, sizeof(u32) * buckets);
	starts[0] = 0;
}

void balance_ring_build(
	struct balance_table *table, const struct balance_member *members, struct arena *arena)
{
	struct plan plan = {.members = members,
		.seed = table->options.seed,
		.weights = table->weights,
		.per_weight = table->options.ring_points};
	u32 point_count, bits = 4, *starts;
	struct balance_point *points;

	plan.halvings = choose_halvings(table, &point_count);
	plan.by_id = arena_zalloc(arena, sizeof(u32) * MAX(table->count, 1));
	plan.count = balance_by_id(members, table->count, plan.by_id);
	while (bits < 31 && (1u << bits) < point_count)
		bits++;
	starts = arena_zalloc(arena, sizeof(u32) * ((1u << bits) + 1));
	points = arena_zalloc(arena, sizeof(*points) * MAX(point_count, 1));
	fill(&plan, starts, 32 - bits, 1u << bits, points);
	table->ring.points = points;
	table->ring.starts = starts;
	table->ring.point_count = point_count;
	table->ring.shift = 32 - bits;
}

u32 balance_ring_pick(struct balance_state *state, const struct balance_ask *ask)
{
	const struct balance_table *table = state->table;
	const struct balance_point *points = table->ring.points;
	u32 hash = (u32)(ask->key >> 32), count = table->ring.point_count, steps;
	u32 at = table->ring.starts[hash >> table->ring.shift];

	if (unlikely(state->weights.sums[1] == 0))
		return BALANCE_NONE;
	while (at < count && points[at].hash < hash)
		at++;
	steps = MIN(count, steps_max);
	for (u32 i = 0; i < steps; i++) {
		u32 index;

		if (unlikely(at == count))
			at = 0;
		index = points[at++].index;
		if (likely(is_open(state, index, ask->tried) && has_room(state, index)))
			return index;
		balance_note_skip(state, ask, index);
	}
	return balance_hash_fallback(state, ask);
}
