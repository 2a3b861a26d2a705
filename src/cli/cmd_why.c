// SPDX-License-Identifier: Apache-2.0
// weir why: what was done with one request and why, out of its decision record; without an id the
// last requests that failed.
#include "cli/call.h"
#include "cli/level.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

enum { shown_default = 20, failures_from = 500 };

struct why {
	struct arena *arena;
	struct cells *cells;
};

static struct str copy(const struct why *why, const char *text)
{
	return arena_str(why->arena, str_from(text));
}

static struct str field(const json_t *tree, const char *key)
{
	const char *text = call_string(tree, key);

	return str_from(text[0] ? text : "-");
}

static struct str span(const struct why *why, const json_t *tree, const char *key)
{
	return copy(why, unit_us(call_number(tree, key)).text);
}

static struct str status_of(const struct why *why, const json_t *tree)
{
	double status = call_number(tree, "status");

	return isnan(status) ? STR("-") : copy(why, unit_count(status).text);
}

// ---- One request --------------------------------------------------------------------------------

static void put_head(const struct why *why, const json_t *record)
{
	struct cells *cells = why->cells;
	bool is_well = strcmp(call_string(record, "outcome"), "ok") == 0 &&
		       !(call_number(record, "status") >= failures_from);
	enum level level = is_well ? LEVEL_GOOD : LEVEL_BAD;

	cells_style(cells, level_style(level) | CELLS_BOLD);
	cells_printf(cells, "%s ", level_sign(level));
	cells_put(cells, field(record, "ended"));
	cells_style(cells, CELLS_PLAIN);
	cells_printf(cells, "  %s %s  ", call_string(record, "method"), status_of(why, record).ptr);
	cells_put(cells, field(record, "path"));
	cells_end(cells);
	cells_printf(cells, "  came %s, took %s, frontend ",
		unit_date(call_number(record, "at_ms")).text,
		unit_us(call_number(record, "total_us")).text);
	cells_put(cells, field(record, "frontend"));
	cells_put(cells, STR(", client "));
	cells_put(cells, field(record, "client"));
	cells_end(cells);
	cells_end(cells);
}

static void put_sentences(const struct why *why, const json_t *record)
{
	const json_t *line;
	size_t at;

	json_array_foreach(json_object_get(record, "text"), at, line)
	{
		cells_put(why->cells, STR("  "));
		cells_put(why->cells,
			str_from(json_string_value(line) ? json_string_value(line) : ""));
		cells_end(why->cells);
	}
	cells_end(why->cells);
}

static void put_tries(const struct why *why, const json_t *record)
{
	static const char *const titles[] = {"TRY", "BACKEND", "AT", "TOOK", "STATUS", "ENDED"};
	const json_t *tries = json_object_get(record, "tries"), *one;
	struct table table;
	size_t at;

	if (json_array_size(tries) == 0)
		return;
	table_init(&table, why->arena, titles, ARRAY_LEN(titles));
	table.indent = 2;
	table.right = 1u << 2 | 1u << 3;
	json_array_foreach(tries, at, one)
	{
		struct table_row *row = table_add(&table, CELLS_PLAIN);

		row->cells[0] = str_from(arena_printf(
			why->arena, "%zu%s", at + 1, call_is(one, "hedge") ? " (copy)" : ""));
		row->cells[1] = field(one, "backend");
		row->cells[2] = span(why, one, "at_us");
		row->cells[3] = span(why, one, "took_us");
		row->cells[4] = status_of(why, one);
		row->cells[5] = field(one, "ended");
	}
	table_put(&table, why->cells);
	cells_end(why->cells);
}

static void put_times(const struct why *why, const json_t *record)
{
	static const char *const titles[] = {
		"QUEUE", "CONNECT", "FIRST BYTE", "TOTAL", "IN", "OUT", "KEPT CONNECTION"};
	struct table table;
	struct table_row *row;

	table_init(&table, why->arena, titles, ARRAY_LEN(titles));
	table.indent = 2;
	row = table_add(&table, CELLS_PLAIN);
	row->cells[0] = span(why, record, "queue_us");
	row->cells[1] = span(why, record, "connect_us");
	row->cells[2] = span(why, record, "first_byte_us");
	row->cells[3] = span(why, record, "total_us");
	row->cells[4] = copy(why, unit_count(call_number(record, "bytes_in")).text);
	row->cells[5] = copy(why, unit_count(call_number(record, "bytes_out")).text);
	row->cells[6] = str_from(call_is(record, "reused") ? "yes" : "no");
	table_put(&table, why->cells);
}

static void put_candidates(const struct why *why, const json_t *record)
{
	static const char *const titles[] = {"CANDIDATE", "COST", ""};
	const json_t *candidates = json_object_get(record, "candidates"), *one;
	const char *picked = call_string(record, "picked");
	struct table table;
	size_t at;

	if (json_array_size(candidates) == 0)
		return;
	cells_end(why->cells);
	table_init(&table, why->arena, titles, ARRAY_LEN(titles));
	table.indent = 2;
	table.right = 1u << 1;
	json_array_foreach(candidates, at, one)
	{
		bool is_picked = strcmp(call_string(one, "backend"), picked) == 0;
		struct table_row *row = table_add(&table, is_picked ? CELLS_BOLD : CELLS_PLAIN);

		row->cells[0] = field(one, "backend");
		row->cells[1] = copy(why, unit_number(call_number(one, "cost")).text);
		row->cells[2] = is_picked ? STR("picked") : str_from(call_string(one, "verdict"));
	}
	table_put(&table, why->cells);
}

// ---- The last failures --------------------------------------------------------------------------

// Where it failed the last time, when it got that far.
static struct str last_backend(const json_t *record)
{
	const json_t *tries = json_object_get(record, "tries");
	size_t count = json_array_size(tries);

	return count ? field(json_array_get(tries, count - 1), "backend") : STR("-");
}

static void put_failures(const struct why *why, const json_t *tree)
{
	static const char *const titles[] = {
		"TIME", "REQUEST-ID", "ENDED", "STATUS", "BACKEND", "TOOK", "REQUEST"};
	const json_t *one;
	struct table table;
	size_t at;

	table_init(&table, why->arena, titles, ARRAY_LEN(titles));
	table.right = 1u << 5;
	json_array_foreach(json_object_get(tree, "failures"), at, one)
	{
		struct table_row *row = table_add(&table, CELLS_PLAIN);

		row->cells[0] = copy(why, unit_clock(call_number(one, "at_ms")).text);
		row->cells[1] = field(one, "id");
		row->cells[2] = field(one, "ended");
		row->cells[3] = status_of(why, one);
		row->cells[4] = last_backend(one);
		row->cells[5] = span(why, one, "total_us");
		row->cells[6] = str_from(arena_printf(
			why->arena, "%s %s", call_string(one, "method"), call_string(one, "path")));
	}
	if (table.first) {
		table_put(&table, why->cells);
		cells_put(why->cells, STR("weir why REQUEST-ID tells more about one."));
	} else {
		cells_put(why->cells, STR("No request has failed lately."));
	}
	cells_end(why->cells);
}

// ---- The command --------------------------------------------------------------------------------

static int fetch(const struct cli *cli, struct str *ret_body)
{
	const char *id = cli->plan->word_count ? cli->plan->words[0] : NULL;
	u32 limit = cli->plan->limit ? cli->plan->limit : (u32)shown_default;
	struct call call = {.method = "GET", .body = STR_EMPTY};
	struct ask_trouble trouble;
	struct ask_where where;
	u16 status;
	int code;

	call.path = id ? arena_printf(cli->arena, "/api/v1/requests/%s",
				 call_encode(cli->arena, str_from(id)))
		       : arena_printf(cli->arena, "/api/v1/failures?limit=%u", limit);
	if (ask_where_admin(cli, &where, &trouble) != 0)
		return call_complain(EXIT_USAGE, &trouble);
	code = call_try(&where, &call, cli->arena, ret_body, &status, &trouble);
	if (code == EXIT_OK)
		return code;
	if (id && status == 404)
		trouble.cure =
			"Only the last requests are kept, and those that failed longer: "
			"weir why lists these. The id stands in the access log, in weir's own "
			"error pages, and in what the backend got (X-Request-Id)";
	return call_complain(code, &trouble);
}

static void put_all(const struct why *why, const json_t *tree, bool is_one)
{
	if (!is_one) {
		put_failures(why, tree);
		return;
	}
	put_head(why, tree);
	put_sentences(why, tree);
	put_tries(why, tree);
	put_times(why, tree);
	put_candidates(why, tree);
}

int why_main(const struct cli *cli)
{
	struct cells_look look = terminal_look(cli->environ);
	struct why why = {.arena = cli->arena};
	struct text text = {0};
	struct cells cells;
	struct str body = STR_EMPTY;
	json_t *tree;
	int code = fetch(cli, &body);

	if (code == EXIT_OK)
		code = call_read(body, cli->plan->word_count ? "outcome" : "failures", &tree);
	if (code != EXIT_OK)
		return code;
	cells_init(&cells, &text, &look);
	why.cells = &cells;
	if (cli->plan->as_json)
		text_add(&text, body);
	else
		put_all(&why, tree, cli->plan->word_count);
	code = terminal_print(text_take(&text, cli->arena));
	json_decref(tree);
	return code;
}
