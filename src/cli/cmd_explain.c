// SPDX-License-Identifier: Apache-2.0
// weir explain METHOD URL: what a running weir would do with a request, and why, without doing it.
#include "base/mem.h"
#include "cli/call.h"
#include "cli/level.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

enum { label_columns = 10, frontends_max = 256 };

struct explained {
	struct arena *arena;
	struct cells *cells;
	const json_t *tree;
};

// ---- The question -------------------------------------------------------------------------------

static void split_field(
	struct arena *arena, const char *line, const char **ret_name, struct str *ret_value)
{
	struct str value = str_from(line), name = str_cut(&value, ':');

	*ret_name = arena_str(arena, str_trim(name)).ptr;
	*ret_value = str_trim(value);
}

// What is repeated is one field whose values are joined, as RFC 9110 (5.3) allows.
static void add_field(struct arena *arena, json_t *fields, const char *line)
{
	struct str value;
	const char *name, *before;

	split_field(arena, line, &name, &value);
	before = call_string(fields, name);
	if (before[0])
		value = str_from(arena_printf(arena, "%s%s%.*s", before,
			strcasecmp(name, "cookie") == 0 ? "; " : ", ", STR_FMT(value)));
	json_object_set_new(fields, name, json_stringn(value.ptr, value.len));
}

static json_t *certificate(const struct plan *plan)
{
	json_t *cert = json_object(), *sans = json_array();
	struct str rest = str_from(plan->cert_sans ? plan->cert_sans : "");

	if (plan->cert_subject)
		json_object_set_new(cert, "subject", json_string(plan->cert_subject));
	while (rest.len) {
		struct str name = str_trim(str_cut(&rest, ','));

		json_array_append_new(sans, json_stringn(name.ptr, name.len));
	}
	json_object_set_new(cert, "san", sans);
	return cert;
}

static struct str question(const struct cli *cli)
{
	const struct plan *plan = cli->plan;
	json_t *tree = json_object(), *fields = json_object();
	struct str body;
	char *text;

	json_object_set_new(tree, "method", json_string(plan->words[0]));
	json_object_set_new(tree, "url", json_string(plan->words[1]));
	for (u32 i = 0; i < plan->field_count; i++)
		add_field(cli->arena, fields, plan->fields[i]);
	json_object_set_new(tree, "headers", fields);
	if (plan->from)
		json_object_set_new(tree, "from", json_string(plan->from));
	if (plan->frontend)
		json_object_set_new(tree, "frontend", json_string(plan->frontend));
	if (plan->cert_subject || plan->cert_sans)
		json_object_set_new(tree, "client_cert", certificate(plan));
	text = json_dumps(tree, JSON_COMPACT);
	body = text ? arena_str(cli->arena, str_from(text)) : STR_EMPTY;
	mem_free(text);
	json_decref(tree);
	return body;
}

// The nearest name of a frontend to one that was refused.
static const char *near_frontend(const struct cli *cli, const struct ask_where *where)
{
	struct call call = {.method = "GET", .path = "/api/v1/state", .body = STR_EMPTY};
	const char *names[frontends_max], *near = NULL;
	struct ask_trouble trouble;
	const json_t *one;
	struct str body;
	json_t *state;
	u32 count = 0;
	size_t at;
	u16 status;

	if (call_try(where, &call, cli->arena, &body, &status, &trouble) != EXIT_OK)
		return NULL;
	state = json_loadb(body.ptr, body.len, 0, NULL);
	json_array_foreach(json_object_get(state, "frontends"), at, one)
	{
		if (count < frontends_max)
			names[count++] = call_string(one, "name");
	}
	near = plan_near(cli->plan->frontend, names, count);
	near = near && strcmp(near, cli->plan->frontend) != 0
		       ? arena_printf(cli->arena, "Did you mean %s?", near)
		       : NULL;
	json_decref(state);
	return near;
}

static int ask_for_it(const struct cli *cli, struct str *ret_body)
{
	struct call call = {.method = "POST", .path = "/api/v1/explain", .body = question(cli)};
	struct ask_trouble trouble;
	struct ask_where where;
	const char *near = NULL;
	u16 status;
	int code;

	if (ask_where_admin(cli, &where, &trouble) != 0)
		return call_complain(EXIT_USAGE, &trouble);
	code = call_try(&where, &call, cli->arena, ret_body, &status, &trouble);
	if (code == EXIT_OK)
		return code;
	if (cli->plan->frontend && status >= 400)
		near = near_frontend(cli, &where);
	if (near)
		trouble.cure = near;
	return call_complain(code, &trouble);
}

// ---- Lines --------------------------------------------------------------------------------------

static void put(const struct explained *it, const char *text)
{
	cells_put(it->cells, str_from(text));
}

static void label(const struct explained *it, const char *word)
{
	cells_style(it->cells, CELLS_BOLD);
	cells_left(it->cells, str_from(word), label_columns);
	cells_style(it->cells, CELLS_PLAIN);
}

static void put_sign(const struct explained *it, enum level level)
{
	cells_style(it->cells, level_style(level));
	cells_printf(it->cells, "%s ", level_sign(level));
	cells_style(it->cells, CELLS_PLAIN);
}

static void put_client(const struct explained *it)
{
	const json_t *client = json_object_get(it->tree, "client");
	bool may = !json_is_false(json_object_get(client, "may_connect"));
	const char *peer = call_string(client, "peer"), *address = call_string(client, "address");

	label(it, "frontend");
	put(it, call_string(it->tree, "frontend"));
	if (address[0]) {
		put(it, ", client ");
		put(it, address);
		if (strcmp(peer, address) != 0) {
			put(it, " (by its trusted proxy ");
			put(it, peer);
			put(it, ")");
		}
	}
	if (!may) {
		put(it, ": the connection is refused: ");
		put(it, call_string(client, "why"));
		put(it, call_string(client, "key")[0] ? ", by " : "");
		put(it, call_string(client, "key"));
	}
	cells_end(it->cells);
}

static void put_route(const struct explained *it, const json_t *route)
{
	bool matched = call_is(route, "matched");
	const json_t *got = json_object_get(route, "got");

	put_sign(it, matched ? LEVEL_GOOD : LEVEL_MEANT);
	put(it, call_string(route, "name"));
	if (matched) {
		put(it, " takes it");
		return;
	}
	put(it, ": no, it wants ");
	put(it, call_string(route, "condition"));
	put(it, " ");
	put(it, call_string(route, "wanted"));
	put(it, json_is_string(got) ? ", and this is " : ", which is not there");
	if (json_is_string(got))
		put(it, json_string_value(got));
}

static void put_routes(const struct explained *it)
{
	const json_t *routes = json_object_get(it->tree, "routes"), *route;
	double left_out = call_number(it->tree, "routes_left_out");
	size_t at;

	json_array_foreach(routes, at, route)
	{
		label(it, at ? "" : "routes");
		put_route(it, route);
		cells_end(it->cells);
	}
	if (left_out > 0) {
		label(it, "");
		cells_printf(it->cells, "and %s more", unit_count(left_out).text);
		cells_end(it->cells);
	}
	if (json_array_size(routes) && !call_string(it->tree, "route")[0]) {
		label(it, "");
		put(it, "none of them takes it");
		cells_end(it->cells);
	}
}

static void put_shares(const struct explained *it)
{
	const json_t *shares = json_object_get(it->tree, "shares"), *one;
	size_t at;

	if (json_array_size(shares) < 2)
		return;
	label(it, "split");
	json_array_foreach(shares, at, one)
	{
		put(it, at ? ", " : "");
		put(it, call_string(one, "pool"));
		cells_printf(it->cells, " %s", unit_percent(call_number(one, "ratio")).text);
	}
	cells_end(it->cells);
}

static void put_answer(const struct explained *it)
{
	const json_t *answer = json_object_get(it->tree, "answer");
	double status = call_number(answer, "status");

	if (!json_is_object(answer))
		return;
	label(it, "answer");
	put_sign(it, status < 400 ? LEVEL_GOOD : LEVEL_BAD);
	if (!isnan(status))
		cells_printf(it->cells, "%.0f by weir itself, ", status);
	put(it, call_string(answer, "outcome"));
	put(it, ": ");
	put(it, call_string(answer, "cause"));
	if (call_string(answer, "location")[0]) {
		put(it, ", to ");
		put(it, call_string(answer, "location"));
	}
	cells_end(it->cells);
	if (call_string(answer, "cure")[0]) {
		label(it, "");
		put(it, call_string(answer, "cure"));
		cells_end(it->cells);
	}
}

// ---- Pools --------------------------------------------------------------------------------------

static const char *about(const json_t *backend)
{
	if (call_is(backend, "picked"))
		return "the pick";
	if (call_is(backend, "eligible") && call_is(backend, "full"))
		return "has no place now";
	return call_string(backend, "why");
}

static void put_backends(const struct explained *it, const json_t *pool)
{
	static const char *const titles[] = {
		"", "BACKEND", "ADDRESS", "WEIGHT", "IN FLIGHT", "COST", ""};
	const json_t *one;
	struct table table;
	size_t at;

	table_init(&table, it->arena, titles, ARRAY_LEN(titles));
	table.indent = label_columns;
	table.right = 1u << 3 | 1u << 4 | 1u << 5;
	json_array_foreach(json_object_get(pool, "backends"), at, one)
	{
		bool picked = call_is(one, "picked");
		enum level level = !call_is(one, "eligible") ? LEVEL_BAD
				   : call_is(one, "full")    ? LEVEL_WARN
							     : LEVEL_GOOD;
		struct table_row *row = table_add(&table, picked ? CELLS_BOLD : CELLS_PLAIN);

		row->cells[0] = str_from(picked ? "→" : level_sign(level));
		row->cells[1] = str_from(call_string(one, "id"));
		row->cells[2] = str_from(call_string(one, "address"));
		row->cells[3] =
			arena_str(it->arena, str_from(unit_count(call_number(one, "weight")).text));
		row->cells[4] = arena_str(
			it->arena, str_from(unit_count(call_number(one, "in_flight")).text));
		row->cells[5] =
			arena_str(it->arena, str_from(unit_number(call_number(one, "cost")).text));
		row->cells[6] = str_from(about(one));
	}
	if (table.first)
		table_put(&table, it->cells);
}

static void put_key(const struct explained *it, const json_t *pool)
{
	const char *key = call_string(pool, "key"), *cookie = call_string(pool, "cookie");

	if (key[0]) {
		put(it, ", by the key ");
		put(it, key);
		put(it, call_is(pool, "key_is_random") ? " (by chance: the request has none)" : "");
	}
	if (cookie[0]) {
		put(it, ", its cookie names ");
		put(it, cookie);
	}
}

static void put_pool(const struct explained *it, const json_t *pool)
{
	label(it, "pool");
	put(it, call_string(pool, "name"));
	put(it, ", ");
	put(it, call_string(pool, "algorithm"));
	cells_printf(it->cells, ", %s of %s backends may get it",
		unit_count(call_number(pool, "eligible")).text,
		unit_count(call_number(pool, "of")).text);
	put_key(it, pool);
	if (!call_is(pool, "picked")) {
		put(it, ": ");
		put(it, call_string(pool, "why"));
	}
	cells_end(it->cells);
	put_backends(it, pool);
}

static void put_pools(const struct explained *it)
{
	const json_t *pool;
	size_t at;

	json_array_foreach(json_object_get(it->tree, "pools"), at, pool) put_pool(it, pool);
	if (strcmp(call_string(it->tree, "end"), "waits") == 0) {
		label(it, "then");
		put(it, "it waits for a place, as no backend has one now");
		cells_end(it->cells);
	}
}

// In clear and by HTTP/1.1 is what everybody expects.
static void put_how(const struct explained *it, const json_t *pick)
{
	const json_t *tls = json_object_get(pick, "tls");
	bool is_h2 = strcmp(call_string(pick, "http"), "2") == 0, is_tls = json_is_object(tls);

	if (is_h2 || is_tls)
		put(it, is_h2 ? ", by HTTP/2" : ", by");
	if (is_tls)
		put(it, is_h2 ? " over TLS" : " TLS");
	if (is_tls && call_string(tls, "server_name")[0]) {
		put(it, " as ");
		put(it, call_string(tls, "server_name"));
	}
	if (is_tls && !call_is(tls, "verified"))
		put(it, ", whoever answers");
}

static void put_pick(const struct explained *it)
{
	const json_t *pick = json_object_get(it->tree, "pick");

	if (!json_is_object(pick))
		return;
	label(it, "pick");
	cells_style(it->cells, CELLS_BOLD);
	put(it, call_string(pick, "pool"));
	put(it, "/");
	put(it, call_string(pick, "backend"));
	cells_style(it->cells, CELLS_PLAIN);
	put(it, " at ");
	put(it, call_string(pick, "address"));
	put_how(it, pick);
	put(it, call_is(pick, "trial") ? ", a trial of its breaker" : "");
	put(it, call_is(it->tree, "chance")
			? ". Chance decides: with another request before it, it may be another one"
			: "");
	cells_end(it->cells);
}

static void put_sent(const struct explained *it)
{
	const json_t *sent = json_object_get(it->tree, "sent"), *one;
	size_t at;

	if (!json_is_object(sent))
		return;
	label(it, "sends");
	put(it, call_string(sent, "line"));
	cells_end(it->cells);
	json_array_foreach(json_object_get(sent, "headers"), at, one)
	{
		const char *name = json_string_value(json_array_get(one, 0));
		const char *value = json_string_value(json_array_get(one, 1));

		label(it, "");
		put(it, name ? name : "");
		put(it, ": ");
		put(it, value ? value : "");
		cells_end(it->cells);
	}
}

static void put_all(const struct explained *it)
{
	put_client(it);
	put_routes(it);
	put_shares(it);
	put_answer(it);
	put_pools(it);
	put_pick(it);
	put_sent(it);
}

int explain_main(const struct cli *cli)
{
	struct cells_look look = terminal_look(cli->environ);
	struct explained it = {.arena = cli->arena};
	struct text text = {0};
	struct cells cells;
	struct str body = STR_EMPTY;
	json_t *tree;
	int code = ask_for_it(cli, &body);

	if (code == EXIT_OK)
		code = call_read(body, "frontend", &tree);
	if (code != EXIT_OK)
		return code;
	cells_init(&cells, &text, &look);
	it.cells = &cells;
	it.tree = tree;
	if (cli->plan->as_json)
		text_add(&text, body);
	else
		put_all(&it);
	code = terminal_print(text_take(&text, cli->arena));
	json_decref(tree);
	return code;
}
