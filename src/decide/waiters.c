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

struct waiter *waiters_next(const struct waiters *waiters, const struct waiter *after, u64 now_ms)
{
	const struct list *node = after ? &after->node : &waiters->queue;

	while ((node = node->next) != &waiters->queue) {
		struct waiter *waiter = list_entry(node, struct waiter, node);

		if (now_ms < waiter->deadline_ms)
			return waiter;
	}
	return NULL;
}

void waiters_return(struct waiters *waiters, struct waiter *waiter)
{
	struct list *at = waiters->queue.next;

	ASSERT(!waiter_is_waiting(waiter));
	while (at != &waiters->queue &&
		list_entry(at, struct waiter, node)->since_ms < waiter->since_ms)
		at = at->next;
	list_insert_between(&waiter->node, at->prev, at);
	waiters->count++;
	// It was not gone: the queue has not been empty since.
	waiters->empty_ms = MIN(waiters->empty_ms, waiter->since_ms);
}

void waiters_leave(struct waiters *waiters, struct waiter *waiter, u64 now_ms)
{
	if (!waiter_is_waiting(waiter))
		return;
	list_remove(&waiter->node);
	if (--waiters->count == 0)
		waiters->empty_ms = now_ms;
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
