// SPDX-License-Identifier: Apache-2.0
#include "loop/uring_buffers.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/mem.h"

// What is lent is touched sooner or later, so the most of it is a cost of every worker: 4 MB a
// group. Four times as many are not faster with 2,000 connections.
enum { entries_max = 256, wanted_at_first = 16, refills_watched = 64 };

static u32 power_of_two_above(u32 count)
{
	u32 power = 1;

	while (power < count)
		power *= 2;
	return power;
}

// liburing 2.3 cannot set up a ring of buffers, only register one: the memory is ours.
static int ring_init(struct buffer_ring *ring, struct io_uring *uring, int group, u32 blocks_max)
{
	u32 entries = MIN((u32)entries_max, power_of_two_above(blocks_max));
	struct io_uring_buf_reg reg = {.ring_entries = entries, .bgid = (u16)group};
	void *memory = mmap(NULL, entries * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
		MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	int result;

	if (memory == MAP_FAILED)
		return -errno;
	reg.ring_addr = (u64)(uintptr_t)memory;
	result = io_uring_register_buf_ring(uring, &reg, 0);
	if (result) {
		munmap(memory, entries * sizeof(struct io_uring_buf));
		return result;
	}
	*ring = (struct buffer_ring){.ring = memory,
		.entries = entries,
		.wanted_max = MIN(entries, blocks_max),
		.free_ids = mem_alloc(entries * sizeof(*ring->free_ids)),
		.by_id = mem_alloc(entries * sizeof(struct block *))};
	ring->wanted = ring->wanted_min = MIN((u32)wanted_at_first, MAX(1, ring->wanted_max / 4));
	io_uring_buf_ring_init(ring->ring);
	for (u32 id = 0; id < entries; id++)
		ring->free_ids[ring->free_id_count++] = (u16)id;
	return 0;
}

static void ring_done(struct buffer_ring *ring)
{
	if (!ring->ring)
		return;
	for (u32 id = 0; id < ring->entries; id++)
		if (ring->by_id[id])
			block_unref(ring->by_id[id]);
	munmap(ring->ring, ring->entries * sizeof(struct io_uring_buf));
	mem_free(ring->free_ids);
	mem_free(ring->by_id);
	ring->ring = NULL;
}

int buffers_init(struct buffers *buffers, struct io_uring *uring, struct block_pool *pool)
{
	u32 upstream_max = MAX(1, pool->large_reserved);
	u32 client_max = MAX(1, pool->large.used_max - pool->large_reserved);
	int result;

	*buffers = (struct buffers){.uring = uring, .pool = pool};
	result = ring_init(&buffers->rings[GROUP_CLIENT], uring, GROUP_CLIENT, client_max);
	if (result == 0)
		result = ring_init(
			&buffers->rings[GROUP_UPSTREAM], uring, GROUP_UPSTREAM, upstream_max);
	return result;
}

void buffers_done(struct buffers *buffers)
{
	for (int group = 0; group < GROUP_COUNT; group++)
		ring_done(&buffers->rings[group]);
}

// Blocks that stand idle in the ring for upstream count as the reserve.
static bool client_may_take(const struct buffers *buffers)
{
	const struct block_pool *pool = buffers->pool;
	u32 lent = buffers->rings[GROUP_UPSTREAM].lent;
	u32 reserved = pool->large_reserved - MIN(lent, pool->large_reserved);

	return pool->large.used + reserved < pool->large.used_max;
}

// The kernel takes the blocks in the order in which they were lent, so each of them comes round,
// needed or not: more than are needed push everything else out of the near cache. Half of them have
// to have been of no use for a while, because what comes in bursts will come again.
static void ring_fit(struct buffer_ring *ring)
{
	if (unlikely(ring->was_short)) {
		ring->wanted = MIN(ring->wanted * 2, ring->wanted_max);
		ring->was_short = false;
	} else if (ring->lent < ring->wanted / 2) {
		// All that are wanted may be needed.
	} else if (++ring->refills_easy < refills_watched) {
		return;
	} else {
		ring->wanted = MAX(ring->wanted / 2, ring->wanted_min);
	}
	ring->refills_easy = 0;
}

static void ring_refill(struct buffers *buffers, enum buffer_group group)
{
	struct buffer_ring *ring = &buffers->rings[group];
	int mask = io_uring_buf_ring_mask(ring->entries), added = 0;

	ring_fit(ring);
	while (ring->lent < ring->wanted && (group == GROUP_UPSTREAM || client_may_take(buffers))) {
		struct block *block = block_get(buffers->pool, true);

		if (!block)
			break;
		block->id = ring->free_ids[--ring->free_id_count];
		ring->by_id[block->id] = block;
		io_uring_buf_ring_add(ring->ring, block->data, BLOCK_BYTES, block->id, mask, added);
		ring->lent++;
		added++;
	}
	if (added)
		io_uring_buf_ring_advance(ring->ring, added);
}

void buffers_refill(struct buffers *buffers)
{
	ring_refill(buffers, GROUP_UPSTREAM);
	ring_refill(buffers, GROUP_CLIENT);
}

struct block *buffers_take(struct buffers *buffers, enum buffer_group group, u16 id)
{
	struct buffer_ring *ring = &buffers->rings[group];
	struct block *block;

	ASSERT(id < ring->entries && ring->by_id[id]);
	block = ring->by_id[id];
	ring->by_id[id] = NULL;
	ring->free_ids[ring->free_id_count++] = id;
	ring->lent--;
	return block;
}

void buffers_want_more(struct buffers *buffers, enum buffer_group group)
{
	buffers->rings[group].was_short = true;
}
