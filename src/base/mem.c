// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *ptr, size_t size)
{
	if (!ptr) {
		fprintf(stderr,
			"weir: out of memory: %zu bytes refused at start. Give the machine or the "
			"cgroup more memory, or lower max_connections.\n",
			size);
		exit(1);
	}
	return ptr;
}

void *mem_alloc(size_t size)
{
	return checked(calloc(1, size), size);
}

void *mem_try_alloc(size_t size)
{
	return malloc(size);
}

void *mem_realloc(void *old, size_t size)
{
	return checked(realloc(old, size), size);
}

char *mem_strndup(const char *text, size_t len)
{
	char *copy = checked(malloc(len + 1), len + 1);

	memcpy(copy, text, len);
	copy[len] = 0;
	return copy;
}

void mem_free(void *ptr)
{
	free(ptr);
}

void *mem_alloc_lines(size_t size)
{
	size_t rounded = (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);

	return memset(checked(aligned_alloc(CACHE_LINE, rounded), rounded), 0, rounded);
}
