// SPDX-License-Identifier: Apache-2.0
#include "base/rng.h"

// splitmix64 spreads a small seed over the whole state, as the authors of xoshiro advise.
static u64 splitmix(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void rng_init(struct rng *rng, u64 seed)
{
	for (int i = 0; i < 4; i++)
		rng->state[i] = splitmix(&seed);
}
