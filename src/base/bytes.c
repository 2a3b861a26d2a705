// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <errno.h>

#include "base/mem.h"

// Blocks of exactly 16 KiB would all begin in the same few cache sets; this odd header-and-pad
// spreads them.
enum { block_pad = 5 * CACHE_LINE };

void block_pool_init(struct block_pool *pool, u32 large_max, u32 small_max)
{
	slab_init(&pool->large, "block", sizeof(struct block) + BLOCK_BYTES + block_pad, large_max);
	slab_init(&pool->small, "small block", sizeof(struct block) + BLOCK_SMALL_BYTES, small_max);
	slab_init(
		&pool->segments, "segment", sizeof(struct segment), large_max * 4 + small_max * 2);
	pool->large_reserved = large_max / 4;
	pool->large_many = large_max / 2;
	pool->huge_used = 0;
	pool->huge_max = large_max / 4;
	pool->on_many = NULL;
	pool->on_many_owner = NULL;
}

void block_pool_done(struct block_pool *pool)
{
	ASSERT(pool->huge_used == 0);
	slab_done(&pool->segments);
	slab_done(&pool->small);
	slab_done(&pool->large);
}

struct block *block_get(struct block_pool *pool, bool upstream)
{
	struct block *block;

	if (!upstream && pool->large.used + pool->large_reserved >= pool->large.used_max)
		return NULL;
	block = slab_get(&pool->large);
	if (!block)
		return NULL;
	if (unlikely(block_pool_has_many_out(pool)) && pool->on_many)
		pool->on_many(pool->on_many_owner);
	block->refs = 1;
	block->size = block->used = BLOCK_BYTES;
	block->class = BLOCK_LARGE;
	block->pool = pool;
	return block;
}

// Where there are none, a large one serves.
static struct block *block_get_small(struct block_pool *pool)
{
	struct block *block = slab_get(&pool->small);

	if (unlikely(!block)) {
		block = block_get(pool, true);
		if (block)
			block->used = 0;
		return block;
	}
	block->refs = 1;
	block->size = BLOCK_SMALL_BYTES;
	block->used = 0;
	block->class = BLOCK_SMALL;
	block->pool = pool;
	return block;
}

static struct block *block_get_huge(struct block_pool *pool, size_t size)
{
	struct block *block;

	if (pool->huge_used >= pool->huge_max || size > UINT32_MAX)
		return NULL;
	block = mem_try_alloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	pool->huge_used++;
	block->refs = 1;
	block->size = (u32)size;
	block->class = BLOCK_HUGE;
	block->pool = pool;
	return block;
}

struct block *block_get_sized(struct block_pool *pool, size_t size)
{
	struct block *block;

	if (size <= BLOCK_SMALL_BYTES)
		return block_get_small(pool);
	block = size <= BLOCK_BYTES ? block_get(pool, false) : block_get_huge(pool, size);
	if (block)
		block->used = 0;
	return block;
}

void block_free(struct block *block)
{
	switch ((enum block_class)block->class) {
	case BLOCK_SMALL:
		slab_put(&block->pool->small, block);
		break;
	case BLOCK_LARGE:
		slab_put(&block->pool->large, block);
		break;
	case BLOCK_HUGE:
		block->pool->huge_used--;
		mem_free(block);
		break;
	}
}

static void push_segment(struct bytes *bytes, struct segment *segment)
{
	segment->next = NULL;
	if (bytes->tail)
		bytes->tail->next = segment;
	else
		bytes->head = segment;
	bytes->tail = segment;
}

static void drop_head(struct bytes *bytes, struct block_pool *pool)
{
	struct segment *segment = bytes->head;

	bytes->head = segment->next;
	if (!bytes->head)
		bytes->tail = NULL;
	slab_put(&pool->segments, segment);
}

// A segment without a block cannot tell its pool, so every segment made here has one: text that
// outlives everything is copied instead of referenced.
int bytes_append(struct block_pool *pool, struct bytes *bytes, struct slice slice)
{
	struct segment *segment;

	if (likely(bytes->tail && slice.len <= bytes_tail_room(bytes) &&
		    slice.len <= BYTES_COPY_MAX)) {
		memcpy(bytes->tail->slice.block->data + bytes->tail->slice.block->used, slice.ptr,
			slice.len);
		bytes_commit(bytes, slice.len);
		slice_drop(&slice);
		return 0;
	}
	if (slice.len <= BYTES_COPY_MAX || !slice.block) {
		size_t before = bytes->len;
		int result = bytes_write(pool, bytes, slice.ptr, slice.len);

		// Without memory for a copy, what has a block is kept where it is.
		if (likely(result == 0) || !slice.block || bytes->len != before) {
			slice_drop(&slice);
			return result;
		}
	}
	segment = slab_get(&pool->segments);
	if (!segment) {
		slice_drop(&slice);
		return -ENOMEM;
	}
	segment->slice = slice;
	push_segment(bytes, segment);
	bytes->len += slice.len;
	return 0;
}

size_t bytes_tail_room(const struct bytes *bytes)
{
	const struct slice *last;

	if (!bytes->tail)
		return 0;
	last = &bytes->tail->slice;
	if (last->ptr + last->len != last->block->data + last->block->used)
		return 0;
	return last->block->size - last->block->used;
}

char *bytes_reserve(struct block_pool *pool, struct bytes *bytes, size_t len)
{
	struct segment *segment;
	struct block *block;

	ASSERT(len <= BLOCK_SMALL_BYTES);
	if (bytes_tail_room(bytes) >= len && bytes->tail)
		return bytes->tail->slice.block->data + bytes->tail->slice.block->used;
	segment = slab_get(&pool->segments);
	if (!segment)
		return NULL;
	block = block_get_small(pool);
	if (!block) {
		slab_put(&pool->segments, segment);
		return NULL;
	}
	segment->slice = (struct slice){.block = block, .ptr = block->data, .len = 0};
	push_segment(bytes, segment);
	return block->data;
}

void bytes_commit(struct bytes *bytes, size_t len)
{
	struct slice *last = &bytes->tail->slice;

	ASSERT(last->block->used + len <= last->block->size);
	last->block->used += (u32)len;
	last->len += len;
	bytes->len += len;
}

static int check_room(struct block_pool *pool, size_t len)
{
	u64 blocks = len / BLOCK_SMALL_BYTES + 1;

	if (pool->segments.used + blocks > pool->segments.used_max ||
		(pool->small.used + blocks > pool->small.used_max &&
			pool->large.used + blocks > pool->large.used_max))
		return -ENOMEM;
	return 0;
}

int bytes_write(struct block_pool *pool, struct bytes *bytes, const void *data, size_t len)
{
	const char *from = data;
	size_t room = bytes_tail_room(bytes);

	if (room < len && check_room(pool, len))
		return -ENOMEM;
	while (len) {
		size_t part = MIN(MIN(len, room ? room : len), (size_t)BLOCK_SMALL_BYTES);
		char *to = bytes_reserve(pool, bytes, part);

		// Only the system itself refusing a chunk gets here; the half-written
		// message dies with its connection, whose owner sees the error.
		if (!to)
			return -ENOMEM;
		memcpy(to, from, part);
		bytes_commit(bytes, part);
		from += part;
		len -= part;
		room = bytes_tail_room(bytes);
	}
	return 0;
}

// A large block at the end, with nothing in it yet.
static bool add_large(struct block_pool *pool, struct bytes *bytes)
{
	struct block *block = block_get(pool, false);
	struct segment *segment;

	if (!block)
		return false;
	segment = slab_get(&pool->segments);
	if (!segment) {
		block_unref(block);
		return false;
	}
	block->used = 0;
	segment->slice = (struct slice){.block = block, .ptr = block->data, .len = 0};
	push_segment(bytes, segment);
	return true;
}

int bytes_write_bulk(struct block_pool *pool, struct bytes *bytes, const void *data, size_t len)
{
	const char *from = data;

	for (;;) {
		size_t part = MIN(len, bytes_tail_room(bytes));
		struct block *last;

		if (part) {
			last = bytes->tail->slice.block;
			memcpy(last->data + last->used, from, part);
			bytes_commit(bytes, part);
			from += part;
			len -= part;
		}
		if (len == 0)
			return 0;
		if (!add_large(pool, bytes))
			return bytes_write(pool, bytes, from, len);
	}
}

void bytes_move_all(struct bytes *to, struct bytes *from)
{
	if (!from->head)
		return;
	if (to->tail)
		to->tail->next = from->head;
	else
		to->head = from->head;
	to->tail = from->tail;
	to->len += from->len;
	*from = (struct bytes){0};
}

void bytes_consume(struct bytes *bytes, size_t len)
{
	ASSERT(len <= bytes->len);
	bytes->len -= len;
	while (bytes->head) {
		struct slice *first = &bytes->head->slice;

		if (len < first->len) {
			first->ptr += len;
			first->len -= len;
			return;
		}
		len -= first->len;
		struct block *block = first->block;

		drop_head(bytes, block->pool);
		block_unref(block);
	}
}

void bytes_drop_only(struct bytes *bytes)
{
	struct segment *only = bytes->head;
	struct block *block = only->slice.block;

	slab_put(&block->pool->segments, only);
	block_unref(block);
	*bytes = (struct bytes){0};
}

struct slice bytes_pop(struct bytes *bytes)
{
	struct slice slice = bytes->head->slice;

	bytes->len -= slice.len;
	drop_head(bytes, slice.block->pool);
	return slice;
}

u64 bytes_held(const struct bytes *bytes)
{
	const struct block *last = NULL;
	u64 held = 0;

	for (const struct segment *at = bytes->head; at; at = at->next) {
		if (at->slice.block != last)
			held += at->slice.block->size;
		last = at->slice.block;
	}
	return held;
}

int bytes_peek(const struct bytes *bytes, struct iovec *iov, int iov_max)
{
	int count = 0;

	for (struct segment *segment = bytes->head; segment && count < iov_max;
		segment = segment->next) {
		if (segment->slice.len == 0)
			continue;
		iov[count].iov_base = (void *)(uintptr_t)segment->slice.ptr;
		iov[count].iov_len = segment->slice.len;
		count++;
	}
	return count;
}
