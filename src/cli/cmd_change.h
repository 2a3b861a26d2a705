// SPDX-License-Identifier: Apache-2.0
// What lists of changes have in common.
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "cli/cells.h"
#include "cli/cli.h"

// "2026-05-01 13:00:00" on the clock of this machine; empty for none.
const char *change_moment(struct arena *arena, double wall_ms);

// What a GET of this path tells, by `put` or as it came (--json). `what`: for the error when it
// makes no sense. Gives the exit code.
typedef void change_put_fn(const struct cli *cli, struct cells *cells, const json_t *tree);
int change_print(const struct cli *cli, const char *path, const char *what, change_put_fn *put);
