// SPDX-License-Identifier: Apache-2.0
// Two complete binary trees in arrays, over one number for each member: the root is 1, the children
// of i are 2i and 2i + 1, the leaves are the last half. One finds a member by its place in the sum
// of weights, the other the cheapest. Changes and searches are O(log n). Members of one worker.
#pragma once

#include "base/arena.h"

struct sum_tree {
	u32 *sums;  // sums[1] is all of them
	u32 leaves; // a power of two
};

struct min_tree {
	double *mins;
	u32 leaves;
};

// The smallest power of two that is not below `count`.
u32 tree_leaves(u32 count);

void sum_tree_init(struct sum_tree *tree, u32 count, const u32 *values, struct arena *arena);
void sum_tree_set(struct sum_tree *tree, u32 index, u32 value);

// The member in whose part of the sum `place` falls (below sums[1]), as if those of `without`
// (count distinct indexes) had no part; place is below what then remains.
u32 sum_tree_find(const struct sum_tree *tree, u32 place, const u32 *without, u32 count);

static inline u32 sum_tree_get(const struct sum_tree *tree, u32 index)
{
	return tree->sums[tree->leaves + index];
}

// All INFINITY.
void min_tree_init(struct min_tree *tree, u32 count, struct arena *arena);
void min_tree_set(struct min_tree *tree, u32 index, double value);

// The first index from `from` on, and then from 0 on, whose value is the smallest of all; `from` is
// below the number of leaves. Any index when all are INFINITY.
u32 min_tree_find(const struct min_tree *tree, u32 from);

static inline double min_tree_get(const struct min_tree *tree, u32 index)
{
	return tree->mins[tree->leaves + index];
}
