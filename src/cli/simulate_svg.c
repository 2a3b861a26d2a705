// SPDX-License-Identifier: Apache-2.0
// The results of weir simulate as a plot: latency by percentile, latency in the course of a run,
// the servers' shares, or a measure over the values of a series.
#include <math.h>
#include <stdio.h>

#include "cli/chart.h"
#include "cli/simulate.h"

enum { points_max = 100, row_height_max = 34 };

// Who is worse than this times the best leaves the chart, and its label says so.
static const double worst_to_best = 300;

// ---- Measures -----------------------------------------------------------------------------------

static double read_p50(const struct simulate_result *result)
{
	return simulate_percentile(&result->all, 0.5);
}

static double read_p90(const struct simulate_result *result)
{
	return simulate_percentile(&result->all, 0.9);
}

static double read_p99(const struct simulate_result *result)
{
	return simulate_percentile(&result->all, 0.99);
}

static double read_p999(const struct simulate_result *result)
{
	return simulate_percentile(&result->all, 0.999);
}

static double read_mean(const struct simulate_result *result)
{
	return result->mean_ms;
}

static double read_busiest(const struct simulate_result *result)
{
	return result->busiest;
}

static double read_breaks(const struct simulate_result *result)
{
	return result->returns ? 100.0 * (double)result->breaks / (double)result->returns : 0;
}

// What may be drawn over a series.
struct measure {
	const char *name, *title, *axis;
	double (*read)(const struct simulate_result *result);
	const char *unit; // NULL: milliseconds on a logarithmic axis
};

static const struct measure measures[] = {
	{"p50", "Median latency", "latency", read_p50, NULL},
	{"p90", "90th percentile of latency", "latency", read_p90, NULL},
	{"p99", "99th percentile of latency", "latency", read_p99, NULL},
	{"p99.9", "99.9th percentile of latency", "latency", read_p999, NULL},
	{"mean", "Mean latency", "latency", read_mean, NULL},
	{"busiest", "The busiest server", "requests to its fair part", read_busiest, "x"},
	{"breaks", "Broken affinity", "requests of known clients that met another server",
		read_breaks, " %"},
};

static const struct measure *find_measure(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(measures); i++)
		if (strcmp(measures[i].name, name) == 0)
			return &measures[i];
	return NULL;
}

static const char *usual_plot(const struct simulate_options *options)
{
	return options->series.key ? "p99" : "latency";
}

const char *simulate_plot_check(const struct simulate_options *options, const char *plot)
{
	bool is_single;

	plot = plot ? plot : usual_plot(options);
	is_single = strcmp(plot, "latency") == 0 || strcmp(plot, "time") == 0 ||
		    strcmp(plot, "shares") == 0;
	if (!is_single && !find_measure(plot))
		return "--draw is latency, time or shares, or with several values for a key p50, "
		       "p90, p99, p99.9, mean, busiest or breaks";
	if (is_single && options->series.key)
		return "--draw latency, time and shares are of one run: give each key one value";
	if (!is_single && !options->series.key)
		return "--draw with a measure needs several values for a key, as in "
		       "load=0.5,0.7,0.9";
	return NULL;
}

// ---- Latency by percentile ----------------------------------------------------------------------

static void begin(struct chart *chart, struct text *text, const struct simulate_report *report,
	const char *title, double left)
{
	struct text subtitle = {0};

	simulate_describe(&subtitle, report->options);
	chart_begin(chart, text, title, str_make(subtitle.data, subtitle.len), left);
	text_done(&subtitle);
}

static void label_ms(struct chart_label *label, const struct chart *chart, enum balance_kind kind,
	double end, double ms)
{
	char number[32];

	chart_format_ms(number, sizeof(number), ms);
	label->kind = kind;
	label->y = chart_at(&chart->y, end);
	snprintf(label->text, sizeof(label->text), "%s %s%s", balance_kind_info(kind)->name, number,
		label->y < chart->top - 0.5 ? " \u2191" : "");
}

struct range {
	double least, most;
};

// Of those values of the algorithms that are not much worse than the best one, `best`.
static void widen(struct range *range, double best, double value)
{
	if (value > 0)
		range->least = range->least > 0 ? fmin(range->least, value) : value;
	if (value <= best * worst_to_best)
		range->most = fmax(range->most, value);
}

static void set_ms(struct chart *chart, const struct range *range)
{
	chart->y.is_log = true;
	chart->y.least = chart_below(range->least > 0 ? range->least : 1);
	chart->y.most = chart_above(fmax(range->most, chart->y.least * 2));
	chart_ticks_ms(chart);
}

// The axis of parts: 0, 90 %, 99 % ... at equal distances, as far as there are ten requests beyond.
static double nines_of(const struct simulate_report *report)
{
	double nines = floor(log10((double)MAX(report->results[0].all.count, 100) / 10) + 1e-9);

	return fmin(fmax(nines, 1), 4);
}

static void latency_axes(struct chart *chart, const struct simulate_report *report, double nines)
{
	static const double ticks[] = {0, 0.5, 0.9, 0.99, 0.999, 0.9999};
	struct range range = {0};
	double best = INFINITY, last = 1 - pow(10, -nines);

	for (u32 i = 0; i < report->count; i++)
		best = fmin(best, simulate_percentile(&report->results[i].all, 0.5));
	for (u32 i = 0; i < report->count; i++) {
		widen(&range, best, simulate_percentile(&report->results[i].all, 0.2));
		widen(&range, best, simulate_percentile(&report->results[i].all, last));
	}
	set_ms(chart, &range);
	chart->x.least = 0;
	chart->x.most = nines;
	for (size_t i = 0; i < ARRAY_LEN(ticks) && ticks[i] < last + 1e-9; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%g %%", 100 * ticks[i]);
		chart_tick_x(chart, -log10(1 - ticks[i]), text);
	}
	chart_title_x(chart, "part of the requests that are at least as quick");
	chart_title_y(chart, "latency");
}

static void draw_latency(struct text *text, const struct simulate_report *report)
{
	struct chart_point points[points_max + 1];
	struct chart_label labels[BALANCE_KINDS];
	double nines = nines_of(report);
	struct chart chart;

	begin(&chart, text, report, "Latency by percentile", 72);
	latency_axes(&chart, report, nines);
	for (u32 i = 0; i < report->count; i++) {
		const struct simulate_result *result = &report->results[i];

		for (u32 p = 0; p <= points_max; p++) {
			points[p].x = nines * p / points_max;
			points[p].y = simulate_percentile(&result->all, 1 - pow(10, -points[p].x));
		}
		chart_line(&chart, result->kind, points, points_max + 1, false);
		label_ms(&labels[i], &chart, result->kind, points[points_max].y, read_p99(result));
	}
	chart_title_labels(&chart, "99th percentile");
	chart_labels(&chart, labels, report->count);
	chart_end(&chart);
}

// ---- Latency in the course of a run -------------------------------------------------------------

static double slice_p99(const struct simulate_result *result, u32 slice)
{
	return simulate_percentile(&result->slices[slice], 0.99);
}

static void time_axes(struct chart *chart, const struct simulate_report *report)
{
	struct range range = {0};
	double best = INFINITY;

	for (u32 i = 0; i < report->count; i++) {
		double worst = 0;

		for (u32 s = 0; s < SIMULATE_SLICES; s++)
			worst = fmax(worst, slice_p99(&report->results[i], s));
		best = fmin(best, worst);
	}
	for (u32 i = 0; i < report->count; i++)
		for (u32 s = 0; s < SIMULATE_SLICES; s++)
			widen(&range, best, slice_p99(&report->results[i], s));
	set_ms(chart, &range);
	chart->x.least = 0;
	chart->x.most = 1;
	for (u32 i = 0; i <= 5; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%u %%", 20 * i);
		chart_tick_x(chart, 0.2 * i, text);
	}
	chart_title_x(chart, "requests of the run, in the order of their arrival");
	chart_title_y(chart, "99th percentile of latency, of each fortieth of the run");
}

static void draw_time(struct text *text, const struct simulate_report *report)
{
	const struct simulate_options *options = report->options;
	struct chart_point points[SIMULATE_SLICES];
	struct chart_label labels[BALANCE_KINDS];
	struct chart chart;
	char lost[64];

	begin(&chart, text, report, "Latency in the course of the run", 72);
	time_axes(&chart, report);
	snprintf(lost, sizeof(lost), "%llu of %llu servers are lost",
		(unsigned long long)options->lose, (unsigned long long)options->servers);
	if (options->lose)
		chart_shade(&chart, options->lose_at, options->back_at, lost);
	for (u32 i = 0; i < report->count; i++) {
		const struct simulate_result *result = &report->results[i];

		for (u32 s = 0; s < SIMULATE_SLICES; s++) {
			points[s].x = (s + 0.5) / SIMULATE_SLICES;
			points[s].y = fmax(
				chart.y.least / 2, simulate_percentile(&result->slices[s], 0.99));
		}
		chart_line(&chart, result->kind, points, SIMULATE_SLICES, false);
		label_ms(&labels[i], &chart, result->kind, points[SIMULATE_SLICES - 1].y,
			options->lose ? simulate_percentile(&result->while_lost, 0.99)
				      : read_p99(result));
	}
	chart_title_labels(
		&chart, options->lose ? "99th percentile while lost" : "99th percentile of all");
	chart_labels(&chart, labels, report->count);
	chart_end(&chart);
}

// ---- Shares -------------------------------------------------------------------------------------

static double part_of(
	const struct simulate_report *report, const struct simulate_result *result, u32 server)
{
	return result->taken[server] /
	       (simulate_fair(report->options, server) * (double)result->all.count);
}

static void shares_axes(struct chart *chart, const struct simulate_report *report)
{
	double most = 0, step;

	for (u32 i = 0; i < report->count; i++)
		most = fmax(most, report->results[i].busiest);
	chart_set_linear(&chart->x, fmax(most, 1), &step);
	chart->x.from += 12;
	for (u32 i = 0; i * step < chart->x.most * 1.001; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%gx", i * step);
		chart_tick_x(chart, i * step, text);
	}
	chart_title_x(chart, "requests of each server to its fair part by weight");
}

// A stroke for each server; those that would meet in one pixel are one.
static void draw_row(struct chart *chart, const struct simulate_report *report,
	const struct simulate_result *result, double y, double height)
{
	bool seen[2048] = {false};

	text_printf(chart->text,
		"<text class='t%u' x='%g' y='%.1f' text-anchor='end'>%s</text>\n"
		"<path class='k%u' fill='none' stroke-width='2' stroke-opacity='.7' d='",
		result->kind, chart->left - 6, y + 4, balance_kind_info(result->kind)->name,
		result->kind);
	for (u32 i = 0; i < report->options->servers; i++) {
		double x = chart_at(&chart->x, part_of(report, result, i));
		u32 pixel = (u32)(2 * x);

		if (seen[pixel])
			continue;
		seen[pixel] = true;
		text_printf(chart->text, "M%.1f %.1fv%.0f", pixel / 2.0, y - height / 2, height);
	}
	text_printf(chart->text, "'/>\n<text class='t%u' x='%g' y='%.1f'>%.3gx, %.3g %%</text>\n",
		result->kind, chart->right + 30, y + 4, result->busiest, 100 * result->deviation);
}

static void draw_shares(struct text *text, const struct simulate_report *report)
{
	struct chart chart;
	double height;

	begin(&chart, text, report, "Shares of the servers", 150);
	shares_axes(&chart, report);
	chart_title_y(&chart, "a stroke for each server");
	chart_title_labels(&chart, "busiest, and deviation of all");
	height = (chart.bottom - chart.top) / report->count;
	for (u32 i = 0; i < report->count; i++)
		draw_row(&chart, report, &report->results[i], chart.top + height * (i + 0.5),
			fmin(height, row_height_max) * 0.6);
	chart_end(&chart);
}

// ---- A measure over a series --------------------------------------------------------------------

static void series_x(struct chart *chart, const struct simulate_series *series)
{
	double last = -INFINITY;
	char title[160];

	chart->x.is_log =
		series->values[0] > 0 && series->values[series->count - 1] > 10 * series->values[0];
	chart->x.least = series->values[0];
	chart->x.most = series->values[series->count - 1];
	chart->x.from += 12;
	chart->x.to -= 12;
	for (u32 i = 0; i < series->count; i++) {
		double x = chart_at(&chart->x, series->values[i]);
		char text[32] = "";

		if (x - last >= 32) {
			snprintf(text, sizeof(text), "%g", series->values[i]);
			last = x;
		}
		chart_tick_x(chart, series->values[i], text);
	}
	snprintf(title, sizeof(title), "%s: %s", series->key, series->prose);
	chart_title_x(chart, title);
}

// The best at the most difficult value of the series.
static double best_of_series(const struct simulate_report *report, const struct measure *measure)
{
	double best = 0;

	for (u32 i = 0; i < report->count; i += report->kinds) {
		double here = INFINITY;

		for (u32 k = 0; k < report->kinds; k++)
			here = fmin(here, measure->read(&report->results[i + k]));
		best = fmax(best, here);
	}
	return best;
}

static void series_y(
	struct chart *chart, const struct simulate_report *report, const struct measure *measure)
{
	double best = best_of_series(report, measure), most = 1e-3, step;
	struct range range = {0};

	for (u32 i = 0; i < report->count; i++) {
		widen(&range, best, measure->read(&report->results[i]));
		most = fmax(most, measure->read(&report->results[i]));
	}
	if (!measure->unit) {
		set_ms(chart, &range);
		return;
	}
	chart_set_linear(&chart->y, most, &step);
	for (u32 i = 0; i * step < chart->y.most * 1.001; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%g%s", i * step, measure->unit);
		chart_tick_y(chart, i * step, text);
	}
}

static void draw_series(
	struct text *text, const struct simulate_report *report, const struct measure *measure)
{
	const struct simulate_series *series = &report->options->series;
	struct chart_point points[SIMULATE_VALUES_MAX];
	struct chart_label labels[BALANCE_KINDS];
	char title[128];
	struct chart chart;

	ASSERT(series->count > 0);
	snprintf(title, sizeof(title), "%s, by %s", measure->title, series->key);
	begin(&chart, text, report, title, 72);
	series_x(&chart, series);
	series_y(&chart, report, measure);
	for (u32 k = 0; k < report->kinds; k++) {
		enum balance_kind kind = report->results[k].kind;
		double end;

		for (u32 v = 0; v < series->count; v++) {
			points[v].x = series->values[v];
			points[v].y = measure->read(&report->results[v * report->kinds + k]);
		}
		end = points[series->count - 1].y;
		chart_line(&chart, kind, points, series->count, true);
		label_ms(&labels[k], &chart, kind, end, end);
		if (measure->unit)
			snprintf(labels[k].text, sizeof(labels[k].text), "%s %.3g%s",
				balance_kind_info(kind)->name, end, measure->unit);
	}
	chart_title_y(&chart, measure->axis);
	snprintf(title, sizeof(title), "at %s %g", series->key, series->values[series->count - 1]);
	chart_title_labels(&chart, title);
	chart_labels(&chart, labels, report->kinds);
	chart_end(&chart);
}

void simulate_print_svg(struct text *text, const struct simulate_report *report, const char *plot)
{
	plot = plot ? plot : usual_plot(report->options);
	if (strcmp(plot, "time") == 0)
		draw_time(text, report);
	else if (strcmp(plot, "shares") == 0)
		draw_shares(text, report);
	else if (find_measure(plot))
		draw_series(text, report, find_measure(plot));
	else
		draw_latency(text, report);
}
