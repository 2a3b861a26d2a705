// SPDX-License-Identifier: Apache-2.0
// weir run: loads the configuration and hands it to the control thread.
#include <unistd.h>

#include "admin/admin.h"
#include "cli/summary.h"
#include "control/control.h"
#include "discover/finder.h"

static struct str greeting(const struct cli *cli, const struct load *load)
{
	if (!isatty(STDERR_FILENO) || load->conf->log.level < CONF_LEVEL_NOTICE)
		return STR_EMPTY;
	return summary_text(load, cli->arena);
}

int run_main(const struct cli *cli)
{
	struct control_options options = {0};
	struct control_finder table;
	struct finder *finder;
	struct load load;
	int code = load_conf(cli, &load);

	if (code)
		return code;
	options.greeting = greeting(cli, &load);
	options.mode = load.source;
	if (load_is_lasting(cli)) {
		options.load = load_again;
		options.load_owner = (void *)(uintptr_t)cli;
	}
	finder = finder_new(conf_state_folder(cli->environ, cli->arena));
	table = finder_table(finder);
	options.finder = &table;
	code = admin_run(load.conf, cli->arena, &options);
	finder_free(finder);
	return code;
}
