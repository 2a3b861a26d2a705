// SPDX-License-Identifier: Apache-2.0
// weir status: how a running weir is, in a few lines.
#include "cli/call.h"
#include "cli/cells.h"
#include "cli/level.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "cli/verdict_text.h"

enum { named_max = 10 };

struct status {
	const json_t *state;
	double now_at_ms;
	struct cells *cells;
};

static void put_verdict(const struct status *status)
{
	const json_t *verdict = json_object_get(status->state, "verdict");
	bool ready = call_is(status->state, "ready");
	enum level level = verdict ? level_of_verdict(call_string(verdict, "level"))
				   : (ready ? LEVEL_GOOD : LEVEL_BAD);
	struct text said = {0};

	verdict_add(&said, verdict);
	cells_style(status->cells, level_style(level) | CELLS_BOLD);
	cells_printf(status->cells, "%s %s", level_sign(level), level_word(level));
	cells_style(status->cells, CELLS_PLAIN);
	cells_put(status->cells, STR("  "));
	cells_put(status->cells, said.len ? str_make(said.data, said.len)
				 : ready  ? STR("ready")
					  : STR("not ready"));
	cells_end(status->cells);
	text_done(&said);
}

static void put_process(const struct status *status)
{
	const json_t *state = status->state;

	cells_printf(status->cells, "  weir %s on %s, process %.0f, running for %s%s%s",
		call_string(state, "version"), call_string(state, "instance"),
		call_number(state, "pid"),
		unit_span(status->now_at_ms - call_number(state, "started_at_ms")).text,
		call_is(state, "draining") ? ", draining: it ends soon" : "",
		call_is(state, "ready") ? "" : ", not ready");
	cells_end(status->cells);
}

// What befell it since it was started.
static void put_life(const struct status *status)
{
	const json_t *state = status->state;
	const char *why = call_string(state, "restart_reason");
	double restarts = call_number(state, "restarts");
	double failed = call_number(state, "upgrades_failed");

	if (restarts > 0) {
		cells_style(status->cells, level_style(LEVEL_WARN));
		cells_printf(status->cells, "  %s ", level_sign(LEVEL_WARN));
		cells_style(status->cells, CELLS_PLAIN);
		cells_printf(status->cells, "the serving process was started again %s time%s%s",
			unit_count(restarts).text, restarts == 1 ? "" : "s",
			why[0] ? "; the last one " : "");
		cells_put(status->cells, str_from(why));
		cells_end(status->cells);
	}
	why = call_string(state, "upgrade_reason");
	if (failed > 0) {
		cells_style(status->cells, level_style(LEVEL_WARN));
		cells_printf(status->cells, "  %s ", level_sign(LEVEL_WARN));
		cells_style(status->cells, CELLS_PLAIN);
		cells_printf(status->cells, "%s upgrade%s failed%s", unit_count(failed).text,
			failed == 1 ? "" : "s", why[0] ? "; the last one: " : "");
		cells_put(status->cells, str_from(why));
		cells_end(status->cells);
	}
}

static enum level level_of_provider(const json_t *one)
{
	if (call_is(one, "up"))
		return call_is(one, "held") ? LEVEL_WARN : LEVEL_GOOD;
	return call_string(one, "cause")[0] ? LEVEL_BAD : LEVEL_NOTE;
}

static void put_provider(const struct status *status, const json_t *one)
{
	enum level level = level_of_provider(one);
	double left_out = call_number(one, "left_out"), read = call_number(one, "read_at_ms");
	const char *cause = call_string(one, "cause");

	cells_style(status->cells, level_style(level));
	cells_printf(status->cells, "  %s ", level_sign(level));
	cells_style(status->cells, CELLS_PLAIN);
	cells_put(status->cells, STR("provider "));
	cells_put(status->cells, str_from(call_string(one, "name")));
	cells_printf(status->cells, " (%s): %s rows for pool ", call_string(one, "type"),
		unit_count(call_number(one, "rows")).text);
	cells_put(status->cells, str_from(call_string(one, "pool")));
	if (left_out > 0)
		cells_printf(status->cells, ", %s left out", unit_count(left_out).text);
	if (call_is(one, "held"))
		cells_put(status->cells, STR(", what vanished from its list stays"));
	if (isnan(read))
		cells_put(status->cells, STR(", not read yet"));
	else
		cells_printf(
			status->cells, ", read %s ago", unit_span(status->now_at_ms - read).text);
	cells_put(status->cells, cause[0] ? STR(": ") : STR_EMPTY);
	cells_put(status->cells, str_from(cause));
	cells_end(status->cells);
}

static void put_providers(const struct status *status)
{
	const json_t *one;
	size_t at;

	json_array_foreach(json_object_get(status->state, "providers"), at, one)
		put_provider(status, one);
}

static void put_totals(const struct status *status)
{
	const json_t *totals = json_object_get(status->state, "totals");
	const json_t *process = json_object_get(status->state, "process");
	double rate = call_number(totals, "requests_per_s"), p99 = call_number(totals, "p99_us");

	if (!isnan(rate)) {
		cells_printf(status->cells, "  %s requests/s, %s errors/s (%s)",
			unit_number(rate).text,
			unit_number(call_number(totals, "errors_per_s")).text,
			unit_percent(call_number(totals, "errors_ratio")).text);
		if (!isnan(p99))
			cells_printf(status->cells, ", p50 %s, p99 %s",
				unit_us(call_number(totals, "p50_us")).text, unit_us(p99).text);
		cells_end(status->cells);
	}
	cells_printf(status->cells, "  %s of %s connections, %s requests in flight",
		unit_count(call_number(totals, "connections")).text,
		unit_count(call_number(totals, "connections_max")).text,
		unit_count(call_number(totals, "in_flight")).text);
	if (!isnan(call_number(totals, "queued")))
		cells_printf(status->cells, ", %s queued",
			unit_count(call_number(totals, "queued")).text);
	if (!isnan(call_number(process, "busy_ratio")))
		cells_printf(status->cells, ", workers %s busy",
			unit_percent(call_number(process, "busy_ratio")).text);
	cells_end(status->cells);
}

// What a backend does, for the states of which "is" does not say it.
static void put_state(const struct status *status, const char *state)
{
	static const char *const phrases[][2] = {{"refuses", "takes no new connections"},
		{"open", "has its breaker open"}, {"half_open", "has its breaker half open"},
		{"panic", "is out, and is asked all the same"}};

	for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
		if (strcmp(state, phrases[i][0]) == 0) {
			cells_put(status->cells, str_from(phrases[i][1]));
			return;
		}
	}
	cells_put(status->cells, STR("is "));
	cells_put(status->cells, str_from(state));
}

static void put_backend(const struct status *status, const json_t *one)
{
	const char *state = call_string(one, "state"), *reason = call_string(one, "reason");
	enum level level = level_of_backend(state);
	double since = call_number(one, "since_at_ms");

	cells_style(status->cells, level_style(level));
	cells_printf(status->cells, "    %s ", level_sign(level));
	cells_put(status->cells, str_from(call_string(one, "id")));
	cells_style(status->cells, CELLS_PLAIN);
	cells_put(status->cells, STR(" "));
	put_state(status, state);
	if (!isnan(since))
		cells_printf(status->cells, " since %s (%s)", unit_clock(since).text,
			unit_span(status->now_at_ms - since).text);
	if (reason[0] && strcmp(reason, state) != 0) {
		cells_put(status->cells, STR(": "));
		cells_put(status->cells, str_from(reason));
	}
	cells_end(status->cells);
}

// Those that are not as they should be, the first few of them.
static void put_backends(const struct status *status, const char *pool)
{
	const json_t *one;
	size_t at, count = 0;

	json_array_foreach(json_object_get(status->state, "backends"), at, one)
	{
		enum level level = level_of_backend(call_string(one, "state"));

		if (strcmp(call_string(one, "pool"), pool) != 0 || level == LEVEL_GOOD)
			continue;
		if (count++ < named_max)
			put_backend(status, one);
	}
	if (count > named_max) {
		cells_printf(status->cells, "    and %zu more: weir top", count - named_max);
		cells_end(status->cells);
	}
}

static void put_pools(const struct status *status)
{
	const json_t *pool;
	size_t at;

	json_array_foreach(json_object_get(status->state, "pools"), at, pool)
	{
		const char *state = call_string(pool, "state");
		enum level level = level_of_pool(state);

		cells_style(status->cells, level_style(level));
		cells_printf(status->cells, "  %s ", level_sign(level));
		cells_style(status->cells, CELLS_PLAIN);
		cells_put(status->cells, STR("pool "));
		cells_put(status->cells, str_from(call_string(pool, "name")));
		cells_printf(status->cells, " %s: %s of %s backends take requests", state,
			unit_count(call_number(pool, "eligible")).text,
			unit_count(call_number(pool, "backends")).text);
		cells_end(status->cells);
		put_backends(status, call_string(pool, "name"));
	}
}

int status_main(const struct cli *cli)
{
	struct call call = {.method = "GET", .path = "/api/v1/state", .body = STR_EMPTY};
	struct cells_look look = terminal_look(cli->environ);
	struct status status = {0};
	struct cells cells;
	struct text text = {0};
	struct str body;
	int code = call_text(cli, &call, &body);
	json_t *state;
	bool ready;

	if (code == EXIT_OK)
		code = call_read(body, "backends", &state);
	if (code != EXIT_OK)
		return code;
	ready = call_is(state, "ready");
	if (cli->plan->as_json) {
		text_add(&text, body);
	} else {
		cells_init(&cells, &text, &look);
		status = (struct status){.state = state,
			.now_at_ms = call_number(state, "now_at_ms"),
			.cells = &cells};
		put_verdict(&status);
		put_process(&status);
		put_life(&status);
		put_totals(&status);
		put_pools(&status);
		put_providers(&status);
	}
	json_decref(state);
	if (terminal_print(text_take(&text, cli->arena)) != 0)
		return EXIT_FAILED;
	return ready ? EXIT_OK : EXIT_UNAVAILABLE;
}
