// SPDX-License-Identifier: Apache-2.0
// Costs at the points that can be worked out by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "decide/balance_cost.h"

static const double ms = NSEC_PER_MS;

static void near(double got, double wanted, double tolerance)
{
	assert_true(fabs(got - wanted) <= wanted * tolerance);
}

// A backend of 10 ms that once took a second, and then got no traffic.
static void a_spike_decays(void **state)
{
	struct balance_ewma ewma = {0};
	nsec now = 5 * NSEC_PER_SEC;

	(void)state;
	ewma_observe(&ewma, 10 * NSEC_PER_MS, now);
	near(ewma_read(&ewma, now), 10 * ms, 1e-9);
	ewma_observe(&ewma, 1000 * NSEC_PER_MS, now);
	near(ewma_read(&ewma, now), 1000 * ms, 1e-9);
	near(ewma_read(&ewma, now + 6931 * NSEC_PER_MS), 500 * ms, 1e-3);
	near(ewma_read(&ewma, now + 39120 * NSEC_PER_MS), 20 * ms, 1e-3);
	near(ewma_read(&ewma, now - NSEC_PER_SEC), 1000 * ms, 1e-9);
}

static void peaks_count_at_once_and_calm_slowly(void **state)
{
	struct balance_ewma ewma = {0};
	nsec now = NSEC_PER_SEC;

	(void)state;
	ewma_observe(&ewma, 100 * NSEC_PER_MS, now);
	// A tenth of tau later: keeps exp(-0.1).
	now += NSEC_PER_SEC;
	ewma_observe(&ewma, 10 * NSEC_PER_MS, now);
	near(ewma.value_ns, 10 * ms + 90 * ms * exp(-0.1), 1e-9);
	ewma_observe(&ewma, 200 * NSEC_PER_MS, now);
	near(ewma.value_ns, 200 * ms, 1e-9);
}

static void a_curve_tells_latency_by_load(void **state)
{
	struct balance_curve curve = {0};
	nsec now = 9 * NSEC_PER_SEC;

	(void)state;
	assert_true(curve_read(&curve, 3).value_ns <= 0);
	curve_observe(&curve, 9, 90 * NSEC_PER_MS, now);
	near(curve_read(&curve, 0).value_ns, 90 * ms, 1e-9);
	near(curve_read(&curve, 1000000).value_ns, 90 * ms, 1e-9);
	curve_observe(&curve, 1, 10 * NSEC_PER_MS, now);
	curve_observe(&curve, 500, 700 * NSEC_PER_MS, now);
	near(curve_read(&curve, 0).value_ns, 10 * ms, 1e-9);
	near(curve_read(&curve, 8).value_ns, 90 * ms, 1e-9);
	near(curve_read(&curve, 11).value_ns, 90 * ms, 1e-9);
	near(curve_read(&curve, UINT32_MAX).value_ns, 700 * ms, 1e-9);
	// No peaks: an average over a second.
	curve_observe(&curve, 1, 110 * NSEC_PER_MS, now + NSEC_PER_SEC);
	near(curve_read(&curve, 1).value_ns, 110 * ms - 100 * ms * exp(-1), 1e-9);
}

static void connections_are_shared_by_weight(void **state)
{
	(void)state;
	near(balance_cost_connections(0, 1, 1), 1, 1e-12);
	near(balance_cost_connections(5, 3, 1), 2, 1e-12);
	// Equal fractions are equal numbers, so that ties are ties.
	assert_true(balance_cost_connections(0, 3, 1) >= balance_cost_connections(1, 6, 1) &&
		    balance_cost_connections(0, 3, 1) <= balance_cost_connections(1, 6, 1));
	near(balance_cost_connections(0, 1, 0.1), 10, 1e-12);
}

// The order of two costs is the order of decayed latency x load, whenever one looks.
static void the_order_of_latencies_needs_no_clock(void **state)
{
	struct balance_ewma a = {.value_ns = 40 * ms, .at = 10 * NSEC_PER_SEC};
	struct balance_ewma b = {.value_ns = 10 * ms, .at = 20 * NSEC_PER_SEC};

	(void)state;
	for (u32 load = 1; load < 12; load++)
		for (nsec later = 20; later < 200; later += 10) {
			nsec now = later * NSEC_PER_SEC;
			double cost_a = balance_cost_latency(&a, 1, 1, 1, now);
			double cost_b = balance_cost_latency(&b, load, 1, 1, now);
			bool above = ewma_read(&a, now) * 2 > ewma_read(&b, now) * (load + 1);

			assert_int_equal(cost_a > cost_b, above);
		}
}

static void no_history_is_tried_once_at_a_time(void **state)
{
	struct balance_ewma none = {0}, slow = {.value_ns = 60000 * ms, .at = NSEC_PER_SEC};
	nsec now = NSEC_PER_SEC;

	(void)state;
	assert_true(balance_cost_latency(&none, 0, 1, 1, now) <
		    balance_cost_latency(&slow, 0, 1, 1, now));
	assert_true(balance_cost_latency(&none, 1, 1, 1, now) >
		    balance_cost_latency(&slow, 9, 1, 1, now));
	assert_true(balance_cost_latency(&none, 2, 1, 1, now) >
		    balance_cost_latency(&none, 1, 1, 1, now));
}

static void slow_start_is_a_line(void **state)
{
	(void)state;
	near(balance_slow_start(0, 10 * NSEC_PER_SEC, 0), 0.1, 1e-12);
	near(balance_slow_start(0, 10 * NSEC_PER_SEC, 0.3), 0.3, 1e-12);
	near(balance_slow_start(5 * NSEC_PER_SEC, 10 * NSEC_PER_SEC, 0), 0.5, 1e-12);
	near(balance_slow_start(10 * NSEC_PER_SEC, 10 * NSEC_PER_SEC, 0), 1, 1e-12);
	near(balance_slow_start(0, 0, 0), 1, 1e-12);
}

static void the_table_knows_which_cost_it_wants(void **state)
{
	static const struct balance_member members[] = {{1, 2}, {2, 8}};
	static const struct balance_options none = {0}, bounded = {.load_percent = 125};
	struct balance_load load = {.in_flight = 3,
		.slow_start = 1,
		.latency = {.value_ns = 10 * ms},
		.now = NSEC_PER_SEC};
	struct arena arena;

	(void)state;
	arena_init(&arena, 64 * 1024 * 1024);
	near(balance_cost(
		     balance_build(BALANCE_LEAST_CONNECTIONS, members, 2, &none, &arena), 0, &load),
		2, 1e-12);
	near(balance_cost(balance_build(BALANCE_POWER_OF_TWO, members, 2, &none, &arena), 1, &load),
		0.5, 1e-12);
	near(balance_cost(balance_build(BALANCE_LEAST_RESPONSE_TIME, members, 2, &none, &arena), 0,
		     &load),
		log(20 * ms), 1e-12);
	near(balance_cost(balance_build(BALANCE_PREQUAL, members, 2, &none, &arena), 0, &load), 12,
		1e-12);
	near(balance_cost(balance_build(BALANCE_MAGLEV, members, 2, &bounded, &arena), 0, &load), 3,
		1e-12);
	near(balance_cost(balance_build(BALANCE_MAGLEV, members, 2, &none, &arena), 0, &load), 0,
		1e-12);
	arena_done(&arena);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spike_decays),
		cmocka_unit_test(peaks_count_at_once_and_calm_slowly),
		cmocka_unit_test(a_curve_tells_latency_by_load),
		cmocka_unit_test(connections_are_shared_by_weight),
		cmocka_unit_test(the_order_of_latencies_needs_no_clock),
		cmocka_unit_test(no_history_is_tried_once_at_a_time),
		cmocka_unit_test(slow_start_is_a_line),
		cmocka_unit_test(the_table_knows_which_cost_it_wants),
	};

	return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}
