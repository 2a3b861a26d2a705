// SPDX-License-Identifier: Apache-2.0
#include "cli/top_columns.h"

#include "base/str.h"

static u32 room_of(const struct top_column *column, u32 taken)
{
	return (u32)column->least + (taken ? 1 : 0);
}

void top_columns_fit(
	const struct top_column *all, u32 count, u32 columns, u32 ret_widths[TOP_COLUMNS_MAX])
{
	u32 taken = 0;
	bool is_full = false;

	ASSERT(count <= TOP_COLUMNS_MAX);
	memset(ret_widths, 0, TOP_COLUMNS_MAX * sizeof(*ret_widths));
	if (columns == 0)
		columns = UINT16_MAX;
	// One that is needed less does not come in the place of one that did not fit.
	for (u32 rank = 0; rank < TOP_COLUMN_GONE && !is_full; rank++)
		for (u32 i = 0; i < count; i++) {
			if (all[i].rank != rank)
				continue;
			is_full |= taken + room_of(&all[i], taken) > columns;
			if (!is_full) {
				taken += room_of(&all[i], taken);
				ret_widths[i] = all[i].least;
			}
		}
	for (u32 rank = 0; rank < TOP_COLUMN_GONE; rank++)
		for (u32 i = 0; i < count; i++)
			if (all[i].rank == rank && ret_widths[i]) {
				u32 more = MIN((u32)(all[i].most - all[i].least), columns - taken);

				ret_widths[i] += more;
				taken += more;
			}
}

void top_columns_put_titles(
	struct cells *cells, const struct top_column *all, u32 count, const u32 *widths, u32 marked)
{
	for (u32 i = 0; i < count; i++) {
		char title[32];
		size_t len = MIN(strlen(all[i].title), sizeof(title) - 4);

		if (!widths[i])
			continue;
		memcpy(title, all[i].title, len);
		title[len] = '\0';
		if (i == marked)
			memcpy(title + len, "▼", sizeof("▼"));
		if (all[i].is_right)
			cells_right(cells, str_from(title), widths[i]);
		else
			cells_left(cells, str_from(title), widths[i]);
		cells_put(cells, STR(" "));
	}
}
