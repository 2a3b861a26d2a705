// SPDX-License-Identifier: Apache-2.0
// Bump memory that is freed at once. Two uses: a configuration or snapshot (chunks from the heap),
// and one request (its first chunk from a slab, so that an ordinary request never calls malloc).
#pragma once

#include "base/slab.h"
#include "base/str.h"

struct arena {
	char *at, *end;
	struct arena_chunk *chunks; // heap chunks, newest first
	void *first;		    // the slab's chunk, when there is one
	struct slab *slab;
	size_t bytes_left; // what may still be taken from the heap
};

// Takes nothing yet. `bytes_max` bounds what the heap may give.
void arena_init(struct arena *arena, size_t bytes_max);

// Starts on one object of `slab`; 0 or -ENOMEM. Beyond it up to `bytes_max` come from the heap.
int arena_init_slab(struct arena *arena, struct slab *slab, size_t bytes_max) must_check;

void arena_done(struct arena *arena);

void *arena_alloc_slow(struct arena *arena, size_t size);

// Aligned to 8, not zeroed. NULL when the bound is reached or memory is missing.
static inline must_check void *arena_alloc(struct arena *arena, size_t size)
{
	size_t rounded = (size + 7) & ~(size_t)7;
	char *at = arena->at;

	if (unlikely((size_t)(arena->end - at) < rounded))
		return arena_alloc_slow(arena, rounded);
	arena->at = at + rounded;
	return at;
}

// For configuration time: zeroed, and ends the process when memory is missing.
void *arena_zalloc(struct arena *arena, size_t size);

// A zero-terminated copy (the terminator is not counted in len). Configuration time.
struct str arena_str(struct arena *arena, struct str text);

// A formatted, zero-terminated text. Configuration time.
char *arena_printf(struct arena *arena, const char *format, ...) printf_like(2, 3);
