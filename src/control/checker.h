// SPDX-License-Identifier: Apache-2.0
// Carries out active health checks on the control thread's loop: all backends at the same time,
// each at its own moments, so that one that hangs delays nobody else's. What to check, when, and
// what a result means is the model's business (model.h); here are the connections.
//
// Over HTTP a check is one request on a connection of its own, and so is a call of gRPC; over TCP
// it is a connection that is made and closed. Works on any loop, the simulated one too. A probe
// that runs holds at most one large and one small block of the loop (a backend may stop in the
// middle of its head): with fewer blocks than probes_max those that hang could delay others.
#pragma once

#include "control/model.h"
#include "loop/loop.h"

enum { CHECKER_BODY_BYTES_MAX = 64 * 1024 }; // of an answer that are searched

struct checker;

// `probes_max`: how many may run at once, 1 or more; beyond it they wait in turn (one more
// descriptor each). Borrows all of it.
struct checker *checker_new(
	struct loop *loop, struct model *model, const struct snapshot *snapshot, u32 probes_max);

// Begins what is due, at the end of this turn. To be called once at the start, and then after what
// may have made a check due sooner (a report, an address); it costs nothing when that was not so.
void checker_wake(struct checker *checker);

// The next configuration. What runs of pools that have another object in it is given up;
// model_adopt follows before the loop turns.
void checker_adopt(struct checker *checker, const struct snapshot *snapshot);

// Cancels all. The loop must turn until checker_is_idle, then checker_free.
void checker_stop(struct checker *checker);
bool checker_is_idle(const struct checker *checker);
void checker_free(struct checker *checker);
