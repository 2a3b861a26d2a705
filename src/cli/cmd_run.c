// SPDX-License-Identifier: Apache-2.0
// weir run: loads the configuration and hands it to the control thread, in a process of its own
// where a keeper is wanted.
#include <stdio.h>
#include <unistd.h>

#include "admin/admin.h"
#include "cli/summary.h"
#include "control/control.h"
#include "control/keeper.h"
#include "discover/finder.h"

static struct str greeting(const struct cli *cli, const struct load *load)
{
	if (!isatty(STDERR_FILENO) || load->conf->log.level < CONF_LEVEL_NOTICE)
		return STR_EMPTY;
	return summary_text(load, cli->arena);
}

static int take_inheritance(struct inherit *inherit)
{
	int error = inherit_read(inherit);

	if (error)
		fprintf(stderr,
			"weir: the sockets that LISTEN_FDS announces cannot be taken: %s. weir "
			"takes "
			"listening stream sockets.\n",
			strerror(-error));
	return error;
}

// After a crash what served before serves again, whatever the files say by now; where that cannot
// be read again, they count.
static int load(const struct cli *cli, const struct inherit *inherit, struct load *ret_load)
{
	int conf = inherit->left[INHERIT_CONF];

	if (conf >= 0 && !inherit->upgrades && load_kept(cli, conf, ret_load) == 0)
		return 0;
	return load_conf(cli, ret_load);
}

// With lists of backends from elsewhere.
static int find_and_serve(
	const struct cli *cli, const struct load *load, struct control_options *options)
{
	struct finder *finder = finder_new(conf_state_folder(cli->environ, cli->arena));
	struct control_finder table = finder_table(finder);
	int code;

	options->finder = &table;
	code = admin_run(load->conf, cli->arena, options);
	options->finder = NULL;
	finder_free(finder);
	return code;
}

static int serve(const struct cli *cli, const struct load *load, const struct inherit *inherit)
{
	struct handover handover;
	char why[CONFINE_WHY_MAX];
	struct confined confined;
	struct control_options options = {
		.mode = load->source, .handover = &handover, .confined = &confined};

	options.load_owner = (void *)(uintptr_t)cli;
	options.load_text = load_sent;
	options.state_folder = conf_state_folder(cli->environ, cli->arena);
	options.source = load_source(cli);
	if (load_is_lasting(cli))
		options.load = load_again;
	handover_init(&handover, inherit, inherit->channel >= 0 ? (i64)getppid() : 0);
	if (!inherit->upgrades && !inherit->restarts)
		options.greeting = greeting(cli, load);
	if (confine(load->conf, options.state_folder, &confined, why) != 0) {
		fprintf(stderr, "weir: %s.\n", why);
		return EXIT_FAILED;
	}
	return find_and_serve(cli, load, &options);
}

int run_main(const struct cli *cli)
{
	struct keeper_options options = {.argv = cli->argv, .arena = cli->arena};
	struct inherit inherit;
	struct load loaded;
	int code;

	if (keeper_resume(&options, &code))
		return code;
	if (take_inheritance(&inherit) != 0) {
		inherit_done(&inherit);
		return EXIT_FAILED;
	}
	code = load(cli, &inherit, &loaded);
	if (code) {
		inherit_done(&inherit);
		return code;
	}
	if (inherit.channel < 0 && loaded.conf->runtime.keeper)
		switch (keeper_start(&options, &inherit, &code)) {
		case KEEPER_SERVING:
			break;
		case KEEPER_OVER:
			return code;
		case KEEPER_FAILED:
			return EXIT_FAILED;
		}
	return serve(cli, &loaded, &inherit);
}
