// SPDX-License-Identifier: Apache-2.0
// weir healthcheck: whether a running weir is ready, as an exit code. For the HEALTHCHECK of a
// container and for scripts.
#include <stdio.h>

#include "base/text.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "proto/http.h"

enum { excerpt_bytes_max = 160 };

static int complain(int code, const struct ask_trouble *trouble)
{
	fprintf(stderr, "weir: %s. %s\n", trouble->cause, trouble->cure);
	return code;
}

// The first line of the answer, without what could steer a terminal.
static const char *excerpt(struct arena *arena, struct str body)
{
	struct text text = {0};

	body.len = MIN(str_find(body, '\n'), (size_t)excerpt_bytes_max);
	for (size_t i = 0; i < body.len; i++)
		text_addc(&text, body.ptr[i] >= ' ' && body.ptr[i] <= '~' ? body.ptr[i] : '?');
	return text.len ? arena_printf(arena, ": %s", text_take(&text, arena).ptr) : "";
}

static const char *cure_for(u16 status, bool is_url)
{
	if (status >= 300 && status < 400)
		return "Redirects are not followed: give the address that it leads to.";
	if (status == 403 || status == 401)
		return is_url ? "Who may ask is said by builtin.health.allow of the frontend."
			      : "Is it weir that listens there? See admin.bind.";
	if (status == 404)
		return is_url ? "The path is said by builtin.health of the frontend."
			      : "Is it weir that listens there? See admin.bind.";
	return "Its log says which backend is out, since when and why.";
}

static int judge(const struct cli *cli, const struct ask_answer *answer)
{
	const char *reason = http_reason(answer->status);
	struct ask_trouble trouble = {.cure = cure_for(answer->status, cli->plan->url)};

	if (answer->status >= 200 && answer->status < 300)
		return EXIT_OK;
	trouble.cause = arena_printf(cli->arena, "%.*s is not ready: %u%s%s%s",
		STR_FMT(answer->from), answer->status, reason[0] ? " " : "", reason,
		excerpt(cli->arena, answer->body));
	return complain(EXIT_UNAVAILABLE, &trouble);
}

// A page of the traffic port needs no token, and gets none.
static int where_url(
	const struct cli *cli, struct ask_where *ret_where, struct ask_trouble *ret_trouble)
{
	*ret_where = (struct ask_where){.count = 1,
		.token = STR_EMPTY,
		.timeout_ms = cli->plan->timeout_ms ? cli->plan->timeout_ms : (u64)ASK_TIMEOUT_MS};
	return ask_parse(str_from(cli->plan->url), cli->arena, &ret_where->places[0], ret_trouble);
}

int healthcheck_main(const struct cli *cli)
{
	struct ask_question question = {
		.method = "GET", .path = cli->plan->url ? NULL : "/readyz", .body = STR_EMPTY};
	struct ask_trouble trouble;
	struct ask_answer answer;
	struct ask_where where;
	int error = cli->plan->url ? where_url(cli, &where, &trouble)
				   : ask_where_admin(cli, &where, &trouble);

	if (error)
		return complain(EXIT_USAGE, &trouble);
	if (ask(&where, &question, cli->arena, &answer, &trouble) != 0)
		return complain(EXIT_UNAVAILABLE, &trouble);
	return judge(cli, &answer);
}
