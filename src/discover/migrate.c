// SPDX-License-Identifier: Apache-2.0
#include "discover/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "conf/file.h"

static const char make_notes_postgres[] =
	"CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT "
	"NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, "
	"checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)";
static const char make_notes_sqlite[] =
	"CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT "
	"NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT "
	"NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";

static int fail(char error[SQL_ERROR_MAX], const char *format, ...) printf_like(2, 3);

static int fail(char error[SQL_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, SQL_ERROR_MAX, format, args);
	va_end(args);
	return -1;
}

// ---- Files --------------------------------------------------------------------------------------

static bool cut_ending(struct str *name, const char *ending)
{
	size_t len = strlen(ending);

	if (name->len <= len || memcmp(name->ptr + name->len - len, ending, len) != 0)
		return false;
	name->len -= len;
	return true;
}

static struct migration *find(const struct migrations *migrations, u64 version)
{
	for (u32 i = 0; i < migrations->count; i++)
		if (migrations->list[i].version == version)
			return &migrations->list[i];
	return NULL;
}

static struct migration *add(struct migrations *migrations, u64 version, struct str description)
{
	struct migration *migration = find(migrations, version);
	char *text;

	if (migration || migrations->count == MIGRATIONS_MAX)
		return migration;
	migration = &migrations->list[migrations->count++];
	migration->version = version;
	migration->description = arena_str(migrations->arena, description);
	text = (char *)(uintptr_t)migration->description.ptr; // our own copy
	for (size_t i = 0; i < description.len; i++)
		text[i] = text[i] == '_' ? ' ' : text[i];
	return migration;
}

// "0001_workers.up.sql". What is named otherwise is no migration.
static int take_file(struct migrations *migrations, const char *folder, const char *file,
	char error[SQL_ERROR_MAX])
{
	struct str rest = str_from(file), number;
	bool is_down = cut_ending(&rest, ".down.sql");
	struct migration *migration;
	const char **place;
	u64 version;

	if (!is_down && !cut_ending(&rest, ".up.sql") && !cut_ending(&rest, ".sql"))
		return 0;
	number = str_cut(&rest, '_');
	if (rest.len == 0 || str_to_u64(number, INT64_MAX, &version) != 0)
		return 0;
	migration = add(migrations, version, rest);
	if (!migration)
		return fail(error, "%s has more than %d migrations", folder, MIGRATIONS_MAX);
	place = is_down ? &migration->down : &migration->up;
	if (*place)
		return fail(error, "%s and %s/%s have the same number", *place, folder, file);
	*place = arena_printf(migrations->arena, "%s/%s", folder, file);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct migration *left = a, *right = b;

	return left->version < right->version ? -1 : left->version > right->version;
}

static int read_sql(
	struct arena *arena, const char *file, struct str *ret_text, char error[SQL_ERROR_MAX])
{
	u64 identity;
	int rc = file_read(arena, file, ret_text, &identity);

	if (rc == 0 && strlen(ret_text->ptr) != ret_text->len)
		return fail(error, "%s has a zero byte in it", file);
	return rc == 0 ? 0 : fail(error, "%s cannot be read: %s", file, strerror(-rc));
}

static int take_checksums(struct migrations *migrations, char error[SQL_ERROR_MAX])
{
	for (u32 i = 0; i < migrations->count; i++) {
		struct migration *migration = &migrations->list[i];
		struct str text;

		if (!migration->up)
			return fail(error, "%s has no .up.sql beside it", migration->down);
		if (read_sql(migrations->arena, migration->up, &text, error) < 0)
			return -1;
		sha384_hex(text, migration->checksum);
	}
	return 0;
}

int migrations_load(struct migrations *migrations, const char *folder, struct arena *arena,
	char ret_error[SQL_ERROR_MAX])
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int rc = 0;

	*migrations = (struct migrations){.arena = arena,
		.list = arena_zalloc(arena, sizeof(struct migration) * MIGRATIONS_MAX)};
	if (!dir)
		return fail(ret_error,
			"%s cannot be opened: %s. Make one with `weir migrate add "
			"NAME`, or name another folder with --source",
			folder, strerror(errno));
	while (rc == 0 && (entry = readdir(dir)))
		rc = take_file(migrations, folder, entry->d_name, ret_error);
	closedir(dir);
	qsort(migrations->list, migrations->count, sizeof(*migrations->list), compare);
	return rc == 0 ? take_checksums(migrations, ret_error) : rc;
}

// ---- The database's notes -----------------------------------------------------------------------

static void take_note(void *owner, const struct str *values, u32 count)
{
	struct migrations *migrations = owner;
	struct migration *migration;
	u64 version;

	if (count < 4 || str_to_u64(values[0], INT64_MAX, &version) != 0)
		return;
	migration = add(migrations, version, values[1]);
	if (!migration)
		return;
	if (!str_eq_nocase(values[2], STR("1")) && !str_eq_nocase(values[2], STR("true")))
		migration->state = MIGRATION_BROKEN;
	else if (!migration->up)
		migration->state = MIGRATION_FILELESS;
	else if (!str_eq_nocase(values[3], str_from(migration->checksum)))
		migration->state = MIGRATION_CHANGED;
	else
		migration->state = MIGRATION_INSTALLED;
}

int migrations_look(struct migrations *migrations, const struct sql_kind *kind, struct sql *sql,
	char ret_error[SQL_ERROR_MAX])
{
	bool is_sqlite = kind == &sql_sqlite;
	i64 rows;

	if (kind->lock(sql, ret_error) < 0)
		return -1;
	if (kind->run(sql, is_sqlite ? make_notes_sqlite : make_notes_postgres, ret_error) < 0)
		return -1;
	if (kind->unlock(sql, ret_error) < 0)
		return -1;
	rows = kind->ask(sql,
		is_sqlite ? "SELECT version, description, success, hex(checksum) FROM "
			    "_sqlx_migrations ORDER BY version"
			  : "SELECT version::text, description, success::text, encode(checksum, "
			    "'hex') "
			    "FROM _sqlx_migrations ORDER BY version",
		NULL, 0, take_note, migrations, ret_error);
	qsort(migrations->list, migrations->count, sizeof(*migrations->list), compare);
	return rows < 0 ? -1 : 0;
}

const char *migrations_obstacle(const struct migrations *migrations, struct arena *arena)
{
	for (u32 i = 0; i < migrations->count; i++) {
		const struct migration *migration = &migrations->list[i];

		if (migration->state == MIGRATION_CHANGED)
			return arena_printf(arena,
				"migration %llu was previously applied but has been modified: "
				"restore "
				"%s, and put what is new into a migration of its own",
				(unsigned long long)migration->version, migration->up);
		if (migration->state == MIGRATION_FILELESS)
			return arena_printf(arena,
				"migration %llu (%.*s) was previously applied but is missing in "
				"the "
				"folder: restore its file",
				(unsigned long long)migration->version,
				STR_FMT(migration->description));
		if (migration->state == MIGRATION_BROKEN)
			return arena_printf(arena,
				"migration %llu is partially applied, by another tool: repair what "
				"it "
				"left, then delete its row in _sqlx_migrations",
				(unsigned long long)migration->version);
	}
	return NULL;
}

// ---- Running ------------------------------------------------------------------------------------

static i64 count_notes(const struct migration *migration, const struct sql_kind *kind,
	struct sql *sql, char error[SQL_ERROR_MAX])
{
	char query[128];

	snprintf(query, sizeof(query), "SELECT 1 FROM _sqlx_migrations WHERE version = %llu",
		(unsigned long long)migration->version);
	return kind->ask(sql, query, NULL, 0, NULL, NULL, error);
}

static int write_note(const struct migration *migration, const struct sql_kind *kind,
	struct sql *sql, char error[SQL_ERROR_MAX])
{
	bool is_sqlite = kind == &sql_sqlite;
	char query[512];

	snprintf(query, sizeof(query),
		"INSERT INTO _sqlx_migrations (version, description, success, checksum, "
		"execution_time) VALUES (%llu, %s, %s, %s%s', 0)",
		(unsigned long long)migration->version, is_sqlite ? "?1" : "$1",
		is_sqlite ? "1" : "TRUE", is_sqlite ? "X'" : "'\\x", migration->checksum);
	return kind->ask(sql, query, &migration->description, 1, NULL, NULL, error) < 0 ? -1 : 0;
}

static int erase_note(const struct migration *migration, const struct sql_kind *kind,
	struct sql *sql, char error[SQL_ERROR_MAX])
{
	char query[128];

	snprintf(query, sizeof(query), "DELETE FROM _sqlx_migrations WHERE version = %llu",
		(unsigned long long)migration->version);
	return kind->run(sql, query, error);
}

// Under the lock, as one transaction: the file and its note, or neither.
static int run_locked(const struct migration *migration, bool reverts, const char *text,
	const struct sql_kind *kind, struct sql *sql, char error[SQL_ERROR_MAX])
{
	char ignored[SQL_ERROR_MAX];
	i64 notes;
	int rc;

	if (kind->run(sql, kind == &sql_sqlite ? "BEGIN IMMEDIATE" : "BEGIN", error) < 0)
		return -1;
	notes = count_notes(migration, kind, sql, error);
	if (notes == (reverts ? 0 : 1)) {
		(void)kind->run(sql, "ROLLBACK", ignored);
		return 0;
	}
	rc = notes < 0 ? -1 : kind->run(sql, text, error);
	if (rc == 0)
		rc = (reverts ? erase_note : write_note)(migration, kind, sql, error);
	if (rc == 0)
		rc = kind->run(sql, "COMMIT", error);
	if (rc == 0)
		return 1;
	(void)kind->run(sql, "ROLLBACK", ignored);
	return -1;
}

static int run_file(const struct migration *migration, bool reverts, const struct sql_kind *kind,
	struct sql *sql, char error[SQL_ERROR_MAX])
{
	char ignored[SQL_ERROR_MAX];
	struct arena arena;
	struct str text;
	int rc;

	arena_init(&arena, FILE_BYTES_MAX + 4096);
	rc = read_sql(&arena, reverts ? migration->down : migration->up, &text, error);
	if (rc == 0)
		rc = kind->lock(sql, error);
	if (rc == 0) {
		rc = run_locked(migration, reverts, text.ptr, kind, sql, error);
		(void)kind->unlock(sql, ignored);
	}
	arena_done(&arena);
	return rc;
}

int migration_run(const struct migration *migration, const struct sql_kind *kind, struct sql *sql,
	char ret_error[SQL_ERROR_MAX])
{
	return run_file(migration, false, kind, sql, ret_error);
}

int migration_revert(const struct migration *migration, const struct sql_kind *kind,
	struct sql *sql, char ret_error[SQL_ERROR_MAX])
{
	return run_file(migration, true, kind, sql, ret_error);
}

// ---- A new one ----------------------------------------------------------------------------------

static int create_file(const char *file, const char *text, char error[SQL_ERROR_MAX])
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	size_t len = strlen(text);
	bool is_written;

	if (fd < 0)
		return fail(error, "%s cannot be made: %s", file, strerror(errno));
	is_written = write(fd, text, len) == (ssize_t)len;
	if (close(fd) != 0 || !is_written)
		return fail(error, "%s cannot be written: %s", file, strerror(errno));
	return 0;
}

static bool is_good_description(const char *description)
{
	if (!*description || strlen(description) > 100)
		return false;
	for (; *description; description++) {
		char c = ascii_lower(*description);

		if (!(c >= 'a' && c <= 'z') && !ascii_is_digit(c) && !strchr("_- ", c))
			return false;
	}
	return true;
}

int migration_create(const char *folder, const char *date, const char *description,
	bool is_reversible, struct arena *arena, const char *ret_files[2],
	char ret_error[SQL_ERROR_MAX])
{
	char *name = arena_printf(arena, "%s", description);

	if (!is_good_description(description))
		return fail(ret_error,
			"'%.100s' is no name of a migration: letters, digits, '_' and "
			"'-', at most 100",
			description);
	for (char *at = name; *at; at++)
		*at = *at == ' ' ? '_' : *at;
	if (mkdir(folder, 0777) != 0 && errno != EEXIST)
		return fail(ret_error, "%s cannot be made: %s", folder, strerror(errno));
	ret_files[0] = arena_printf(
		arena, "%s/%s_%s%s", folder, date, name, is_reversible ? ".up.sql" : ".sql");
	ret_files[1] = NULL;
	if (create_file(ret_files[0],
		    is_reversible ? "-- Add up migration script here\n"
				  : "-- Add migration script here\n",
		    ret_error) < 0)
		return -1;
	if (!is_reversible)
		return 0;
	ret_files[1] = arena_printf(arena, "%s/%s_%s.down.sql", folder, date, name);
	return create_file(ret_files[1], "-- Add down migration script here\n", ret_error);
}
