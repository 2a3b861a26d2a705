// SPDX-License-Identifier: Apache-2.0
// The kinds that follow a hash, held against their published figures: shares, what moves when
// members come and go, and the bound on load.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "decide/balance_kinds.h"
#include "kinds.h"

enum { members_max = 1000 };

static const enum balance_kind hashed[] = {
	BALANCE_IP_HASH, BALANCE_CONSISTENT_HASH, BALANCE_MAGLEV, BALANCE_RENDEZVOUS};

// The key that meets entry `at` of a Maglev table.
static u64 key_of_entry(u32 at, u32 size)
{
	return ((((u64)at << 32) + size - 1) / size) << 32;
}

static void count_entries(struct pool_of_seed *pool, u32 size, u32 *ret_taken)
{
	memset(ret_taken, 0, sizeof(u32) * pool->count);
	for (u32 at = 0; at < size; at++)
		ret_taken[pool_pick(pool, key_of_entry(at, size), &none_tried)]++;
}

static void maglev_shares_are_equal(void **state)
{
	static const struct {
		u32 members, size;
	} cases[] = {{1, 65537}, {3, 65537}, {10, 65537}, {100, 65537}, {655, 65537},
		{1000, 100003}, {10000, 1000003}};
	static u32 taken[KINDS_MEMBERS_MAX];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
		struct pool_of_seed pool;
		u32 least = UINT32_MAX, most = 0;

		pool_begin(&pool, n, BALANCE_MAGLEV, cases[n].members, 3, NULL);
		count_entries(&pool, cases[n].size, taken);
		for (u32 i = 0; i < pool.count; i++) {
			least = MIN(least, taken[i]);
			most = MAX(most, taken[i]);
		}
		HOLDS(&pool, least >= 100 - 1 && most - least <= 1);
		pool_end(&pool);
	}
}

static void maglev_shares_follow_weights(void **state)
{
	static u32 taken[100];

	(void)state;
	for (u64 seed = 1; seed <= 20; seed++) {
		struct pool_of_seed pool;
		double sum = 0;

		pool_begin(&pool, seed, BALANCE_MAGLEV, 2 + (u32)seed, -20, NULL);
		for (u32 i = 0; i < pool.count; i++)
			sum += pool.members[i].weight;
		count_entries(&pool, 65537, taken);
		for (u32 i = 0; i < pool.count; i++) {
			double wanted = 65537 * pool.members[i].weight / sum;

			HOLDS(&pool, fabs(taken[i] - wanted) <= 0.01 * wanted);
		}
		pool_end(&pool);
	}
}

// The figures of Katran and Envoy, and that the lightest of all still has an entry.
static void maglev_weights_as_published(void **state)
{
	static const struct balance_member katran[] = {{1, 2}, {2, 1}}, envoy[] = {{1, 1}, {2, 2}},
					   light[] = {{1, 65535}, {2, 65535}, {3, 1}};
	u32 taken[3] = {0};
	struct pool_of_seed pool = {.count = 2};

	(void)state;
	arena_init(&pool.arena, KINDS_ARENA_BYTES);
	pool.table = balance_build(BALANCE_MAGLEV, katran, 2,
		&(struct balance_options){.maglev_size = 7}, &pool.arena);
	pool.state = balance_state_new(pool.table, 0, &pool.arena);
	count_entries(&pool, 7, taken);
	assert_int_equal(taken[0], 5);
	assert_int_equal(taken[1], 2);
	pool.table =
		balance_build(BALANCE_MAGLEV, envoy, 2, &(struct balance_options){0}, &pool.arena);
	pool.state = balance_state_new(pool.table, 0, &pool.arena);
	count_entries(&pool, 65537, taken);
	assert_int_equal(taken[0], 21846);
	assert_int_equal(taken[1], 43691);
	pool.count = 3;
	pool.table =
		balance_build(BALANCE_MAGLEV, light, 3, &(struct balance_options){0}, &pool.arena);
	pool.state = balance_state_new(pool.table, 0, &pool.arena);
	count_entries(&pool, 65537, taken);
	assert_int_equal(taken[2], 1);
	arena_done(&pool.arena);
}

// The same members without one, in another table.
static void rebuild_without(const struct pool_of_seed *pool, u32 gone,
	const struct balance_options *options, struct pool_of_seed *ret_rest)
{
	struct balance_member members[members_max];

	memcpy(members, pool->members, sizeof(members[0]) * pool->count);
	members[gone].weight = 0;
	*ret_rest = (struct pool_of_seed){.seed = pool->seed, .count = pool->count};
	arena_init(&ret_rest->arena, KINDS_ARENA_BYTES);
	ret_rest->table = balance_build(
		balance_kind_of(pool->table), members, pool->count, options, &ret_rest->arena);
	ret_rest->state = balance_state_new(ret_rest->table, 0, &ret_rest->arena);
}

// Moved keys beyond those of the member that went, as a part of these, when the table of 65,537 is
// built again.
static double disruption(u32 members, u32 rounds)
{
	static const struct balance_options options = {.maglev_size = 65537};
	u64 moved = 0, own = 0;

	for (u32 round = 0; round < rounds; round++) {
		struct pool_of_seed pool, rest;

		pool_begin(&pool, 100 + round, BALANCE_MAGLEV, members, 1, &options);
		rebuild_without(&pool, round % members, &options, &rest);
		for (u32 at = 0; at < 65537; at++) {
			u64 key = key_of_entry(at, 65537);
			u32 before = pool_pick(&pool, key, &none_tried);

			own += before == round % members;
			moved += before != pool_pick(&rest, key, &none_tried);
		}
		pool_end(&pool);
		pool_end(&rest);
	}
	return (double)moved / (double)own - 1;
}

static void maglev_rebuilt_moves_as_published(void **state)
{
	static const struct {
		u32 members, rounds;
		double least, most;
	} cases[] = {{10, 30, 0.02, 0.045}, {30, 20, 0.09, 0.14}, {100, 12, 0.5, 0.65},
		{300, 12, 2.2, 3.0}, {1000, 10, 5.0, 6.2}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		double more = disruption(cases[i].members, cases[i].rounds);

		print_message("# maglev, %u members: %+.1f %% moved beyond the ideal\n",
			cases[i].members, 100 * more);
		assert_true(more >= cases[i].least && more <= cases[i].most);
	}
}

// Who is ineligible loses its keys, nobody else any, and gets the same ones back.
static void only_the_keys_of_the_ineligible_move(void **state)
{
	enum { keys = 20000 };
	static u32 before[keys], heirs[100];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(hashed); k++)
		for (u64 seed = 1; seed <= 8; seed++) {
			struct pool_of_seed pool;
			u32 gone, own = 0;

			pool_begin(&pool, seed, hashed[k], 3 + (u32)seed, seed % 2 ? 3 : -9, NULL);
			gone = pool.members[0].weight ? 0 : 1;
			memset(heirs, 0, sizeof(heirs));
			rng_init(&pool.rng, seed);
			for (u32 i = 0; i < keys; i++)
				before[i] = pool_pick(&pool, rng_u64(&pool.rng), &none_tried);
			balance_change(pool.state, gone, false, 0);
			rng_init(&pool.rng, seed);
			for (u32 i = 0; i < keys; i++) {
				u32 now = pool_pick(&pool, rng_u64(&pool.rng), &none_tried);

				HOLDS(&pool, before[i] == gone ? now != gone : now == before[i]);
				if (before[i] == gone) {
					heirs[now]++;
					own++;
				}
			}
			// What it had goes to all the others, to none of equals more than 2.5
			// times its part.
			for (u32 i = 0; seed % 2 && i < pool.count; i++)
				HOLDS(&pool,
					i == gone ||
						(heirs[i] > 0 &&
							heirs[i] < 2.5 * own / (pool.count - 1)));
			balance_change(pool.state, gone, true, 0);
			rng_init(&pool.rng, seed);
			for (u32 i = 0; i < keys; i++)
				HOLDS(&pool, pool_pick(&pool, rng_u64(&pool.rng), &none_tried) ==
						     before[i]);
			pool_end(&pool);
		}
}

// Ring and rendezvous built again without a member move its keys only; the other way round, a new
// member takes keys and moves none between the others.
static void ring_and_rendezvous_move_only_what_they_must(void **state)
{
	static const enum balance_kind exact[] = {
		BALANCE_IP_HASH, BALANCE_CONSISTENT_HASH, BALANCE_RENDEZVOUS};

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(exact); k++)
		for (u64 seed = 1; seed <= 6; seed++) {
			static const struct balance_options options;
			struct pool_of_seed pool, rest;
			u32 moved = 0;

			pool_begin(&pool, seed, exact[k], 2 + 20 * (u32)seed, -9, &options);
			pool.members[1].weight = 9;
			pool.table = balance_build(
				exact[k], pool.members, pool.count, &options, &pool.arena);
			pool.state = balance_state_new(pool.table, 0, &pool.arena);
			rebuild_without(&pool, 1, &options, &rest);
			for (u32 i = 0; i < 20000; i++) {
				u64 key = rng_u64(&pool.rng);
				u32 before = pool_pick(&pool, key, &none_tried);
				u32 now = pool_pick(&rest, key, &none_tried);

				HOLDS(&pool, before == 1 ? now != 1 : now == before);
				moved += before == 1;
			}
			HOLDS(&pool, moved > 0);
			pool_end(&pool);
			pool_end(&rest);
		}
}

static void the_order_of_members_does_not_matter(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(hashed); k++)
		for (u64 seed = 1; seed <= 6; seed++) {
			struct balance_member turned[60];
			struct pool_of_seed pool, other;

			pool_begin(&pool, seed, hashed[k], 60, -9, NULL);
			for (u32 i = 0; i < 60; i++)
				turned[i] = pool.members[59 - i];
			other = (struct pool_of_seed){.seed = seed, .count = 60};
			arena_init(&other.arena, KINDS_ARENA_BYTES);
			other.table = balance_build(
				hashed[k], turned, 60, &(struct balance_options){0}, &other.arena);
			other.state = balance_state_new(other.table, 0, &other.arena);
			for (u32 i = 0; i < 5000; i++) {
				u64 key = rng_u64(&pool.rng);

				HOLDS(&pool, pool_pick(&pool, key, &none_tried) ==
						     59 - pool_pick(&other, key, &none_tried));
			}
			pool_end(&pool);
			pool_end(&other);
		}
}

static void another_seed_is_another_assignment(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(hashed); k++) {
		static const struct balance_options first = {.seed = 1}, second = {.seed = 2};
		struct pool_of_seed pool, other;
		u32 same = 0;

		pool_begin(&pool, 1, hashed[k], 10, 1, &first);
		pool_begin(&other, 1, hashed[k], 10, 1, &second);
		for (u32 i = 0; i < 10000; i++) {
			u64 key = rng_u64(&pool.rng);

			same += pool_pick(&pool, key, &none_tried) ==
				pool_pick(&other, key, &none_tried);
		}
		HOLDS(&pool, same > 500 && same < 1700); // 1,000 by chance
		pool_end(&pool);
		pool_end(&other);
	}
}

// Sigma over mean of the members' shares of the ring.
static double ring_deviation(u32 points)
{
	enum { members = 100, rounds = 10, keys = 400000 };
	static u32 taken[members];
	struct balance_options options = {.ring_points = points};
	double squares = 0;

	for (u64 seed = 1; seed <= rounds; seed++) {
		struct pool_of_seed pool;

		pool_begin(&pool, seed, BALANCE_CONSISTENT_HASH, members, 1, &options);
		memset(taken, 0, sizeof(taken));
		for (u32 i = 0; i < keys; i++)
			taken[pool_pick(&pool, (u64)i * (UINT64_MAX / keys), &none_tried)]++;
		for (u32 i = 0; i < members; i++) {
			double share = taken[i] / (double)keys * members - 1;

			squares += share * share;
		}
		pool_end(&pool);
	}
	return sqrt(squares / (members * rounds));
}

static void ring_shares_deviate_as_published(void **state)
{
	double few = ring_deviation(160), many = ring_deviation(1000);

	(void)state;
	print_message("# ring, 160 points: %.2f %%, 1000 points: %.2f %%\n", 100 * few, 100 * many);
	assert_true(few > 0.074 && few < 0.084);
	assert_true(many > 0.029 && many < 0.034);
}

// The buckets are a shortcut only: what they find is what a search from the start finds.
static void a_key_belongs_to_the_next_point(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 8; seed++) {
		struct pool_of_seed pool;
		const struct balance_point *points;
		u32 count;

		pool_begin(&pool, seed, BALANCE_IP_HASH, 1 + (u32)seed * 2, -3, NULL);
		points = pool.table->ring.points;
		count = pool.table->ring.point_count;
		for (u32 i = 1; i < count; i++)
			HOLDS(&pool, points[i - 1].hash <= points[i].hash);
		for (u32 i = 0; count && i < 3000; i++) {
			// Also exactly on a point, and around the ends.
			u32 hash = i % 2 ? points[i % count].hash + i / 2 % 3 - 1
					 : (u32)rng_u64(&pool.rng);
			u32 at = 0;

			while (at < count && points[at].hash < hash)
				at++;
			HOLDS(&pool, pool_pick(&pool, (u64)hash << 32, &none_tried) ==
					     points[at % count].index);
		}
		pool_end(&pool);
	}
}

// Weights far beyond what a ring of that size can hold still leave everybody a point.
static void heavy_rings_are_thinned(void **state)
{
	struct pool_of_seed pool;
	u64 taken = 0;

	(void)state;
	pool_begin(&pool, 1, BALANCE_CONSISTENT_HASH, 300, BALANCE_WEIGHT_MAX, NULL);
	for (u32 i = 0; i < 60000; i++)
		taken += pool_pick(&pool, rng_u64(&pool.rng), &none_tried) < 100;
	HOLDS(&pool, taken > 18500 && taken < 21500);
	pool_end(&pool);
}

static void rendezvous_shares_are_exact(void **state)
{
	enum { keys = 100000 };
	static u32 taken[40];

	(void)state;
	for (u64 seed = 1; seed <= 16; seed++) {
		struct pool_of_seed pool;
		double sum = 0, chi = 0;

		pool_begin(&pool, seed, BALANCE_RENDEZVOUS, 2 + 2 * (u32)seed, seed % 2 ? -20 : 5,
			NULL);
		memset(taken, 0, sizeof(taken));
		for (u32 i = 0; i < pool.count; i++)
			sum += pool.members[i].weight;
		for (u32 i = 0; i < keys; i++)
			taken[pool_pick(&pool, rng_u64(&pool.rng), &none_tried)]++;
		for (u32 i = 0; i < pool.count; i++) {
			double wanted = keys * pool.members[i].weight / sum;

			chi += wanted > 0 ? (taken[i] - wanted) * (taken[i] - wanted) / wanted : 0;
		}
		HOLDS(&pool, chi < pool.count + 5 * sqrt(2.0 * pool.count) + 12);
		pool_end(&pool);
	}
}

// Requests come and go at random, many of them for one popular key: before each one the bound is
// worked out anew, and no member is ever beyond it.
static void load_is_bounded(void **state)
{
	static u32 in_flight[100], held[4000];
	static const u32 percents[] = {101, 125, 200};

	(void)state;
	for (size_t k = 1; k < ARRAY_LEN(hashed); k++)
		for (u64 seed = 1; seed <= 30; seed++) {
			struct balance_options options = {.load_percent = percents[seed % 3]};
			struct pool_of_seed pool;
			u32 total = 0;
			u64 popular, weights = 0;

			pool_begin(
				&pool, seed, hashed[k], 2 + (u32)seed, seed % 2 ? 1 : -9, &options);
			popular = rng_u64(&pool.rng);
			memset(in_flight, 0, sizeof(in_flight));
			for (u32 i = 0; i < pool.count; i++)
				weights += pool.members[i].weight;
			for (u32 n = 0; n < 4000 && weights; n++) {
				bool full = total == 4000 || rng_below(&pool.rng, 100) < total / 10;
				u64 key = n % 2 ? popular : rng_u64(&pool.rng), room;
				u32 index;

				if (full && total) {
					u32 at = rng_below(&pool.rng, total);

					index = held[at];
					held[at] = held[--total];
					pool_set_load(&pool, index, true, --in_flight[index]);
				}
				index = pool_pick(&pool, key, &none_tried);
				room = ((u64)options.load_percent * (total + 1) *
						       pool.members[index].weight +
					       100 * weights - 1) /
				       (100 * weights);
				HOLDS(&pool, in_flight[index] + 1 <= room);
				HOLDS(&pool, balance_capacity(pool.state, index, total) == room);
				held[total++] = index;
				pool_set_load(&pool, index, true, ++in_flight[index]);
			}
			pool_end(&pool);
		}
}

// The bound is over those who are eligible: what others still have in flight does not count.
static void the_bound_follows_eligibility(void **state)
{
	static const u32 in_flight[] = {4, 9, 1, 0};
	struct balance_options options = {.load_percent = 150};

	(void)state;
	for (size_t k = 1; k < ARRAY_LEN(hashed); k++) {
		struct pool_of_seed pool;
		u32 taken[4] = {0};

		pool_begin(&pool, 1, hashed[k], 4, 2, &options);
		for (u32 round = 0; round < 3; round++)
			for (u32 i = 0; i < 4; i++)
				pool_set_load(&pool, i, i != 1 || round == 1, in_flight[i]);
		// 5 in flight at three of equal weight: ceil(1.5 x 6 / 3) = 3.
		assert_int_equal(balance_capacity(pool.state, 0, 5), 3);
		for (u32 i = 0; i < 1000; i++)
			taken[pool_pick(&pool, rng_u64(&pool.rng), &none_tried)]++;
		HOLDS(&pool, taken[0] == 0 && taken[1] == 0 && taken[2] > 200 && taken[3] > 200);
		// And with the second: 14 at four, ceil(1.5 x 15 / 4) = 6.
		pool_set_load(&pool, 1, true, 9);
		taken[0] = 0;
		for (u32 i = 0; i < 1000; i++)
			taken[pool_pick(&pool, rng_u64(&pool.rng), &none_tried)]++;
		HOLDS(&pool, taken[0] > 100 && taken[1] == 0);
		pool_end(&pool);
	}
}

// Where a walk does not come to the few who are left, the bound holds all the same.
static void the_bound_holds_among_the_last(void **state)
{
	struct balance_options options = {.load_percent = 125};

	(void)state;
	for (size_t k = 1; k < ARRAY_LEN(hashed); k++) {
		struct pool_of_seed pool;

		pool_begin(&pool, 1, hashed[k], 5000, 1, &options);
		for (u32 i = 0; i < pool.count; i++)
			pool_set_load(&pool, i, i == 17 || i == 4000, i == 17 ? 5 : 0);
		for (u32 i = 0; i < 100; i++)
			HOLDS(&pool, pool_pick(&pool, rng_u64(&pool.rng), &none_tried) == 4000);
		// A retry rather goes to a full one than to nobody.
		HOLDS(&pool,
			pool_pick(&pool, 1ull << 63, &(struct balance_tried){1, {4000}}) == 17);
		pool_end(&pool);
	}
}

// As the paper has it: with n members and m requests none has more than ceil(c m / n), whatever the
// keys are, and a key keeps its member as long as that has room.
static void one_key_fills_members_one_after_another(void **state)
{
	static u32 in_flight[10];

	(void)state;
	for (size_t k = 1; k < ARRAY_LEN(hashed); k++) {
		struct balance_options options = {.load_percent = 125};
		struct pool_of_seed pool;
		u32 first;

		pool_begin(&pool, 5, hashed[k], 10, 1, &options);
		memset(in_flight, 0, sizeof(in_flight));
		first = pool_pick(&pool, 12345ull << 40, &none_tried);
		for (u32 n = 1; n <= 400; n++) {
			u32 index = pool_pick(&pool, 12345ull << 40, &none_tried);

			HOLDS(&pool, index == first || in_flight[first] >= (125 * n + 999) / 1000);
			pool_set_load(&pool, index, true, ++in_flight[index]);
			for (u32 i = 0; i < pool.count; i++)
				HOLDS(&pool, in_flight[i] <= (125 * n + 999) / 1000);
		}
		pool_end(&pool);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(maglev_shares_are_equal),
		cmocka_unit_test(maglev_shares_follow_weights),
		cmocka_unit_test(maglev_weights_as_published),
		cmocka_unit_test(maglev_rebuilt_moves_as_published),
		cmocka_unit_test(only_the_keys_of_the_ineligible_move),
		cmocka_unit_test(ring_and_rendezvous_move_only_what_they_must),
		cmocka_unit_test(the_order_of_members_does_not_matter),
		cmocka_unit_test(another_seed_is_another_assignment),
		cmocka_unit_test(ring_shares_deviate_as_published),
		cmocka_unit_test(a_key_belongs_to_the_next_point),
		cmocka_unit_test(heavy_rings_are_thinned),
		cmocka_unit_test(rendezvous_shares_are_exact),
		cmocka_unit_test(load_is_bounded),
		cmocka_unit_test(the_bound_follows_eligibility),
		cmocka_unit_test(the_bound_holds_among_the_last),
		cmocka_unit_test(one_key_fills_members_one_after_another),
	};

	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
