// SPDX-License-Identifier: Apache-2.0
// Backends in a SQLite file. Everything here blocks for as long as the file does, on the source's
// own thread. A change by anybody else moves PRAGMA data_version, which costs a look at a few
// bytes; the file being another one (replaced, deleted) shows in its inode.
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "discover/source.h"
#include "discover/sql.h"

enum { lock_tries_max = 600, lock_wait_ms = 100 };

struct sqlite_source {
	struct source_config config;
	struct timer timer;
	struct backoff backoff;
	sqlite3 *db;
	struct stat file;
	i64 version;
	u64 refresh_at_ms;
	bool stopped;
};

// Why a call failed, and what to do about it, for the code of SQLite.
static const char *cure_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "somebody keeps it locked: end that transaction";
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return "it is no SQLite file: correct the path, or restore the file";
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return "let this user read it and the folder it is in";
	case SQLITE_IOERR:
	case SQLITE_FULL:
		return "look at the disk";
	default:
		return "correct the table, or what providers say about it";
	}
}

static void tell_trouble(struct sqlite_source *source, const char *cause, const char *cure)
{
	source->config.sink.trouble(source->config.sink.owner, cause, cure);
}

static void tell_code(struct sqlite_source *source, int code)
{
	char cause[512];

	snprintf(cause, sizeof(cause), "%s: %s", source->config.provider->path.ptr,
		source->db ? sqlite3_errmsg(source->db) : sqlite3_errstr(code));
	tell_trouble(source, cause, cure_of(code));
}

static void close_file(struct sqlite_source *source)
{
	sqlite3_close(source->db);
	source->db = NULL;
}

// Read-only would be enough, but a file in WAL mode needs its shared memory written.
static int open_file(const struct conf_provider *provider, int flags, sqlite3 **ret_db)
{
	int code = sqlite3_open_v2(provider->path.ptr, ret_db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | flags, NULL);

	if (code != SQLITE_OK && !flags) {
		sqlite3_close(*ret_db);
		code = sqlite3_open_v2(provider->path.ptr, ret_db,
			SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	}
	if (code == SQLITE_OK)
		sqlite3_busy_timeout(*ret_db, (int)provider->timeout_ms);
	return code;
}

static int get_version(sqlite3 *db, i64 *ret_version)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(db, "PRAGMA data_version", -1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_version = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? SQLITE_OK : code;
}

static struct str column_text(void *result, u32 column)
{
	sqlite3_stmt *statement = result;
	const char *text = (const char *)sqlite3_column_text(statement, (int)column);

	return str_make(text, text ? (size_t)sqlite3_column_bytes(statement, (int)column) : 0);
}

// "workers", "main.workers": PRAGMA wants the schema elsewhere.
static int find_columns(
	sqlite3 *db, const struct conf_provider *provider, struct sql_columns *ret_columns)
{
	struct str table = provider->table, schema = STR_EMPTY;
	struct text query = {0};
	sqlite3_stmt *statement;
	int code;

	if (str_find(table, '.') < table.len)
		schema = str_cut(&table, '.');
	text_add(&query, STR("PRAGMA "));
	sql_add_name(&query, schema);
	text_add(&query, schema.len ? STR(".table_info(") : STR("table_info("));
	sql_add_name(&query, table);
	text_addc(&query, ')');
	code = sqlite3_prepare_v2(db, query.data, -1, &statement, NULL);
	text_done(&query);
	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		sql_take_column(ret_columns, provider, column_text(statement, 1));
	sqlite3_finalize(statement);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_rows(sqlite3 *db, const struct conf_provider *provider,
	const struct sql_columns *columns, struct rows *rows)
{
	struct text query = {0};
	sqlite3_stmt *statement;
	int code;

	sql_make_select(&query, provider, columns);
	code = sqlite3_prepare_v2(db, query.data, -1, &statement, NULL);
	text_done(&query);
	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		sql_take_row(rows, columns, column_text, statement);
	sqlite3_finalize(statement);
	if (code != SQLITE_DONE)
		return code;
	rows_finish(rows);
	return SQLITE_OK;
}

static bool tell_no_table(struct sqlite_source *source)
{
	const struct conf_provider *provider = source->config.provider;
	char cause[512];

	snprintf(cause, sizeof(cause), "%s has no table '%.*s' with a column '%.*s'",
		provider->path.ptr, STR_FMT(provider->table), STR_FMT(provider->column));
	tell_trouble(source, cause, "create it (weir migrate run), or correct table and column");
	return false;
}

// One moment of the file: columns, rows and version are read in one transaction.
static bool read_file(struct sqlite_source *source)
{
	const struct conf_provider *provider = source->config.provider;
	struct sql_columns columns = {0};
	struct rows *rows = rows_new();
	i64 version = 0;
	int code = sqlite3_exec(source->db, "BEGIN", NULL, NULL, NULL);

	if (code == SQLITE_OK)
		code = find_columns(source->db, provider, &columns);
	if (code == SQLITE_OK && columns.has_address)
		code = read_rows(source->db, provider, &columns, rows);
	if (code == SQLITE_OK)
		code = get_version(source->db, &version);
	if (code != SQLITE_OK)
		tell_code(source, code);
	(void)sqlite3_exec(source->db, "ROLLBACK", NULL, NULL, NULL);
	if (code == SQLITE_OK && !columns.has_address)
		code = tell_no_table(source) ? SQLITE_OK : SQLITE_ERROR;
	if (code != SQLITE_OK) {
		rows_free(rows);
		return false;
	}
	source->version = version;
	source->config.sink.rows(source->config.sink.owner, rows);
	return true;
}

// The file that is open is still the one that its name means.
static bool is_same_file(const struct sqlite_source *source)
{
	struct stat file;

	return stat(source->config.provider->path.ptr, &file) == 0 &&
	       file.st_ino == source->file.st_ino && file.st_dev == source->file.st_dev;
}

static bool open_again(struct sqlite_source *source)
{
	const char *path = source->config.provider->path.ptr;
	char cause[512];
	int code;

	close_file(source);
	if (stat(path, &source->file) != 0) {
		snprintf(cause, sizeof(cause), "%s cannot be opened: %s", path, strerror(errno));
		tell_trouble(source, cause,
			errno == ENOENT ? "create it (weir migrate run), or correct the path"
					: cure_of(SQLITE_CANTOPEN));
		return false;
	}
	code = open_file(source->config.provider, 0, &source->db);
	if (code == SQLITE_OK)
		return true;
	tell_code(source, code);
	close_file(source);
	return false;
}

// Gives whether all is well.
static bool look(struct sqlite_source *source)
{
	u64 now_ms = loop_now_ms(source->config.loop);
	i64 version = 0;
	int code;

	if (!source->db || !is_same_file(source)) {
		source->refresh_at_ms = 0;
		if (!open_again(source))
			return false;
	}
	code = get_version(source->db, &version);
	if (code != SQLITE_OK) {
		tell_code(source, code);
		return false;
	}
	if (version == source->version && now_ms < source->refresh_at_ms)
		return true;
	if (!read_file(source))
		return false;
	source->refresh_at_ms = now_ms + source->config.provider->refresh_ms;
	return true;
}

static void on_timer(struct timer *timer)
{
	struct sqlite_source *source = container_of(timer, struct sqlite_source, timer);
	u64 wait_ms;

	if (look(source)) {
		source->backoff.failures = 0;
		wait_ms = source->config.provider->poll_ms;
	} else {
		source->refresh_at_ms = 0;
		wait_ms = backoff_next_ms(&source->backoff);
	}
	if (!source->stopped)
		loop_timer_set(
			source->config.loop, timer, loop_now_ms(source->config.loop) + wait_ms);
}

static void *sqlite_open(const struct source_config *config)
{
	struct sqlite_source *source = mem_alloc(sizeof(*source));

	source->config = *config;
	rng_init(&source->backoff.rng, config->seed);
	timer_init(&source->timer, on_timer);
	loop_timer_set(config->loop, &source->timer, loop_now_ms(config->loop));
	return source;
}

static void sqlite_stop(void *source)
{
	struct sqlite_source *sqlite = source;

	sqlite->stopped = true;
	loop_timer_cancel(sqlite->config.loop, &sqlite->timer);
	close_file(sqlite);
}

static bool sqlite_is_idle(const void *source)
{
	(void)source;
	return true;
}

static void sqlite_free(void *source)
{
	mem_free(source);
}

const struct source_kind source_sqlite = {
	.open = sqlite_open, .stop = sqlite_stop, .is_idle = sqlite_is_idle, .free = sqlite_free};

// ---- For commands -------------------------------------------------------------------------------

struct sql {
	sqlite3 *db;
};

static int fail(struct sql *sql, int code, char ret_error[SQL_ERROR_MAX])
{
	snprintf(ret_error, SQL_ERROR_MAX, "%s",
		sql->db ? sqlite3_errmsg(sql->db) : sqlite3_errstr(code));
	return -1;
}

static struct sql *sql_open(
	const struct conf_provider *provider, bool creates, char ret_error[SQL_ERROR_MAX])
{
	struct sql *sql = mem_alloc(sizeof(*sql));
	int code = open_file(provider, creates ? SQLITE_OPEN_CREATE : 0, &sql->db);

	if (code == SQLITE_OK)
		return sql;
	snprintf(ret_error, SQL_ERROR_MAX, "%s: %s. Correct the path, or %s", provider->path.ptr,
		sqlite3_errstr(code), cure_of(code));
	sqlite3_close(sql->db);
	mem_free(sql);
	return NULL;
}

static void sql_close(struct sql *sql)
{
	if (sql)
		sqlite3_close(sql->db);
	mem_free(sql);
}

static int sql_run(struct sql *sql, const char *statements, char ret_error[SQL_ERROR_MAX])
{
	int code = sqlite3_exec(sql->db, statements, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(sql, code, ret_error);
}

static i64 sql_ask(struct sql *sql, const char *text, const struct str *parameters, u32 count,
	void (*row)(void *owner, const struct str *values, u32 count), void *owner,
	char ret_error[SQL_ERROR_MAX])
{
	struct str values[16];
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(sql->db, text, -1, &statement, NULL);
	i64 rows = 0;

	if (code != SQLITE_OK)
		return fail(sql, code, ret_error);
	for (u32 i = 0; i < count; i++)
		if (parameters[i].ptr)
			sqlite3_bind_text(statement, (int)i + 1, parameters[i].ptr,
				(int)parameters[i].len, SQLITE_STATIC);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		u32 columns = MIN((u32)sqlite3_column_count(statement), (u32)ARRAY_LEN(values));

		for (u32 i = 0; i < columns; i++)
			values[i] = column_text(statement, i);
		if (row)
			row(owner, values, columns);
		rows++;
	}
	if (code != SQLITE_DONE)
		rows = fail(sql, code, ret_error);
	else if (sqlite3_column_count(statement) == 0)
		rows = sqlite3_changes(sql->db);
	sqlite3_finalize(statement);
	return rows;
}

// The transaction itself is the lock: it begins as a writer, and there is one.
static int sql_lock(struct sql *sql, char ret_error[SQL_ERROR_MAX])
{
	(void)sql;
	(void)ret_error;
	return 0;
}

const struct sql_kind sql_sqlite = {.open = sql_open,
	.close = sql_close,
	.run = sql_run,
	.ask = sql_ask,
	.parameter = "?",
	.lock = sql_lock,
	.unlock = sql_lock};
