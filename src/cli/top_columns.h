// SPDX-License-Identifier: Apache-2.0
// Tables of weir top whose columns give way: what is least needed is left out where the terminal is
// narrow, and what gains from room gets what is left.
#pragma once

#include "cli/cells.h"

enum { TOP_COLUMNS_MAX = 20, TOP_COLUMN_GONE = 255 };

struct top_column {
	const char *title;
	u16 least, most; // columns
	u8 rank;	 // 0 is needed most; TOP_COLUMN_GONE is not shown at all
	bool is_right;	 // its cells end at the same place
};

// Widths for `columns` in all, with one space behind each but the last; 0 = left out.
void top_columns_fit(
	const struct top_column *all, u32 count, u32 columns, u32 ret_widths[TOP_COLUMNS_MAX]);

// The line of titles. `marked` (count: none) has an arrow.
void top_columns_put_titles(struct cells *cells, const struct top_column *all, u32 count,
	const u32 *widths, u32 marked);
