// SPDX-License-Identifier: Apache-2.0
// Below the list of weir top: the chosen backend in words, or the question whether to steer it.
#include <math.h>

#include "cli/call.h"
#include "cli/top_draw.h"
#include "cli/units.h"
#include "decide/flapping.h"

// ---- The chosen backend -------------------------------------------------------------------------

static const double whole_span_ms = FLAPPING_MINUTES * 60 * 1000;

// Most telling first.
static void say_findings(struct text *text, const struct top_backend *one, double now_ms)
{
	static const char *const words[] = {
		[TOP_ERRORS] = "Fails", [TOP_SLOW] = "Slow", [TOP_FLAPS] = "Flaps"};

	for (u32 i = TOP_NOTHING + 1; i < TOP_FINDING_COUNT; i++) {
		const struct top_odd *odd = &one->odd[i];

		if (!odd->text)
			continue;
		text_printf(text, "%s", words[i]);
		if (isfinite(odd->since_at_ms))
			text_printf(text, " for %s", unit_span(now_ms - odd->since_at_ms).text);
		text_printf(text, ": %s. ", odd->text);
	}
	if (one->changes && !one->odd[TOP_FLAPS].text)
		text_printf(text, "%u change%s in %s. ", one->changes, one->changes == 1 ? "" : "s",
			one->changes_span_ms >= whole_span_ms
				? "10m"
				: unit_span(one->changes_span_ms).text);
}

static void say_state(struct text *text, const struct top_backend *one, double now_ms)
{
	bool is_up = strcmp(one->state, "up") == 0;

	if (is_up)
		say_findings(text, one, now_ms);
	text_printf(text, "%s for %s (since %s)", is_up ? "Up" : one->state,
		unit_span(now_ms - one->since_at_ms).text, unit_clock(one->since_at_ms).text);
	if (one->reason[0] && !is_up)
		text_printf(text, ": %s", one->reason);
	text_add(text, STR(". "));
	if (!is_up)
		say_findings(text, one, now_ms);
}

static void say_checks(struct text *text, const struct top_backend *one, double now_ms)
{
	if (isnan(one->checked_at_ms))
		return;
	text_printf(text, "Checked %s ago: %s", unit_span(now_ms - one->checked_at_ms).text,
		one->check_passed ? "ok" : one->check_reason);
	if (one->check_passed && !isnan(one->check_us))
		text_printf(text, " in %s", unit_us(one->check_us).text);
	if (one->next_check_at_ms - now_ms >= 1000)
		text_printf(text, ", next in %s", unit_span(one->next_check_at_ms - now_ms).text);
	text_add(text, STR(". "));
}

static void say_load(struct text *text, const struct top_backend *one)
{
	text_printf(text, "In flight %s, connections %s", unit_count(one->in_flight).text,
		unit_count(one->connections).text);
	if (!isnan(one->connections_max))
		text_printf(text, " of %s", unit_count(one->connections_max).text);
	text_printf(text, ". Weight %s", unit_count(one->weight).text);
	if (!isnan(one->weight_configured) && one->weight != one->weight_configured)
		text_printf(text, " (configured %s)", unit_count(one->weight_configured).text);
	if (one->share < 1)
		text_printf(text, ", slow start at %s", unit_percent(one->share).text);
	text_printf(text, ". Breaker %s%s. ", one->breaker,
		one->breaker_forced[0] ? ", held by an operator" : "");
}

static void put_wrapped(struct cells *cells, struct str text, u32 lines)
{
	for (u32 i = 0; i < lines; i++) {
		if (i + 1 < lines)
			cells_put(cells, cells_wrap(&text, cells->look.columns));
		else
			cells_left(cells, text, cells->look.columns);
		cells_end(cells);
	}
}

void top_draw_detail(
	const struct top_model *model, const struct top_view *view, struct cells *cells, u32 lines)
{
	double now_ms = model->now_at_ms + (double)view->age_s * 1000;
	const struct top_backend *one;
	struct text text = {0};

	if (lines == 0)
		return;
	if (view->selected >= model->row_count) {
		put_wrapped(cells, STR("No backend is shown. Esc shows all of them."), lines);
		return;
	}
	one = &model->backends[model->rows[view->selected]];
	text_printf(&text, "%s/%s", one->pool, one->id);
	if (lines > 2) {
		if (strcmp(one->address, one->id) != 0)
			text_printf(&text, " at %s", one->address);
		top_draw_rule(cells, str_make(text.data, text.len));
		text_clear(&text);
		lines--;
	} else {
		text_clear(&text);
		text_printf(&text, "%s%s ", one->id, strcmp(one->state, "up") == 0 ? ":" : "");
	}
	say_state(&text, one, now_ms);
	say_checks(&text, one, now_ms);
	say_load(&text, one);
	put_wrapped(cells, str_make(text.data, text.len), lines);
	text_done(&text);
}

// ---- The question -------------------------------------------------------------------------------

// Who takes requests in this pool when it is gone.
static u32 others_in(const struct top_model *model, const char *pool, const char *id)
{
	u32 count = 0;

	for (u32 i = 0; i < model->backend_count; i++) {
		const struct top_backend *one = &model->backends[i];

		count += one->takes && strcmp(one->pool, pool) == 0 && strcmp(one->id, id) != 0;
	}
	return count;
}

static void say_question(
	struct text *text, const struct top_model *model, const struct top_view *view)
{
	const char *pool = call_string(view->target, "pool"), *id = call_string(view->target, "id");
	double in_flight = call_number(view->target, "in_flight");
	const struct top_pool *known = top_model_pool(model, pool);
	u32 others = others_in(model, pool, id);

	if (view->enables) {
		text_printf(text,
			"Enable %s/%s? It gets requests again, as soon as its checks "
			"and its breaker allow.",
			pool, id);
		return;
	}
	text_printf(text, "Drain %s/%s? It gets no new requests; ", pool, id);
	if (in_flight > 0)
		text_printf(text, "%s in flight go on to their end. ", unit_count(in_flight).text);
	else
		text_add(text, STR("nothing is in flight there. "));
	if (!call_is(view->target, "takes_requests"))
		text_add(text, STR("It gets none now, and will get none when it is well again."));
	else if (others)
		text_printf(text, "%u other backend%s of %s take%s over.", others,
			others == 1 ? "" : "s", pool, others == 1 ? "s" : "");
	else if (known && known->failover[0])
		text_printf(text, "NOBODY ELSE takes requests in %s: pool %s has to.", pool,
			known->failover);
	else
		text_printf(text, "NOBODY ELSE takes requests in %s: its clients get 503!", pool);
}

static u32 wrapped_lines(struct str text, u32 columns)
{
	u32 lines = 0;

	for (; text.len; lines++)
		(void)cells_wrap(&text, columns);
	return lines;
}

u32 top_draw_question_lines(const struct top_model *model, const struct top_view *view, u32 columns)
{
	struct text text = {0};
	u32 lines;

	say_question(&text, model, view);
	lines = wrapped_lines(str_make(text.data, text.len), columns);
	text_done(&text);
	return lines;
}

void top_draw_question(
	const struct top_model *model, const struct top_view *view, struct cells *cells, u32 lines)
{
	struct text text = {0};
	struct str rest;

	say_question(&text, model, view);
	rest = str_make(text.data, text.len);
	for (u32 i = 0; i < lines; i++) {
		cells->base = CELLS_BOLD | CELLS_REVERSE;
		cells_style(cells, CELLS_PLAIN);
		cells_put(cells, cells_wrap(&rest, cells->look.columns));
		cells_fill(cells, cells->look.columns);
		cells_end(cells);
	}
	text_done(&text);
}
