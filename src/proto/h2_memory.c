// SPDX-License-Identifier: Apache-2.0
// Memory for libnghttp2: it asks for a handful of small objects with each stream, which come from
// slabs by size. Each carries its class and size, since libnghttp2 frees without one.
#include "base/mem.h"
#include "proto/h2_parts.h"

enum {
	smallest_bytes = 64, // of the first class; each has twice as much as the one before
	large = H2_MEMORY_CLASSES,
	objects_max = 1 << 24, // what bounds them is the number of sessions and streams
};

// Eight bytes, for what follows to be aligned.
struct tag {
	u32 class, size;
};

enum { largest_bytes = (smallest_bytes << (H2_MEMORY_CLASSES - 1)) - sizeof(struct tag) };

// How often the smallest size has to be doubled.
static inline u32 class_of(size_t size)
{
	size_t more = (size + sizeof(struct tag) - 1) / smallest_bytes;

	return 63 - (u32)__builtin_clzll(2 * more + 1);
}

static inline void *tagged(struct tag *tag, u32 class, size_t size)
{
	*tag = (struct tag){.class = class, .size = (u32)size};
	return tag + 1;
}

static __attribute__((noinline)) void *take_slow(struct h2_kit *kit, size_t size)
{
	u32 class = size > UINT32_MAX / 2 ? (u32)large : MIN(class_of(size), (u32)large);
	struct tag *tag = size > UINT32_MAX / 2 ? NULL
			  : class == large	? mem_try_alloc(size + sizeof(*tag))
						: slab_get(&kit->memory[class]);

	return tag ? tagged(tag, class, size) : NULL;
}

static void *take(size_t size, void *user)
{
	struct h2_kit *kit = user;
	struct slab *slab;
	u32 class;

	if (unlikely(size > largest_bytes))
		return take_slow(kit, size);
	class = class_of(size);
	slab = &kit->memory[class];
	if (unlikely(!slab->free_list))
		return take_slow(kit, size);
	return tagged(slab_get(slab), class, size);
}

static void give(void *ptr, void *user)
{
	struct h2_kit *kit = user;
	struct tag *tag = ptr;

	if (!ptr)
		return;
	tag--;
	if (tag->class == large)
		mem_free(tag);
	else
		slab_put(&kit->memory[tag->class], tag);
}

static void *take_zeroed(size_t count, size_t size, void *user)
{
	void *ptr = size && count > SIZE_MAX / 2 / size ? NULL : take(count * size, user);

	if (ptr)
		memset(ptr, 0, count * size);
	return ptr;
}

static void *resize(void *ptr, size_t size, void *user)
{
	struct tag *tag = ptr;
	void *fresh;

	if (!ptr)
		return take(size, user);
	tag--;
	if (size <= tag->size)
		return ptr;
	fresh = take(size, user);
	if (!fresh)
		return NULL;
	memcpy(fresh, ptr, tag->size);
	give(ptr, user);
	return fresh;
}

void h2_memory_init(struct h2_kit *kit)
{
	for (u32 i = 0; i < H2_MEMORY_CLASSES; i++)
		slab_init(&kit->memory[i], "h2 memory", (size_t)smallest_bytes << i, objects_max);
	kit->mem = (nghttp2_mem){
		.mem_user_data = kit,
		.malloc = take,
		.free = give,
		.calloc = take_zeroed,
		.realloc = resize,
	};
}

void h2_memory_done(struct h2_kit *kit)
{
	for (u32 i = 0; i < H2_MEMORY_CLASSES; i++)
		slab_done(&kit->memory[i]);
}
