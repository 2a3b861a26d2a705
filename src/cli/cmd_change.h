// SPDX-License-Identifier: Apache-2.0
// What lists of changes have in common.
#pragma once

#include "base/arena.h"

// "2026-05-01 13:00:00" on the clock of this machine; empty for none.
const char *change_moment(struct arena *arena, double wall_ms);
