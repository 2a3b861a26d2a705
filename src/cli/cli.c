// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <stdio.h>

enum { arena_bytes_max = 1 << 30 };

static int fail_usage(const struct plan *plan)
{
	fprintf(stderr, "weir: %s\n", plan->error);
	if (plan->hint)
		fprintf(stderr, "      %s\n", plan->hint);
	return EXIT_USAGE;
}

static int run_command(const struct cli *cli)
{
	switch (cli->plan->command) {
	case PLAN_RUN:
		return run_main(cli);
	case PLAN_CHECK:
		return check_main(cli);
	case PLAN_DEMO:
		return demo_main(cli);
	case PLAN_TEST_BACKEND:
		return test_backend_main(cli);
	case PLAN_HEALTHCHECK:
		return healthcheck_main(cli);
	case PLAN_TOP:
		return top_main(cli);
	case PLAN_STATUS:
		return status_main(cli);
	case PLAN_EVENTS:
		return events_main(cli);
	case PLAN_WHY:
		return why_main(cli);
	case PLAN_EXPLAIN:
		return explain_main(cli);
	case PLAN_CONNECTIONS:
		return connections_main(cli);
	case PLAN_DRAIN:
	case PLAN_DISABLE:
	case PLAN_ENABLE:
	case PLAN_WEIGHT:
	case PLAN_BREAKER:
	case PLAN_LOG_LEVEL:
	case PLAN_UNDO:
		return steer_main(cli);
	case PLAN_UPGRADE:
		return upgrade_main(cli);
	case PLAN_DIFF:
		return diff_main(cli);
	case PLAN_APPLY:
		return apply_main(cli);
	case PLAN_CONFIRM:
		return confirm_main(cli);
	case PLAN_GENERATIONS:
		return generations_main(cli);
	case PLAN_JOURNAL:
		return journal_main(cli);
	case PLAN_EXPORT:
		return export_main(cli);
	case PLAN_ROLLBACK:
		return rollback_main(cli);
	case PLAN_RELOAD:
		return reload_main(cli);
	case PLAN_BACKENDS_ADD:
	case PLAN_BACKENDS_REMOVE:
	case PLAN_BACKENDS_LIST:
		return backends_main(cli);
	case PLAN_CONFIG_SHOW:
		return config_show_main(cli);
	case PLAN_CONFIG_SCHEMA:
		return config_schema_main(cli);
	case PLAN_CONVERT:
	case PLAN_IMPORT:
		return config_convert_main(cli);
	case PLAN_SIMULATE:
		return simulate_main(cli);
	case PLAN_CERT:
		return cert_main(cli);
	case PLAN_MIGRATE:
		return migrate_main(cli);
	case PLAN_HELP:
		return help_main(cli);
	case PLAN_VERSION:
		return version_main(cli);
	case PLAN_COMMAND_COUNT:
		break;
	}
	return EXIT_USAGE;
}

int cli_main(int argc, char **argv, char *const *environ)
{
	struct arena arena;
	struct plan plan;
	struct cli cli = {.plan = &plan, .argv = argv, .environ = environ, .arena = &arena};
	int code;

	arena_init(&arena, arena_bytes_max);
	if (plan_make(argc, argv, environ, &arena, &plan) != 0)
		code = fail_usage(&plan);
	else
		code = run_command(&cli);
	arena_done(&arena);
	return code;
}
