// SPDX-License-Identifier: Apache-2.0
// The command line: what main() calls, and one function per command. Each takes the plan that was
// made of the arguments and gives the exit code of the process.
#pragma once

#include "cli/plan.h"

enum cli_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,       // it started, or tried to, and could not go on
	EXIT_USAGE = 2,	       // the command line makes no sense
	EXIT_UNAVAILABLE = 69, // EX_UNAVAILABLE: who was asked is not ready, or not there
	EXIT_CONFIG = 78,      // EX_CONFIG of sysexits.h: the configuration is missing or wrong
};

// What a command gets. `arena` lives as long as the process.
struct cli {
	const struct plan *plan;
	char *const *argv;
	char *const *environ;
	struct arena *arena;
};

int cli_main(int argc, char **argv, char *const *environ);

int run_main(const struct cli *cli);
int check_main(const struct cli *cli);
int cert_main(const struct cli *cli);
int config_show_main(const struct cli *cli);
int config_schema_main(const struct cli *cli);
int config_convert_main(const struct cli *cli);
int demo_main(const struct cli *cli);
int test_backend_main(const struct cli *cli);
int healthcheck_main(const struct cli *cli);
int top_main(const struct cli *cli);
int status_main(const struct cli *cli);
int events_main(const struct cli *cli);
int why_main(const struct cli *cli);
int explain_main(const struct cli *cli);
int connections_main(const struct cli *cli);
int steer_main(const struct cli *cli);
int reload_main(const struct cli *cli);
int apply_main(const struct cli *cli);
int confirm_main(const struct cli *cli);
int generations_main(const struct cli *cli);
int journal_main(const struct cli *cli);
int export_main(const struct cli *cli);
int rollback_main(const struct cli *cli);
int diff_main(const struct cli *cli);
int backends_main(const struct cli *cli);
int simulate_main(const struct cli *cli);
int migrate_main(const struct cli *cli);
int backends_ask_main(const struct cli *cli); // of a running weir
int upgrade_main(const struct cli *cli);
int help_main(const struct cli *cli);
int version_main(const struct cli *cli);
