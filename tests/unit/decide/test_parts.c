// SPDX-License-Identifier: Apache-2.0
// The trees and the running quantile against plain scans, and Prequal's pool by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "decide/balance_tree.h"
#include "decide/prequal.h"

enum { seeds = 300, members_max = 40, arena_bytes = 64 * 1024 * 1024 };

static u32 scan_sum(const u32 *values, u32 count, u32 place, const u32 *without, u32 removed)
{
	for (u32 i = 0; i < count; i++) {
		u32 value = values[i];

		for (u32 k = 0; k < removed; k++)
			value = without[k] == i ? 0 : value;
		if (place < value)
			return i;
		place -= value;
	}
	return UINT32_MAX;
}

static void sums_find_what_a_scan_finds(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		u32 values[members_max], count, without[2], removed;
		struct sum_tree tree;
		struct arena arena;
		struct rng rng;

		rng_init(&rng, seed);
		arena_init(&arena, arena_bytes);
		count = 2 + rng_below(&rng, members_max - 2);
		for (u32 i = 0; i < count; i++)
			values[i] = rng_below(&rng, 4) * rng_below(&rng, 50);
		sum_tree_init(&tree, count, values, &arena);
		for (u32 i = 0; i < 50; i++) {
			u32 changed = rng_below(&rng, count), rest;

			values[changed] = rng_below(&rng, 30);
			sum_tree_set(&tree, changed, values[changed]);
			removed = rng_below(&rng, 3);
			without[0] = rng_below(&rng, count);
			without[1] = (without[0] + 1) % count;
			rest = tree.sums[1];
			for (u32 k = 0; k < removed; k++)
				rest -= values[without[k]];
			if (rest == 0)
				continue;
			for (u32 place = 0; place < rest; place += 1 + rest / 7)
				assert_int_equal(sum_tree_find(&tree, place, without, removed),
					scan_sum(values, count, place, without, removed));
		}
		arena_done(&arena);
	}
}

static u32 scan_min(const double *values, u32 count, u32 from)
{
	u32 best = from < count ? from : 0;

	for (u32 i = 0; i < count; i++) {
		u32 at = ((from < count ? from : 0) + i) % count;

		if (values[at] < values[best])
			best = at;
	}
	return best;
}

static void minima_are_found_in_turn(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		double values[members_max];
		struct min_tree tree;
		struct arena arena;
		struct rng rng;
		u32 count;

		rng_init(&rng, seed);
		arena_init(&arena, arena_bytes);
		count = 1 + rng_below(&rng, members_max);
		for (u32 i = 0; i < count; i++)
			values[i] = rng_below(&rng, 5);
		min_tree_init(&tree, count, &arena);
		for (u32 i = 0; i < count; i++)
			min_tree_set(&tree, i, values[i]);
		for (u32 i = 0; i < 200; i++) {
			u32 changed = rng_below(&rng, count), from = rng_below(&rng, tree.leaves);

			values[changed] =
				rng_one_in(&rng, 5) ? (double)INFINITY : rng_below(&rng, 5);
			min_tree_set(&tree, changed, values[changed]);
			if (tree.mins[1] < INFINITY)
				assert_int_equal(
					min_tree_find(&tree, from), scan_min(values, count, from));
		}
		arena_done(&arena);
	}
}

static int by_value(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return (x > y) - (x < y);
}

static void the_quantile_is_that_of_the_last_samples(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 20; seed++) {
		u32 samples[2000], sorted[QUANTILE_WINDOW], percent;
		struct quantile quantile;
		struct rng rng;

		rng_init(&rng, seed);
		percent = 1 + rng_below(&rng, 99);
		quantile_init(&quantile, percent);
		assert_false(quantile_is_above(&quantile, 1000));
		for (u32 i = 0; i < ARRAY_LEN(samples); i++) {
			u32 first = i + 1 > QUANTILE_WINDOW ? i + 1 - QUANTILE_WINDOW : 0;
			u32 count = i + 1 - first, wanted = (count * percent + 99) / 100;

			// A level that wanders, all below the first rounded bucket.
			samples[i] = rng_below(&rng, 4 + (i / 100) % 60);
			quantile_add(&quantile, samples[i]);
			for (u32 k = 0; k < count; k++)
				sorted[k] = samples[first + k];
			qsort(sorted, count, sizeof(sorted[0]), by_value);
			assert_int_equal(quantile.bucket, sorted[wanted - 1]);
			assert_false(quantile_is_above(&quantile, sorted[wanted - 1]));
			assert_true(quantile_is_above(&quantile, sorted[wanted - 1] + 1));
		}
	}
}

static void large_values_keep_their_order(void **state)
{
	struct quantile quantile;

	(void)state;
	quantile_init(&quantile, 50);
	for (u32 i = 0; i < 31; i++) {
		quantile_add(&quantile, 3u << i);
		quantile_add(&quantile, 3u << i);
	}
	// The median of 62 samples is the 31st.
	assert_false(quantile_is_above(&quantile, 3u << 15));
	assert_true(quantile_is_above(&quantile, 4u << 15));
	assert_true(quantile_is_above(&quantile, UINT32_MAX));
}

static void reuse_follows_the_formula(void **state)
{
	static const struct prequal_options paper = {
		.probes = 3, .pool_max = 16, .removals = 1, .spread = 1, .reuse_max = 16};

	(void)state;
	for (u32 members = 1; members <= 24; members++)
		assert_true(fabs(prequal_reuse(&paper, members) - 16) < 1e-9);
	// 100: (1 + 1) / ((1 - 0.16) x 3 - 1) = 1.3158; 1,000,000: 2 / 2 = 1.
	assert_true(fabs(prequal_reuse(&paper, 100) - 2 / 1.52) < 1e-9);
	assert_true(fabs(prequal_reuse(&paper, 1000000) - 1) < 1e-4);
}

struct pool_case {
	struct arena arena;
	struct balance_state *state;
	struct prequal prequal;
	struct rng rng;
	struct balance_tried tried;
};

static void pool_begin(struct pool_case *c, u32 members, struct prequal_options options)
{
	struct balance_member list[100];

	for (u32 i = 0; i < members; i++)
		list[i] = (struct balance_member){i, 1};
	arena_init(&c->arena, arena_bytes);
	rng_init(&c->rng, 7);
	c->tried.count = 0;
	c->state = balance_state_new(balance_build(BALANCE_POWER_OF_TWO, list, members,
					     &(struct balance_options){0}, &c->arena),
		0, &c->arena);
	prequal_init(&c->prequal, &options, members);
}

static u32 pool_pick(struct pool_case *c, nsec now)
{
	return prequal_pick(&c->prequal, c->state,
		&(struct balance_ask){.rng = &c->rng, .tried = &c->tried}, now);
}

static void cold_and_quick_first_then_the_emptiest(void **state)
{
	struct pool_case c;

	(void)state;
	pool_begin(&c, 10, (struct prequal_options){.hot_percent = 50});
	prequal_add(&c.prequal, 1, 9, 10, 0, &c.rng); // hot, and the quickest
	prequal_add(&c.prequal, 2, 2, 300, 0, &c.rng);
	prequal_add(&c.prequal, 3, 3, 200, 0, &c.rng);
	prequal_add(&c.prequal, 4, 9, 20, 0, &c.rng); // hot
	// The median of 9 2 3 9 is 3, and the oldest leaves with each pick.
	assert_int_equal(pool_pick(&c, 1), 3);
	assert_int_equal(c.prequal.count, 3);
	// Its use made it hot. Now the worst leaves: of three hot or cold the one with most in
	// flight.
	assert_int_equal(pool_pick(&c, 2), 2);
	assert_true(balance_try(&c.tried, 2));
	assert_int_equal(pool_pick(&c, 3), 3);
	arena_done(&c.arena);
}

static void ineligible_old_and_missing_probes(void **state)
{
	struct pool_case c;

	(void)state;
	pool_begin(&c, 2, (struct prequal_options){0});
	prequal_add(&c.prequal, 0, 1, 10, 0, &c.rng);
	prequal_add(&c.prequal, 1, 1, 20, 0, &c.rng);
	balance_change(c.state, 0, false, 0);
	assert_int_equal(pool_pick(&c, 1), 1);
	// Nothing that is younger than a second: two choices over the eligible.
	assert_int_equal(pool_pick(&c, 2 * NSEC_PER_SEC), 1);
	assert_int_equal(c.prequal.count, 0);
	balance_change(c.state, 1, false, 0);
	assert_int_equal(pool_pick(&c, 2 * NSEC_PER_SEC), BALANCE_NONE);
	arena_done(&c.arena);
}

static void the_newest_probe_of_a_member_counts(void **state)
{
	struct pool_case c;

	(void)state;
	pool_begin(&c, 100, (struct prequal_options){0});
	for (u32 i = 0; i < 40; i++)
		prequal_add(&c.prequal, i % 20, i, i, i, &c.rng);
	assert_int_equal(c.prequal.count, PREQUAL_POOL_MAX);
	for (u32 i = 0; i < PREQUAL_POOL_MAX; i++)
		assert_int_equal(c.prequal.probes[i].in_flight, 24 + i);
	arena_done(&c.arena);
}

static void a_smaller_pool_drops_sooner_and_reuses_less(void **state)
{
	struct pool_case c;

	(void)state;
	pool_begin(&c, 100, (struct prequal_options){.pool_max = 4});
	for (u32 i = 0; i < 10; i++)
		prequal_add(&c.prequal, i, i, i, i, &c.rng);
	assert_int_equal(c.prequal.count, 4);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(c.prequal.probes[i].index, 6 + i);
	// (1 + 1) / ((1 - 0.04) x 3 - 1)
	assert_true(fabs(c.prequal.reuse - 2 / 1.88) < 1e-9);
	arena_done(&c.arena);
}

static void targets_are_distinct_and_even(void **state)
{
	u32 hits[20] = {0}, targets[PREQUAL_PROBES_MAX];
	struct pool_case c;

	(void)state;
	pool_begin(&c, 20, (struct prequal_options){0});
	for (u32 i = 0; i < 20000; i++) {
		assert_int_equal(prequal_targets(&c.prequal, &c.rng, targets), 3);
		assert_true(targets[0] != targets[1] && targets[1] != targets[2] &&
			    targets[0] != targets[2]);
		for (u32 k = 0; k < 3; k++)
			hits[targets[k]]++;
	}
	// 3,000 each; five times the deviation of a binomial.
	for (u32 i = 0; i < 20; i++)
		assert_in_range(hits[i], 2750, 3250);
	arena_done(&c.arena);
	pool_begin(&c, 2, (struct prequal_options){0});
	assert_int_equal(prequal_targets(&c.prequal, &c.rng, targets), 2);
	arena_done(&c.arena);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_find_what_a_scan_finds),
		cmocka_unit_test(minima_are_found_in_turn),
		cmocka_unit_test(the_quantile_is_that_of_the_last_samples),
		cmocka_unit_test(large_values_keep_their_order),
		cmocka_unit_test(reuse_follows_the_formula),
		cmocka_unit_test(cold_and_quick_first_then_the_emptiest),
		cmocka_unit_test(ineligible_old_and_missing_probes),
		cmocka_unit_test(the_newest_probe_of_a_member_counts),
		cmocka_unit_test(a_smaller_pool_drops_sooner_and_reuses_less),
		cmocka_unit_test(targets_are_distinct_and_even),
	};

	return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
