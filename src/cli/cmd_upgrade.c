// SPDX-License-Identifier: Apache-2.0
// weir upgrade: another binary takes over from the one that serves. Waits until it does, or until
// it is known why not.
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/terminal.h"
#include "cli/wait.h"

enum { look_every_ms = 200, wait_default_ms = 90 * 1000 };

struct upgrade {
	const struct cli *cli;
	double serving_before; // pid
	double newest_before;  // event
};

static int fetch(
	const struct upgrade *upgrade, const char *path, const char *key, json_t **ret_tree)
{
	struct call call = {.method = "GET", .path = path, .body = STR_EMPTY};

	return call_json(upgrade->cli, &call, key, ret_tree);
}

// They come the newest first.
static double newest_of(const json_t *events)
{
	const json_t *list = json_object_get(events, "events");

	return json_array_size(list) ? call_number(json_array_get(list, 0), "number") : 0;
}

static int look_before(struct upgrade *upgrade)
{
	json_t *tree;
	int code = fetch(upgrade, "/api/v1/state", "serving_pid", &tree);

	if (code != EXIT_OK)
		return code;
	upgrade->serving_before = call_number(tree, "serving_pid");
	json_decref(tree);
	code = fetch(upgrade, "/api/v1/events?limit=1", "events", &tree);
	if (code != EXIT_OK)
		return code;
	upgrade->newest_before = newest_of(tree);
	json_decref(tree);
	return EXIT_OK;
}

static int order(const struct upgrade *upgrade)
{
	const struct plan *plan = upgrade->cli->plan;
	struct call call = {.method = "POST", .path = "/api/v1/upgrade", .body = STR_EMPTY};
	struct str body;

	if (plan->word_count) {
		json_t *tree = json_pack("{s:s}", "path", plan->words[0]);
		char *text = tree ? json_dumps(tree, JSON_COMPACT) : NULL;

		call.body = text ? arena_str(upgrade->cli->arena, str_from(text)) : STR_EMPTY;
		json_decref(tree);
		mem_free(text);
	}
	return call_text(upgrade->cli, &call, &body);
}

// Without a word where nothing comes: the one that was asked may be about to leave.
static json_t *try_fetch(const struct upgrade *upgrade, const char *path, const char *key)
{
	struct call call = {.method = "GET", .path = path, .body = STR_EMPTY};
	struct ask_trouble trouble;
	struct ask_where where;
	struct str body;
	json_t *tree;
	u16 status;

	if (ask_where_admin(upgrade->cli, &where, &trouble) != 0 ||
		call_try(&where, &call, upgrade->cli->arena, &body, &status, &trouble) != EXIT_OK)
		return NULL;
	tree = json_loadb(body.ptr, body.len, 0, NULL);
	if (json_object_get(tree, key))
		return tree;
	json_decref(tree);
	return NULL;
}

// The reason, in the arena; NULL: it has not failed.
static const char *find_failure(const struct upgrade *upgrade)
{
	struct arena *arena = upgrade->cli->arena;
	const char *path = arena_printf(arena, "/api/v1/events?after=%.0f", upgrade->newest_before),
		   *found = NULL;
	const json_t *event;
	json_t *tree = try_fetch(upgrade, path, "events");
	size_t at;

	json_array_foreach(json_object_get(tree, "events"), at,
		event) if (strncmp(call_string(event, "text"), "the upgrade failed", 18) == 0)
		found = arena_printf(arena, "%s", call_string(event, "reason"));
	json_decref(tree);
	return found;
}

static int tell_done(const struct upgrade *upgrade, const json_t *state)
{
	struct text text = {0};

	text_printf(&text, "weir %s serves as process %.0f; process %.0f finishes what it has\n",
		call_string(state, "version"), call_number(state, "serving_pid"),
		upgrade->serving_before);
	return terminal_print(text_take(&text, upgrade->cli->arena));
}

static int look(const struct upgrade *upgrade, bool *ret_over)
{
	const char *failure;
	json_t *state = try_fetch(upgrade, "/api/v1/state", "serving_pid");
	int code;

	*ret_over = state != NULL;
	if (!state)
		return EXIT_OK;
	if (call_number(state, "serving_pid") != upgrade->serving_before) {
		code = tell_done(upgrade, state);
		json_decref(state);
		return code;
	}
	json_decref(state);
	failure = find_failure(upgrade);
	if (failure) {
		fprintf(stderr, "weir: the upgrade failed: %s. What served goes on serving.\n",
			failure);
		return EXIT_FAILED;
	}
	*ret_over = false;
	return EXIT_OK;
}

int upgrade_main(const struct cli *cli)
{
	struct upgrade upgrade = {.cli = cli};
	struct wait wait;
	bool over = false;
	int code = look_before(&upgrade);

	if (code == EXIT_OK)
		code = order(&upgrade);
	if (code != EXIT_OK)
		return code;
	wait_begin(&wait, wait_default_ms);
	while (!over && wait_for_ms(&wait, look_every_ms))
		code = look(&upgrade, &over);
	wait_end(&wait);
	if (over)
		return code;
	fprintf(stderr,
		"weir: nothing is known of the upgrade after %d s. weir events tells more.\n",
		wait_default_ms / 1000);
	return EXIT_FAILED;
}
