// SPDX-License-Identifier: Apache-2.0
// What the control thread publishes about a pool: the flags of its backends, and the table that
// picks are made from. All calls are the control thread's, but view_of.
//
// A table is immutable and may still be read by a worker that has not seen the newer one; it is
// freed by view_collect once every worker has said (pool_cell.seen) that it uses nothing older.
#pragma once

#include "upstream/pool.h"

struct view {
	const struct balance_table *table;
	u64 generation; // from which on it is current
	struct view *older;
	struct arena arena;
};

// The first view of a pool. Flags are as snapshot_build left them: backends with an address and a
// weight are OK, the others are not.
void view_init(struct pool *pool);

// Makes known who may get requests (`why`, enum eligible_why for each backend) and how much of its
// weight each gets (`shares`, parts of SLOW_START_WHOLE). A kind whose table depends on either
// (round robin; the random ones when shares change) gets a new table. `eligible`: how many are in.
void view_publish(struct pool *pool, const u8 *why, const u8 *shares, u32 eligible);

// Its weight from the next view_publish on, which makes a new table of any kind for it.
void view_reweigh(struct backend *backend, u32 weight);

// How its last health check went, for those who look: now, and how long the answer took; 0: there
// was none.
void view_checked(struct backend *backend, u64 now_ms, u64 latency_us);

// Frees tables that nobody can be reading any more. False: some are left, because a worker has not
// looked since; tell it to (upstream_nudge).
bool view_collect(struct pool *pool);

// Frees everything. No worker runs.
void view_done(struct pool *pool);
