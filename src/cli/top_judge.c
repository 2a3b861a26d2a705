// SPDX-License-Identifier: Apache-2.0
// Rows: what is odd about each backend, which of them are shown, and in which order.
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/top_model.h"

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

// ---- Judging ------------------------------------------------------------------------------------

// One that keeps changing stays where it is in the list, whatever it is at the moment.
static enum rank rank_of(const struct top_backend *one)
{
	if (one->odd[TOP_FLAPS].text && one->level != LEVEL_MEANT)
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

// The one that its row has room for.
static enum top_finding finding_of(const struct top_backend *one)
{
	for (u32 i = TOP_NOTHING + 1; i < TOP_FINDING_COUNT; i++)
		if (one->odd[i].text)
			return (enum top_finding)i;
	return TOP_NOTHING;
}

static void judge_all(struct top_model *model)
{
	for (u32 i = 0; i < model->backend_count; i++) {
		struct top_backend *one = &model->backends[i];

		one->level = level_of_backend(one->state);
		one->finding = finding_of(one);
		one->rank = rank_of(one);
		one->shown_since_at_ms =
			one->finding && one->level == LEVEL_GOOD &&
					isfinite(one->odd[one->finding].since_at_ms)
				? one->odd[one->finding].since_at_ms
				: one->since_at_ms;
		if (one->finding && one->level == LEVEL_GOOD)
			one->level = one->finding == TOP_ERRORS ? LEVEL_BAD : LEVEL_WARN;
	}
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

void top_model_arrange(struct top_model *model, const struct top_order *order)
{
	struct sorting sorting = {model, order->sort};

	judge_all(model);
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
