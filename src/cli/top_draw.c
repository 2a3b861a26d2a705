// SPDX-License-Identifier: Apache-2.0
#include "cli/top_draw.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/event_text.h"
#include "cli/units.h"

enum {
	rows_least = 5,
	columns_least = 20,
	tall_from = 20, // rows; below, what is shown beside the list is cut
	middle_from = 16,
	item_bytes = 96,
	items_max = 20,
	events_least = 4,
	wide_from = 60,	    // columns
	once_columns = 100, // of the totals when the line has no end
};

static const double failing_ratio = 0.01, crowded_ratio = 0.8;

// How many lines each part has.
struct layout {
	u32 verdict, totals, pools, list, detail, events, keys;
};

// ---- Items that give way ------------------------------------------------------------------------

struct item {
	char text[item_bytes];
	u32 rank; // 0 is needed most
	u32 style;
	bool gone;
};

struct items {
	struct item all[items_max];
	u32 count;
};

static void add_item(struct items *items, u32 rank, u32 style, const char *format, ...)
	printf_like(4, 5);

static void add_item(struct items *items, u32 rank, u32 style, const char *format, ...)
{
	struct item *item = &items->all[items->count++];
	va_list args;

	ASSERT(items->count <= items_max);
	*item = (struct item){.rank = rank, .style = style};
	va_start(args, format);
	vsnprintf(item->text, sizeof(item->text), format, args);
	va_end(args);
}

// Lines that they take, two spaces apart.
static u32 lines_of(const struct items *items, u32 columns)
{
	u32 lines = 1, at = 0;

	for (u32 i = 0; i < items->count; i++) {
		u32 width = cells_width(str_from(items->all[i].text));

		if (items->all[i].gone)
			continue;
		if (at && at + 2 + width > columns) {
			lines++;
			at = 0;
		}
		at += width + (at ? 2 : 0);
	}
	return lines;
}

static void drop_least(struct items *items)
{
	struct item *least = NULL;

	for (u32 i = 0; i < items->count; i++)
		if (!items->all[i].gone && (!least || items->all[i].rank >= least->rank))
			least = &items->all[i];
	if (least)
		least->gone = true;
}

// Exactly `lines`, without those that are needed least where they do not fit. Of the last line the
// end is left to the caller.
static void put_items(struct cells *cells, struct items *items, u32 lines, u32 columns)
{
	while (lines_of(items, columns) > lines)
		drop_least(items);
	for (u32 i = 0; i < items->count; i++) {
		u32 width = cells_width(str_from(items->all[i].text));

		if (items->all[i].gone)
			continue;
		if (cells->at && cells->at + 2 + width > columns) {
			cells_end(cells);
			lines--;
		}
		cells_put(cells, cells->at ? STR("  ") : STR(""));
		cells_style(cells, items->all[i].style);
		cells_put(cells, str_from(items->all[i].text));
		cells_style(cells, CELLS_PLAIN);
	}
	for (; lines > 1; lines--)
		cells_end(cells);
}

// ---- Verdict ------------------------------------------------------------------------------------

static bool is_old(const struct top_view *view)
{
	return view->trouble || view->age_s >= TOP_OLD_S;
}

// What the first line says: the verdict, or that nothing new comes.
static struct str headline(
	const struct top_model *model, const struct top_view *view, char *room, size_t room_bytes)
{
	double age_ms = (double)view->age_s * 1000;

	if (!is_old(view))
		return str_from(model->verdict);
	if (view->trouble)
		snprintf(room, room_bytes, "No answer for %s: %s. What is shown is from then.",
			unit_span(age_ms).text, view->trouble);
	else
		snprintf(room, room_bytes,
			"No news for %s: weir is stopped or very busy. What is shown is from then.",
			unit_span(age_ms).text);
	return str_from(room);
}

static u32 verdict_lines(struct str text, u32 columns, u32 most)
{
	u32 lines = 0, first = columns - MIN(columns - 1, 7u);

	while (text.len && lines < most) {
		(void)cells_wrap(&text, lines ? columns - 2 : first);
		lines++;
	}
	return MAX(lines, 1u);
}

static void put_verdict(
	const struct top_model *model, const struct top_view *view, struct cells *cells, u32 lines)
{
	char room[item_bytes * 6];
	struct str text = headline(model, view, room, sizeof(room));
	enum level level = is_old(view) ? LEVEL_BAD : model->level;
	u32 columns = cells->look.columns;

	for (u32 i = 0; i < lines; i++) {
		cells->base = CELLS_REVERSE | CELLS_BOLD | level_style(level);
		cells_style(cells, CELLS_PLAIN);
		if (i == 0)
			cells_printf(cells, " %s %s ", level_sign(level), level_word(level));
		cells_put(cells, STR(" "));
		if (columns && i + 1 < lines)
			cells_put(cells, cells_wrap(&text, columns - cells->at - 1));
		else if (columns)
			cells_left(cells, text, columns - cells->at);
		else
			cells_put(cells, text);
		cells_fill(cells, columns);
		cells_end(cells);
	}
}

// ---- Totals -------------------------------------------------------------------------------------

static void add_latencies(struct items *items, const struct top_totals *totals)
{
	if (!isnan(totals->p50_us))
		add_item(items, 5, 0, "p50 %s", unit_us(totals->p50_us).text);
	if (!isnan(totals->p90_us))
		add_item(items, 8, 0, "p90 %s", unit_us(totals->p90_us).text);
	if (!isnan(totals->p99_us))
		add_item(items, 2, CELLS_BOLD, "p99 %s", unit_us(totals->p99_us).text);
	if (!isnan(totals->max_us))
		add_item(items, 7, 0, "max %s", unit_us(totals->max_us).text);
}

static void add_load(struct items *items, const struct top_totals *totals)
{
	bool crowded = totals->connections > totals->connections_max * crowded_ratio;

	add_item(items, 4, crowded ? CELLS_YELLOW | CELLS_BOLD : 0, "conn %s of %s",
		unit_count(totals->connections).text, unit_count(totals->connections_max).text);
	add_item(items, 3, 0, "in flight %s", unit_count(totals->in_flight).text);
	if (!isnan(totals->queued))
		add_item(items, 6, totals->queued > 0 ? CELLS_YELLOW | CELLS_BOLD : 0, "queued %s",
			unit_count(totals->queued).text);
	if (!isnan(totals->busy_ratio))
		add_item(items, 4,
			totals->busy_ratio > crowded_ratio ? CELLS_YELLOW | CELLS_BOLD : 0,
			"busy %s", unit_percent(totals->busy_ratio).text);
	if (totals->retries > 0)
		add_item(items, 9, 0, "%s retries/s", unit_number(totals->retries).text);
	if (totals->tunnels > 0)
		add_item(items, 10, 0, "tunnels %s", unit_count(totals->tunnels).text);
	if (totals->client_errors > 0)
		add_item(items, 10, 0, "%s 4xx/s", unit_number(totals->client_errors).text);
}

static void add_count(struct text *text, u32 count, const char *word)
{
	if (count)
		text_printf(text, "%s%u %s", text->len ? ", " : "", count, word);
}

// Sources of backends: how old what they told is.
static void add_providers(struct items *items, const struct top_model *model)
{
	const struct top_totals *totals = &model->totals;
	bool all_up = totals->providers == totals->providers_up;

	if (totals->providers == 0)
		return;
	add_item(items, all_up ? 8 : 2, all_up ? 0 : CELLS_RED | CELLS_BOLD,
		"providers %u/%u up, read %s%s", totals->providers_up, totals->providers,
		isnan(totals->read_at_ms) ? "never"
					  : unit_span(model->now_at_ms - totals->read_at_ms).text,
		isnan(totals->read_at_ms) ? "" : " ago");
}

// How many backends are not as they should be, in words.
static void add_trouble(struct items *items, const struct top_model *model)
{
	u32 findings[] = {[TOP_NOTHING] = 0, [TOP_ERRORS] = 0, [TOP_SLOW] = 0, [TOP_FLAPS] = 0};
	struct text text = {0};
	u32 out = 0, meant = 0, flapping = 0;

	for (u32 i = 0; i < model->backend_count; i++) {
		const struct top_backend *one = &model->backends[i];

		flapping += one->odd[TOP_FLAPS].text != NULL;
		if (one->takes)
			findings[one->finding]++;
		else if (one->level == LEVEL_BAD)
			out++;
		else if (one->level == LEVEL_MEANT)
			meant++;
	}
	add_count(&text, out, "out");
	add_count(&text, findings[TOP_ERRORS], "failing");
	add_count(&text, findings[TOP_SLOW], "slow");
	add_count(&text, flapping, "flapping");
	add_count(&text, meant, "set aside");
	if (text.len)
		add_item(items, 2, CELLS_BOLD | (out ? CELLS_RED : CELLS_YELLOW), "%s", text.data);
	text_done(&text);
}

static void put_totals(
	const struct top_model *model, const struct top_view *view, struct cells *cells, u32 lines)
{
	const struct top_totals *totals = &model->totals;
	struct items items = {.count = 0};
	u32 failing = totals->errors_ratio >= failing_ratio ? CELLS_RED | CELLS_BOLD
		      : totals->errors > 0		    ? CELLS_YELLOW
							    : 0;
	u32 columns = cells->look.columns;

	if (lines == 0)
		return;
	add_item(&items, 0, CELLS_BOLD, "%s req/s", unit_number(totals->rate).text);
	add_item(&items, 1, failing, "%s err/s %s", unit_number(totals->errors).text,
		unit_percent(totals->errors_ratio).text);
	add_latencies(&items, totals);
	add_trouble(&items, model);
	add_load(&items, totals);
	add_providers(&items, model);
	if (model->draining)
		add_item(&items, 1, CELLS_YELLOW | CELLS_BOLD, "draining");
	if (!isnan(totals->workers))
		add_item(&items, 12, CELLS_DIM, "%s workers", unit_count(totals->workers).text);
	add_item(&items, 11, CELLS_DIM, "up %s",
		unit_span(model->now_at_ms + (double)view->age_s * 1000 - model->started_at_ms)
			.text);
	add_item(&items, 13, CELLS_DIM, "%s", model->instance);
	put_items(cells, &items, lines, columns ? columns : (u32)once_columns);
	cells_end(cells);
}

// ---- Events and keys ----------------------------------------------------------------------------

void top_draw_rule(struct cells *cells, struct str title)
{
	cells_style(cells, CELLS_DIM);
	cells_put(cells, STR("── "));
	cells_style(cells, CELLS_BOLD);
	cells_put(cells, title);
	cells_style(cells, CELLS_DIM);
	cells_put(cells, STR(" "));
	while (cells->at < cells->look.columns)
		cells_put(cells, STR("─"));
	cells_end(cells);
}

static void put_events(const struct top_model *model, struct cells *cells, u32 lines)
{
	if (lines == 0)
		return;
	top_draw_rule(cells, STR("what has changed, newest first"));
	for (u32 i = 1; i < lines; i++) {
		if (i <= model->event_count)
			event_put_short(cells, model->events[model->event_count - i].tree,
				cells->look.columns >= wide_from);
		cells_end(cells);
	}
}

// Which rows are shown, where that are not all; else nothing.
static void say_position(const struct top_model *model, const struct top_view *view, u32 page,
	char *text, size_t text_bytes)
{
	u32 last = MIN(view->scroll + page, model->row_count);
	u32 first = last ? view->scroll + 1 : 0;

	text[0] = '\0';
	if (first > 1 || last < model->backend_count)
		snprintf(text, text_bytes, "%u-%u of %u", first, last, model->row_count);
}

static void add_keys(struct items *items, const struct top_view *view)
{
	const struct top_order *order = &view->order;

	add_item(items, 0, 0, "q quit");
	add_item(items, 1, 0, "s by %s", top_sort_word(order->sort));
	if (order->filter[0])
		add_item(items, 1, CELLS_REVERSE, "/ only %s", order->filter);
	else
		add_item(items, 4, 0, "/ filter");
	if (order->only_trouble)
		add_item(items, 1, CELLS_REVERSE, "u not up");
	else
		add_item(items, 5, 0, "u not up");
	add_item(items, 2, 0, "d drain");
	add_item(items, 6, 0, "e events");
	add_item(items, 0, 0, "? help");
}

static void put_keys(
	const struct top_model *model, const struct top_view *view, struct cells *cells, u32 page)
{
	u32 columns = cells->look.columns, width;
	struct items items = {.count = 0};
	char position[item_bytes];

	if (view->prompt == TOP_CONFIRMS) {
		cells_style(cells, CELLS_BOLD);
		cells_printf(
			cells, "y: %s it   any other key: no", view->enables ? "enable" : "drain");
	} else if (view->prompt == TOP_TYPES_FILTER) {
		cells_style(cells, CELLS_BOLD);
		cells_printf(cells, "only: %s_", view->order.filter);
		cells_style(cells, CELLS_DIM);
		cells_put(cells, STR("   Enter: keep, Esc: all"));
	} else if (view->message_s) {
		cells_style(cells, CELLS_BOLD);
		cells_put(cells, str_from(view->message));
	} else {
		add_keys(&items, view);
		say_position(model, view, page, position, sizeof(position));
		width = (u32)strlen(position);
		put_items(cells, &items, 1, columns - MIN(columns, width ? width + 2 : 0));
		cells_fill(cells, columns - MIN(columns, width));
		cells_put(cells, str_from(position));
	}
	cells_end(cells);
}

// ---- The whole ----------------------------------------------------------------------------------

static bool has_bad_pool(const struct top_model *model)
{
	for (u32 i = 0; i < model->pool_count; i++)
		if (model->pools[i].level != LEVEL_GOOD)
			return true;
	return false;
}

static u32 pool_lines(const struct top_model *model, u32 rows)
{
	if (rows >= middle_from)
		return 1 + MIN(model->pool_count, MAX(rows / 5, 2u));
	return model->pool_count > 1 && has_bad_pool(model) && rows >= 14 ? 3 : 0;
}

// What the list does not need is for what has changed; one line stays between them.
static void share_room(const struct top_model *model, struct layout *layout)
{
	u32 needed = MAX(model->row_count, 1u) + 2;

	if (model->event_count == 0 || layout->list < needed + events_least)
		return;
	layout->events = MIN(layout->list - needed, model->event_count + 1);
	layout->list -= layout->events;
}

static struct layout lay_out(
	const struct top_model *model, const struct top_view *view, const struct top_size *size)
{
	u32 rows = size->rows, columns = size->look.columns, used;
	char room[item_bytes * 6];
	struct str text = headline(model, view, room, sizeof(room));
	struct layout layout = {.totals = rows >= 10 ? 2 : 1,
		.keys = 1,
		.pools = pool_lines(model, rows),
		.detail = rows >= tall_from ? 4
			  : rows >= 11	    ? 2
					    : 0};

	layout.verdict = verdict_lines(text, columns, rows >= middle_from ? 3 : 2);
	if (view->events == TOP_EVENTS_SHOWN) {
		layout.events = MAX(rows / 3, 3u);
		layout.detail = rows >= tall_from ? layout.detail : 0;
	}
	if (view->prompt == TOP_CONFIRMS)
		layout.detail = top_draw_question_lines(model, view, columns);
	used = layout.verdict + layout.totals + layout.keys + layout.pools + layout.detail +
	       layout.events;
	if (used + 2 > rows) { // the list is what it is all about
		layout.pools = layout.events = 0;
		used = layout.verdict + layout.totals + layout.keys + layout.detail;
	}
	layout.list = used + 2 > rows ? 2 : rows - used;
	if (view->events == TOP_EVENTS_WITH_ROOM && view->prompt != TOP_CONFIRMS)
		share_room(model, &layout);
	return layout;
}

struct top_page top_draw_page(
	const struct top_model *model, const struct top_view *view, const struct top_size *size)
{
	struct layout layout;

	if (size->rows == 0)
		return (struct top_page){.rows = UINT32_MAX};
	layout = lay_out(model, view, size);
	return (struct top_page){.rows = layout.list - 1, .has_events = layout.events > 0};
}

static void draw_once(const struct top_model *model, const struct top_view *view,
	const struct top_size *size, struct cells *cells)
{
	u32 columns = cells->look.columns;
	char room[item_bytes * 6];
	struct str text = headline(model, view, room, sizeof(room));

	put_verdict(model, view, cells, columns ? verdict_lines(text, columns, 8) : 1);
	put_totals(model, view, cells, 2);
	cells_end(cells);
	top_draw_pools(model, cells, model->pool_count + 1);
	cells_end(cells);
	top_draw_backends(model, view, size, cells, model->row_count + 1);
}

// What does not fit into the last line of a terminal that is too small is not shown.
static void cut(struct text *text, size_t from, u32 rows)
{
	u32 lines = 0;

	for (size_t i = from; i < text->len; i++)
		if (text->data[i] == '\n' && ++lines == rows) {
			text->len = i + 1;
			text->data[text->len] = '\0';
			return;
		}
	for (; lines < rows; lines++)
		text_addc(text, '\n');
}

void top_draw(const struct top_model *model, const struct top_view *view,
	const struct top_size *size, struct text *text)
{
	struct layout layout;
	struct cells cells;
	size_t from = text->len;

	cells_init(&cells, text, &size->look);
	if (size->rows == 0) {
		draw_once(model, view, size, &cells);
		return;
	}
	if (size->rows < rows_least || size->look.columns < columns_least) {
		cells_put(&cells, STR("too small"));
		cells_end(&cells);
		cut(text, from, size->rows);
		return;
	}
	layout = lay_out(model, view, size);
	put_verdict(model, view, &cells, layout.verdict);
	if (view->shows_help) {
		top_draw_help(&cells, view->help_scroll, size->rows - layout.verdict - 1);
		cells_put(&cells, STR("any other key: back   j k: up, down"));
		cells_end(&cells);
		return;
	}
	put_totals(model, view, &cells, layout.totals);
	top_draw_pools(model, &cells, layout.pools);
	top_draw_backends(model, view, size, &cells, layout.list);
	put_events(model, &cells, layout.events);
	if (view->prompt == TOP_CONFIRMS)
		top_draw_question(model, view, &cells, layout.detail);
	else
		top_draw_detail(model, view, &cells, layout.detail);
	put_keys(model, view, &cells, layout.list - 1);
	cut(text, from, size->rows);
}
