// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

enum { heap_chunk_bytes = 16 * 1024 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t bytes;
	_Alignas(16) char data[];
};

void arena_init(struct arena *arena, size_t bytes_max)
{
	*arena = (struct arena){.bytes_left = bytes_max};
}

int arena_init_slab(struct arena *arena, struct slab *slab, size_t bytes_max)
{
	char *first = slab_get(slab);

	if (!first)
		return -ENOMEM;
	*arena = (struct arena){.at = first,
		.end = first + slab->object_size,
		.first = first,
		.slab = slab,
		.bytes_left = bytes_max};
	return 0;
}

void arena_done(struct arena *arena)
{
	while (unlikely(arena->chunks)) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		mem_free(chunk);
	}
	if (arena->first)
		slab_put(arena->slab, arena->first);
	arena->first = NULL;
	arena->at = arena->end = NULL;
}

void *arena_alloc_slow(struct arena *arena, size_t size)
{
	size_t bytes = MAX(size, (size_t)heap_chunk_bytes);
	struct arena_chunk *chunk;

	if (bytes > arena->bytes_left)
		bytes = size;
	if (bytes > arena->bytes_left)
		return NULL;
	chunk = mem_try_alloc(sizeof(*chunk) + bytes);
	if (!chunk)
		return NULL;
	arena->bytes_left -= bytes;
	chunk->next = arena->chunks;
	chunk->bytes = bytes;
	arena->chunks = chunk;
	arena->at = chunk->data + size;
	arena->end = chunk->data + bytes;
	return chunk->data;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
	void *ptr = arena_alloc(arena, size);

	if (!ptr) {
		fprintf(stderr,
			"weir: the configuration needs more memory than there is (%zu bytes "
			"more).\n",
			size);
		assert_failed("arena_zalloc", __FILE__, __LINE__);
	}
	return memset(ptr, 0, size);
}

struct str arena_str(struct arena *arena, struct str text)
{
	char *copy = arena_zalloc(arena, text.len + 1);

	if (text.len)
		memcpy(copy, text.ptr, text.len);
	return str_make(copy, text.len);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	int len;
	char *text;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	ASSERT(len >= 0);
	text = arena_zalloc(arena, (size_t)len + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}
