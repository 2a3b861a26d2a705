// SPDX-License-Identifier: Apache-2.0
// Exit codes of weir diff, which are those of diff(1), and one file as a configuration.
#pragma once

#include "cli/load.h"

// weir diff --live [FILE].
int diff_live(const struct cli *cli);

enum { DIFF_SAME = 0, DIFF_OTHER = 1, DIFF_TROUBLE = 2 };

// As load_conf; NULL: what weir run would take without a file.
int load_one(const struct cli *cli, const char *const *file, struct load *ret_load) must_check;
