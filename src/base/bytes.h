// SPDX-License-Identifier: Apache-2.0
// Bytes in motion: reference-counted blocks, slices of them, and queues of slices. Data is
// appended, split and moved between queues without copying; only small pieces are copied, because a
// reference and an iovec cost more than a memcpy of a few hundred bytes.
//
// Ownership: a slice owns one reference on its block. A queue owns its slices. Nothing here crosses
// threads.
#pragma once

#include <sys/uio.h>

#include "base/slab.h"
#include "base/str.h"

enum {
	BLOCK_SMALL_BYTES = 2 * 1024 - 32, // written heads, kept leftovers
	BLOCK_BYTES = 16 * 1024,	   // receives
	BYTES_COPY_MAX = 1024,		   // pieces up to this size are copied by bytes_append
};

enum block_class { BLOCK_SMALL, BLOCK_LARGE, BLOCK_HUGE };

struct block {
	u32 refs;
	u32 size; // usable bytes in data
	u32 used; // filled by bytes_write; equal to size where nobody may append
	u16 id;	  // for the loop's own use
	u8 class; // enum block_class
	struct block_pool *pool;
	char data[];
};

// All blocks of one thread. Receives for clients leave a quarter of the large blocks to the
// upstream side, so that answers can always flow and free what requests hold.
struct block_pool {
	struct slab large, small, segments;
	u32 large_reserved; // only for upstream receives
	u32 large_many;	    // from so many on they are on the way to be short
	u32 huge_used, huge_max;
	// A large block was taken, and they are so many: whoever may hold too many of them should
	// be looked for. Called from inside of anything. NULL: nobody wants to know.
	void (*on_many)(void *owner);
	void *on_many_owner;
};

void block_pool_init(struct block_pool *pool, u32 large_max, u32 small_max);
void block_pool_done(struct block_pool *pool); // asserts that nothing is out

// Whether block_get would find one, as far as numbers go.
static inline bool block_pool_has(const struct block_pool *pool, bool upstream)
{
	return pool->large.used + (upstream ? 0 : pool->large_reserved) < pool->large.used_max;
}

// On the way to be short of large ones.
static inline bool block_pool_has_many_out(const struct block_pool *pool)
{
	return pool->large.used > pool->large_many;
}

// Bytes that one of many may hold of the large blocks: a 64th of what clients' receives and all
// others have left. With it the many come to rest before there are none (Choudhury and Hahne,
// "Dynamic Queue Length Thresholds", 1998).
static inline u64 block_pool_share(const struct block_pool *pool)
{
	u32 room = pool->large.used_max - pool->large_reserved;

	return pool->large.used < room ? (u64)(room - pool->large.used) * (BLOCK_BYTES / 64) : 0;
}

// One reference, used = size (not for bytes_write). NULL: none free now.
struct block *block_get(struct block_pool *pool, bool upstream) must_check;

// At least `size` bytes for bytes_write-like filling (used = 0): small, large or, above that, from
// the heap within a quarter of the large blocks' number. NULL: none.
struct block *block_get_sized(struct block_pool *pool, size_t size) must_check;
void block_free(struct block *block);

static inline void block_ref(struct block *block)
{
	block->refs++;
}

static inline void block_unref(struct block *block)
{
	if (--block->refs == 0)
		block_free(block);
}

// Owns a reference on `block` (NULL: static or otherwise outliving bytes).
struct slice {
	struct block *block;
	const char *ptr;
	size_t len;
};

static inline void slice_drop(struct slice *slice)
{
	if (slice->block)
		block_unref(slice->block);
	*slice = (struct slice){0};
}

struct segment {
	struct segment *next;
	struct slice slice;
};

struct bytes {
	struct segment *head, *tail;
	size_t len;
};

static inline bool bytes_is_empty(const struct bytes *bytes)
{
	return bytes->len == 0;
}

// Appends a slice; takes over its reference (small ones are copied and the reference dropped at
// once). 0, or -ENOMEM: then the slice is dropped and the queue unchanged.
int bytes_append(struct block_pool *pool, struct bytes *bytes, struct slice slice) must_check;

// Copies. 0, or -ENOMEM: then nothing was appended.
int bytes_write(
	struct block_pool *pool, struct bytes *bytes, const void *data, size_t len) must_check;

// The same into large blocks, for what is copied in bulk: each is filled before the next one is
// taken. Where there are none, into small ones. With -ENOMEM a part may have been appended.
int bytes_write_bulk(
	struct block_pool *pool, struct bytes *bytes, const void *data, size_t len) must_check;

// Room of `len` (at most BLOCK_SMALL_BYTES) contiguous bytes at the end, to be filled and then
// taken by bytes_commit(actual). NULL: no memory. Nothing else may touch the queue in between.
char *bytes_reserve(struct block_pool *pool, struct bytes *bytes, size_t len) must_check;
void bytes_commit(struct bytes *bytes, size_t len);

// Room behind the last byte that bytes_reserve would give without a new block.
size_t bytes_tail_room(const struct bytes *bytes);

// Moves everything from `from` to the end of `to`.
void bytes_move_all(struct bytes *to, struct bytes *from);

// Drops the first `len` bytes (at most bytes->len).
void bytes_consume(struct bytes *bytes, size_t len);

// Drops everything, slices without bytes too.
static inline void bytes_clear(struct bytes *bytes)
{
	if (bytes->head)
		bytes_consume(bytes, bytes->len);
}

// bytes_clear for a queue of exactly one slice.
void bytes_drop_only(struct bytes *bytes);

// Takes the first slice out of the queue (not empty). The caller owns it.
struct slice bytes_pop(struct bytes *bytes);

// Sizes of the blocks that keep these bytes from others, which may be much more than the bytes.
// One that slices in a row share counts once.
u64 bytes_held(const struct bytes *bytes);

// Describes the first bytes for writev; gives the number of entries filled (at most iov_max).
int bytes_peek(const struct bytes *bytes, struct iovec *iov, int iov_max);
