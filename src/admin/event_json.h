// SPDX-License-Identifier: Apache-2.0
// An event (control/changes.h) as JSON (docs/api.md, `GET /api/v1/events`).
#pragma once

#include "base/json.h"
#include "control/changes.h"

// One object. `undo_body` of the event is JSON already, or empty.
void event_write_json(struct json *json, const struct event_copy *event);
