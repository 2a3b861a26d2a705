// SPDX-License-Identifier: Apache-2.0
#include "shop.h"

#include "base/mem.h"
#include "base/rng.h"

static void build_pool(struct shop *shop, u32 index, u32 backend_count)
{
	struct snapshot *snapshot = &shop->snapshot;
	struct pool *pool = mem_alloc_lines(sizeof(*pool));

	snapshot->pools[index] = pool;
	pool->name = str_from(arena_printf(&shop->arena, "pool-%u", index));
	pool->index = index;
	pool->backend_count = backend_count;
	pool->backends = mem_alloc_lines(sizeof(struct backend) * backend_count);
	for (u32 i = 0; i < backend_count; i++) {
		struct backend *backend = &pool->backends[i];

		backend->id = str_from(
			arena_printf(&shop->arena, "10.%u.%u.%u:8080", index, i / 250, i % 250));
		backend->pool = pool;
		backend->index = i;
		backend->cell = snapshot->backend_count;
		snapshot->backends[snapshot->backend_count++] = backend;
	}
}

static void build_snapshot(struct shop *shop, u32 frontends, u32 pools, u32 backends_of_pool)
{
	struct snapshot *snapshot = &shop->snapshot;
	struct conf_frontend *conf = arena_zalloc(&shop->arena, sizeof(*conf) * frontends);

	snapshot->frontend_count = frontends;
	snapshot->slots = slots_new(1, pools * backends_of_pool, pools, frontends);
	snapshot->frontends = arena_zalloc(&shop->arena, sizeof(struct frontend *) * frontends);
	snapshot->backends = arena_zalloc(
		&shop->arena, sizeof(struct backend *) * (pools * backends_of_pool + 1));
	for (u32 i = 0; i < frontends; i++) {
		conf[i].name = str_from(arena_printf(&shop->arena, "web-%u", i));
		conf[i].protocol = i + 1 == frontends ? CONF_TCP : CONF_HTTP;
		snapshot->frontends[i] = arena_zalloc(&shop->arena, sizeof(struct frontend));
		snapshot->frontends[i]->conf = &conf[i];
		snapshot->frontends[i]->index = i;
	}
	snapshot->pool_count = pools;
	snapshot->pools = arena_zalloc(&shop->arena, sizeof(struct pool *) * pools);
	for (u32 i = 0; i < pools; i++)
		build_pool(shop, i, backends_of_pool);
}

static void serve(struct shop *shop, struct rng *rng, const struct frontend *frontend,
	const struct backend *backend)
{
	static const u16 statuses[] = {200, 200, 200, 200, 304, 404, 500, 503};
	u32 worker = rng_below(rng, shop->source.worker_count);
	bool tcp = frontend->conf->protocol == CONF_TCP;
	struct stats_entry entry = {.frontend = frontend,
		.pool = backend->pool,
		.backend = backend,
		.bytes_in = rng_below(rng, 2000),
		.bytes_out = rng_below(rng, 200000),
		.spent_us = rng_below(rng, 1u << rng_below(rng, 24)),
		.queue_us = rng_one_in(rng, 9) ? rng_below(rng, 1000) : (u32)STATS_NO_TIME,
		.connect_us = rng_one_in(rng, 9) ? rng_below(rng, 1000) : (u32)STATS_NO_TIME,
		.first_byte_us = 10,
		.status = tcp ? 0 : statuses[rng_below(rng, ARRAY_LEN(statuses))],
		.method = (u8)(tcp ? HTTP_OTHER_METHOD : rng_below(rng, HTTP_POST + 1)),
		.tcp = tcp,
		.was_sent = true};

	entry.total_us = entry.spent_us + rng_below(rng, 100);
	entry.error = entry.status >= 500;
	stats_note(shop->stats[worker], &entry);
	if (rng_one_in(rng, 10))
		stats_note_try(shop->stats[worker], frontend, backend, STATS_TRY_REPEATED);
}

static void serve_all(struct shop *shop, u32 requests)
{
	const struct snapshot *snapshot = &shop->snapshot;
	struct rng rng;

	rng_init(&rng, 5);
	for (u32 p = 0; p + 1 < snapshot->pool_count; p++) {
		const struct pool *pool = snapshot->pools[p];
		const struct frontend *frontend = snapshot->frontends[p % snapshot->frontend_count];

		for (u32 b = 0; b < pool->backend_count; b++)
			for (u32 i = 0; i < requests; i++)
				serve(shop, &rng, frontend, &pool->backends[b]);
	}
}

static void fill_source(struct shop *shop, u32 workers)
{
	const struct metrics_cells **cells =
		arena_zalloc(&shop->arena, sizeof(*cells) * (workers + 1));

	for (u32 i = 0; i < shop->snapshot.backend_count; i++)
		shop->backends[i] = (struct expose_backend){.checks_passed = i,
			.in_flight = i % 3,
			.weight = 1,
			.breaker = (u8)(i % 3),
			.is_checked = true,
			.healthy = i % 10 != 9,
			.eligible = i % 10 != 9};
	for (u32 i = 0; i < workers; i++) {
		shop->workers[i] = (struct expose_worker){.busy_us = 1500000 * (i + 1ull),
			.starved_us = 250000 * (i + 1ull),
			.busy_ratio = 0.25};
		shop->workers[i].turns.counts[0] = i + 1;
		shop->cells[i].values[M_REUSE_HITS] = 3;
		shop->cells[i].values[M_REUSE_MISSES] = 1;
	}
	for (u32 i = 0; i < workers + 1; i++)
		cells[i] = &shop->cells[i];
	shop->source = (struct expose_source){.snapshot = &shop->snapshot,
		.worker_count = workers,
		.stats = (const struct stats *const *)shop->stats,
		.cells = cells,
		.cells_count = workers + 1,
		.workers = shop->workers,
		.pools = shop->pools,
		.backends = shop->backends,
		.process = {.cpu_us = 12345678,
			.resident_bytes = 9000000,
			.virtual_bytes = 90000000,
			.fds = 40,
			.fds_max = 1024,
			.started_at_ms = 1790000000123},
		.connections_max = 1000,
		.config_at_ms = 1790000000000,
		.version = STR("0.1.0"),
		.io = STR("epoll")};
}

void shop_open(struct shop *shop, u32 workers, u32 frontends, u32 pools, u32 backends_of_pool,
	u32 requests)
{
	*shop = (struct shop){0};
	arena_init(&shop->arena, 1u << 30);
	build_snapshot(shop, frontends, pools, backends_of_pool);
	shop->backends = mem_alloc(sizeof(*shop->backends) * shop->snapshot.backend_count);
	shop->pools = mem_alloc(sizeof(*shop->pools) * pools);
	shop->workers = mem_alloc(sizeof(*shop->workers) * workers);
	shop->cells = mem_alloc_lines(sizeof(*shop->cells) * (workers + 1));
	shop->stats = mem_alloc(sizeof(struct stats *) * workers);
	for (u32 i = 0; i < workers; i++)
		shop->stats[i] = stats_new(&shop->snapshot);
	fill_source(shop, workers);
	serve_all(shop, requests);
}

void shop_close(struct shop *shop)
{
	for (u32 i = 0; i < shop->source.worker_count; i++)
		stats_free(shop->stats[i]);
	for (u32 i = 0; i < shop->snapshot.pool_count; i++) {
		mem_free(shop->snapshot.pools[i]->backends);
		mem_free(shop->snapshot.pools[i]);
	}
	slots_free(shop->snapshot.slots);
	mem_free(shop->stats);
	mem_free(shop->cells);
	mem_free(shop->workers);
	mem_free(shop->pools);
	mem_free(shop->backends);
	arena_done(&shop->arena);
}
