// SPDX-License-Identifier: Apache-2.0
// weir config: the configuration as data.
#include "cli/load.h"
#include "cli/terminal.h"

int config_show_main(const struct cli *cli)
{
	struct load load;
	int code = load_conf(cli, &load);

	if (code)
		return code;
	return terminal_print(
		conf_show(load.conf, cli->plan->syntax, cli->plan->with_origin, cli->arena));
}

int config_schema_main(const struct cli *cli)
{
	return terminal_print(conf_schema(cli->arena));
}

int config_convert_main(const struct cli *cli)
{
	struct conf_input input = {.files = cli->plan->files, .file_count = cli->plan->file_count};
	struct errs errs;
	struct str text;
	int code = EXIT_CONFIG;

	errs_init(&errs);
	text = conf_convert(&input, cli->plan->syntax, cli->arena, &errs);
	load_print(cli, &errs);
	if (!errs.error_count)
		code = terminal_print(text);
	errs_done(&errs);
	return code;
}
