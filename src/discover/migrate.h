// SPDX-License-Identifier: Apache-2.0
// Numbered SQL files that change a database step by step, each once, whoever runs them and however
// often. Files, their names and what is noted in the database are those of sqlx-cli, so that either
// tool goes on where the other one stopped:
//
//	migrations/20241129101530_workers.sql           or, when it can be reverted,
//	migrations/0001_workers.up.sql  0001_workers.down.sql
//
// What ran stands in the table _sqlx_migrations, with the SHA-384 of its file. Each migration is a
// transaction: it is there with its note, or it is not there. Of several who run at once, one does.
#pragma once

#include "base/arena.h"
#include "discover/sha384.h"
#include "discover/sql.h"

enum { MIGRATIONS_MAX = 10000 };

enum migration_state {
	MIGRATION_PENDING,
	MIGRATION_INSTALLED,
	MIGRATION_CHANGED,  // installed from a file that has changed since
	MIGRATION_FILELESS, // installed, and its file is not there
	MIGRATION_BROKEN,   // begun by another tool and not ended
};

struct migration {
	u64 version;
	struct str description; // "create workers"
	const char *up,
		*down; // files; down NULL: it cannot be reverted. up NULL: MIGRATION_FILELESS
	u8 state;      // enum migration_state; after migrations_look
	char checksum[SHA384_HEX_LEN + 1];
};

// All of a folder and of a database, by version.
struct migrations {
	struct arena *arena;
	struct migration *list;
	u32 count;
};

// Reads the folder. 0, or -1 with a sentence.
int migrations_load(struct migrations *migrations, const char *folder, struct arena *arena,
	char ret_error[SQL_ERROR_MAX]) must_check;

// Notes what the database says about them; makes its table of notes if need be.
int migrations_look(struct migrations *migrations, const struct sql_kind *kind, struct sql *sql,
	char ret_error[SQL_ERROR_MAX]) must_check;

// What stands in the way of running or reverting, as a sentence with its cure; NULL: nothing.
const char *migrations_obstacle(const struct migrations *migrations, struct arena *arena);

// Runs one that is pending, or reverts one that is installed. 1: done. 0: somebody else has done it
// meanwhile. -1, with a sentence: nothing has changed.
int migration_run(const struct migration *migration, const struct sql_kind *kind, struct sql *sql,
	char ret_error[SQL_ERROR_MAX]) must_check;
int migration_revert(const struct migration *migration, const struct sql_kind *kind,
	struct sql *sql, char ret_error[SQL_ERROR_MAX]) must_check;

// Makes the files of a new one. Their names, up first; the second NULL when it is one.
int migration_create(const char *folder, const char *date, const char *description,
	bool is_reversible, struct arena *arena, const char *ret_files[2],
	char ret_error[SQL_ERROR_MAX]) must_check;
