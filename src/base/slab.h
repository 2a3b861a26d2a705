// SPDX-License-Identifier: Apache-2.0
// Objects of one size, counted and bounded. Freed objects are reused last-in first-out, so that the
// next one is warm in the cache. Memory is taken in chunks and given back only by slab_done. One
// thread. Under AddressSanitizer a free object is poisoned, and in builds with tests a fresh one is
// full of rubbish: who reads what it has not set is found out.
#pragma once

#include <string.h>

#include "base/base.h"

struct slab {
	void *free_list;
	char *fresh, *fresh_end; // untouched part of the newest chunk
	struct slab_chunk *chunks;
	u32 object_size;    // rounded up to 8
	u32 chunk_objects;  // objects taken from the system at once
	u32 used, used_max; // objects out now; the most that may be
	const char *name;   // for assertions and reports
};

void slab_init(struct slab *slab, const char *name, size_t object_size, u32 used_max);

// Gives everything back. Asserts that no object is out.
void slab_done(struct slab *slab);

// Same, but objects may still be out (end of the process).
void slab_abandon(struct slab *slab);

// Slow half of slab_get: takes a chunk. NULL when used_max is reached or memory is missing.
void *slab_get_slow(struct slab *slab);
void slab_poison(struct slab *slab, void *object);
void slab_unpoison(struct slab *slab, void *object);

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONS 1
#endif
#endif
#ifndef SLAB_POISONS
#define SLAB_POISONS 0
#endif

static inline void slab_spoil(const struct slab *slab, void *object)
{
#if WEIR_TESTS
	memset(object, 0xa5, slab->object_size);
#else
	(void)slab;
	(void)object;
#endif
}

// Not zeroed. NULL when the limit is reached or memory is missing: refuse admission.
static inline must_check void *slab_get(struct slab *slab)
{
	void *object = slab->free_list;

	if (unlikely(!object))
		return slab_get_slow(slab);
	if (SLAB_POISONS)
		slab_unpoison(slab, object);
	slab->free_list = *(void **)object;
	slab->used++;
	slab_spoil(slab, object);
	return object;
}

static inline void slab_put(struct slab *slab, void *object)
{
	ASSERT(slab->used > 0);
	slab->used--;
	*(void **)object = slab->free_list;
	slab->free_list = object;
	if (SLAB_POISONS)
		slab_poison(slab, object);
}
