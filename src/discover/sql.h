// SPDX-License-Identifier: Apache-2.0
// What SQLite and PostgreSQL have in common: which columns of the table are read, the statement
// that reads them, rows out of its results; and, for commands, a connection that waits.
#pragma once

#include "base/text.h"
#include "conf/conf.h"
#include "discover/rows.h"

// The columns beside the address, in the order of SQL_COLUMN.
#define SQL_COLUMNS(X) X(id) X(pool) X(weight) X(state) X(max_connections) X(metadata)

enum sql_column {
#define X(name) SQL_COLUMN_##name,
	SQL_COLUMNS(X)
#undef X
		SQL_COLUMN_COUNT
};

struct sql_columns {
	bool has_address;
	bool has[SQL_COLUMN_COUNT];
};

// Notes a column of the table.
void sql_take_column(
	struct sql_columns *columns, const struct conf_provider *provider, struct str name);

// "public.workers" -> "public"."workers"
void sql_add_name(struct text *text, struct str name);

// SELECT address and what there is of the others, in the order of addresses, one row more than may
// be taken.
void sql_make_select(
	struct text *text, const struct conf_provider *provider, const struct sql_columns *columns);

// One value of a result row: column 0 is the address, then those that are there. ptr NULL: NULL.
typedef struct str sql_value_fn(void *result, u32 column);

void sql_take_row(
	struct rows *rows, const struct sql_columns *columns, sql_value_fn *value, void *result);

// ---- For commands -------------------------------------------------------------------------------

// A connection that waits for its answers. All texts of errors are for people and hold no secret.
struct sql;

enum { SQL_ERROR_MAX = 512 };

struct sql_kind {
	// NULL: *ret_error says why, and what to do about it. `creates`: a SQLite file that is
	// missing is made.
	struct sql *(*open)(
		const struct conf_provider *provider, bool creates, char ret_error[SQL_ERROR_MAX]);
	void (*close)(struct sql *sql);

	// One or more statements. 0, or -1 with `error`.
	int (*run)(struct sql *sql, const char *statements, char ret_error[SQL_ERROR_MAX]);

	// One statement with parameters (?1 or $1: `SQL_PARAMETER`), NULL ones too. Each row goes
	// to `row` (which may be NULL), its values as text. Gives the rows that it changed or read,
	// or -1 with `error`.
	i64 (*ask)(struct sql *sql, const char *statement, const struct str *parameters, u32 count,
		void (*row)(void *owner, const struct str *values, u32 count), void *owner,
		char ret_error[SQL_ERROR_MAX]);

	const char *parameter; // "?" or "$": how the number of a parameter is written

	// Nobody else who also calls this is between the two. Waits for its turn. 0, or -1.
	int (*lock)(struct sql *sql, char ret_error[SQL_ERROR_MAX]);
	int (*unlock)(struct sql *sql, char ret_error[SQL_ERROR_MAX]);
};

extern const struct sql_kind sql_sqlite, sql_postgres;
