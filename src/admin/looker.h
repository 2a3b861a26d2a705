// SPDX-License-Identifier: Apache-2.0
// Looks every LOOKER_EVERY_S which backends fail or are slow beside their peers, whether or not
// anybody asks, and hands that to the control thread, which knows since when and tells
// (control/unwell.h).
#pragma once

#include "admin/admin_inside.h"

enum { LOOKER_EVERY_S = 2 };

struct looker;

struct looker *looker_new(struct admin *admin);
void looker_free(struct looker *looker);

// Called once a second.
void looker_second(struct looker *looker);
