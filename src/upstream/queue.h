// SPDX-License-Identifier: Apache-2.0
// Requests that wait because every backend that could take them is full: one queue per pool and
// worker, first come, first served, bounded in length. Any place that becomes free serves the
// oldest; between workers the places go round (waiters_next_thread), so nobody's queue starves
// because another worker frees more.
//
// Who is sent again waits for a backend that it has not tried. It holds up nobody who is content
// with another: those behind it pass it by, and whoever comes does not stand back for it. While
// such a one waits, each worker with a queue hears of each place.
//
// No place is lost: who joins counts itself in pool->waiting and then looks again for a place; who
// frees a place does so and then looks whether anybody waits. Both orders are sequentially
// consistent, so at least one of them sees the other.
#pragma once

#include "upstream/upstream.h"

struct queue_waiter {
	struct waiter waiter;
	struct pool *pool;
	const struct balance_tried *tried; // does not change while it waits
	bool is_choosy;			   // something was tried
	// There may be a place: pick again, with is_next. When it is gone again, queue_rejoin.
	void (*on_turn)(struct queue_waiter *waiter);
};

void queue_waiter_init(struct queue_waiter *waiter, const struct balance_tried *tried,
	void (*on_turn)(struct queue_waiter *waiter));

// False: limits.queue wait already.
bool queue_join(struct upstream *upstream, struct pool *pool, struct queue_waiter *waiter,
	u64 deadline_ms) must_check;

// Back to its place in the order, from within on_turn.
void queue_rejoin(struct upstream *upstream, struct queue_waiter *waiter);

// Goes away by itself. Nothing happens when it does not wait.
void queue_leave(struct upstream *upstream, struct queue_waiter *waiter);

// A place at a backend of this pool, or of the pool itself, has become free.
void queue_freed(struct upstream *upstream, struct pool *pool);

// How many requests of other workers wait for this pool.
u32 queue_others(const struct picker *picker);

// Whether somebody waits who takes any place, so that who comes now has to stand back.
static inline bool queue_is_general(const struct pool *pool)
{
	return atomic_load(&pool->waiting) > atomic_load(&pool->choosy);
}

// How many wait in this pool, all workers together.
static inline u32 queue_waiting(const struct pool *pool)
{
	return atomic_load(&pool->waiting);
}

// The pool has another object: takes all who wait out of the queue, to be offered what is there in
// the new one, in their order.
void queue_take_out(struct picker *picker, struct list *ret_waiting);
void queue_offer(struct picker *picker, struct list *waiting);

void queue_init(struct picker *picker);
