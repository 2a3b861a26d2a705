// SPDX-License-Identifier: Apache-2.0
// The only door to malloc. At start-up and while a configuration is built, memory that is missing
// ends the process with a message (mem_alloc); on the data path callers use slabs, which may ask
// mem_try_alloc for a new chunk and refuse admission when there is none.
#pragma once

#include "base/base.h"

void *mem_alloc(size_t size);			 // zeroed; never NULL
void *mem_try_alloc(size_t size) must_check;	 // not zeroed; NULL when there is none
void *mem_realloc(void *old, size_t size);	 // grown part not zeroed; never NULL
char *mem_strndup(const char *text, size_t len); // zero-terminated copy; never NULL
void mem_free(void *ptr);			 // NULL is fine
void *mem_alloc_lines(size_t size);		 // the same, beginning on a cache line
