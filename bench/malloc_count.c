// SPDX-License-Identifier: Apache-2.0
// Counts the calls of the allocator in any program: LD_PRELOAD this library and name a file of at
// least 16 bytes in MALLOC_COUNT_FILE. Its first 8 bytes are the number of allocations so far
// (malloc, calloc, realloc, aligned ones), the next 8 that of frees, in the byte order of the
// machine, kept up to date at every call; the harness reads them while the program is quiet. Child
// processes add to the same counts. Works on glibc, whose own allocator is called by its other
// names.

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct counts {
	uint64_t allocations, frees;
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static struct counts unmapped; // before the constructor, and without a file
static struct counts *counts = &unmapped;

static void count_allocation(void)
{
	__atomic_fetch_add(&counts->allocations, 1, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void open_counts(void)
{
	const char *path = getenv("MALLOC_COUNT_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *shared = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared != MAP_FAILED)
		counts = shared;
}

EXPORT void *malloc(size_t size)
{
	count_allocation();
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	count_allocation();
	return __libc_calloc(count, size);
}

EXPORT void *realloc(void *memory, size_t size)
{
	count_allocation();
	return __libc_realloc(memory, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	count_allocation();
	return __libc_memalign(alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

EXPORT int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
	void *memory = memalign(alignment, size);

	if (!memory)
		return ENOMEM;
	*ret_memory = memory;
	return 0;
}

EXPORT void free(void *memory)
{
	if (memory)
		__atomic_fetch_add(&counts->frees, 1, __ATOMIC_RELAXED);
	__libc_free(memory);
}
