// SPDX-License-Identifier: Apache-2.0
// The database that a command is about: --database-url, else DATABASE_URL where no configuration is
// named, else the first provider of the configuration that is a database.
#pragma once

#include "cli/cli.h"
#include "discover/sql.h"

struct database {
	const struct sql_kind *kind;
	struct conf_provider provider;
	struct sql *sql;
};

// Whether there is one. Says nothing.
bool database_is_named(const struct cli *cli);

// Opens it. EXIT_OK, or another code with the reason on standard error. `creates`: a SQLite file
// that is missing is made.
int database_open(const struct cli *cli, bool creates, struct database *ret_database) must_check;
void database_close(struct database *database);

// "weir: CAUSE" on standard error; gives EXIT_FAILED.
int database_complain(const char *cause);
