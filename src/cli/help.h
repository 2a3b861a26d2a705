// SPDX-License-Identifier: Apache-2.0
// The texts of help, made of the tables of plan.h.
#pragma once

#include "base/arena.h"

// Fits a terminal of 80 columns and 25 lines.
struct str help_screen(struct arena *arena);

// Every command and option, signals, exit codes and variables. 80 columns.
struct str help_all(struct arena *arena);

// One command with its options; "config" gives its three. An unknown one gives an empty text.
struct str help_command(const char *words, struct arena *arena);
