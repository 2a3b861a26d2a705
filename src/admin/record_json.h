// SPDX-License-Identifier: Apache-2.0
// A decision record (proxy/record.h) for readers: as JSON (docs/api.md, `GET /api/v1/requests/ID`),
// with sentences that tell in order what was done with the request and why.
#pragma once

#include "base/json.h"
#include "proxy/record.h"
#include "proxy/snapshot.h"

// One object. Names are those of `snapshot`; of a record that is of another configuration (another
// generation) they are not known, and null.
void record_write_json(
	struct json *json, const struct snapshot *snapshot, const struct record *record);
