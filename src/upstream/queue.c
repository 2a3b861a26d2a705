// SPDX-License-Identifier: Apache-2.0
#include "upstream/queue.h"

#include "upstream/lease.h"
#include "upstream/pick.h"

enum { workers_max = 256 };

void queue_waiter_init(struct queue_waiter *waiter, void (*on_turn)(struct queue_waiter *waiter))
{
	waiter_init(&waiter->waiter);
	waiter->on_turn = on_turn;
}

static void count(struct picker *picker, u32 by)
{
	atomic_fetch_add(&picker->shared->waiting, by);
	atomic_fetch_add(&picker->pool->waiting, by);
}

static void serve(struct task *task)
{
	struct picker *picker = container_of(task, struct picker, serve);
	struct loop *loop = picker->upstream->loop;

	// Each turn of this may take a place; one that finds none goes back to the front.
	for (u32 left = picker->queue.count; left > 0 && picker_has_answer(picker); left--) {
		struct waiter *first = waiters_pop(&picker->queue, loop_now_ms(loop));
		struct queue_waiter *waiter;

		if (!first)
			return;
		count(picker, (u32)-1);
		waiter = container_of(first, struct queue_waiter, waiter);
		waiter->on_turn(waiter);
	}
}

void queue_init(struct picker *picker)
{
	waiters_init(&picker->queue, loop_now_ms(picker->upstream->loop));
	picker->serve = (struct task){.run = serve};
}

// Idle connections of other workers hold places: one that has any closes one.
static void ask_for_idle(struct picker *picker)
{
	struct crowd *crowd = picker->upstream->crowd;

	for (u32 i = 0; i < crowd->count; i++) {
		u32 other = (picker->upstream->number + 1 + i) % crowd->count;
		struct upstream *upstream = atomic_load(&crowd->members[other]);

		if (upstream && upstream != picker->upstream &&
			atomic_load(&picker->pool->cells[other].idle_bounded)) {
			upstream_nudge(upstream);
			return;
		}
	}
}

bool queue_join(
	struct upstream *upstream, struct pool *pool, struct queue_waiter *waiter, u64 deadline_ms)
{
	struct picker *picker = upstream_picker(upstream, pool);

	if (!waiters_push(&picker->queue, &waiter->waiter, pool->conf->limits.queue, deadline_ms,
		    loop_now_ms(upstream->loop)))
		return false;
	waiter->pool = pool;
	count(picker, 1);
	ask_for_idle(picker);
	// A place may have become free before we were counted.
	if (picker->queue.count == 1)
		loop_defer(upstream->loop, &picker->serve);
	return true;
}

void queue_rejoin(struct upstream *upstream, struct queue_waiter *waiter)
{
	struct picker *picker = upstream_picker(upstream, waiter->pool);

	waiters_return(&picker->queue, &waiter->waiter);
	count(picker, 1);
	ask_for_idle(picker);
}

void queue_leave(struct upstream *upstream, struct queue_waiter *waiter)
{
	struct picker *picker;

	if (!waiter_is_waiting(&waiter->waiter))
		return;
	picker = upstream_picker(upstream, waiter->pool);
	waiters_leave(&picker->queue, &waiter->waiter, loop_now_ms(upstream->loop));
	count(picker, (u32)-1);
	// What woke this one may be meant for the next.
	if (picker->queue.count)
		loop_defer(upstream->loop, &picker->serve);
	else
		queue_freed(upstream, picker->pool);
}

static u32 next_worker(struct pool *pool)
{
	u32 waiting[workers_max], count = MIN(pool->worker_count, (u32)workers_max);

	for (u32 i = 0; i < count; i++)
		waiting[i] = atomic_load(&pool->cells[i].waiting);
	return waiters_next_thread(waiting, count, atomic_load(&pool->last_served));
}

void queue_freed(struct upstream *upstream, struct pool *pool)
{
	struct upstream *other;
	u32 next;

	if (likely(!pool->is_bounded) || atomic_load(&pool->waiting) == 0)
		return;
	next = next_worker(pool);
	if (next >= pool->worker_count)
		return;
	atomic_store(&pool->last_served, next);
	if (next == upstream->number) {
		loop_defer(upstream->loop, &upstream_picker(upstream, pool)->serve);
		return;
	}
	other = atomic_load(&upstream->crowd->members[next]);
	if (other)
		upstream_nudge(other);
}

bool queue_others_wait(const struct picker *picker)
{
	return atomic_load(&picker->pool->waiting) > picker->queue.count;
}
