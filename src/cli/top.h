// SPDX-License-Identifier: Apache-2.0
// weir top on a terminal: keys, what comes from weir, signals and time, in one loop, until somebody
// quits.
#pragma once

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/top_model.h"

// `model` has a state already. Gives the exit code, unless a signal ends it: then that signal ends
// the process, with the terminal as it was.
int top_run(const struct cli *cli, const struct ask_where *where, struct top_model *model);
