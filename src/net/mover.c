// SPDX-License-Identifier: Apache-2.0
#include "net/mover.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	pipe_bytes = 256 * 1024,
	rounds_per_turn = 8,
	splice_bytes_max = 1024 * 1024,
	lively_burst_bytes = 16 * 1024, // less than this and silence: copying is cheaper
};

static int take_pipe(struct mover *mover)
{
	struct mover_pipes *pipes = mover->pipes;

	if (mover->pipe[0] >= 0)
		return 0;
	if (pipes->free_count) {
		pipes->free_count--;
		mover->pipe[0] = pipes->free[pipes->free_count][0];
		mover->pipe[1] = pipes->free[pipes->free_count][1];
		return 0;
	}
	if (pipe2(mover->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
		int error = -errno;

		mover->pipe[0] = mover->pipe[1] = -1;
		return error;
	}
	(void)fcntl(mover->pipe[0], F_SETPIPE_SZ, pipe_bytes); // smaller works too, only slower
	return 0;
}

static void give_pipe_back(struct mover *mover)
{
	struct mover_pipes *pipes = mover->pipes;

	if (mover->pipe[0] < 0)
		return;
	if (mover->in_pipe == 0 && pipes->free_count < ARRAY_LEN(pipes->free)) {
		pipes->free[pipes->free_count][0] = mover->pipe[0];
		pipes->free[pipes->free_count][1] = mover->pipe[1];
		pipes->free_count++;
	} else {
		close(mover->pipe[0]);
		close(mover->pipe[1]);
	}
	mover->pipe[0] = mover->pipe[1] = -1;
	mover->in_pipe = 0;
}

void mover_pipes_done(struct mover_pipes *pipes)
{
	while (pipes->free_count) {
		pipes->free_count--;
		close(pipes->free[pipes->free_count][0]);
		close(pipes->free[pipes->free_count][1]);
	}
}

static void conclude(struct mover *mover, enum mover_end how)
{
	if (mover->ending)
		return;
	mover->ending = true;
	mover->end = (u8)how;
}

// The same, from outside the mover's own task, which then has to run once more.
static void end(struct mover *mover, enum mover_end how)
{
	conclude(mover, how);
	loop_defer(mover->source->loop, &mover->task);
}

static void detach(struct mover *mover)
{
	give_pipe_back(mover);
	mover->source->mover_in = NULL;
	mover->target->mover_out = NULL;
	conn_poke(mover->source);
	conn_poke(mover->target);
	mover->source = mover->target = NULL;
}

// One fill of the pipe. False: wait or end.
static bool pull(struct mover *mover)
{
	size_t want = (size_t)MIN(mover->left, (u64)splice_bytes_max);
	ssize_t got;

	if (take_pipe(mover) != 0) { // no descriptors left: copying needs none
		conclude(mover, MOVER_PAUSED);
		return false;
	}
	got = splice(mover->source->sock.fd, NULL, mover->pipe[1], NULL, want,
		SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (got > 0) {
		mover->in_pipe += (u32)got;
		mover->burst += (u64)got;
		mover->source->bytes_in += (u64)got;
		if (mover->left != UINT64_MAX)
			mover->left -= (u64)got;
		return true;
	}
	if (got == 0) {
		conclude(mover, MOVER_EOF);
	} else if (errno != EAGAIN && errno != EINTR) {
		conclude(mover, MOVER_SOURCE_FAILED);
	} else if (mover->left == UINT64_MAX && mover->burst < lively_burst_bytes) {
		conclude(mover, MOVER_PAUSED);
	} else {
		mover->burst = 0;
		give_pipe_back(mover);
		mover->source->ready_in = true;
		loop_ready(mover->source->loop, &mover->source->sock, &mover->source->receive,
			LOOP_IN | LOOP_DRAINED);
	}
	return false;
}

// Empties the pipe. False: wait or end.
static bool push(struct mover *mover)
{
	u32 more = mover->left ? SPLICE_F_MORE : 0;
	ssize_t put = splice(mover->pipe[0], NULL, mover->target->sock.fd, NULL, mover->in_pipe,
		SPLICE_F_NONBLOCK | SPLICE_F_MOVE | (mover->left != UINT64_MAX ? more : 0));

	if (put > 0) {
		mover->in_pipe -= (u32)put;
		mover->moved += (u64)put;
		mover->active_ms = loop_now_ms(mover->target->loop);
		mover->target->bytes_out += (u64)put;
		return true;
	}
	if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
		mover->target->ready_out = true;
		loop_ready(mover->target->loop, &mover->target->sock, &mover->target->send,
			LOOP_OUT | LOOP_DRAINED);
	} else {
		conclude(mover, MOVER_TARGET_FAILED);
	}
	return false;
}

static void step(struct mover *mover)
{
	for (int round = 0; round < rounds_per_turn; round++) {
		if (mover->in_pipe ? !push(mover) : !pull(mover))
			return;
		if (mover->in_pipe == 0 && mover->left == 0) {
			conclude(mover, MOVER_DONE);
			return;
		}
	}
	loop_defer(mover->source->loop, &mover->task);
}

// Reads what is in the pipe. False: it is lost, for want of memory.
static bool empty_pipe(struct mover *mover)
{
	struct block_pool *pool = &mover->target->loop->blocks;

	while (mover->in_pipe) {
		size_t want = MIN((size_t)mover->in_pipe, (size_t)BLOCK_BYTES);
		struct block *block = block_get_sized(pool, want);
		ssize_t got = block ? read(mover->pipe[0], block->data, want) : -1;

		if (got <= 0) {
			if (block)
				block_unref(block);
			return false;
		}
		block->used = block->size;
		mover->in_pipe -= (u32)got;
		if (!mover->spill(mover,
			    (struct slice){.block = block, .ptr = block->data, .len = (size_t)got}))
			return false;
	}
	return true;
}

// The end is told in the task that saw it: a round later the target may already have answered, and
// its answer must not seem to come before the end of the request.
static void run(struct task *task)
{
	struct mover *mover = container_of(task, struct mover, task);

	if (!mover->source)
		return;
	if (unlikely(mover->spill))
		conclude(mover, MOVER_PAUSED);
	else if (!mover->ending)
		step(mover);
	if (!mover->ending || op_is_out(&mover->source->receive) || op_is_out(&mover->target->send))
		return; // told again when they are heard
	if (unlikely(mover->spill) && mover->end == MOVER_PAUSED && !empty_pipe(mover))
		mover->end = MOVER_STOPPED;
	detach(mover);
	mover->ending = false;
	mover->done(mover, (enum mover_end)mover->end);
}

int mover_start(struct mover *mover, struct mover_pipes *pipes, struct conn *source,
	struct conn *target, u64 left, mover_done_fn *done)
{
	int error;

	ASSERT(!op_is_out(&source->receive) && !op_is_out(&target->send));
	mover->pipes = pipes;
	mover->pipe[0] = mover->pipe[1] = -1;
	mover->in_pipe = 0;
	error = take_pipe(mover);
	if (error)
		return error;
	mover->source = source;
	mover->target = target;
	mover->done = done;
	mover->spill = NULL;
	mover->left = left;
	mover->moved = 0;
	mover->burst = lively_burst_bytes;
	mover->ending = false;
	mover->task.run = run;
	source->mover_in = mover;
	target->mover_out = mover;
	loop_defer(source->loop, &mover->task);
	return 0;
}

void mover_stop(struct mover *mover)
{
	loop_cancel(mover->source->loop, &mover->source->receive);
	loop_cancel(mover->target->loop, &mover->target->send);
	end(mover, MOVER_STOPPED);
}

void mover_halt(struct mover *mover, mover_spill_fn *spill)
{
	mover->spill = spill;
	loop_cancel(mover->source->loop, &mover->source->receive);
	loop_cancel(mover->target->loop, &mover->target->send);
	loop_defer(mover->source->loop, &mover->task);
}

void mover_drop(struct mover *mover)
{
	if (!mover->source)
		return;
	loop_cancel(mover->source->loop, &mover->source->receive);
	loop_cancel(mover->target->loop, &mover->target->send);
	detach(mover);
}

void mover_source_ready(struct mover *mover, int result)
{
	if (result < 0 && result != -ECANCELED)
		end(mover, MOVER_SOURCE_FAILED);
	loop_defer(mover->source->loop, &mover->task);
}

void mover_target_ready(struct mover *mover, int result)
{
	if (result < 0 && result != -ECANCELED)
		end(mover, MOVER_TARGET_FAILED);
	loop_defer(mover->target->loop, &mover->task);
}
