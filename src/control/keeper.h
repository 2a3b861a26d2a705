// SPDX-License-Identifier: Apache-2.0
// The keeper: the process that was started, which serves nobody. It holds a copy of every listening
// socket, the rights and the exec, and one process that serves; it has one thread, parses nothing
// that comes from a network, and does little enough to outlive every error of the process that does
// (docs/decisions/0022).
//
// - A serving process that dies is followed by another, with the same sockets and the last good
//   configuration: the first time at once, then after longer and longer pauses. Connections wait
//   in the kernel's queues meanwhile.
// - It passes signals on: TERM, INT, QUIT, HUP, USR1. By USR2, or when the serving process asks, it
//   starts another binary beside the one that serves, and lets that one leave once the new one has
//   served for a moment; then it becomes the new binary itself. A new one that fails changes
//   nothing.
// - It ends with the code of the process that served. It reaps whatever is left to it (as PID 1).
// - When it is gone, the serving process closes its listeners and leaves as after TERM.
#pragma once

#include "base/arena.h"
#include "control/inherit.h"

struct keeper_options {
	char *const *argv;   // of this process; argv[0] is how the binary was named
	struct arena *arena; // what the keeper does not need: given back there
};

enum keeper_side { KEEPER_SERVING, KEEPER_OVER, KEEPER_FAILED };

// Forks. KEEPER_SERVING: this is the serving process, and `inherit` has a channel to its keeper.
// KEEPER_OVER, in the keeper, once everything is over: *ret_code is the code to end with.
// KEEPER_FAILED: there can be no keeper; the reason was printed.
enum keeper_side keeper_start(
	const struct keeper_options *options, struct inherit *inherit, int *ret_code);

// Whether this process is a keeper that has just become another binary, and then its whole life:
// false, or true with *ret_code.
bool keeper_resume(const struct keeper_options *options, int *ret_code);
