// SPDX-License-Identifier: Apache-2.0
#include "discover/sql.h"

static const struct str column_names[] = {
#define X(name) {#name, sizeof(#name) - 1},
	SQL_COLUMNS(X)
#undef X
};

void sql_take_column(
	struct sql_columns *columns, const struct conf_provider *provider, struct str name)
{
	if (str_eq_nocase(name, provider->column))
		columns->has_address = true;
	for (u32 i = 0; i < SQL_COLUMN_COUNT; i++)
		if (str_eq_nocase(name, column_names[i]))
			columns->has[i] = true;
}

void sql_add_name(struct text *text, struct str name)
{
	while (name.len) {
		struct str part = str_cut(&name, '.');

		text_printf(text, "\"%.*s\"%s", STR_FMT(part), name.len ? "." : "");
	}
}

void sql_make_select(
	struct text *text, const struct conf_provider *provider, const struct sql_columns *columns)
{
	text_add(text, STR("SELECT "));
	sql_add_name(text, provider->column);
	for (u32 i = 0; i < SQL_COLUMN_COUNT; i++)
		if (columns->has[i])
			text_printf(text, ", \"%s\"", column_names[i].ptr);
	text_add(text, STR(" FROM "));
	sql_add_name(text, provider->table);
	text_add(text, STR(" ORDER BY "));
	sql_add_name(text, provider->column);
	text_printf(text, " LIMIT %d", ROWS_MAX + 1);
}

void sql_take_row(
	struct rows *rows, const struct sql_columns *columns, sql_value_fn *value, void *result)
{
	struct row_values values = {.address = value(result, 0)};
	struct str *const places[] = {&values.id, &values.pool, &values.weight, &values.state,
		&values.max_connections, &values.metadata};
	u32 column = 1;

	_Static_assert(ARRAY_LEN(places) == SQL_COLUMN_COUNT, "a place for each column");
	for (u32 i = 0; i < SQL_COLUMN_COUNT; i++)
		if (columns->has[i])
			*places[i] = value(result, column++);
	rows_add(rows, &values);
}
