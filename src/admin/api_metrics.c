// SPDX-License-Identifier: Apache-2.0
// What Prometheus reads.
#include "admin/admin_inside.h"
#include "admin/expose.h"
#include "base/mem.h"
#include "proxy/secure.h"

// Files, and when they end.
struct ends {
	struct expose_certificate *all;
	u32 count, room;
};

struct scrape {
	struct expose_backend *backends;
	struct expose_pool *pools;
	struct expose_worker *workers;
	const struct stats **stats;
	const struct metrics_cells **cells;
	struct expose_provider *providers;
	struct ends certificates, staples;
};

static void show_backend(
	const struct admin *admin, const struct backend *backend, struct expose_backend *shown)
{
	const struct desk_backend *one = &admin->state->ask.backends[backend->cell];
	struct figures_load load = figures_load(admin->face.snapshot, backend);
	const struct snapshot *snapshot = admin->face.snapshot;
	u64 failures = 0;

	for (u32 i = 0; i < snapshot->worker_count; i++) {
		const struct cell *cell = &snapshot->cells[i][backend->cell];

		failures += cell_read(&cell->bad) + cell_read(&cell->trials_bad);
	}
	*shown = (struct expose_backend){.checks_passed = one->state.checks_passed,
		.checks_failed = one->state.checks_failed,
		.ejections = one->state.ejections,
		.breaker_openings = one->state.openings,
		.breaker_failures = failures,
		.in_flight = load.in_flight,
		.connections = load.connections,
		.idle = load.idle,
		.weight = one->weight,
		.breaker = one->state.breaker.state,
		.is_checked = one->probed,
		.healthy = one->resolved && one->state.health.state != HEALTH_DOWN &&
			   !ejection_is_out(&one->state.ejection),
		.eligible = eligible_is_in((enum eligible_why)one->state.why)};
}

static void show_provider(const struct desk_provider *one, struct expose_provider *shown)
{
	*shown = (struct expose_provider){.name = str_from(one->name),
		.type = str_from(one->type),
		.is_up = one->is_up,
		.is_held = one->is_held,
		.rows = one->rows,
		.left_out = one->left_out,
		.reads = one->reads,
		.errors = one->errors,
		.read_at_ms = one->read_wall_ms};
}

// Each file once.
static void note_end(struct ends *ends, struct str file, i64 end_s)
{
	for (u32 i = 0; i < ends->count; i++)
		if (str_eq(ends->all[i].name, file))
			return;
	if (ends->count == ends->room) {
		ends->room = MAX(8u, 2 * ends->room);
		ends->all = mem_realloc(ends->all, sizeof(*ends->all) * ends->room);
	}
	ends->all[ends->count++] = (struct expose_certificate){.name = file, .expires_at_s = end_s};
}

static void note_certificate(void *context, struct str file, i64 not_after_s)
{
	struct scrape *scrape = context;

	note_end(&scrape->certificates, file, not_after_s);
}

static void note_staple(void *context, const struct tls_staple *staple, const struct tls_cert *cert)
{
	struct scrape *scrape = context;

	(void)cert;
	if (staple->fault != TLS_STAPLE_NONE)
		note_end(&scrape->staples, staple->file, 0);
	else if (staple->until_s)
		note_end(&scrape->staples, staple->file, staple->until_s);
}

static void make_scrape(const struct admin *admin, struct scrape *scrape)
{
	const struct snapshot *snapshot = admin->face.snapshot;
	const struct workers *workers = admin->face.workers;

	scrape->backends = mem_alloc(sizeof(*scrape->backends) * MAX(snapshot->backend_count, 1));
	scrape->pools = mem_alloc(sizeof(*scrape->pools) * MAX(snapshot->pool_count, 1));
	scrape->workers = mem_alloc(sizeof(*scrape->workers) * workers->count);
	scrape->stats = mem_alloc(sizeof(*scrape->stats) * workers->count);
	scrape->cells = mem_alloc(sizeof(*scrape->cells) * (workers->count + 2u));
	scrape->providers =
		mem_alloc(sizeof(*scrape->providers) * MAX(admin->state->ask.provider_count, 1u));
	for (u32 i = 0; i < admin->state->ask.provider_count; i++)
		show_provider(&admin->state->ask.providers[i], &scrape->providers[i]);
	for (u32 i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backends[i])
			show_backend(admin, snapshot->backends[i], &scrape->backends[i]);
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		const struct pool *pool = snapshot->pools[i];

		if (!pool)
			continue;
		scrape->pools[i] = (struct expose_pool){
			.waiting = atomic_load_explicit(&pool->waiting, memory_order_relaxed),
			.panic = admin->state->ask.pools[i].state.judged.panic};
	}
	for (u32 i = 0; i < workers->count; i++) {
		scrape->workers[i] =
			(struct expose_worker){.busy_us = worker_busy_us(&workers->all[i]),
				.starved_us = worker_starved_us(&workers->all[i]),
				.busy_ratio = figures_busy_ratio(admin->figures, i)};
		histogram_fold(&workers->all[i].turns, &scrape->workers[i].turns);
		scrape->stats[i] = workers->all[i].stats;
		scrape->cells[i] = &workers->all[i].metrics;
	}
	secure_each_certificate(snapshot, note_certificate, scrape);
	secure_each_staple(snapshot, note_staple, scrape);
	scrape->cells[workers->count] = logger_metrics(admin->face.logger);
	scrape->cells[workers->count + 1u] = &admin->metrics;
}

static void free_scrape(struct scrape *scrape)
{
	mem_free(scrape->backends);
	mem_free(scrape->pools);
	mem_free(scrape->workers);
	mem_free(scrape->stats);
	mem_free(scrape->cells);
	mem_free(scrape->providers);
	mem_free(scrape->certificates.all);
	mem_free(scrape->staples.all);
}

// Anew, when counts went from one row to another meanwhile.
static void write_still(
	struct text *text, enum expose_format format, const struct expose_source *source)
{
	enum { tries = 8 };
	u32 workers = source->stats ? source->worker_count : 0;
	u64 moves;

	for (u32 i = 0; i < tries; i++) {
		moves = stats_moves(source->stats, workers);
		text->len = 0;
		expose_write(text, format, source);
		if (!stats_may_have_moved(moves, stats_moves(source->stats, workers)))
			return;
	}
}

static void answer(struct admin *admin, struct admin_call *call)
{
	const struct workers *workers = admin->face.workers;
	struct reload_status config = reload_status(admin->face.reload);
	enum expose_format format = expose_choose(admin_field(call, "accept"));
	struct scrape scrape = {0};
	struct expose_source source;
	struct text text = {0};

	make_scrape(admin, &scrape);
	source = (struct expose_source){.snapshot = admin->face.snapshot,
		.worker_count = workers->count,
		.stats = workers->all[0].stats ? scrape.stats : NULL,
		.cells = scrape.cells,
		.cells_count = workers->count + 2,
		.workers = scrape.workers,
		.pools = scrape.pools,
		.backends = scrape.backends,
		.providers = scrape.providers,
		.provider_count = admin->state->ask.provider_count,
		.certificates = scrape.certificates.all,
		.certificate_count = scrape.certificates.count,
		.staples = scrape.staples.all,
		.staple_count = scrape.staples.count,
		.connections_max = admin->face.connections_max,
		.config_at_ms = config.taken_wall_ms,
		.config_generation = config.generation,
		.reloads = config.successes,
		.reloads_failed = config.failures,
		.config_refused = !config.last_succeeded,
		.restarts = admin->state->ask.life.restarts,
		.upgrades = admin->state->ask.life.upgrades,
		.upgrades_failed = admin->state->ask.life.upgrades_failed,
		.draining = *admin->face.draining,
		.version = STR(WEIR_VERSION),
		.io = str_from(admin->face.io)};
	expose_process_read(&source.process);
	source.process.started_at_ms = admin->face.started_wall_ms;
	write_still(&text, format, &source);
	free_scrape(&scrape);
	admin_answer(call, 200, expose_content_type(format).ptr, &text);
}

void api_metrics(void *owner, struct admin_call *call)
{
	state_fetch(owner, call, answer);
}
