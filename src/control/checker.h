// SPDX-License-Identifier: Apache-2.0
// Carries out active health checks on the control thread's loop: all backends at the same time,
// each at its own moments, so that one that hangs delays nobody else's. What to check, when, and
// what a result means is the model's business (model.h); here are the connections.
//
// Over HTTP a check is one request on a connection of its own; over TCP it is a connection that is
// made and closed. Works on any loop, the simulated one too.
#pragma once

#include "control/model.h"
#include "loop/loop.h"

struct checker;

// `probes_max`: how many may run at once; beyond it they wait in turn (one more descriptor each).
struct checker *checker_new(struct loop *loop, struct model *model, const struct snapshot *snapshot,
	u32 probes_max, u64 seed);

// Begins what is due and sets the timer for what comes next. Also to be called after a change that
// may have made a check due sooner (a report, an address).
void checker_wake(struct checker *checker);

// Cancels all. The loop must turn until checker_is_idle, then checker_free.
void checker_stop(struct checker *checker);
bool checker_is_idle(const struct checker *checker);
void checker_free(struct checker *checker);
