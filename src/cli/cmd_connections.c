// SPDX-License-Identifier: Apache-2.0
// weir connections: who is connected to a running weir, and what each of them does.
#include "cli/call.h"
#include "cli/cells.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

enum { shown_default = 100, shown_max = 1000 };

enum column { OF, FRONTEND, OPEN, STATE, SERVED, IN, OUT, FOR, BACKEND, DOES, COLUMN_COUNT };

static const char *const titles[COLUMN_COUNT] = {
	[OF] = "CLIENT",
	[FRONTEND] = "FRONTEND",
	[OPEN] = "OPEN",
	[STATE] = "STATE",
	[SERVED] = "REQUESTS",
	[IN] = "IN",
	[OUT] = "OUT",
	[FOR] = "FOR",
	[BACKEND] = "BACKEND",
	[DOES] = "REQUEST",
};

struct listing {
	struct arena *arena;
	struct table table;
	double now_at_ms;
};

static struct str copy(const struct listing *listing, const char *text)
{
	return arena_str(listing->arena, str_from(text));
}

static struct str client_of(const struct listing *listing, const json_t *one)
{
	const char *client = call_string(one, "client");
	double port = call_number(one, "port");

	if (isnan(port))
		return str_from(client);
	return str_from(arena_printf(
		listing->arena, strchr(client, ':') ? "[%s]:%.0f" : "%s:%.0f", client, port));
}

// "GET /cart, for 203.0.113.9": the client, where another proxy tells of it.
static struct str request_of(const struct listing *listing, const json_t *one, const json_t *run)
{
	const char *method = call_string(run, "method"), *client = call_string(run, "client");
	const char *step = call_string(run, "step");
	bool is_told = client[0] && strcmp(client, call_string(one, "client")) != 0;

	if (!method[0])
		return STR("-");
	return str_from(arena_printf(listing->arena, "%s %s%s%s%s%s", method,
		call_string(run, "path"), call_is(run, "path_is_cut") ? "..." : "",
		is_told ? ", for " : "", is_told ? client : "",
		strcmp(step, "queue") == 0 ? ", waits for a place" : ""));
}

static void add_run(
	const struct listing *listing, struct table_row *row, const json_t *one, const json_t *run)
{
	const char *backend = call_string(run, "backend");

	row->cells[FOR] = copy(listing, unit_us(call_number(run, "age_us")).text);
	row->cells[DOES] = request_of(listing, one, run);
	if (backend[0])
		row->cells[BACKEND] = str_from(
			arena_printf(listing->arena, "%s/%s", call_string(run, "pool"), backend));
}

static void add_connection(struct listing *listing, const json_t *one)
{
	const json_t *running = json_object_get(one, "running"), *run;
	struct table_row *row = table_add(&listing->table, CELLS_PLAIN);
	size_t at;

	row->cells[OF] = client_of(listing, one);
	row->cells[FRONTEND] = str_from(call_string(one, "frontend"));
	row->cells[OPEN] = copy(listing,
		unit_span(MAX(listing->now_at_ms - call_number(one, "since_at_ms"), 0.0)).text);
	row->cells[STATE] = str_from(call_string(one, "state"));
	row->cells[SERVED] = copy(listing, unit_count(call_number(one, "requests_total")).text);
	row->cells[IN] = copy(listing, unit_number(call_number(one, "bytes_in")).text);
	row->cells[OUT] = copy(listing, unit_number(call_number(one, "bytes_out")).text);
	row->cells[FOR] = row->cells[BACKEND] = row->cells[DOES] = STR("-");
	json_array_foreach(running, at, run)
	{
		if (at > 0) // of the same connection
			row = table_add(&listing->table, CELLS_PLAIN);
		add_run(listing, row, one, run);
	}
}

static void put_totals(struct cells *cells, const json_t *tree, size_t shown)
{
	double matching = call_number(tree, "matching"), total = call_number(tree, "total");

	if (total == 0) {
		cells_put(cells, STR("Nobody is connected."));
	} else if (matching == 0) {
		cells_printf(cells, "0 of %.0f connections are meant", total);
	} else {
		cells_printf(cells, "%zu of %.0f connections", shown, total);
		if (matching < total)
			cells_printf(cells, ", %.0f of which are meant", matching);
		if ((double)shown < matching && shown < shown_max)
			cells_put(cells, STR("; -n 1000 shows more"));
	}
	cells_end(cells);
}

static void put_all(const struct cli *cli, struct text *text, const json_t *tree)
{
	const json_t *list = json_object_get(tree, "connections"), *one;
	struct cells_look look = terminal_look(cli->environ);
	struct listing listing = {.arena = cli->arena, .now_at_ms = call_number(tree, "now_at_ms")};
	struct cells cells;
	size_t at;

	cells_init(&cells, text, &look);
	table_init(&listing.table, cli->arena, titles, COLUMN_COUNT);
	listing.table.right = 1u << OPEN | 1u << SERVED | 1u << IN | 1u << OUT | 1u << FOR;
	json_array_foreach(list, at, one) add_connection(&listing, one);
	if (listing.table.first)
		table_put(&listing.table, &cells);
	put_totals(&cells, tree, json_array_size(list));
}

static void add_filter(const struct cli *cli, struct text *path, const char *key, const char *value)
{
	if (value)
		text_printf(path, "&%s=%s", key, call_encode(cli->arena, str_from(value)));
}

static struct str path_of(const struct cli *cli)
{
	const struct plan *plan = cli->plan;
	struct text path = {0};

	text_printf(&path, "/api/v1/connections?limit=%u",
		plan->limit ? MIN(plan->limit, (u32)shown_max) : (u32)shown_default);
	if (plan->oldest)
		text_add(&path, STR("&order=oldest"));
	add_filter(cli, &path, "frontend", plan->frontend);
	add_filter(cli, &path, "client", plan->from);
	add_filter(cli, &path, "state", plan->state);
	add_filter(cli, &path, "backend", plan->word_count ? plan->words[0] : NULL);
	return text_take(&path, cli->arena);
}

int connections_main(const struct cli *cli)
{
	struct str path = path_of(cli);
	struct call call = {.method = "GET", .path = path.ptr, .body = STR_EMPTY};
	struct text text = {0};
	struct str body;
	json_t *tree;
	int code = call_text(cli, &call, &body);

	if (code == EXIT_OK)
		code = call_read(body, "connections", &tree);
	if (code != EXIT_OK)
		return code;
	if (cli->plan->as_json)
		text_add(&text, body);
	else
		put_all(cli, &text, tree);
	json_decref(tree);
	return terminal_print(text_take(&text, cli->arena)) == 0 ? EXIT_OK : EXIT_FAILED;
}
