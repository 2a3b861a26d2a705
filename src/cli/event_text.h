// SPDX-License-Identifier: Apache-2.0
// An event of the admin API as a line for people.
#pragma once

#include <jansson.h>

#include "cli/cells.h"
#include "cli/level.h"

// "2026-05-08 14:02:11 ✖ app/app-1: backend is down, up → down: connection refused", with who did
// it and how to take it back. The line is not ended.
void event_put(struct cells *cells, const json_t *event);

// "14:02:11 ✖ app/app-1 down: connection refused", without the pool where it has to be short.
void event_put_short(struct cells *cells, const json_t *event, bool with_pool);

// How bad what it tells of is.
enum level event_level(const json_t *event);
