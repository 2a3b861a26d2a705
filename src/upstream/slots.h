// SPDX-License-Identifier: Apache-2.0
// What outlives configurations. Whatever is counted or known about a backend, a pool or a frontend
// stands under a number, its slot, that stays the same as long as a configuration names it: of a
// backend that is the name of its pool, its id and its address; of a pool or a frontend its name.
// So workers' cells, caps, statistics and the control thread's knowledge carry over to the next
// configuration without a copy, and arrays by slot never move.
//
// Memory for all slots that there may ever be is taken at once, and the kernel gives it page by
// page as slots are used. Slots are taken by whoever builds a snapshot and given back by the
// control thread when nobody uses them any more; never both at the same time.
#pragma once

#include "upstream/crowd.h"

#define SLOT_NONE UINT32_MAX

// The numbers below `count` have been used. Who was free longest is taken first, so that what still
// names a slot by its number (a decision record) is right for long.
struct slot_set {
	u32 max, count;
	u32 *freed; // a ring
	u32 freed_first, freed_count;
	u32 *since; // by slot: generation of the configuration that took it
	u32 *users; // by slot: snapshots that have it; the control thread's
};

// What all workers share of one backend.
struct seat {
	struct cap sockets; // counted where backend->sockets_max bounds them
	struct adaptive adaptive;
};

struct slots {
	u32 worker_count;
	struct slot_set backends, pools, frontends;
	struct cell **cells; // by worker, then by backend
	void **cell_memory;
	struct seat *seats;		// by backend
	struct cap *pool_requests;	// by pool: where limits.requests bounds them
	_Atomic(u32) *frontend_clients; // by frontend: where limits.connections bounds them
	struct crowd crowd;
};

struct slots *slots_new(u32 worker_count, u32 backends, u32 pools, u32 frontends);
void slots_free(struct slots *slots); // NULL is fine

// Any thread may ask.
static inline u32 slot_since(const struct slot_set *set, u32 slot)
{
	return __atomic_load_n(&set->since[slot], __ATOMIC_RELAXED);
}

// SLOT_NONE: there are no more.
u32 slot_take(struct slot_set *set, u32 generation) must_check;
void slot_give(struct slot_set *set, u32 slot);
