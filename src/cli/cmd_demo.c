// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/cli.h"

int demo_main(const struct cli *cli)
{
	(void)cli;
	fprintf(stderr, "weir: this command is not built yet\n");
	return EXIT_FAILED;
}
