// SPDX-License-Identifier: Apache-2.0
// weir help, --help and --help-all.
#include <stdio.h>

#include "base/metrics.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/terminal.h"

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

// Some words are both: `weir help backends` tells of the commands, then of the key.
static int help_word(const struct cli *cli, const char *topic)
{
	const char *near;
	struct str command = help_command(topic, cli->arena), key;

	if (!command.len)
		return help_key(cli, topic);
	key = conf_help_key(str_from(topic), cli->arena, &near);
	if (key.len)
		command = str_from(arena_printf(cli->arena,
			"%.*s\nThe key of that name in a configuration:\n\n%.*s", STR_FMT(command),
			STR_FMT(key)));
	return terminal_print(command);
}

int help_main(const struct cli *cli)
{
	const char *topic = cli->plan->topic;

	if (cli->plan->help_all)
		return terminal_print(help_all(cli->arena));
	if (!topic)
		return terminal_print(help_screen(cli->arena));
	if (strcmp(topic, "metrics") == 0)
		return terminal_print(metrics_reference(cli->arena));
	return help_word(cli, topic);
}
