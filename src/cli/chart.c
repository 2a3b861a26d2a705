// SPDX-License-Identifier: Apache-2.0
#include "cli/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	width = 860,
	height = 500,
	margin_right = 216,
	margin_bottom = 56,
	line_height = 17,   // of labels
	subtitle_max = 118, // characters of a line of it
};

// Distinct from one another on white and on near black, and dark or light enough there for text.
// Who sees few colours has the dashes, and every line ends at its name.
static const struct {
	const char *light, *dark, *dash;
} looks[BALANCE_KINDS] = {
	[BALANCE_ROUND_ROBIN] = {"#3d444d", "#d1d7e0", ""},
	[BALANCE_RANDOM] = {"#9a6700", "#e3b341", "2 3"},
	[BALANCE_WEIGHTED_RANDOM] = {"#8a4b2a", "#d9a384", "7 3"},
	[BALANCE_POWER_OF_TWO] = {"#11773f", "#4ac26b", ""},
	[BALANCE_LEAST_CONNECTIONS] = {"#0757ba", "#6cb6ff", ""},
	[BALANCE_LEAST_RESPONSE_TIME] = {"#c2410c", "#ff9b6a", "7 3"},
	[BALANCE_IP_HASH] = {"#b1348a", "#f492cf", "2 3"},
	[BALANCE_CONSISTENT_HASH] = {"#6639ba", "#c0a1ff", ""},
	[BALANCE_MAGLEV] = {"#0f7078", "#56d4dd", "7 3"},
	[BALANCE_RENDEZVOUS] = {"#66710a", "#c9d14b", "10 3 2 3"},
	[BALANCE_FIRST] = {"#6e7781", "#9ea7b3", "10 3 2 3"},
	[BALANCE_PREQUAL] = {"#a40e26", "#ff7b8e", ""},
};

double chart_at(const struct chart_axis *axis, double value)
{
	double part = axis->is_log ? log(value / axis->least) / log(axis->most / axis->least)
				   : (value - axis->least) / (axis->most - axis->least);

	return axis->from + (axis->to - axis->from) * part;
}

// Rounding must not make 1.9999 of what is 2.
static double decade_of(double value)
{
	return pow(10, floor(log10(value) + 1e-9));
}

static const double tens[] = {1, 2, 3, 5, 10};

double chart_below(double value)
{
	double decade = decade_of(value);
	size_t i = ARRAY_LEN(tens) - 1;

	while (i > 0 && tens[i] * decade > value * (1 + 1e-9))
		i--;
	return tens[i] * decade;
}

double chart_above(double value)
{
	double decade = decade_of(value);
	size_t i = 0;

	while (tens[i] * decade < value * (1 - 1e-9))
		i++;
	return tens[i] * decade;
}

void chart_set_linear(struct chart_axis *axis, double most, double *ret_step)
{
	static const double steps[] = {1, 2, 2.5, 5, 10};
	double wanted = most * 1.02 / 6, decade = decade_of(wanted);
	size_t i = 0;

	while (steps[i] * decade < wanted * (1 - 1e-9))
		i++;
	*ret_step = steps[i] * decade;
	axis->is_log = false;
	axis->least = 0;
	axis->most = ceil(most * 1.02 / *ret_step) * *ret_step;
}

void chart_format_ms(char *text, size_t size, double ms)
{
	bool is_long = ms >= 999.5;
	double number = is_long ? ms / 1000 : ms;
	const char *unit = is_long ? "s" : "ms";

	if (number >= 100)
		snprintf(text, size, "%.0f %s", number, unit);
	else
		snprintf(text, size, "%.3g %s", number, unit);
}

// ---- Frame --------------------------------------------------------------------------------------

static void add_style(struct text *text)
{
	text_add(text, STR("<style>"
			   "text{fill:#1f2328}.b{fill:#fff}.q{fill:#59636e}.g{stroke:#d8dee4}"
			   ".s{fill:#818b98;fill-opacity:.16}.l{fill:none;stroke-width:2}"
			   ".g,.h{fill:none}.h{stroke-width:1;stroke-opacity:.6}\n"));
	for (u32 i = 0; i < BALANCE_KINDS; i++) {
		text_printf(
			text, ".k%u{stroke:%s}.t%u{fill:%s}", i, looks[i].light, i, looks[i].light);
		if (looks[i].dash[0])
			text_printf(text, ".l.k%u{stroke-dasharray:%s}", i, looks[i].dash);
	}
	text_add(text, STR("\n@media(prefers-color-scheme:dark){"
			   "text{fill:#f0f6fc}.b{fill:#0d1117}.q{fill:#9198a1}"
			   ".g{stroke:#30363d}\n"));
	for (u32 i = 0; i < BALANCE_KINDS; i++)
		text_printf(
			text, ".k%u{stroke:%s}.t%u{fill:%s}", i, looks[i].dark, i, looks[i].dark);
	text_add(text, STR("}</style>\n"));
}

// At a comma, when it is too long for a line. Gives how many lines there are.
static u32 add_subtitle(struct text *text, double left, struct str subtitle)
{
	u32 lines = 0;

	while (subtitle.len) {
		size_t len = subtitle.len;

		if (len > subtitle_max) {
			len = subtitle_max;
			while (len > 0 && subtitle.ptr[len - 1] != ',')
				len--;
			if (len == 0)
				len = subtitle.len;
		}
		text_printf(text, "<text x='%g' y='%u' class='q'>%.*s</text>\n", left,
			46 + 17 * lines++, (int)len, subtitle.ptr);
		subtitle = str_trim(str_make(subtitle.ptr + len, subtitle.len - len));
	}
	return lines;
}

void chart_begin(
	struct chart *chart, struct text *text, const char *title, struct str subtitle, double left)
{
	u32 lines;

	text_printf(text,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
		"viewBox='0 0 %d %d' font-family='system-ui,sans-serif' font-size='12' role='img'>"
		"\n<title>%s</title>\n",
		width, height, width, height, title);
	add_style(text);
	text_printf(text,
		"<rect width='%d' height='%d' class='b'/>\n"
		"<text x='20' y='26' font-size='15' font-weight='600'>%s</text>\n",
		width, height, title);
	lines = add_subtitle(text, 20, subtitle);
	*chart = (struct chart){.text = text,
		.left = left,
		.right = width - margin_right,
		.top = 76 + 17 * (double)lines,
		.bottom = height - margin_bottom};
	chart->x.from = chart->left;
	chart->x.to = chart->right;
	chart->y.from = chart->bottom;
	chart->y.to = chart->top;
	text_printf(text,
		"<clipPath id='f'><rect x='%g' y='%g' width='%g' height='%g'/></clipPath>\n",
		chart->left, chart->top - 2, chart->right - chart->left + 4,
		chart->bottom - chart->top + 6);
}

void chart_tick_x(struct chart *chart, double value, const char *text)
{
	double x = chart_at(&chart->x, value);

	text_printf(chart->text,
		"<path d='M%.1f %gV%g' class='g'/>"
		"<text x='%.1f' y='%g' text-anchor='middle'>%s</text>\n",
		x, chart->top, chart->bottom, x, chart->bottom + 18, text);
}

void chart_tick_y(struct chart *chart, double value, const char *text)
{
	double y = chart_at(&chart->y, value);

	text_printf(chart->text,
		"<path d='M%g %.1fH%g' class='g'/>"
		"<text x='%g' y='%.1f' text-anchor='end'>%s</text>\n",
		chart->left, y, chart->right, chart->left - 8, y + 4, text);
}

void chart_ticks_ms(struct chart *chart)
{
	char text[32];

	for (double ms = chart->y.least; ms < chart->y.most * 1.001; ms = chart_above(ms * 1.01)) {
		chart_format_ms(text, sizeof(text), ms);
		chart_tick_y(chart, ms, text);
	}
}

void chart_title_x(struct chart *chart, const char *text)
{
	text_printf(chart->text, "<text x='%g' y='%g' text-anchor='middle' class='q'>%s</text>\n",
		(chart->left + chart->right) / 2, chart->bottom + 40, text);
}

void chart_title_y(struct chart *chart, const char *text)
{
	text_printf(
		chart->text, "<text x='20' y='%g' class='q'>%s</text>\n", chart->top - 14, text);
}

void chart_title_labels(struct chart *chart, const char *text)
{
	text_printf(chart->text, "<text x='%g' y='%g' class='q'>%s</text>\n", chart->right + 30,
		chart->top - 14, text);
}

void chart_shade(struct chart *chart, double from, double to, const char *text)
{
	double x = chart_at(&chart->x, from);

	text_printf(chart->text,
		"<rect x='%.1f' y='%g' width='%.1f' height='%g' class='s'/>"
		"<text x='%.1f' y='%g' class='q'>%s</text>\n",
		x, chart->top, chart_at(&chart->x, to) - x, chart->bottom - chart->top, x + 6,
		chart->top + 16, text);
}

// ---- Lines --------------------------------------------------------------------------------------

// A pixel above the frame is as good as a thousand.
static double y_of(const struct chart *chart, double value)
{
	return fmin(fmax(chart_at(&chart->y, value), chart->top - 50), chart->bottom + 50);
}

void chart_line(struct chart *chart, enum balance_kind kind, const struct chart_point *points,
	u32 count, bool is_marked)
{
	text_printf(chart->text, "<g clip-path='url(#f)'><path class='l k%u' d='", kind);
	for (u32 i = 0; i < count; i++)
		text_printf(chart->text, "%s%.1f %.1f", i ? "L" : "M",
			chart_at(&chart->x, points[i].x), y_of(chart, points[i].y));
	text_add(chart->text, STR("'/>"));
	for (u32 i = 0; i < count && is_marked; i++)
		text_printf(chart->text, "<circle class='t%u' cx='%.1f' cy='%.1f' r='3.5'/>", kind,
			chart_at(&chart->x, points[i].x), y_of(chart, points[i].y));
	text_add(chart->text, STR("</g>\n"));
}

static int by_height(const void *a, const void *b)
{
	const struct chart_label *x = a, *y = b;

	if (x->y < y->y || x->y > y->y)
		return x->y > y->y ? 1 : -1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

// Labels without room between them.
struct block {
	u32 first, count;
	double sum, top;
};

static void place(const struct chart *chart, struct block *block)
{
	double span = line_height * (double)block->count;

	block->top = block->sum / block->count - span / 2;
	block->top = fmax(block->top, chart->top - line_height / 2.0);
	block->top = fmin(block->top, chart->bottom + line_height - span);
}

// Labels that overlap become a block, whose middle is that of what they belong to; blocks that
// overlap become one.
static void spread(
	const struct chart *chart, const struct chart_label *labels, u32 count, double *ret_y)
{
	struct block blocks[BALANCE_KINDS];
	u32 n = 0;

	for (u32 i = 0; i < count; i++) {
		blocks[n] = (struct block){.first = i, .count = 1, .sum = labels[i].y};
		place(chart, &blocks[n]);
		for (; n > 0; n--) {
			struct block *above = &blocks[n - 1];

			if (above->top + line_height * (double)above->count <= blocks[n].top + 1e-9)
				break;
			above->count += blocks[n].count;
			above->sum += blocks[n].sum;
			place(chart, above);
		}
		n++;
	}
	for (u32 b = 0; b < n; b++)
		for (u32 i = 0; i < blocks[b].count; i++)
			ret_y[blocks[b].first + i] = blocks[b].top + line_height * (i + 0.5);
}

void chart_labels(struct chart *chart, struct chart_label *labels, u32 count)
{
	double ys[BALANCE_KINDS];
	double x = chart->right;

	ASSERT(count <= BALANCE_KINDS);
	for (u32 i = 0; i < count; i++)
		labels[i].y = fmin(fmax(labels[i].y, chart->top), chart->bottom);
	qsort(labels, count, sizeof(*labels), by_height);
	spread(chart, labels, count, ys);
	for (u32 i = 0; i < count; i++)
		text_printf(chart->text,
			"<path class='h k%u' d='M%.1f %.1fL%.1f %.1f'/>"
			"<text class='t%u' x='%.1f' y='%.1f'>%s</text>\n",
			labels[i].kind, x + 5, labels[i].y, x + 26, ys[i], labels[i].kind, x + 30,
			ys[i] + 4, labels[i].text);
}

void chart_end(struct chart *chart)
{
	text_add(chart->text, STR("</svg>\n"));
}
