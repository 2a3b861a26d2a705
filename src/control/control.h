// SPDX-License-Identifier: Apache-2.0
// The control thread: everything that is not data path. It opens the listeners, starts the workers,
// hears signals, resolves names once, and brings everything to an orderly end.
#pragma once

#include "conf/conf.h"

struct control_options {
	const char *mode;    // how the configuration was found, for the start-up line
	struct str greeting; // to standard error once everything is listened on; may be empty
};

// Runs until a signal ends it. The exit code of the process: 0, or 1 when it could not start (the
// reason was logged or printed). `conf` and `arena` outlive the call.
int control_run(
	const struct conf *conf, struct arena *arena, const struct control_options *options);
