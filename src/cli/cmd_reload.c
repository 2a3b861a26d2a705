// SPDX-License-Identifier: Apache-2.0
// weir reload, backends add and backends remove: another configuration for a running weir; and
// backends list: what is in it.
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/backend_name.h"
#include "cli/call.h"
#include "cli/cmd_reload.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "proto/http.h"

enum { weight_max = 1000 };

// What is wrong with the configuration, as weir check would tell it.
static int tell_refusal(const struct cli *cli, const struct ask_answer *answer)
{
	json_t *problem = json_loadb(answer->body.ptr, answer->body.len, 0, NULL);
	const char *text = call_string(problem, "text"), *detail = call_string(problem, "detail");
	struct ask_trouble trouble = {
		"the configuration is refused", "The one before stays in effect"};
	int code = text[0] ? (int)EXIT_CONFIG : (int)EXIT_FAILED;

	fputs(text, stderr);
	if (!text[0]) {
		trouble.cause = detail[0] ? arena_printf(cli->arena, "%s", detail)
					  : arena_printf(cli->arena, "it answers %u %s",
						    answer->status, http_reason(answer->status));
		trouble.cure = arena_printf(cli->arena, "%s", call_string(problem, "cure"));
	}
	json_decref(problem);
	return call_complain(code, &trouble);
}

static int tell_done(const struct cli *cli, const struct ask_answer *answer, const char *what)
{
	struct text text = {0};
	const char *restart;
	json_t *tree;
	int code = call_read(answer->body, "changed", &tree);

	if (code != EXIT_OK)
		return code;
	restart = call_string(tree, "restart");
	text_printf(&text, "%s: configuration %.0f is in effect (weir events: number %.0f)\n", what,
		call_number(tree, "generation"), call_number(tree, "event"));
	if (restart[0])
		text_printf(
			&text, "what has changed in %s counts from the next start on\n", restart);
	json_decref(tree);
	(void)terminal_print(text_take(&text, cli->arena));
	return EXIT_OK;
}

int reload_carry_out(const struct cli *cli, const struct call *call, const char *what)
{
	struct ask_question question = {.method = call->method,
		.path = call->path,
		.body = call->body,
		.fields = "X-Weir-Request: 1\r\n"};
	struct ask_trouble trouble;
	struct ask_answer answer;
	struct ask_where where;

	if (ask_where_admin(cli, &where, &trouble) != 0)
		return call_complain(EXIT_USAGE, &trouble);
	if (ask(&where, &question, cli->arena, &answer, &trouble) != 0)
		return call_complain(EXIT_UNAVAILABLE, &trouble);
	return answer.status == 200 ? tell_done(cli, &answer, what) : tell_refusal(cli, &answer);
}

int reload_main(const struct cli *cli)
{
	struct call call = {.method = "POST", .path = "/api/v1/reload", .body = STR_EMPTY};

	return reload_carry_out(cli, &call, "reloaded");
}

// ---- Backends -----------------------------------------------------------------------------------

static const char *quoted(const struct cli *cli, const char *word)
{
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_str(&json, str_from(word));
	return text_take(&text, cli->arena).ptr;
}

static int add(const struct cli *cli)
{
	const struct plan *plan = cli->plan;
	const char *pool = plan->words[0], *address = plan->words[1];
	struct ask_trouble trouble = {"a weight is a whole number from 0 to 1000", ""};
	struct call call = {.method = "POST",
		.path = arena_printf(cli->arena, "/api/v1/pools/%s/backends",
			call_encode(cli->arena, str_from(pool)))};
	u64 weight = 1;

	if (plan->word_count > 2 && str_to_u64(str_from(plan->words[2]), weight_max, &weight) != 0)
		return call_complain(EXIT_USAGE, &trouble);
	call.body = str_from(arena_printf(cli->arena, "{\"address\":%s,\"weight\":%u}",
		quoted(cli, address), (unsigned)weight));
	return reload_carry_out(
		cli, &call, arena_printf(cli->arena, "%s/%s is added", pool, address));
}

static int drop(const struct cli *cli)
{
	struct call look = {.method = "GET", .path = "/api/v1/state", .body = STR_EMPTY};
	struct call call = {.method = "DELETE", .body = STR_EMPTY};
	struct ask_trouble trouble;
	const json_t *backend;
	const char *pool, *id;
	json_t *state;
	int code = call_json(cli, &look, "backends", &state);

	if (code != EXIT_OK)
		return code;
	backend = backend_by_name(state, cli->plan->words[0], cli->arena, &trouble);
	if (!backend) {
		json_decref(state);
		return call_complain(EXIT_FAILED, &trouble);
	}
	pool = arena_printf(cli->arena, "%s", call_string(backend, "pool"));
	id = arena_printf(cli->arena, "%s", call_string(backend, "id"));
	json_decref(state);
	call.path = arena_printf(cli->arena, "/api/v1/pools/%s/backends/%s",
		call_encode(cli->arena, str_from(pool)), call_encode(cli->arena, str_from(id)));
	return reload_carry_out(cli, &call, arena_printf(cli->arena, "%s/%s is removed", pool, id));
}

static void add_row(struct table *table, const json_t *backend)
{
	struct table_row *row = table_add(table, CELLS_PLAIN);
	const char *reason = call_string(backend, "reason"), *state = call_string(backend, "state");

	row->cells[0] = str_from(call_string(backend, "pool"));
	row->cells[1] = str_from(call_string(backend, "id"));
	row->cells[2] = str_from(call_string(backend, "address"));
	row->cells[3] =
		arena_str(table->arena, str_from(unit_count(call_number(backend, "weight")).text));
	row->cells[4] = str_from(state);
	row->cells[5] = strcmp(reason, state) == 0 ? STR_EMPTY : str_from(reason);
}

static int list(const struct cli *cli)
{
	static const char *const titles[] = {"POOL", "ID", "ADDRESS", "WEIGHT", "STATE", "REASON"};
	struct call look = {.method = "GET", .path = "/api/v1/state", .body = STR_EMPTY};
	struct cells_look how = terminal_look(cli->environ);
	struct text text = {0};
	struct cells cells;
	struct table table;
	const json_t *one;
	json_t *state;
	size_t at;
	int code = call_json(cli, &look, "backends", &state);

	if (code != EXIT_OK)
		return code;
	table_init(&table, cli->arena, titles, ARRAY_LEN(titles));
	json_array_foreach(json_object_get(state, "backends"), at, one) add_row(&table, one);
	cells_init(&cells, &text, &how);
	table_put(&table, &cells);
	json_decref(state);
	return terminal_print(text_take(&text, cli->arena)) ? EXIT_FAILED : EXIT_OK;
}

int backends_ask_main(const struct cli *cli)
{
	struct ask_trouble trouble = {"weir backends add POOL ADDRESS [WEIGHT]", ""};

	if (cli->plan->command == PLAN_BACKENDS_LIST)
		return list(cli);
	if (cli->plan->command != PLAN_BACKENDS_ADD)
		return drop(cli);
	if (cli->plan->word_count < 2 || cli->plan->word_count > 3)
		return call_complain(EXIT_USAGE, &trouble);
	return add(cli);
}
