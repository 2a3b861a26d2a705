// SPDX-License-Identifier: Apache-2.0
// The results of weir simulate as a plot: latency by percentile, both axes logarithmic, so that
// tails can be told apart. One line for each algorithm.
#include <math.h>

#include "cli/simulate.h"

enum { width = 860, height = 480, left = 70, right = 220, top = 40, bottom = 50, points = 120 };

static const double nines = 4; // the axis ends at 99.99 %

// Distinct also in grey and for those who see red and green alike (after Okabe and Ito).
static const char *const colours[] = {"#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2",
	"#d55e00", "#cc79a7", "#999999", "#8c6d1f", "#5b3a8e", "#2f7f7f", "#7f2f2f"};
static const char *const dashes[] = {"", "6 3", "2 2"};

struct scale {
	double least, most; // ms
};

static double x_of(double part)
{
	return left + (width - left - right) * -log10(1 - part) / nines;
}

static double y_of(const struct scale *scale, double ms)
{
	double at = log(fmax(ms, scale->least) / scale->least) / log(scale->most / scale->least);

	return height - bottom - (height - top - bottom) * fmin(at, 1);
}

// Four decades at most, from below what is usual for the best: who is beyond them runs along the
// top.
static struct scale find_scale(const struct simulate_result *results, u32 count)
{
	struct scale scale = {INFINITY, 0};

	for (u32 i = 0; i < count; i++) {
		double median = simulate_percentile(&results[i].all, 0.5);

		scale.least = fmin(scale.least, median / 3);
		scale.most = fmax(scale.most, simulate_percentile(&results[i].all, 0.9999));
	}
	if (!(scale.least > 0 && scale.most > 0))
		return (struct scale){0.1, 10};
	scale.least = pow(10, floor(log10(scale.least)));
	scale.most = fmin(pow(10, ceil(log10(scale.most * 1.0001))), scale.least * 1e4);
	return scale;
}

static void add_axes(struct text *text, const struct scale *scale)
{
	static const struct {
		double part;
		const char *name;
	} ticks[] = {{0, "0"}, {0.5, "50 %"}, {0.9, "90 %"}, {0.99, "99 %"}, {0.999, "99.9 %"},
		{0.9999, "99.99 %"}};

	for (size_t i = 0; i < ARRAY_LEN(ticks); i++) {
		double x = x_of(ticks[i].part);

		text_printf(text, "<path d='M%.1f %dV%d' class='grid'/>", x, top, height - bottom);
		text_printf(text, "<text x='%.1f' y='%d' text-anchor='middle'>%s</text>\n", x,
			height - bottom + 18, ticks[i].name);
	}
	for (double ms = scale->least; ms <= scale->most * 1.01; ms *= 10) {
		double y = y_of(scale, ms);

		text_printf(text, "<path d='M%d %.1fH%d' class='grid'/>", left, y, width - right);
		text_printf(text, "<text x='%d' y='%.1f' text-anchor='end'>%g %s</text>\n",
			left - 8, y + 4, ms < 999 ? ms : ms / 1000, ms < 999 ? "ms" : "s");
	}
	text_printf(text,
		"<text x='%d' y='%d' text-anchor='middle'>part of the requests that are at least "
		"as quick</text>\n",
		left + (width - left - right) / 2, height - 10);
}

static void add_line(struct text *text, const struct scale *scale,
	const struct simulate_result *result, u32 number)
{
	const char *colour = colours[number % ARRAY_LEN(colours)];
	const char *dash = dashes[number % ARRAY_LEN(dashes)];
	int y = top + 10 + 20 * (int)number;

	text_printf(text, "<path d='M");
	for (u32 i = 0; i <= points; i++) {
		double part = 1 - pow(10, -nines * i / points);

		text_printf(text, "%s%.1f %.1f", i ? "L" : "", x_of(part),
			y_of(scale, simulate_percentile(&result->all, part)));
	}
	text_printf(text, "' fill='none' stroke='%s' stroke-width='2' stroke-dasharray='%s'/>\n",
		colour, dash);
	text_printf(text,
		"<path d='M%d %dh26' stroke='%s' stroke-width='2' stroke-dasharray='%s'/>"
		"<text x='%d' y='%d'>%s</text>\n",
		width - right + 16, y, colour, dash, width - right + 50, y + 4,
		balance_kind_info(result->kind)->name);
}

void simulate_print_svg(struct text *text, const struct simulate_options *options,
	const struct simulate_result *results, u32 count)
{
	struct scale scale = find_scale(results, count);

	text_printf(text,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' "
		"font-family='sans-serif' font-size='12'>\n"
		"<style>.grid{stroke:#ddd;fill:none}</style>\n"
		"<rect width='%d' height='%d' fill='#fff'/>\n<text x='%d' y='24' font-size='14'>",
		width, height, width, height, left);
	if (options->trace)
		text_printf(text, "%u requests of a log over %llu servers", options->trace->count,
			(unsigned long long)options->servers);
	else
		text_printf(text, "%llu servers at load %g, mean service time %g ms",
			(unsigned long long)options->servers, options->load, options->mean_ms);
	text_add(text, STR("</text>\n"));
	add_axes(text, &scale);
	for (u32 i = 0; i < count; i++)
		add_line(text, &scale, &results[i], i);
	text_add(text, STR("</svg>\n"));
}
