// SPDX-License-Identifier: Apache-2.0
// A few lines for people at the start: which configuration was taken and what goes where. How it
// runs (io, workers, limits) is known only once it runs; the log says it.
#pragma once

#include "cli/load.h"

struct str summary_text(const struct load *load, struct arena *arena);
