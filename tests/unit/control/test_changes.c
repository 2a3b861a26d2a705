// SPDX-License-Identifier: Apache-2.0
// One line and one event for each change; and a backend that changes all the time does not flood.
#include "pools.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "control/changes.h"
#include "loop/loop_sim.h"

struct scene {
	struct pools pools;
	struct sim_net *net;
	struct loop *loop;
	struct log log;
	struct changes *changes;
	struct heard heard; // all lines so far
};

static struct scene scene;

static int set_up(void **state)
{
	static const struct loop_limits limits = {4, 4};
	struct sim_config calm = sim_config_calm();

	(void)state;
	scene.net = sim_net_new(1, &calm);
	scene.loop = sim_loop_new(scene.net, &limits);
	scene.heard.lines = 0;
	scene.heard.len = 0;
	pools_init(&scene.pools, 3);
	pools_build(&scene.pools, 1, loop_now_ms(scene.loop));
	log_init(&scene.log, LOG_INFO, LOG_LOGFMT, &scene.loop->wall_ms, 1 << 16, NULL);
	scene.changes = changes_new(scene.loop, &scene.log, scene.pools.snapshot);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
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

static struct model_change change_of(enum model_change_kind kind, const char *from, const char *to)
{
	return (struct model_change){.kind = (u8)kind,
		.pool = scene.pools.snapshot->pools[0],
		.backend = pools_backend(&scene.pools, 1),
		.from = from,
		.to = to,
		.reason = "why not",
		.eligible = 2};
}

static void note(enum model_change_kind kind, const char *from, const char *to)
{
	struct model_change change = change_of(kind, from, to);

	if (kind == MODEL_POOL || kind == MODEL_PANIC || kind == MODEL_CHECK_TYPE)
		change.backend = NULL;
	changes_note(scene.changes, &change);
}

static void assert_last_line(enum log_level level, const char *expected)
{
	struct log_record record;

	assert_true(log_ring_peek(&scene.log.ring, &record));
	assert_int_equal(record.level, level);
	assert_int_equal(record.body.len, strlen(expected));
	assert_memory_equal(record.body.ptr, expected, record.body.len);
	log_ring_next(&scene.log.ring);
	assert_false(log_ring_peek(&scene.log.ring, &record));
}

static void test_lines(void **state)
{
	struct model_change change = change_of(MODEL_HEALTH, "up", "down");

	(void)state;
	change.streak = 3;
	change.next_ms = 980;
	changes_note(scene.changes, &change);
	assert_last_line(LOG_WARN,
		"msg=\"backend is down\" pool=pool0 backend=10.0.0.1:80 address=10.0.0.1:80 "
		"from=up "
		"to=down reason=\"why not\" streak=3 next_check_ms=980 eligible=2 of=3");
	note(MODEL_HEALTH, "down", "up");
	assert_last_line(LOG_NOTICE,
		"msg=\"backend is healthy\" pool=pool0 backend=10.0.0.1:80 address=10.0.0.1:80 "
		"from=down to=up reason=\"why not\" eligible=2 of=3");
	note(MODEL_POOL, "available", "unavailable");
	assert_last_line(LOG_WARN,
		"msg=\"pool has lost its last backend\" pool=pool0 from=available to=unavailable "
		"reason=\"why not\" eligible=2 of=3");
	note(MODEL_CHECK_TYPE, "auto", "tcp");
	assert_last_line(LOG_NOTICE,
		"msg=\"the kind of health check is decided\" pool=pool0 from=auto to=tcp "
		"reason=\"why not\"");
}

enum { FORGOTTEN_MS = (FLAPPING_MINUTES + 1) * 60 * 1000 };

static void test_levels(void **state)
{
	static const struct {
		u8 kind;
		const char *from, *to;
		u8 level;
	} rows[] = {
		{MODEL_HEALTH, "unknown", "up", LOG_INFO},
		{MODEL_HEALTH, "unknown", "down", LOG_WARN},
		{MODEL_HEALTH, "up", "unknown", LOG_WARN},
		{MODEL_EJECTED, "in", "ejected", LOG_WARN},
		{MODEL_RETURNED, "ejected", "in", LOG_NOTICE},
		{MODEL_BREAKER, "closed", "open", LOG_WARN},
		{MODEL_BREAKER, "open", "half_open", LOG_NOTICE},
		{MODEL_BREAKER, "half_open", "closed", LOG_NOTICE},
		{MODEL_PANIC, "normal", "panic", LOG_WARN},
		{MODEL_PANIC, "panic", "normal", LOG_NOTICE},
		{MODEL_POOL, "unavailable", "available", LOG_NOTICE},
		{MODEL_CHECK_TYPE, "auto", "tcp", LOG_NOTICE},
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		struct log_record record;

		pass_ms(scene.loop, FORGOTTEN_MS);
		note((enum model_change_kind)rows[i].kind, rows[i].from, rows[i].to);
		pass_ms(scene.loop, THRONG_HOLD_MS + 1);
		assert_true(log_ring_peek(&scene.log.ring, &record));
		assert_int_equal(record.level, rows[i].level);
		log_ring_next(&scene.log.ring);
	}
}

static struct event_copy copies[2 * CHANGES_KEPT];

static u32 copy_after(u64 after)
{
	return changes_copy(scene.changes, after, copies, ARRAY_LEN(copies));
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(changes_newest(scene.changes), 0);
	assert_int_equal(copy_after(0), 0);
	for (u32 i = 1; i <= 1000; i++) {
		struct model_change change = change_of(MODEL_POOL, "available", "unavailable");

		change.backend = NULL;
		change.streak = i;
		changes_note(scene.changes, &change);
		assert_int_equal(copy_after(i - 1), 1);
		assert_int_equal(copies[0].number, i);
	}
	assert_int_equal(changes_newest(scene.changes), 1000);
	assert_int_equal(copy_after(1000), 0);
	assert_int_equal(copy_after(5000), 0);
	assert_int_equal(copy_after(0), CHANGES_KEPT);
	for (u32 i = 0; i < CHANGES_KEPT; i++) {
		assert_int_equal(copies[i].number, 1001 - CHANGES_KEPT + i);
		assert_int_equal(copies[i].streak, copies[i].number);
		assert_true(copies[i].wall_ms == scene.loop->wall_ms);
	}
	assert_int_equal(changes_copy(scene.changes, 900, copies, 7), 7);
	assert_int_equal(copies[0].number, 901);
	assert_int_equal(copies[6].number, 907);
}

static void test_what_an_event_says(void **state)
{
	static const struct {
		u8 change, event;
		const char *from, *to, *text;
	} rows[] = {
		{MODEL_HEALTH, EVENT_HEALTH, "up", "down", "backend is down"},
		{MODEL_EJECTED, EVENT_EJECTION, "in", "ejected", "backend is ejected"},
		{MODEL_RETURNED, EVENT_EJECTION, "ejected", "in", "backend has returned"},
		{MODEL_BREAKER, EVENT_BREAKER, "closed", "open", "circuit breaker opens"},
		{MODEL_PANIC, EVENT_PANIC, "normal", "panic",
			"pool panics: its ejections are ignored"},
		{MODEL_POOL, EVENT_POOL, "available", "unavailable",
			"pool has lost its last backend"},
		{MODEL_CHECK_TYPE, EVENT_CHECK_TYPE, "auto", "tcp",
			"the kind of health check is decided"},
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		bool of_pool = rows[i].change >= MODEL_PANIC;

		pass_ms(scene.loop, FORGOTTEN_MS);
		note((enum model_change_kind)rows[i].change, rows[i].from, rows[i].to);
		assert_int_equal(copy_after(i), 1);
		assert_int_equal(copies[0].kind, rows[i].event);
		assert_string_equal(copies[0].text, rows[i].text);
		assert_string_equal(copies[0].pool, "pool0");
		assert_string_equal(copies[0].backend, of_pool ? "" : "10.0.0.1:80");
		assert_string_equal(copies[0].from, rows[i].from);
		assert_string_equal(copies[0].to, rows[i].to);
		assert_string_equal(copies[0].reason, "why not");
		assert_string_equal(copies[0].by, "");
		assert_string_equal(copies[0].undo_method, "");
		assert_int_equal(copies[0].of, rows[i].change == MODEL_CHECK_TYPE ? 0 : 3);
	}
	assert_string_equal(event_kind_name(EVENT_CHECK_TYPE), "check_type");
	assert_string_equal(event_kind_name(EVENT_LIFE), "life");
}

static void test_steering(void **state)
{
	struct event_said said = {.kind = EVENT_STEERING,
		.text = "backend is drained",
		.pool = STR("app"),
		.backend = STR("app-1"),
		.from = STR("enabled"),
		.to = STR("draining"),
		.by = STR("token ops"),
		.undo_method = STR("POST"),
		.undo_path = STR("/api/v1/pools/app/backends/app-1/enable"),
		.undo_body = STR("{}")};
	char path[EVENT_PATH_MAX + 1];

	(void)state;
	assert_int_equal(changes_say(scene.changes, &said), 1);
	assert_last_line(LOG_NOTICE, "msg=\"backend is drained\" pool=app backend=app-1 "
				     "from=enabled to=draining by=\"token ops\"");
	assert_int_equal(copy_after(0), 1);
	assert_int_equal(copies[0].kind, EVENT_STEERING);
	assert_string_equal(copies[0].backend, "app-1");
	assert_string_equal(copies[0].by, "token ops");
	assert_string_equal(copies[0].undo_method, "POST");
	assert_string_equal(copies[0].undo_path, "/api/v1/pools/app/backends/app-1/enable");
	assert_string_equal(copies[0].undo_body, "{}");
	// A name that is too long is cut; a call that is too long is none.
	memset(path, 'x', sizeof(path));
	said.backend = said.undo_path = str_make(path, EVENT_PATH_MAX);
	assert_int_equal(changes_say(scene.changes, &said), 2);
	assert_int_equal(copy_after(1), 1);
	assert_int_equal(strlen(copies[0].backend), EVENT_NAME_MAX);
	assert_int_equal(strlen(copies[0].undo_path), EVENT_PATH_MAX);
	said.undo_path = str_make(path, EVENT_PATH_MAX + 1);
	assert_int_equal(changes_say(scene.changes, &said), 3);
	assert_int_equal(copy_after(2), 1);
	assert_string_equal(copies[0].undo_method, "");
	assert_string_equal(copies[0].undo_path, "");
}

// What is said of it elsewhere is not said twice.
static void test_life_has_no_line(void **state)
{
	struct event_said said = {.kind = EVENT_LIFE, .text = "weir drains", .reason = STR("TERM")};

	(void)state;
	assert_int_equal(changes_say(scene.changes, &said), 1);
	take_lines();
	assert_int_equal(scene.heard.lines, 0);
	assert_int_equal(copy_after(0), 1);
	assert_int_equal(copies[0].kind, EVENT_LIFE);
	assert_string_equal(copies[0].reason, "TERM");
	assert_string_equal(copies[0].pool, "");
}

// A change every 10 ms for a minute: some lines at first, then one a second, and no change is lost.
static void test_a_pool_that_changes_all_the_time(void **state)
{
	u64 said = 0, counted = 0;
	char *line;

	(void)state;
	for (u32 i = 0; i < 6000; i++) {
		pass_ms(scene.loop, 10);
		note(MODEL_POOL, i % 2 ? "unavailable" : "available",
			i % 2 ? "available" : "unavailable");
		take_lines();
	}
	changes_free(scene.changes);
	scene.changes = NULL;
	take_lines();
	assert_in_range(scene.heard.lines, 60, 7 * (CHANGES_SAID + 11)); // windows of 10 s
	for (line = strtok(scene.heard.text, "\n"); line; line = strtok(NULL, "\n")) {
		const char *times = strstr(line, "times=");

		if (times)
			counted += strtoull(times + 6, NULL, 10);
		else
			said++;
	}
	assert_int_equal(said + counted, 6000);
	assert_true(counted > 5000);
}

static void flip(u32 index, u32 times, u64 every_ms)
{
	for (u32 i = 0; i < times; i++) {
		struct model_change change =
			change_of(MODEL_HEALTH, i % 2 ? "down" : "up", i % 2 ? "up" : "down");

		pass_ms(scene.loop, every_ms);
		change.backend = pools_backend(&scene.pools, index);
		changes_note(scene.changes, &change);
	}
	take_lines();
}

// Out and in, twice: one line and one event say that it flaps, and one each that it is over. In
// between its changes are counted and not told.
static void test_flapping(void **state)
{
	const struct backend *backend = pools_backend(&scene.pools, 1);
	u64 since_ms;

	(void)state;
	flip(1, FLAPPING_FROM - 1, 5000);
	assert_int_equal(scene.heard.lines, 3);
	assert_null(strstr(scene.heard.text, "flap"));
	assert_int_equal(changes_flaps(scene.changes, backend).changes, 3);
	flip(1, 1, 5000);
	assert_int_equal(scene.heard.lines, 5);
	assert_non_null(
		strstr(scene.heard.text, "msg=\"backend is flapping\" pool=pool0 "
					 "backend=10.0.0.1:80 address=10.0.0.1:80 changes=4 "
					 "to=down reason=\"4 changes within 20 seconds; single "
					 "changes are not told until it is calm\""));
	assert_int_equal(copy_after(0), 5);
	assert_string_equal(copies[4].text, "backend is flapping");
	assert_string_equal(copies[4].reason, "4 changes within 20 seconds; single changes are not "
					      "told until it is calm");
	assert_string_equal(copies[4].backend, "10.0.0.1:80");
	assert_int_equal(copies[4].kind, EVENT_FLAPPING);
	since_ms = loop_now_ms(scene.loop);
	assert_true(changes_flaps(scene.changes, backend).since_ms == since_ms);
	flip(1, 24, 5000); // two minutes
	assert_int_equal(scene.heard.lines, 5);
	assert_int_equal(copy_after(0), 5);
	assert_true(changes_flaps(scene.changes, backend).since_ms == since_ms);
	assert_true(changes_flaps(scene.changes, backend).span_ms == 140 * 1000);
	assert_int_equal(changes_flaps(scene.changes, backend).changes, 28);
	pass_ms(scene.loop, FORGOTTEN_MS);
	take_lines();
	assert_non_null(strstr(scene.heard.text, "backend flaps no more"));
	assert_true(changes_flaps(scene.changes, backend).since_ms == 0);
	assert_int_equal(changes_flaps(scene.changes, backend).changes, 0);
	assert_int_equal(copies[copy_after(0) - 1].kind, EVENT_FLAPPING);
	assert_string_equal(copies[copy_after(0) - 1].to, "calm");
	flip(1, 1, 1000);
	assert_non_null(strstr(scene.heard.text + scene.heard.len - 200, "backend is down"));
}

static void test_what_is_no_flapping(void **state)
{
	(void)state;
	for (u32 i = 0; i < 20; i++) {
		pass_ms(scene.loop, 1000);
		note(MODEL_BREAKER, "open", "half_open");
		note(MODEL_BREAKER, "half_open", "open");
		note(MODEL_HEALTH, "up", "unknown");
		note(MODEL_HEALTH, "unknown", "up");
	}
	assert_int_equal(changes_flaps(scene.changes, pools_backend(&scene.pools, 1)).changes, 0);
	for (u32 i = 0; i < 20; i++) {
		struct model_change change = change_of(MODEL_BREAKER, "closed", "open");

		change.reason = breaker_cause_text(BREAKER_FORCED);
		changes_note(scene.changes, &change);
	}
	assert_int_equal(changes_flaps(scene.changes, pools_backend(&scene.pools, 1)).changes, 0);
	note(MODEL_BREAKER, "closed", "open");
	note(MODEL_BREAKER, "half_open", "closed");
	note(MODEL_EJECTED, "in", "ejected");
	assert_int_equal(changes_flaps(scene.changes, pools_backend(&scene.pools, 1)).changes, 3);
}

// ---- Many at once -------------------------------------------------------------------------------

static void build_many(u32 count)
{
	changes_free(scene.changes);
	pools_done(&scene.pools);
	pools_init(&scene.pools, count);
	pools_build(&scene.pools, 1, loop_now_ms(scene.loop));
	scene.changes = changes_new(scene.loop, &scene.log, scene.pools.snapshot);
}

static void note_of(u32 index, const char *from, const char *to, const char *reason)
{
	struct model_change change = change_of(MODEL_HEALTH, from, to);

	change.backend = pools_backend(&scene.pools, index);
	change.reason = reason;
	change.eligible = scene.pools.snapshot->backend_count - index;
	changes_note(scene.changes, &change);
}

static void test_a_start_is_one_event(void **state)
{
	(void)state;
	build_many(12);
	for (u32 i = 0; i < 11; i++)
		note_of(i, "unknown", i == 3 ? "down" : "up", i == 3 ? "connection refused" : "ok");
	take_lines();
	assert_int_equal(scene.heard.lines, 1); // who is down is no ordinary start
	assert_int_equal(copy_after(0), 1);
	assert_string_equal(copies[0].text, "backend is down");
	note_of(11, "unknown", "up", "ok"); // the last one: nobody waits any more
	take_lines();
	assert_int_equal(scene.heard.lines, 2);
	assert_non_null(
		strstr(scene.heard.text, "msg=\"backends are healthy\" module=control/changes "
					 "backends=11 of=12 pool=pool0 to=up reason=ok"));
	assert_int_equal(copy_after(1), 1);
	assert_int_equal(copies[0].count, 11);
	assert_int_equal(copies[0].of, 12);
	assert_string_equal(copies[0].backend, "");
	assert_string_equal(copies[0].text, "backends are healthy");
	assert_int_equal(copies[0].kind, EVENT_HEALTH);
	note_of(4, "unknown", "up", "ok"); // later: its address was another one
	assert_int_equal(copy_after(2), 1);
	assert_string_equal(copies[0].text, "backend is healthy");
}

static void test_a_start_that_is_not_complete(void **state)
{
	(void)state;
	build_many(3);
	note_of(0, "unknown", "up", "ok");
	note_of(1, "unknown", "up", "ok");
	assert_int_equal(copy_after(0), 0);
	pass_ms(scene.loop, THRONG_HOLD_MS + 1);
	assert_int_equal(copy_after(0), 1);
	assert_int_equal(copies[0].count, 2);
}

static void test_many_go_down_at_once(void **state)
{
	(void)state;
	build_many(1000);
	for (u32 i = 0; i < 1000; i++)
		note_of(i, "up", "down", "connection refused");
	take_lines();
	assert_int_equal(scene.heard.lines, THRONG_SINGLE_MAX);
	pass_ms(scene.loop, THRONG_HOLD_MS + 1);
	take_lines();
	assert_int_equal(scene.heard.lines, THRONG_SINGLE_MAX + 1);
	assert_non_null(strstr(scene.heard.text, "msg=\"backends are down\" backends=984 of=1000 "
						 "pool=pool0 to=down reason=\"connection refused\" "
						 "eligible=1"));
	assert_int_equal(copy_after(0), THRONG_SINGLE_MAX + 1);
	assert_int_equal(copies[THRONG_SINGLE_MAX].count, 984);
	assert_int_equal(copies[THRONG_SINGLE_MAX].eligible, 1);
	for (u32 i = 0; i < 1000; i++)
		note_of(i, "down", "up", i % 2 ? "a" : "b");
	pass_ms(scene.loop, THRONG_HOLD_MS + 1);
	take_lines();
	assert_int_equal(scene.heard.lines, 2 * (THRONG_SINGLE_MAX + 1));
	assert_non_null(strstr(scene.heard.text, "reason=\"for several reasons\""));
}

// What is held is told at the end.
static void test_nothing_is_lost(void **state)
{
	(void)state;
	build_many(100);
	for (u32 i = 0; i < 100; i++)
		note_of(i, "up", "down", "connection refused");
	changes_free(scene.changes);
	scene.changes = NULL;
	take_lines();
	assert_non_null(strstr(scene.heard.text, "backends=84 of=100"));
}

static void test_thousands_that_flap(void **state)
{
	(void)state;
	build_many(1000);
	for (u32 round = 0; round < 8; round++) {
		for (u32 i = 0; i < 1000; i++)
			note_of(i, round % 2 ? "down" : "up", round % 2 ? "up" : "down", "x");
		pass_ms(scene.loop, 2 * THRONG_HOLD_MS);
	}
	take_lines();
	assert_in_range(scene.heard.lines, 1, 120);
	assert_non_null(strstr(scene.heard.text, "msg=\"more backends flap\" times="));
	assert_in_range(changes_newest(scene.changes), 1, 120);
}

// The others are heard all the same.
static void test_one_that_flaps_hides_nobody(void **state)
{
	(void)state;
	for (u32 i = 0; i < 100; i++)
		note(MODEL_HEALTH, "up", "down");
	take_lines();
	for (u32 i = 0; i < 3; i += 2) {
		struct model_change change = change_of(MODEL_HEALTH, "up", "down");
		u32 lines = scene.heard.lines;

		change.backend = pools_backend(&scene.pools, i);
		changes_note(scene.changes, &change);
		take_lines();
		assert_int_equal(scene.heard.lines, lines + 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_levels),
		TEST(test_events),
		TEST(test_what_an_event_says),
		TEST(test_steering),
		TEST(test_life_has_no_line),
		TEST(test_a_pool_that_changes_all_the_time),
		TEST(test_flapping),
		TEST(test_what_is_no_flapping),
		TEST(test_a_start_is_one_event),
		TEST(test_a_start_that_is_not_complete),
		TEST(test_many_go_down_at_once),
		TEST(test_nothing_is_lost),
		TEST(test_thousands_that_flap),
		TEST(test_one_that_flaps_hides_nobody),
	};

	return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
