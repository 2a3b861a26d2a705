// SPDX-License-Identifier: Apache-2.0
// The two tables of weir top: pools, and backends.
#include <math.h>
#include <stdio.h>

#include "cli/top_columns.h"
#include "cli/top_draw.h"
#include "cli/units.h"

enum {
	name_least = 7, // the title "BACKEND"
	name_most = 40,
	pool_most = 24,
	sign_columns = 2,
	value_bytes = 192,
};

// X(ENUM, "TITLE", least, most, rank, ends at the same place)
#define BACKEND_COLUMNS(X)                                \
	X(SIGN, "", sign_columns, sign_columns, 0, false) \
	X(STATE, "STATE", 9, 10, 0, false)                \
	X(SINCE, "SINCE", 6, 6, 4, true)                  \
	X(NAME, "BACKEND", 0, 0, 0, false)                \
	X(POOL, "POOL", 0, 0, 9, false)                   \
	X(RATE, "REQ/S", 6, 6, 2, true)                   \
	X(SPARK, "LAST MIN", 8, 30, 7, false)             \
	X(ERRORS, "ERR/S", 6, 6, 3, true)                 \
	X(P50, "P50", 6, 6, 10, true)                     \
	X(P99, "P99", 6, 6, 1, true)                      \
	X(TIMES, "xPEERS", 6, 6, 5, true)                 \
	X(ACTIVE, "ACTIVE", 6, 6, 8, true)                \
	X(CHANGES, "CHG10M", 6, 6, 6, true)               \
	X(CONN, "CONN", 6, 9, 11, true)                   \
	X(BREAKER, "BREAKER", 9, 9, 12, false)            \
	X(WEIGHT, "WEIGHT", 6, 6, 13, true)               \
	X(CHECK, "LAST CHECK", 12, 24, 14, false)         \
	X(WHY, "WHY", 16, 80, 15, false)

#define POOL_COLUMNS(X)                                   \
	X(SIGN, "", sign_columns, sign_columns, 0, false) \
	X(NAME, "POOL", 0, 0, 0, false)                   \
	X(STATE, "STATE", 8, 8, 0, false)                 \
	X(UP, "UP", 5, 9, 1, true)                        \
	X(RATE, "REQ/S", 6, 6, 2, true)                   \
	X(ERRORS, "ERR/S", 6, 6, 3, true)                 \
	X(P50, "P50", 6, 6, 6, true)                      \
	X(P99, "P99", 6, 6, 4, true)                      \
	X(MAX, "MAX", 6, 6, 11, true)                     \
	X(ACTIVE, "ACTIVE", 6, 6, 7, true)                \
	X(QUEUED, "QUEUED", 6, 6, 5, true)                \
	X(RETRIES, "RETRY/S", 7, 7, 9, true)              \
	X(ALGORITHM, "ALGORITHM", 11, 24, 8, false)       \
	X(CHECK, "CHECK", 5, 5, 10, false)                \
	X(FAILOVER, "FAILOVER", 8, 16, 12, false)

enum backend_column {
#define X(name, title, least, most, rank, right) B_##name,
	BACKEND_COLUMNS(X)
#undef X
		BACKEND_COLUMN_COUNT
};

enum pool_column {
#define X(name, title, least, most, rank, right) P_##name,
	POOL_COLUMNS(X)
#undef X
		POOL_COLUMN_COUNT
};

static const struct top_column backend_columns[] = {
#define X(name, title, least, most, rank, right) {title, least, most, rank, right},
	BACKEND_COLUMNS(X)
#undef X
};

static const struct top_column pool_columns[] = {
#define X(name, title, least, most, rank, right) {title, least, most, rank, right},
	POOL_COLUMNS(X)
#undef X
};

_Static_assert((int)BACKEND_COLUMN_COUNT <= (int)TOP_COLUMNS_MAX, "top_columns_fit has room");
_Static_assert((int)POOL_COLUMN_COUNT <= (int)TOP_COLUMNS_MAX, "top_columns_fit has room");

// One cell: its text and what it looks like.
struct value {
	char text[value_bytes];
	u32 style;
	bool is_name;
};

#define SET(value, ...) snprintf((value)->text, sizeof((value)->text), __VA_ARGS__)

// Nothing, and what is not known, stand back.
static void set_number(struct value *value, struct unit unit, double number)
{
	SET(value, "%s", unit.text);
	if (!(number > 0))
		value->style = CELLS_DIM;
}

static void put_value(
	struct cells *cells, const struct top_column *column, u32 width, const struct value *value)
{
	cells_style(cells, value->style);
	if (value->is_name)
		cells_name(cells, str_from(value->text), width);
	else if (column->is_right)
		cells_right(cells, str_from(value->text), width);
	else
		cells_left(cells, str_from(value->text), width);
	cells_style(cells, CELLS_PLAIN);
}

// ---- Pools --------------------------------------------------------------------------------------

static void pool_value(const struct top_pool *pool, enum pool_column column, struct value *value)
{
	switch (column) {
	case P_SIGN:
		SET(value, " %s", level_sign(pool->level));
		value->style = level_style(pool->level);
		break;
	case P_NAME:
		SET(value, "%s", pool->name);
		value->is_name = true;
		break;
	case P_STATE:
		SET(value, "%s", pool->state);
		value->style = level_style(pool->level);
		break;
	case P_UP:
		SET(value, "%s/%s", unit_count(pool->eligible).text,
			unit_count(pool->backends).text);
		break;
	case P_RATE:
		set_number(value, unit_number(pool->rate), pool->rate);
		break;
	case P_ERRORS:
		set_number(value, unit_number(pool->errors), pool->errors);
		break;
	case P_P50:
		set_number(value, unit_us(pool->p50_us), pool->p50_us);
		break;
	case P_P99:
		set_number(value, unit_us(pool->p99_us), pool->p99_us);
		break;
	case P_MAX:
		set_number(value, unit_us(pool->max_us), pool->max_us);
		break;
	case P_ACTIVE:
		set_number(value, unit_count(pool->in_flight), pool->in_flight);
		break;
	case P_QUEUED:
		set_number(value, unit_count(pool->queued), pool->queued);
		break;
	case P_RETRIES:
		set_number(value, unit_number(pool->retries), pool->retries);
		break;
	case P_ALGORITHM:
		SET(value, "%s", pool->algorithm);
		break;
	case P_CHECK:
		SET(value, "%s", pool->check);
		break;
	case P_FAILOVER:
		SET(value, "%s", pool->failover[0] ? pool->failover : "-");
		break;
	case POOL_COLUMN_COUNT:
		break;
	}
}

static void put_pool(struct cells *cells, const struct top_pool *pool,
	const struct top_column *columns, const u32 *widths)
{
	for (u32 i = 0; i < POOL_COLUMN_COUNT; i++) {
		struct value value = {.style = CELLS_PLAIN};

		if (!widths[i])
			continue;
		pool_value(pool, (enum pool_column)i, &value);
		put_value(cells, &columns[i], widths[i], &value);
		cells_put(cells, STR(" "));
	}
	cells_end(cells);
}

static void put_rest(struct cells *cells, u32 count, u32 bad)
{
	cells_style(cells, CELLS_DIM);
	if (bad)
		cells_printf(cells, "   and %u more pools, %u of them not ok", count, bad);
	else
		cells_printf(cells, "   and %u more pools, all ok", count);
	cells_end(cells);
}

static u32 longest_pool(const struct top_model *model)
{
	u32 width = 0;

	for (u32 i = 0; i < model->pool_count; i++)
		width = MAX(width, cells_width(str_from(model->pools[i].name)));
	return width;
}

// The worst first, in the order of the configuration else.
static void put_pools(struct cells *cells, const struct top_model *model,
	const struct top_column *columns, const u32 *widths, u32 lines)
{
	u32 whole = model->pool_count <= lines ? model->pool_count : lines - 1;
	u32 shown = 0, left = 0, bad = 0;

	for (int level = LEVEL_BAD; level >= LEVEL_GOOD; level--)
		for (u32 i = 0; i < model->pool_count; i++) {
			const struct top_pool *pool = &model->pools[i];

			if ((int)pool->level != level)
				continue;
			if (shown < whole) {
				put_pool(cells, pool, columns, widths);
				shown++;
			} else {
				left++;
				bad += pool->level > LEVEL_MEANT;
			}
		}
	if (left)
		put_rest(cells, left, bad);
}

static void fit_name(struct top_column *column, u32 needed, u32 columns, u32 most)
{
	u32 third = columns ? MAX(columns / 3, (u32)name_least) : most;

	needed = MIN(MAX(needed, (u32)name_least), most);
	column->least = (u16)MIN(needed, third);
	column->most = (u16)needed;
}

void top_draw_pools(const struct top_model *model, struct cells *cells, u32 lines)
{
	struct top_column columns[POOL_COLUMN_COUNT];
	u32 widths[TOP_COLUMNS_MAX];

	if (lines < 2)
		return;
	memcpy(columns, pool_columns, sizeof(columns));
	fit_name(&columns[P_NAME], longest_pool(model), cells->look.columns, name_most);
	top_columns_fit(columns, POOL_COLUMN_COUNT, cells->look.columns, widths);
	cells_style(cells, CELLS_BOLD | CELLS_UNDERLINE);
	top_columns_put_titles(cells, columns, POOL_COLUMN_COUNT, widths, POOL_COLUMN_COUNT);
	cells_fill(cells, cells->look.columns);
	cells_end(cells);
	put_pools(cells, model, columns, widths, lines - 1);
}

// ---- Backends -----------------------------------------------------------------------------------

static void set_spark(struct value *value, const struct top_backend *one, u32 width)
{
	static const char *const signs[] = {"▁", "▂", "▃", "▅", "▇"};
	const u32 sign_count = ARRAY_LEN(signs);
	double most = 0;
	u32 count = MIN(width, one->spark_count);
	size_t at = width - count; // the newest stands at the end

	memset(value->text, ' ', at);
	for (u32 i = 0; i < one->spark_count; i++)
		if (one->spark[i] > most)
			most = one->spark[i];
	for (u32 i = 0; i < count; i++) {
		u32 from = i * one->spark_count / count, to = (i + 1) * one->spark_count / count;
		double sum = 0;
		const char *sign = "·"; // nothing at all

		for (u32 j = from; j < to; j++)
			sum += isfinite(one->spark[j]) ? one->spark[j] : 0;
		if (sum > 0)
			sign = signs[MIN(
				(u32)(sum / (to - from) / most * sign_count), sign_count - 1)];
		at += (size_t)snprintf(value->text + at, sizeof(value->text) - at, "%s", sign);
	}
	value->style = CELLS_CYAN;
}

static void set_check(struct value *value, const struct top_backend *one)
{
	if (isnan(one->checked_at_ms))
		SET(value, "-");
	else if (!one->check_passed)
		SET(value, "%s", one->check_reason[0] ? one->check_reason : "failed");
	else if (isnan(one->check_us))
		SET(value, "ok");
	else
		SET(value, "ok in %s", unit_us(one->check_us).text);
	value->style = one->check_passed ? CELLS_PLAIN : CELLS_YELLOW;
}

static void set_breaker(struct value *value, const struct top_backend *one)
{
	SET(value, "%s%s", one->breaker, one->breaker_forced[0] ? " held" : "");
	if (strcmp(one->breaker, "closed") != 0)
		value->style = CELLS_YELLOW;
}

static void set_connections(struct value *value, const struct top_backend *one)
{
	if (isnan(one->connections_max))
		SET(value, "%s", unit_count(one->connections).text);
	else
		SET(value, "%s/%s", unit_count(one->connections).text,
			unit_count(one->connections_max).text);
}

static void set_weight(struct value *value, const struct top_backend *one)
{
	SET(value, "%s", unit_count(one->weight).text);
	if (one->weight != one->weight_configured && !isnan(one->weight_configured))
		value->style = CELLS_YELLOW;
}

static void set_state(struct value *value, const struct top_backend *one)
{
	bool shows_finding = one->finding && strcmp(one->state, "up") == 0;

	SET(value, "%s%s%s", one->state, shows_finding ? ", " : "",
		shows_finding ? top_finding_word(one->finding) : "");
	value->style = level_style(one->level) | (one->level >= LEVEL_WARN ? CELLS_BOLD : 0);
}

static void set_odd(struct value *value, bool is_odd)
{
	if (is_odd)
		value->style = CELLS_YELLOW | CELLS_BOLD;
}

struct row {
	const struct top_backend *one;
	double now_ms;
	bool is_selected;
};

static void number_value(const struct row *row, enum backend_column column, struct value *value)
{
	const struct top_backend *one = row->one;

	switch (column) {
	case B_RATE:
		set_number(value, unit_number(one->rate), one->rate);
		break;
	case B_ERRORS:
		set_number(value, unit_number(one->errors), one->errors);
		if (one->finding == TOP_ERRORS)
			value->style = CELLS_RED | CELLS_BOLD;
		break;
	case B_P50:
		set_number(value, unit_us(one->p50_us), one->p50_us);
		break;
	case B_P99:
		set_number(value, unit_us(one->p99_us), one->p99_us);
		set_odd(value, one->finding == TOP_SLOW);
		break;
	case B_TIMES:
		set_number(value, unit_times(one->times), one->times);
		set_odd(value, one->finding == TOP_SLOW);
		break;
	case B_ACTIVE:
		set_number(value, unit_count(one->in_flight), one->in_flight);
		break;
	case B_CHANGES:
		set_number(value, unit_count(one->changes), one->changes);
		set_odd(value, one->odd[TOP_FLAPS].text != NULL);
		break;
	default:
		break;
	}
}

static void backend_value(
	const struct row *row, enum backend_column column, u32 width, struct value *value)
{
	const struct top_backend *one = row->one;

	switch (column) {
	case B_SIGN:
		SET(value, "%s%s", row->is_selected ? "▸" : " ", level_sign(one->level));
		value->style = level_style(one->level);
		break;
	case B_STATE:
		set_state(value, one);
		break;
	case B_SINCE:
		SET(value, "%s", unit_span(row->now_ms - one->shown_since_at_ms).text);
		value->style = strcmp(one->state, "up") == 0 ? CELLS_DIM : CELLS_PLAIN;
		break;
	case B_NAME:
		SET(value, "%s", one->id);
		value->is_name = true;
		value->style = one->level >= LEVEL_WARN ? CELLS_BOLD : CELLS_PLAIN;
		break;
	case B_POOL:
		SET(value, "%s", one->pool);
		break;
	case B_SPARK:
		set_spark(value, one, width);
		break;
	case B_CONN:
		set_connections(value, one);
		break;
	case B_BREAKER:
		set_breaker(value, one);
		break;
	case B_WEIGHT:
		set_weight(value, one);
		break;
	case B_CHECK:
		set_check(value, one);
		break;
	case B_WHY:
		SET(value, "%s",
			strcmp(one->state, "up") != 0 ? one->reason
			: one->finding		      ? one->odd[one->finding].text
						      : "");
		break;
	default:
		number_value(row, column, value);
		break;
	}
}

// Of a backend that gets nothing the figures say nothing: why it is out stands in their place.
static bool is_silent(const struct top_backend *one)
{
	return !one->takes && !(one->rate > 0) && one->level != LEVEL_GOOD;
}

static void put_why(struct cells *cells, const struct row *row, bool has_since)
{
	const struct top_backend *one = row->one;
	const char *flaps = one->odd[TOP_FLAPS].text;

	if (!has_since && !isnan(one->since_at_ms))
		cells_printf(cells, "%s ", unit_span(row->now_ms - one->since_at_ms).text);
	if (one->in_flight > 0)
		cells_printf(cells, "%s in flight, ", unit_count(one->in_flight).text);
	if (flaps) {
		cells_style(cells, CELLS_YELLOW | CELLS_BOLD);
		cells_printf(cells, "%s, ", flaps);
		cells_style(cells, CELLS_PLAIN);
	}
	cells_put(cells, str_from(one->reason[0] ? one->reason : "gets no requests"));
}

static void put_backend(struct cells *cells, const struct row *row,
	const struct top_column *columns, const u32 *widths)
{
	cells->base = row->is_selected ? CELLS_REVERSE : 0;
	cells_style(cells, CELLS_PLAIN);
	for (u32 i = 0; i < BACKEND_COLUMN_COUNT; i++) {
		struct value value = {.style = CELLS_PLAIN};

		if (!widths[i])
			continue;
		if (i > B_POOL && is_silent(row->one)) {
			cells_put(cells, STR(" "));
			put_why(cells, row, widths[B_SINCE]);
			break;
		}
		backend_value(row, (enum backend_column)i, widths[i], &value);
		put_value(cells, &columns[i], widths[i], &value);
		cells_put(cells, STR(" "));
	}
	if (row->is_selected)
		cells_fill(cells, cells->look.columns);
	cells_end(cells);
}

static u32 longest_backend(const struct top_model *model)
{
	u32 width = 0;

	for (u32 i = 0; i < model->row_count; i++)
		width = MAX(width, cells_width(str_from(model->backends[model->rows[i]].id)));
	return width;
}

static u32 marked_column(enum top_sort sort)
{
	switch (sort) {
	case TOP_BY_TROUBLE:
		return B_STATE;
	case TOP_BY_RATE:
		return B_RATE;
	case TOP_BY_ERROR_RATE:
		return B_ERRORS;
	case TOP_BY_P99:
		return B_P99;
	case TOP_BY_IN_FLIGHT:
		return B_ACTIVE;
	case TOP_BY_NAME:
	case TOP_SORT_COUNT:
		break;
	}
	return BACKEND_COLUMN_COUNT;
}

static void put_titles(struct cells *cells, const struct top_view *view,
	const struct top_column *columns, const u32 *widths)
{
	cells_style(cells, CELLS_BOLD | CELLS_UNDERLINE);
	top_columns_put_titles(
		cells, columns, BACKEND_COLUMN_COUNT, widths, marked_column(view->order.sort));
	cells_fill(cells, cells->look.columns);
	cells_end(cells);
}

void top_draw_backends(const struct top_model *model, const struct top_view *view,
	const struct top_size *size, struct cells *cells, u32 lines)
{
	struct top_column columns[BACKEND_COLUMN_COUNT];
	struct row row = {.now_ms = model->now_at_ms + (double)view->age_s * 1000};
	u32 widths[TOP_COLUMNS_MAX];

	memcpy(columns, backend_columns, sizeof(columns));
	fit_name(&columns[B_NAME], longest_backend(model), cells->look.columns, name_most);
	fit_name(&columns[B_POOL], longest_pool(model), cells->look.columns, pool_most);
	if (model->pool_count < 2)
		columns[B_POOL].rank = TOP_COLUMN_GONE;
	top_columns_fit(columns, BACKEND_COLUMN_COUNT, cells->look.columns, widths);
	put_titles(cells, view, columns, widths);
	for (u32 i = 1; i < lines; i++) {
		u32 at = view->scroll + i - 1;

		if (at >= model->row_count) {
			cells_end(cells);
			continue;
		}
		row.one = &model->backends[model->rows[at]];
		row.is_selected = size->rows && at == view->selected;
		put_backend(cells, &row, columns, widths);
	}
}
