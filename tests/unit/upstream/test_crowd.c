// SPDX-License-Identifier: Apache-2.0
// What workers know of each other's requests: how old that may be, at 1, 4 and 16 workers, and that
// it is never wrong for good.
#include "town.h"

#include <stdio.h>

#include "base/mem.h"

// A change is told CROWD_TELL_MS after it, and heard by the first pick CROWD_HEAR_MS after that.
enum { STALE_MS = CROWD_TELL_MS + CROWD_HEAR_MS };

static struct town *town_of(u64 seed, u32 workers, u32 backends)
{
	char text[8192];

	snprintf(text, sizeof(text),
		"{\"app\": {\"algorithm\": \"least_connections\", \"backends\": %s}}",
		town_backends(backends, ""));
	return town_new(seed, workers, text);
}

static u32 own(struct town *town, u32 worker, u32 backend)
{
	return town->snapshot->cells[worker][town->pool->backends[backend].cell].in_flight;
}

static u32 others_in_truth(struct town *town, u32 worker, u32 backend)
{
	u32 sum = 0;

	for (u32 i = 0; i < town->worker_count; i++)
		sum += i == worker ? 0 : own(town, i, backend);
	return sum;
}

static u32 others_as_heard(struct town *town, u32 worker, u32 backend)
{
	const struct crowd_ear *ear = &town_upstream(town, worker)->ear;

	return ear->in_flight ? ear->in_flight[town->pool->backends[backend].cell] : 0;
}

static void assert_all_know(u64 seed, struct town *town)
{
	for (u32 i = 0; i < town->worker_count; i++)
		for (u32 k = 0; k < town->pool->backend_count; k++)
			SEEDED(seed, others_as_heard(town, i, k) == others_in_truth(town, i, k));
}

// What is told costs a pick; here it is one that changes nothing that is not changed back at once.
static void all_listen(struct town *town)
{
	for (u32 i = 0; i < town->worker_count; i++)
		(void)town_pick(town, i);
}

// ---- How old ------------------------------------------------------------------------------------

enum { crowd_backends = 5, crowd_most = 400, history_ms = 64 };

struct history { // of one cell: its values at the end of each of the last milliseconds
	u32 least[history_ms], most[history_ms];
};

struct crowd_life {
	u64 seed;
	struct town *town;
	struct rng rng;
	struct {
		struct pick pick;
		u32 worker;
	} held[crowd_most];
	u32 held_count;
	struct history *histories; // by worker and backend
	u32 rises_one_in;	   // more requests begin than end, or fewer
	u32 oldest;		   // of what was believed
};

static struct history *history_of(struct crowd_life *life, u32 worker, u32 backend)
{
	return &life->histories[worker * crowd_backends + backend];
}

static void note(struct crowd_life *life, u32 worker, u32 backend)
{
	struct history *history = history_of(life, worker, backend);
	u32 at = (u32)(town_now_ms(life->town) % history_ms),
	    now = own(life->town, worker, backend);

	history->least[at] = MIN(history->least[at], now);
	history->most[at] = MAX(history->most[at], now);
}

static void begin_millisecond(struct crowd_life *life)
{
	u32 at = (u32)(town_now_ms(life->town) % history_ms);

	for (u32 i = 0; i < life->town->worker_count; i++)
		for (u32 k = 0; k < crowd_backends; k++)
			history_of(life, i, k)->least[at] = history_of(life, i, k)->most[at] =
				own(life->town, i, k);
}

// How old is what the reader believes of another worker's cell: the age in milliseconds of the
// youngest moment at which that cell had this value. (It moves by one, so it had every value
// between its least and its most.)
static u32 age_of(struct crowd_life *life, u32 reader, u32 worker, u32 backend)
{
	const struct crowd_ear *ear = &town_upstream(life->town, reader)->ear;
	const struct history *history = history_of(life, worker, backend);
	u32 cell = life->town->pool->backends[backend].cell, age;
	u32 heard = ear->heard[worker * life->town->snapshot->slots->crowd.cell_max + cell];

	for (age = 0; age < history_ms; age++) {
		u32 at = (u32)((town_now_ms(life->town) - age) % history_ms);

		if (heard >= history->least[at] && heard <= history->most[at])
			break;
	}
	return age;
}

static void check_reader(struct crowd_life *life, u32 reader)
{
	for (u32 i = 0; i < life->town->worker_count; i++)
		for (u32 k = 0; k < crowd_backends && i != reader; k++) {
			u32 age = age_of(life, reader, i, k);

			SEEDED(life->seed, age <= STALE_MS);
			life->oldest = MAX(life->oldest, age);
		}
}

static void act(struct crowd_life *life)
{
	struct town *town = life->town;

	if (life->held_count < crowd_most &&
		(life->held_count == 0 || rng_one_in(&life->rng, life->rises_one_in))) {
		u32 worker = rng_below(&life->rng, town->worker_count);

		assert_int_equal(
			town_begin(town, worker, &life->held[life->held_count].pick), PICK_OK);
		life->held[life->held_count++].worker = worker;
		note(life, worker, life->held[life->held_count - 1].pick.backend->index);
		if (town->worker_count > 1)
			check_reader(life, worker);
	} else {
		u32 at = rng_below(&life->rng, life->held_count);
		u32 worker = life->held[at].worker, backend = life->held[at].pick.backend->index;

		pick_end(town_upstream(town, worker), &life->held[at].pick);
		note(life, worker, backend);
		life->held[at] = life->held[--life->held_count];
	}
}

static void end_all(struct crowd_life *life)
{
	while (life->held_count) {
		u32 at = --life->held_count;

		pick_end(town_upstream(life->town, life->held[at].worker), &life->held[at].pick);
	}
}

static u32 oldest; // of all seeds

static void live(u64 seed, u32 workers)
{
	struct crowd_life life = {.seed = seed, .town = town_of(seed, workers, crowd_backends)};

	rng_init(&life.rng, seed);
	life.histories = mem_alloc(sizeof(struct history) * workers * crowd_backends);
	for (u32 i = 0; i < history_ms; i++) {
		begin_millisecond(&life);
		town_run(life.town, 1);
	}
	for (u32 ms = 0; ms < 400; ms++) {
		u32 burst = rng_one_in(&life.rng, 3) ? 0 : rng_below(&life.rng, 12);

		// Rising and falling for a while, so that an old number is a wrong one.
		if (ms % 40 == 0)
			life.rises_one_in = 1 + (ms / 40) % 2 * 8;
		begin_millisecond(&life);
		for (u32 i = 0; i < burst; i++)
			act(&life);
		town_run(life.town, 1);
	}
	// Nothing changes any more: after both delays each knows exactly.
	town_run(life.town, CROWD_TELL_MS + CROWD_HEAR_MS);
	all_listen(life.town);
	assert_all_know(seed, life.town);
	end_all(&life);
	town_run(life.town, CROWD_TELL_MS + CROWD_HEAR_MS);
	all_listen(life.town);
	assert_all_know(seed, life.town);
	for (u32 i = 0; i < workers; i++)
		for (u32 k = 0; k < crowd_backends; k++)
			SEEDED(seed, others_as_heard(life.town, i, k) == 0);
	oldest = MAX(oldest, life.oldest);
	mem_free(life.histories);
	town_free(life.town);
}

static void live_seeds(u32 workers, u32 seeds)
{
	oldest = 0;
	for (u64 seed = 1; seed <= seeds; seed++)
		live(seed, workers);
	// These histories come near the bound: here both delays begin and end on the same ticks.
	assert_true(workers == 1 || oldest >= STALE_MS - 2);
}

static void one_worker(void **state)
{
	(void)state;
	live_seeds(1, 4);
}

static void two_workers(void **state)
{
	(void)state;
	live_seeds(2, 12);
}

static void four_workers(void **state)
{
	(void)state;
	live_seeds(4, 12);
}

static void sixteen_workers(void **state)
{
	(void)state;
	live_seeds(16, 6);
}

// The first moment at which it has to be known, not one later.
static void to_the_millisecond(void **state)
{
	struct town *town = town_of(1, 2, 1);
	struct pick pick;

	(void)state;
	town_run(town, 20);
	(void)town_pick(town, 1); // hears, and then not again for CROWD_HEAR_MS
	assert_int_equal(town_begin(town, 0, &pick), PICK_OK);
	assert_int_equal(own(town, 0, 0), 1); // its own it knows at once
	assert_int_equal(others_as_heard(town, 0, 0), 0);
	(void)town_pick(town, 1);
	assert_int_equal(others_as_heard(town, 1, 0), 0); // it cannot yet
	town_run(town, STALE_MS);
	(void)town_pick(town, 1);
	assert_int_equal(others_as_heard(town, 1, 0), 1);
	pick_end(town_upstream(town, 0), &pick);
	town_run(town, STALE_MS);
	(void)town_pick(town, 1);
	assert_int_equal(others_as_heard(town, 1, 0), 0);
	town_free(town);
}

// ---- Missed -------------------------------------------------------------------------------------

// One worker sleeps while the others write more than a journal holds.
static void a_reader_that_slept_recovers(void **state)
{
	enum { backends = TOWN_BACKENDS_MAX, rounds = 3 * CROWD_JOURNAL_MAX / backends };
	struct town *town = town_of(1, 3, backends);
	struct pick picks[backends];
	u64 head;

	(void)state;
	for (u32 round = 0; round < rounds; round++) {
		for (u32 i = 0; i < backends; i++)
			assert_int_equal(town_begin(town, 0, &picks[i]), PICK_OK);
		town_run(town, CROWD_TELL_MS + 1); // up is told, and down, and up again
		for (u32 i = 0; i < backends && round < rounds - 1; i++)
			pick_end(town_upstream(town, 0), &picks[i]);
		town_run(town, CROWD_TELL_MS + 1);
	}
	head = atomic_load(&town->snapshot->slots->crowd.journals[0].head);
	assert_true(head > 2 * CROWD_JOURNAL_MAX);
	assert_int_equal(town_upstream(town, 2)->ear.read[0], 0);
	all_listen(town);
	assert_all_know(1, town);
	assert_int_equal(town_upstream(town, 2)->ear.read[0], head);
	for (u32 i = 0; i < backends; i++)
		pick_end(town_upstream(town, 0), &picks[i]);
	town_run(town, STALE_MS);
	all_listen(town);
	assert_all_know(1, town);
	town_free(town);
}

// More cells in one telling than go with one move of the head, and more than a journal holds.
static void a_telling_longer_than_the_journal(void **state)
{
	enum { backends = 2 * CROWD_JOURNAL_MAX };
	size_t room = backends * 48 + 256, at;
	char *text = mem_alloc(room);
	struct pick *picks = mem_alloc(sizeof(struct pick) * backends);
	struct town *town;

	(void)state;
	at = (size_t)snprintf(
		text, room, "{\"app\": {\"algorithm\": \"least_connections\", \"backends\": [");
	for (u32 i = 0; i < backends; i++)
		at += (size_t)snprintf(text + at, room - at, "%s\"10.1.%u.%u:80\"", i ? ", " : "",
			i / 250, 1 + i % 250);
	snprintf(text + at, room - at, "]}}");
	town = town_new(1, 2, text);
	for (u32 i = 0; i < backends; i++)
		assert_int_equal(town_begin(town, 0, &picks[i]), PICK_OK);
	town_run(town, STALE_MS);
	(void)town_pick(town, 1);
	for (u32 i = 0; i < backends; i++) // least connections: each has one
		assert_int_equal(others_as_heard(town, 1, i), 1);
	for (u32 i = 0; i < backends; i += 3)
		pick_end(town_upstream(town, 0), &picks[i]);
	town_run(town, STALE_MS);
	(void)town_pick(town, 1);
	assert_all_know(1, town);
	for (u32 i = 0; i < backends; i++)
		pick_end(town_upstream(town, 0), &picks[i]);
	town_free(town);
	mem_free(picks);
	mem_free(text);
}

// ---- What it is for -----------------------------------------------------------------------------

// A worker sends its requests where the others have none.
static void the_others_requests_count(void **state)
{
	struct town *town = town_of(1, 4, 4);
	struct pick picks[20], pick;

	(void)state;
	town_publish(town, 1 << 0 | 1 << 1 | 1 << 3);
	for (u32 i = 0; i < 18; i++)
		assert_int_equal(town_begin(town, i % 3, &picks[i]), PICK_OK);
	town_run(town, STALE_MS);
	town_publish(town, 15);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(town_begin(town, 3, &pick), PICK_OK);
		assert_int_equal(pick.backend->index, 2);
		pick_end(town_upstream(town, 3), &pick);
	}
	for (u32 i = 0; i < 18; i++)
		pick_end(town_upstream(town, i % 3), &picks[i]);
	town_free(town);
}

// Algorithms that do not look at requests in flight spare themselves all of it.
static void who_does_not_look_does_not_tell(void **state)
{
	char text[1024];
	struct town *town;

	(void)state;
	snprintf(text, sizeof(text), "{\"app\": {\"backends\": %s}}", town_backends(3, ""));
	town = town_new(1, 3, text);
	for (u32 i = 0; i < 30; i++)
		(void)town_pick(town, i % 3);
	town_run(town, 50);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(atomic_load(&town->snapshot->slots->crowd.journals[i].head), 0);
	town_free(town);
	town = town_of(1, 1, 3);
	assert_null(town->snapshot->slots->crowd.journals); // alone
	(void)town_pick(town, 0);
	town_free(town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_the_millisecond),
		cmocka_unit_test(one_worker),
		cmocka_unit_test(two_workers),
		cmocka_unit_test(four_workers),
		cmocka_unit_test(sixteen_workers),
		cmocka_unit_test(a_reader_that_slept_recovers),
		cmocka_unit_test(a_telling_longer_than_the_journal),
		cmocka_unit_test(the_others_requests_count),
		cmocka_unit_test(who_does_not_look_does_not_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
