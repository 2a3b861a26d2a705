// SPDX-License-Identifier: Apache-2.0
// Which backend takes the next request: the one place that decides who is eligible. Today's rule:
// it has an address, a weight, and was not tried for this request.
#pragma once

#include "upstream/pool.h"

// NULL: nobody is left.
struct backend *pick_backend(struct pool *pool, const struct balance_tried *tried);

// Builds the order over the backends that are eligible now, in `arena`, and makes it current.
// Called by one thread at a time; an order that was current may still be read, so the arena must
// live as long as the pool.
void pick_rebuild(struct pool *pool, struct arena *arena);
