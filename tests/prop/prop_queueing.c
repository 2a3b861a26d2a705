// SPDX-License-Identifier: Apache-2.0
// Balancing in virtual time against what theory and the papers say: mean times, who is better than
// whom, slow servers, and workers that hear of each other late. Everything that is measured here is
// printed, because docs speak of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "farm.h"

static struct farm_result run(struct farm_options options)
{
	struct farm_result result;

	farm_run(&options, &result);
	return result;
}

static void expect_mean(
	enum balance_kind kind, double load, double duration, double wanted, double tolerance)
{
	struct farm_options options = {
		.kind = kind, .servers = 1000, .load = load, .duration = duration, .seed = 1};
	struct farm_result result = run(options);

	print_message("# %s, 1000 servers, load %.2f, seed 1: mean %.4f, wanted %.3f (%+.2f %%)\n",
		balance_kind_info(kind)->name, load, result.mean, wanted,
		100 * (result.mean / wanted - 1));
	assert_true(fabs(result.mean / wanted - 1) <= tolerance);
}

// Each server is an M/M/1 queue of its own: 1 / (1 - load).
static void random_is_as_many_single_queues(void **state)
{
	(void)state;
	expect_mean(BALANCE_RANDOM, 0.5, 3000, 2, 0.02);
	expect_mean(BALANCE_WEIGHTED_RANDOM, 0.7, 3000, 1 / 0.3, 0.02);
	expect_mean(BALANCE_RANDOM, 0.9, 6000, 10, 0.03);
}

// Mitzenmacher: the sum of load^(2^i - 2) over i from 1.
static void two_choices_have_the_mean_of_theory(void **state)
{
	(void)state;
	expect_mean(BALANCE_POWER_OF_TWO, 0.5, 25000, 1.266, 0.01);
	expect_mean(BALANCE_POWER_OF_TWO, 0.9, 25000, 2.614, 0.01);
	expect_mean(BALANCE_POWER_OF_TWO, 0.99, 25000, 5.432, 0.03);
}

static void the_more_one_knows_the_shorter(void **state)
{
	static const double loads[] = {0.3, 0.5, 0.7, 0.9, 0.95, 0.99};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		struct farm_options options = {
			.servers = 100, .load = loads[i], .duration = 3000, .seed = i + 1};
		double means[3];

		options.kind = BALANCE_LEAST_CONNECTIONS;
		means[0] = run(options).mean;
		options.kind = BALANCE_POWER_OF_TWO;
		means[1] = run(options).mean;
		options.kind = BALANCE_RANDOM;
		means[2] = run(options).mean;
		print_message("# load %.2f: least_connections %.3f, power_of_two %.3f, random "
			      "%.3f\n",
			loads[i], means[0], means[1], means[2]);
		assert_true(means[0] <= means[1] && means[1] <= means[2]);
	}
}

// Two choices cannot keep a slow half below a quarter of the requests: that is how often both
// drawn are slow.
static void the_quicker_get_more(void **state)
{
	struct farm_options options = {.kind = BALANCE_LEAST_RESPONSE_TIME,
		.servers = 100,
		.load = 0.2,
		.duration = 5000,
		.seed = 1,
		.slow_servers = 50,
		.slow_speed = 0.25};
	double share = run(options).slow_share;

	(void)state;
	print_message("# least_response_time, half of the servers at a quarter of the speed: they "
		      "get %.1f %%\n",
		100 * share);
	assert_true(share > 0.2 && share < 0.28);
}

static void slow_servers_are_avoided(void **state)
{
	static const enum balance_kind kinds[] = {BALANCE_ROUND_ROBIN, BALANCE_POWER_OF_TWO,
		BALANCE_LEAST_CONNECTIONS, BALANCE_LEAST_RESPONSE_TIME, BALANCE_PREQUAL};
	double p99[ARRAY_LEN(kinds)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct farm_options options = {.kind = kinds[i],
			.servers = 100,
			.load = 0.5,
			.duration = 3000,
			.seed = 1,
			.slow_servers = 10,
			.slow_speed = 0.1};
		struct farm_result result = run(options);

		p99[i] = result.p99;
		print_message("# 10 of 100 servers 10 times slower, load 0.5: %s p50 %.2f p99 %.2f "
			      "p99.9 %.2f, slow ones get %.2f %%\n",
			balance_kind_info(kinds[i])->name, result.p50, result.p99, result.p999,
			100 * result.slow_share);
	}
	assert_true(p99[1] < 0.2 * p99[0]); // round robin overloads them without end
	assert_true(p99[3] < 0.5 * p99[1]); // peak EWMA beats two choices by connections
	assert_true(p99[4] < p99[3]);	    // and the hot and cold rule both
}

// Service times of 10 ms, so a sync of 0.2 is 2 ms. The same farm behind 1, 4 and 16 workers, which
// hear of each other's requests in flight and never of each other's latencies.
static void late_news_costs_little(void **state)
{
	static const struct {
		enum balance_kind kind;
		double most[2]; // p99 of 16 workers that hear every 2 and every 5 ms, to that of
				// one
		double blind;	// at least that when they never hear of each other
	} cases[] = {{BALANCE_POWER_OF_TWO, {1.1, 1.2}, 1.4},
		{BALANCE_LEAST_RESPONSE_TIME, {1.1, 1.2}, 1.4},
		{BALANCE_LEAST_CONNECTIONS, {1.6, 2.0}, 2}, {BALANCE_PREQUAL, {1.2, 1.3}, 1.2}};
	static const double syncs[] = {0.2, 0.5, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct farm_options options = {.kind = cases[i].kind,
			.servers = 100,
			.load = 0.8,
			.duration = 2000,
			.seed = 1,
			.workers = 1,
			.own_latency = true};
		double alone = run(options).p99;

		print_message("# %s at load 0.8, one worker: p99 %.2f service times\n",
			balance_kind_info(cases[i].kind)->name, alone);
		for (size_t s = 0; s < ARRAY_LEN(syncs); s++) {
			double p99[2];

			options.sync = syncs[s];
			options.blind = syncs[s] <= 0;
			for (u32 w = 0; w < 2; w++) {
				options.workers = w ? 16 : 4;
				p99[w] = run(options).p99;
			}
			print_message("#   news every %.1f service times%s: 4 workers %+.0f %%, 16 "
				      "workers %+.0f %%\n",
				syncs[s], options.blind ? " (never)" : "",
				100 * (p99[0] / alone - 1), 100 * (p99[1] / alone - 1));
			if (options.blind)
				assert_true(p99[1] >= cases[i].blind * alone);
			else
				assert_true(p99[1] <= cases[i].most[s] * alone);
		}
	}
}

static void a_seed_gives_the_same_farm(void **state)
{
	struct farm_options options = {
		.kind = BALANCE_PREQUAL, .servers = 50, .load = 0.8, .duration = 300, .seed = 9};
	struct farm_result a = run(options), b = run(options), c;

	(void)state;
	options.seed = 10;
	c = run(options);
	assert_true(a.requests == b.requests && a.mean <= b.mean && a.mean >= b.mean);
	assert_true(a.requests != c.requests);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_farm),
		cmocka_unit_test(random_is_as_many_single_queues),
		cmocka_unit_test(two_choices_have_the_mean_of_theory),
		cmocka_unit_test(the_more_one_knows_the_shorter),
		cmocka_unit_test(the_quicker_get_more),
		cmocka_unit_test(slow_servers_are_avoided),
		cmocka_unit_test(late_news_costs_little),
	};

	return cmocka_run_group_tests_name("queueing", tests, NULL, NULL);
}
