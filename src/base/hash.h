// SPDX-License-Identifier: Apache-2.0
// Seeded 64-bit hash (XXH3 of libxxhash) for tables and consistent hashing. Seeds come from the
// caller.
#pragma once

#include "base/str.h"

u64 hash_bytes(const void *data, size_t len, u64 seed);

static inline u64 hash_str(struct str text, u64 seed)
{
	return hash_bytes(text.ptr, text.len, seed);
}
