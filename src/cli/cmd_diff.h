// SPDX-License-Identifier: Apache-2.0
// Exit codes of weir diff, which are those of diff(1).
#pragma once

#include "cli/cli.h"

// weir diff --live [FILE].
int diff_live(const struct cli *cli);

enum { DIFF_SAME = 0, DIFF_OTHER = 1, DIFF_TROUBLE = 2 };
