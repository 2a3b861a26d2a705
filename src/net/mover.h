// SPDX-License-Identifier: Apache-2.0
// Long plain bodies from one socket to another without passing through the process: splice(2) over
// a pipe. A pipe is borrowed only while bytes are in it, from a small pool per worker, because the
// kernel makes pipes tiny once a user owns too many.
//
// Preconditions of mover_start: both conns open, nothing received but undelivered on the source, no
// receive out on it and its sock quiet; the target flushed. While a mover runs it owns both
// directions concerned: receiving from the source and sending to the target.
#pragma once

#include "net/conn.h"

enum mover_end {
	MOVER_DONE,   // all of `left` was moved
	MOVER_EOF,    // the source ended before
	MOVER_PAUSED, // the source is silent and sent little: go back to copying
	MOVER_SOURCE_FAILED,
	MOVER_TARGET_FAILED,
	MOVER_STOPPED, // a conn is closing or mover_stop was called; bytes in the pipe are lost
};

struct mover;
// Runs from the loop's turn. The mover is detached from both conns and may be started again or
// dropped.
typedef void mover_done_fn(struct mover *mover, enum mover_end end);

// Bytes that were on their way, for the target and before everything that follows. Takes over the
// slice. False: there is no room for them.
typedef bool mover_spill_fn(struct mover *mover, struct slice slice);

struct mover_pipes {
	int free[16][2];
	u32 free_count;
};

struct mover {
	struct conn *source, *target; // NULL: not running
	struct mover_pipes *pipes;
	mover_done_fn *done;
	mover_spill_fn *spill; // NULL: it need not halt
	struct task task;
	u64 left;      // still to be read from the source; UINT64_MAX = to its end
	u64 moved;     // written to the target so far
	u64 burst;     // read since the source was last silent
	u64 active_ms; // when bytes last moved
	u32 in_pipe;
	int pipe[2];
	u8 end;	     // enum mover_end, when ending
	bool ending; // `done` is due
};

void mover_pipes_done(struct mover_pipes *pipes);

// 0, or negative errno when no pipe can be had (copy instead).
int mover_start(struct mover *mover, struct mover_pipes *pipes, struct conn *source,
	struct conn *target, u64 left, mover_done_fn *done) must_check;

static inline bool mover_is_running(const struct mover *mover)
{
	return mover->source != NULL;
}

// Ends it; `done` is told MOVER_STOPPED later.
void mover_stop(struct mover *mover);

// Ends it as soon as it can, without waiting for anybody: what is in the pipe goes to `spill`.
// `done` is told MOVER_PAUSED later, or that it ended in another way before.
void mover_halt(struct mover *mover, mover_spill_fn *spill);

// Ends it without telling anybody (its owner goes away).
void mover_drop(struct mover *mover);

// For conn: readiness of the source | the target was heard (loop_ready's result).
void mover_source_ready(struct mover *mover, int result);
void mover_target_ready(struct mover *mover, int result);
