// SPDX-License-Identifier: Apache-2.0
#include "decide/balance_tree.h"

#include <math.h>

u32 tree_leaves(u32 count)
{
	u32 leaves = 1;

	while (leaves < count)
		leaves *= 2;
	return leaves;
}

void sum_tree_init(struct sum_tree *tree, u32 count, const u32 *values, struct arena *arena)
{
	tree->leaves = tree_leaves(count);
	tree->sums = arena_zalloc(arena, sizeof(u32) * 2 * tree->leaves);
	for (u32 i = 0; i < count; i++)
		tree->sums[tree->leaves + i] = values[i];
	for (u32 at = tree->leaves - 1; at > 0; at--)
		tree->sums[at] = tree->sums[2 * at] + tree->sums[2 * at + 1];
}

void sum_tree_set(struct sum_tree *tree, u32 index, u32 value)
{
	u32 more =
		value - tree->sums[tree->leaves + index]; // less wraps around, and so do the sums

	for (u32 at = tree->leaves + index; at > 0; at /= 2)
		tree->sums[at] += more;
}

// What the members of `without` add to the sum of the node that is `depth` levels above the leaves.
static u32 sum_without(
	const struct sum_tree *tree, u32 node, u32 depth, const u32 *without, u32 count)
{
	u32 sum = tree->sums[node];

	for (u32 i = 0; i < count; i++)
		if ((tree->leaves + without[i]) >> depth == node)
			sum -= sum_tree_get(tree, without[i]);
	return sum;
}

u32 sum_tree_find(const struct sum_tree *tree, u32 place, const u32 *without, u32 count)
{
	u32 at = 1, depth = (u32)__builtin_ctz(tree->leaves);

	while (at < tree->leaves) {
		u32 left;

		at *= 2;
		depth--;
		left = sum_without(tree, at, depth, without, count);
		if (place >= left) {
			place -= left;
			at++;
		}
	}
	return at - tree->leaves;
}

void min_tree_init(struct min_tree *tree, u32 count, struct arena *arena)
{
	tree->leaves = tree_leaves(count);
	tree->mins = arena_zalloc(arena, sizeof(double) * 2 * tree->leaves);
	for (u32 at = 0; at < 2 * tree->leaves; at++)
		tree->mins[at] = INFINITY;
}

void min_tree_set(struct min_tree *tree, u32 index, double value)
{
	u32 at = tree->leaves + index;

	tree->mins[at] = value;
	while (at > 1) {
		double least = MIN(tree->mins[at], tree->mins[at ^ 1]);

		at /= 2;
		// What does not change here changes nothing above.
		if (tree->mins[at] <= least && tree->mins[at] >= least)
			return;
		tree->mins[at] = least;
	}
}

u32 min_tree_find(const struct min_tree *tree, u32 from)
{
	const double *mins = tree->mins;
	double least = mins[1];
	u32 at = tree->leaves + from;

	// Up until a subtree to the right holds one, or the leaf itself is one.
	if (mins[at] > least) {
		while (at > 1 && ((at & 1) || mins[at + 1] > least))
			at /= 2;
		at = at > 1 ? at + 1 : 1;
	}
	while (at < tree->leaves) {
		at *= 2;
		if (mins[at] > least)
			at++;
	}
	return at - tree->leaves;
}
