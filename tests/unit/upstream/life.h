// SPDX-License-Identifier: Apache-2.0
// A random history of guests in a town: they come to any worker, wait, go away, hold what they
// have, ask for another backend, while backends go and come. After each millisecond everything that
// is promised about places is checked.
#pragma once

#include "town.h"

// To the end of the history and of the town. `dry`: places without connections (guest.h).
void life_run(struct town *town, bool dry);
