// SPDX-License-Identifier: Apache-2.0
// Rows: what is odd about each backend, which of them are shown, and in which order.
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/top_model.h"

// When a backend is called slow: when its median is so many times that of its peers, or its p99 is,
// by so much at least. With few requests a second one of them alone makes a p99, which says nothing
// then.
static const double slow_times = 4, slow_p50_more_us = 1000, slow_p99_more_us = 10000,
		    many_per_s = 20;

// When errors are worth a word: of its requests, and in a second.
static const double errors_ratio_least = 0.05, errors_per_s_least = 0.05;

enum rank {
	RANK_OUT,
	RANK_FLAPS,
	RANK_HALF_OUT,
	RANK_ERRORS,
	RANK_SLOW,
	RANK_MEANT,
	RANK_UNCHECKED,
	RANK_WELL,
};

// ---- Peers --------------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return first < second ? -1 : first > second;
}

static bool is_measured(const struct top_backend *one, const char *pool, double value)
{
	return one->takes && isfinite(value) && strcmp(one->pool, pool) == 0;
}

// The lower median of `sorted` without one element of this value. NAN: there is no other.
static double median_of_others(const double *sorted, u32 count, double value)
{
	u32 middle, own = 0;

	if (count < 2)
		return NAN;
	while (own + 1 < count && sorted[own] < value)
		own++;
	middle = (count - 2) / 2;
	return sorted[middle < own ? middle : middle + 1];
}

struct peers {
	double *p50, *p99; // sorted
	u32 p50_count, p99_count;
};

static void gather(const struct top_model *model, const char *pool, struct peers *peers)
{
	peers->p50_count = peers->p99_count = 0;
	for (u32 i = 0; i < model->backend_count; i++) {
		const struct top_backend *one = &model->backends[i];

		if (is_measured(one, pool, one->p50_us))
			peers->p50[peers->p50_count++] = one->p50_us;
		if (is_measured(one, pool, one->p99_us))
			peers->p99[peers->p99_count++] = one->p99_us;
	}
	qsort(peers->p50, peers->p50_count, sizeof(double), by_value);
	qsort(peers->p99, peers->p99_count, sizeof(double), by_value);
}

static bool is_slow(const struct top_backend *one, double p50_us, double p99_us)
{
	bool slow_p50 = one->times_p50 >= slow_times && one->p50_us - p50_us >= slow_p50_more_us;
	bool slow_p99 = one->times_p99 >= slow_times && one->p99_us - p99_us >= slow_p99_more_us;

	return slow_p50 || (slow_p99 && one->rate >= many_per_s);
}

static double times_of(double value_us, double peers_us)
{
	return peers_us > 0 ? value_us / peers_us : NAN;
}

static void compare(struct top_backend *one, const struct peers *peers)
{
	double p50_us, p99_us;

	one->times_p50 = one->times_p99 = NAN;
	one->finding = TOP_NOTHING;
	if (one->takes && isfinite(one->p99_us)) {
		p50_us = median_of_others(peers->p50, peers->p50_count, one->p50_us);
		p99_us = median_of_others(peers->p99, peers->p99_count, one->p99_us);
		one->times_p50 = times_of(one->p50_us, p50_us);
		one->times_p99 = times_of(one->p99_us, p99_us);
		if (is_slow(one, p50_us, p99_us))
			one->finding = TOP_SLOW;
	}
	if (one->errors >= errors_per_s_least && one->errors >= one->rate * errors_ratio_least)
		one->finding = TOP_ERRORS;
	if (one->finding == TOP_NOTHING && one->changes >= TOP_FLAPS_FROM)
		one->finding = TOP_FLAPS;
}

// ---- Changes ------------------------------------------------------------------------------------

static bool is_of(const struct top_event *event, const struct top_backend *one)
{
	return strcmp(event->backend, one->id) == 0 && strcmp(event->pool, one->pool) == 0;
}

static void count_change(struct top_model *model, struct top_event *event)
{
	u32 count = model->backend_count;

	if (event->at >= count || !is_of(event, &model->backends[event->at]))
		for (event->at = 0; event->at < count; event->at++)
			if (is_of(event, &model->backends[event->at]))
				break;
	if (event->at < count)
		model->backends[event->at].changes++;
}

static void count_changes(struct top_model *model, double now_ms)
{
	for (u32 i = 0; i < model->backend_count; i++)
		model->backends[i].changes = 0;
	for (u32 i = 0; i < model->event_count; i++)
		if (model->events[i].is_change && now_ms - model->events[i].at_ms <= TOP_WINDOW_MS)
			count_change(model, &model->events[i]);
}

// ---- Judging ------------------------------------------------------------------------------------

// One that keeps changing stays where it is in the list, whatever it is at the moment.
static enum rank rank_of(const struct top_backend *one)
{
	if (one->changes >= TOP_FLAPS_FROM && one->level != LEVEL_MEANT)
		return RANK_FLAPS;
	if (one->level == LEVEL_BAD)
		return RANK_OUT;
	if (one->level == LEVEL_WARN)
		return RANK_HALF_OUT;
	if (one->finding == TOP_ERRORS)
		return RANK_ERRORS;
	if (one->finding == TOP_SLOW)
		return RANK_SLOW;
	if (one->level == LEVEL_MEANT)
		return RANK_MEANT;
	return one->level == LEVEL_NOTE ? RANK_UNCHECKED : RANK_WELL;
}

static void judge_all(struct top_model *model, double now_ms)
{
	struct peers peers = {.p50 = mem_alloc((model->backend_count + 1) * sizeof(double)),
		.p99 = mem_alloc((model->backend_count + 1) * sizeof(double))};
	const char *pool = NULL;

	count_changes(model, now_ms);
	for (u32 i = 0; i < model->backend_count; i++) {
		struct top_backend *one = &model->backends[i];

		if (!pool || strcmp(pool, one->pool) != 0)
			gather(model, one->pool, &peers);
		pool = one->pool;
		one->level = level_of_backend(one->state);
		compare(one, &peers);
		one->rank = rank_of(one);
		if (one->finding && one->level == LEVEL_GOOD)
			one->level = one->finding == TOP_ERRORS ? LEVEL_BAD : LEVEL_WARN;
	}
	mem_free(peers.p50);
	mem_free(peers.p99);
}

// ---- Rows ---------------------------------------------------------------------------------------

static bool fits(const struct top_backend *one, const struct top_order *order)
{
	const char *texts[] = {one->id, one->pool, one->address, one->state, one->reason,
		top_finding_word(one->finding)};

	if (order->only_trouble && one->rank == RANK_WELL)
		return false;
	if (!order->filter[0])
		return true;
	for (u32 i = 0; i < ARRAY_LEN(texts); i++)
		if (strcasestr(texts[i], order->filter))
			return true;
	return false;
}

struct sorting {
	const struct top_model *model;
	enum top_sort sort;
};

static double value_of(const struct top_backend *one, enum top_sort sort)
{
	double value = sort == TOP_BY_RATE	   ? one->rate
		       : sort == TOP_BY_ERROR_RATE ? one->errors
		       : sort == TOP_BY_P99	   ? one->p99_us
						   : one->in_flight;

	return isfinite(value) ? value : -1;
}

// Of the same trouble the newest first; unless it changes all the time.
static int compare_trouble(const struct top_backend *a, const struct top_backend *b)
{
	double first = isfinite(a->since_at_ms) ? a->since_at_ms : 0;
	double second = isfinite(b->since_at_ms) ? b->since_at_ms : 0;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->rank == RANK_FLAPS && a->changes != b->changes)
		return a->changes > b->changes ? -1 : 1;
	if (a->rank == RANK_OUT || a->rank == RANK_HALF_OUT)
		return first > second ? -1 : first < second;
	return 0;
}

static int compare_rows(const void *a, const void *b, void *context)
{
	const struct sorting *sorting = context;
	u32 first = *(const u32 *)a, second = *(const u32 *)b;
	const struct top_backend *one = &sorting->model->backends[first];
	const struct top_backend *other = &sorting->model->backends[second];
	int result = 0;

	if (sorting->sort == TOP_BY_TROUBLE) {
		result = compare_trouble(one, other);
	} else if (sorting->sort != TOP_BY_NAME) {
		double value = value_of(one, sorting->sort), more = value_of(other, sorting->sort);

		result = value > more ? -1 : value < more;
	}
	return result ? result : first < second ? -1 : first > second;
}

void top_model_arrange(struct top_model *model, const struct top_order *order, u64 age_ms)
{
	struct sorting sorting = {model, order->sort};

	judge_all(model, model->now_at_ms + (double)age_ms);
	if (model->row_room < model->backend_count) {
		model->row_room = model->backend_count;
		model->rows = mem_realloc(model->rows, model->row_room * sizeof(*model->rows));
	}
	model->row_count = 0;
	for (u32 i = 0; i < model->backend_count; i++)
		if (fits(&model->backends[i], order))
			model->rows[model->row_count++] = i;
	if (model->row_count) // else there may be no list
		qsort_r(model->rows, model->row_count, sizeof(*model->rows), compare_rows,
			&sorting);
}

u32 top_model_find_row(const struct top_model *model, const char *pool, const char *id)
{
	u32 row = 0;

	while (row < model->row_count) {
		const struct top_backend *one = &model->backends[model->rows[row]];

		if (strcmp(one->id, id) == 0 && strcmp(one->pool, pool) == 0)
			break;
		row++;
	}
	return row;
}

const struct top_pool *top_model_pool(const struct top_model *model, const char *name)
{
	for (u32 i = 0; i < model->pool_count; i++)
		if (strcmp(model->pools[i].name, name) == 0)
			return &model->pools[i];
	return NULL;
}
