// SPDX-License-Identifier: Apache-2.0
// What commands that give a running weir another configuration have in common.
#pragma once

#include "cli/call.h"

// Asks and tells: `what` was done ("reloaded"), or what is wrong with the configuration, as weir
// check would tell it. Gives the exit code.
int reload_carry_out(const struct cli *cli, const struct call *call, const char *what);
