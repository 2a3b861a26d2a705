// SPDX-License-Identifier: Apache-2.0
// weir events: what has changed, oldest first, and with -f what changes from then on. It is asked
// again once a second: a process that follows costs a running weir next to nothing, and what
// happened while weir could not be asked is not lost.
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/call.h"
#include "cli/event_text.h"
#include "cli/terminal.h"
#include "cli/wait.h"

enum { shown_default = 20, asked_max = 1000, look_every_ms = 1000, look_bytes_max = 1 << 28 };

struct follower {
	const struct cli *cli;
	struct ask_where where;
	double newest; // number of the last that was printed; negative: none was yet
	bool is_away;  // weir did not answer the last time
	u32 limit;
};

static int by_number(const void *a, const void *b)
{
	double first = call_number(*(const json_t *const *)a, "number");
	double second = call_number(*(const json_t *const *)b, "number");

	return first < second ? -1 : first > second;
}

static void add_event(const struct cli *cli, struct text *text, const json_t *event)
{
	struct cells_look look = terminal_look(cli->environ);
	struct cells cells;
	char *line;

	if (cli->plan->as_json) {
		line = json_dumps(event, JSON_COMPACT | JSON_ENSURE_ASCII);
		text_add(text, str_from(line));
		text_addc(text, '\n');
		mem_free(line);
		return;
	}
	cells_init(&cells, text, &look);
	event_put(&cells, event);
	cells_end(&cells);
}

// Those that were not printed yet, in their order.
static int print_new(struct follower *follower, const json_t *list, struct arena *arena)
{
	size_t count = json_array_size(list);
	const json_t **all = arena_zalloc(arena, (count + 1) * sizeof(*all));
	struct text text = {0};
	int code;

	for (size_t i = 0; i < count; i++)
		all[i] = json_array_get(list, i);
	qsort(all, count, sizeof(*all), by_number);
	for (size_t i = 0; i < count; i++) {
		double number = call_number(all[i], "number");

		if (!(number > follower->newest))
			continue;
		follower->newest = number;
		add_event(follower->cli, &text, all[i]);
	}
	code = text.len ? terminal_print(str_make(text.data, text.len)) : 0;
	text_done(&text);
	return code;
}

static void say_once(struct follower *follower, bool is_away, const struct ask_trouble *trouble)
{
	if (is_away && !follower->is_away)
		call_complain(0, trouble);
	else if (!is_away && follower->is_away)
		fprintf(stderr, "weir: it answers again.\n");
	follower->is_away = is_away;
}

// One question. EXIT_OK; EXIT_UNAVAILABLE: nobody answered.
static int look(struct follower *follower, struct arena *arena, struct ask_trouble *ret_trouble)
{
	struct call call = {.method = "GET", .body = STR_EMPTY};
	struct str body;
	u16 status;
	json_t *tree;
	int code;

	call.path = follower->newest < 0
			    ? arena_printf(arena, "/api/v1/events?limit=%u", follower->limit)
			    : arena_printf(arena, "/api/v1/events?after=%.0f&limit=%d",
				      follower->newest, asked_max);
	code = call_try(&follower->where, &call, arena, &body, &status, ret_trouble);
	if (code != EXIT_OK)
		return code;
	code = call_read(body, "events", &tree);
	if (code != EXIT_OK) {
		ret_trouble->cause = NULL; // it is said already
		return code;
	}
	if (call_number(tree, "newest") < follower->newest)
		follower->newest = 0; // another process, which counts anew: next time all of its
	else if (print_new(follower, json_object_get(tree, "events"), arena) != 0)
		code = EXIT_FAILED;
	else if (follower->newest < 0)
		follower->newest = 0;
	json_decref(tree);
	return code;
}

static int look_once(struct follower *follower)
{
	struct ask_trouble trouble = {NULL, NULL};
	struct arena arena;
	int code;

	arena_init(&arena, look_bytes_max);
	code = look(follower, &arena, &trouble);
	if (code == EXIT_UNAVAILABLE && follower->newest >= 0) {
		say_once(follower, true, &trouble);
		code = EXIT_OK; // it may come back
	} else if (code == EXIT_OK) {
		say_once(follower, false, &trouble);
	} else if (trouble.cause) {
		call_complain(code, &trouble);
	}
	arena_done(&arena);
	return code;
}

int events_main(const struct cli *cli)
{
	struct follower follower = {.cli = cli,
		.newest = -1,
		.limit = cli->plan->limit ? cli->plan->limit : (u32)shown_default};
	struct ask_trouble trouble;
	struct wait wait;
	int code;

	if (ask_where_admin(cli, &follower.where, &trouble) != 0)
		return call_complain(EXIT_USAGE, &trouble);
	code = look_once(&follower);
	if (code == EXIT_OK && follower.newest == 0 && !cli->plan->as_json)
		fprintf(stderr, "weir: nothing has changed since it was started.\n");
	if (!cli->plan->follows)
		return code;
	wait_begin(&wait, 0);
	while (code == EXIT_OK && wait_for_ms(&wait, look_every_ms))
		code = look_once(&follower);
	wait_end(&wait);
	return code;
}
