// SPDX-License-Identifier: Apache-2.0
// Requests that wait for a place: first come, first served, round about between workers, and no
// place stays free while somebody waits for it.
#include <stdio.h>

#include "guest.h"
#include "life.h"

// So many places at each backend, over all workers, without connections.
static struct town *town_of(u64 seed, u32 workers, u32 backends, u32 places, const char *limits)
{
	char text[8192];

	snprintf(text, sizeof(text),
		"{\"app\": {\"limits\": {%s \"adaptive\": {\"enabled\": true, \"min\": %u, "
		"\"max\": "
		"%u, \"start\": %u}}, \"backends\": %s}}",
		limits, places, places, places, town_backends(backends, ""));
	return town_new(seed, workers, text);
}

static void init_dry(struct guest *guests, u32 count, struct town *town, u32 worker)
{
	for (u32 i = 0; i < count; i++) {
		guest_init(&guests[i], town, worker);
		guests[i].dry = true;
	}
}

static void come(struct guest *guests, u32 count)
{
	for (u32 i = 0; i < count; i++)
		guest_come(&guests[i]);
}

static u32 waiting_in(struct town *town, u32 worker)
{
	return atomic_load(&town->pool->cells[worker].waiting);
}

static void assert_nobody_waits(struct town *town)
{
	assert_int_equal(queue_waiting(town->pool), 0);
	for (u32 i = 0; i < town->worker_count; i++)
		assert_int_equal(waiting_in(town, i), 0);
}

// ---- One worker ---------------------------------------------------------------------------------

static void first_come_first_served(void **state)
{
	enum { count = 12 };
	struct town *town = town_of(1, 1, 1, 1, "");
	struct guest guests[count];

	(void)state;
	init_dry(guests, count, town, 0);
	for (u32 i = 0; i < count; i++)
		guests[i].hold_ms = 1000;
	come(guests, count);
	assert_int_equal(queue_waiting(town->pool), count - 1);
	for (u32 i = 0; i < count; i++) {
		assert_int_equal(guests[i].state, GUEST_HOLDS);
		for (u32 k = i + 1; k < count; k++)
			assert_int_equal(guests[k].state, GUEST_QUEUES);
		guest_leave(&guests[i]);
		town_run(town, 1);
	}
	assert_nobody_waits(town);
	town_free(town);
}

static void who_comes_later_stands_back(void **state)
{
	struct town *town = town_of(1, 1, 1, 1, "");
	struct guest guests[3];

	(void)state;
	init_dry(guests, 3, town, 0);
	come(guests, 2);
	guest_leave(&guests[0]); // the place is free, and it is the second one's turn
	guest_come(&guests[2]);
	assert_int_equal(guests[2].state, GUEST_QUEUES);
	town_run(town, 1);
	assert_int_equal(guests[1].state, GUEST_HOLDS);
	assert_int_equal(guests[2].state, GUEST_QUEUES);
	guest_leave(&guests[1]);
	town_run(town, 1);
	assert_int_equal(guests[2].state, GUEST_HOLDS);
	guest_leave(&guests[2]);
	town_free(town);
}

static void several_places_at_once(void **state)
{
	struct town *town = town_of(1, 1, 3, 2, "");
	struct guest guests[12];

	(void)state;
	init_dry(guests, 12, town, 0);
	come(guests, 12);
	assert_int_equal(queue_waiting(town->pool), 6);
	for (u32 i = 0; i < 4; i++)
		guest_leave(&guests[i]);
	town_run(town, 1);
	for (u32 i = 6; i < 12; i++)
		assert_int_equal(guests[i].state, i < 10 ? GUEST_HOLDS : GUEST_QUEUES);
	town_run(town, 50);
	assert_nobody_waits(town);
	town_free(town);
}

static void the_queue_is_bounded_per_worker(void **state)
{
	struct town *town = town_of(1, 2, 1, 1, "\"queue\": 2,");
	struct guest guests[8];

	(void)state;
	init_dry(guests, 4, town, 0);
	init_dry(guests + 4, 4, town, 1);
	come(guests, 8);
	for (u32 i = 0; i < 8; i++)
		assert_int_equal(guests[i].state, i == 0	     ? GUEST_HOLDS
						  : i == 3 || i >= 6 ? GUEST_REFUSED
								     : GUEST_QUEUES);
	assert_int_equal(queue_waiting(town->pool), 4);
	town_run(town, 100);
	assert_nobody_waits(town);
	guest_come(&guests[7]);
	assert_int_equal(guests[7].state, GUEST_HOLDS);
	guest_leave(&guests[7]);
	town_free(town);
}

static void nobody_may_wait(void **state)
{
	struct town *town = town_of(1, 1, 1, 1, "\"queue\": 0,");
	struct guest guests[2];

	(void)state;
	init_dry(guests, 2, town, 0);
	come(guests, 2);
	assert_int_equal(guests[1].state, GUEST_REFUSED);
	guest_leave(&guests[0]);
	town_free(town);
}

static void whose_time_is_over_is_passed_over(void **state)
{
	struct town *town = town_of(1, 1, 1, 1, "");
	struct guest guests[4];

	(void)state;
	init_dry(guests, 4, town, 0);
	guests[0].hold_ms = 20;
	guests[1].patience_ms = 20; // its deadline and its turn come together
	guests[2].patience_ms = 10;
	come(guests, 4);
	town_run(town, 15);
	assert_int_equal(guests[2].state, GUEST_LATE);
	town_run(town, 10);
	assert_int_equal(guests[1].state, GUEST_LATE);
	assert_int_equal(guests[3].state, GUEST_HOLDS);
	town_run(town, 20);
	assert_nobody_waits(town);
	town_free(town);
}

static void who_goes_away_holds_up_nobody(void **state)
{
	struct town *town = town_of(1, 2, 1, 1, "");
	struct guest guests[6];

	(void)state;
	init_dry(guests, 4, town, 0);
	init_dry(guests + 4, 2, town, 1);
	come(guests, 6);
	guest_leave(&guests[0]); // the place is promised to the second,
	guest_leave(&guests[1]); // who goes,
	guest_leave(&guests[2]); // and so does the third
	town_run(town, 1);
	assert_int_equal((guests[3].state == GUEST_HOLDS) + (guests[4].state == GUEST_HOLDS), 1);
	town_run(town, 100);
	for (u32 i = 3; i < 6; i++)
		assert_int_equal(guests[i].state, GUEST_SERVED);
	assert_nobody_waits(town);
	town_free(town);
}

// When the last backend goes nobody waits for a place there any longer.
static void nobody_is_left_to_wait_for(void **state)
{
	struct town *town = town_of(1, 2, 2, 1, "");
	struct guest guests[6];

	(void)state;
	init_dry(guests, 4, town, 0);
	init_dry(guests + 4, 2, town, 1);
	for (u32 i = 0; i < 6; i++)
		guests[i].hold_ms = 1000;
	come(guests, 6);
	town_publish(town, 0);
	for (u32 i = 0; i < 2; i++)
		upstream_nudge(town_upstream(town, i));
	town_run(town, 1);
	for (u32 i = 2; i < 6; i++)
		assert_int_equal(guests[i].state, GUEST_TURNED_AWAY);
	assert_nobody_waits(town);
	for (u32 i = 0; i < 2; i++)
		guest_leave(&guests[i]);
	town_free(town);
}

// A third backend comes: it has places.
static void a_backend_that_comes_is_used(void **state)
{
	struct town *town = town_of(1, 2, 3, 1, "");
	struct guest guests[6];

	(void)state;
	town_publish(town, 3);
	init_dry(guests, 3, town, 0);
	init_dry(guests + 3, 3, town, 1);
	for (u32 i = 0; i < 6; i++)
		guests[i].hold_ms = 1000;
	come(guests, 6);
	assert_int_equal(queue_waiting(town->pool), 4);
	town_publish(town, 7);
	for (u32 i = 0; i < 2; i++)
		upstream_nudge(town_upstream(town, i));
	town_run(town, 1);
	assert_int_equal(queue_waiting(town->pool), 3);
	for (u32 i = 0; i < 6; i++)
		guest_leave(&guests[i]);
	town_run(town, 1);
	for (u32 i = 0; i < 6; i++)
		guest_leave(&guests[i]);
	town_free(town);
}

// A bound that grows is as good as a place that becomes free.
static void a_limit_that_grows_serves_those_who_wait(void **state)
{
	static const char limits[] =
		"{\"app\": {\"limits\": {\"adaptive\": {\"enabled\": true, \"min\": 1, \"max\": "
		"40, \"start\": 1}}, \"backends\": [\"10.0.0.1:80\"]}}";
	struct town *town = town_new(1, 2, limits);
	struct guest guests[4];
	u32 limit;

	(void)state;
	init_dry(guests, 2, town, 0);
	init_dry(guests + 2, 2, town, 1);
	for (u32 i = 0; i < 4; i++)
		guests[i].hold_ms = 100 * 1000;
	come(guests, 4);
	assert_int_equal(queue_waiting(town->pool), 3);
	town_run(town, 1);
	for (u32 i = 0; i < 20; i++)
		pick_note_latency(town_upstream(town, 0), &guests[0].pick, 1000);
	limit = town->pool->backends[0].adaptive->limit;
	assert_in_range(limit, 2, 4);
	town_run(town, 1);
	assert_int_equal(queue_waiting(town->pool), 4 - limit);
	for (u32 i = 0; i < 4; i++)
		guest_leave(&guests[i]);
	town_run(town, 1);
	for (u32 i = 0; i < 4; i++)
		guest_leave(&guests[i]);
	town_free(town);
}

// ---- Several workers ----------------------------------------------------------------------------

// One worker frees all the places; each of the others gets its turn.
static void places_go_round_between_workers(void **state)
{
	enum { workers = 4, each = 6, count = workers * each };
	struct town *town = town_of(1, workers, 1, 1, "");
	struct guest first, guests[count];
	u32 served[workers] = {0};

	(void)state;
	init_dry(&first, 1, town, 0);
	guest_come(&first);
	for (u32 i = 0; i < workers; i++) {
		init_dry(&guests[i * each], each, town, i);
		for (u32 k = 0; k < each; k++)
			guests[i * each + k].hold_ms = 2;
		come(&guests[i * each], each);
	}
	guest_leave(&first);
	for (u32 round = 0; round < each; round++) {
		for (u32 k = 0; k < workers; k++)
			town_run(town, 2);
		for (u32 i = 0; i < workers; i++) {
			u32 now = 0;

			for (u32 k = 0; k < each; k++)
				now += guests[i * each + k].served_order > 0;
			served[i] = now;
		}
		for (u32 i = 1; i < workers; i++)
			assert_true(served[i] + 1 >= served[0] && served[i] <= served[0] + 1);
	}
	town_run(town, 20);
	for (u32 i = 0; i < count; i++) {
		assert_int_equal(guests[i].state, GUEST_SERVED);
		if (i % each) // in order within each worker
			assert_true(guests[i].served_order > guests[i - 1].served_order);
	}
	assert_nobody_waits(town);
	town_free(town);
}

// Two places become free at once and both go to the worker whose only waiter took the first: the
// other one's waiter must not be forgotten.
static void a_place_that_finds_nobody_goes_on(void **state)
{
	struct town *town = town_of(1, 3, 2, 1, "");
	struct guest holds[2], waits[2];

	(void)state;
	init_dry(&holds[0], 1, town, 0);
	init_dry(&holds[1], 1, town, 2);
	init_dry(&waits[0], 1, town, 0);
	init_dry(&waits[1], 1, town, 1);
	for (u32 i = 0; i < 2; i++)
		holds[i].hold_ms = waits[i].hold_ms = 1000;
	come(holds, 2);
	come(waits, 2);
	town_run(town, 1);
	assert_int_equal(queue_waiting(town->pool), 2);
	atomic_store(&town->pool->last_served, 2);
	guest_leave(&holds[1]); // worker 2 tells worker 0,
	atomic_store(&town->pool->last_served, 2);
	guest_leave(&holds[0]); // which has freed one itself meanwhile
	town_run(town, 2);
	assert_int_equal(waits[0].state, GUEST_HOLDS);
	assert_int_equal(waits[1].state, GUEST_HOLDS);
	for (u32 i = 0; i < 2; i++)
		guest_leave(&waits[i]);
	town_free(town);
}

// ---- Those who want another backend
// ---------------------------------------------------------------

static void init_choosy(struct guest *guest, struct town *town, u32 worker, u32 tried)
{
	init_dry(guest, 1, town, worker);
	guest->hold_ms = 1000;
	assert_true(balance_try(&guest->tried, tried));
}

// One at each of two backends: the first one at backend 0.
static void hold_both(struct guest *holds, struct town *town, u32 worker)
{
	init_dry(holds, 2, town, worker);
	for (u32 i = 0; i < 2; i++) {
		holds[i].hold_ms = 1000;
		assert_true(balance_try(&holds[i].tried, 1 - i));
		guest_come(&holds[i]);
		assert_int_equal(holds[i].pick.backend->index, i);
	}
}

// A retry waits for the backend that it has not tried. Those behind it take what is free elsewhere.
static void who_waits_for_another_backend_is_passed_by(void **state)
{
	struct town *town = town_of(1, 1, 2, 1, "");
	struct guest holds[2], choosy, plain[3];

	(void)state;
	hold_both(holds, town, 0);
	init_choosy(&choosy, town, 0, 0);
	init_dry(plain, 3, town, 0);
	for (u32 i = 0; i < 3; i++)
		plain[i].hold_ms = 1000;
	guest_come(&choosy);
	come(plain, 2);
	assert_int_equal(queue_waiting(town->pool), 3);
	for (u32 i = 0; i < 2; i++) {
		guest_leave(i ? &plain[0] : &holds[0]); // backend 0 is free
		town_run(town, 1);
		assert_int_equal(choosy.state, GUEST_QUEUES);
		assert_int_equal(plain[i].state, GUEST_HOLDS);
	}
	guest_leave(&plain[1]);
	town_run(town, 1);
	guest_come(&plain[2]); // nobody else waits for backend 0
	town_run(town, 1);
	assert_int_equal(plain[2].state, GUEST_HOLDS);
	assert_int_equal(choosy.state, GUEST_QUEUES);
	guest_leave(&holds[1]); // backend 1 is free
	town_run(town, 1);
	assert_int_equal(choosy.state, GUEST_HOLDS);
	assert_int_equal(choosy.pick.backend->index, 1);
	assert_nobody_waits(town);
	guest_leave(&choosy);
	guest_leave(&plain[2]);
	town_free(town);
}

// Nobody is refused for want of room in the queue while there is a place.
static void who_can_be_served_needs_no_room_in_the_queue(void **state)
{
	struct town *town = town_of(1, 1, 2, 1, "\"queue\": 1,");
	struct guest holds[2], choosy, plain;

	(void)state;
	hold_both(holds, town, 0);
	init_choosy(&choosy, town, 0, 0);
	init_dry(&plain, 1, town, 0);
	guest_come(&choosy);
	guest_leave(&holds[0]);
	town_run(town, 1);
	guest_come(&plain);
	town_run(town, 1);
	assert_int_equal(plain.state, GUEST_HOLDS);
	guest_leave(&plain);
	guest_leave(&holds[1]);
	town_run(town, 1);
	guest_leave(&choosy);
	town_free(town);
}

// It is told to a worker where nobody has a use for it: each of the others hears of it.
static void places_pass_by_those_who_want_another_backend(void **state)
{
	for (u32 last = 0; last < 3; last++)
		for (u32 freed = 0; freed < 2; freed++) {
			struct town *town = town_of(1, 3, 2, 1, "");
			struct guest holds[2], choosy[2];

			hold_both(holds, town, 2);
			for (u32 i = 0; i < 2; i++) // one wants backend 1, the other backend 0
				init_choosy(&choosy[i], town, i, i);
			come(choosy, 2);
			town_run(town, 1);
			assert_int_equal(queue_waiting(town->pool), 2);
			atomic_store(&town->pool->last_served, last);
			guest_leave(&holds[freed]);
			town_run(town, 1);
			assert_int_equal(choosy[1 - freed].state, GUEST_HOLDS);
			assert_int_equal(choosy[freed].state, GUEST_QUEUES);
			guest_leave(&holds[1 - freed]);
			town_run(town, 1);
			assert_int_equal(choosy[freed].state, GUEST_HOLDS);
			for (u32 i = 0; i < 2; i++)
				guest_leave(&choosy[i]);
			assert_nobody_waits(town);
			town_free(town);
		}
	(void)state;
}

static void and_to_those_who_take_any(void **state)
{
	for (u32 last = 0; last < 3; last++) {
		struct town *town = town_of(1, 3, 2, 1, "");
		struct guest holds[2], choosy, plain;

		hold_both(holds, town, 2);
		init_choosy(&choosy, town, 0, 0);
		init_dry(&plain, 1, town, 1);
		guest_come(&choosy);
		guest_come(&plain);
		town_run(town, 1);
		atomic_store(&town->pool->last_served, last);
		guest_leave(&holds[0]);
		town_run(town, 1);
		assert_int_equal(plain.state, GUEST_HOLDS);
		assert_int_equal(choosy.state, GUEST_QUEUES);
		guest_leave(&holds[1]);
		town_run(town, 1);
		assert_int_equal(choosy.state, GUEST_HOLDS);
		guest_leave(&choosy);
		guest_leave(&plain);
		town_free(town);
	}
	(void)state;
}

// ---- Random histories ---------------------------------------------------------------------------

static void random_histories(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 400; seed++) {
		struct rng rng;
		u32 workers, backends, places;

		rng_init(&rng, seed);
		workers = 1 + rng_below(&rng, 4);
		backends = 1 + rng_below(&rng, 3);
		places = 1 + rng_below(&rng, 2);
		life_run(town_of(seed, workers, backends, places, ""), true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_come_first_served),
		cmocka_unit_test(who_comes_later_stands_back),
		cmocka_unit_test(several_places_at_once),
		cmocka_unit_test(the_queue_is_bounded_per_worker),
		cmocka_unit_test(nobody_may_wait),
		cmocka_unit_test(whose_time_is_over_is_passed_over),
		cmocka_unit_test(who_goes_away_holds_up_nobody),
		cmocka_unit_test(nobody_is_left_to_wait_for),
		cmocka_unit_test(a_backend_that_comes_is_used),
		cmocka_unit_test(a_limit_that_grows_serves_those_who_wait),
		cmocka_unit_test(places_go_round_between_workers),
		cmocka_unit_test(a_place_that_finds_nobody_goes_on),
		cmocka_unit_test(who_waits_for_another_backend_is_passed_by),
		cmocka_unit_test(who_can_be_served_needs_no_room_in_the_queue),
		cmocka_unit_test(places_pass_by_those_who_want_another_backend),
		cmocka_unit_test(and_to_those_who_take_any),
		cmocka_unit_test(random_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
