// SPDX-License-Identifier: Apache-2.0
// weir help, --help and --help-all.
#include <stdio.h>

#include "base/metrics.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/terminal.h"

// The words of a command and no option: `weir help check`.
static bool is_command(const char *topic)
{
	for (u32 i = 0; i < PLAN_COMMAND_COUNT; i++)
		if (strcmp(topic, plan_commands[i].words) == 0)
			return true;
	return strcmp(topic, "config") == 0 || strcmp(topic, "import") == 0;
}

static int help_key(const struct cli *cli, const char *topic)
{
	const char *near = NULL;
	struct str text = conf_help_key(str_from(topic), cli->arena, &near);

	if (text.len)
		return terminal_print(text);
	fprintf(stderr, "weir: no command and no key of the configuration is called '%s'\n", topic);
	if (near)
		fprintf(stderr, "      did you mean '%s'?\n", near);
	return EXIT_USAGE;
}

int help_main(const struct cli *cli)
{
	const char *topic = cli->plan->topic;

	if (cli->plan->help_all)
		return terminal_print(help_all(cli->arena));
	if (!topic)
		return terminal_print(help_screen(cli->arena));
	if (is_command(topic))
		return terminal_print(help_command(topic, cli->arena));
	if (strcmp(topic, "metrics") == 0)
		return terminal_print(metrics_reference(cli->arena));
	return help_key(cli, topic);
}
