// SPDX-License-Identifier: Apache-2.0
// A listing with columns as wide as what stands in them, two spaces apart. The last column is as
// long as it is.
#pragma once

#include "cli/cells.h"

enum { TABLE_COLUMNS_MAX = 12 };

struct table_row {
	struct table_row *next;
	u32 style; // of the whole row
	struct str cells[TABLE_COLUMNS_MAX];
};

struct table {
	struct arena *arena;
	const char *const *titles;
	u32 column_count;
	u32 right; // bit of each column whose cells end at the same place
	u32 indent;
	struct table_row *first, **end;
};

// `titles` has `column_count` of them and stays the caller's.
void table_init(
	struct table *table, struct arena *arena, const char *const *titles, u32 column_count);

// A row whose cells are empty, for the caller to fill in. Texts must live as long as the table.
struct table_row *table_add(struct table *table, u32 style);

// The titles and all rows.
void table_put(const struct table *table, struct cells *cells);
