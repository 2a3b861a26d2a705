// SPDX-License-Identifier: Apache-2.0
#include "admin/history.h"

#include "base/mem.h"

enum {
	heat_pools_max = 16, // more of them get none
	pools_bytes_max = 6 << 20,
	backends_bytes_max = 16 << 20,
	minute_s = 60,
	points_min = 30,
};

struct point {
	u32 requests, errors, connections;
	u32 p50_us, p90_us, p99_us, max_us;
};

// Points of equal spans, the newest ones.
struct track {
	struct point *points;
	u32 (*heat)[HISTORY_HEAT]; // NULL: none
	u32 room, step_s;
	u32 begun_s; // of the point that is being filled
	u64 count;   // points that were finished, ever
	struct point now;
	u32 now_heat[HISTORY_HEAT];
};

struct series {
	struct track fine, coarse; // over the hour | over the day
};

struct history {
	struct series whole, *pools, *backends;
	u32 pool_count, backend_count;
	i64 last_ms; // of the last second
	size_t bytes;
};

static const u32 heat_bounds[HISTORY_HEAT - 1] = {60, 130, 250, 500, 1000, 2000, 4200, 8500, 17000,
	35000, 75000, 140000, 300000, 600000, 1200000, 2500000, 5000000, 10000000, 60000000};

// ---- Room ---------------------------------------------------------------------------------------

static void *take(struct history *history, size_t bytes)
{
	history->bytes += bytes;
	return mem_alloc(bytes);
}

static void make_track(
	struct history *history, struct track *track, u32 span_s, u32 step_s, bool heat)
{
	track->step_s = step_s;
	track->room = MAX(span_s / step_s, (u32)points_min);
	track->points = take(history, sizeof(struct point) * track->room);
	if (heat)
		track->heat = take(history, sizeof(*track->heat) * track->room);
}

static void make_series(struct history *history, struct series *series, u32 thinned, bool heat)
{
	make_track(history, &series->fine, HISTORY_SECONDS, thinned, heat);
	make_track(history, &series->coarse, HISTORY_MINUTES * minute_s, minute_s * thinned, heat);
}

// How many seconds a point has to stand for.
static u32 thinning(u32 count, size_t bytes_max)
{
	size_t whole = sizeof(struct point) * (HISTORY_SECONDS + HISTORY_MINUTES);

	return MAX((u32)((whole * count + bytes_max - 1) / bytes_max), 1);
}

static void make_pool(struct history *history, u32 index)
{
	u32 count = history->pool_count;
	u32 more = count > heat_pools_max ? count - heat_pools_max : 0;

	make_series(history, &history->pools[index],
		index < heat_pools_max ? 1 : thinning(more, pools_bytes_max),
		index < heat_pools_max);
}

static void make_backend(struct history *history, u32 index)
{
	make_series(history, &history->backends[index],
		thinning(history->backend_count, backends_bytes_max), false);
}

struct history *history_new(u32 pools, u32 backends)
{
	struct history *history = mem_alloc(sizeof(*history));

	history->pool_count = pools;
	history->backend_count = backends;
	history->pools = take(history, sizeof(struct series) * MAX(pools, 1));
	history->backends = take(history, sizeof(struct series) * MAX(backends, 1));
	make_series(history, &history->whole, 1, true);
	for (u32 i = 0; i < pools; i++)
		make_pool(history, i);
	for (u32 i = 0; i < backends; i++)
		make_backend(history, i);
	return history;
}

static void free_series(struct series *series)
{
	mem_free(series->fine.points);
	mem_free(series->fine.heat);
	mem_free(series->coarse.points);
	mem_free(series->coarse.heat);
}

void history_free(struct history *history)
{
	if (!history)
		return;
	free_series(&history->whole);
	for (u32 i = 0; i < history->pool_count; i++)
		free_series(&history->pools[i]);
	for (u32 i = 0; i < history->backend_count; i++)
		free_series(&history->backends[i]);
	mem_free(history->pools);
	mem_free(history->backends);
	mem_free(history);
}

void history_fit(struct history *history, u32 pools, u32 backends)
{
	u32 pools_before = history->pool_count, backends_before = history->backend_count;

	history->pools = mem_realloc(history->pools, sizeof(struct series) * MAX(pools, 1));
	history->backends =
		mem_realloc(history->backends, sizeof(struct series) * MAX(backends, 1));
	history->pool_count = pools;
	history->backend_count = backends;
	history->bytes +=
		sizeof(struct series) * ((pools - pools_before) + (backends - backends_before));
	for (u32 i = pools_before; i < pools; i++) {
		history->pools[i] = (struct series){0};
		make_pool(history, i);
	}
	for (u32 i = backends_before; i < backends; i++) {
		history->backends[i] = (struct series){0};
		make_backend(history, i);
	}
}

static void forget_track(struct track *track)
{
	track->count = 0;
	track->begun_s = 0;
	track->now = (struct point){0};
	memset(track->now_heat, 0, sizeof(track->now_heat));
}

void history_forget(struct history *history, enum history_of of, u32 index)
{
	struct series *series =
		of == HISTORY_POOL ? &history->pools[index] : &history->backends[index];

	forget_track(&series->fine);
	forget_track(&series->coarse);
}

size_t history_bytes(const struct history *history)
{
	return history->bytes;
}

// ---- Seconds ------------------------------------------------------------------------------------

static void finish_point(struct track *track)
{
	u32 at = (u32)(track->count++ % track->room);

	track->points[at] = track->now;
	if (track->heat)
		memcpy(track->heat[at], track->now_heat, sizeof(track->now_heat));
	track->now = (struct point){0};
	memset(track->now_heat, 0, sizeof(track->now_heat));
	track->begun_s = 0;
}

static void add_heat(struct track *track, const struct histogram *time)
{
	u32 row = 0;

	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++) {
		while (row < HISTORY_HEAT - 1 && histogram_bounds[i].us > heat_bounds[row])
			row++;
		track->now_heat[row] += (u32)MIN(time->counts[i], (u64)UINT32_MAX);
	}
}

// A quantile of several seconds is that of the one with most to say about it: the median of the
// busiest, the worst of the high ones.
static void add_moment(struct track *track, const struct history_moment *moment)
{
	struct point *now = &track->now;
	u32 requests = (u32)MIN(moment->requests, (u64)UINT32_MAX);

	if (requests > now->requests / MAX(track->begun_s, 1) || track->begun_s == 0)
		now->p50_us = moment->p50_us;
	now->p90_us = MAX(now->p90_us, moment->p90_us);
	now->p99_us = MAX(now->p99_us, moment->p99_us);
	now->max_us = MAX(now->max_us, moment->max_us);
	now->connections = MAX(now->connections, moment->connections);
	now->requests += requests;
	now->errors += (u32)MIN(moment->errors, (u64)UINT32_MAX);
	if (track->heat && moment->time)
		add_heat(track, moment->time);
	if (++track->begun_s >= track->step_s)
		finish_point(track);
}

static void add_to_series(struct series *series, const struct history_moment *moment)
{
	add_moment(&series->fine, moment);
	add_moment(&series->coarse, moment);
}

void history_add(struct history *history, i64 wall_ms, const struct history_moment *whole,
	const struct history_moment *pools, const struct history_moment *backends)
{
	history->last_ms = wall_ms;
	add_to_series(&history->whole, whole);
	for (u32 i = 0; i < history->pool_count; i++)
		add_to_series(&history->pools[i], &pools[i]);
	for (u32 i = 0; i < history->backend_count; i++)
		add_to_series(&history->backends[i], &backends[i]);
}

// ---- Writing ------------------------------------------------------------------------------------

struct view_of {
	const struct track *track;
	u32 count; // points to be shown
};

static const struct point *point_of(const struct view_of *view, u32 index)
{
	u64 back = view->count - index;

	if (back > view->track->count)
		return NULL;
	return &view->track->points[(view->track->count - back) % view->track->room];
}

static void write_rate(
	struct json *json, const struct view_of *view, const char *key, size_t offset)
{
	json_key(json, key);
	json_array_begin(json);
	for (u32 i = 0; i < view->count; i++) {
		const struct point *point = point_of(view, i);

		if (point)
			json_f64(json,
				*(const u32 *)(const void *)((const char *)point + offset) /
					(double)view->track->step_s,
				2);
		else
			json_none(json);
	}
	json_array_end(json);
}

// `of_requests`: says nothing where there was none.
static void write_numbers(struct json *json, const struct view_of *view, const char *key,
	size_t offset, bool of_requests)
{
	json_key(json, key);
	json_array_begin(json);
	for (u32 i = 0; i < view->count; i++) {
		const struct point *point = point_of(view, i);

		if (point && (!of_requests || point->requests))
			json_u64(json, *(const u32 *)(const void *)((const char *)point + offset));
		else
			json_none(json);
	}
	json_array_end(json);
}

static void write_heat(struct json *json, const struct view_of *view)
{
	const struct track *track = view->track;

	json_key(json, "heatmap");
	if (!track->heat) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	json_key(json, "bounds_us");
	json_array_begin(json);
	for (u32 i = 0; i < HISTORY_HEAT - 1; i++)
		json_u64(json, heat_bounds[i]);
	json_array_end(json);
	json_key(json, "counts");
	json_array_begin(json);
	for (u32 i = 0; i < view->count; i++) {
		u64 back = view->count - i;

		if (back > track->count) {
			json_none(json);
			continue;
		}
		json_array_begin(json);
		for (u32 row = 0; row < HISTORY_HEAT; row++)
			json_u64(json, track->heat[(track->count - back) % track->room][row]);
		json_array_end(json);
	}
	json_array_end(json);
	json_object_end(json);
}

void history_write(struct json *json, const struct history *history, enum history_of of, u32 index,
	u32 seconds)
{
	const struct series *series = of == HISTORY_WHOLE  ? &history->whole
				      : of == HISTORY_POOL ? &history->pools[index]
							   : &history->backends[index];
	struct view_of view = {
		.track = seconds > HISTORY_SECONDS ? &series->coarse : &series->fine};
	u32 step_s = view.track->step_s;

	view.count = MIN(MAX(seconds / step_s, 1), view.track->room);
	json_object_begin(json);
	json_key_i64(json, "from_at_ms",
		history->last_ms - (i64)1000 * ((i64)view.count * step_s + view.track->begun_s));
	json_key_u64(json, "step_ms", 1000ull * step_s);
	json_key_bool(json, "thinned", series->fine.step_s > 1);
	write_rate(json, &view, "requests_per_s", offsetof(struct point, requests));
	write_rate(json, &view, "errors_per_s", offsetof(struct point, errors));
	write_numbers(json, &view, "connections", offsetof(struct point, connections), false);
	write_numbers(json, &view, "p50_us", offsetof(struct point, p50_us), true);
	write_numbers(json, &view, "p90_us", offsetof(struct point, p90_us), true);
	write_numbers(json, &view, "p99_us", offsetof(struct point, p99_us), true);
	write_numbers(json, &view, "max_us", offsetof(struct point, max_us), true);
	write_heat(json, &view);
	json_object_end(json);
}
