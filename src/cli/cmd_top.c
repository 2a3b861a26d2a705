// SPDX-License-Identifier: Apache-2.0
// weir top: on a terminal as long as somebody looks, else once.
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/call.h"
#include "cli/terminal.h"
#include "cli/top.h"
#include "cli/top_draw.h"

static u32 columns_of_output(void)
{
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}

// A weir that tells no events tells the rest.
static void fetch_events(
	const struct cli *cli, const struct ask_where *where, struct top_model *model)
{
	struct call call = {.method = "GET", .path = "/api/v1/events?limit=500", .body = STR_EMPTY};
	struct ask_trouble trouble;
	struct str body;
	u16 status;

	if (call_try(where, &call, cli->arena, &body, &status, &trouble) == EXIT_OK)
		top_model_take_events(model, body);
}

static int print_once(const struct cli *cli, const struct ask_where *where, struct top_model *model)
{
	struct top_size size = {.rows = 0};
	struct top_view view;
	struct text text = {0};

	top_view_init(&view);
	size.look.columns = columns_of_output();
	size.look.is_ascii = size.look.columns && cells_is_ascii(cli->environ);
	fetch_events(cli, where, model);
	top_model_arrange(model, &view.order);
	top_draw(model, &view, &size, &text);
	return terminal_print(text_take(&text, cli->arena));
}

int top_main(const struct cli *cli)
{
	struct call call = {.method = "GET", .path = "/api/v1/state", .body = STR_EMPTY};
	struct ask_trouble trouble;
	struct ask_where where;
	struct top_model model;
	struct str body;
	u16 status;
	int code;

	if (ask_where_admin(cli, &where, &trouble) != 0)
		return call_complain(EXIT_USAGE, &trouble);
	code = call_try(&where, &call, cli->arena, &body, &status, &trouble);
	if (code != EXIT_OK)
		return call_complain(code, &trouble);
	top_model_init(&model);
	if (top_model_take_state(&model, body) != 0) {
		trouble = (struct ask_trouble){"what was answered is no state of weir",
			"Is it weir that listens there, and as new as this one? See admin.bind"};
		code = call_complain(EXIT_FAILED, &trouble);
	} else if (cli->plan->as_json) {
		code = terminal_print(body);
	} else if (cli->plan->once || !terminal_is_one(cli->environ)) {
		code = print_once(cli, &where, &model);
	} else {
		code = top_run(cli, &where, &model);
	}
	top_model_done(&model);
	return code;
}
