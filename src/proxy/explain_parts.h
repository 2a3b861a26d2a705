// SPDX-License-Identifier: Apache-2.0
// Inside of explain only: explain.c follows the request to its pool, explain_pool.c from there on.
#pragma once

#include "proxy/exchange_parts.h"
#include "proxy/explain.h"

// A copy in the result's arena, zero-terminated. Where there is no room the result has an error.
struct str explain_keep(struct explain *explain, struct str text);
void *explain_alloc(struct explain *explain, size_t size); // zeroed; NULL

// What follows the steps before the pick: x->pool is set.
void explain_pools(struct explain *explain, struct exchange *x);
