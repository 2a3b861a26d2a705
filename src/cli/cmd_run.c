// SPDX-License-Identifier: Apache-2.0
// weir run: loads the configuration and hands it to the control thread.
#include <unistd.h>

#include "admin/otlp.h"
#include "cli/summary.h"
#include "control/control.h"

static struct str greeting(const struct cli *cli, const struct load *load)
{
	if (!isatty(STDERR_FILENO) || load->conf->log.level < CONF_LEVEL_NOTICE)
		return STR_EMPTY;
	return summary_text(load, cli->arena);
}

static void *start_otlp(const struct control_facts *facts)
{
	struct otlp_config config = {.tracing = &facts->conf->tracing, .seed = facts->seed};

	if (!facts->spans)
		return NULL;
	return otlp_new(facts->loop, &config, facts->spans, facts->worker_count, facts->log,
		facts->metrics);
}

static void stop_otlp(void *otlp)
{
	otlp_stop(otlp);
}

static bool otlp_has_ended(const void *otlp)
{
	return otlp_is_idle(otlp);
}

static void free_otlp(void *otlp)
{
	otlp_free(otlp);
}

static const struct control_side side = {
	.start = start_otlp,
	.stop = stop_otlp,
	.is_idle = otlp_has_ended,
	.free = free_otlp,
};

int run_main(const struct cli *cli)
{
	struct control_options options = {0};
	struct load load;
	int code = load_conf(cli, &load);

	if (code)
		return code;
	options.greeting = greeting(cli, &load);
	options.mode = load.source;
	options.side = &side;
	return control_run(load.conf, cli->arena, &options);
}
