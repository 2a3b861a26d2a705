// SPDX-License-Identifier: Apache-2.0
// What the workers of a process know of each other's requests. Each tells which of its cells have
// changed, at most CROWD_TELL_MS after the change, in a journal of its own that all others read;
// and each looks into the journals before a pick, when it has not for CROWD_HEAR_MS. So what a
// worker believes the others have in flight is never older than both together and a turn of a loop,
// and what is told is only what has changed. Its own requests it knows at once.
//
// Only pools whose algorithm looks at requests in flight take part, and a worker that is alone
// costs nothing.
#pragma once

#include "loop/loop.h"
#include "upstream/pool.h"

struct upstream;

enum {
	CROWD_TELL_MS = 4,
	CROWD_HEAR_MS = 4,
	CROWD_JOURNAL_MAX = 4096, // entries
	CROWD_BATCH_MAX = 1024,	  // entries written before the head is moved
};

// One worker's, written by it alone: the numbers of cells that have changed. An entry is certain as
// long as fewer than CROWD_JOURNAL_MAX - CROWD_BATCH_MAX were written after it; who has missed one
// looks at all cells.
struct crowd_journal {
	_Alignas(CACHE_LINE) _Atomic(u64) head; // entries so far
	_Atomic(u32) entries[CROWD_JOURNAL_MAX];
};

// Shared by all workers, over all configurations (slots.h).
struct crowd {
	u32 count;
	_Atomic(struct upstream *) *members; // by number; NULL: has not started yet
	struct crowd_journal *journals;	     // by number; NULL: there is one worker
	struct cell **cells;		     // by number, then by cell
	u32 cell_max;
};

// What one worker has heard of the others.
struct crowd_ear {
	u32 *in_flight; // by cell: the others' sum
	u32 *heard;	// by worker and cell: what was in the sum
	u64 *read;	// by worker: entries of its journal
	u32 *dirty;	// cells of our own that were not told yet
	u32 dirty_count;
	u64 hear_ms; // look again from then on
	struct timer tell;
};

// `cells` is filled in by the caller, before any worker starts.
void crowd_init(struct crowd *crowd, u32 count, u32 cell_max);
void crowd_done(struct crowd *crowd);

void crowd_ear_init(struct crowd_ear *ear, const struct crowd *crowd);
void crowd_ear_done(struct crowd_ear *ear);

// Our own cell has changed.
void crowd_mark(struct upstream *upstream, struct cell *cell, u32 number);

// Before a pick: takes in what the others told since. `changed` is called for each backend whose
// sum is another one now.
typedef void crowd_changed_fn(struct upstream *upstream, struct backend *backend);
void crowd_hear(struct upstream *upstream, crowd_changed_fn *changed);
