// SPDX-License-Identifier: Apache-2.0
// weir drain, disable, enable, weight, breaker, log-level and undo: steering a running weir.
#include <stdio.h>

#include "base/text.h"
#include "cli/backend_name.h"
#include "cli/call.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "cli/wait.h"

enum {
	weight_max = 1000,
	look_every_ms = 500,
	wait_default_ms = 5 * 60 * 1000,
	look_bytes_max = 1 << 28
};

struct steer {
	const struct cli *cli;
	json_t *state;	       // as it was before
	const json_t *backend; // borrowed from it
	const char *name;      // POOL/BACKEND
};

// ---- Words --------------------------------------------------------------------------------------

static int fail_word(const struct cli *cli, const char *what, const char *word,
	const char *const *words, u32 count)
{
	const char *close = plan_near(word, words, count);
	struct ask_trouble trouble = {arena_printf(cli->arena, "%s, not '%s'", what, word), ""};

	if (close)
		trouble.cure = arena_printf(cli->arena, "Did you mean %s?", close);
	return call_complain(EXIT_USAGE, &trouble);
}

static bool is_one_of(const char *word, const char *const *words, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

// The body of the call, or EXIT_USAGE.
static int take_value(const struct cli *cli, struct str *ret_body)
{
	static const char *const states[] = {"open", "closed", "auto"};
	static const char *const levels[] = {"error", "warn", "notice", "info", "debug", "trace"};
	const char *value = cli->plan->words[cli->plan->word_count - 1];
	const char *body = "";
	u64 number;

	if (cli->plan->command == PLAN_WEIGHT) {
		if (str_to_u64(str_from(value), weight_max, &number) != 0)
			return fail_word(
				cli, "a weight is a whole number from 0 to 1000", value, NULL, 0);
		body = arena_printf(cli->arena, "{\"weight\":%u}", (unsigned)number);
	} else if (cli->plan->command == PLAN_BREAKER) {
		if (!is_one_of(value, states, ARRAY_LEN(states)))
			return fail_word(cli, "a breaker is held open or closed, or auto", value,
				states, ARRAY_LEN(states));
		body = arena_printf(cli->arena, "{\"state\":\"%s\"}", value);
	} else if (cli->plan->command == PLAN_LOG_LEVEL) {
		if (!is_one_of(value, levels, ARRAY_LEN(levels)))
			return fail_word(cli,
				"a level is error, warn, notice, info, debug or trace", value,
				levels, ARRAY_LEN(levels));
		body = arena_printf(cli->arena, "{\"level\":\"%s\"}", value);
	} else if (cli->plan->command == PLAN_UNDO &&
		   str_to_u64(str_from(value), INT64_MAX, &number) != 0) {
		return fail_word(
			cli, "undo takes the number of an event (weir events)", value, NULL, 0);
	}
	*ret_body = str_from(body);
	return EXIT_OK;
}

// ---- What happened ------------------------------------------------------------------------------

static int fetch_state(const struct cli *cli, json_t **ret_state)
{
	struct call call = {.method = "GET", .path = "/api/v1/state", .body = STR_EMPTY};

	return call_json(cli, &call, "backends", ret_state);
}

static const char *requests(struct arena *arena, double count)
{
	return arena_printf(arena, "%s request%s", unit_count(count).text, count == 1 ? "" : "s");
}

// What the change means for requests, in one sentence without its end.
static const char *say(const struct steer *steer, const char *value)
{
	struct arena *arena = steer->cli->arena;
	double in_flight = call_number(steer->backend, "in_flight");

	switch (steer->cli->plan->command) {
	case PLAN_DRAIN:
		return arena_printf(arena, "%s gets no new requests; %s in flight there",
			steer->name, requests(arena, in_flight));
	case PLAN_DISABLE:
		return arena_printf(arena,
			"%s gets no new requests, and its idle connections are closed",
			steer->name);
	case PLAN_ENABLE:
		return arena_printf(
			arena, "%s gets requests again, as soon as its checks allow", steer->name);
	case PLAN_WEIGHT:
		return arena_printf(arena, "%s has weight %s (before: %s)", steer->name, value,
			unit_count(call_number(steer->backend, "weight")).text);
	case PLAN_BREAKER:
		return strcmp(value, "auto") == 0
			       ? arena_printf(arena, "the breaker of %s is let go", steer->name)
			       : arena_printf(
					 arena, "the breaker of %s is held %s", steer->name, value);
	case PLAN_LOG_LEVEL:
		return arena_printf(arena, "lines from level %s on are logged", value);
	default:
		return arena_printf(arena, "event %s is taken back", value);
	}
}

static void tell(const struct steer *steer, const json_t *answer)
{
	struct arena *arena = steer->cli->arena;
	const char *value = steer->cli->plan->words[steer->cli->plan->word_count - 1];
	const json_t *event = json_object_get(answer, "event");
	const json_t *changed = json_object_get(answer, "changed");
	struct text text = {0};

	if (json_is_false(changed))
		text_add(&text, STR("nothing to change: "));
	text_add(&text, str_from(say(steer, value)));
	if (json_is_integer(event))
		text_printf(&text, " (weir undo %lld takes it back)",
			(long long)json_integer_value(event));
	text_addc(&text, '\n');
	(void)terminal_print(text_take(&text, arena));
}

// ---- Waiting ------------------------------------------------------------------------------------

static const json_t *find_again(const json_t *state, const json_t *backend)
{
	const json_t *one;
	size_t at;

	json_array_foreach(json_object_get(state, "backends"), at,
		one) if (strcmp(call_string(one, "id"), call_string(backend, "id")) == 0 &&
			 strcmp(call_string(one, "pool"), call_string(backend, "pool")) ==
				 0) return one;
	return NULL;
}

// Requests in flight now, or a negative number: `*ret_code` says how it ends then.
static double look_in(const struct steer *steer, struct arena *arena, int *ret_code)
{
	struct cli cli = *steer->cli;
	struct call call = {.method = "GET", .body = STR_EMPTY};
	struct ask_trouble trouble;
	const json_t *one;
	double in_flight = -1;
	json_t *state;

	cli.arena = arena;
	call.path = arena_printf(arena, "/api/v1/state?pool=%s",
		call_encode(arena, str_from(call_string(steer->backend, "pool"))));
	*ret_code = call_json(&cli, &call, "backends", &state);
	if (*ret_code != EXIT_OK)
		return -1;
	one = find_again(state, steer->backend);
	if (one && strcmp(call_string(one, "admin"), "enabled") != 0) {
		in_flight = call_number(one, "in_flight");
	} else {
		trouble.cause = arena_printf(
			arena, "%s %s meanwhile", steer->name, one ? "was enabled" : "was removed");
		trouble.cure = "weir events says by whom";
		*ret_code = call_complain(EXIT_FAILED, &trouble);
	}
	json_decref(state);
	return in_flight;
}

static double look(const struct steer *steer, int *ret_code)
{
	struct arena arena;
	double in_flight;

	arena_init(&arena, look_bytes_max);
	in_flight = look_in(steer, &arena, ret_code);
	arena_done(&arena);
	return in_flight;
}

static void report(const struct steer *steer, double in_flight, bool is_terminal)
{
	printf(is_terminal ? "\r\033[K%s in flight at %s%s" : "%s in flight at %s%s",
		requests(steer->cli->arena, in_flight), steer->name, is_terminal ? "" : "\n");
	fflush(stdout);
}

static int fail_waiting(const struct steer *steer, double in_flight, u64 bound_ms)
{
	struct ask_trouble trouble;

	trouble.cause = arena_printf(steer->cli->arena, "%s still in flight at %s after %s",
		requests(steer->cli->arena, in_flight), steer->name,
		unit_span((double)bound_ms).text);
	trouble.cure = "It stays drained: ask again with --wait, or weir disable";
	return call_complain(EXIT_FAILED, &trouble);
}

static int wait_until_idle(const struct steer *steer)
{
	u64 bound_ms =
		steer->cli->plan->timeout_ms ? steer->cli->plan->timeout_ms : (u64)wait_default_ms;
	bool is_terminal = terminal_is_one(steer->cli->environ);
	double in_flight, before = -1;
	struct wait wait;
	int code;

	wait_begin(&wait, bound_ms);
	do {
		in_flight = look(steer, &code);
		if (in_flight >= 0 && in_flight != before)
			report(steer, in_flight, is_terminal);
		before = in_flight;
	} while (in_flight > 0 && wait_for_ms(&wait, look_every_ms));
	if (is_terminal && before >= 0)
		printf("\n");
	if (code == EXIT_OK && in_flight > 0)
		code = fail_waiting(steer, in_flight, bound_ms);
	else if (code == EXIT_OK)
		printf("%s is drained\n", steer->name);
	wait_end(&wait);
	return code;
}

// ---- The command --------------------------------------------------------------------------------

static int carry_out(const struct steer *steer, const struct call *call)
{
	json_t *answer;
	int code = call_json(steer->cli, call, "changed", &answer);

	if (code != EXIT_OK)
		return code;
	tell(steer, answer);
	json_decref(answer);
	return steer->cli->plan->waits ? wait_until_idle(steer) : EXIT_OK;
}

static int steer_backend(struct steer *steer, struct str body)
{
	struct arena *arena = steer->cli->arena;
	const struct plan *plan = steer->cli->plan;
	bool has_value = plan->command == PLAN_WEIGHT || plan->command == PLAN_BREAKER;
	struct call call = {.method = has_value ? "PUT" : "POST", .body = body};
	struct ask_trouble trouble;
	const char *pool, *id;

	steer->backend = backend_by_name(steer->state, plan->words[0], arena, &trouble);
	if (!steer->backend)
		return call_complain(EXIT_FAILED, &trouble);
	pool = call_string(steer->backend, "pool");
	id = call_string(steer->backend, "id");
	steer->name = arena_printf(arena, "%s/%s", pool, id);
	call.path = arena_printf(arena, "/api/v1/pools/%s/backends/%s/%s",
		call_encode(arena, str_from(pool)), call_encode(arena, str_from(id)),
		plan_commands[plan->command].words);
	return carry_out(steer, &call);
}

int steer_main(const struct cli *cli)
{
	struct steer steer = {.cli = cli};
	struct call call = {.method = "PUT", .path = "/api/v1/log/level"};
	int code = take_value(cli, &call.body);

	if (code != EXIT_OK)
		return code;
	if (cli->plan->command == PLAN_LOG_LEVEL)
		return carry_out(&steer, &call);
	if (cli->plan->command == PLAN_UNDO) {
		call.method = "POST";
		call.path = arena_printf(cli->arena, "/api/v1/events/%s/undo", cli->plan->words[0]);
		return carry_out(&steer, &call);
	}
	code = fetch_state(cli, &steer.state);
	if (code != EXIT_OK)
		return code;
	code = steer_backend(&steer, call.body);
	json_decref(steer.state);
	return code;
}
