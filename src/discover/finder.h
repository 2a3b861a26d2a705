// SPDX-License-Identifier: Apache-2.0
// Providers as the control thread sees them: it asks for a configuration with their backends, and
// is told when there is another one to be asked for.
#pragma once

#include "control/control.h"

struct finder;

// `state_folder` NULL: no list is kept. Both are borrowed.
struct finder *finder_new(const char *state_folder);
void finder_free(struct finder *finder);

// For control_options. It does nothing where there is no provider.
struct control_finder finder_table(struct finder *finder);
