// SPDX-License-Identifier: Apache-2.0
// weir diff A B: what another configuration changes, and what a reload makes of each change.
#include "cli/cmd_diff.h"

#include "cli/load.h"
#include "cli/terminal.h"
#include "conf/diff.h"

int diff_main(const struct cli *cli)
{
	const struct plan *plan = cli->plan;
	const struct conf_diff *diff;
	struct load before, after;

	if (plan->is_live)
		return diff_live(cli);
	if (load_one(cli, &plan->words[0], &before) != 0 ||
		load_one(cli, &plan->words[1], &after) != 0)
		return DIFF_TROUBLE;
	diff = conf_diff(before.conf, after.conf, cli->arena);
	if (terminal_print(plan->as_json ? conf_diff_json(diff, cli->arena)
					 : conf_diff_text(diff, cli->arena)) != 0)
		return DIFF_TROUBLE;
	return diff->count ? DIFF_OTHER : DIFF_SAME;
}
