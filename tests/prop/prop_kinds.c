// SPDX-License-Identifier: Apache-2.0
// What every algorithm promises, over many seeds: never an ineligible or a tried member, somebody
// as long as there is anybody, the same again from the same seed, nobody starved; and that the
// random kinds draw as they should.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "kinds.h"

enum { seeds = 200, members_max = 200 };

static const struct balance_options bounded = {.load_percent = 125};

static void begin(struct pool_of_seed *pool, u64 seed, u32 kind, int weight)
{
	struct rng rng;

	rng_init(&rng, seed * BALANCE_KINDS + kind);
	pool_begin(pool, seed, (enum balance_kind)kind,
		seed % 4 == 0 ? 1 + rng_below(&rng, 3) : 1 + rng_below(&rng, members_max), weight,
		seed % 2 ? &bounded : NULL);
}

// What the world does to a pool between two picks. Gives how many are eligible and not tried.
struct world {
	bool eligible[members_max];
	u32 in_flight[members_max];
	struct balance_tried tried;
};

static void world_begin(struct world *world, const struct pool_of_seed *pool)
{
	*world = (struct world){0};
	for (u32 i = 0; i < pool->count; i++)
		world->eligible[i] = pool->members[i].weight > 0;
}

static void world_turn(struct world *world, struct pool_of_seed *pool)
{
	u32 index = rng_below(&pool->rng, pool->count);
	u32 mood = rng_below(&pool->rng, 50);

	if (mood == 0) // all but one or two go
		for (u32 i = 0; i < pool->count; i++) {
			world->eligible[i] = rng_below(&pool->rng, pool->count) < 2;
			pool_set_load(pool, i, world->eligible[i], world->in_flight[i]);
		}
	if (mood < 10)
		world->eligible[index] = !world->eligible[index];
	world->in_flight[index] = rng_below(&pool->rng, 30);
	pool_set_load(pool, index, world->eligible[index], world->in_flight[index]);
	world->tried.count = 0;
	for (u32 n = rng_one_in(&pool->rng, 3) ? rng_below(&pool->rng, 6) : 0; n > 0; n--) {
		u32 tried = rng_below(&pool->rng, pool->count);

		if (!balance_was_tried(&world->tried, tried))
			world->tried.index[world->tried.count++] = tried;
	}
}

static u32 world_choices(const struct world *world, const struct pool_of_seed *pool)
{
	u32 choices = 0;

	for (u32 i = 0; i < pool->count; i++)
		choices += world->eligible[i] && pool->members[i].weight > 0 &&
			   !balance_was_tried(&world->tried, i);
	return choices;
}

static void picks_are_eligible_and_untried(void **state)
{
	(void)state;
	for (u32 kind = 0; kind < BALANCE_KINDS; kind++)
		for (u64 seed = 1; seed <= seeds; seed++) {
			struct pool_of_seed pool;
			struct world world;

			begin(&pool, seed, kind, seed % 3 ? 1 : -20);
			world_begin(&world, &pool);
			for (u32 i = 0; i < 200; i++) {
				u32 choices, index;

				world_turn(&world, &pool);
				choices = world_choices(&world, &pool);
				HOLDS(&pool, balance_has_untried(pool.state, &world.tried) ==
						     (choices > 0));
				index = pool_pick(&pool, rng_u64(&pool.rng), &world.tried);
				if (index == BALANCE_NONE) {
					HOLDS(&pool, choices == 0);
					continue;
				}
				HOLDS(&pool, index < pool.count && world.eligible[index]);
				HOLDS(&pool, pool.members[index].weight > 0);
				HOLDS(&pool, !balance_was_tried(&world.tried, index));
			}
			pool_end(&pool);
		}
}

static void nobody_to_pick_from_is_nobody(void **state)
{
	(void)state;
	for (u32 kind = 0; kind < BALANCE_KINDS; kind++)
		for (u32 count = 0; count < 3; count++) {
			struct pool_of_seed pool;

			pool_begin(&pool, 1, (enum balance_kind)kind, count, 0, NULL);
			for (u64 key = 0; key < 20; key++)
				HOLDS(&pool,
					pool_pick(&pool, key << 60, &none_tried) == BALANCE_NONE);
			pool_end(&pool);
		}
}

static u64 run_of(u32 kind, u64 seed)
{
	struct pool_of_seed pool;
	struct world world;
	u64 sum = 0;

	begin(&pool, seed, kind, -20);
	world_begin(&world, &pool);
	for (u32 i = 0; i < 200; i++) {
		world_turn(&world, &pool);
		sum = sum * 31 + pool_pick(&pool, rng_u64(&pool.rng), &world.tried);
	}
	pool_end(&pool);
	return sum;
}

static void a_seed_gives_the_same_run_again(void **state)
{
	(void)state;
	for (u32 kind = 0; kind < BALANCE_KINDS; kind++) {
		u32 differing = 0;

		for (u64 seed = 1; seed <= seeds; seed += 7) {
			u64 run = run_of(kind, seed);

			assert_true(run == run_of(kind, seed));
			differing += run != run_of(kind, seed + 1);
		}
		// And another seed another one, so that the first half says something.
		assert_true(differing > 20);
	}
}

// Requests that last: as many are in flight as two for each unit of weight, so that also for
// least_connections the light members are worth while. All get some of a thousand times members.
static void nobody_starves(void **state)
{
	static u32 queue[2 * 9 * 100], taken[100], in_flight[100];

	(void)state;
	for (u32 kind = 0; kind < BALANCE_KINDS; kind++)
		for (u64 seed = 1; kind != BALANCE_FIRST && seed <= 20; seed++) {
			struct pool_of_seed pool;
			u32 span;

			pool_begin(&pool, seed, (enum balance_kind)kind, 2 + (u32)seed * 4,
				seed % 2 ? 1 : -9, seed % 4 < 2 ? &bounded : NULL);
			span = 0;
			for (u32 i = 0; i < pool.count; i++)
				span += 2 * pool.members[i].weight;
			span = MAX(span, 1);
			memset(taken, 0, sizeof(taken));
			memset(in_flight, 0, sizeof(in_flight));
			for (u32 i = 0; i < 1000 * pool.count; i++) {
				u32 index = pool_pick(&pool, rng_u64(&pool.rng), &none_tried);
				u32 *slot = &queue[i % span];

				if (index == BALANCE_NONE)
					break; // all weights are 0
				if (i >= span)
					pool_set_load(&pool, *slot, true, --in_flight[*slot]);
				*slot = index;
				taken[index]++;
				pool_set_load(&pool, index, true, ++in_flight[index]);
			}
			for (u32 i = 0; i < pool.count && taken[0] + taken[1] > 0; i++)
				HOLDS(&pool, (taken[i] > 0) == (pool.members[i].weight > 0));
			pool_end(&pool);
		}
}

static void least_connections_has_the_least(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct pool_of_seed pool;
		struct world world;

		begin(&pool, seed, BALANCE_LEAST_CONNECTIONS, seed % 2 ? -9 : 1);
		world_begin(&world, &pool);
		for (u32 n = 0; n < 200; n++) {
			double least = INFINITY;
			u32 index;

			world_turn(&world, &pool);
			index = pool_pick(&pool, 0, &world.tried);
			for (u32 i = 0; i < pool.count; i++)
				if (world.eligible[i] && pool.members[i].weight &&
					!balance_was_tried(&world.tried, i))
					least = fmin(least, (world.in_flight[i] + 1.0) /
								    pool.members[i].weight);
			if (index != BALANCE_NONE)
				HOLDS(&pool, (world.in_flight[index] + 1.0) /
							     pool.members[index].weight <=
						     least);
		}
		pool_end(&pool);
	}
}

static void equals_are_taken_in_turn(void **state)
{
	(void)state;
	for (u32 count = 1; count < 70; count += 3) {
		struct pool_of_seed pool;

		pool_begin(&pool, count, BALANCE_LEAST_CONNECTIONS, count, 4, NULL);
		for (u32 i = 0; i < 3 * count; i++)
			HOLDS(&pool, pool_pick(&pool, 0, &none_tried) == i % count);
		pool_end(&pool);
	}
}

static void two_choices_take_the_cheaper(void **state)
{
	u32 taken[3] = {0};
	struct pool_of_seed pool;

	(void)state;
	// Of three the dearest is never taken, and the cheapest whenever it is one of the two: two
	// thirds.
	pool_begin(&pool, 1, BALANCE_POWER_OF_TWO, 3, 1, NULL);
	for (u32 i = 0; i < 3; i++)
		pool_set_load(&pool, i, true, i);
	for (u32 i = 0; i < 30000; i++)
		taken[pool_pick(&pool, 0, &none_tried)]++;
	assert_int_equal(taken[2], 0);
	assert_in_range(taken[0], 19600, 20400); // five deviations of 82
	pool_end(&pool);
}

static void first_is_the_first(void **state)
{
	struct balance_tried tried = {0};
	struct pool_of_seed pool;

	(void)state;
	pool_begin(&pool, 1, BALANCE_FIRST, 9, 7, NULL);
	assert_int_equal(pool_pick(&pool, 0, &tried), 0);
	balance_change(pool.state, 0, false, 0);
	assert_int_equal(pool_pick(&pool, 0, &tried), 1);
	assert_true(balance_try(&tried, 1));
	assert_int_equal(pool_pick(&pool, 0, &tried), 2);
	balance_change(pool.state, 0, true, 0);
	assert_int_equal(pool_pick(&pool, 0, &tried), 0);
	pool_end(&pool);
}

// Chi-square with count - 1 degrees of freedom; 5 deviations above its mean are one in a million.
static void expect_shares(
	struct pool_of_seed *pool, const u32 *taken, const double *shares, u32 draws)
{
	double chi = 0;
	u32 degrees = 0;

	for (u32 i = 0; i < pool->count; i++) {
		double wanted = shares[i] * draws;

		if (shares[i] <= 0) {
			HOLDS(pool, taken[i] == 0);
			continue;
		}
		chi += (taken[i] - wanted) * (taken[i] - wanted) / wanted;
		degrees++;
	}
	HOLDS(pool, chi < degrees + 5 * sqrt(2.0 * degrees) + 12);
}

// With a part of the members ineligible and one tried, by rejection and by the tree.
static void random_kinds_draw_by_weight(void **state)
{
	static u32 taken[members_max];
	static double shares[members_max];

	(void)state;
	for (u32 weighted = 0; weighted < 2; weighted++)
		for (u64 seed = 1; seed <= 40; seed++) {
			struct pool_of_seed pool;
			struct balance_tried tried = {1, {2}};
			double sum = 0;
			u32 part = (u32)seed % 5;

			pool_begin(&pool, seed, weighted ? BALANCE_WEIGHTED_RANDOM : BALANCE_RANDOM,
				5 + (u32)seed, -30, NULL);
			for (u32 i = 0; i < pool.count; i++) {
				u32 weight = weighted ? pool.members[i].weight
						      : pool.members[i].weight > 0;
				bool eligible = rng_below(&pool.rng, 5) >= part || i == 0;

				balance_change(pool.state, i, eligible, 0);
				shares[i] = eligible && i != 2 ? weight : 0;
				sum += shares[i];
				taken[i] = 0;
			}
			for (u32 i = 0; i < pool.count; i++)
				shares[i] /= sum > 0 ? sum : 1;
			for (u32 i = 0; sum > 0 && i < 60000; i++)
				taken[pool_pick(&pool, 0, &tried)]++;
			expect_shares(&pool, taken, shares, 60000);
			pool_end(&pool);
		}
}

// Round robin over a set that changed after its order was built.
static void an_old_order_still_serves_evenly(void **state)
{
	static u32 taken[members_max];
	struct pool_of_seed pool;

	(void)state;
	pool_begin(&pool, 3, BALANCE_ROUND_ROBIN, members_max, 1, NULL);
	for (u32 i = 0; i < pool.count; i++) {
		bool eligible = i < 2; // far apart from the rest of the order

		balance_change(pool.state, i, eligible, 0);
		taken[i] = 0;
	}
	for (u32 i = 0; i < 20000; i++)
		taken[pool_pick(&pool, 0, &none_tried)]++;
	for (u32 i = 0; i < 2; i++)
		assert_in_range(taken[i], 4000, 16000);
	assert_int_equal(taken[0] + taken[1], 20000);
	pool_end(&pool);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(picks_are_eligible_and_untried),
		cmocka_unit_test(nobody_to_pick_from_is_nobody),
		cmocka_unit_test(a_seed_gives_the_same_run_again),
		cmocka_unit_test(nobody_starves),
		cmocka_unit_test(least_connections_has_the_least),
		cmocka_unit_test(equals_are_taken_in_turn),
		cmocka_unit_test(two_choices_take_the_cheaper),
		cmocka_unit_test(first_is_the_first),
		cmocka_unit_test(random_kinds_draw_by_weight),
		cmocka_unit_test(an_old_order_still_serves_evenly),
	};

	return cmocka_run_group_tests_name("kinds", tests, NULL, NULL);
}
