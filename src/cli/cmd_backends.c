// SPDX-License-Identifier: Apache-2.0
// weir backends: what stands in the database, from which every weir that reads it follows. With a
// pool in front, or where no database is named, a running weir is asked instead (cmd_reload.c).
#include <stdio.h>

#include "base/text.h"
#include "cli/database.h"
#include "cli/table.h"
#include "cli/terminal.h"

enum { columns_max = 1 + SQL_COLUMN_COUNT };

static const struct str optional[] = {
#define X(name) {#name, sizeof(#name) - 1},
	SQL_COLUMNS(X)
#undef X
};

struct backends {
	const struct cli *cli;
	struct database database;
	struct sql_columns columns;
	struct table table; // list
	u32 shown;
	struct str names[columns_max], values[columns_max]; // add
	u32 count;
};

// ---- Statements ---------------------------------------------------------------------------------

static void take_column(void *owner, const struct str *values, u32 count)
{
	struct backends *backends = owner;

	(void)count;
	sql_take_column(&backends->columns, &backends->database.provider, values[0]);
}

static int look_at_table(struct backends *backends)
{
	const struct conf_provider *provider = &backends->database.provider;
	bool is_sqlite = backends->database.kind == &sql_sqlite;
	struct text name = {0};
	struct str table = provider->table;
	char error[SQL_ERROR_MAX];
	i64 rows;

	if (is_sqlite && str_find(table, '.') < table.len)
		(void)str_cut(&table, '.');
	if (is_sqlite)
		text_add(&name, table);
	else
		sql_add_name(&name, table);
	table = text_take(&name, backends->cli->arena);
	rows = backends->database.kind->ask(backends->database.sql,
		is_sqlite
			? "SELECT name FROM pragma_table_info(?1)"
			: "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) "
			  "AND attnum > 0 AND NOT attisdropped",
		&table, 1, take_column, backends, error);
	if (rows < 0)
		return database_complain(error);
	if (backends->columns.has_address)
		return EXIT_OK;
	return database_complain(arena_printf(backends->cli->arena,
		"the database has no table '%.*s' with a column '%.*s'. Create it: weir migrate "
		"run",
		STR_FMT(provider->table), STR_FMT(provider->column)));
}

static void add_parameter(struct backends *backends, struct text *query, u32 number)
{
	text_printf(query, "%s%u", backends->database.kind->parameter, number);
}

// Runs it; gives the rows, or -1 and has said why.
static i64 ask(struct backends *backends, struct text *query)
{
	char error[SQL_ERROR_MAX];
	i64 rows = backends->database.kind->ask(backends->database.sql, query->data,
		backends->values, backends->count, NULL, NULL, error);

	text_done(query);
	if (rows < 0)
		(void)database_complain(error);
	return rows;
}

// A hint to those who listen, whether or not the table has a trigger that gives it.
static void tell(struct backends *backends)
{
	struct text query = {0};
	char error[SQL_ERROR_MAX];

	if (backends->database.kind == &sql_sqlite)
		return;
	text_printf(&query, "NOTIFY \"%.*s\"", STR_FMT(backends->database.provider.channel));
	(void)backends->database.kind->run(backends->database.sql, query.data, error);
	text_done(&query);
}

// ---- add ----------------------------------------------------------------------------------------

static int fail_column(struct backends *backends, struct str word)
{
	struct text list = {0};

	for (u32 i = 0; i < SQL_COLUMN_COUNT; i++)
		if (backends->columns.has[i])
			text_printf(&list, "%s%s", list.len ? ", " : "", optional[i].ptr);
	fprintf(stderr, "weir: '%.*s' is no COLUMN=VALUE of the table; it has %s\n", STR_FMT(word),
		list.len ? list.data : "no columns beside the address");
	text_done(&list);
	return EXIT_USAGE;
}

// Values as they will be read: what is wrong is refused before it is written.
static int check_values(struct backends *backends)
{
	struct row_values values = {.address = backends->values[0]};
	struct str *const places[] = {&values.id, &values.pool, &values.weight, &values.state,
		&values.max_connections, &values.metadata};
	struct rows *rows = rows_new();
	int code = EXIT_OK;

	for (u32 i = 1; i < backends->count; i++)
		for (u32 j = 0; j < SQL_COLUMN_COUNT; j++)
			if (str_eq(backends->names[i], optional[j]))
				*places[j] = backends->values[i];
	rows_add(rows, &values);
	if (rows->fault_count) {
		fprintf(stderr, "weir: %s\n", rows->faults[0]);
		code = EXIT_USAGE;
	}
	rows_free(rows);
	return code;
}

static int take_words(struct backends *backends)
{
	const struct plan *plan = backends->cli->plan;

	backends->names[0] = backends->database.provider.column;
	backends->values[0] = str_from(plan->words[0]);
	backends->count = 1;
	for (u32 i = 1; i < plan->word_count; i++) {
		struct str value = str_from(plan->words[i]), word = value,
			   name = str_cut(&value, '=');
		u32 column = 0;

		while (column < SQL_COLUMN_COUNT &&
			!(backends->columns.has[column] && str_eq(optional[column], name)))
			column++;
		if (column == SQL_COLUMN_COUNT || name.len == word.len ||
			backends->count == columns_max)
			return fail_column(backends, word);
		backends->names[backends->count] = name;
		backends->values[backends->count++] = value;
	}
	return check_values(backends);
}

static int add(struct backends *backends)
{
	const struct conf_provider *provider = &backends->database.provider;
	struct text query = {0};
	int code = take_words(backends);
	i64 rows;

	if (code)
		return code;
	text_add(&query, STR("INSERT INTO "));
	sql_add_name(&query, provider->table);
	for (u32 i = 0; i < backends->count; i++) {
		text_add(&query, i ? STR(", ") : STR(" ("));
		sql_add_name(&query, backends->names[i]);
	}
	for (u32 i = 0; i < backends->count; i++) {
		text_add(&query, i ? STR(", ") : STR(") VALUES ("));
		add_parameter(backends, &query, i + 1);
	}
	text_add(&query, STR(") ON CONFLICT ("));
	sql_add_name(&query, provider->column);
	text_add(&query, backends->count > 1 ? STR(") DO UPDATE SET ") : STR(") DO NOTHING"));
	for (u32 i = 1; i < backends->count; i++) {
		text_add(&query, i > 1 ? STR(", ") : STR_EMPTY);
		sql_add_name(&query, backends->names[i]);
		text_add(&query, STR(" = excluded."));
		sql_add_name(&query, backends->names[i]);
	}
	rows = ask(backends, &query);
	if (rows < 0)
		return EXIT_FAILED;
	tell(backends);
	printf("%.*s %s\n", STR_FMT(backends->values[0]),
		rows == 0	      ? "is there already"
		: backends->count > 1 ? "is there, as you say"
				      : "added");
	return EXIT_OK;
}

// ---- remove, list -------------------------------------------------------------------------------

static int delete (struct backends *backends)
{
	struct text query = {0};
	i64 rows;

	backends->values[0] = str_from(backends->cli->plan->words[0]);
	backends->count = 1;
	text_add(&query, STR("DELETE FROM "));
	sql_add_name(&query, backends->database.provider.table);
	text_add(&query, STR(" WHERE "));
	sql_add_name(&query, backends->database.provider.column);
	text_add(&query, STR(" = "));
	add_parameter(backends, &query, 1);
	rows = ask(backends, &query);
	if (rows < 0)
		return EXIT_FAILED;
	tell(backends);
	if (rows == 0) {
		fprintf(stderr, "weir: %.*s is not in the table\n", STR_FMT(backends->values[0]));
		return EXIT_FAILED;
	}
	printf("%.*s removed\n", STR_FMT(backends->values[0]));
	return EXIT_OK;
}

static void show_row(void *owner, const struct str *values, u32 count)
{
	struct backends *backends = owner;
	struct table_row *row = table_add(&backends->table, CELLS_PLAIN);

	for (u32 i = 0; i < MIN(count, (u32)columns_max); i++)
		row->cells[i] =
			values[i].ptr ? arena_str(backends->cli->arena, values[i]) : STR_EMPTY;
	backends->shown++;
}

static int list(struct backends *backends)
{
	const char *titles[columns_max] = {"ADDRESS"};
	struct text query = {0}, text = {0};
	struct cells_look look = terminal_look(backends->cli->environ);
	char error[SQL_ERROR_MAX];
	struct cells cells;
	u32 columns = 1;
	int code = EXIT_OK;

	for (u32 i = 0; i < SQL_COLUMN_COUNT; i++)
		if (backends->columns.has[i])
			titles[columns++] = optional[i].ptr;
	table_init(&backends->table, backends->cli->arena, titles, columns);
	sql_make_select(&query, &backends->database.provider, &backends->columns);
	if (backends->database.kind->ask(
		    backends->database.sql, query.data, NULL, 0, show_row, backends, error) < 0)
		code = database_complain(error);
	text_done(&query);
	if (code)
		return code;
	cells_init(&cells, &text, &look);
	table_put(&backends->table, &cells);
	code = terminal_print(str_make(text.data, text.len)) ? EXIT_FAILED : EXIT_OK;
	text_done(&text);
	return code;
}

// ---- The command --------------------------------------------------------------------------------

// Only an address has a colon or begins with a scheme; a pool's name has neither.
static bool is_for_running_weir(const struct cli *cli)
{
	const struct plan *plan = cli->plan;

	if (plan->command == PLAN_BACKENDS_LIST)
		return plan->admin || !database_is_named(cli);
	if (plan->command == PLAN_BACKENDS_ADD)
		return plan->word_count > 1 && !strchr(plan->words[0], ':');
	if (plan->admin || (strchr(plan->words[0], '/') && !strstr(plan->words[0], "://") &&
				   strncmp(plan->words[0], "unix:", 5) != 0))
		return true;
	return !database_is_named(cli);
}

int backends_main(const struct cli *cli)
{
	struct backends backends = {.cli = cli};
	int code;

	if (is_for_running_weir(cli))
		return backends_ask_main(cli);
	code = database_open(cli, false, &backends.database);
	if (code)
		return code;
	code = look_at_table(&backends);
	if (!code && cli->plan->command == PLAN_BACKENDS_ADD)
		code = add(&backends);
	else if (!code && cli->plan->command == PLAN_BACKENDS_REMOVE)
		code = delete (&backends);
	else if (!code)
		code = list(&backends);
	database_close(&backends.database);
	return code;
}
