// SPDX-License-Identifier: Apache-2.0
// Backends in a table of PostgreSQL. One connection, kept open: it hears NOTIFY, which is only a
// hint to read the table again. What counts is what was read, after each connect, each hint, each
// `refresh`, and each `poll` where no trigger of the table gives hints.
//
// libpq is driven without waiting, so that a server that hangs costs a timer; only the look-up of
// its name may block this thread. The loop gets a descriptor of its own for libpq's socket (dup):
// libpq closes and opens as it likes while it connects.
#include "discover/postgres.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "discover/source.h"
#include "discover/sql.h"

enum { hint_wait_ms = 20 }; // changes come in bunches

enum step {
	STEP_OFF,     // no connection; the timer begins one
	STEP_CONNECT, // until here the timer is a deadline
	STEP_LISTEN,
	STEP_COLUMNS,
	STEP_ROWS,
	STEP_IDLE,  // the timer reads again
	STEP_CLOSE, // an operation is still out
};

struct postgres_source {
	struct source_config config;
	PGconn *conn;
	struct sock sock;
	struct op op;
	struct timer timer;
	struct backoff backoff;
	u8 step; // enum step
	bool stopped, is_hinted, has_trigger;
	struct sql_columns columns;
	struct rows *rows; // while they arrive
};

static void set_timer(struct postgres_source *source, u64 wait_ms)
{
	if (!source->stopped)
		loop_timer_set(source->config.loop, &source->timer,
			loop_now_ms(source->config.loop) + wait_ms);
}

// ---- The connection -----------------------------------------------------------------------------

static void end_close(struct postgres_source *source)
{
	if (source->sock.fd >= 0)
		sock_close(source->config.loop, &source->sock);
	source->sock.fd = -1;
	PQfinish(source->conn);
	source->conn = NULL;
	rows_free(source->rows);
	source->rows = NULL;
	source->step = STEP_OFF;
}

static void close_connection(struct postgres_source *source)
{
	source->step = STEP_CLOSE;
	if (op_is_out(&source->op))
		loop_cancel(source->config.loop, &source->op);
	else
		end_close(source);
}

static void fail(struct postgres_source *source, const char *cause, const char *cure)
{
	source->config.sink.trouble(source->config.sink.owner, cause, cure);
	set_timer(source, backoff_next_ms(&source->backoff));
	close_connection(source);
}

static void fail_as_told(struct postgres_source *source)
{
	struct postgres_trouble trouble;

	postgres_explain(source->config.provider, source->conn, &trouble);
	fail(source, trouble.cause, trouble.cure);
}

// A fresh descriptor while it connects: the socket may be another one with the same number.
static bool wait_for(struct postgres_source *source, u32 events)
{
	struct loop *loop = source->config.loop;
	int fd;

	if (source->step == STEP_CONNECT && source->sock.fd >= 0) {
		sock_close(loop, &source->sock);
		source->sock.fd = -1;
	}
	if (source->sock.fd < 0) {
		fd = dup(PQsocket(source->conn));
		if (fd < 0) {
			fail(source, strerror(errno), "raise the limit of descriptors");
			return false;
		}
		sock_open(loop, &source->sock, fd);
	}
	loop_ready(loop, &source->sock, &source->op, events);
	return true;
}

// ---- Reading ------------------------------------------------------------------------------------

static void ask(struct postgres_source *source, u8 step, const struct text *query)
{
	source->step = step;
	set_timer(source, source->config.provider->timeout_ms);
	if (!PQsendQuery(source->conn, query->data))
		fail_as_told(source);
	else if (!op_is_out(&source->op))
		(void)wait_for(source, LOOP_IN);
}

static void ask_to_listen(struct postgres_source *source)
{
	struct text query = {0};

	text_add(&query, STR("LISTEN "));
	text_printf(&query, "\"%.*s\"", STR_FMT(source->config.provider->channel));
	ask(source, STEP_LISTEN, &query);
	text_done(&query);
}

// The table's columns, and one more without a name when a trigger of it tells of changes.
static void ask_for_columns(struct postgres_source *source)
{
	const struct conf_provider *provider = source->config.provider;
	struct text query = {0}, table = {0};
	char *name;

	sql_add_name(&table, provider->table);
	name = PQescapeLiteral(source->conn, table.data, table.len);
	text_printf(&query,
		"SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND "
		"attnum > "
		"0 AND NOT attisdropped UNION ALL SELECT '' WHERE EXISTS (SELECT 1 FROM pg_trigger "
		"t "
		"JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = to_regclass(%s) AND "
		"t.tgenabled "
		"<> 'D' AND position('%.*s' IN p.prosrc) > 0)",
		name ? name : "''", name ? name : "''", STR_FMT(provider->channel));
	PQfreemem(name);
	text_done(&table);
	source->columns = (struct sql_columns){0};
	source->has_trigger = false;
	source->is_hinted = false;
	ask(source, STEP_COLUMNS, &query);
	text_done(&query);
}

static void ask_for_rows(struct postgres_source *source)
{
	const struct conf_provider *provider = source->config.provider;
	struct text query = {0};

	if (!source->columns.has_address) {
		char cause[512];

		snprintf(cause, sizeof(cause),
			"the database has no table '%.*s' with a column '%.*s'",
			STR_FMT(provider->table), STR_FMT(provider->column));
		fail(source, cause, "create it (weir migrate run), or correct table and column");
		return;
	}
	source->rows = rows_new();
	sql_make_select(&query, provider, &source->columns);
	ask(source, STEP_ROWS, &query);
	text_done(&query);
}

struct cell {
	const PGresult *result;
	int row;
};

static struct str cell_text(void *owner, u32 column)
{
	const struct cell *cell = owner;

	if (PQgetisnull(cell->result, cell->row, (int)column))
		return (struct str){0};
	return str_make(PQgetvalue(cell->result, cell->row, (int)column),
		(size_t)PQgetlength(cell->result, cell->row, (int)column));
}

static void take_result(struct postgres_source *source, const PGresult *result)
{
	struct cell cell = {.result = result};
	int count = PQntuples(result);

	for (; cell.row < count; cell.row++) {
		if (source->step == STEP_ROWS)
			sql_take_row(source->rows, &source->columns, cell_text, &cell);
		else if (source->step == STEP_COLUMNS && PQgetlength(result, cell.row, 0) == 0)
			source->has_trigger = true;
		else if (source->step == STEP_COLUMNS)
			sql_take_column(
				&source->columns, source->config.provider, cell_text(&cell, 0));
	}
}

static void finish_read(struct postgres_source *source)
{
	const struct conf_provider *provider = source->config.provider;
	struct rows *rows = source->rows;

	source->rows = NULL;
	source->backoff.failures = 0;
	source->step = STEP_IDLE;
	set_timer(source, source->is_hinted	? (u64)hint_wait_ms
			  : source->has_trigger ? provider->refresh_ms
						: MIN(provider->poll_ms, provider->refresh_ms));
	rows_finish(rows);
	source->config.sink.rows(source->config.sink.owner, rows);
}

// The statement is over.
static void go_on(struct postgres_source *source)
{
	switch ((enum step)source->step) {
	case STEP_LISTEN:
		ask_for_columns(source);
		break;
	case STEP_COLUMNS:
		ask_for_rows(source);
		break;
	case STEP_ROWS:
		finish_read(source);
		break;
	default:
		break;
	}
}

static void take_notifies(struct postgres_source *source)
{
	PGnotify *notify;

	while ((notify = PQnotifies(source->conn))) {
		PQfreemem(notify);
		source->is_hinted = true;
	}
	if (source->is_hinted && source->step == STEP_IDLE)
		set_timer(source, hint_wait_ms);
}

// Results as far as they are here. False: the connection is no more.
static bool take_results(struct postgres_source *source)
{
	while (source->step != STEP_IDLE && !PQisBusy(source->conn)) {
		PGresult *result = PQgetResult(source->conn);
		ExecStatusType status = result ? PQresultStatus(result) : PGRES_COMMAND_OK;
		bool is_good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

		if (result && is_good)
			take_result(source, result);
		if (!is_good) {
			fail_as_told(source);
			PQclear(result);
			return false;
		}
		if (!result)
			go_on(source);
		PQclear(result);
		if (source->step == STEP_OFF || source->step == STEP_CLOSE)
			return false;
	}
	return true;
}

static void on_input(struct postgres_source *source)
{
	if (!PQconsumeInput(source->conn)) {
		fail_as_told(source);
		return;
	}
	if (!take_results(source))
		return;
	take_notifies(source);
	if (PQstatus(source->conn) == CONNECTION_BAD)
		fail_as_told(source);
	else if (!op_is_out(&source->op))
		(void)wait_for(source, LOOP_IN);
}

// ---- Connecting ---------------------------------------------------------------------------------

static void go_on_connecting(struct postgres_source *source)
{
	switch (PQconnectPoll(source->conn)) {
	case PGRES_POLLING_READING:
		(void)wait_for(source, LOOP_IN);
		break;
	case PGRES_POLLING_WRITING:
		(void)wait_for(source, LOOP_OUT);
		break;
	case PGRES_POLLING_OK:
		sock_close(source->config.loop, &source->sock); // another one may have been taken
		source->sock.fd = -1;
		ask_to_listen(source);
		break;
	default:
		fail_as_told(source);
		break;
	}
}

static void connect_begin(struct postgres_source *source)
{
	struct postgres_parameters parameters;

	postgres_set_parameters(source->config.provider, &parameters);
	source->step = STEP_CONNECT;
	source->conn = PQconnectStartParams(parameters.names, parameters.values, 1);
	if (source->conn)
		PQsetNoticeProcessor(source->conn, postgres_drop_notice, NULL);
	set_timer(source, source->config.provider->timeout_ms);
	if (!source->conn || PQstatus(source->conn) == CONNECTION_BAD)
		fail_as_told(source);
	else
		(void)wait_for(source, LOOP_OUT);
}

static void on_ready(struct op *op)
{
	struct postgres_source *source = container_of(op, struct postgres_source, op);

	if (source->step == STEP_CLOSE)
		end_close(source);
	else if (source->step == STEP_CONNECT)
		go_on_connecting(source);
	else
		on_input(source);
}

static void fail_late(struct postgres_source *source)
{
	const struct conf_provider *provider = source->config.provider;
	char cause[256], cure[256];

	snprintf(cause, sizeof(cause), "%.*s: the server does not answer within %u ms",
		STR_FMT(provider->url_from), (u32)provider->timeout_ms);
	snprintf(cure, sizeof(cure), "look at that server, or correct %.*s",
		STR_FMT(provider->url_from));
	fail(source, cause, cure);
}

static void on_timer(struct timer *timer)
{
	struct postgres_source *source = container_of(timer, struct postgres_source, timer);

	if (source->step == STEP_OFF)
		connect_begin(source);
	else if (source->step == STEP_IDLE)
		ask_for_columns(source);
	else if (source->step == STEP_CLOSE)
		set_timer(source, hint_wait_ms);
	else
		fail_late(source);
}

static void *postgres_open(const struct source_config *config)
{
	struct postgres_source *source = mem_alloc(sizeof(*source));

	source->config = *config;
	source->sock.fd = -1;
	op_init(&source->op, on_ready);
	rng_init(&source->backoff.rng, config->seed);
	timer_init(&source->timer, on_timer);
	set_timer(source, 0);
	return source;
}

static void postgres_stop(void *owner)
{
	struct postgres_source *source = owner;

	source->stopped = true;
	loop_timer_cancel(source->config.loop, &source->timer);
	close_connection(source);
}

static bool postgres_is_idle(const void *owner)
{
	const struct postgres_source *source = owner;

	return source->step == STEP_OFF;
}

static void postgres_free(void *source)
{
	mem_free(source);
}

const struct source_kind source_postgres = {.open = postgres_open,
	.stop = postgres_stop,
	.is_idle = postgres_is_idle,
	.free = postgres_free};
