// SPDX-License-Identifier: Apache-2.0
// Timers in a hierarchical wheel (Varghese and Lauck 1987): four levels of 64 slots, one
// millisecond apart at the finest. Setting and cancelling cost the same whether ten or a hundred
// thousand wait.
//
// Re-arming is lazy: a later deadline only writes a field, and the timer is put into its right slot
// when the old one comes round. A timer never fires early, and at most one tick late.
#pragma once

#include "base/list.h"

struct timer;
typedef void timer_fn(struct timer *timer);

struct timer {
	struct list node;
	u64 deadline_ms; // on the wheel's clock; meaningful while linked
	timer_fn *fire;
};

enum { WHEEL_LEVELS = 4, WHEEL_SLOTS = 64 };

struct wheel {
	u64 now_ms;		    // every deadline at or before it has fired
	u64 occupied[WHEEL_LEVELS]; // a bit per slot that may hold timers
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
	u32 count;
};

void wheel_init(struct wheel *wheel, u64 now_ms);

static inline void timer_init(struct timer *timer, timer_fn *fire)
{
	list_init(&timer->node);
	timer->fire = fire;
}

static inline bool timer_is_set(const struct timer *timer)
{
	return list_is_linked(&timer->node);
}

void wheel_insert(struct wheel *wheel, struct timer *timer);

// Fires once at `deadline_ms`. An armed timer is moved.
static inline void wheel_set(struct wheel *wheel, struct timer *timer, u64 deadline_ms)
{
	if (timer_is_set(timer)) {
		bool later = deadline_ms >= timer->deadline_ms;

		timer->deadline_ms = deadline_ms;
		if (later)
			return;
		list_remove(&timer->node);
		wheel->count--;
	}
	timer->deadline_ms = deadline_ms;
	wheel_insert(wheel, timer);
}

static inline void wheel_cancel(struct wheel *wheel, struct timer *timer)
{
	if (!timer_is_set(timer))
		return;
	list_remove(&timer->node);
	wheel->count--;
}

// Moves the clock and fires what is due, in order of deadline up to a tick. A callback may set and
// cancel any timer, its own included. True: some were due, or had to be sorted again.
bool wheel_advance(struct wheel *wheel, u64 now_ms);

// The moment at which wheel_advance has something to do (it may turn out to be only re-sorting), or
// UINT64_MAX when no timer is set.
u64 wheel_next_ms(const struct wheel *wheel);
