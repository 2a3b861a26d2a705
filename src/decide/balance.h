// SPDX-License-Identifier: Apache-2.0
// Which backend is next. Build a table once, pick from it per request: no I/O, no clock, no
// randomness of its own. Eligibility comes from outside (upstream/pick).
#pragma once

#include "base/arena.h"

enum { BALANCE_NONE = UINT32_MAX, BALANCE_WEIGHT_MAX = 65535, BALANCE_TRIED_MAX = 16 };

// Backends a request was already sent to.
struct balance_tried {
	u32 count;
	u32 index[BALANCE_TRIED_MAX];
};

bool balance_was_tried(const struct balance_tried *tried, u32 index);

// False when the list is full: no further try.
bool balance_try(struct balance_tried *tried, u32 index) must_check;

// A smooth weighted order: each member as often as its weight says, spread out as nginx's smooth
// weighted round robin does it ({5,1,1} gives a a b a c a a). Weight 0 never appears.
struct balance_order {
	u32 *index;
	u32 len; // 0: nobody
};

// weights[i] is member i's, at most BALANCE_WEIGHT_MAX. The order lives in the arena. Very long
// orders (weights without a common divisor over many members) are shortened to order_len_max with
// shares rounded, everybody with a weight keeping at least one place.
void balance_order_build(
	struct arena *arena, const u32 *weights, u32 count, struct balance_order *ret_order);

// The member at `position` or, when it was tried already, the next one behind it that was not.
// BALANCE_NONE when every member was tried.
u32 balance_order_pick(
	const struct balance_order *order, u64 position, const struct balance_tried *tried);
