// SPDX-License-Identifier: Apache-2.0
// What may be printed where: colour only on a terminal that wants it.
#pragma once

#include "cli/cells.h"

// NO_COLOR (no-color.org) wins over CLICOLOR_FORCE, which wins over a TERM that is dumb and a
// descriptor that is no terminal.
bool terminal_has_colour(char *const *env, bool is_terminal);

// Writes a text to standard output, all of it. 0, or 1 with a message on standard error: a full
// disk must not look like success.
int terminal_print(struct str text);

// Is standard output a terminal that can move its cursor?
bool terminal_is_one(char *const *env);

// How lines are written to standard output: as long as they are, with colours where they may be.
struct cells_look terminal_look(char *const *env);
