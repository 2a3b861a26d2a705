// SPDX-License-Identifier: Apache-2.0
// The three parts of confinement.
#pragma once

#include "control/confine.h"

// Landlock. 0 or negative errno.
int confine_files(const struct conf *conf, const char *state_folder);

// seccomp. `kills`: a forbidden call ends the process instead of failing with EPERM.
int confine_calls(bool kills);

// Becomes another user who may bind ports below 1024 and nothing else that root may.
int confine_user(struct str user, char name[static 64], char why[static CONFINE_WHY_MAX]);
