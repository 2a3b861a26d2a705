// SPDX-License-Identifier: Apache-2.0
// Places at backends with a bound on their connections: never more than that, idle ones included,
// and none of them idles while somebody waits for it, in whichever worker.
#include <stdio.h>

#include "guest.h"
#include "life.h"

static struct town *town_of(u64 seed, u32 workers, u32 backends, u32 sockets)
{
	char text[8192], fields[64];

	snprintf(fields, sizeof(fields), ", \"max_connections\": %u", sockets);
	snprintf(text, sizeof(text), "{\"app\": {\"backends\": %s}}",
		town_backends(backends, sockets ? fields : ""));
	return town_new(seed, workers, text);
}

static void run_until_over(struct town *town, struct guest *guests, u32 count)
{
	for (u32 ms = 0; ms < 5000; ms++) {
		bool over = true;

		town_run(town, 1);
		for (u32 i = 0; i < count; i++)
			over &= guest_is_over(&guests[i]);
		if (over)
			return;
	}
	fail_msg("guests wait for ever");
}

static void assert_served(const struct guest *guests, u32 count)
{
	for (u32 i = 0; i < count; i++)
		assert_int_equal(guests[i].state, GUEST_SERVED);
}

// ---- One worker ---------------------------------------------------------------------------------

static void one_connection_serves_all_in_order(void **state)
{
	enum { count = 10 };
	struct town *town = town_of(1, 1, 1, 1);
	struct guest guests[count];

	(void)state;
	for (u32 i = 0; i < count; i++) {
		guest_init(&guests[i], town, 0);
		guest_come(&guests[i]);
	}
	run_until_over(town, guests, count);
	assert_served(guests, count);
	for (u32 i = 1; i < count; i++)
		assert_true(guests[i].served_order > guests[i - 1].served_order);
	assert_int_equal(town->servers[0].accepts, 1);
	assert_int_equal(town->servers[0].requests, count);
	town_free(town);
}

static void as_many_connections_as_may_be(void **state)
{
	enum { count = 12 };
	struct town *town = town_of(1, 1, 1, 3);
	struct guest guests[count];

	(void)state;
	for (u32 i = 0; i < count; i++) {
		guest_init(&guests[i], town, 0);
		guest_come(&guests[i]);
	}
	town_run(town, 5);
	assert_int_equal(town->servers[0].sockets, 3);
	run_until_over(town, guests, count);
	assert_served(guests, count);
	assert_int_equal(town->servers[0].accepts, 3);
	assert_int_equal(town->servers[0].sockets_most, 3);
	town_free(town);
}

// Its connection must be one that nobody has used: the idle one goes first, and its place is
// inherited. The backend never sees both.
static void the_heir_of_a_connection(void **state)
{
	struct town *town = town_of(1, 1, 1, 1);
	struct guest first, second;

	(void)state;
	guest_init(&first, town, 0);
	guest_init(&second, town, 0);
	second.fresh = true;
	guest_come(&first);
	run_until_over(town, &first, 1);
	assert_int_equal(town->servers[0].sockets, 1);
	guest_come(&second);
	assert_int_equal(second.state, GUEST_CONNECTS);
	assert_int_equal(cap_used(town->pool->backends[0].sockets), 1);
	run_until_over(town, &second, 1);
	assert_served(&second, 1);
	assert_int_equal(second.waits, 0);
	assert_int_equal(town->servers[0].accepts, 2);
	assert_int_equal(town->servers[0].sockets_most, 1);
	town_free(town);
}

// One connection at a time is all that there is memory for.
static void an_heir_needs_no_more_than_it_inherits(void **state)
{
	struct town *town = town_of(1, 1, 1, 1);
	struct guest first, second;

	(void)state;
	town_upstream(town, 0)->links.used_max = 1;
	guest_init(&first, town, 0);
	guest_init(&second, town, 0);
	second.fresh = true;
	guest_come(&first);
	run_until_over(town, &first, 1);
	guest_come(&second);
	run_until_over(town, &second, 1);
	assert_served(&second, 1);
	town_free(town);
}

// A backend that does not close for its part keeps its place until we do.
static void an_heir_outlasts_a_slow_close(void **state)
{
	struct town *town = town_of(1, 1, 1, 1);
	struct guest first, second;

	(void)state;
	town->servers[0].closes_slowly = true;
	guest_init(&first, town, 0);
	guest_init(&second, town, 0);
	second.fresh = true;
	guest_come(&first);
	run_until_over(town, &first, 1);
	guest_come(&second);
	town_run(town, 500);
	assert_int_equal(second.state, GUEST_CONNECTS);
	assert_int_equal(town->servers[0].accepts, 1);
	run_until_over(town, &second, 1);
	assert_served(&second, 1);
	town_free(town);
}

static void an_heir_that_goes_away_leaves_the_place(void **state)
{
	struct town *town = town_of(1, 1, 1, 1);
	struct guest first, second, third;

	(void)state;
	guest_init(&first, town, 0);
	guest_init(&second, town, 0);
	guest_init(&third, town, 0);
	second.fresh = true;
	guest_come(&first);
	run_until_over(town, &first, 1);
	guest_come(&second);
	assert_int_equal(second.state, GUEST_CONNECTS);
	guest_come(&third);
	assert_int_equal(third.state, GUEST_QUEUES);
	guest_leave(&second);
	run_until_over(town, &third, 1);
	assert_served(&third, 1);
	assert_int_equal(town->servers[0].sockets_most, 1);
	town_free(town);
}

static void a_cut_connection_leaves_its_place(void **state)
{
	enum { count = 6 };
	struct town *town = town_of(1, 2, 1, 1);
	struct guest guests[count];

	(void)state;
	for (u32 i = 0; i < count; i++) {
		guest_init(&guests[i], town, i % 2);
		guests[i].cuts = true;
		guest_come(&guests[i]);
	}
	run_until_over(town, guests, count);
	assert_served(guests, count);
	assert_int_equal(town->servers[0].accepts, count);
	town_free(town);
}

static void who_leaves_while_it_connects(void **state)
{
	struct town *town = town_of(1, 1, 1, 1);
	struct guest first, second;

	(void)state;
	guest_init(&first, town, 0);
	guest_init(&second, town, 0);
	guest_come(&first);
	assert_int_equal(first.state, GUEST_CONNECTS);
	guest_come(&second);
	guest_leave(&first);
	run_until_over(town, &second, 1);
	assert_served(&second, 1);
	town_free(town);
}

// ---- Several workers ----------------------------------------------------------------------------

static void an_idle_connection_of_another_worker_goes(void **state)
{
	struct town *town = town_of(1, 3, 1, 1);
	struct guest guests[3];

	(void)state;
	for (u32 i = 0; i < 3; i++) {
		guest_init(&guests[i], town, i);
		guest_come(&guests[i]);
		run_until_over(town, &guests[i], 1);
		town_run(town, 100); // it idles in this worker
		assert_int_equal(town->servers[0].sockets, 1);
	}
	assert_served(guests, 3);
	assert_int_equal(town->servers[0].accepts, 3);
	assert_int_equal(town->servers[0].sockets_most, 1);
	for (u32 i = 0; i < 3; i++)
		assert_true(guests[i].served_ms - guests[i].came_ms < 20);
	town_free(town);
}

// All that idle in one worker are of use to as many who wait in another.
static void several_idle_connections_of_another_worker_go(void **state)
{
	struct town *town = town_of(1, 2, 1, 3);
	struct guest guests[3], others[3];

	(void)state;
	for (u32 i = 0; i < 3; i++) {
		guest_init(&guests[i], town, 0);
		guest_come(&guests[i]);
	}
	run_until_over(town, guests, 3);
	assert_int_equal(town->servers[0].sockets, 3);
	for (u32 i = 0; i < 3; i++) {
		guest_init(&others[i], town, 1);
		others[i].hold_ms = 1000;
		guest_come(&others[i]);
	}
	town_run(town, 30);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(others[i].state, GUEST_HOLDS);
	assert_int_equal(town->servers[0].sockets_most, 3);
	for (u32 i = 0; i < 3; i++)
		guest_leave(&others[i]);
	town_free(town);
}

// The next worker's idle connection is to a backend that is out; the one behind it has the right
// one.
static void the_idle_connection_that_is_of_use(void **state)
{
	struct town *town = town_of(1, 3, 2, 1);
	struct guest wrong, right, waits;

	(void)state;
	guest_init(&wrong, town, 1);
	assert_true(balance_try(&wrong.tried, 1));
	guest_init(&right, town, 2);
	assert_true(balance_try(&right.tried, 0));
	guest_come(&wrong);
	guest_come(&right);
	town_run(town, 50);
	assert_int_equal(wrong.state, GUEST_SERVED);
	assert_int_equal(right.state, GUEST_SERVED);
	town_publish(town, 1 << 1);
	guest_init(&waits, town, 0);
	guest_come(&waits);
	assert_int_equal(waits.state, GUEST_QUEUES);
	town_run(town, 50);
	assert_int_equal(waits.state, GUEST_SERVED);
	town_free(town);
}

static void the_idle_connection_to_another_backend(void **state)
{
	struct town *town = town_of(1, 3, 2, 1);
	struct guest wrong, right, waits;

	(void)state;
	guest_init(&wrong, town, 1);
	assert_true(balance_try(&wrong.tried, 1));
	guest_init(&right, town, 2);
	assert_true(balance_try(&right.tried, 0));
	guest_come(&wrong);
	guest_come(&right);
	town_run(town, 50);
	guest_init(&waits, town, 0);
	assert_true(balance_try(&waits.tried, 0));
	guest_come(&waits);
	assert_int_equal(waits.state, GUEST_QUEUES);
	town_run(town, 50);
	assert_int_equal(waits.state, GUEST_SERVED);
	town_free(town);
}

// Busy in all workers at once: each gets its turn, though connections belong to workers.
static void workers_take_turns(void **state)
{
	enum { workers = 4, each = 10, count = workers * each };
	struct town *town = town_of(1, workers, 1, 1);
	struct guest guests[count];
	u32 served[workers] = {0};

	(void)state;
	for (u32 i = 0; i < count; i++) {
		guest_init(&guests[i], town, i % workers);
		guests[i].hold_ms = 3;
		guest_come(&guests[i]);
	}
	for (u32 done = 0; done < count / 2;) {
		town_run(town, 1);
		done = 0;
		for (u32 i = 0; i < count; i++)
			done += guests[i].served_order > 0;
	}
	for (u32 i = 0; i < count; i++)
		served[i % workers] += guests[i].served_order > 0;
	for (u32 i = 0; i < workers; i++)
		assert_in_range(served[i], each / 2 - 1, each / 2 + 1);
	run_until_over(town, guests, count);
	assert_served(guests, count);
	assert_int_equal(town->servers[0].sockets_most, 1);
	town_free(town);
}

// ---- Random histories ---------------------------------------------------------------------------

static void random_histories(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 400; seed++) {
		struct rng rng;
		u32 workers, backends, sockets;

		rng_init(&rng, seed);
		workers = 1 + rng_below(&rng, 4);
		backends = 1 + rng_below(&rng, 3);
		sockets = 1 + rng_below(&rng, 3);
		life_run(town_of(seed, workers, backends, sockets), false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_connection_serves_all_in_order),
		cmocka_unit_test(as_many_connections_as_may_be),
		cmocka_unit_test(the_heir_of_a_connection),
		cmocka_unit_test(an_heir_needs_no_more_than_it_inherits),
		cmocka_unit_test(an_heir_outlasts_a_slow_close),
		cmocka_unit_test(an_heir_that_goes_away_leaves_the_place),
		cmocka_unit_test(a_cut_connection_leaves_its_place),
		cmocka_unit_test(who_leaves_while_it_connects),
		cmocka_unit_test(an_idle_connection_of_another_worker_goes),
		cmocka_unit_test(several_idle_connections_of_another_worker_go),
		cmocka_unit_test(the_idle_connection_that_is_of_use),
		cmocka_unit_test(the_idle_connection_to_another_backend),
		cmocka_unit_test(workers_take_turns),
		cmocka_unit_test(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
