// SPDX-License-Identifier: Apache-2.0
// An exact bound on how many of something there are, over all threads: the sockets to a backend, a
// pool's or a frontend's connections. One atomic number; a place is taken before the thing is made
// and given back after it is gone, so the bound holds at every moment.
#pragma once

#include <stdatomic.h>

#include "base/base.h"

struct cap {
	_Atomic(u32) used;
};

// One place of `max` (0 = no bound; it is counted all the same). False: all are taken.
static inline bool cap_take(struct cap *cap, u32 max)
{
	u32 used = atomic_load_explicit(&cap->used, memory_order_relaxed);

	do {
		if (max && used >= max)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&cap->used, &used, used + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}

// Sequentially consistent: whoever gives a place back looks afterwards whether anybody waits, and
// whoever begins to wait looks afterwards whether there is a place.
static inline void cap_give(struct cap *cap)
{
	u32 before = atomic_fetch_sub(&cap->used, 1);

	ASSERT(before > 0);
}

static inline u32 cap_used(const struct cap *cap)
{
	return atomic_load_explicit(&cap->used, memory_order_relaxed);
}
