// SPDX-License-Identifier: Apache-2.0
// The first time is said at once, the rest once a second as a number, and nothing is lost. In
// virtual time.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "loop/loop_sim.h"
#include "proxy/hush.h"

struct scene {
	struct sim_net *net;
	struct loop *loop;
	struct hush hush;
	u64 start_ms;
	u64 news, reports, reported; // said at once | by count | the sum of those counts
	u64 last_times, last_ms;
};

static u64 since_start_ms(const struct scene *scene)
{
	return loop_now_ms(scene->loop) - scene->start_ms;
}

static void say(struct hush *hush, u64 times)
{
	struct scene *scene = container_of(hush, struct scene, hush);

	assert_true(times > 0);
	scene->reports++;
	scene->reported += times;
	scene->last_times = times;
	scene->last_ms = since_start_ms(scene);
}

static int set_up(void **state)
{
	static struct scene scene;
	static const struct loop_limits limits = {4, 4};
	struct sim_config calm = sim_config_calm();

	scene = (struct scene){.net = sim_net_new(1, &calm)};
	scene.loop = sim_loop_new(scene.net, &limits);
	scene.start_ms = loop_now_ms(scene.loop);
	hush_init(&scene.hush, scene.loop, say);
	*state = &scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	hush_done(&scene->hush);
	loop_free(scene->loop);
	sim_net_free(scene->net);
	return 0;
}

static void happen(struct scene *scene, u32 times)
{
	for (u32 i = 0; i < times; i++)
		scene->news += hush_is_news(&scene->hush);
}

static void run_until_ms(struct scene *scene, u64 at_ms)
{
	while (since_start_ms(scene) < at_ms)
		loop_turn(scene->loop, scene->start_ms + at_ms);
}

static void test_once(void **state)
{
	struct scene *scene = *state;

	happen(scene, 1);
	assert_int_equal(scene->news, 1);
	assert_int_equal(scene->loop->wheel.count, 1);
	run_until_ms(scene, 1500);
	assert_int_equal(scene->reports, 0);
	assert_int_equal(scene->loop->wheel.count, 0);
	happen(scene, 1);
	assert_int_equal(scene->news, 2);
}

static void test_a_burst(void **state)
{
	struct scene *scene = *state;

	happen(scene, 1235);
	assert_int_equal(scene->news, 1);
	run_until_ms(scene, 999);
	assert_int_equal(scene->reports, 0);
	run_until_ms(scene, 1100);
	assert_int_equal(scene->reports, 1);
	assert_int_equal(scene->last_times, 1234);
	assert_in_range(scene->last_ms, 1000, 1001);
}

static void test_after_a_report_comes_another_second(void **state)
{
	struct scene *scene = *state;

	happen(scene, 2);
	run_until_ms(scene, 1500);
	happen(scene, 3);
	assert_int_equal(scene->news, 1);
	assert_int_equal(scene->reports, 1);
	run_until_ms(scene, 2100);
	assert_int_equal(scene->reports, 2);
	assert_int_equal(scene->last_times, 3);
	assert_in_range(scene->last_ms, 2000, 2002);
	run_until_ms(scene, 3100); // a second of silence, about which nothing is said
	assert_int_equal(scene->reports, 2);
	assert_int_equal(scene->loop->wheel.count, 0);
	happen(scene, 1);
	assert_int_equal(scene->news, 2);
}

static void test_done_tells_the_rest(void **state)
{
	struct scene *scene = *state;

	happen(scene, 8);
	hush_done(&scene->hush);
	assert_int_equal(scene->last_times, 7);
	assert_int_equal(scene->loop->wheel.count, 0);
	hush_done(&scene->hush);
	assert_int_equal(scene->reports, 1);
	happen(scene, 1);
	assert_int_equal(scene->news, 2);
	hush_done(&scene->hush);
	assert_int_equal(scene->reports, 1);
	assert_int_equal(scene->loop->wheel.count, 0);
}

// However it comes: all is told, in at most one line a second and the one that came first.
static void test_nothing_is_lost(void **state)
{
	struct scene *scene = *state;
	struct rng rng;
	u64 happened = 0, at_ms = 0;

	rng_init(&rng, 7);
	for (u32 i = 0; i < 2000; i++) {
		u32 times = rng_below(&rng, 20);

		happen(scene, times);
		happened += times;
		at_ms += rng_one_in(&rng, 10) ? rng_below(&rng, 4000) : rng_below(&rng, 40);
		run_until_ms(scene, at_ms);
	}
	hush_done(&scene->hush);
	assert_int_equal(scene->news + scene->reported, happened);
	assert_true(scene->news > 1 && scene->reports > 1);
	assert_in_range(scene->news + scene->reports, 1, at_ms / 1000 + 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_once),
		TEST(test_a_burst),
		TEST(test_after_a_report_comes_another_second),
		TEST(test_done_tells_the_rest),
		TEST(test_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
