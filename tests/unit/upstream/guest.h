// SPDX-License-Identifier: Apache-2.0
// A guest goes the way of an exchange through a worker's upstream side: it picks, waits in the
// queue, gets a connection, asks, holds what it has for a while, and gives it back.
#pragma once

#include "town.h"

enum guest_state {
	GUEST_IDLE,
	GUEST_QUEUES,	   // for a place
	GUEST_CONNECTS,	   // for a connection
	GUEST_ASKS,	   // for its answer
	GUEST_HOLDS,	   // has it, and gives nothing back yet
	GUEST_SERVED,	   // from here on it is over
	GUEST_TURNED_AWAY, // nobody is eligible, or all were tried
	GUEST_REFUSED,	   // the queue is full
	GUEST_LATE,	   // its time in the queue is over
	GUEST_LEFT,	   // went away by itself
	GUEST_BROKEN,	   // no connection, or it broke
};

struct guest {
	struct town *town;
	struct resident *worker;
	u32 number; // the worker's
	// How it behaves.
	bool dry;	 // takes a place, without any connection
	bool fresh;	 // wants a connection that nobody has used
	bool cuts;	 // ends its connection instead of giving it back
	u32 hold_ms;	 // after the answer
	bool dawdles;	 // between looking for a place and joining the queue
	bool is_brief;	 // holds it to the end of the turn instead
	u32 patience_ms; // in the queue
	struct balance_tried tried;
	// What it has.
	struct pick pick;
	struct lease lease;
	struct queue_waiter waiter;
	struct timer timer;
	struct task brief;
	u8 state; // enum guest_state
	bool is_next;
	u32 waits, turns; // times it joined the queue | it was its turn
	u64 came_ms, served_ms, served_order;
};

// The order in which guests got what they wanted, over all of them.
extern _Atomic(u64) guests_served;

void guest_init(struct guest *guest, struct town *town, u32 worker);
void guest_come(struct guest *guest);

// Ends what it does, in whatever state: goes away from the queue, cuts its connection, or gives it
// back when it only holds it.
void guest_leave(struct guest *guest);

static inline bool guest_is_over(const struct guest *guest)
{
	return guest->state == GUEST_IDLE || guest->state >= GUEST_SERVED;
}
