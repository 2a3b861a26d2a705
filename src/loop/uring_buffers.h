// SPDX-License-Identifier: Apache-2.0
// The blocks that the io_uring twin lends to the kernel before it knows who will receive. Two
// groups share the pool: one for clients, one for upstream, so that a crowd of clients cannot take
// the blocks that answers need. A few blocks stand in each ring; their number doubles
// when the kernel found a ring empty, and halves when so many were not needed for a while.
#pragma once

#include <liburing.h>

#include "base/bytes.h"

enum buffer_group { GROUP_CLIENT, GROUP_UPSTREAM, GROUP_COUNT };

struct buffer_ring {
	struct io_uring_buf_ring *ring;
	u32 entries;	   // of the ring; a power of two
	u32 lent;	   // blocks in the ring now
	u32 wanted;	   // how many should be
	u32 wanted_min;	   // the fewest
	u32 wanted_max;	   // and the most that may be
	u32 refills_easy;  // in a row at which half of what is wanted was still there
	bool was_short;	   // the kernel found it empty since the last refill
	u32 free_id_count; // of free_ids
	u16 *free_ids;
	struct block **by_id;
};

struct buffers {
	struct io_uring *uring;
	struct block_pool *pool;
	struct buffer_ring rings[GROUP_COUNT];
};

// Registers both rings, still empty. 0 or negative errno (everything is undone then).
int buffers_init(
	struct buffers *buffers, struct io_uring *uring, struct block_pool *pool) must_check;

// Takes every block back. The kernel must not use the rings any more (io_uring_queue_exit).
void buffers_done(struct buffers *buffers);

// Fills the rings up to what is wanted, as far as the pool allows.
void buffers_refill(struct buffers *buffers);

// The kernel has used this block: one reference, owned by the caller.
struct block *buffers_take(struct buffers *buffers, enum buffer_group group, u16 id);

// The kernel found the ring empty.
void buffers_want_more(struct buffers *buffers, enum buffer_group group);
