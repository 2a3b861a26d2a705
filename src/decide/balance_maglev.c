// SPDX-License-Identifier: Apache-2.0
// Maglev (Eisenbud et al., NSDI'16): each member prefers the entries of the table in an order of
// its own, and all take turns at taking the next free one. Weights as in Katran's second version: a
// turn adds the weight, and who reaches the largest weight takes an entry and pays it. Turns go by
// id.
#include "decide/balance_kinds.h"

enum {
	size_default = 65537,
	entries_per_member = 100,
	steps_max = 256,
	nobody = UINT16_MAX,
};

static bool is_prime(u32 number)
{
	for (u32 divisor = 3; divisor * divisor <= number; divisor += 2)
		if (number % divisor == 0)
			return false;
	return number % 2 == 1;
}

static u32 size_for(u32 members)
{
	u32 size = MAX(size_default, (members * entries_per_member) | 1);

	while (!is_prime(size))
		size += 2;
	return size;
}

u32 balance_by_id(const struct balance_member *members, u32 count, u32 *ret_indexes)
{
	u32 taken = 0, half;

	for (u32 i = 0; i < count; i++)
		if (members[i].weight)
			ret_indexes[taken++] = i;
	// Shell's sort with Knuth's gaps is quick enough for some ten thousand and needs no room.
	for (half = 1; half < taken / 9; half = half * 3 + 1)
		;
	for (; half > 0; half /= 3)
		for (u32 i = half; i < taken; i++) {
			u32 moving = ret_indexes[i], at = i;

			while (at >= half &&
				members[ret_indexes[at - half]].id > members[moving].id) {
				ret_indexes[at] = ret_indexes[at - half];
				at -= half;
			}
			ret_indexes[at] = moving;
		}
	return taken;
}

struct builder {
	u16 *entries;
	u32 size, left;
	u32 *next; // by place in the order of ids: the next preferred entry
	u32 *skip;
};

static void take_entry(struct builder *builder, u32 rank, u32 index)
{
	u32 at = builder->next[rank];

	while (builder->entries[at] != nobody) {
		at += builder->skip[rank];
		if (at >= builder->size)
			at -= builder->size;
	}
	builder->entries[at] = (u16)index;
	builder->next[rank] = at;
	builder->left--;
}

// The next turn in which a member takes an entry.
struct due {
	u64 round;
	u32 rank, taken;
};

static bool due_before(struct due a, struct due b)
{
	return a.round < b.round || (a.round == b.round && a.rank < b.rank);
}

static void sift(struct due *heap, u32 count, u32 at)
{
	struct due moving = heap[at];

	for (;;) {
		u32 child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && due_before(heap[child + 1], heap[child]))
			child++;
		if (!due_before(heap[child], moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

// Member i's k-th entry is due in the round in which k times the largest weight is reached. Who is
// worth less than one entry in the whole table gets its only one in the first round.
static void fill_weighted(struct builder *builder, const u32 *weights, const u32 *by_id,
	u32 members, struct due *heap)
{
	u64 sum = 0;
	u32 largest = 0;

	for (u32 i = 0; i < members; i++) {
		largest = MAX(largest, weights[by_id[i]]);
		sum += weights[by_id[i]];
	}
	for (u32 i = 0; i < members; i++) {
		u32 weight = weights[by_id[i]];
		bool tiny = (u64)weight * builder->size < sum;

		heap[i] = (struct due){tiny ? 1 : (largest + weight - 1) / weight, i, 1};
	}
	for (u32 i = members / 2; i-- > 0;)
		sift(heap, members, i);
	while (builder->left > 0) {
		u32 index = by_id[heap[0].rank], weight = weights[index];

		take_entry(builder, heap[0].rank, index);
		heap[0].taken++;
		heap[0].round = ((u64)heap[0].taken * largest + weight - 1) / weight;
		sift(heap, members, 0);
	}
}

static void fill(struct builder *builder, const u32 *weights, const u32 *by_id, u32 members,
	struct arena *arena)
{
	bool equal = true;

	for (u32 i = 1; i < members; i++)
		equal = equal && weights[by_id[i]] == weights[by_id[0]];
	if (!equal) {
		fill_weighted(builder, weights, by_id, members,
			arena_zalloc(arena, sizeof(struct due) * members));
		return;
	}
	while (builder->left > 0)
		for (u32 i = 0; i < members && builder->left > 0; i++)
			take_entry(builder, i, by_id[i]);
}

void balance_maglev_build(
	struct balance_table *table, const struct balance_member *members, struct arena *arena)
{
	u32 room = MAX(table->count, 1), *by_id = arena_zalloc(arena, sizeof(u32) * room);
	u32 taking = balance_by_id(members, table->count, by_id);
	u64 seed = table->options.seed;
	struct builder builder = {.size = table->options.maglev_size};

	if (builder.size == 0)
		builder.size = size_for(taking);
	ASSERT(builder.size > 1 && (builder.size == 2 || is_prime(builder.size)));
	builder.left = builder.size;
	builder.entries = arena_zalloc(arena, sizeof(u16) * builder.size);
	memset(builder.entries, 0xff, sizeof(u16) * builder.size);
	builder.next = arena_zalloc(arena, sizeof(u32) * room);
	builder.skip = arena_zalloc(arena, sizeof(u32) * room);
	for (u32 i = 0; i < taking; i++) {
		u64 id = members[by_id[i]].id ^ mix(seed);

		builder.next[i] = scale(mix(id), builder.size);
		builder.skip[i] = 1 + scale(mix(id + 0x9e3779b97f4a7c15ull), builder.size - 1);
	}
	if (taking > 0)
		fill(&builder, table->weights, by_id, taking, arena);
	table->maglev.entries = builder.entries;
	table->maglev.size = builder.size;
}

// Who may not take its key passes it to the entry behind, which is as good as any: entries that
// follow one another have nothing to do with each other.
u32 balance_maglev_pick(struct balance_state *state, const struct balance_ask *ask)
{
	const struct balance_table *table = state->table;
	u32 at = scale(ask->key, table->maglev.size);

	if (unlikely(state->weights.sums[1] == 0))
		return BALANCE_NONE;
	for (u32 i = 0; i < steps_max; i++) {
		u32 index = table->maglev.entries[at];

		if (likely(is_open(state, index, ask->tried) && has_room(state, index)))
			return index;
		balance_note_skip(state, ask, index);
		at = at + 1 == table->maglev.size ? 0 : at + 1;
	}
	return balance_hash_fallback(state, ask);
}
