// SPDX-License-Identifier: Apache-2.0
// Where the admin API listens. What was asked for by name must be free; what weir takes by itself
// is left out where somebody else has it, with one line.
#pragma once

#include "base/log.h"
#include "conf/conf.h"
#include "control/handover.h"

enum { DOORS_MAX = 64 };

struct doors {
	struct {
		int fd;
		struct addr address;
		bool only_metrics;
	} all[DOORS_MAX];
	u32 count;
	struct arena arena; // of paths
	struct handover *handover;
};

// 0 or negative errno; then the reason was printed, and nothing is open.
int doors_open(struct doors *doors, const struct conf *conf, struct log *log,
	struct handover *handover) must_check;

// Closes what was not handed on (fd >= 0), and removes the files of unix sockets, unless another
// process goes on with them.
void doors_close(struct doors *doors);
