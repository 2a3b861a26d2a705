// SPDX-License-Identifier: Apache-2.0
// What explain (proxy/explain.h) has found out, as JSON (docs/api.md, `POST /api/v1/explain`).
#pragma once

#include "base/json.h"
#include "proxy/explain.h"

// One object. For EXPLAIN_ERROR, which wants a problem instead, only `error` and `cure` are in it.
void explain_write_json(struct json *json, const struct explain *explain);
