// SPDX-License-Identifier: Apache-2.0
// Seeded generator (xoshiro256**, Blackman and Vigna 2018), one per thread or test. Not for
// secrets.
#pragma once

#include "base/base.h"

struct rng {
	u64 state[4];
};

void rng_init(struct rng *rng, u64 seed);

static inline u64 rng_u64(struct rng *rng)
{
	u64 *s = rng->state;
	u64 product = s[1] * 5, result = ((product << 7) | (product >> 57)) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return result;
}

// Uniform in [0, bound), bound > 0 (Lemire's multiply; the bias is below 2^-32 for 32-bit bounds).
static inline u32 rng_below(struct rng *rng, u32 bound)
{
	return (u32)(((rng_u64(rng) >> 32) * bound) >> 32);
}

// Uniform in [least, most], of which `most` is the larger and not all of u32.
static inline u32 rng_between(struct rng *rng, u32 least, u32 most)
{
	return least + rng_below(rng, most - least + 1);
}

// True once in `n` on average, n > 0.
static inline bool rng_one_in(struct rng *rng, u32 n)
{
	return rng_below(rng, n) == 0;
}
