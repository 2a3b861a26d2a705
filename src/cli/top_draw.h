// SPDX-License-Identifier: Apache-2.0
// Frames of weir top: a model and a view as the text of a whole screen. Pure: the same rows, the
// same size, the same text.
//
// A frame has exactly `rows` lines, each ended by a line feed and at most `columns` wide. With 0
// rows it is as long as it is, and has no keys and no selected row: weir top --once.
#pragma once

#include "cli/cells.h"
#include "cli/top_view.h"

struct top_size {
	u32 rows;
	struct cells_look look; // with columns
};

// How many backends are shown at once and what beside them, which keys need to know.
struct top_page top_draw_page(
	const struct top_model *model, const struct top_view *view, const struct top_size *size);

// Behind what the text holds. The rows are arranged, the view has settled.
void top_draw(const struct top_model *model, const struct top_view *view,
	const struct top_size *size, struct text *text);

// ---- Parts (top_tables.c, top_detail.c, top_help.c)
// ----------------------------------------------

// `lines` of them, titles and all.
void top_draw_pools(const struct top_model *model, struct cells *cells, u32 lines);
void top_draw_backends(const struct top_model *model, const struct top_view *view,
	const struct top_size *size, struct cells *cells, u32 lines);
void top_draw_rule(struct cells *cells, struct str title); // a line with a title in it

void top_draw_detail(
	const struct top_model *model, const struct top_view *view, struct cells *cells, u32 lines);
u32 top_draw_question_lines(
	const struct top_model *model, const struct top_view *view, u32 columns);
void top_draw_question(
	const struct top_model *model, const struct top_view *view, struct cells *cells, u32 lines);

u32 top_draw_help(struct cells *cells, u32 scroll, u32 lines);
