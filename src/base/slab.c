// SPDX-License-Identifier: Apache-2.0
#include "base/slab.h"

#include "base/mem.h"

#if SLAB_POISONS
#include <sanitizer/asan_interface.h>
#endif

enum { chunk_bytes = 64 * 1024, chunk_objects_max = 64 };

struct slab_chunk {
	struct slab_chunk *next;
	size_t bytes;
	_Alignas(CACHE_LINE) char objects[];
};

void slab_init(struct slab *slab, const char *name, size_t object_size, u32 used_max)
{
	u32 size = (u32)((MAX(object_size, sizeof(void *)) + 7) & ~(size_t)7);
	u32 count = (u32)MAX(1, chunk_bytes / size);

	*slab = (struct slab){.name = name,
		.object_size = size,
		.chunk_objects = MIN(count, (u32)chunk_objects_max),
		.used_max = used_max};
}

void *slab_get_slow(struct slab *slab)
{
	void *object;

	if (slab->used >= slab->used_max)
		return NULL;
	if (slab->fresh == slab->fresh_end) {
		size_t bytes = (size_t)slab->object_size * slab->chunk_objects;
		struct slab_chunk *chunk = mem_try_alloc(sizeof(*chunk) + bytes);

		if (!chunk)
			return NULL;
		chunk->next = slab->chunks;
		chunk->bytes = bytes;
		slab->chunks = chunk;
		slab->fresh = chunk->objects;
		slab->fresh_end = chunk->objects + bytes;
	}
	object = slab->fresh;
	slab->fresh += slab->object_size;
	slab->used++;
	slab_spoil(slab, object);
	return object;
}

void slab_poison(struct slab *slab, void *object)
{
#if SLAB_POISONS
	ASAN_POISON_MEMORY_REGION((char *)object, slab->object_size);
#else
	(void)slab;
	(void)object;
#endif
}

void slab_unpoison(struct slab *slab, void *object)
{
#if SLAB_POISONS
	ASAN_UNPOISON_MEMORY_REGION(object, slab->object_size);
#else
	(void)slab;
	(void)object;
#endif
}

void slab_abandon(struct slab *slab)
{
	while (slab->chunks) {
		struct slab_chunk *chunk = slab->chunks;

		slab->chunks = chunk->next;
#if SLAB_POISONS
		ASAN_UNPOISON_MEMORY_REGION(chunk->objects, chunk->bytes);
#endif
		mem_free(chunk);
	}
	slab->free_list = NULL;
	slab->fresh = slab->fresh_end = NULL;
	slab->used = 0;
}

void slab_done(struct slab *slab)
{
	ASSERT(slab->used == 0);
	slab_abandon(slab);
}
