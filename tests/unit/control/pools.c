// SPDX-License-Identifier: Apache-2.0
#include "pools.h"

#include <string.h>

#include "base/mem.h"

static const struct conf_statuses ok_statuses = {200, 299};

static struct conf_pool pool_defaults(void)
{
	struct conf_pool pool = {
		.algorithm = CONF_ROUND_ROBIN,
		.failover = -1,
		.check = {.type = CONF_CHECK_NONE,
			.rules = {.healthy_threshold = 2,
				.unhealthy_threshold = 3,
				.interval_ms = 5000,
				.fast_interval_ms = 1000,
				.timeout_ms = 2000,
				.jitter_percent = 10},
			.path = STR("/health"),
			.method = STR("GET"),
			.expect = {.statuses = &ok_statuses, .status_count = 1}},
		.breaker = {.failure_threshold = 5,
			.requests_min = 20,
			.window_ms = 10 * 1000,
			.success_threshold = 2,
			.trials_max = 1,
			.open_ms = 30 * 1000,
			.open_ms_max = 300 * 1000,
			.share_percent = 50},
		.ejection = {.connect_failures = 3,
			.base_ms = 30 * 1000,
			.max_ms = 300 * 1000,
			.share_percent = 50},
		.panic_percent = 50,
	};

	pool.success_rate.interval_ms = 10 * 1000;
	pool.success_rate.rules = (struct outlier_rules){.backends_min = 5,
		.requests_min = 100,
		.factor_thousandths = 1900,
		.margin_percent = 5};
	return pool;
}

u32 pools_add(struct pools *pools, u32 backend_count)
{
	u32 at = pools->pool_count++;
	struct arena *arena = &pools->arena;
	struct conf_backend *backends = arena_zalloc(arena, sizeof(*backends) * backend_count);

	assert_true(at < POOLS_MAX);
	for (u32 i = 0; i < backend_count; i++) {
		const char *address = arena_printf(arena, "10.%u.%u.%u:80", at, i / 250, i % 250);

		backends[i].id = backends[i].address = str_from(address);
		assert_int_equal(addr_parse(backends[i].address, &backends[i].addr), 0);
		backends[i].weight = 1;
	}
	pools->pools[at] = pool_defaults();
	pools->pools[at].name = str_from(arena_printf(arena, "pool%u", at));
	pools->pools[at].backends = pools->backends[at] = backends;
	pools->pools[at].backend_count = backend_count;
	return at;
}

void pools_init(struct pools *pools, u32 backend_count)
{
	*pools = (struct pools){0};
	arena_init(&pools->arena, 1u << 30);
	pools->heard = mem_alloc(sizeof(struct model_change) * POOLS_HEARD_MAX);
	pools_add(pools, backend_count);
}

static void note(void *owner, const struct model_change *change)
{
	struct pools *pools = owner;

	assert_true(pools->heard_count < POOLS_HEARD_MAX);
	assert_int_equal(change->eligible, change->pool->eligible);
	pools->heard[pools->heard_count++] = *change;
}

void pools_build(struct pools *pools, u32 worker_count, u64 now_ms)
{
	pools->conf.pools = pools->pools;
	pools->conf.pool_count = pools->pool_count;
	pools->snapshot = snapshot_build(&pools->conf, &pools->arena, worker_count);
	pools->now_ms = now_ms;
	pools->model = model_new(pools->snapshot, note, pools, 1, now_ms);
}

void pools_done(struct pools *pools)
{
	model_free(pools->model);
	snapshot_done(pools->snapshot);
	mem_free(pools->heard);
	arena_done(&pools->arena);
}

static bool is_of(const struct model_change *change, enum model_change_kind kind, const char *to)
{
	return change->kind == kind && (!to || strcmp(change->to, to) == 0);
}

u32 pools_heard(const struct pools *pools, enum model_change_kind kind, const char *to)
{
	u32 count = 0;

	for (u32 i = 0; i < pools->heard_count; i++)
		count += is_of(&pools->heard[i], kind, to);
	return count;
}

const struct model_change *pools_last(const struct pools *pools, enum model_change_kind kind)
{
	for (u32 i = pools->heard_count; i > 0; i--)
		if (is_of(&pools->heard[i - 1], kind, NULL))
			return &pools->heard[i - 1];
	return NULL;
}

// Workers look at once, so that no old view is left.
static void see(struct pools *pools)
{
	for (u32 i = 0; i < pools->snapshot->pool_count; i++) {
		struct pool *pool = pools->snapshot->pools[i];

		for (u32 worker = 0; worker < pool->worker_count; worker++)
			pool->cells[worker].seen = pool->generation;
	}
}

void pools_run(struct pools *pools, u64 until_ms)
{
	while (pools->now_ms < until_ms) {
		pools->now_ms = MIN(pools->now_ms + MODEL_TICK_MS, until_ms);
		see(pools);
		(void)model_tick(pools->model, pools->now_ms);
	}
}

static struct cell *cell_of(struct pools *pools, u32 worker, u32 index)
{
	return &pools->snapshot->cells[worker][pools_backend(pools, index)->cell];
}

void pools_good(struct pools *pools, u32 worker, u32 index)
{
	cell_add(&cell_of(pools, worker, index)->good, 1);
	cell_set(&cell_of(pools, worker, index)->bad_streak, 0);
}

void pools_bad(struct pools *pools, u32 worker, u32 index)
{
	cell_add(&cell_of(pools, worker, index)->bad, 1);
	cell_add(&cell_of(pools, worker, index)->bad_streak, 1);
	pools->snapshot->pools[0]->cells[worker].failures++;
}

static void report(struct pools *pools, u32 index, enum report_kind kind, enum ejection_why why)
{
	struct report sent = {
		.backend = pools_backend(pools, index), .kind = (u8)kind, .why = (u8)why};

	model_report(pools->model, &sent, pools->now_ms);
}

void pools_eject(struct pools *pools, u32 index, enum ejection_why why)
{
	report(pools, index, REPORT_EJECT, why);
}

void pools_look(struct pools *pools, u32 index)
{
	report(pools, index, REPORT_LOOK, EJECTION_NONE);
}
