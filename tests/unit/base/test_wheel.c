// SPDX-License-Identifier: Apache-2.0
// The wheel against a naive model: an array of deadlines that is searched from end to end. Every
// seed plays a life of setting, moving and cancelling, also from inside callbacks, with steps of
// the clock from nothing to days.
#include "base/wheel.h"

#include <inttypes.h>

#include "test.h"

enum { timers = 60 };

struct clockwork {
	struct timer timer;
	struct game *game;
	bool expected; // by the model: armed
	u64 deadline_ms;
	u32 fired;
};

struct game {
	u64 seed, now_ms, last_fired_ms;
	struct rng rng;
	struct wheel wheel;
	struct clockwork clockworks[timers];
	u32 fired;
	bool advancing;
};

static u64 some_span(struct rng *rng)
{
	switch (rng_below(rng, 8)) {
	case 0:
		return rng_below(rng, 3);
	case 1:
	case 2:
		return rng_below(rng, 100);
	case 3:
	case 4:
		return rng_below(rng, 6000);
	case 5:
		return rng_below(rng, 400000);
	case 6:
		return rng_below(rng, 20000000); // beyond the wheel's 4.6 hours
	default:
		return rng_below(rng, 64) * 64; // on the borders of slots
	}
}

static void set(struct game *game, struct clockwork *clockwork, u64 deadline_ms)
{
	wheel_set(&game->wheel, &clockwork->timer, deadline_ms);
	clockwork->expected = true;
	clockwork->deadline_ms = deadline_ms;
}

static void cancel(struct game *game, struct clockwork *clockwork)
{
	wheel_cancel(&game->wheel, &clockwork->timer);
	clockwork->expected = false;
}

static void fire(struct timer *timer)
{
	struct clockwork *clockwork = container_of(timer, struct clockwork, timer);
	struct game *game = clockwork->game;
	u64 now_ms = game->wheel.now_ms;

	SEEDED(game->seed, game->advancing);
	SEEDED(game->seed, clockwork->expected);
	SEEDED(game->seed, !timer_is_set(timer));
	// Never early; in order of the clock.
	SEEDED(game->seed, clockwork->deadline_ms <= now_ms);
	SEEDED(game->seed, now_ms >= game->last_fired_ms && now_ms <= game->now_ms);
	game->last_fired_ms = now_ms;
	clockwork->expected = false;
	clockwork->fired++;
	game->fired++;
	switch (rng_below(&game->rng, 6)) {
	case 0:
		set(game, clockwork, now_ms + some_span(&game->rng));
		break;
	case 1:
		set(game, &game->clockworks[rng_below(&game->rng, timers)],
			now_ms + some_span(&game->rng));
		break;
	case 2:
		cancel(game, &game->clockworks[rng_below(&game->rng, timers)]);
		break;
	default:
		break;
	}
}

static u64 model_next_ms(const struct game *game)
{
	u64 next = UINT64_MAX;

	for (u32 i = 0; i < timers; i++)
		if (game->clockworks[i].expected)
			next = MIN(next, game->clockworks[i].deadline_ms);
	return next;
}

static void check(struct game *game)
{
	u32 armed = 0;
	u64 wheel_next = wheel_next_ms(&game->wheel);

	for (u32 i = 0; i < timers; i++) {
		struct clockwork *clockwork = &game->clockworks[i];

		SEEDED(game->seed, timer_is_set(&clockwork->timer) == clockwork->expected);
		armed += clockwork->expected;
		// At most one tick late: what is left is in the future, or was set in the last
		// tick.
		SEEDED(game->seed,
			!clockwork->expected || clockwork->deadline_ms + 1 > game->wheel.now_ms);
	}
	SEEDED(game->seed, game->wheel.count == armed);
	SEEDED(game->seed, (wheel_next == UINT64_MAX) == (armed == 0));
	// It may wake early to re-sort, but not late.
	if (armed)
		SEEDED(game->seed, wheel_next <= MAX(model_next_ms(game), game->wheel.now_ms + 1));
}

static void play(struct game *game)
{
	for (u32 i = rng_below(&game->rng, 4); i > 0; i--) {
		struct clockwork *clockwork = &game->clockworks[rng_below(&game->rng, timers)];

		if (rng_one_in(&game->rng, 4))
			cancel(game, clockwork);
		else
			set(game, clockwork, game->now_ms + 1 + some_span(&game->rng));
	}
	check(game);
	if (rng_one_in(&game->rng, 3) && wheel_next_ms(&game->wheel) != UINT64_MAX)
		game->now_ms = MAX(game->now_ms, wheel_next_ms(&game->wheel));
	else
		game->now_ms += some_span(&game->rng);
	game->advancing = true;
	wheel_advance(&game->wheel, game->now_ms);
	game->advancing = false;
	SEEDED(game->seed, game->wheel.now_ms == game->now_ms);
	check(game);
}

static void wheel_equals_its_model(void **state)
{
	u64 fired = 0;

	(void)state;
	for (u64 seed = 1; seed <= 300; seed++) {
		struct game game = {.seed = seed};

		rng_init(&game.rng, seed);
		game.now_ms = seed % 4 ? rng_u64(&game.rng) >> 20 : 0;
		wheel_init(&game.wheel, game.now_ms);
		for (u32 i = 0; i < timers; i++) {
			game.clockworks[i].game = &game;
			timer_init(&game.clockworks[i].timer, fire);
		}
		for (u32 step = 0; step < 300; step++)
			play(&game);
		fired += game.fired;
	}
	assert_true(fired > 10000);
}

static u64 order[3];
static u32 order_count;

static void note_order(struct timer *timer)
{
	order[order_count++] = timer->deadline_ms;
}

static void fires_in_order_of_deadline(void **state)
{
	struct timer timer[3];
	struct wheel wheel;

	(void)state;
	wheel_init(&wheel, 1000);
	for (int i = 0; i < 3; i++)
		timer_init(&timer[i], note_order);
	wheel_set(&wheel, &timer[0], 9000);
	wheel_set(&wheel, &timer[1], 1001);
	wheel_set(&wheel, &timer[2], 1100);
	order_count = 0;
	wheel_advance(&wheel, 20000);
	assert_int_equal(order_count, 3);
	assert_int_equal(order[0], 1001);
	assert_int_equal(order[1], 1100);
	assert_int_equal(order[2], 9000);
	assert_true(wheel_next_ms(&wheel) == UINT64_MAX);
}

// Pushing a deadline back and back costs a store each, and the timer fires once, at the last.
static void later_deadlines_are_lazy(void **state)
{
	struct timer timer;
	struct wheel wheel;
	struct list *slot;

	(void)state;
	wheel_init(&wheel, 0);
	timer_init(&timer, note_order);
	order_count = 0;
	wheel_set(&wheel, &timer, 10);
	slot = timer.node.next;
	for (u64 now = 0; now < 1000; now++) {
		wheel_advance(&wheel, now);
		wheel_set(&wheel, &timer, now + 10);
		if (now < 9)
			assert_ptr_equal(timer.node.next, slot);
		assert_int_equal(order_count, 0);
	}
	wheel_advance(&wheel, 1008);
	assert_int_equal(order_count, 0);
	wheel_advance(&wheel, 1009);
	assert_int_equal(order_count, 1);
}

static void past_deadlines_fire_at_the_next_tick(void **state)
{
	struct timer timer;
	struct wheel wheel;

	(void)state;
	wheel_init(&wheel, 5000);
	timer_init(&timer, note_order);
	order_count = 0;
	wheel_set(&wheel, &timer, 100);
	wheel_advance(&wheel, 5000);
	assert_int_equal(order_count, 0);
	wheel_advance(&wheel, 5001);
	assert_int_equal(order_count, 1);
	wheel_cancel(&wheel, &timer); // of an idle timer: nothing
	assert_int_equal(wheel.count, 0);
}

// Every 4.6 hours all digits of the clock that the wheel knows turn over at once; a deadline just
// beyond must not be taken for one far away.
static void short_spans_cross_the_top_of_the_wheel(void **state)
{
	const u64 top_ms = 1ull << 24;

	(void)state;
	for (u64 span_ms = 1; span_ms < top_ms; span_ms = span_ms * 3 + 1) {
		struct timer timer;
		struct wheel wheel;
		u64 start_ms = 5 * top_ms - (span_ms + 1) / 2;

		wheel_init(&wheel, start_ms);
		timer_init(&timer, note_order);
		order_count = 0;
		wheel_set(&wheel, &timer, start_ms + span_ms);
		wheel_advance(&wheel, start_ms + span_ms - 1);
		assert_int_equal(order_count, 0);
		wheel_advance(&wheel, start_ms + span_ms);
		assert_int_equal(order_count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wheel_equals_its_model),
		cmocka_unit_test(fires_in_order_of_deadline),
		cmocka_unit_test(later_deadlines_are_lazy),
		cmocka_unit_test(short_spans_cross_the_top_of_the_wheel),
		cmocka_unit_test(past_deadlines_fire_at_the_next_tick),
	};

	return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
