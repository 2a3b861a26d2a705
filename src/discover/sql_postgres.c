// SPDX-License-Identifier: Apache-2.0
// PostgreSQL for commands: calls that wait.
#include <stdio.h>

#include "base/mem.h"
#include "discover/postgres.h"
#include "discover/sql.h"

// One number for all who migrate; an advisory lock belongs to the database it is taken in.
#define LOCK_KEY "8387223912478340871"

struct sql {
	PGconn *conn;
	const struct conf_provider *provider;
};

static int fail(struct sql *sql, char ret_error[SQL_ERROR_MAX])
{
	char text[POSTGRES_TEXT_MAX];

	postgres_clean(sql->provider, PQerrorMessage(sql->conn), text);
	snprintf(ret_error, SQL_ERROR_MAX, "%s", text);
	return -1;
}

static void sql_close(struct sql *sql)
{
	if (sql)
		PQfinish(sql->conn);
	mem_free(sql);
}

static struct sql *sql_open(
	const struct conf_provider *provider, bool creates, char ret_error[SQL_ERROR_MAX])
{
	struct sql *sql = mem_alloc(sizeof(*sql));
	struct postgres_parameters parameters;
	struct postgres_trouble trouble;

	(void)creates;
	postgres_set_parameters(provider, &parameters);
	sql->provider = provider;
	sql->conn = PQconnectdbParams(parameters.names, parameters.values, 1);
	if (sql->conn && PQstatus(sql->conn) == CONNECTION_OK) {
		PQsetNoticeProcessor(sql->conn, postgres_drop_notice, NULL);
		return sql;
	}
	postgres_explain(provider, sql->conn, &trouble);
	snprintf(ret_error, SQL_ERROR_MAX, "%.300s. Cure: %.200s", trouble.cause, trouble.cure);
	sql_close(sql);
	return NULL;
}

static int sql_run(struct sql *sql, const char *statements, char ret_error[SQL_ERROR_MAX])
{
	PGresult *result = PQexec(sql->conn, statements);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
		return 0;
	return fail(sql, ret_error);
}

static i64 sql_ask(struct sql *sql, const char *text, const struct str *parameters, u32 count,
	void (*row)(void *owner, const struct str *values, u32 count), void *owner,
	char ret_error[SQL_ERROR_MAX])
{
	const char *values[16] = {0};
	struct str cells[16];
	PGresult *result;
	i64 rows = 0;
	u64 changed;

	ASSERT(count <= ARRAY_LEN(values));
	for (u32 i = 0; i < count; i++) // terminated: they are the arguments of the command
		values[i] = parameters[i].ptr;
	result = PQexecParams(sql->conn, text, (int)count, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK) {
		u32 columns = MIN((u32)PQnfields(result), (u32)ARRAY_LEN(cells));

		for (rows = 0; rows < PQntuples(result); rows++) {
			for (u32 i = 0; i < columns; i++)
				cells[i] =
					PQgetisnull(result, (int)rows, (int)i)
						? STR_EMPTY
						: str_from(PQgetvalue(result, (int)rows, (int)i));
			if (row)
				row(owner, cells, columns);
		}
	} else if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		rows = fail(sql, ret_error);
	} else if (str_to_u64(str_from(PQcmdTuples(result)), INT64_MAX, &changed) == 0) {
		rows = (i64)changed;
	}
	PQclear(result);
	return rows;
}

static int sql_lock(struct sql *sql, char ret_error[SQL_ERROR_MAX])
{
	return sql_run(sql, "SELECT pg_advisory_lock(" LOCK_KEY ")", ret_error);
}

static int sql_unlock(struct sql *sql, char ret_error[SQL_ERROR_MAX])
{
	return sql_run(sql, "SELECT pg_advisory_unlock(" LOCK_KEY ")", ret_error);
}

const struct sql_kind sql_postgres = {.open = sql_open,
	.close = sql_close,
	.run = sql_run,
	.ask = sql_ask,
	.parameter = "$",
	.lock = sql_lock,
	.unlock = sql_unlock};
