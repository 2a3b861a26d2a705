// SPDX-License-Identifier: Apache-2.0
// Which backend is next: the four verdicts, who is full and for how long, trials, and what attempts
// teach.
#include "town.h"

#include <stdio.h>

static const struct balance_tried none;

// A bound of two requests at each backend, over all workers.
#define TWO_EACH                                                                             \
	"\"limits\": {\"adaptive\": {\"enabled\": true, \"min\": 2, \"max\": 2, \"start\": " \
	"2}}, "

static struct town *town_of(u32 workers, u32 backends, const char *pool)
{
	char text[8192];

	snprintf(text, sizeof(text), "{\"app\": {%s\"backends\": %s}}", pool,
		town_backends(backends, ""));
	return town_new(1, workers, text);
}

static enum pick_verdict pick_with(struct town *town, u32 worker, const struct balance_tried *tried,
	u32 preferred, struct pick *ret_pick)
{
	struct pick_ask ask = {.tried = tried, .preferred = preferred};

	return pick_backend(town_upstream(town, worker), town->pool, &ask, ret_pick);
}

static void end_all(struct town *town, u32 worker, struct pick *picks, u32 count)
{
	for (u32 i = 0; i < count; i++)
		pick_end(town_upstream(town, worker), &picks[i]);
}

// ---- Verdicts -----------------------------------------------------------------------------------

static void another_backend_than_those_tried(void **state)
{
	struct town *town = town_of(1, 3, "");
	struct balance_tried tried = {0};
	struct pick pick;

	(void)state;
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(pick_with(town, 0, &tried, BALANCE_NONE, &pick), PICK_OK);
		assert_false(balance_was_tried(&tried, pick.backend->index));
		assert_int_equal(pick_others(town->pool, &tried), 3 - i);
		assert_true(balance_try(&tried, pick.backend->index));
		pick_cancel(town_upstream(town, 0), &pick);
	}
	assert_int_equal(pick_others(town->pool, &tried), 0);
	assert_int_equal(pick_with(town, 0, &tried, BALANCE_NONE, &pick), PICK_TRIED);
	town_free(town);
}

static void those_that_are_out_are_not_others(void **state)
{
	struct town *town = town_of(1, 3, "");
	struct balance_tried tried = {.count = 1, .index = {1}};
	struct pick pick;

	(void)state;
	town_publish(town, 1 << 1 | 1 << 2);
	assert_int_equal(pick_others(town->pool, &tried), 1);
	town_publish(town, 1 << 1);
	assert_int_equal(pick_others(town->pool, &tried), 0);
	assert_int_equal(pick_with(town, 0, &tried, BALANCE_NONE, &pick), PICK_TRIED);
	town_publish(town, 1 << 2); // what was tried is out: it does not count twice
	assert_int_equal(pick_others(town->pool, &tried), 1);
	town_free(town);
}

static void nobody(void **state)
{
	struct town *town = town_of(2, 2, "");
	struct pick pick;

	(void)state;
	town_publish(town, 0);
	assert_int_equal(town_begin(town, 0, &pick), PICK_NOBODY);
	assert_int_equal(town_begin(town, 1, &pick), PICK_NOBODY);
	town_free(town);
}

static void the_preferred_one_if_it_can(void **state)
{
	struct town *town = town_of(1, 3, TWO_EACH);
	struct balance_tried tried = {.count = 1, .index = {2}};
	struct pick held[2], pick;

	(void)state;
	for (u32 i = 0; i < 2; i++) {
		assert_int_equal(pick_with(town, 0, &none, 2, &held[i]), PICK_OK);
		assert_int_equal(held[i].backend->index, 2);
		pick_begin(town_upstream(town, 0), &held[i]);
	}
	assert_int_equal(pick_with(town, 0, &none, 2, &pick), PICK_OK); // it is full
	assert_int_not_equal(pick.backend->index, 2);
	pick_cancel(town_upstream(town, 0), &pick);
	end_all(town, 0, held, 2);
	assert_int_equal(pick_with(town, 0, &tried, 2, &pick), PICK_OK);
	assert_int_not_equal(pick.backend->index, 2);
	pick_cancel(town_upstream(town, 0), &pick);
	town_publish(town, 1 << 0);
	assert_int_equal(pick_with(town, 0, &none, 2, &pick), PICK_OK);
	assert_int_equal(pick.backend->index, 0);
	pick_cancel(town_upstream(town, 0), &pick);
	assert_int_equal(pick_with(town, 0, &none, 7, &pick), PICK_OK); // no such backend
	pick_cancel(town_upstream(town, 0), &pick);
	town_free(town);
}

// ---- Full ---------------------------------------------------------------------------------------

static void full_until_there_is_a_place(void **state)
{
	struct town *town = town_of(1, 2, TWO_EACH);
	struct pick picks[4], pick;

	(void)state;
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(town_begin(town, 0, &picks[i]), PICK_OK);
	assert_int_equal(town_begin(town, 0, &pick), PICK_FULL);
	assert_int_equal(town_begin(town, 0, &pick), PICK_FULL);
	pick_end(town_upstream(town, 0), &picks[2]);
	assert_int_equal(town_begin(town, 0, &picks[2]), PICK_OK);
	assert_int_equal(town_begin(town, 0, &pick), PICK_FULL);
	end_all(town, 0, picks, 4);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(cap_used(&town->pool->backends[i].adaptive->requests), 0);
	town_free(town);
}

static void a_place_that_another_worker_frees(void **state)
{
	struct town *town = town_of(3, 2, TWO_EACH);
	struct pick picks[4], pick;

	(void)state;
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(town_begin(town, i % 2, &picks[i]), PICK_OK);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(town_begin(town, i, &pick), PICK_FULL);
	pick_end(town_upstream(town, 1), &picks[3]);
	assert_int_equal(town_begin(town, 2, &picks[3]), PICK_OK);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(town_begin(town, i, &pick), PICK_FULL);
	pick_end(town_upstream(town, 2), &picks[3]);
	for (u32 i = 0; i < 3; i++)
		pick_end(town_upstream(town, i % 2), &picks[i]);
	town_free(town);
}

// The full ones are looked at in turn, a few at each pick, and all of them when nobody else is
// left.
static void one_place_among_many_full_ones(void **state)
{
	enum { backends = 30 };
	struct town *town = town_of(2, backends, TWO_EACH);
	struct pick picks[2 * backends], pick;
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (u32 i = 0; i < 2 * backends; i++)
		assert_int_equal(town_begin(town, 0, &picks[i]), PICK_OK);
	assert_int_equal(town_begin(town, 0, &pick), PICK_FULL);
	assert_int_equal(town_begin(town, 1, &pick), PICK_FULL);
	for (u32 round = 0; round < 100; round++) {
		struct pick *one = &picks[rng_below(&rng, 2 * backends)];
		struct backend *freed = one->backend;

		pick_end(town_upstream(town, 0), one);
		assert_int_equal(town_begin(town, 1, &pick), PICK_OK);
		assert_ptr_equal(pick.backend, freed);
		pick_end(town_upstream(town, 1), &pick);
		assert_int_equal(town_begin(town, 0, one), PICK_OK);
		assert_ptr_equal(one->backend, freed);
	}
	end_all(town, 0, picks, 2 * backends);
	town_free(town);
}

// With room elsewhere a full one comes back within as many picks as there are full ones.
static void a_full_one_comes_back_among_others(void **state)
{
	enum { backends = 12 };
	struct town *town = town_of(1, backends, TWO_EACH);
	struct pick held[2 * (backends - 1)];
	bool seen = false;

	(void)state;
	for (u32 i = 0; i < backends - 1; i++)
		for (u32 k = 0; k < 2; k++) {
			struct pick *one = &held[2 * i + k];

			assert_int_equal(pick_with(town, 0, &none, i, one), PICK_OK);
			assert_int_equal(one->backend->index, i);
			pick_begin(town_upstream(town, 0), one);
		}
	for (u32 i = 0; i < 40; i++)
		assert_int_equal(town_pick(town, 0), backends - 1);
	pick_end(town_upstream(town, 0), &held[0]);
	for (u32 i = 0; i < 3 * backends && !seen; i++)
		seen = town_pick(town, 0) == 0;
	assert_true(seen);
	end_all(town, 0, held + 1, 2 * (backends - 1) - 1);
	town_free(town);
}

static void one_that_is_out_is_not_waited_for(void **state)
{
	struct town *town = town_of(1, 2, TWO_EACH);
	struct pick picks[4], pick;

	(void)state;
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(town_begin(town, 0, &picks[i]), PICK_OK);
	assert_int_equal(town_begin(town, 0, &pick), PICK_FULL);
	town_publish(town, 1 << 1);
	assert_int_equal(town_begin(town, 0, &pick), PICK_FULL); // the other one is
	town_publish(town, 0);
	assert_int_equal(town_begin(town, 0, &pick), PICK_NOBODY);
	town_publish(town, 1 << 0);
	end_all(town, 0, picks, 4);
	assert_int_equal(town_pick(town, 0), 0);
	town_free(town);
}

// A place at a backend that was tried already is no use to who asks for another.
static void one_that_was_tried_is_not_waited_for(void **state)
{
	struct town *town = town_of(1, 2, TWO_EACH);
	struct balance_tried tried = {.count = 1, .index = {0}};
	struct pick held[2], pick;

	(void)state;
	for (u32 i = 0; i < 2; i++) {
		assert_int_equal(pick_with(town, 0, &none, 0, &held[i]), PICK_OK);
		assert_int_equal(held[i].backend->index, 0);
		pick_begin(town_upstream(town, 0), &held[i]);
	}
	picker_mark_full(town_picker(town, 0), &town->pool->backends[0]);
	town_publish(town, 1 << 0);
	assert_int_equal(pick_with(town, 0, &none, BALANCE_NONE, &pick), PICK_FULL);
	assert_int_equal(pick_with(town, 0, &tried, BALANCE_NONE, &pick), PICK_TRIED);
	end_all(town, 0, held, 2);
	town_free(town);
}

// The bound holds at every moment, whoever picks; everything comes back in the end.
static void the_bound_holds_over_all_workers(void **state)
{
	enum { workers = 4, backends = 3, most = 64 };
	struct town *town = town_of(workers, backends, TWO_EACH);
	struct {
		struct pick pick;
		u32 worker;
	} held[most];
	u32 count = 0, full = 0;
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (u32 i = 0; i < 20000; i++) {
		if (rng_one_in(&rng, 2)) {
			u32 worker = rng_below(&rng, workers);
			enum pick_verdict verdict;

			assert_true(count < most);
			verdict = town_begin(town, worker, &held[count].pick);
			held[count].worker = worker;
			assert_int_equal(verdict, count < 2 * backends ? PICK_OK : PICK_FULL);
			count += verdict == PICK_OK;
			full += verdict == PICK_FULL;
		} else if (count) {
			u32 at = rng_below(&rng, count);

			pick_end(town_upstream(town, held[at].worker), &held[at].pick);
			held[at] = held[--count];
		}
		for (u32 k = 0; k < backends; k++)
			assert_true(cap_used(&town->pool->backends[k].adaptive->requests) <= 2);
	}
	assert_true(full > 100);
	while (count--)
		pick_end(town_upstream(town, held[count].worker), &held[count].pick);
	for (u32 k = 0; k < backends; k++)
		assert_int_equal(cap_used(&town->pool->backends[k].adaptive->requests), 0);
	town_free(town);
}

// ---- The adaptive limit -------------------------------------------------------------------------

static void the_limit_grows_while_answers_are_fast(void **state)
{
	struct town *town = town_of(2, 1,
		"\"limits\": {\"adaptive\": {\"enabled\": true, \"min\": 1, \"max\": 40, "
		"\"start\": 2}}, ");
	struct adaptive *adaptive = town->pool->backends[0].adaptive;
	struct pick picks[40], pick;
	u32 count = 0;

	(void)state;
	for (u32 round = 0; round < 400; round++) {
		while (count < ARRAY_LEN(picks) &&
			town_begin(town, count % 2, &picks[count]) == PICK_OK)
			count++;
		assert_true(count <= adaptive->limit);
		assert_int_equal(cap_used(&adaptive->requests), count);
		for (u32 i = 0; i < count; i++)
			pick_note_latency(town_upstream(town, i % 2), &picks[i], 1000);
		for (u32 i = 0; i < count; i++)
			pick_end(town_upstream(town, i % 2), &picks[i]);
		count = 0;
	}
	assert_int_equal(adaptive->limit, 40);
	// Ten times slower: it shrinks, and what runs may be more than that for a while.
	for (u32 i = 0; i < 40; i++)
		assert_int_equal(town_begin(town, 0, &picks[i]), PICK_OK);
	for (u32 i = 0; i < 40; i++)
		pick_note_latency(town_upstream(town, 0), &picks[i], 10 * 1000);
	assert_true(adaptive->limit < 10);
	assert_int_equal(town_begin(town, 1, &pick), PICK_FULL);
	end_all(town, 0, picks, 40);
	assert_int_equal(cap_used(&adaptive->requests), 0);
	town_free(town);
}

// ---- Trials -------------------------------------------------------------------------------------

static void as_many_trials_as_were_issued(void **state)
{
	struct town *town = town_of(3, 1, "");
	struct backend *backend = &town->pool->backends[0];
	struct pick picks[3], pick;

	(void)state;
	town_set_why(town, 0, ELIGIBLE_TRIAL);
	assert_int_equal(town_begin(town, 0, &pick), PICK_NOBODY); // none was issued
	atomic_store(&backend->trials, 3);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(town_begin(town, i, &picks[i]), PICK_OK);
		assert_true(picks[i].is_trial);
	}
	// Nobody waits for a trial.
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(town_begin(town, i, &pick), PICK_NOBODY);
	pick_note(town_upstream(town, 0), &picks[0], MISS_NONE);
	pick_note(town_upstream(town, 1), &picks[1], MISS_STATUS);
	pick_note(town_upstream(town, 1), &picks[1], MISS_NONE); // only the first counts
	for (u32 i = 0; i < 3; i++)
		pick_end(town_upstream(town, i), &picks[i]);
	for (u32 i = 0; i < 3; i++) {
		const struct cell *cell = upstream_cell(town_upstream(town, i), backend);

		assert_int_equal(cell->trials_good, i == 0);
		assert_int_equal(cell->trials_bad, i == 1);
		assert_int_equal(cell->trials_void, i == 2); // it taught nothing
		assert_int_equal(cell->good + cell->bad, 0);
		assert_int_equal(town_begin(town, i, &pick), PICK_NOBODY);
	}
	town_run(town, 1);
	assert_int_equal(town->looks, 3); // each end of a trial was told
	town_free(town);
}

static void the_others_take_what_is_no_trial(void **state)
{
	struct town *town = town_of(2, 3, "");
	u32 counts[3] = {0};

	(void)state;
	town_set_why(town, 1, ELIGIBLE_TRIAL);
	atomic_store(&town->pool->backends[1].trials, 4);
	for (u32 i = 0; i < 90; i++)
		counts[town_pick(town, i % 2)]++;
	assert_int_equal(counts[1], 4);
	assert_true(counts[0] > 30 && counts[2] > 30);
	town_set_why(town, 1, ELIGIBLE_OK);
	for (u32 i = 0; i < 90; i++)
		counts[town_pick(town, i % 2)]++;
	assert_true(counts[1] > 25);
	town_free(town);
}

static void a_trial_that_did_not_begin_is_told(void **state)
{
	struct town *town = town_of(1, 1, "");
	struct backend *backend = &town->pool->backends[0];
	struct pick pick;

	(void)state;
	town_set_why(town, 0, ELIGIBLE_TRIAL);
	atomic_store(&backend->trials, 1);
	assert_int_equal(pick_with(town, 0, &none, BALANCE_NONE, &pick), PICK_OK);
	pick_cancel(town_upstream(town, 0), &pick);
	assert_int_equal(upstream_cell(town_upstream(town, 0), backend)->trials_void, 1);
	assert_int_equal(atomic_load(&backend->trials), 0); // it is the control thread's to issue
	town_run(town, 1);
	assert_int_equal(town->looks, 1);
	town_free(town);
}

// A trial of a state of the breaker that is over says nothing about the present one.
static void a_trial_of_another_time(void **state)
{
	struct town *town = town_of(1, 1, "");
	struct backend *backend = &town->pool->backends[0];
	const struct cell *cell = upstream_cell(town_upstream(town, 0), backend);
	struct pick pick;

	(void)state;
	town_set_why(town, 0, ELIGIBLE_TRIAL);
	atomic_store(&backend->trials, 1);
	assert_int_equal(town_begin(town, 0, &pick), PICK_OK);
	atomic_fetch_add(&backend->epoch, 1);
	town_set_why(town, 0, ELIGIBLE_OK);
	pick_note(town_upstream(town, 0), &pick, MISS_RESET);
	pick_end(town_upstream(town, 0), &pick);
	assert_int_equal(cell->trials_bad + cell->trials_void + cell->bad + cell->good, 0);
	town_free(town);
}

static void trials_at_random(void **state)
{
	enum { workers = 4, most = 256 };
	struct town *town = town_of(workers, 2, TWO_EACH);
	struct backend *backend = &town->pool->backends[1];
	u32 issued = 0, taken = 0, told = 0;
	struct rng rng;

	(void)state;
	rng_init(&rng, 3);
	town_set_why(town, 0, ELIGIBLE_EJECTED);
	town_set_why(town, 1, ELIGIBLE_TRIAL);
	for (u32 i = 0; i < 20000; i++) {
		u32 worker = rng_below(&rng, workers);
		struct pick pick;

		if (rng_one_in(&rng, 8)) {
			u32 more = rng_below(&rng, 3);

			atomic_fetch_add(&backend->trials, more);
			issued += more;
		}
		if (town_begin(town, worker, &pick) != PICK_OK)
			continue;
		assert_true(pick.is_trial);
		assert_true(++taken <= issued);
		pick_note(town_upstream(town, worker), &pick, rng_below(&rng, PICK_VOID + 1));
		pick_end(town_upstream(town, worker), &pick);
	}
	assert_int_equal(taken + atomic_load(&backend->trials), issued);
	for (u32 i = 0; i < workers; i++) {
		const struct cell *cell = upstream_cell(town_upstream(town, i), backend);

		told += cell->trials_good + cell->trials_bad + cell->trials_void;
	}
	assert_int_equal(told, taken);
	town_free(town);
}

// ---- What attempts teach ------------------------------------------------------------------------

static void miss(struct town *town, u32 worker, u32 what)
{
	struct pick pick;

	assert_int_equal(town_begin(town, worker, &pick), PICK_OK);
	pick_note(town_upstream(town, worker), &pick, what);
	pick_end(town_upstream(town, worker), &pick);
}

static void a_streak_is_told_once_it_is_complete(void **state)
{
	struct town *town = town_of(2, 1,
		"\"outliers\": {\"connect_failures\": 3}, "
		"\"circuit_breaker\": {\"failure_threshold\": 4}, ");
	const struct cell *cell = upstream_cell(town_upstream(town, 0), &town->pool->backends[0]);

	(void)state;
	for (u32 i = 0; i < 2; i++)
		miss(town, 0, MISS_CONNECT);
	miss(town, 1, MISS_CONNECT); // another worker's streak is its own
	town_run(town, 1);
	assert_int_equal(town->ejections, 0);
	miss(town, 0, MISS_CONNECT);
	town_run(town, 1);
	assert_int_equal(town->ejections, 1);
	assert_int_equal(town->looks, 0);
	miss(town, 0, MISS_CONNECT);
	town_run(town, 1);
	assert_int_equal(town->looks, 1);
	assert_int_equal(cell->bad, 4);
	assert_int_equal(cell->bad_streak, 4);
	miss(town, 0, PICK_VOID);
	assert_int_equal(cell->bad_streak, 4);
	miss(town, 0, MISS_NONE);
	assert_int_equal(cell->bad_streak, 0);
	assert_int_equal(cell->good, 1);
	assert_int_equal(cell->in_flight, 0);
	town_free(town);
}

static void what_began_before_the_breaker_moved_does_not_count(void **state)
{
	struct town *town = town_of(1, 1, "");
	struct backend *backend = &town->pool->backends[0];
	const struct cell *cell = upstream_cell(town_upstream(town, 0), backend);
	struct pick picks[2];

	(void)state;
	assert_int_equal(town_begin(town, 0, &picks[0]), PICK_OK);
	assert_int_equal(town_begin(town, 0, &picks[1]), PICK_OK);
	atomic_fetch_add(&backend->epoch, 1);
	pick_note(town_upstream(town, 0), &picks[0], MISS_STATUS);
	pick_note(town_upstream(town, 0), &picks[1], MISS_NONE);
	assert_int_equal(cell->bad + cell->good + cell->bad_streak, 0);
	end_all(town, 0, picks, 2);
	town_free(town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_backend_than_those_tried),
		cmocka_unit_test(those_that_are_out_are_not_others),
		cmocka_unit_test(nobody),
		cmocka_unit_test(the_preferred_one_if_it_can),
		cmocka_unit_test(full_until_there_is_a_place),
		cmocka_unit_test(a_place_that_another_worker_frees),
		cmocka_unit_test(one_place_among_many_full_ones),
		cmocka_unit_test(a_full_one_comes_back_among_others),
		cmocka_unit_test(one_that_is_out_is_not_waited_for),
		cmocka_unit_test(one_that_was_tried_is_not_waited_for),
		cmocka_unit_test(the_bound_holds_over_all_workers),
		cmocka_unit_test(the_limit_grows_while_answers_are_fast),
		cmocka_unit_test(as_many_trials_as_were_issued),
		cmocka_unit_test(the_others_take_what_is_no_trial),
		cmocka_unit_test(a_trial_that_did_not_begin_is_told),
		cmocka_unit_test(a_trial_of_another_time),
		cmocka_unit_test(trials_at_random),
		cmocka_unit_test(a_streak_is_told_once_it_is_complete),
		cmocka_unit_test(what_began_before_the_breaker_moved_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
