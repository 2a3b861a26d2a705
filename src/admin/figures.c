// SPDX-License-Identifier: Apache-2.0
#include "admin/figures.h"

#include "admin/admin_inside.h"
#include "admin/expose.h"
#include "base/mem.h"

enum { second_ms = 1000, calm_s = 10, sums_tried = 8 };

// Sums of one moment.
struct moment {
	struct stats_sums sums;
};

struct spark {
	float per_s[FIGURES_SPARKS];
};

struct figures {
	struct admin *admin;
	struct timer timer;
	void (*heard)(struct admin *admin);
	const struct stats **stats; // by worker
	u32 worker_count;
	struct moment now, before, base, next_base;
	bool is_calm;						  // backends have bases
	struct figures_rate whole, *frontends, *pools, *backends; // by slot
	u32 frontend_count, pool_count, backend_count;
	struct history_moment *pool_moments, *backend_moments;
	struct histogram whole_time, *pool_times; // of the last second
	struct spark *sparks;
	u32 spark_at, seconds;
	u64 last_us;
	double elapsed_s;
	double received_per_s, sent_per_s;
	struct metrics_cells cells, cells_before;
	u64 *busy_us; // by worker
	double *busy_ratio;
	struct history *history;
};

// ---- Loads --------------------------------------------------------------------------------------

struct figures_load figures_load(const struct snapshot *snapshot, const struct backend *backend)
{
	struct figures_load load = {0};

	for (u32 i = 0; i < snapshot->worker_count; i++) {
		const struct cell *cell = &snapshot->cells[i][backend->cell];

		load.connections += cell_read(&cell->connections);
		load.idle += cell_read(&cell->idle_count);
		load.in_flight += cell_read(&cell->in_flight);
	}
	return load;
}

u32 figures_pool_in_flight(const struct snapshot *snapshot, const struct pool *pool)
{
	u32 in_flight = 0;

	for (u32 i = 0; i < pool->backend_count; i++)
		in_flight += figures_load(snapshot, &pool->backends[i]).in_flight;
	return in_flight;
}

// ---- Sums ---------------------------------------------------------------------------------------

static void *grow(void *array, u32 before, u32 now, size_t size)
{
	char *bytes = mem_realloc(array, size * MAX(now, 1));

	memset(bytes + size * before, 0, size * (now - before));
	return bytes;
}

// As many as there are slots. What is in them stays.
static void fit_moment(struct moment *moment, const struct snapshot *snapshot, bool backends)
{
	struct stats_sums *sums = &moment->sums;

	sums->frontends = grow(sums->frontends, sums->frontend_count, snapshot->frontend_count,
		sizeof(struct stats_sum));
	sums->pools =
		grow(sums->pools, sums->pool_count, snapshot->pool_count, sizeof(struct stats_sum));
	sums->frontend_count = snapshot->frontend_count;
	sums->pool_count = snapshot->pool_count;
	if (!backends)
		return;
	sums->backends = grow(sums->backends, sums->backend_count, snapshot->backend_count,
		sizeof(struct stats_sum));
	sums->backend_count = snapshot->backend_count;
}

static void free_moment(struct moment *moment)
{
	mem_free(moment->sums.frontends);
	mem_free(moment->sums.pools);
	mem_free(moment->sums.backends);
}

static void clear_moment(struct moment *moment)
{
	struct stats_sums *sums = &moment->sums;

	memset(&sums->all, 0, sizeof(sums->all));
	memset(sums->frontends, 0, sizeof(struct stats_sum) * sums->frontend_count);
	memset(sums->pools, 0, sizeof(struct stats_sum) * sums->pool_count);
	if (sums->backends)
		memset(sums->backends, 0, sizeof(struct stats_sum) * sums->backend_count);
}

static void sum_up(struct figures *figures, struct moment *moment)
{
	u64 moves;

	clear_moment(moment);
	if (!figures->stats)
		return;
	for (u32 i = 0; i < sums_tried; i++) {
		clear_moment(moment);
		moves = stats_moves(figures->stats, figures->worker_count);
		stats_sum_each(figures->stats, figures->worker_count, &moment->sums);
		if (!stats_may_have_moved(
			    moves, stats_moves(figures->stats, figures->worker_count)))
			return;
	}
}

static void copy_moment(struct moment *to, const struct moment *from)
{
	const struct stats_sums *sums = &from->sums;

	to->sums.all = sums->all;
	memcpy(to->sums.frontends, sums->frontends,
		sizeof(struct stats_sum) * sums->frontend_count);
	memcpy(to->sums.pools, sums->pools, sizeof(struct stats_sum) * sums->pool_count);
	if (to->sums.backends)
		memcpy(to->sums.backends, sums->backends,
			sizeof(struct stats_sum) * to->sums.backend_count);
}

static void swap_moments(struct moment *a, struct moment *b)
{
	struct moment held = *a;

	*a = *b;
	*b = held;
}

// ---- Rates --------------------------------------------------------------------------------------

static void rate(const struct figures *figures, const struct stats_sum *now,
	const struct stats_sum *before, const struct stats_sum *base, struct figures_rate *rate,
	struct stats_sum *ret_second)
{
	struct stats_sum calm;

	stats_sum_minus(now, before, ret_second);
	rate->requests_total = now->requests;
	rate->requests_per_s = (double)ret_second->requests / figures->elapsed_s;
	rate->errors_per_s = (double)ret_second->errors / figures->elapsed_s;
	rate->client_errors_per_s = (double)ret_second->client_errors / figures->elapsed_s;
	rate->retries_per_s = (double)ret_second->tries[STATS_TRY_REPEATED] / figures->elapsed_s;
	stats_sum_minus(now, base ? base : before, &calm);
	rate->requests = histogram_count(&calm.time);
	rate->p50_us = (u32)MIN(histogram_quantile_us(&calm.time, 0.5), (u64)UINT32_MAX);
	rate->p90_us = (u32)MIN(histogram_quantile_us(&calm.time, 0.9), (u64)UINT32_MAX);
	rate->p99_us = (u32)MIN(histogram_quantile_us(&calm.time, 0.99), (u64)UINT32_MAX);
	rate->max_us = (u32)MIN(histogram_max_us(&calm.time), (u64)UINT32_MAX);
}

static struct history_moment moment_of(const struct stats_sum *second, u32 connections)
{
	const struct histogram *time = &second->time;

	return (struct history_moment){.requests = second->requests,
		.errors = second->errors,
		.connections = connections,
		.p50_us = (u32)MIN(histogram_quantile_us(time, 0.5), (u64)UINT32_MAX),
		.p90_us = (u32)MIN(histogram_quantile_us(time, 0.9), (u64)UINT32_MAX),
		.p99_us = (u32)MIN(histogram_quantile_us(time, 0.99), (u64)UINT32_MAX),
		.max_us = (u32)MIN(histogram_max_us(time), (u64)UINT32_MAX)};
}

static void look_at_pools(struct figures *figures)
{
	const struct snapshot *snapshot = figures->admin->face.snapshot;
	struct stats_sum second;

	for (u32 i = 0; i < snapshot->frontend_count; i++)
		rate(figures, &figures->now.sums.frontends[i], &figures->before.sums.frontends[i],
			&figures->base.sums.frontends[i], &figures->frontends[i], &second);
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		rate(figures, &figures->now.sums.pools[i], &figures->before.sums.pools[i],
			&figures->base.sums.pools[i], &figures->pools[i], &second);
		figures->pool_moments[i] = moment_of(&second,
			snapshot->pools[i] ? figures_pool_in_flight(snapshot, snapshot->pools[i])
					   : 0);
		figures->pool_times[i] = second.time;
		figures->pool_moments[i].time = &figures->pool_times[i];
	}
}

static void look_at_backends(struct figures *figures)
{
	const struct snapshot *snapshot = figures->admin->face.snapshot;
	struct stats_sum second;

	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct backend *backend = snapshot->backends[i];
		float *spark = &figures->sparks[i].per_s[figures->spark_at];

		rate(figures, &figures->now.sums.backends[i], &figures->before.sums.backends[i],
			figures->is_calm ? &figures->base.sums.backends[i] : NULL,
			&figures->backends[i], &second);
		figures->backend_moments[i] = moment_of(
			&second, backend ? figures_load(snapshot, backend).connections : 0);
		if (figures->seconds % FIGURES_SPARK_S == 0)
			*spark = 0;
		*spark += (float)(figures->backends[i].requests_per_s / FIGURES_SPARK_S);
	}
}

static void look_at_workers(struct figures *figures)
{
	const struct workers *workers = figures->admin->face.workers;

	figures->cells_before = figures->cells;
	memset(&figures->cells, 0, sizeof(figures->cells));
	for (u32 i = 0; i < figures->worker_count; i++) {
		u64 busy_us = worker_busy_us(&workers->all[i]);

		metrics_sum(&workers->all[i].metrics, &figures->cells);
		figures->busy_ratio[i] =
			(double)(busy_us - figures->busy_us[i]) / (figures->elapsed_s * 1e6);
		figures->busy_us[i] = busy_us;
	}
	metrics_sum(logger_metrics(figures->admin->face.logger), &figures->cells);
}

static void keep(struct figures *figures)
{
	struct stats_sum second;
	struct history_moment whole;

	rate(figures, &figures->now.sums.all, &figures->before.sums.all, &figures->base.sums.all,
		&figures->whole, &second);
	whole = moment_of(&second, (u32)metrics_read(&figures->cells, M_CONNECTIONS_ACTIVE));
	figures->whole_time = second.time;
	figures->received_per_s = (double)second.bytes_in / figures->elapsed_s;
	figures->sent_per_s = (double)second.bytes_out / figures->elapsed_s;
	whole.time = &figures->whole_time;
	history_add(figures->history, loop_wall_ms(figures->admin->loop), &whole,
		figures->pool_moments, figures->backend_moments);
}

static void turn_bases(struct figures *figures)
{
	if (++figures->seconds % calm_s)
		return;
	swap_moments(&figures->base, &figures->next_base);
	copy_moment(&figures->next_base, &figures->now);
}

static void on_second(struct timer *timer)
{
	struct figures *figures = container_of(timer, struct figures, timer);
	struct loop *loop = figures->admin->loop;
	u64 now_us = loop_now_us(loop);

	loop_timer_set(loop, timer, loop_now_ms(loop) + second_ms);
	figures->elapsed_s = MAX((double)(now_us - figures->last_us) / 1e6, 0.001);
	figures->last_us = now_us;
	swap_moments(&figures->now, &figures->before);
	sum_up(figures, &figures->now);
	look_at_workers(figures);
	look_at_pools(figures);
	look_at_backends(figures);
	keep(figures);
	turn_bases(figures);
	if (figures->seconds % FIGURES_SPARK_S == 0)
		figures->spark_at = (figures->spark_at + 1) % FIGURES_SPARKS;
	if (figures->heard)
		figures->heard(figures->admin);
}

// ---- Asking -------------------------------------------------------------------------------------

const struct figures_rate *figures_whole(const struct figures *figures)
{
	return &figures->whole;
}

const struct figures_rate *figures_of_pool(const struct figures *figures, const struct pool *pool)
{
	return &figures->pools[pool->index];
}

const struct figures_rate *figures_of_backend(
	const struct figures *figures, const struct backend *backend)
{
	return &figures->backends[backend->cell];
}

double figures_busy_ratio(const struct figures *figures, u32 worker)
{
	return figures->busy_ratio[worker];
}

const struct history *figures_history(const struct figures *figures)
{
	return figures->history;
}

void figures_on_second(struct figures *figures, void (*heard)(struct admin *admin))
{
	figures->heard = heard;
}

// ---- Writing ------------------------------------------------------------------------------------

static void key_latency(struct json *json, const char *key, const struct figures_rate *rate, u32 us)
{
	if (rate->requests)
		json_key_u64(json, key, us);
	else
		json_key_none(json, key);
}

static void write_rate(struct json *json, const struct figures_rate *rate)
{
	json_key_u64(json, "requests_total", rate->requests_total);
	json_key_f64(json, "requests_per_s", rate->requests_per_s, 2);
	json_key_f64(json, "errors_per_s", rate->errors_per_s, 2);
	key_latency(json, "p50_us", rate, rate->p50_us);
	key_latency(json, "p90_us", rate, rate->p90_us);
	key_latency(json, "p99_us", rate, rate->p99_us);
	key_latency(json, "max_us", rate, rate->max_us);
}

static double per_s(const struct figures *figures, enum metric metric)
{
	if (figures->seconds == 0)
		return 0;
	return (double)(metrics_read(&figures->cells, metric) -
			metrics_read(&figures->cells_before, metric)) /
	       figures->elapsed_s;
}

static u32 count_waiting(const struct snapshot *snapshot)
{
	u32 waiting = 0;

	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			waiting += atomic_load_explicit(
				&snapshot->pools[i]->waiting, memory_order_relaxed);
	return waiting;
}

static void write_totals(struct json *json, const struct figures *figures)
{
	const struct figures_rate *whole = &figures->whole;
	struct metrics_cells cells = {0};

	for (u32 i = 0; i < figures->worker_count; i++)
		metrics_sum(&figures->admin->face.workers->all[i].metrics, &cells);
	json_key(json, "totals");
	json_object_begin(json);
	write_rate(json, whole);
	json_key_f64(json, "errors_ratio",
		whole->requests_per_s > 0 ? whole->errors_per_s / whole->requests_per_s : 0, 4);
	json_key_f64(json, "client_errors_per_s", whole->client_errors_per_s, 2);
	json_key_u64(json, "connections", metrics_read(&cells, M_CONNECTIONS_ACTIVE));
	json_key_u64(json, "connections_max", figures->admin->face.connections_max);
	json_key_u64(json, "in_flight", metrics_read(&cells, M_REQUESTS_ACTIVE));
	json_key_u64(json, "queued", count_waiting(figures->admin->face.snapshot));
	json_key_u64(json, "tunnels", metrics_read(&cells, M_TUNNELS_ACTIVE));
	json_key_f64(json, "received_bytes_per_s", figures->received_per_s, 0);
	json_key_f64(json, "sent_bytes_per_s", figures->sent_per_s, 0);
	json_key_f64(json, "retries_per_s", per_s(figures, M_RETRIES), 2);
	json_object_end(json);
}

static void write_process(struct json *json, const struct figures *figures)
{
	const struct workers *workers = figures->admin->face.workers;
	struct expose_process process = {0};
	double busiest = 0;

	for (u32 i = 0; i < figures->worker_count; i++)
		busiest = MAX(busiest, figures->busy_ratio[i]);
	expose_process_read(&process);
	json_key(json, "process");
	json_object_begin(json);
	json_key_u64(json, "workers", workers->count);
	json_key_cstr(json, "io", figures->admin->face.io);
	json_key_f64(json, "busy_ratio", busiest, 3);
	json_key_u64(json, "descriptors", process.fds);
	json_key_u64(json, "descriptors_max", process.fds_max);
	json_key_u64(json, "memory_bytes", process.resident_bytes);
	json_key_u64(json, "log_dropped_total", metrics_read(&figures->cells, M_LOG_DROPPED));
	json_object_end(json);
}

static void write_workers(struct json *json, const struct figures *figures)
{
	const struct workers *workers = figures->admin->face.workers;

	json_key(json, "workers");
	json_array_begin(json);
	for (u32 i = 0; i < figures->worker_count; i++) {
		json_object_begin(json);
		json_key_f64(json, "busy_ratio", figures->busy_ratio[i], 3);
		json_key_u64(json, "connections",
			metrics_read(&workers->all[i].metrics, M_CONNECTIONS_ACTIVE));
		json_object_end(json);
	}
	json_array_end(json);
}

void figures_write_whole(struct json *json, const struct figures *figures)
{
	write_totals(json, figures);
	write_process(json, figures);
	write_workers(json, figures);
}

void figures_write_frontend(
	struct json *json, const struct figures *figures, const struct frontend *frontend)
{
	u64 connections = 0;

	for (u32 i = 0; figures->stats && i < figures->worker_count; i++)
		connections += stats_connections(figures->stats[i], frontend);
	json_key_u64(json, "connections", connections);
	write_rate(json, &figures->frontends[frontend->index]);
}

void figures_write_pool(struct json *json, const struct figures *figures, const struct pool *pool)
{
	const struct figures_rate *rate = figures_of_pool(figures, pool);

	write_rate(json, rate);
	json_key_f64(json, "retries_per_s", rate->retries_per_s, 2);
}

void figures_write_backend(
	struct json *json, const struct figures *figures, const struct backend *backend)
{
	const struct spark *spark = &figures->sparks[backend->cell];

	write_rate(json, figures_of_backend(figures, backend));
	json_key(json, "spark");
	json_array_begin(json);
	for (u32 i = 1; i < FIGURES_SPARKS; i++)
		json_f64(json, spark->per_s[(figures->spark_at + i) % FIGURES_SPARKS], 1);
	json_array_end(json);
}

// ---- Life ---------------------------------------------------------------------------------------

static void find_stats(struct figures *figures)
{
	const struct workers *workers = figures->admin->face.workers;

	if (!workers->all[0].stats)
		return;
	figures->stats = mem_alloc(sizeof(*figures->stats) * workers->count);
	for (u32 i = 0; i < workers->count; i++)
		figures->stats[i] = workers->all[i].stats;
}

static void fit(struct figures *figures, const struct snapshot *snapshot)
{
	u32 frontends = figures->frontend_count, pools = figures->pool_count,
	    backends = figures->backend_count;

	fit_moment(&figures->now, snapshot, true);
	fit_moment(&figures->before, snapshot, true);
	fit_moment(&figures->base, snapshot, figures->is_calm);
	fit_moment(&figures->next_base, snapshot, figures->is_calm);
	figures->frontend_count = snapshot->frontend_count;
	figures->pool_count = snapshot->pool_count;
	figures->backend_count = snapshot->backend_count;
#define GROW(array, before, count) \
	figures->array = grow(figures->array, before, figures->count, sizeof(*figures->array))
	GROW(frontends, frontends, frontend_count);
	GROW(pools, pools, pool_count);
	GROW(pool_moments, pools, pool_count);
	GROW(pool_times, pools, pool_count);
	GROW(backends, backends, backend_count);
	GROW(backend_moments, backends, backend_count);
	GROW(sparks, backends, backend_count);
#undef GROW
}

// Nothing that a slot's last owner counted is its new one's.
static void forget_backend(struct figures *figures, u32 slot)
{
	struct moment *all[] = {
		&figures->now, &figures->before, &figures->base, &figures->next_base};

	for (u32 i = 0; i < ARRAY_LEN(all); i++)
		if (all[i]->sums.backends)
			all[i]->sums.backends[slot] = (struct stats_sum){0};
	figures->backends[slot] = (struct figures_rate){0};
	figures->sparks[slot] = (struct spark){0};
	history_forget(figures->history, HISTORY_BACKEND, slot);
}

static void forget_pool(struct figures *figures, u32 slot)
{
	struct moment *all[] = {
		&figures->now, &figures->before, &figures->base, &figures->next_base};

	for (u32 i = 0; i < ARRAY_LEN(all); i++)
		all[i]->sums.pools[slot] = (struct stats_sum){0};
	figures->pools[slot] = (struct figures_rate){0};
	history_forget(figures->history, HISTORY_POOL, slot);
}

void figures_adopt(
	struct figures *figures, const struct snapshot *before, const struct snapshot *snapshot)
{
	fit(figures, snapshot);
	history_fit(figures->history, snapshot->pool_count, snapshot->backend_count);
	for (u32 i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backends[i] && (i >= before->backend_count || !before->backends[i]))
			forget_backend(figures, i);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] && (i >= before->pool_count || !before->pools[i]))
			forget_pool(figures, i);
}

struct figures *figures_new(struct admin *admin)
{
	struct figures *figures = mem_alloc(sizeof(*figures));
	const struct snapshot *snapshot = admin->face.snapshot;

	figures->admin = admin;
	figures->worker_count = admin->face.workers->count;
	figures->is_calm = snapshot->backend_count <= FIGURES_CALM_MAX;
	find_stats(figures);
	fit(figures, snapshot);
	figures->busy_us = mem_alloc(sizeof(u64) * figures->worker_count);
	figures->busy_ratio = mem_alloc(sizeof(double) * figures->worker_count);
	figures->history = history_new(snapshot->pool_count, snapshot->backend_count);
	figures->last_us = loop_now_us(admin->loop);
	timer_init(&figures->timer, on_second);
	loop_timer_set(admin->loop, &figures->timer, loop_now_ms(admin->loop) + second_ms);
	return figures;
}

void figures_stop(struct figures *figures)
{
	loop_timer_cancel(figures->admin->loop, &figures->timer);
}

void figures_free(struct figures *figures)
{
	free_moment(&figures->now);
	free_moment(&figures->before);
	free_moment(&figures->base);
	free_moment(&figures->next_base);
	mem_free(figures->stats);
	mem_free(figures->frontends);
	mem_free(figures->pools);
	mem_free(figures->backends);
	mem_free(figures->pool_moments);
	mem_free(figures->pool_times);
	mem_free(figures->backend_moments);
	mem_free(figures->sparks);
	mem_free(figures->busy_us);
	mem_free(figures->busy_ratio);
	history_free(figures->history);
	mem_free(figures);
}
