// SPDX-License-Identifier: Apache-2.0
// The hash of what a request is balanced by: an address, a header, a path. Clients choose these
// bytes, and who could compute where they lead could aim all of them at one backend. So the hash is
// keyed with a secret: SipHash-1-3 (Aumasson and Bernstein 2012), which is made to hold against
// inputs that are chosen by an enemy who sees where they went, costs about a nanosecond for each
// eight bytes, and is short. base/hash.h (XXH3) is faster on long texts and not made for that; it
// serves for the names of backends, which the operator chooses.
//
// The secret comes from the configuration or from a file that outlives the process: another one is
// another assignment of every key, and all instances that share clients need the same.
#pragma once

#include "base/str.h"

struct key_hash_secret {
	u64 words[2];
};

// From text of any length. The empty text gives a secret too: a known one.
struct key_hash_secret key_hash_secret(struct str text);

u64 key_hash(const struct key_hash_secret *secret, const void *data, size_t len);

static inline u64 key_hash_str(const struct key_hash_secret *secret, struct str text)
{
	return key_hash(secret, text.ptr, text.len);
}

// For a key of several parts: the hash of the parts so far and of the next. Order counts.
u64 key_hash_join(const struct key_hash_secret *secret, u64 hash, const void *data, size_t len);
