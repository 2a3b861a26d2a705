// SPDX-License-Identifier: Apache-2.0
#include "proxy/span.h"

#include "base/mem.h"

static const u8 room[SPAN_TEXT_COUNT] = {
#define X(name, bytes) [SPAN_##name] = bytes,
	SPAN_TEXTS(X)
#undef X
};

static u32 text_at(const struct span *span, enum span_text which)
{
	u32 at = 0;

	for (u32 i = 0; i < which; i++)
		at += span->lens[i];
	return at;
}

void span_put(struct span *span, enum span_text which, struct str text)
{
	u8 len = (u8)MIN(text.len, (size_t)room[which]);

	if (len)
		memcpy(span->text + text_at(span, which), text.ptr, len);
	span->lens[which] = len;
}

struct str span_text(const struct span *span, enum span_text which)
{
	return str_make(span->text + text_at(span, which), span->lens[which]);
}

void span_ring_init(struct span_ring *ring, u32 count)
{
	ASSERT(count > 0 && (count & (count - 1)) == 0);
	*ring = (struct span_ring){.spans = mem_alloc(sizeof(struct span) * count), .count = count};
}

void span_ring_done(struct span_ring *ring)
{
	mem_free(ring->spans);
	ring->spans = NULL;
}

static struct span *place(const struct span_ring *ring, u64 number)
{
	return &ring->spans[number & (ring->count - 1)];
}

struct span *span_ring_open(struct span_ring *ring)
{
	u64 written = atomic_load_explicit(&ring->written, memory_order_relaxed);

	if (written - ring->read_seen == ring->count)
		ring->read_seen = atomic_load_explicit(&ring->read, memory_order_acquire);
	return written - ring->read_seen == ring->count ? NULL : place(ring, written);
}

void span_ring_commit(struct span_ring *ring)
{
	u64 written = atomic_load_explicit(&ring->written, memory_order_relaxed);

	atomic_store_explicit(&ring->written, written + 1, memory_order_release);
}

u32 span_ring_waiting(const struct span_ring *ring)
{
	return (u32)(atomic_load_explicit(&ring->written, memory_order_acquire) -
		     atomic_load_explicit(&ring->read, memory_order_relaxed));
}

const struct span *span_ring_peek(const struct span_ring *ring, u32 at)
{
	return place(ring, atomic_load_explicit(&ring->read, memory_order_relaxed) + at);
}

void span_ring_take(struct span_ring *ring, u32 count)
{
	u64 read = atomic_load_explicit(&ring->read, memory_order_relaxed);

	atomic_store_explicit(&ring->read, read + count, memory_order_release);
}
