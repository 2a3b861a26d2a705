// SPDX-License-Identifier: Apache-2.0
// Says which OCSP responses are not stapled, and why: once when a configuration comes, and once
// when the time of one ends. Workers decide by their own clocks (net/tls_server.h); nobody tells
// them.
//
// All calls are the control thread's.
#pragma once

#include "base/log.h"
#include "loop/loop.h"
#include "proxy/snapshot.h"

struct staples *staples_new(struct loop *loop, struct log *log);

// The newest snapshot, which lives until the next one comes. `again`: also what was said of the one
// before. NULL for `staples` is fine.
void staples_adopt(struct staples *staples, const struct snapshot *snapshot, bool again);

// NULL is fine.
void staples_free(struct staples *staples);
