// SPDX-License-Identifier: Apache-2.0
// What the control thread publishes: who may get requests counts from the next pick on, in every
// worker; tables are freed when nobody can be reading them (the address sanitizer watches).
#include "town.h"

#include <stdio.h>

static struct town *town_of(u64 seed, u32 workers, u32 backends, const char *pool)
{
	char text[8192];

	snprintf(text, sizeof(text), "{\"app\": {%s\"backends\": %s}}", pool,
		town_backends(backends, ""));
	return town_new(seed, workers, text);
}

// The next picks of one worker, as letters.
static void assert_picks(struct town *town, u32 worker, const char *expected)
{
	char got[64] = "";

	for (u32 i = 0; expected[i]; i++) {
		u32 index = town_pick(town, worker);

		got[i] = (char)(index == BALANCE_NONE ? '-' : 'a' + index);
	}
	assert_string_equal(got, expected);
}

static void what_is_published_counts_from_the_next_pick_on(void **state)
{
	struct town *town = town_of(1, 3, 3, "");

	(void)state;
	assert_picks(town, 0, "abcabc");
	town_publish(town, 1 << 1);
	for (u32 i = 0; i < 3; i++)
		assert_picks(town, i, "bbb");
	town_publish(town, 0);
	for (u32 i = 0; i < 3; i++)
		assert_picks(town, i, "--");
	town_publish(town, 1 << 0 | 1 << 2);
	for (u32 i = 0; i < 3; i++) {
		u32 first = town_pick(town, i), second = town_pick(town, i);

		assert_true((first == 0 && second == 2) || (first == 2 && second == 0));
	}
	town_free(town);
}

static void several_changes_are_taken_up_at_once(void **state)
{
	struct town *town = town_of(1, 2, 3, "");

	(void)state;
	for (u32 in = 0; in < 8; in++)
		town_publish(town, in);
	town_publish(town, 1 << 2);
	assert_picks(town, 1, "ccc");
	assert_picks(town, 0, "ccc");
	town_free(town);
}

// One position for all workers, over the eligible only: in any run of picks that is as long as the
// order each has its exact share, whoever picked.
static void round_robin_is_exact_over_those_who_are_in(void **state)
{
	struct town *town = town_of(1, 4, 5, "");
	u32 counts[5] = {0};

	(void)state;
	town_publish(town, 1 << 0 | 1 << 2 | 1 << 4);
	for (u32 i = 0; i < 4; i++)
		(void)town_pick(town, i); // all have seen it
	for (u32 i = 0; i < 3 * 40; i++)
		counts[town_pick(town, i % 4)]++;
	assert_int_equal(counts[0], 40);
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[2], 40);
	assert_int_equal(counts[3], 0);
	assert_int_equal(counts[4], 40);
	town_free(town);
}

static bool views_are_collected(struct town *town)
{
	return view_collect(town->pool);
}

static void a_table_stays_until_every_worker_has_seen_a_newer_one(void **state)
{
	struct town *town = town_of(1, 3, 3, "");

	(void)state;
	assert_true(views_are_collected(town)); // there is but one
	town_publish(town, 1 << 0 | 1 << 1);
	assert_false(views_are_collected(town));
	(void)town_pick(town, 0);
	(void)town_pick(town, 2);
	assert_false(views_are_collected(town));
	// Worker 1 goes on with what it knows.
	picker_mark_full(town_picker(town, 1), &town->pool->backends[0]);
	(void)town_pick(town, 1);
	assert_true(views_are_collected(town));
	town_free(town);
}

static void a_worker_that_idles_says_so_when_it_is_nudged(void **state)
{
	struct town *town = town_of(1, 3, 3, "");

	(void)state;
	town_publish(town, 1 << 0);
	assert_false(views_are_collected(town));
	for (u32 i = 0; i < 3; i++)
		upstream_nudge(town_upstream(town, i));
	upstream_nudge(town_upstream(town, 0)); // once more does no harm
	town_run(town, 1);
	assert_true(views_are_collected(town));
	town_free(town);
}

// The one in the middle, which nobody has ever used, goes too.
static void every_older_table_goes(void **state)
{
	struct town *town = town_of(1, 2, 4, "");

	(void)state;
	for (u32 in = 1; in < 10; in++) {
		town_publish(town, in);
		(void)town_pick(town, 0);
		assert_false(views_are_collected(town)); // worker 1 has not looked
	}
	(void)town_pick(town, 1);
	assert_true(views_are_collected(town));
	town_free(town);
}

// A kind whose table knows no eligibility needs no new one.
static void hashes_keep_their_table(void **state)
{
	struct town *town = town_of(1, 2, 4, "\"algorithm\": \"maglev\", ");
	const struct view *view = town->pool->view;

	(void)state;
	town_publish(town, 3);
	assert_ptr_equal(town->pool->view, view);
	assert_true(views_are_collected(town));
	for (u32 i = 0; i < 50; i++)
		assert_true(town_pick(town, i % 2) < 2);
	town_free(town);
}

// Whatever is read after the tables behind it were freed is found by the sanitizer; a table that
// never goes is found here.
static void random_life(u64 seed, const char *algorithm)
{
	enum { workers = 4, backends = 6, steps = 400 };
	char pool[64];
	struct town *town;
	struct rng rng;
	u64 in = (1 << backends) - 1;

	snprintf(pool, sizeof(pool), "\"algorithm\": \"%s\", ", algorithm);
	town = town_of(seed, workers, backends, pool);
	rng_init(&rng, seed);
	for (u32 i = 0; i < steps; i++) {
		u32 worker = rng_below(&rng, workers), got;
		u8 shares[backends];

		switch (rng_below(&rng, 6)) {
		case 0:
			in = rng_below(&rng, 1 << backends);
			for (u32 k = 0; k < backends; k++)
				shares[k] = (u8)(rng_one_in(&rng, 2)
							 ? SLOW_START_WHOLE
							 : SLOW_START_FLOOR + rng_below(&rng, 18));
			town_publish_shares(town, in, shares);
			break;
		case 1:
			(void)view_collect(town->pool);
			break;
		case 2:
			picker_mark_full(town_picker(town, worker),
				&town->pool->backends[rng_below(&rng, backends)]);
			break;
		case 3:
			upstream_nudge(town_upstream(town, worker));
			town_run(town, 1);
			break;
		default:
			got = town_pick(town, worker);
			SEEDED(seed, got == BALANCE_NONE ? in == 0 : in >> got & 1);
		}
	}
	for (u32 i = 0; i < workers; i++)
		upstream_nudge(town_upstream(town, i));
	town_run(town, 1);
	SEEDED(seed, view_collect(town->pool));
	town_free(town);
}

static void random_lives(void **state)
{
	static const char *const algorithms[] = {
		"round_robin", "random", "weighted_random", "least_connections", "maglev"};

	(void)state;
	for (u64 seed = 1; seed <= 60; seed++)
		random_life(seed, algorithms[seed % ARRAY_LEN(algorithms)]);
}

// ---- Slow start ---------------------------------------------------------------------------------

static void count_picks(struct town *town, u32 picks, u32 *ret_counts)
{
	memset(ret_counts, 0, sizeof(u32) * town->pool->backend_count);
	for (u32 i = 0; i < picks; i++)
		ret_counts[town_pick(town, i % town->worker_count)]++;
}

static void a_share_of_a_turn(void **state)
{
	struct town *town = town_of(1, 2, 3, "");
	u8 shares[3] = {SLOW_START_WHOLE, SLOW_START_FLOOR, SLOW_START_WHOLE};
	u32 counts[3];

	(void)state;
	town_publish_shares(town, 7, shares);
	count_picks(town, 42 * 10, counts);
	assert_int_equal(counts[0], 200);
	assert_int_equal(counts[1], 20);
	assert_int_equal(counts[2], 200);
	shares[1] = SLOW_START_WHOLE;
	town_publish_shares(town, 7, shares);
	count_picks(town, 300, counts);
	assert_int_equal(counts[0], 100);
	assert_int_equal(counts[1], 100);
	assert_int_equal(counts[2], 100);
	town_free(town);
}

static void shares_multiply_weights(void **state)
{
	struct town *town = town_new(1, 2,
		"{\"app\": {\"backends\": ["
		"{\"address\": \"10.0.0.1:80\", \"weight\": 4}, "
		"{\"address\": \"10.0.0.2:80\", \"weight\": 2}, "
		"{\"address\": \"10.0.0.3:80\", \"weight\": 0}]}}");
	u8 shares[3] = {SLOW_START_WHOLE / 2, SLOW_START_WHOLE, SLOW_START_WHOLE};
	u32 counts[3];

	(void)state;
	count_picks(town, 60, counts);
	assert_int_equal(counts[0], 40);
	assert_int_equal(counts[1], 20);
	assert_int_equal(counts[2], 0);
	town_publish_shares(town, 3, shares);
	count_picks(town, 60, counts);
	assert_int_equal(counts[0], 30);
	assert_int_equal(counts[1], 30);
	assert_int_equal(counts[2], 0);
	town_free(town);
}

// 20 + 20 + 4 parts. Nine standard deviations of room.
static void a_share_by_chance(void **state)
{
	static const char *const algorithms[] = {"random", "weighted_random"};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(algorithms); i++) {
		char pool[64];
		struct town *town;
		u8 shares[3] = {SLOW_START_WHOLE, 4, SLOW_START_WHOLE};
		u32 counts[3];

		snprintf(pool, sizeof(pool), "\"algorithm\": \"%s\", ", algorithms[i]);
		town = town_of(5, 2, 3, pool);
		town_publish_shares(town, 7, shares);
		count_picks(town, 44000, counts);
		assert_in_range(counts[1], 4000 - 550, 4000 + 550);
		shares[1] = SLOW_START_WHOLE;
		town_publish_shares(town, 7, shares);
		count_picks(town, 30000, counts);
		assert_in_range(counts[1], 10000 - 750, 10000 + 750);
		town_free(town);
	}
}

// Kinds that look at requests in flight see the one that warms up as so much busier.
static void a_share_of_what_runs(void **state)
{
	struct town *town = town_of(1, 1, 2, "\"algorithm\": \"least_connections\", ");
	u8 shares[2] = {SLOW_START_WHOLE, SLOW_START_FLOOR};
	struct pick picks[44];
	u32 counts[2] = {0};

	(void)state;
	town_publish_shares(town, 3, shares);
	for (u32 i = 0; i < ARRAY_LEN(picks); i++) {
		assert_int_equal(town_begin(town, 0, &picks[i]), PICK_OK);
		counts[picks[i].backend->index]++;
	}
	assert_in_range(counts[1], 3, 5); // a tenth of the other's
	for (u32 i = 0; i < ARRAY_LEN(picks); i++)
		pick_end(town_upstream(town, 0), &picks[i]);
	town_free(town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_published_counts_from_the_next_pick_on),
		cmocka_unit_test(several_changes_are_taken_up_at_once),
		cmocka_unit_test(round_robin_is_exact_over_those_who_are_in),
		cmocka_unit_test(a_table_stays_until_every_worker_has_seen_a_newer_one),
		cmocka_unit_test(a_worker_that_idles_says_so_when_it_is_nudged),
		cmocka_unit_test(every_older_table_goes),
		cmocka_unit_test(hashes_keep_their_table),
		cmocka_unit_test(random_lives),
		cmocka_unit_test(a_share_of_a_turn),
		cmocka_unit_test(shares_multiply_weights),
		cmocka_unit_test(a_share_by_chance),
		cmocka_unit_test(a_share_of_what_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
