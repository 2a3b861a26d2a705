// SPDX-License-Identifier: Apache-2.0
// weir journal and export: what was ordered while weir runs, as a list and as a configuration.
#include <time.h>

#include "base/text.h"
#include "cli/call.h"
#include "cli/cmd_change.h"
#include "cli/table.h"
#include "cli/terminal.h"

const char *change_moment(struct arena *arena, double wall_ms)
{
	time_t at_s = (time_t)(wall_ms / 1000);
	char when[32];
	struct tm tm;

	localtime_r(&at_s, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	return arena_printf(arena, "%s", wall_ms > 0 ? when : "");
}

int change_print(const struct cli *cli, const char *path, const char *what, change_put_fn *put)
{
	struct call call = {.method = "GET", .path = path, .body = STR_EMPTY};
	struct cells_look look = terminal_look(cli->environ);
	struct text text = {0};
	struct cells cells;
	struct str body;
	json_t *tree;
	int code = call_text(cli, &call, &body);

	if (code == EXIT_OK)
		code = call_read(body, what, &tree);
	if (code != EXIT_OK)
		return code;
	cells_init(&cells, &text, &look);
	if (cli->plan->as_json)
		text_add(&text, body);
	else
		put(cli, &cells, tree);
	code = text.len ? terminal_print(text_take(&text, cli->arena)) : EXIT_OK;
	json_decref(tree);
	return code;
}

static void put_rest(struct cells *cells, double count, const char *one, const char *several)
{
	if (count > 0)
		text_printf(cells->text, "%.0f order%s %s\n", count, count > 1 ? "s" : "",
			count > 1 ? several : one);
}

static void put_journal(const struct cli *cli, struct cells *cells, const json_t *tree)
{
	static const char *const titles[] = {"SINCE", "BY", "ORDER", "BACKEND", "EVENT"};
	const json_t *one;
	struct table table;
	size_t at;

	table_init(&table, cli->arena, titles, ARRAY_LEN(titles));
	table.right = 1u << 4;
	json_array_foreach(json_object_get(tree, "journal"), at, one)
	{
		const char *pool = call_string(one, "pool");
		struct table_row *row = table_add(&table, CELLS_PLAIN);

		row->cells[0] = str_from(change_moment(cli->arena, call_number(one, "at_ms")));
		row->cells[1] = str_from(call_string(one, "by"));
		row->cells[2] = str_from(arena_printf(
			cli->arena, "%s %s", call_string(one, "kind"), call_string(one, "value")));
		row->cells[3] = str_from(arena_printf(cli->arena, "%s%s%s", pool,
			pool[0] ? "/" : "", call_string(one, "backend")));
		row->cells[4] =
			str_from(arena_printf(cli->arena, "%.0f", call_number(one, "event")));
	}
	if (table.first)
		table_put(&table, cells);
	put_rest(cells, call_number(tree, "waiting"),
		"of before waits for its backend, which some list may have",
		"of before wait for their backends, which some list may have");
	put_rest(cells, call_number(tree, "dropped"),
		"of before does not apply any more; the log says which",
		"of before do not apply any more; the log says which");
}

int journal_main(const struct cli *cli)
{
	return change_print(cli, "/api/v1/journal", "journal", put_journal);
}

int export_main(const struct cli *cli)
{
	static const char *const names[] = {
		[CONF_YAML] = "yaml", [CONF_TOML] = "toml", [CONF_JSON] = "json"};
	struct call call = {.method = "GET",
		.path = arena_printf(
			cli->arena, "/api/v1/export?format=%s", names[cli->plan->syntax]),
		.body = STR_EMPTY};
	struct str body;
	int code = call_text(cli, &call, &body);

	return code == EXIT_OK ? terminal_print(body) : code;
}
