// SPDX-License-Identifier: Apache-2.0
// The same with threads: workers on loops of their own hand places to each other while a control
// thread takes backends away and gives them back. A wake-up that is lost leaves somebody waiting
// for ever, which is how this finds it; the thread sanitizer (make tsan) finds what is not ordered.
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "guest.h"

enum {
	workers = 4,
	backends = 3,
	guests_each = 5,
	hang_s = 60,	     // since anybody was served: far beyond any machine's slowness
	publish_ns = 200000, // between two changes
};

struct crew {
	struct town *town;
	bool steered; // by a control thread
	bool moody;   // guests stay for a while, want other backends, and go away
	u32 round_count;
	_Atomic(u32) ready;  // workers that have started, then those that have come to rest
	_Atomic(u32) rounds; // that workers have finished, over all of them
	_Atomic(bool) hung;
};

struct hand { // one worker's thread
	struct crew *crew;
	u32 number;
	pthread_t thread;
	struct rng rng;
	struct guest guests[guests_each];
};

static u64 now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec;
}

static void send_in(struct hand *hand, struct guest *guest)
{
	bool moody = hand->crew->moody;

	guest->tried.count = 0;
	guest->dawdles = rng_one_in(&hand->rng, 4);
	if (moody && rng_one_in(&hand->rng, 5))
		guest->tried = (struct balance_tried){1, {rng_below(&hand->rng, backends)}};
	guest->is_brief = !moody || !rng_one_in(&hand->rng, 20);
	guest->hold_ms = 1;
	guest_come(guest);
}

// Half of the guests go away before they are served, now and then.
static bool are_over(struct hand *hand)
{
	bool over = true;

	for (u32 i = 0; i < guests_each; i++) {
		struct guest *guest = &hand->guests[i];

		if (hand->crew->moody && guest->state == GUEST_QUEUES && i % 2 &&
			rng_one_in(&hand->rng, 50))
			guest_leave(guest);
		over &= guest_is_over(guest);
	}
	return over;
}

static void nudge_all(struct town *town)
{
	for (u32 i = 0; i < workers; i++)
		upstream_nudge(town_upstream(town, i));
}

// Until `count` rounds are over, as far as they can be in this worker.
static void turn_until(struct hand *hand, u32 count)
{
	struct loop *loop = hand->crew->town->workers[hand->number].loop;
	u64 since_s = now_s();

	while (hand->crew->rounds < count && !hand->crew->hung) {
		loop_turn(loop, loop_now_ms(loop) + 20);
		if (now_s() > since_s + hang_s)
			hand->crew->hung = true;
	}
}

static void play(struct hand *hand, u32 round)
{
	struct crew *crew = hand->crew;
	struct loop *loop = crew->town->workers[hand->number].loop;
	u64 since_s = now_s();

	for (u32 i = 0; i < guests_each; i++) {
		send_in(hand, &hand->guests[i]);
		if (rng_one_in(&hand->rng, 2)) // else together
			loop_turn(loop, 0);
	}
	while (!are_over(hand) && !crew->hung) {
		loop_turn(loop, loop_now_ms(loop) + 20);
		if (now_s() > since_s + hang_s)
			crew->hung = true;
	}
	// The last one wakes the others for the next round.
	if (atomic_fetch_add(&crew->rounds, 1) + 1 == workers * (round + 1))
		nudge_all(crew->town);
	turn_until(hand, workers * (round + 1));
}

static void settle(struct loop *loop, u64 ms)
{
	u64 until_ms = loop_now_ms(loop) + ms;

	while (loop_now_ms(loop) < until_ms)
		loop_turn(loop, until_ms);
}

static void ignore(struct upstream *upstream, struct backend *backend)
{
	(void)upstream;
	(void)backend;
}

static void *run(void *data)
{
	struct hand *hand = data;
	struct crew *crew = hand->crew;
	struct town *town = crew->town;
	struct loop_limits limits = {16, 64};
	struct loop *loop = NULL;
	const char *why;

	if (loop_new(LOOP_EPOLL, &limits, &loop, &why) != 0)
		return NULL;
	town_start_worker(town, hand->number, loop);
	for (u32 i = 0; i < guests_each; i++) {
		guest_init(&hand->guests[i], town, hand->number);
		hand->guests[i].dry = true;
	}
	atomic_fetch_add(&crew->ready, 1);
	while (crew->ready < workers)
		loop_turn(loop, loop_now_ms(loop) + 1);
	for (u32 i = 0; i < crew->round_count && !crew->hung; i++)
		play(hand, i);
	if (crew->hung)
		return NULL; // it stays as it is
	// The last changes are told, and read.
	settle(loop, 2 * CROWD_TELL_MS);
	atomic_fetch_add(&crew->ready, 1);
	while (crew->ready < 2 * workers + 1)
		settle(loop, 1);
	settle(loop, CROWD_HEAR_MS);
	picker_sync(town_picker(town, hand->number));
	crowd_hear(town_upstream(town, hand->number), ignore);
	return loop;
}

static void pause_ns(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

// The control thread: one of the backends is in at any time.
static void steer(struct crew *crew)
{
	struct town *town = crew->town;
	struct rng rng;

	rng_init(&rng, 1);
	while (crew->ready < workers)
		pause_ns(publish_ns);
	while (crew->rounds < crew->round_count * workers && !crew->hung) {
		if (crew->steered) {
			town_publish(town, 1 + rng_below(&rng, (1 << backends) - 1));
			nudge_all(town);
			(void)view_collect(town->pool);
		}
		pause_ns(publish_ns);
	}
	if (crew->steered)
		town_publish(town, (1 << backends) - 1);
	atomic_fetch_add(&crew->ready, 1);
}

static void check(struct crew *crew)
{
	struct town *town = crew->town;

	assert_false(town->was_exceeded);
	assert_int_equal(queue_waiting(town->pool), 0);
	assert_int_equal(atomic_load(&town->pool->choosy), 0);
	for (u32 k = 0; k < backends; k++) {
		const struct backend *backend = &town->pool->backends[k];

		assert_int_equal(cap_used(&backend->adaptive->requests), 0);
		for (u32 i = 0; i < workers; i++) {
			struct upstream *upstream = town_upstream(town, i);

			assert_int_equal(upstream_cell(upstream, backend)->in_flight, 0);
			// Told only where an algorithm looks at it.
			assert_int_equal(upstream->ear.in_flight[backend->cell], 0);
		}
	}
	assert_true(view_collect(town->pool));
}

static void live(struct crew crew, const char *algorithm, u32 places)
{
	char text[2048];
	struct hand hands[workers] = {0};
	void *loops[workers];

	snprintf(text, sizeof(text),
		"{\"app\": {\"algorithm\": \"%s\", \"limits\": {\"adaptive\": {\"enabled\": true, "
		"\"min\": %u, \"max\": %u, \"start\": %u}}, \"backends\": %s}}",
		algorithm, places, places, places, town_backends(backends, ""));
	crew.town = town_new_bare(1, workers, text);
	for (u32 i = 0; i < workers; i++) {
		hands[i].crew = &crew;
		hands[i].number = i;
		rng_init(&hands[i].rng, 100 + i);
		assert_int_equal(pthread_create(&hands[i].thread, NULL, run, &hands[i]), 0);
	}
	steer(&crew);
	for (u32 i = 0; i < workers; i++)
		pthread_join(hands[i].thread, &loops[i]);
	if (crew.hung)
		fail_msg("%u wait, and nobody is served", queue_waiting(crew.town->pool));
	check(&crew);
	for (u32 i = 0; i < workers; i++) {
		assert_non_null(loops[i]);
		upstream_done(town_upstream(crew.town, i));
	}
	for (u32 i = 0; i < workers; i++)
		loop_free(loops[i]);
	town_free_bare(crew.town);
}

static void places_change_hands(void **state)
{
	(void)state;
	live((struct crew){.round_count = 10000}, "round_robin", 1);
}

static void places_and_what_others_have_in_flight(void **state)
{
	(void)state;
	live((struct crew){.round_count = 1000, .moody = true}, "least_connections", 2);
}

static void places_while_backends_come_and_go(void **state)
{
	(void)state;
	live((struct crew){.round_count = 1000, .moody = true, .steered = true}, "round_robin", 2);
	live((struct crew){.round_count = 1000, .moody = true, .steered = true},
		"least_connections", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_change_hands),
		cmocka_unit_test(places_and_what_others_have_in_flight),
		cmocka_unit_test(places_while_backends_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
