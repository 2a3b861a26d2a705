// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

enum { width_max = 60 };

void table_init(
	struct table *table, struct arena *arena, const char *const *titles, u32 column_count)
{
	ASSERT(column_count > 0 && column_count <= TABLE_COLUMNS_MAX);
	*table = (struct table){.arena = arena, .titles = titles, .column_count = column_count};
	table->end = &table->first;
}

struct table_row *table_add(struct table *table, u32 style)
{
	struct table_row *row = arena_zalloc(table->arena, sizeof(*row));

	row->style = style;
	for (u32 i = 0; i < TABLE_COLUMNS_MAX; i++)
		row->cells[i] = STR_EMPTY;
	*table->end = row;
	table->end = &row->next;
	return row;
}

static u32 width_of(const struct table *table, u32 column)
{
	u32 width = cells_width(str_from(table->titles[column]));

	for (const struct table_row *row = table->first; row; row = row->next)
		width = MAX(width, cells_width(row->cells[column]));
	return MIN(width, (u32)width_max);
}

void table_put(const struct table *table, struct cells *cells)
{
	struct table_row head = {.next = table->first, .style = CELLS_BOLD};
	u32 widths[TABLE_COLUMNS_MAX], last = table->column_count - 1;

	for (u32 i = 0; i < table->column_count; i++) {
		widths[i] = width_of(table, i);
		head.cells[i] = str_from(table->titles[i]);
	}
	for (const struct table_row *row = &head; row; row = row->next) {
		cells_fill(cells, table->indent);
		cells_style(cells, row->style);
		for (u32 i = 0; i < table->column_count; i++) {
			if (table->right & 1u << i)
				cells_right(cells, row->cells[i], widths[i]);
			else if (i == last)
				cells_put(cells, row->cells[i]);
			else
				cells_left(cells, row->cells[i], widths[i]);
			if (i != last)
				cells_put(cells, STR("  "));
		}
		cells_end(cells);
	}
}
