// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"

#include "test.h"

// xoshiro256** from the state {1, 2, 3, 4}, worked out by hand for the first two: s[1] * 5 = 10,
// rotated by 7 = 1280, times 9 = 11520; then s[1] = 0.
static void follows_the_published_generator(void **state)
{
	static const u64 expected[] = {11520, 0, 1509978240, 1215971899390074240};
	struct rng rng = {.state = {1, 2, 3, 4}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_true(rng_u64(&rng) == expected[i]);
}

static void seeds_differ_and_repeat(void **state)
{
	struct rng a, b, c;
	u32 same = 0;

	(void)state;
	rng_init(&a, 1);
	rng_init(&b, 1);
	rng_init(&c, 2);
	for (int i = 0; i < 100; i++) {
		u64 value = rng_u64(&a);

		assert_true(value == rng_u64(&b));
		same += value == rng_u64(&c);
	}
	assert_int_equal(same, 0);
	rng_init(&a, 0);
	assert_true(rng_u64(&a) | rng_u64(&a)); // an all-zero state would stay zero
}

static void below_is_even(void **state)
{
	enum { bound = 7, draws = 70000 };
	u32 counts[bound] = {0}, hits = 0;
	struct rng rng;

	(void)state;
	rng_init(&rng, 9);
	for (int i = 0; i < draws; i++) {
		u32 value = rng_below(&rng, bound);

		assert_true(value < bound);
		counts[value]++;
	}
	// Six standard deviations (about 93) around the mean.
	for (int i = 0; i < bound; i++)
		assert_in_range(counts[i], draws / bound - 560, draws / bound + 560);
	for (int i = 0; i < draws; i++)
		hits += rng_one_in(&rng, 10);
	assert_in_range(hits, draws / 10 - 480, draws / 10 + 480);
	assert_int_equal(rng_below(&rng, 1), 0);
	assert_true(rng_one_in(&rng, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_published_generator),
		cmocka_unit_test(seeds_differ_and_repeat),
		cmocka_unit_test(below_is_even),
	};

	return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
