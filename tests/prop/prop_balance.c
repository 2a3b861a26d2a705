// SPDX-License-Identifier: Apache-2.0
// Properties of the weighted order over many seeds: it is the smooth weighted round robin it claims
// to be, its shares are exact, and a pick never gives what it must not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/rng.h"
#include "decide/balance.h"

enum { seeds = 1000, arena_bytes = 64 * 1024 * 1024, members_max = 300 };

struct case_of_seed {
	struct rng rng;
	struct arena arena;
	u32 count;
	u32 weights[members_max];
	u64 sum; // in lowest terms
	struct balance_order order;
};

static u32 divisor_of(const u32 *weights, u32 count)
{
	u32 divisor = 0;

	for (u32 i = 0; i < count; i++)
		for (u32 a = weights[i], b = divisor;;) {
			if (b == 0) {
				divisor = a;
				break;
			}
			u32 rest = a % b;

			a = b;
			b = rest;
		}
	return divisor;
}

static void begin(struct case_of_seed *c, u64 seed, u32 count_max, u32 weight_max)
{
	u32 divisor;

	rng_init(&c->rng, seed);
	arena_init(&c->arena, arena_bytes);
	c->count = 1 + rng_below(&c->rng, count_max);
	for (u32 i = 0; i < c->count; i++)
		c->weights[i] = rng_one_in(&c->rng, 6) ? 0 : 1 + rng_below(&c->rng, weight_max);
	balance_order_build(&c->arena, c->weights, c->count, &c->order);
	divisor = divisor_of(c->weights, c->count);
	c->sum = 0;
	for (u32 i = 0; i < c->count; i++)
		c->sum += divisor ? c->weights[i] / divisor : 0;
}

static void end(struct case_of_seed *c)
{
	arena_done(&c->arena);
}

static u32 pick(const struct case_of_seed *c, u64 position)
{
	struct balance_tried none = {0};

	return balance_order_pick(&c->order, position, &none);
}

// The textbook: everybody gains its weight, the richest (the first of them) is taken and pays the
// sum.
static u32 naive_next(const u32 *weights, i64 *credit, u32 count)
{
	i64 sum = 0;
	u32 best = 0;

	for (u32 i = 0; i < count; i++) {
		credit[i] += weights[i];
		sum += weights[i];
		if (credit[i] > credit[best])
			best = i;
	}
	credit[best] -= sum;
	return best;
}

static void the_example_of_nginx(void **state)
{
	static const u32 weights[] = {5, 1, 1}, wanted[] = {0, 0, 1, 0, 2, 0, 0};
	struct balance_tried none = {0};
	struct balance_order order;
	struct arena arena;

	(void)state;
	arena_init(&arena, arena_bytes);
	balance_order_build(&arena, weights, 3, &order);
	assert_int_equal(order.len, 7);
	for (u64 position = 0; position < 70; position++)
		assert_int_equal(balance_order_pick(&order, position, &none), wanted[position % 7]);
	arena_done(&arena);
}

static void up_to_64_members_equal_the_textbook(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct case_of_seed c;
		i64 credit[64] = {0};

		begin(&c, seed, 64, seed % 3 ? 10 : 100);
		assert_int_equal(c.order.len, c.sum);
		for (u64 position = 0; position < 2 * c.sum; position++)
			assert_int_equal(
				pick(&c, position), naive_next(c.weights, credit, c.count));
		end(&c);
	}
}

static void shares_are_exact_over_a_period(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct case_of_seed c;
		u32 taken[members_max] = {0};
		u64 start;

		begin(&c, seed, members_max, 20);
		start = rng_u64(&c.rng);
		for (u64 i = 0; i < c.sum; i++)
			taken[pick(&c, start + i)]++;
		for (u32 i = 0; i < c.count; i++)
			assert_int_equal(
				(u64)taken[i] * divisor_of(c.weights, c.count), c.weights[i]);
		end(&c);
	}
}

// Nobody waits longer than twice its fair distance, also above 64 members.
static void places_are_spread_out(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct case_of_seed c;
		u64 last[members_max];

		begin(&c, seed, members_max, 20);
		memset(last, 0xff, sizeof(last));
		for (u64 position = 0; position < 2 * c.sum; position++) {
			u32 index = pick(&c, position);
			u64 distance = position - last[index];

			if (last[index] != UINT64_MAX)
				assert_true(distance * c.weights[index] <=
					    2 * c.sum * divisor_of(c.weights, c.count));
			last[index] = position;
		}
		end(&c);
	}
}

static void tried_and_weightless_are_never_picked(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct case_of_seed c;
		struct balance_tried tried = {0};
		u32 usable = 0, picked = 0;
		u64 position;

		begin(&c, seed, BALANCE_TRIED_MAX, 5);
		position = rng_u64(&c.rng);
		for (u32 i = 0; i < c.count; i++)
			usable += c.weights[i] > 0;
		for (;;) {
			u32 index = balance_order_pick(&c.order, position, &tried);

			if (index == BALANCE_NONE)
				break;
			assert_true(index < c.count && c.weights[index] > 0);
			assert_false(balance_was_tried(&tried, index));
			assert_true(balance_try(&tried, index));
			picked++;
		}
		assert_int_equal(picked, usable);
		end(&c);
	}
}

// A pick that skips one already tried gives the next of the order.
static void a_skipped_place_goes_to_the_next(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct case_of_seed c;
		struct balance_tried tried = {0};
		u64 position, at;

		begin(&c, seed, 12, 6);
		position = rng_below(&c.rng, 1000);
		at = position;
		if (c.sum && balance_try(&tried, pick(&c, position))) {
			while (at < position + c.sum && balance_was_tried(&tried, pick(&c, at)))
				at++;
			assert_int_equal(balance_order_pick(&c.order, position, &tried),
				at == position + c.sum ? BALANCE_NONE : pick(&c, at));
		}
		end(&c);
	}
}

static void the_list_of_tried_is_bounded(void **state)
{
	struct balance_tried tried = {0};

	(void)state;
	for (u32 i = 0; i < BALANCE_TRIED_MAX; i++)
		assert_true(balance_try(&tried, i * 7));
	assert_false(balance_try(&tried, 1));
	assert_int_equal(tried.count, BALANCE_TRIED_MAX);
	assert_true(balance_was_tried(&tried, 7));
	assert_false(balance_was_tried(&tried, 1));
}

// Weights without a common divisor over many members: a bounded table in which everybody has a
// place and shares are right to one part in a thousand of the whole.
static void very_long_orders_are_shortened(void **state)
{
	struct case_of_seed c;
	static u32 taken[members_max];
	u64 total = 0;

	(void)state;
	rng_init(&c.rng, 7);
	arena_init(&c.arena, arena_bytes);
	c.count = members_max;
	for (u32 i = 0; i < c.count; i++) {
		c.weights[i] = BALANCE_WEIGHT_MAX - i * 7;
		if (i % 10 == 0)
			c.weights[i] = 1;
		total += c.weights[i];
	}
	balance_order_build(&c.arena, c.weights, c.count, &c.order);
	assert_in_range(c.order.len, members_max, (1 << 20) + members_max);
	memset(taken, 0, sizeof(taken));
	for (u32 i = 0; i < c.order.len; i++)
		taken[c.order.index[i]]++;
	for (u32 i = 0; i < c.count; i++) {
		double share = (double)taken[i] / c.order.len;
		double fair = (double)c.weights[i] / (double)total;

		assert_true(taken[i] > 0);
		assert_true(share - fair < 0.001 && fair - share < 0.001);
	}
	arena_done(&c.arena);
}

// Workers take turns at one position in any pattern: together they still follow the order exactly.
static void one_position_is_exact_across_workers(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds / 10; seed++) {
		struct balance_member members[8] = {0};
		struct balance_options options = {0};
		struct balance_state *workers[4];
		const struct balance_table *table;
		struct balance_tried none = {0};
		struct case_of_seed c;
		u32 taken[8] = {0};

		begin(&c, seed, 8, 5);
		for (u32 i = 0; i < c.count; i++)
			members[i] = (struct balance_member){.id = i, .weight = c.weights[i]};
		table = balance_build(BALANCE_ROUND_ROBIN, members, c.count, &options, &c.arena);
		for (u32 i = 0; i < ARRAY_LEN(workers); i++)
			workers[i] = balance_state_new(table, i, &c.arena);
		for (u64 i = 0; i < 3 * c.sum; i++) {
			struct balance_ask ask = {.position = i, .tried = &none};
			u32 index = balance_pick(workers[rng_below(&c.rng, 4)], &ask);

			assert_int_equal(index, pick(&c, i));
			taken[index]++;
		}
		for (u32 i = 0; i < c.count; i++)
			assert_int_equal((u64)taken[i] * divisor_of(c.weights, c.count),
				3 * (u64)c.weights[i]);
		end(&c);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_nginx),
		cmocka_unit_test(up_to_64_members_equal_the_textbook),
		cmocka_unit_test(shares_are_exact_over_a_period),
		cmocka_unit_test(places_are_spread_out),
		cmocka_unit_test(tried_and_weightless_are_never_picked),
		cmocka_unit_test(a_skipped_place_goes_to_the_next),
		cmocka_unit_test(the_list_of_tried_is_bounded),
		cmocka_unit_test(very_long_orders_are_shortened),
		cmocka_unit_test(one_position_is_exact_across_workers),
	};

	return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
