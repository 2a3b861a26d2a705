// SPDX-License-Identifier: Apache-2.0
// The queue for a place at a backend that is full: one per thread, first come, first served,
// bounded in length and time. A waiter is embedded in whoever waits; memory is the owner's.
//
// Between threads the places that become free go round (waiters_next_thread), so that nobody's
// queue starves because another thread frees more.
#pragma once

#include "base/list.h"

struct waiter {
	struct list node;
	u64 since_ms, deadline_ms;
};

struct waiters {
	struct list queue; // oldest first
	u32 count;
	u64 empty_ms; // the last moment it was known to be empty (shed.h)
};

void waiters_init(struct waiters *waiters, u64 now_ms);

static inline void waiter_init(struct waiter *waiter)
{
	list_init(&waiter->node);
}

static inline bool waiter_is_waiting(const struct waiter *waiter)
{
	return list_is_linked(&waiter->node);
}

// To the end of the queue, until deadline_ms. False: count_max wait already (0: nobody may).
bool waiters_push(struct waiters *waiters, struct waiter *waiter, u32 count_max, u64 deadline_ms,
	u64 now_ms) must_check;

// The oldest one behind `after` (NULL: of all) whose deadline has not passed, left where it is;
// those that are passed over stay until their owners' timers ring. NULL: nobody.
struct waiter *waiters_next(
	const struct waiters *waiters, const struct waiter *after, u64 now_ms) must_check;

// Back to where it was, with the moments it had: what it was taken for has gone to somebody else.
void waiters_return(struct waiters *waiters, struct waiter *waiter);

// Goes away: its turn has come, or its owner's timer rings. Nothing happens when it does not wait.
void waiters_leave(struct waiters *waiters, struct waiter *waiter, u64 now_ms);

// The thread that gets the next free place: the first with waiting[i] > 0 behind `last`, which
// comes last itself. `count` when nobody waits.
u32 waiters_next_thread(const u32 *waiting, u32 count, u32 last);
