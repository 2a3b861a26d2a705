// SPDX-License-Identifier: Apache-2.0
#include "decide/balance.h"

#include "base/hash.h"
#include "decide/balance_kinds.h"

enum {
	ring_points_default = 160,
	// With fewer a pool with a tenth of slow members shows in the tail, with more 16 workers
	// that hear late of each other meet at the same member.
	choices_default = 5,
	hot_percent_default = 84, // 2^-0.25
};

static u32 pick_order(struct balance_state *state, const struct balance_ask *ask);
static u32 pick_first(struct balance_state *state, const struct balance_ask *ask);

struct kind {
	struct balance_kind_info info;
	balance_pick_fn *pick;
};

static const struct kind kinds[BALANCE_KINDS] = {
	[BALANCE_ROUND_ROBIN] = {{"round_robin", .eligible_only = true}, pick_order},
	[BALANCE_RANDOM] = {{"random"}, balance_random_pick},
	[BALANCE_WEIGHTED_RANDOM] = {{"weighted_random"}, balance_random_pick},
	[BALANCE_POWER_OF_TWO] = {{"power_of_two", .cost = BALANCE_COST_CONNECTIONS},
		balance_two_pick},
	[BALANCE_LEAST_CONNECTIONS] = {{"least_connections", .cost = BALANCE_COST_CONNECTIONS},
		balance_least_pick},
	[BALANCE_LEAST_RESPONSE_TIME] = {{"least_response_time", .cost = BALANCE_COST_LATENCY},
		balance_two_pick},
	[BALANCE_IP_HASH] = {{"ip_hash", .keyed = true}, balance_ring_pick},
	[BALANCE_CONSISTENT_HASH] = {{"consistent_hash", .keyed = true, .may_be_bounded = true},
		balance_ring_pick},
	[BALANCE_MAGLEV] = {{"maglev", .keyed = true, .may_be_bounded = true}, balance_maglev_pick},
	[BALANCE_RENDEZVOUS] = {{"rendezvous", .keyed = true, .may_be_bounded = true},
		balance_rendezvous_pick},
	[BALANCE_FIRST] = {{"first"}, pick_first},
	[BALANCE_PREQUAL] = {{"prequal", .cost = BALANCE_COST_RELATIVE}, balance_prequal_pick},
};

const struct balance_kind_info *balance_kind_info(enum balance_kind kind)
{
	ASSERT(kind < BALANCE_KINDS);
	return &kinds[kind].info;
}

u64 balance_id(struct str name)
{
	return hash_str(name, 0);
}

static void build_parts(
	struct balance_table *table, const struct balance_member *members, struct arena *arena)
{
	switch (table->kind) {
	case BALANCE_ROUND_ROBIN:
		balance_order_build(arena, table->weights, table->count, &table->order);
		break;
	case BALANCE_RANDOM:
	case BALANCE_WEIGHTED_RANDOM:
	case BALANCE_POWER_OF_TWO:
	case BALANCE_LEAST_RESPONSE_TIME:
	case BALANCE_PREQUAL:
		balance_alias_build(table, arena);
		break;
	case BALANCE_IP_HASH:
	case BALANCE_CONSISTENT_HASH:
		balance_ring_build(table, members, arena);
		break;
	case BALANCE_MAGLEV:
		balance_maglev_build(table, members, arena);
		break;
	case BALANCE_RENDEZVOUS:
		balance_rendezvous_build(table, members, arena);
		break;
	case BALANCE_LEAST_CONNECTIONS:
	case BALANCE_FIRST:
	case BALANCE_KINDS:
		break;
	}
}

const struct balance_table *balance_build(enum balance_kind kind,
	const struct balance_member *members, u32 count, const struct balance_options *options,
	struct arena *arena)
{
	const struct balance_kind_info *info = balance_kind_info(kind);
	struct balance_table *table = arena_zalloc(arena, sizeof(*table));
	u32 *weights = arena_zalloc(arena, sizeof(u32) * MAX(count, 1));

	ASSERT(count <= BALANCE_MEMBERS_MAX);
	for (u32 i = 0; i < count; i++) {
		ASSERT(members[i].weight <= BALANCE_WEIGHT_MAX);
		weights[i] = kind == BALANCE_RANDOM ? members[i].weight > 0 : members[i].weight;
		table->weight_max = MAX(table->weight_max, weights[i]);
	}
	table->kind = kind;
	table->pick = kinds[kind].pick;
	table->count = count;
	table->weights = weights;
	table->options = *options;
	if (info->may_be_bounded && options->load_percent) {
		ASSERT(options->load_percent > 100);
		table->load_percent = options->load_percent;
	}
	table->cost = table->load_percent ? BALANCE_COST_IN_FLIGHT : info->cost;
	if (!table->options.ring_points)
		table->options.ring_points = ring_points_default;
	if (!table->options.choices)
		table->options.choices = choices_default;
	if (!table->options.hot_percent)
		table->options.hot_percent = hot_percent_default;
	build_parts(table, members, arena);
	return table;
}

static double idle_cost(const struct balance_table *table, u32 index)
{
	switch (table->cost) {
	case BALANCE_COST_CONNECTIONS:
		return 1.0 / MAX(table->weights[index], 1);
	case BALANCE_COST_LATENCY:
		return -INFINITY;
	case BALANCE_COST_NONE:
	case BALANCE_COST_IN_FLIGHT:
	case BALANCE_COST_RELATIVE:
		break;
	}
	return 0;
}

// x times its inverse is 1 in the lower 32 bits; each round doubles the right ones, from three on.
static u32 inverse(u32 odd)
{
	u32 x = odd;

	for (int i = 0; i < 4; i++)
		x *= 2 - odd * x;
	return x;
}

static void plant_tree(
	struct balance_state *state, u32 worker, const double *costs, struct arena *arena)
{
	const struct balance_table *table = state->table;

	state->stride = worker ? (u32)mix(worker) | 1 : 1;
	state->unstride = inverse(state->stride);
	min_tree_init(&state->tree, table->count, arena);
	for (u32 i = 0; i < table->count; i++)
		if (table->weights[i])
			min_tree_set(&state->tree, place_of(state, i), costs[i]);
}

struct balance_state *balance_state_new(
	const struct balance_table *table, u32 worker, struct arena *arena)
{
	struct balance_state *state = arena_zalloc(arena, sizeof(*state));
	u32 room = MAX(table->count, 1);
	double *costs = arena_zalloc(arena, sizeof(double) * room);

	state->table = table;
	sum_tree_init(&state->weights, table->count, table->weights, arena);
	for (u32 i = 0; i < table->count; i++)
		costs[i] = idle_cost(table, i);
	if (table->load_percent)
		state->in_flight = arena_zalloc(arena, sizeof(u32) * room);
	if (table->load_percent || table->kind == BALANCE_LEAST_CONNECTIONS) {
		plant_tree(state, worker, costs, arena);
	} else {
		state->costs = costs;
	}
	if (table->kind == BALANCE_PREQUAL) {
		state->latency_keys = arena_zalloc(arena, sizeof(double) * room);
		for (u32 i = 0; i < table->count; i++)
			state->latency_keys[i] = -INFINITY;
		state->heat = arena_zalloc(arena, sizeof(*state->heat));
		quantile_init(state->heat, table->options.hot_percent);
	}
	return state;
}

// The bound is kept by what members have in flight; the tree orders them by how full they are.
static void change_in_flight(struct balance_state *state, u32 index, bool eligible, double cost)
{
	u32 weight = state->table->weights[index], in_flight = (u32)cost;
	bool was = min_tree_get(&state->tree, place_of(state, index)) < INFINITY;

	state->in_flight_sum += eligible ? in_flight : 0;
	state->in_flight_sum -= was ? state->in_flight[index] : 0;
	state->in_flight[index] = in_flight;
	min_tree_set(&state->tree, place_of(state, index),
		eligible ? in_flight / (double)weight : INFINITY);
}

void balance_change(struct balance_state *state, u32 index, bool eligible, double cost)
{
	const struct balance_table *table = state->table;
	u32 weight;

	ASSERT(index < table->count);
	weight = eligible ? table->weights[index] : 0;
	if (unlikely(weight != sum_tree_get(&state->weights, index)))
		sum_tree_set(&state->weights, index, weight);
	if (state->costs)
		state->costs[index] = cost;
	else if (table->load_percent)
		change_in_flight(state, index, weight > 0, cost);
	else
		min_tree_set(&state->tree, place_of(state, index), weight ? cost : INFINITY);
}

double balance_kept_cost(const struct balance_state *state, u32 index, double otherwise)
{
	ASSERT(index < state->table->count);
	return state->costs ? state->costs[index] : otherwise;
}

void balance_change_latency(struct balance_state *state, u32 index, double latency_key)
{
	ASSERT(index < state->table->count && state->latency_keys);
	state->latency_keys[index] = latency_key;
}

void balance_retable(struct balance_state *state, const struct balance_table *table)
{
	ASSERT(table->kind == state->table->kind || state->costs);
	ASSERT(table->count == state->table->count);
	ASSERT(table->load_percent == state->table->load_percent);
	for (u32 i = 0; i < table->count; i++) {
		u32 weight = sum_tree_get(&state->weights, i) ? table->weights[i] : 0;

		if (weight != sum_tree_get(&state->weights, i))
			sum_tree_set(&state->weights, i, weight);
	}
	state->table = table;
}

bool balance_has_eligible(const struct balance_state *state)
{
	return state->weights.sums[1] > 0;
}

bool balance_has_untried(const struct balance_state *state, const struct balance_tried *tried)
{
	u32 rest = state->weights.sums[1];

	for (u32 i = 0; i < tried->count; i++) {
		bool seen = tried->index[i] >= state->table->count;

		for (u32 k = 0; k < i && !seen; k++)
			seen = tried->index[k] == tried->index[i];
		if (!seen)
			rest -= sum_tree_get(&state->weights, tried->index[i]);
	}
	return rest > 0;
}

bool balance_is_eligible(const struct balance_state *state, u32 index)
{
	ASSERT(index < state->table->count);
	return sum_tree_get(&state->weights, index) != 0;
}

enum balance_kind balance_kind_of(const struct balance_table *table)
{
	return table->kind;
}

u32 balance_weight(const struct balance_table *table, u32 index)
{
	ASSERT(index < table->count);
	return table->weights[index];
}

enum balance_cost_kind balance_cost_kind_of(const struct balance_table *table)
{
	return table->cost;
}

u32 balance_capacity(const struct balance_state *state, u32 index, u64 total)
{
	const struct balance_table *table = state->table;
	u64 part = (total + 1) * table->weights[index] * table->load_percent;
	u64 whole = (u64)state->weights.sums[1] * 100;

	return whole ? (u32)((part + whole - 1) / whole) : 0;
}

u32 balance_pick(struct balance_state *state, const struct balance_ask *ask)
{
	return state->table->pick(state, ask);
}

void balance_keep(const struct balance_state *state, struct balance_memory *ret_memory)
{
	ret_memory->cursor = state->cursor;
	if (state->heat)
		ret_memory->heat = *state->heat;
}

void balance_put_back(struct balance_state *state, const struct balance_memory *memory)
{
	state->cursor = memory->cursor;
	if (state->heat)
		*state->heat = memory->heat;
}

u32 balance_weighted(
	const struct balance_state *state, u64 hash, const struct balance_tried *tried, u32 except)
{
	u32 without[BALANCE_TRIED_MAX + 1] = {0}, count = 0;
	u32 rest = state->weights.sums[1];

	for (u32 i = 0; i <= tried->count; i++) {
		u32 index = i < tried->count ? tried->index[i] : except;
		bool seen = index >= state->table->count;

		for (u32 k = 0; k < count && !seen; k++)
			seen = without[k] == index;
		if (seen)
			continue;
		without[count++] = index;
		rest -= sum_tree_get(&state->weights, index);
	}
	if (rest == 0)
		return BALANCE_NONE;
	return sum_tree_find(&state->weights, scale(hash, rest), without, count);
}

cold __attribute__((noinline)) void balance_note_skip(
	const struct balance_state *state, const struct balance_ask *ask, u32 index)
{
	if (ask->seen)
		balance_look(ask->seen, index,
			is_open(state, index, ask->tried) ? BALANCE_AT_BOUND : BALANCE_SKIPPED, 0);
}

// Steps over what the table does not know yet. Far into a stretch of the ineligible it gives up and
// takes the places by weight instead.
static __attribute__((noinline)) u32 walk_order(
	struct balance_state *state, const struct balance_ask *ask, u32 at)
{
	enum { steps_max = 64 };
	const struct balance_order *order = &state->table->order;
	u32 steps = MIN(order->len, steps_max);

	for (u32 i = 0; i < steps; i++) {
		if (is_open(state, order->index[at], ask->tried))
			return order->index[at];
		balance_note_skip(state, ask, order->index[at]);
		at = at + 1 == order->len ? 0 : at + 1;
	}
	if (ask->seen)
		ask->seen->by_weight = true;
	return balance_weighted(state, mix(ask->position + 1), ask->tried, BALANCE_NONE);
}

static u32 pick_order(struct balance_state *state, const struct balance_ask *ask)
{
	const struct balance_order *order = &state->table->order;
	u32 at;

	if (order->len == 0)
		return BALANCE_NONE;
	at = (u32)(ask->position % order->len);
	if (likely(is_open(state, order->index[at], ask->tried)))
		return order->index[at];
	return walk_order(state, ask, at);
}

static u32 pick_first(struct balance_state *state, const struct balance_ask *ask)
{
	return balance_weighted(state, 0, ask->tried, BALANCE_NONE);
}
