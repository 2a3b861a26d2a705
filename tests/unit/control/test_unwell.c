// SPDX-License-Identifier: Apache-2.0
// Who fails or is slow is told when that lasts; and once a minute who is not well.
#include "pools.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "control/unwell.h"
#include "loop/loop_sim.h"

enum { BACKENDS = 40, LOOK_MS = 2000 };

struct scene {
	struct pools pools;
	struct sim_net *net;
	struct loop *loop;
	struct log log;
	struct changes *changes;
	struct unwell *unwell;
	struct oddity_facts facts[BACKENDS];
	struct oddity_finding findings[BACKENDS];
	struct heard heard; // all lines so far
};

static struct scene scene;

static int set_up(void **state)
{
	static const struct loop_limits limits = {4, 4};
	struct sim_config calm = sim_config_calm();

	(void)state;
	scene = (struct scene){.net = sim_net_new(1, &calm)};
	scene.loop = sim_loop_new(scene.net, &limits);
	pools_init(&scene.pools, BACKENDS);
	scene.pools.pools[0].check.type = CONF_CHECK_HTTP;
	pools_build(&scene.pools, 1, loop_now_ms(scene.loop));
	log_init(&scene.log, LOG_NOTICE, LOG_LOGFMT, &scene.loop->wall_ms, 1 << 17, NULL);
	scene.changes = changes_new(scene.loop, &scene.log, scene.pools.snapshot);
	scene.unwell = unwell_new(
		scene.loop, &scene.log, scene.pools.snapshot, scene.pools.model, scene.changes);
	for (u32 i = 0; i < BACKENDS; i++)
		scene.facts[i] = (struct oddity_facts){.takes = true,
			.requests = 1000,
			.requests_per_s = 100,
			.p50_us = 9000,
			.p99_us = 20000};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unwell_free(scene.unwell);
	changes_free(scene.changes);
	pools_done(&scene.pools);
	log_done(&scene.log);
	loop_free(scene.loop);
	sim_net_free(scene.net);
	return 0;
}

static void take_lines(void)
{
	heard_take(&scene.heard, &scene.log);
}

static void forget_lines(void)
{
	take_lines();
	scene.heard.lines = 0;
	scene.heard.len = 0;
}

static void set_slow(u32 index, bool is)
{
	u32 room[BACKENDS];

	scene.facts[index].p50_us = is ? 412000 : 9000;
	oddity_judge(scene.facts, BACKENDS, room, scene.findings);
}

static void look_for_ms(u64 span_ms)
{
	for (u64 at = 0; at < span_ms; at += LOOK_MS) {
		pass_ms(scene.loop, LOOK_MS);
		unwell_look(scene.unwell, scene.facts, scene.findings);
	}
}

static struct event_copy copies[CHANGES_KEPT];

static u32 count_events(void)
{
	return changes_copy(scene.changes, 0, copies, CHANGES_KEPT);
}

static u64 slow_since_ms(u32 index)
{
	return unwell_since_ms(scene.unwell, pools_backend(&scene.pools, index), ODDITY_SLOW);
}

static void test_slow_begins_and_ends(void **state)
{
	u64 began_ms;

	(void)state;
	set_slow(3, true);
	began_ms = loop_now_ms(scene.loop) + LOOK_MS;
	look_for_ms(ODDITY_LASTS_MS);
	assert_int_equal(count_events(), 0);
	assert_true(slow_since_ms(3) == began_ms);
	look_for_ms(LOOK_MS);
	take_lines();
	assert_int_equal(scene.heard.lines, 1);
	assert_non_null(
		strstr(scene.heard.text, "msg=\"backend is slow beside its peers\" pool=pool0 "
					 "backend=10.0.0.3:80 address=10.0.0.3:80 "
					 "reason=\"p50 412 ms, its peers 9.0 ms\""));
	assert_int_equal(count_events(), 1);
	assert_int_equal(copies[0].kind, EVENT_ODDITY);
	assert_string_equal(copies[0].to, "slow");
	assert_string_equal(copies[0].backend, "10.0.0.3:80");
	assert_string_equal(copies[0].reason, "p50 412 ms, its peers 9.0 ms");
	look_for_ms(20 * 1000);
	assert_int_equal(count_events(), 1);
	assert_true(slow_since_ms(3) == began_ms);
	assert_true(slow_since_ms(2) == 0);
	set_slow(3, false);
	look_for_ms(ODDITY_LASTS_MS + 2 * LOOK_MS);
	take_lines();
	assert_non_null(strstr(scene.heard.text, "backend is slow no more"));
	assert_int_equal(count_events(), 2);
	assert_string_equal(copies[1].from, "slow");
	assert_string_equal(copies[1].to, "well");
	assert_true(slow_since_ms(3) == 0);
}

static void test_on_and_off_is_no_flood(void **state)
{
	struct log_clock clock = {0};
	char who[96];

	(void)state;
	for (u32 i = 0; i < 100; i++) {
		set_slow(3, i % 2 == 0);
		if (i == 2) // its second time is the one that it is told of last
			log_clock_set(&clock, loop_wall_ms(scene.loop) + LOOK_MS);
		look_for_ms(10 * 1000);
	}
	assert_int_equal(count_events(), 4);
	assert_string_equal(copies[3].text, "backend is slow on and off");
	assert_string_equal(copies[3].reason, "single changes are not told until that is over");
	take_lines();
	snprintf(who, sizeof(who), "/10.0.0.3:80 slow on and off since %.*sZ",
		(int)sizeof(clock.iso), clock.iso);
	assert_non_null(strstr(scene.heard.text, who));
}

static void test_many_at_once_are_counted(void **state)
{
	const char *line;

	(void)state;
	for (u32 i = 0; i < BACKENDS; i++) {
		scene.facts[i].errors_per_s = 50;
		set_slow(i, false);
	}
	look_for_ms(ODDITY_LASTS_MS + 2 * LOOK_MS);
	take_lines();
	assert_int_equal(scene.heard.lines, UNWELL_TOLD_MAX + 1);
	line = strstr(scene.heard.text, "more backends began or ceased");
	assert_non_null(line);
	assert_non_null(strstr(line, "times=24"));
	assert_int_equal(count_events(), UNWELL_TOLD_MAX + 1);
	assert_int_equal(copies[UNWELL_TOLD_MAX].count, BACKENDS - UNWELL_TOLD_MAX);
	assert_string_equal(copies[0].reason, "50 % of its requests");
}

// Who has a slot next is not what the last one was.
static void test_who_gets_none_is_neither(void **state)
{
	(void)state;
	set_slow(3, true);
	look_for_ms(20 * 1000);
	assert_true(slow_since_ms(3));
	scene.facts[3].takes = false;
	look_for_ms(LOOK_MS);
	assert_true(slow_since_ms(3) == 0);
	assert_int_equal(count_events(), 1); // that it is out is told by others
}

static void probe(u32 index, enum health_reason reason, u32 status)
{
	const struct backend *backend = pools_backend(&scene.pools, index);
	u64 now_ms = loop_now_ms(scene.loop);

	model_check_begin(scene.pools.model, backend, now_ms);
	model_check_end(scene.pools.model, backend, reason, status, 100, now_ms);
}

static void note_flap(u32 index, bool out)
{
	struct model_change change = {.kind = MODEL_HEALTH,
		.pool = scene.pools.snapshot->pools[0],
		.backend = pools_backend(&scene.pools, index),
		.from = out ? "up" : "down",
		.to = out ? "down" : "up",
		.reason = "why not"};

	changes_note(scene.changes, &change);
}

static void test_once_a_minute(void **state)
{
	static const char who[] = "msg=\"backends are not well\" out=2 flapping=1 fail=1 slow=3 "
				  "who=\"pool0/10.0.0.0:80 out since ";
	const char *line;

	(void)state;
	for (u32 i = 0; i < BACKENDS; i++)
		probe(i, HEALTH_NONE, 200);
	look_for_ms(2 * UNWELL_EVERY_MS);
	take_lines();
	assert_int_equal(scene.heard.lines, 0);
	for (u32 i = 0; i < 3; i++) {
		probe(0, HEALTH_STATUS, 503);
		probe(1, HEALTH_CONNECTION_REFUSED, 0);
	}
	for (u32 i = 0; i < FLAPPING_FROM; i++)
		note_flap(2, i % 2 == 0);
	scene.facts[3].errors_per_s = 12;
	for (u32 i = 4; i < 7; i++)
		set_slow(i, true);
	look_for_ms(20 * 1000);
	forget_lines();
	look_for_ms(UNWELL_EVERY_MS - 20 * 1000 + LOOK_MS);
	take_lines();
	assert_int_equal(scene.heard.lines, 1);
	line = strstr(scene.heard.text, who);
	assert_non_null(line);
	assert_non_null(strstr(line, "Z: status 503 instead of 200-299; pool0/10.0.0.1:80 out"));
	assert_non_null(strstr(line, "Z: connection refused; pool0/10.0.0.2:80 flapping since "));
	assert_non_null(strstr(line, "Z: 4 changes within 3 minutes; pool0/10.0.0.3:80 fails "));
	assert_non_null(strstr(line, "Z: 12 % of its requests; pool0/10.0.0.4:80 slow since "));
	assert_non_null(strstr(line, "Z: p50 412 ms, its peers 9.0 ms\" more=2"));
	look_for_ms(UNWELL_EVERY_MS);
	take_lines();
	assert_int_equal(scene.heard.lines, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_slow_begins_and_ends),
		TEST(test_on_and_off_is_no_flood),
		TEST(test_many_at_once_are_counted),
		TEST(test_who_gets_none_is_neither),
		TEST(test_once_a_minute),
	};
#undef TEST

	return cmocka_run_group_tests_name("unwell", tests, NULL, NULL);
}
