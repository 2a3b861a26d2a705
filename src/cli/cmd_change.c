// SPDX-License-Identifier: Apache-2.0
// weir apply, confirm, generations and rollback: configurations that a running weir takes, keeps
// and goes back to; and weir diff --live.
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/cmd_change.h"
#include "cli/cmd_diff.h"
#include "cli/load.h"
#include "cli/cmd_reload.h"
#include "cli/level.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

static struct call call_to_apply(const struct cli *cli, const struct load *load, const char *query)
{
	return (struct call){.method = "POST",
		.path = arena_printf(cli->arena, "/api/v1/apply%s", query),
		.body = conf_keep(load->conf, cli->arena)};
}

int apply_main(const struct cli *cli)
{
	const struct plan *plan = cli->plan;
	struct load load;
	struct call call;
	const char *query = "", *what;
	int code = load_one(cli, &plan->words[0], &load);

	if (code)
		return code;
	if (plan->confirm)
		query = arena_printf(cli->arena, "?confirm=%s",
			call_encode(cli->arena, str_from(plan->confirm)));
	what = plan->confirm ? arena_printf(cli->arena,
				       "on probation for %s, then the one before comes again; weir "
				       "confirm keeps this one",
				       plan->confirm)
			     : "applied until the next reload or start, which read the files";
	call = call_to_apply(cli, &load, query);
	return reload_carry_out(cli, &call, what);
}

int confirm_main(const struct cli *cli)
{
	struct call call = {.method = "POST", .path = "/api/v1/confirm", .body = STR_EMPTY};

	return reload_carry_out(cli, &call, "confirmed");
}

int rollback_main(const struct cli *cli)
{
	struct ask_trouble trouble = {"a generation is a number: weir generations lists them", ""};
	struct call call = {.method = "POST", .path = "/api/v1/rollback", .body = STR_EMPTY};
	u64 number;

	if (cli->plan->word_count) {
		if (str_to_u64(str_from(cli->plan->words[0]), UINT32_MAX - 1, &number) != 0 ||
			number == 0)
			return call_complain(EXIT_USAGE, &trouble);
		call.body =
			str_from(arena_printf(cli->arena, "{\"generation\":%u}", (unsigned)number));
	}
	return reload_carry_out(cli, &call, "rolled back");
}

// ---- What is kept -------------------------------------------------------------------------------

static void put_trial(struct cells *cells, const json_t *tree)
{
	const json_t *trial = json_object_get(tree, "trial");

	if (!json_is_object(trial))
		return;
	cells_printf(cells,
		"generation %.0f is on probation: weir confirm keeps it, else %.0f comes again",
		call_number(trial, "generation"), call_number(trial, "before"));
	cells_end(cells);
}

static void put_generations(const struct cli *cli, struct cells *cells, const json_t *tree)
{
	static const char *const titles[] = {"", "GENERATION", "SINCE", "BY", "WHAT", "ABOUT"};
	const json_t *one;
	struct table table;
	size_t at;

	table_init(&table, cli->arena, titles, ARRAY_LEN(titles));
	table.right = 1u << 1;
	json_array_foreach(json_object_get(tree, "generations"), at, one)
	{
		bool is_now = call_is(one, "in_effect");
		struct table_row *row = table_add(&table, is_now ? CELLS_BOLD : CELLS_PLAIN);

		row->cells[0] = str_from(is_now ? "→" : "");
		row->cells[1] =
			str_from(arena_printf(cli->arena, "%.0f", call_number(one, "number")));
		row->cells[2] = str_from(change_moment(cli->arena, call_number(one, "at_ms")));
		row->cells[3] = str_from(call_string(one, "by"));
		row->cells[4] = str_from(call_string(one, "text"));
		row->cells[5] = str_from(call_string(one, "about"));
	}
	table_put(&table, cells);
	put_trial(cells, tree);
}

int generations_main(const struct cli *cli)
{
	return change_print(cli, "/api/v1/generations", "generations", put_generations);
}

// ---- Against what runs --------------------------------------------------------------------------

int diff_live(const struct cli *cli)
{
	const struct plan *plan = cli->plan;
	struct call call;
	struct load load;
	struct str text;
	json_t *tree, *diff;
	bool is_same;

	if (load_one(cli, plan->word_count ? &plan->words[0] : NULL, &load) != 0)
		return DIFF_TROUBLE;
	call = call_to_apply(cli, &load, "?look=1");
	if (call_json(cli, &call, "diff", &tree) != EXIT_OK)
		return DIFF_TROUBLE;
	diff = json_object_get(tree, "diff");
	is_same = call_is(diff, "same");
	if (plan->as_json) {
		char *dump = json_dumps(diff, JSON_COMPACT);

		text = str_from(arena_printf(cli->arena, "%s\n", dump ? dump : "{}"));
		mem_free(dump);
	} else {
		text = str_from(arena_printf(cli->arena, "%s", call_string(tree, "changes")));
	}
	json_decref(tree);
	if (terminal_print(text) != 0)
		return DIFF_TROUBLE;
	return is_same ? DIFF_SAME : DIFF_OTHER;
}
