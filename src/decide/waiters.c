// SPDX-License-Identifier: Apache-2.0
#include "decide/waiters.h"

void waiters_init(struct waiters *waiters, u64 now_ms)
{
	list_init(&waiters->queue);
	waiters->count = 0;
	waiters->empty_ms = now_ms;
}

bool waiters_push(
	struct waiters *waiters, struct waiter *waiter, u32 count_max, u64 deadline_ms, u64 now_ms)
{
	ASSERT(!waiter_is_waiting(waiter));
	if (waiters->count >= count_max)
		return false;
	if (waiters->count == 0)
		waiters->empty_ms = now_ms;
	waiter->since_ms = now_ms;
	waiter->deadline_ms = deadline_ms;
	list_push_back(&waiters->queue, &waiter->node);
	waiters->count++;
	return true;
}

static struct waiter *take(struct waiters *waiters, struct waiter *waiter, u64 now_ms)
{
	list_remove(&waiter->node);
	if (--waiters->count == 0)
		waiters->empty_ms = now_ms;
	return waiter;
}

struct waiter *waiters_pop(struct waiters *waiters, u64 now_ms)
{
	list_for_each (node, &waiters->queue) {
		struct waiter *waiter = list_entry(node, struct waiter, node);

		if (now_ms < waiter->deadline_ms)
			return take(waiters, waiter, now_ms);
	}
	return NULL;
}

void waiters_return(struct waiters *waiters, struct waiter *waiter)
{
	ASSERT(!waiter_is_waiting(waiter));
	list_push_front(&waiters->queue, &waiter->node);
	waiters->count++;
}

void waiters_leave(struct waiters *waiters, struct waiter *waiter, u64 now_ms)
{
	if (waiter_is_waiting(waiter))
		(void)take(waiters, waiter, now_ms);
}

u32 waiters_next_thread(const u32 *waiting, u32 count, u32 last)
{
	for (u32 i = 1; i <= count; i++) {
		u32 at = (last + i) % count;

		if (waiting[at])
			return at;
	}
	return count;
}
