// SPDX-License-Identifier: Apache-2.0
// An order is an event that says who gave it and what takes it back, in front of what follows from
// it; and taken back as it says, everything is as it was.
#include "pools.h"

#include <stdlib.h>
#include <string.h>

#include "control/desk.h"
#include "control/logger.h"
#include "loop/loop_sim.h"

enum { events_max = 16 };

struct scene {
	struct pools pools;
	struct sim_net *net;
	struct loop *loop;
	struct log log;
	struct logger *logger;
	struct watch *watch;
	struct desk *desk;
	struct desk_ask ask;
	u32 answers;
	struct event_copy events[events_max];
};

static struct scene *scene;

static int set_up(void **state)
{
	static const struct loop_limits limits = {4, 4};
	struct logger_config logger = {.level = LOG_ERROR, .log = {.kind = LOGGER_NONE}};
	struct sim_config calm = sim_config_calm();
	const struct logger_output *failed;

	(void)state;
	scene = calloc(1, sizeof(*scene));
	scene->net = sim_net_new(1, &calm);
	scene->loop = sim_loop_new(scene->net, &limits);
	assert_int_equal(logger_start(&logger, &scene->logger, &failed), 0);
	log_init(&scene->log, LOG_OFF, LOG_LOGFMT, &scene->loop->wall_ms, 1 << 16, NULL);
	pools_init(&scene->pools, 3);
	scene->pools.pools[0].name = STR("a pool/1");
	pools_build(&scene->pools, 1, loop_now_ms(scene->loop));
	scene->watch = watch_new(&(struct watch_config){.loop = scene->loop,
		.log = &scene->log,
		.snapshot = scene->pools.snapshot,
		.probes_max = 1,
		.seed = 1});
	watch_leave_workers(scene->watch);
	scene->desk = desk_new(&(struct desk_config){.loop = scene->loop,
		.watch = scene->watch,
		.snapshot = scene->pools.snapshot,
		.logger = scene->logger,
		.log_level = LOG_NOTICE});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	desk_free(scene->desk);
	watch_stop(scene->watch);
	while (!watch_is_idle(scene->watch))
		loop_turn(scene->loop, loop_now_ms(scene->loop) + 1);
	watch_free(scene->watch);
	logger_stop(scene->logger);
	log_done(&scene->log);
	pools_done(&scene->pools);
	loop_free(scene->loop);
	sim_net_free(scene->net);
	free(scene);
	return 0;
}

static void answered(struct desk_ask *ask)
{
	(void)ask;
	scene->answers++;
}

static void ask(enum desk_kind kind)
{
	u32 before = scene->answers;

	scene->ask.kind = (u8)kind;
	desk_ask(scene->desk, &scene->ask, scene->loop, answered);
	while (scene->answers == before)
		loop_turn(scene->loop, loop_now_ms(scene->loop) + 1);
}

static enum desk_result give(enum desk_order_kind kind, u32 index, u32 value)
{
	scene->ask.order = (struct desk_order){.kind = (u8)kind,
		.cell = index,
		.value = value,
		.revision = UINT64_MAX,
		.who = "token ops"};
	ask(DESK_ORDER);
	return (enum desk_result)scene->ask.result;
}

static u32 read_after(u64 after)
{
	scene->ask.after = after;
	scene->ask.events = scene->events;
	scene->ask.events_max = events_max;
	ask(DESK_EVENTS);
	return scene->ask.event_count;
}

// The last order's event.
static const struct event_copy *event(void)
{
	u64 number = scene->ask.order.event;

	assert_true(read_after(number - 1) >= 1);
	assert_int_equal(scene->events[0].number, number);
	assert_int_equal(scene->events[0].kind, EVENT_STEERING);
	assert_string_equal(scene->events[0].by, "token ops");
	return &scene->events[0];
}

static void assert_event(const char *text, const char *from, const char *to, const char *method,
	const char *path, const char *body)
{
	const struct event_copy *said = event();

	assert_string_equal(said->text, text);
	assert_string_equal(said->from, from);
	assert_string_equal(said->to, to);
	assert_string_equal(said->undo_method, method);
	assert_string_equal(said->undo_path, path);
	assert_string_equal(said->undo_body, body);
}

#define OF_BACKEND "/api/v1/pools/a%20pool%2F1/backends/10.0.0.1%3A80"

static void test_orders(void **state)
{
	(void)state;
	assert_int_equal(give(DESK_DRAIN, 1, 0), DESK_DONE);
	assert_event("backend is drained by order", "enabled", "draining", "POST",
		OF_BACKEND "/enable", "");
	assert_string_equal(event()->pool, "a pool/1");
	assert_string_equal(event()->backend, "10.0.0.1:80");
	assert_int_equal(give(DESK_DISABLE, 1, 0), DESK_DONE);
	assert_event("backend is disabled by order", "draining", "disabled", "POST",
		OF_BACKEND "/drain", "");
	assert_int_equal(give(DESK_ENABLE, 1, 0), DESK_DONE);
	assert_event("backend takes requests again by order", "disabled", "enabled", "POST",
		OF_BACKEND "/disable", "");
	assert_int_equal(give(DESK_WEIGHT, 1, 7), DESK_DONE);
	assert_event("backend has another weight by order", "1", "7", "PUT", OF_BACKEND "/weight",
		"{\"weight\":1}");
	assert_int_equal(give(DESK_BREAKER, 1, BREAKER_FORCED_OPEN), DESK_DONE);
	assert_event("circuit breaker is steered by order", "auto", "open", "PUT",
		OF_BACKEND "/breaker", "{\"state\":\"auto\"}");
	assert_int_equal(give(DESK_LOG_LEVEL, 0, LOG_DEBUG), DESK_DONE);
	assert_event("log level is another one by order", "notice", "debug", "PUT",
		"/api/v1/log/level", "{\"level\":\"notice\"}");
	assert_string_equal(event()->backend, "");
}

static void test_who_gave_an_order(void **state)
{
	struct model *model = watch_model(scene->watch);
	const struct backend *backend = pools_backend(&scene->pools, 1);

	(void)state;
	assert_string_equal(model_state(model, backend)->held_by, "");
	(void)give(DESK_DRAIN, 1, 0);
	assert_string_equal(model_state(model, backend)->ordered_by, "token ops");
	assert_string_equal(model_state(model, backend)->held_by, "");
	(void)give(DESK_BREAKER, 1, BREAKER_FORCED_OPEN);
	assert_string_equal(model_state(model, backend)->held_by, "token ops");
}

static void test_what_changes_nothing_is_no_event(void **state)
{
	u64 newest;

	(void)state;
	assert_int_equal(give(DESK_ENABLE, 1, 0), DESK_NO_CHANGE);
	assert_int_equal(give(DESK_WEIGHT, 1, 1), DESK_NO_CHANGE);
	assert_int_equal(read_after(0), 0);
	assert_int_equal(give(DESK_DRAIN, 1, 0), DESK_DONE);
	newest = scene->ask.order.event;
	desk_close(scene->desk);
	assert_int_equal(give(DESK_ENABLE, 1, 0), DESK_GONE);
	assert_int_equal(read_after(newest), 0);
}

static void test_the_cause_comes_first(void **state)
{
	u32 count;

	(void)state;
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(give(DESK_DISABLE, i, 0), DESK_DONE);
	count = read_after(0);
	assert_int_equal(count, 4);
	assert_int_equal(scene->events[2].kind, EVENT_STEERING);
	assert_int_equal(scene->events[3].kind, EVENT_POOL);
	assert_string_equal(scene->events[3].to, "unavailable");
}

static void test_taken_back(void **state)
{
	(void)state;
	for (u32 i = 0; i < 4; i++) {
		static const struct {
			u8 kind;
			u32 value;
		} orders[] = {{DESK_DRAIN, 0}, {DESK_WEIGHT, 5},
			{DESK_BREAKER, BREAKER_FORCED_OPEN}, {DESK_LOG_LEVEL, LOG_TRACE}};
		struct event_copy first;

		assert_int_equal(
			give((enum desk_order_kind)orders[i].kind, 2, orders[i].value), DESK_DONE);
		first = *event();
		assert_int_equal(give((enum desk_order_kind)first.undo.order, first.undo.cell,
					 first.undo.value),
			DESK_DONE);
		assert_string_equal(event()->from, first.to);
		assert_string_equal(event()->to, first.from);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_orders),
		TEST(test_who_gave_an_order),
		TEST(test_what_changes_nothing_is_no_event),
		TEST(test_the_cause_comes_first),
		TEST(test_taken_back),
	};

	return cmocka_run_group_tests_name("desk", tests, NULL, NULL);
}
