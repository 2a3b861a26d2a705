// SPDX-License-Identifier: Apache-2.0
#include "upstream/queue.h"

#include "upstream/lease.h"
#include "upstream/pick.h"

enum { workers_max = 256 };

void queue_waiter_init(struct queue_waiter *waiter, const struct balance_tried *tried,
	void (*on_turn)(struct queue_waiter *waiter))
{
	waiter_init(&waiter->waiter);
	waiter->tried = tried;
	waiter->is_choosy = false;
	waiter->on_turn = on_turn;
}

// Whoever sees a choosy one in a queue afterwards sees it in `choosy` too (queue_freed).
static void count_in(struct picker *picker, struct queue_waiter *waiter)
{
	waiter->is_choosy = waiter->tried->count > 0;
	if (waiter->is_choosy)
		atomic_fetch_add(&picker->pool->choosy, 1);
	atomic_fetch_add(&picker->shared->waiting, 1);
	atomic_fetch_add(&picker->pool->waiting, 1);
}

static void count_out(struct picker *picker, const struct queue_waiter *waiter)
{
	atomic_fetch_sub(&picker->shared->waiting, 1);
	atomic_fetch_sub(&picker->pool->waiting, 1);
	if (waiter->is_choosy)
		atomic_fetch_sub(&picker->pool->choosy, 1);
}

static void wake(struct upstream *upstream, struct pool *pool, u32 worker)
{
	struct upstream *other;

	if (worker == upstream->number) {
		loop_defer(upstream->loop, &upstream_picker(upstream, pool)->serve);
		return;
	}
	other = atomic_load(&upstream->crowd->members[worker]);
	if (other)
		upstream_nudge(other);
}

// The next worker with a queue behind `last`, `except` left out; worker_count when there is none.
static u32 next_worker(struct pool *pool, u32 last, u32 except)
{
	u32 waiting[workers_max], count = MIN(pool->worker_count, (u32)workers_max);

	for (u32 i = 0; i < count; i++)
		waiting[i] = i == except ? 0 : atomic_load(&pool->cells[i].waiting);
	return waiters_next_thread(waiting, count, last);
}

// What was meant for this worker is more than it needs, or came too late for those who waited here:
// others may wait for it. That is no turn of theirs.
static void pass_on(struct picker *picker)
{
	u32 own = picker->upstream->number, next;

	if (!queue_is_general(picker->pool) || queue_others(picker) == 0 ||
		!picker_has_place(picker))
		return;
	next = next_worker(picker->pool, own, own);
	if (next < picker->pool->worker_count)
		wake(picker->upstream, picker->pool, next);
}

// Idle connections of other workers hold places: one that has any closes some. What they were to is
// not known here. When it turns out that they were of no use, this is called again, until none is
// left.
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

static void serve(struct task *task)
{
	struct picker *picker = container_of(task, struct picker, serve);
	struct loop *loop = picker->upstream->loop;
	struct waiter *at = NULL;
	u32 left = 2 * picker->queue.count;

	if (!picker->pool) // it is gone
		return;
	while ((at = waiters_next(&picker->queue, at, loop_now_ms(loop)))) {
		struct queue_waiter *waiter = container_of(at, struct queue_waiter, waiter);

		if (!picker_has_answer(picker, waiter->tried)) {
			if (waiter->is_choosy)
				continue;
			break; // nor has it for those behind
		}
		if (left-- == 0) { // others are faster, again and again: let the loop turn
			loop_defer(loop, &picker->serve);
			return;
		}
		waiters_leave(&picker->queue, at, loop_now_ms(loop));
		count_out(picker, waiter);
		// It may take a place; when it finds none it comes back. Then it is counted when
		// this looks again, so no place becomes free unseen.
		waiter->on_turn(waiter);
		at = NULL;
	}
	if (picker->queue.count)
		ask_for_idle(picker);
	pass_on(picker);
}

void queue_init(struct picker *picker)
{
	waiters_init(&picker->queue, loop_now_ms(picker->upstream->loop));
	picker->serve = (struct task){.run = serve};
}

bool queue_join(
	struct upstream *upstream, struct pool *pool, struct queue_waiter *waiter, u64 deadline_ms)
{
	struct picker *picker = upstream_picker(upstream, pool);

	if (!waiters_push(&picker->queue, &waiter->waiter, pool->conf->limits.queue, deadline_ms,
		    loop_now_ms(upstream->loop)))
		return false;
	waiter->pool = pool;
	count_in(picker, waiter);
	ask_for_idle(picker);
	// A place may have become free before we were counted; the first one here looks for those
	// behind it, but not for a choosy one.
	if (picker->queue.count == 1 || waiter->is_choosy)
		loop_defer(upstream->loop, &picker->serve);
	return true;
}

void queue_rejoin(struct upstream *upstream, struct queue_waiter *waiter)
{
	struct picker *picker = upstream_picker(upstream, waiter->pool);

	waiters_return(&picker->queue, &waiter->waiter);
	count_in(picker, waiter);
	ask_for_idle(picker);
}

void queue_leave(struct upstream *upstream, struct queue_waiter *waiter)
{
	struct picker *picker;

	if (!waiter_is_waiting(&waiter->waiter))
		return;
	picker = upstream_picker(upstream, waiter->pool);
	waiters_leave(&picker->queue, &waiter->waiter, loop_now_ms(upstream->loop));
	count_out(picker, waiter);
	// What woke this one may be meant for the next.
	if (picker->queue.count)
		loop_defer(upstream->loop, &picker->serve);
	else
		queue_freed(upstream, picker->pool);
}

void queue_take_out(struct picker *picker, struct list *ret_waiting)
{
	u64 now_ms = loop_now_ms(picker->upstream->loop);

	while (!list_is_empty(&picker->queue.queue)) {
		struct waiter *at = list_first(&picker->queue.queue, struct waiter, node);

		waiters_leave(&picker->queue, at, now_ms);
		count_out(picker, container_of(at, struct queue_waiter, waiter));
		list_push_back(ret_waiting, &at->node);
	}
}

void queue_offer(struct picker *picker, struct list *waiting)
{
	while (!list_is_empty(waiting)) {
		struct waiter *at = list_first(waiting, struct waiter, node);
		struct queue_waiter *waiter = container_of(at, struct queue_waiter, waiter);

		list_remove(&at->node);
		waiter->pool = picker->pool;
		waiter->on_turn(waiter);
	}
}

void queue_freed(struct upstream *upstream, struct pool *pool)
{
	u32 next;

	pool = upstream_picker(upstream, pool)->pool; // of now
	if (likely(!pool || !pool->is_bounded) || atomic_load(&pool->waiting) == 0)
		return;
	next = next_worker(pool, atomic_load(&pool->last_served), UINT32_MAX);
	if (next >= pool->worker_count)
		return;
	atomic_store(&pool->last_served, next);
	wake(upstream, pool, next);
	// It may be of no use to those who wait there.
	for (u32 i = 0; unlikely(atomic_load(&pool->choosy)) && i < pool->worker_count; i++)
		if (i != next && atomic_load(&pool->cells[i].waiting))
			wake(upstream, pool, i);
}

u32 queue_others(const struct picker *picker)
{
	u32 all = atomic_load(&picker->pool->waiting), own = atomic_load(&picker->shared->waiting);

	return all > own ? all - own : 0;
}
