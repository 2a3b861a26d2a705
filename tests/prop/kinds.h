// SPDX-License-Identifier: Apache-2.0
// What the property tests share: members of a seed, a state over them, and the one line that says
// which seed failed.
#pragma once

#include <stdio.h>

#include "base/rng.h"
#include "decide/balance_cost.h"

enum { KINDS_ARENA_BYTES = 512 * 1024 * 1024, KINDS_MEMBERS_MAX = 10000 };

struct pool_of_seed {
	u64 seed;
	struct rng rng;
	struct arena arena;
	u32 count;
	struct balance_member *members;
	const struct balance_table *table;
	struct balance_state *state;
	u64 position;
};

extern const struct balance_tried none_tried;

// All weights are `weight`, or from 0 to -`weight` when it is negative. Ids are by chance.
void pool_begin(struct pool_of_seed *pool, u64 seed, enum balance_kind kind, u32 count, int weight,
	const struct balance_options *options);
void pool_end(struct pool_of_seed *pool);
u32 pool_pick(struct pool_of_seed *pool, u64 key, const struct balance_tried *tried);

// Tells the member's state how many requests it has in flight.
void pool_set_load(struct pool_of_seed *pool, u32 index, bool eligible, u32 in_flight);

// Asserts with the seed and the kind in the message.
#define HOLDS(pool, condition)                                                           \
	do {                                                                             \
		if (!(condition)) {                                                      \
			print_error("%s does not hold for %s, seed %llu\n", #condition,  \
				balance_kind_info(balance_kind_of((pool)->table))->name, \
				(unsigned long long)(pool)->seed);                       \
			fail();                                                          \
		}                                                                        \
	} while (0)
