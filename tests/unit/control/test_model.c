// SPDX-License-Identifier: Apache-2.0
// The model alone: results of checks, reports and counts go in, and what is published and told
// comes out. Time is a number.
#include "pools.h"

#include "control/reason.h"

#include <string.h>

#include "base/rng.h"

static struct pools pools;

static int tear_down(void **state)
{
	(void)state;
	pools_done(&pools);
	return 0;
}

static void build(u32 backends, u32 workers)
{
	pools_init(&pools, backends);
	pools_build(&pools, workers, 1000);
}

static void build_checked(u32 backends)
{
	pools_init(&pools, backends);
	pools.pools[0].check.type = CONF_CHECK_HTTP;
	pools_build(&pools, 2, 1000);
}

// One probe, begun and ended now.
static void probe(u32 index, enum health_reason reason, u32 status)
{
	struct backend *backend = pools_backend(&pools, index);

	model_check_begin(pools.model, backend, pools.now_ms);
	model_check_end(pools.model, backend, reason, status, 250, pools.now_ms);
}

static void passes(u32 index)
{
	probe(index, HEALTH_NONE, 200);
}

static void fails(u32 index)
{
	probe(index, HEALTH_STATUS, 500);
}

static const struct model_state *state_of(u32 index)
{
	return model_state(pools.model, pools_backend(&pools, index));
}

static struct pool *the_pool(void)
{
	return pools.snapshot->pools[0];
}

static void assert_why(u32 index, enum eligible_why why)
{
	assert_string_equal(eligible_why_text(pools_why(&pools, index)), eligible_why_text(why));
}

static void assert_text(const char *text, const char *expected)
{
	assert_string_equal(text, expected);
}

// ---- Health -------------------------------------------------------------------------------------

static void test_first_pass_lets_in(void **state)
{
	(void)state;
	build_checked(3);
	for (u32 i = 0; i < 3; i++)
		assert_why(i, ELIGIBLE_OK); // nobody is known to be healthy yet
	assert_false(model_is_complete(pools.model));
	passes(0);
	assert_why(0, ELIGIBLE_OK);
	assert_why(1, ELIGIBLE_UNCHECKED);
	assert_int_equal(the_pool()->eligible, 1);
	passes(1);
	assert_why(1, ELIGIBLE_OK);
	fails(2);
	assert_why(2, ELIGIBLE_DOWN);
	assert_true(model_is_complete(pools.model));
	assert_int_equal(pools.heard_count, 3);
	assert_int_equal(pools_heard(&pools, MODEL_HEALTH, "up"), 2);
	assert_int_equal(state_of(0)->latency_us, 250);
	assert_int_equal(state_of(0)->checked_ms, pools.now_ms);
}

static void test_changes_after_whole_streaks(void **state)
{
	const struct model_change *change;
	char room[REASON_BYTES];

	(void)state;
	build_checked(2);
	passes(0);
	passes(1);
	fails(0);
	fails(0);
	assert_why(0, ELIGIBLE_OK);
	fails(0);
	assert_why(0, ELIGIBLE_DOWN);
	change = pools_last(&pools, MODEL_HEALTH);
	assert_text(change->from, "up");
	assert_text(change->to, "down");
	assert_text(change->reason, "unexpected status");
	assert_text(reason_of_change(change, room), "status 500 instead of 200-299");
	assert_text(reason_of_check(change->backend, &state_of(0)->health, room),
		"status 500 instead of 200-299");
	assert_text(reason_of_state(change->backend, state_of(0), MODEL_ENABLED, room),
		"status 500 instead of 200-299");
	assert_int_equal(change->streak, 3);
	assert_in_range(change->next_ms, 4500, 5000);
	assert_int_equal(change->eligible, 1);
	assert_ptr_equal(change->backend, pools_backend(&pools, 0));
	passes(0);
	assert_why(0, ELIGIBLE_DOWN);
	passes(0);
	assert_why(0, ELIGIBLE_OK);
	change = pools_last(&pools, MODEL_HEALTH);
	assert_text(change->to, "up");
	assert_int_equal(change->streak, 2);
	assert_int_equal(change->eligible, 2);
}

static void test_disabled_is_checked_and_never_in(void **state)
{
	(void)state;
	pools_init(&pools, 2);
	pools.pools[0].check.type = CONF_CHECK_HTTP;
	pools.backends[0][0].weight = 0;
	pools_build(&pools, 1, 1000);
	assert_int_equal(model_check_type(pools.model, pools_backend(&pools, 0)), CONF_CHECK_HTTP);
	passes(0);
	assert_why(0, ELIGIBLE_DISABLED);
	assert_int_equal(state_of(0)->health.state, HEALTH_UP);
	assert_why(1, ELIGIBLE_OK); // the one that is up does not count
}

static void test_losing_the_last_hurries_all(void **state)
{
	const struct model_change *change;
	u64 moved;

	(void)state;
	build_checked(3);
	passes(0);
	fails(1);
	passes(2);
	assert_true(model_check_wake_ms(pools.model, pools_backend(&pools, 1)) > 1000 + 4000);
	fails(2);
	fails(2);
	fails(2);
	fails(0);
	fails(0);
	moved = model_checks_moved(pools.model);
	fails(0);
	assert_int_equal(the_pool()->eligible, 0);
	assert_true(model_checks_moved(pools.model) > moved);
	for (u32 i = 0; i < 3; i++)
		assert_in_range(
			model_check_wake_ms(pools.model, pools_backend(&pools, i)), 1000, 2000);
	change = pools_last(&pools, MODEL_POOL);
	assert_non_null(change);
	assert_text(change->to, "unavailable");
	passes(1);
	passes(1);
	assert_int_equal(the_pool()->eligible, 1);
	assert_text(pools_last(&pools, MODEL_POOL)->to, "available");
	assert_int_equal(pools_heard(&pools, MODEL_POOL, NULL), 2);
}

static void test_a_pool_that_begins_empty_is_no_loss(void **state)
{
	(void)state;
	pools_init(&pools, 1);
	pools.backends[0][0].addr.family = ADDR_NONE;
	pools.backends[0][0].host = STR("name");
	pools_build(&pools, 1, 1000);
	assert_int_equal(the_pool()->eligible, 0);
	model_resolved(pools.model, pools_backend(&pools, 0), true, 1000);
	assert_int_equal(the_pool()->eligible, 1);
	assert_int_equal(pools.heard_count, 0);
}

// ---- Names --------------------------------------------------------------------------------------

static void test_names(void **state)
{
	struct backend *backend;
	u64 moved;

	(void)state;
	pools_init(&pools, 2);
	pools.pools[0].check.type = CONF_CHECK_HTTP;
	pools.backends[0][0].addr.family = ADDR_NONE;
	pools.backends[0][0].host = STR("name");
	pools_build(&pools, 1, 1000);
	backend = pools_backend(&pools, 0);
	assert_why(0, ELIGIBLE_UNRESOLVED);
	assert_int_equal(model_check_type(pools.model, backend), CONF_CHECK_NONE);
	assert_true(model_check_wake_ms(pools.model, backend) == UINT64_MAX);
	passes(1);
	assert_true(model_is_complete(pools.model)); // what has no address is not checked
	model_resolved(pools.model, backend, false, 1100);
	assert_true(model_is_complete(pools.model));
	moved = model_checks_moved(pools.model);
	assert_int_equal(addr_parse(STR("10.9.9.9:80"), &backend->addr), 0);
	model_resolved(pools.model, backend, true, 1200);
	assert_true(model_checks_moved(pools.model) > moved);
	assert_int_equal(model_check_wake_ms(pools.model, backend), 1200);
	assert_false(model_is_complete(pools.model));
	assert_why(0, ELIGIBLE_UNCHECKED);
	passes(0);
	assert_true(model_is_complete(pools.model));
	assert_why(0, ELIGIBLE_OK);
	model_resolved(pools.model, backend, false, 1300);
	assert_why(0, ELIGIBLE_UNRESOLVED);
	assert_text(pools_last(&pools, MODEL_HEALTH)->to, "unknown");
	assert_text(pools_last(&pools, MODEL_HEALTH)->reason, "its name has no address");
}

static void test_a_probe_of_another_address_says_nothing(void **state)
{
	struct backend *backend;

	(void)state;
	build_checked(2);
	backend = pools_backend(&pools, 0);
	passes(1);
	model_check_begin(pools.model, backend, 1000);
	model_resolved(pools.model, backend, false, 1010);
	model_resolved(pools.model, backend, true, 1020);
	model_check_end(pools.model, backend, HEALTH_NONE, 200, 1, 1030);
	assert_int_equal(state_of(0)->health.state, HEALTH_UNKNOWN);
	assert_false(model_is_complete(pools.model));
	assert_int_equal(model_check_wake_ms(pools.model, backend), 1020); // due
	pools.now_ms = 1040;
	passes(0);
	assert_why(0, ELIGIBLE_OK);
	assert_true(model_is_complete(pools.model));
}

// ---- Which check --------------------------------------------------------------------------------

static void build_auto(u32 backends)
{
	pools_init(&pools, backends);
	pools.pools[0].check.type = CONF_CHECK_AUTO;
	pools_build(&pools, 1, 1000);
}

static void test_auto_becomes_tcp(void **state)
{
	(void)state;
	build_auto(2);
	probe(0, HEALTH_STATUS, 404);
	assert_int_equal(state_of(0)->health.state, HEALTH_UP); // as good as a connection
	assert_int_equal(model_check_type(pools.model, pools_backend(&pools, 1)), CONF_CHECK_HTTP);
	assert_int_equal(model_pool_state(pools.model, the_pool()).check_type, CONF_CHECK_AUTO);
	probe(1, HEALTH_STATUS, 501);
	assert_int_equal(model_check_type(pools.model, pools_backend(&pools, 0)), CONF_CHECK_TCP);
	assert_int_equal(model_pool_state(pools.model, the_pool()).check_type, CONF_CHECK_TCP);
	assert_int_equal(pools_heard(&pools, MODEL_CHECK_TYPE, "tcp"), 1);
	probe(0, HEALTH_NONE, 0);
	assert_int_equal(state_of(0)->health.streak, 2);
}

static void test_auto_becomes_http(void **state)
{
	(void)state;
	build_auto(2);
	probe(0, HEALTH_STATUS, 404);
	probe(1, HEALTH_NONE, 204);
	assert_int_equal(pools_heard(&pools, MODEL_CHECK_TYPE, "http"), 1);
	probe(0, HEALTH_STATUS, 404);
	assert_int_equal(state_of(0)->health.reason, HEALTH_STATUS);
	probe(0, HEALTH_STATUS, 404);
	probe(0, HEALTH_STATUS, 404);
	assert_why(0, ELIGIBLE_DOWN);
}

static void test_auto_waits_for_all(void **state)
{
	(void)state;
	build_auto(3);
	probe(0, HEALTH_STATUS, 404);
	probe(1, HEALTH_CONNECTION_REFUSED, 0);
	probe(2, HEALTH_STATUS, 404);
	assert_why(1, ELIGIBLE_DOWN);
	assert_int_equal(pools_heard(&pools, MODEL_CHECK_TYPE, NULL), 0);
	probe(2, HEALTH_STATUS, 500); // ill, and no longer without a page
	probe(1, HEALTH_STATUS, 404);
	assert_int_equal(pools_heard(&pools, MODEL_CHECK_TYPE, NULL), 0);
	assert_int_equal(state_of(2)->health.streak, 1);
	probe(2, HEALTH_STATUS, 404);
	assert_int_equal(pools_heard(&pools, MODEL_CHECK_TYPE, "tcp"), 1);
}

// TCP frontends' backends speak whatever they like; what takes over from them, too.
static void test_auto_of_tcp_frontends(void **state)
{
	static const struct conf_frontend frontends[] = {
		{.protocol = CONF_TCP, .pool = 0},
		{.protocol = CONF_TCP, .pool = 2},
		{.protocol = CONF_HTTP, .pool = 2},
	};

	(void)state;
	pools_init(&pools, 1);
	for (u32 i = 1; i < 4; i++)
		pools_add(&pools, 1);
	for (u32 i = 0; i < 4; i++)
		pools.pools[i].check.type = CONF_CHECK_AUTO;
	pools.pools[0].failover = 1;
	pools.conf.frontends = frontends;
	pools.conf.frontend_count = 3;
	pools_build(&pools, 1, 1000);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(
			model_check_type(pools.model, &pools.snapshot->pools[i]->backends[0]),
			i < 2 ? CONF_CHECK_TCP : CONF_CHECK_HTTP);
	assert_int_equal(pools.heard_count, 0);
}

// ---- Ejections ----------------------------------------------------------------------------------

static void test_suspect(void **state)
{
	const struct model_change *change;
	u64 moved;

	(void)state;
	build_checked(2);
	passes(0);
	passes(1);
	moved = model_checks_moved(pools.model);
	pools_eject(&pools, 0, EJECTION_REFUSED);
	assert_why(0, ELIGIBLE_DOWN);
	assert_true(model_checks_moved(pools.model) > moved);
	assert_true(model_check_wake_ms(pools.model, pools_backend(&pools, 0)) <= 2000);
	change = pools_last(&pools, MODEL_HEALTH);
	assert_text(change->reason, "connection refused"); // as a check would say
	assert_int_equal(change->streak, 3);
	assert_in_range(change->next_ms, 900, 1000);
	pools_eject(&pools, 0, EJECTION_CONNECT); // of another worker
	assert_int_equal(pools_heard(&pools, MODEL_HEALTH, "down"), 1);
	assert_int_equal(state_of(0)->health.reason, HEALTH_CONNECT_FAILED);
	passes(0);
	assert_why(0, ELIGIBLE_DOWN);
	passes(0);
	assert_why(0, ELIGIBLE_OK);
	assert_int_equal(pools_heard(&pools, MODEL_EJECTED, NULL), 0);
}

static void test_ejection_without_checks(void **state)
{
	const struct model_change *change;
	char room[REASON_BYTES];

	(void)state;
	build(2, 2);
	pools_eject(&pools, 0, EJECTION_CONNECT);
	assert_why(0, ELIGIBLE_REFUSES);
	change = pools_last(&pools, MODEL_EJECTED);
	assert_text(change->reason, "connect failed");
	assert_text(reason_of_state(change->backend, state_of(0), MODEL_ENABLED, room),
		"connect failed");
	assert_int_equal(change->streak, 3);
	assert_int_equal(change->next_ms, 30 * 1000);
	assert_int_equal(change->eligible, 1);
	pools_run(&pools, 1000 + 29 * 1000 + 900);
	assert_why(0, ELIGIBLE_REFUSES);
	pools_run(&pools, 1000 + 30 * 1000);
	assert_why(0, ELIGIBLE_OK);
	assert_text(pools_last(&pools, MODEL_RETURNED)->reason, "its time is over");
	assert_int_equal(pools_last(&pools, MODEL_RETURNED)->eligible, 2);
	pools_eject(&pools, 0, EJECTION_CONNECT);
	assert_int_equal(pools_last(&pools, MODEL_EJECTED)->next_ms, 60 * 1000);
	pools_run(&pools, pools.now_ms + 60 * 1000);
	pools_run(&pools, pools.now_ms + 90 * 1000); // of good conduct
	pools_eject(&pools, 0, EJECTION_CONNECT);
	assert_int_equal(pools_last(&pools, MODEL_EJECTED)->next_ms, 30 * 1000);
}

static void test_who_fails_checks_does_not_return_by_time(void **state)
{
	(void)state;
	build_checked(3);
	for (u32 i = 0; i < 3; i++)
		passes(i);
	pools_eject(&pools, 0, EJECTION_TIMEOUTS);
	// It is checked soon: at its fast interval, not after five seconds.
	assert_in_range(model_check_wake_ms(pools.model, pools_backend(&pools, 0)), 1000, 2000);
	fails(0);
	assert_why(0, ELIGIBLE_EJECTED);
	pools_run(&pools, 1000 + 30 * 1000 + 500);
	assert_why(0, ELIGIBLE_EJECTED); // its time is over, and its last check failed
	passes(0);
	pools_run(&pools, pools.now_ms + 1100);
	assert_why(0, ELIGIBLE_OK);
	pools_eject(&pools, 0, EJECTION_TIMEOUTS);
	for (u32 i = 0; i < 3; i++)
		fails(0);
	assert_why(0, ELIGIBLE_DOWN);
	pools_run(&pools, pools.now_ms + 61 * 1000);
	assert_false(ejection_is_out(&state_of(0)->ejection)); // its checks say enough
	assert_why(0, ELIGIBLE_DOWN);
}

static void test_ejection_is_bounded(void **state)
{
	(void)state;
	build(5, 1);
	for (u32 i = 0; i < 5; i++)
		pools_eject(&pools, i, EJECTION_ERRORS);
	assert_int_equal(pools_heard(&pools, MODEL_EJECTED, NULL), 2);
	assert_int_equal(the_pool()->eligible, 3);
	assert_why(1, ELIGIBLE_EJECTED);
	assert_why(2, ELIGIBLE_OK);
	for (u32 i = 2; i < 5; i++)
		pools_eject(&pools, i, EJECTION_CONNECT); // they could not serve anyway
	assert_int_equal(pools_heard(&pools, MODEL_EJECTED, NULL), 5);
	assert_why(2, ELIGIBLE_REFUSES);
	assert_why(1, ELIGIBLE_PANIC);
}

// Backends of a large pool that fail within one turn are judged together; the share holds all the
// same, and the next tick publishes what was left.
static void test_a_storm_is_judged_together(void **state)
{
	u64 generation;

	(void)state;
	build(2000, 4);
	pools_run(&pools, 2000);
	generation = the_pool()->generation;
	for (u32 i = 0; i < 2000; i++)
		pools_eject(&pools, i, EJECTION_TIMEOUTS);
	assert_int_equal(the_pool()->generation, generation + 1);
	assert_int_equal(the_pool()->eligible, 1999);
	pools_run(&pools, 2100);
	assert_int_equal(the_pool()->generation, generation + 2);
	assert_int_equal(the_pool()->eligible, 1000);
	assert_int_equal(pools_heard(&pools, MODEL_EJECTED, NULL), 1000);
	assert_int_equal(pools_last(&pools, MODEL_EJECTED)->eligible, 1000);
}

static void test_passed_checks_forgive_refusals(void **state)
{
	struct backend *backend;

	(void)state;
	pools_init(&pools, 2);
	pools.pools[0].check.type = CONF_CHECK_TCP;
	pools_build(&pools, 1, 1000);
	backend = pools_backend(&pools, 0);
	model_resolved(pools.model, backend, false, 1000);
	pools_eject(&pools, 0, EJECTION_CONNECT); // nobody probes it now
	assert_int_equal(pools_heard(&pools, MODEL_EJECTED, NULL), 1);
	model_resolved(pools.model, backend, true, 1000);
	assert_why(0, ELIGIBLE_REFUSES);
	probe(0, HEALTH_NONE, 0);
	assert_why(0, ELIGIBLE_OK);
	assert_text(pools_last(&pools, MODEL_RETURNED)->reason, "its checks pass");
}

static void test_panic(void **state)
{
	(void)state;
	pools_init(&pools, 4);
	pools.pools[0].panic_percent = 60;
	pools_build(&pools, 1, 1000);
	pools_eject(&pools, 0, EJECTION_ERRORS);
	assert_why(0, ELIGIBLE_EJECTED);
	pools_eject(&pools, 1, EJECTION_ERRORS);
	assert_why(0, ELIGIBLE_PANIC);
	assert_int_equal(the_pool()->eligible, 4);
	assert_true(model_pool_state(pools.model, the_pool()).judged.panic);
	assert_int_equal(pools_heard(&pools, MODEL_PANIC, "panic"), 1);
	pools_run(&pools, 31 * 1000);
	assert_int_equal(pools_heard(&pools, MODEL_PANIC, "normal"), 1);
	assert_why(0, ELIGIBLE_OK);
}

// ---- Slow start ---------------------------------------------------------------------------------

static u32 share_of(u32 index)
{
	return pools_backend(&pools, index)->share;
}

static void test_slow_start(void **state)
{
	u32 last = SLOW_START_FLOOR, steps = 0;
	u64 generation;

	(void)state;
	pools_init(&pools, 3);
	pools.pools[0].slow_start_ms = 18 * 1000;
	pools.backends[0][1].slow_start_ms = 1800;
	pools_build(&pools, 1, 1000);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(share_of(i), SLOW_START_WHOLE); // not at the start of the process
	pools_eject(&pools, 0, EJECTION_CONNECT);
	assert_int_equal(share_of(0), SLOW_START_WHOLE);
	pools_run(&pools, 31 * 1000);
	assert_why(0, ELIGIBLE_OK);
	assert_int_equal(share_of(0), SLOW_START_FLOOR);
	assert_int_equal(state_of(0)->slow_start_ms, 31 * 1000);
	generation = the_pool()->generation;
	for (u64 now_ms = 31 * 1000; now_ms < 48 * 1000; now_ms += 100) {
		pools_run(&pools, now_ms);
		assert_in_range(share_of(0), last, last + 1);
		assert_int_equal(share_of(0), slow_start_share(now_ms - 31 * 1000, 18 * 1000));
		steps += share_of(0) != last;
		last = share_of(0);
	}
	assert_int_equal(the_pool()->generation - generation, steps);
	pools_run(&pools, 49 * 1000);
	assert_int_equal(share_of(0), SLOW_START_WHOLE);
	assert_int_equal(state_of(0)->slow_start_ms, 0);
	pools_eject(&pools, 1, EJECTION_CONNECT);
	pools_run(&pools, pools.now_ms + 30 * 1000 + 900);
	assert_int_equal(share_of(1), slow_start_share(900, 1800)); // its own ramp
	pools_eject(&pools, 1, EJECTION_CONNECT);
	assert_int_equal(share_of(1), SLOW_START_WHOLE); // out, and no longer on the ramp
	assert_int_equal(state_of(1)->slow_start_ms, 0);
}

static void test_first_checks_are_no_return(void **state)
{
	(void)state;
	pools_init(&pools, 3);
	pools.pools[0].check.type = CONF_CHECK_HTTP;
	pools.pools[0].slow_start_ms = 18 * 1000;
	pools_build(&pools, 1, 1000);
	passes(0);
	assert_why(1, ELIGIBLE_UNCHECKED);
	passes(1);
	assert_int_equal(share_of(1), SLOW_START_WHOLE);
	fails(2);
	passes(2);
	passes(2);
	assert_int_equal(share_of(2), SLOW_START_FLOOR); // this one was down
}

// ---- Breakers -----------------------------------------------------------------------------------

// As a worker does when it wants to try a half-open backend.
static bool take_trial(u32 index)
{
	struct backend *backend = pools_backend(&pools, index);
	u32 left = backend->trials;

	if (left == 0 || backend_why(backend) != ELIGIBLE_TRIAL)
		return false;
	return atomic_compare_exchange_strong(&backend->trials, &left, left - 1);
}

static struct cell *cell(u32 worker, u32 index)
{
	return &pools.snapshot->cells[worker][pools_backend(&pools, index)->cell];
}

static void trial_good(u32 worker, u32 index)
{
	cell_add(&cell(worker, index)->trials_good, 1);
	pools_look(&pools, index);
}

static void trial_bad(u32 worker, u32 index)
{
	cell_add(&cell(worker, index)->trials_bad, 1);
	pools.snapshot->pools[0]->cells[worker].failures++;
	pools_look(&pools, index);
}

static void open_breaker(u32 index)
{
	for (u32 i = 0; i < 5; i++)
		pools_bad(&pools, i % pools.snapshot->worker_count, index);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(index, ELIGIBLE_BREAKER_OPEN);
}

static void test_breaker_life(void **state)
{
	const struct model_change *change;
	u32 epoch;

	(void)state;
	build(3, 2);
	epoch = pools_backend(&pools, 0)->epoch;
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, i % 2, 0);
	pools_run(&pools, 1100);
	assert_why(0, ELIGIBLE_OK);
	pools_bad(&pools, 1, 0);
	pools_run(&pools, 1200);
	assert_why(0, ELIGIBLE_BREAKER_OPEN);
	assert_true(pools_backend(&pools, 0)->epoch != epoch);
	change = pools_last(&pools, MODEL_BREAKER);
	assert_text(change->from, "closed");
	assert_text(change->to, "open");
	assert_text(change->reason, "failures in a row");
	assert_int_equal(change->streak, 5);
	assert_int_equal(change->next_ms, 30 * 1000);
	assert_int_equal(change->eligible, 2);
	pools_run(&pools, 31 * 1000 + 100);
	assert_why(0, ELIGIBLE_BREAKER_OPEN);
	assert_false(take_trial(0));
	pools_run(&pools, 31 * 1000 + 200);
	assert_why(0, ELIGIBLE_TRIAL);
	assert_int_equal(pools_heard(&pools, MODEL_BREAKER, "half_open"), 1);
	assert_true(take_trial(0));
	assert_false(take_trial(0)); // one at a time
	pools_run(&pools, 31 * 1000 + 500);
	assert_false(take_trial(0)); // it still runs
	trial_good(1, 0);
	assert_true(take_trial(0));
	trial_good(0, 0);
	assert_why(0, ELIGIBLE_OK);
	assert_text(pools_last(&pools, MODEL_BREAKER)->to, "closed");
	assert_int_equal(pools_backend(&pools, 0)->trials, 0);
}

static void test_a_bad_trial_opens_for_longer(void **state)
{
	(void)state;
	build(3, 2);
	open_breaker(0);
	pools_run(&pools, pools.now_ms + 30 * 1000);
	assert_true(take_trial(0));
	trial_bad(0, 0);
	assert_why(0, ELIGIBLE_BREAKER_OPEN);
	assert_text(pools_last(&pools, MODEL_BREAKER)->reason, "a trial request failed");
	assert_int_equal(pools_last(&pools, MODEL_BREAKER)->next_ms, 60 * 1000);
}

static void test_a_void_trial_frees_its_place(void **state)
{
	(void)state;
	build(3, 2);
	open_breaker(0);
	pools_run(&pools, pools.now_ms + 30 * 1000);
	assert_true(take_trial(0));
	cell_add(&cell(0, 0)->trials_void, 1);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_TRIAL);
	assert_true(take_trial(0));
}

// Trials that run when the state moves on are neither waited for in the next one, nor do their late
// ends break it.
static void test_tokens_do_not_leak(void **state)
{
	(void)state;
	pools_init(&pools, 3);
	pools.pools[0].breaker.trials_max = 2;
	pools_build(&pools, 2, 1000);
	open_breaker(0);
	pools_run(&pools, pools.now_ms + 30 * 1000);
	assert_true(take_trial(0));
	assert_true(take_trial(0));
	trial_bad(0, 0);
	pools_run(&pools, pools.now_ms + 60 * 1000);
	assert_why(0, ELIGIBLE_TRIAL);
	assert_int_equal(pools_backend(&pools, 0)->trials, 2);
	for (u32 i = 0; i < 5; i++) // strays: nothing of this epoch has begun
		cell_add(&cell(1, 0)->trials_good, 1);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_TRIAL);
	assert_int_equal(pools_backend(&pools, 0)->trials, 2);
	assert_true(take_trial(0));
	pools_run(&pools, pools.now_ms + 100);
	assert_int_equal(pools_backend(&pools, 0)->trials, 1); // the other one
	trial_good(0, 0);
	assert_true(take_trial(0));
	trial_good(0, 0);
	assert_why(0, ELIGIBLE_OK);
}

static void test_one_good_ends_the_row(void **state)
{
	(void)state;
	build(3, 3);
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, 0, 0);
	pools_good(&pools, 1, 0);
	pools_bad(&pools, 1, 0); // one, after a good one, with worker 1; 4 with worker 0
	pools_run(&pools, 1100);
	assert_why(0, ELIGIBLE_BREAKER_OPEN); // nothing says that the good one was not first
	pools_done(&pools);
	build(3, 3);
	for (u32 i = 0; i < 10; i++) {
		for (u32 j = 0; j < 4; j++)
			pools_bad(&pools, i % 3, 1);
		pools_good(&pools, i % 3, 1);
		pools_run(&pools, pools.now_ms + 100);
		assert_why(1, ELIGIBLE_OK);
	}
	// What worker 0 has met since its last good one was counted long ago.
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, 0, 2);
	pools_run(&pools, pools.now_ms + 100);
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, 1, 2);
	pools_good(&pools, 1, 2);
	pools_run(&pools, pools.now_ms + 100);
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, 1, 2);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(2, ELIGIBLE_OK);
	pools_bad(&pools, 2, 2);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(2, ELIGIBLE_BREAKER_OPEN);
}

// A pool whose workers say that nothing has failed is not looked at.
static void test_looks_only_when_told(void **state)
{
	(void)state;
	build(5, 2);
	cell_add(&cell(1, 0)->bad, 5);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_OK);
	the_pool()->cells[0].failures++;
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_OK); // another worker's
	the_pool()->cells[1].failures++;
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_BREAKER_OPEN);
	pools_run(&pools, pools.now_ms + 200);
	cell_add(&cell(1, 1)->bad, 5);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(1, ELIGIBLE_OK); // what was seen is no news
}

static void test_breakers_are_bounded(void **state)
{
	(void)state;
	build(4, 1);
	for (u32 i = 0; i < 4; i++)
		for (u32 j = 0; j < 9; j++)
			pools_bad(&pools, 0, i);
	pools_run(&pools, 1100);
	assert_int_equal(pools_heard(&pools, MODEL_BREAKER, "open"), 2);
	assert_int_equal(the_pool()->eligible, 2);
}

static void test_share_of_failures(void **state)
{
	(void)state;
	pools_init(&pools, 3);
	pools.pools[0].breaker.failure_threshold = 0;
	pools.pools[0].breaker.error_percent = 20;
	pools_build(&pools, 2, 1000);
	for (u32 i = 0; i < 300; i++) { // 10 %, for longer than the window
		for (u32 j = 0; j < 9; j++)
			pools_good(&pools, i % 2, 0);
		pools_bad(&pools, (i + 1) % 2, 0);
		pools_run(&pools, pools.now_ms + 100);
		assert_why(0, ELIGIBLE_OK);
	}
	// Long without failures, and then none but: what was long ago does not hide them.
	for (u32 i = 0; i < 10; i++)
		for (u32 j = 0; j < 5000; j++)
			pools_good(&pools, 0, 1);
	pools_run(&pools, pools.now_ms + 20 * 1000);
	for (u32 i = 0; i < 21; i++)
		pools_bad(&pools, 0, 1);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(1, ELIGIBLE_BREAKER_OPEN);
	assert_text(pools_last(&pools, MODEL_BREAKER)->reason, "share of failures in the window");
	assert_int_equal(pools_last(&pools, MODEL_BREAKER)->streak, 0);
}

static void test_counts_wrap(void **state)
{
	(void)state;
	pools_init(&pools, 3);
	pools_build(&pools, 2, 1000);
	for (u32 worker = 0; worker < 2; worker++) {
		cell(worker, 0)->good = UINT32_MAX - 10;
		cell(worker, 0)->bad = UINT32_MAX - 2;
	}
	model_force_breaker(
		pools.model, pools_backend(&pools, 0), BREAKER_FORCED_OPEN, pools.now_ms);
	model_force_breaker(pools.model, pools_backend(&pools, 0), BREAKER_AUTOMATIC, pools.now_ms);
	assert_why(0, ELIGIBLE_OK);
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, 0, 0);
	pools_run(&pools, 1100);
	assert_why(0, ELIGIBLE_OK);
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, 1, 0);
	pools_run(&pools, 1200);
	assert_why(0, ELIGIBLE_BREAKER_OPEN);
	assert_int_equal(pools_last(&pools, MODEL_BREAKER)->streak, 8);
}

static void test_forced(void **state)
{
	struct backend *backend;

	(void)state;
	build(3, 1);
	backend = pools_backend(&pools, 0);
	model_force_breaker(pools.model, backend, BREAKER_FORCED_OPEN, pools.now_ms);
	assert_why(0, ELIGIBLE_HELD_OPEN);
	assert_int_equal(pools_last(&pools, MODEL_BREAKER)->next_ms, 0);
	pools_run(&pools, pools.now_ms + 600 * 1000);
	assert_why(0, ELIGIBLE_HELD_OPEN);
	model_force_breaker(pools.model, backend, BREAKER_FORCED_CLOSED, pools.now_ms);
	assert_why(0, ELIGIBLE_OK);
	for (u32 i = 0; i < 20; i++)
		pools_bad(&pools, 0, 0);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_OK);
	model_force_breaker(pools.model, backend, BREAKER_AUTOMATIC, pools.now_ms);
	for (u32 i = 0; i < 4; i++)
		pools_bad(&pools, 0, 0);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_OK); // what was before is forgotten
	pools_bad(&pools, 0, 0);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_BREAKER_OPEN);
}

// The rest is ejected, and the pool panics: who is held open by order stays out of it.
static void test_forced_in_a_panic(void **state)
{
	(void)state;
	build(3, 1);
	for (u32 i = 0; i < 5; i++)
		pools_bad(&pools, 0, 0);
	pools_run(&pools, pools.now_ms + 100);
	assert_why(0, ELIGIBLE_BREAKER_OPEN);
	for (u32 i = 0; i < 2; i++) // 0 was open by itself before
		model_force_breaker(
			pools.model, pools_backend(&pools, i), BREAKER_FORCED_OPEN, pools.now_ms);
	assert_why(0, ELIGIBLE_HELD_OPEN);
	assert_why(1, ELIGIBLE_HELD_OPEN);
	assert_why(2, ELIGIBLE_OK);
	assert_false(model_pool_state(pools.model, the_pool()).judged.panic);
	model_force_breaker(pools.model, pools_backend(&pools, 0), BREAKER_AUTOMATIC, pools.now_ms);
	assert_why(0, ELIGIBLE_OK);
}

// ---- Outliers -----------------------------------------------------------------------------------

static void test_outliers(void **state)
{
	(void)state;
	pools_init(&pools, 6);
	pools.pools[0].success_rate.enabled = true;
	pools.pools[0].breaker.failure_threshold = 0;
	pools_build(&pools, 3, 1000);
	pools_run(&pools, 1100);
	for (u32 i = 0; i < 6; i++)
		for (u32 j = 0; j < 300; j++) {
			if (i == 4 && j % 5 == 0)
				pools_bad(&pools, j % 3, i);
			else
				pools_good(&pools, j % 3, i);
		}
	pools_run(&pools, 11 * 1000);
	assert_int_equal(the_pool()->eligible, 6);
	pools_run(&pools, 11 * 1000 + 100);
	assert_why(4, ELIGIBLE_EJECTED);
	assert_int_equal(the_pool()->eligible, 5);
	assert_text(pools_last(&pools, MODEL_EJECTED)->reason, "success rate below the others'");
	pools_run(&pools, 60 * 1000); // without requests in the intervals that follow
	assert_int_equal(pools_heard(&pools, MODEL_EJECTED, NULL), 1);
	assert_int_equal(the_pool()->eligible, 6);
	for (u32 i = 0; i < 6; i++) // each interval by itself: what was good before does not help
		for (u32 j = 0; j < 110; j++) {
			if (i == 3 && j % 10 == 0)
				pools_bad(&pools, j % 3, i);
			else
				pools_good(&pools, j % 3, i);
		}
	pools_run(&pools, 71 * 1000);
	assert_why(3, ELIGIBLE_EJECTED);
	assert_int_equal(pools_heard(&pools, MODEL_EJECTED, NULL), 2);
}

// ---- Publishing ---------------------------------------------------------------------------------

static void test_orders(void **state)
{
	(void)state;
	pools_init(&pools, 3);
	pools.backends[0][2].is_backup = true;
	pools_build(&pools, 1, 1000);
	assert_why(2, ELIGIBLE_BACKUP);
	assert_int_equal(the_pool()->eligible, 2);
	assert_int_equal(pools.heard_count, 0);
	model_give_order(pools.model, pools_backend(&pools, 0), MODEL_DRAINED, 1000);
	assert_why(0, ELIGIBLE_DRAINING);
	pools_eject(&pools, 1, EJECTION_CONNECT);
	assert_why(2, ELIGIBLE_OK);
	model_give_order(pools.model, pools_backend(&pools, 0), MODEL_ENABLED, 1000);
	assert_why(0, ELIGIBLE_OK);
	assert_why(2, ELIGIBLE_BACKUP);
}

static void test_publishes_only_what_changed(void **state)
{
	u64 generation;

	(void)state;
	build_checked(3);
	for (u32 i = 0; i < 3; i++)
		passes(i);
	generation = the_pool()->generation;
	for (u32 round = 0; round < 50; round++) {
		for (u32 i = 0; i < 3; i++)
			passes(i);
		fails(0); // no streak
		passes(0);
		pools_run(&pools, pools.now_ms + 100);
	}
	assert_int_equal(the_pool()->generation, generation);
	assert_int_equal(pools.heard_count, 3);
	pools_done(&pools);
	build_checked(1);
	generation = the_pool()->generation;
	passes(0); // known now, and in as before
	assert_int_equal(pools.heard_count, 1);
	assert_int_equal(the_pool()->generation, generation);
}

static void test_old_views_wait_for_workers(void **state)
{
	struct pool *pool;

	(void)state;
	build(3, 2);
	pool = the_pool();
	assert_true(model_tick(pools.model, 1100));
	pools_eject(&pools, 0, EJECTION_CONNECT);
	assert_false(model_tick(pools.model, 1200));
	pool->cells[0].seen = pool->generation;
	assert_false(model_tick(pools.model, 1300));
	pool->cells[1].seen = pool->generation;
	assert_true(model_tick(pools.model, 1400));
}

// Whatever happens in whatever order: nobody is out beyond the share, what is published is what
// eligible_judge makes of the states, and trials stay bounded.
static void check_pool(u64 seed)
{
	struct eligible_facts facts[8];
	struct eligible_pool judged;
	u32 count = the_pool()->backend_count, eligible = 0;
	u8 why[8];

	for (u32 i = 0; i < count; i++) {
		const struct model_state *state = state_of(i);
		struct backend *backend = pools_backend(&pools, i);

		facts[i] = (struct eligible_facts){.enabled = backend->weight > 0,
			.draining = state->why == ELIGIBLE_DRAINING,
			.resolved = true,
			.checked = state->checked,
			.backup = backend->conf->is_backup,
			.health = state->health.state,
			.ejection = state->ejection.why,
			.breaker = state->breaker.state};
		if (backend->trials > 2 || (backend->trials && state->breaker.state != 2))
			fail_msg("seed %llu: %u trials", (unsigned long long)seed, backend->trials);
		if (state->breaker.epoch != backend->epoch)
			fail_msg("seed %llu: epoch", (unsigned long long)seed);
	}
	judged = eligible_judge(facts, count, 50, why);
	for (u32 i = 0; i < count; i++) {
		if (why[i] != pools_why(&pools, i))
			fail_msg("seed %llu: %u is %s, published %s", (unsigned long long)seed, i,
				eligible_why_text(why[i]), eligible_why_text(pools_why(&pools, i)));
		eligible += eligible_is_in(why[i]);
	}
	if (eligible != the_pool()->eligible || judged.share.ejected * 2 > judged.share.total)
		fail_msg("seed %llu: %u eligible, %u of %u ejected", (unsigned long long)seed,
			eligible, judged.share.ejected, judged.share.total);
}

static void act(struct rng *rng, u32 *held)
{
	u32 count = the_pool()->backend_count, at = rng_below(rng, count);
	u32 worker = rng_below(rng, 3);

	switch (rng_below(rng, 9)) {
	case 0:
	case 1:
		if (state_of(at)->checked)
			probe(at, rng_one_in(rng, 2) ? HEALTH_NONE : HEALTH_CONNECTION_REFUSED, 0);
		break;
	case 2:
		pools_eject(&pools, at, (enum ejection_why)(1 + rng_below(rng, EJECTION_OUTLIER)));
		break;
	case 3:
		for (u32 i = rng_below(rng, 8); i > 0; i--)
			pools_bad(&pools, worker, at);
		break;
	case 4:
		pools_good(&pools, worker, at);
		break;
	case 5:
		*held += take_trial(at);
		break;
	case 6: // perhaps of an epoch that is over, perhaps one that never was
		if (rng_one_in(rng, 3))
			trial_bad(worker, at);
		else
			trial_good(worker, at);
		break;
	case 7:
		cell_add(&cell(worker, at)->trials_void, 1);
		pools_look(&pools, at);
		break;
	default:
		pools_run(&pools, pools.now_ms + rng_below(rng, 20 * 1000));
	}
}

static void test_any_order(void **state)
{
	u32 held = 0, ejected = 0, moved = 0;

	(void)state;
	for (u64 seed = 0; seed < 300; seed++) {
		struct rng rng;

		rng_init(&rng, seed);
		pools_init(&pools, 3 + rng_below(&rng, 5));
		pools.pools[0].check.type = rng_one_in(&rng, 2) ? CONF_CHECK_TCP : CONF_CHECK_NONE;
		pools.pools[0].breaker.trials_max = 2;
		pools.pools[0].breaker.error_percent = rng_below(&rng, 2) * 30;
		pools.pools[0].slow_start_ms = rng_below(&rng, 2) * 20000;
		pools.backends[0][0].is_backup = rng_one_in(&rng, 3);
		pools_build(&pools, 3, 1000);
		for (u32 i = 0; i < 400; i++) {
			act(&rng, &held);
			check_pool(seed);
		}
		ejected += pools_heard(&pools, MODEL_EJECTED, NULL);
		moved += pools_heard(&pools, MODEL_BREAKER, "closed");
		if (seed + 1 < 300)
			pools_done(&pools);
	}
	assert_true(held > 100 && ejected > 1000 && moved > 30); // the run was about something
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_pass_lets_in),
		TEST(test_changes_after_whole_streaks),
		TEST(test_disabled_is_checked_and_never_in),
		TEST(test_losing_the_last_hurries_all),
		TEST(test_a_pool_that_begins_empty_is_no_loss),
		TEST(test_names),
		TEST(test_a_probe_of_another_address_says_nothing),
		TEST(test_auto_becomes_tcp),
		TEST(test_auto_becomes_http),
		TEST(test_auto_waits_for_all),
		TEST(test_auto_of_tcp_frontends),
		TEST(test_suspect),
		TEST(test_ejection_without_checks),
		TEST(test_who_fails_checks_does_not_return_by_time),
		TEST(test_ejection_is_bounded),
		TEST(test_a_storm_is_judged_together),
		TEST(test_passed_checks_forgive_refusals),
		TEST(test_panic),
		TEST(test_slow_start),
		TEST(test_first_checks_are_no_return),
		TEST(test_breaker_life),
		TEST(test_a_bad_trial_opens_for_longer),
		TEST(test_a_void_trial_frees_its_place),
		TEST(test_tokens_do_not_leak),
		TEST(test_one_good_ends_the_row),
		TEST(test_looks_only_when_told),
		TEST(test_breakers_are_bounded),
		TEST(test_share_of_failures),
		TEST(test_counts_wrap),
		TEST(test_forced),
		TEST(test_forced_in_a_panic),
		TEST(test_outliers),
		TEST(test_orders),
		TEST(test_publishes_only_what_changed),
		TEST(test_old_views_wait_for_workers),
		TEST(test_any_order),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
