// SPDX-License-Identifier: Apache-2.0
// What backends tell of their load in heads of answers, and what becomes of it in picks. The pool
// of probes is here as far as numbers go; unit/proxy/test_load_probe.c has the rest.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "loop/loop_sim.h"
#include "proxy/snapshot.h"
#include "upstream/load.h"
#include "upstream/pick.h"

enum { arena_bytes_max = 64 * 1024 * 1024, rounds = 300 };

static struct scene {
	struct sim_net *net;
	struct loop *loop;
	struct arena arena;
	struct snapshot *snapshot;
	struct pool *pool;
	struct metrics_cells metrics;
	struct upstream upstream;
	struct timer alarm;
	bool rang;
} scene;

static void on_alarm(struct timer *timer)
{
	(void)timer;
	scene.rang = true;
}

static void sleep_ms(u64 ms)
{
	scene.rang = false;
	loop_timer_set(scene.loop, &scene.alarm, loop_now_ms(scene.loop) + ms);
	while (!scene.rang)
		loop_turn(scene.loop, UINT64_MAX);
}

// `pool` is the value of the pool's keys, as YAML.
static void begin(const char *pool)
{
	static const struct loop_limits limits = {.large_blocks_max = 64, .small_blocks_max = 64};
	struct sim_config config = sim_config_calm();
	struct upstream_config upstream;
	struct errs errs;
	const struct conf *conf;
	const char *text;

	scene = (struct scene){0};
	arena_init(&scene.arena, arena_bytes_max);
	errs_init(&errs);
	text = arena_printf(&scene.arena,
		"frontends: {web: {bind: '10.0.0.1:80', pool: app}}\n"
		"pools: {app: {algorithm: prequal, %s}}\n",
		pool);
	conf = conf_load_text("test", str_from(text), CONF_YAML, &scene.arena, &errs);
	if (!conf)
		fail_msg("%.*s", STR_FMT(errs_format(&errs, &scene.arena, false)));
	errs_done(&errs);
	scene.net = sim_net_new(7, &config);
	scene.loop = sim_loop_new(scene.net, &limits);
	timer_init(&scene.alarm, on_alarm);
	scene.snapshot = snapshot_build(conf, &scene.arena, 1);
	scene.pool = scene.snapshot->pools[0];
	upstream = (struct upstream_config){.loop = scene.loop,
		.metrics = &scene.metrics,
		.slots = scene.snapshot->slots,
		.pools = scene.snapshot->pools,
		.backends = scene.snapshot->backends,
		.pool_count = 1,
		.backend_count = scene.snapshot->backend_count,
		.links_max = 4,
		.seed = 11};
	upstream_init(&scene.upstream, &upstream);
	sleep_ms(1);
}

static void end(void)
{
	upstream_done(&scene.upstream);
	loop_free(scene.loop);
	sim_net_free(scene.net);
	snapshot_done(scene.snapshot);
	arena_done(&scene.arena);
}

static struct pick begin_at(u32 index)
{
	struct pick pick = {.backend = &scene.pool->backends[index],
		.picker = upstream_picker(&scene.upstream, scene.pool),
		.cell = &scene.upstream.cells[index]};

	pick_begin(&scene.upstream, &pick);
	return pick;
}

// A head with this line; none when it is NULL.
static void tell(u32 index, u16 status, const char *name, const char *value, bool is_probe)
{
	struct http_field field = {.name = name};
	struct http_head head;
	struct backend *backend = &scene.pool->backends[index];

	http_head_init(&head, &field);
	head.status = status;
	if (name) {
		field.value = value;
		field.name_len = (u16)strlen(name);
		field.value_len = (u32)strlen(value);
		head.field_count = 1;
	}
	if (is_probe)
		load_note_probe(&scene.upstream, backend, &head);
	else
		load_note_answer(&scene.upstream, backend, &head);
}

static void tells(u32 index, const char *value)
{
	tell(index, 200, "X-Weir-Load", value, false);
}

// How many of `rounds` requests in a row, none of which is answered in between, would go there:
// nothing is begun.
static u32 share_of(u32 index)
{
	static const struct balance_tried none = {0};
	const struct pick_ask ask = {.preferred = BALANCE_NONE, .tried = &none};
	u32 hits = 0;

	for (u32 i = 0; i < rounds; i++) {
		struct pick pick;

		assert_int_equal(pick_backend(&scene.upstream, scene.pool, &ask, &pick), PICK_OK);
		hits += pick.backend->index == index;
		pick_cancel(&scene.upstream, &pick);
	}
	return hits;
}

#define THREE "backends: ['10.0.1.1:80', '10.0.1.2:80', '10.0.1.3:80']"

static void avoids_who_tells_much(void **state)
{
	(void)state;
	begin("prequal: {load: header}, " THREE);
	assert_true(share_of(0) > rounds / 6);
	tells(0, "in_flight=90, latency_ms=80");
	tells(1, "in_flight=1, latency_ms=2");
	tells(2, "in_flight=1, latency_ms=2");
	assert_true(share_of(0) < rounds / 20);
	assert_int_equal(scene.metrics.values[M_LOAD_REPORTS], 3);
	end();
}

static void only_the_last_second_counts(void **state)
{
	(void)state;
	begin("prequal: {load: header}, " THREE);
	tells(0, "in_flight=90, latency_ms=80");
	sleep_ms(500);
	tells(1, "in_flight=1, latency_ms=2");
	tells(2, "in_flight=1, latency_ms=2");
	assert_true(share_of(0) < rounds / 20);
	sleep_ms(499);
	assert_true(share_of(0) < rounds / 20);
	sleep_ms(2);
	assert_true(share_of(0) > rounds / 2); // nothing is known of it any more, so it is tried
	sleep_ms(500);
	assert_true(share_of(0) > rounds / 6 && share_of(0) < rounds / 2);
	end();
}

static void what_it_tells_again_counts_anew(void **state)
{
	(void)state;
	begin("prequal: {load: header, age_max: 300ms}, " THREE);
	for (u32 i = 0; i < 5; i++) {
		tells(0, "in_flight=90, latency_ms=80");
		tells(1, "in_flight=1, latency_ms=2");
		tells(2, "in_flight=1, latency_ms=2");
		sleep_ms(200);
		assert_true(share_of(0) < rounds / 20);
	}
	tells(0, "in_flight=1, latency_ms=1");
	assert_true(share_of(0) > rounds / 2);
	end();
}

// By requests in flight alone: where some are hot, the one with the lowest latency of the others.
static void in_flight_counts_without_latency(void **state)
{
	(void)state;
	begin("prequal: {load: header, hot: 40%}, " THREE);
	tells(0, "in_flight=90");
	tells(1, "in_flight=1");
	tells(2, "in_flight=1");
	assert_true(share_of(0) < rounds / 10);
	end();
}

static void own_requests_since_then_are_added(void **state)
{
	struct pick picks[4];
	const struct load_told *told;

	(void)state;
	begin("prequal: {load: header}, " THREE);
	told = scene.upstream.cells[0].told;
	for (u32 i = 0; i < 3; i++)
		picks[i] = begin_at(0);
	tells(0, "in_flight=10"); // our three among them
	assert_int_equal(load_in_flight(told, scene.upstream.cells[0].in_flight), 10);
	picks[3] = begin_at(0);
	assert_int_equal(load_in_flight(told, scene.upstream.cells[0].in_flight), 11);
	for (u32 i = 0; i < 4; i++)
		pick_end(&scene.upstream, &picks[i]);
	assert_int_equal(load_in_flight(told, scene.upstream.cells[0].in_flight), 7);
	tells(0, "in_flight=0");
	picks[0] = begin_at(0);
	tells(0, "in_flight=0"); // it does not count ours
	pick_end(&scene.upstream, &picks[0]);
	assert_int_equal(load_in_flight(told, scene.upstream.cells[0].in_flight), 0);
	end();
}

static void who_tells_nothing_is_known_by_own_counts(void **state)
{
	struct pick picks[20];

	(void)state;
	begin("prequal: {load: header, hot: 40%}, " THREE);
	tells(0, "in_flight=3, latency_ms=2");
	tells(1, "in_flight=3, latency_ms=2");
	tell(2, 200, NULL, NULL, false);
	assert_true(share_of(2) > rounds / 2); // unknown
	for (u32 i = 0; i < ARRAY_LEN(picks); i++) {
		picks[i] = begin_at(2);
		pick_note_latency(&scene.upstream, &picks[i], 900);
	}
	assert_true(share_of(2) < rounds / 10); // busy
	for (u32 i = 0; i < ARRAY_LEN(picks); i++)
		pick_end(&scene.upstream, &picks[i]);
	assert_true(share_of(2) > rounds / 2); // idle and quick
	end();
}

static void is_deaf_to_failures_and_rubbish(void **state)
{
	(void)state;
	begin("prequal: {load: header, header: X-Busy}, " THREE);
	for (u32 i = 0; i < 3; i++)
		tell(i, 200, "x-busy", "in_flight=5, latency_ms=5", false);
	tell(0, 503, "X-Busy", "in_flight=0, latency_ms=0.01", false);
	tell(0, 200, "X-Weir-Load", "in_flight=0, latency_ms=0.01", false);
	assert_int_equal(scene.upstream.cells[0].told->in_flight, 5);
	tell(0, 200, "X-Busy", "in_flight=0, latency_ms=fast", false);
	assert_int_equal(scene.upstream.cells[0].told->in_flight, 5);
	tell(0, 404, "X-Busy", "in_flight=6, latency_ms=5", false);
	assert_int_equal(scene.upstream.cells[0].told->in_flight, 6);
	assert_int_equal(scene.metrics.values[M_LOAD_REPORTS], 4);
	assert_int_equal(scene.metrics.values[M_LOAD_REPORTS_MALFORMED], 1);
	end();
}

static void other_pools_hear_nothing(void **state)
{
	(void)state;
	begin("prequal: {load: own}, " THREE);
	tells(0, "in_flight=90, latency_ms=80");
	assert_null(scene.upstream.cells[0].told);
	assert_null(scene.upstream.pickers[0].prequal);
	assert_int_equal(scene.metrics.values[M_LOAD_REPORTS], 0);
	end();
}

// A third of the weight: three times as busy with as many.
static void probes_are_scaled_by_weight(void **state)
{
	const struct prequal *prequal;

	(void)state;
	begin("prequal: {load: probe}, backends: "
	      "[{url: '10.0.1.1:80', weight: 2}, {url: '10.0.1.2:80', weight: 6}]");
	prequal = scene.upstream.pickers[0].prequal;
	tell(0, 200, "X-Weir-Load", "in_flight=5", true);
	tell(1, 200, "X-Weir-Load", "in_flight=5", true);
	load_note_probe(&scene.upstream, &scene.pool->backends[0], NULL);
	assert_int_equal(prequal->count, 2);
	assert_int_equal(prequal->probes[0].index, 1);
	assert_int_equal(prequal->probes[0].in_flight, 5);
	assert_int_equal(prequal->probes[1].in_flight, 0);
	tell(0, 200, "X-Weir-Load", "in_flight=5", true);
	assert_int_equal(prequal->probes[1].in_flight, 15);
	tell(0, 200, "X-Weir-Load", "in_flight=1000000", true);
	assert_int_equal(prequal->probes[1].in_flight, 3000000);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(avoids_who_tells_much),
		cmocka_unit_test(only_the_last_second_counts),
		cmocka_unit_test(what_it_tells_again_counts_anew),
		cmocka_unit_test(in_flight_counts_without_latency),
		cmocka_unit_test(own_requests_since_then_are_added),
		cmocka_unit_test(who_tells_nothing_is_known_by_own_counts),
		cmocka_unit_test(is_deaf_to_failures_and_rubbish),
		cmocka_unit_test(other_pools_hear_nothing),
		cmocka_unit_test(probes_are_scaled_by_weight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
