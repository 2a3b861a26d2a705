// SPDX-License-Identifier: Apache-2.0
// Charts as SVG, for light and dark pages: a frame with titles, axes, one line for each algorithm
// and its name at the line's end. Each algorithm has one colour in all charts. What is drawn beyond
// an axis is cut off at the frame.
#pragma once

#include "base/text.h"
#include "decide/balance.h"

struct chart_axis {
	double least, most;
	bool is_log;
	double from, to; // pixels of least and most
};

struct chart {
	struct text *text;
	struct chart_axis x, y;
	double left, right, top, bottom; // pixels of the frame
};

struct chart_label {
	enum balance_kind kind;
	double y; // pixels, of the end of its line
	char text[64];
};

double chart_at(const struct chart_axis *axis, double value);

// The nearest 1, 2, 3 or 5 times a power of ten that is not above, or not below.
double chart_below(double value);
double chart_above(double value);

// From 0 to a round number above `most` (more than 0), in some six steps or less.
void chart_set_linear(struct chart_axis *axis, double most, double *ret_step);

// 20 ms, 1.5 s; three digits at most.
void chart_format_ms(char *text, size_t size, double ms);

// Head, style, titles and frame. The axes' pixels are set here; their values are for the caller, at
// any time before they are used. `left` is the room for the names of the rows or the numbers.
void chart_begin(struct chart *chart, struct text *text, const char *title, struct str subtitle,
	double left);

// A line across the frame with a text outside of it.
void chart_tick_x(struct chart *chart, double value, const char *text);
void chart_tick_y(struct chart *chart, double value, const char *text);

// 1, 2, 3, 5, 10 ... of a logarithmic axis of milliseconds.
void chart_ticks_ms(struct chart *chart);

void chart_title_x(struct chart *chart, const char *text);
void chart_title_y(struct chart *chart, const char *text);
void chart_title_labels(struct chart *chart, const char *text);

// A part of the frame from one value of x to another, with a text at its top.
void chart_shade(struct chart *chart, double from, double to, const char *text);

struct chart_point {
	double x, y; // values
};

void chart_line(struct chart *chart, enum balance_kind kind, const struct chart_point *points,
	u32 count, bool is_marked);

// Names at the ends of lines, moved apart where they would overlap. Sorts them.
void chart_labels(struct chart *chart, struct chart_label *labels, u32 count);

void chart_end(struct chart *chart);
