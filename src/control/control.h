// SPDX-License-Identifier: Apache-2.0
// The control thread: everything that is not data path. It opens the listeners, starts the workers,
// hears signals, resolves names once, and brings everything to an orderly end.
#pragma once

#include "base/log.h"
#include "base/metrics.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "proxy/span.h"

// What stands beside the data plane and looks at it, on the control loop.
struct control_facts {
	struct loop *loop;
	const struct conf *conf;
	struct span_ring *const *spans; // of each worker
	u32 worker_count;
	struct log *log;
	struct metrics_cells *metrics; // for its own counts
	u64 seed;
};

// start may give NULL: nothing to do. stop comes when no worker runs any more; then the loop turns
// until it is idle.
struct control_side {
	void *(*start)(const struct control_facts *facts);
	void (*stop)(void *side);
	bool (*is_idle)(const void *side);
	void (*free)(void *side);
};

struct control_options {
	const char *mode;    // how the configuration was found, for the start-up line
	struct str greeting; // to standard error once everything is listened on; may be empty
	const struct control_side *side; // or NULL
};

// Runs until a signal ends it. The exit code of the process: 0, or 1 when it could not start (the
// reason was logged or printed). `conf` and `arena` outlive the call.
int control_run(
	const struct conf *conf, struct arena *arena, const struct control_options *options);
