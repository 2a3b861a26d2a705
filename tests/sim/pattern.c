// SPDX-License-Identifier: Apache-2.0
#include "pattern.h"

#include <string.h>

#include "base/rng.h"

enum {
	period_bytes = 65521, // a prime, so that bodies do not fall in step
	window_bytes = 32 * 1024,
	bait_every_bytes = 3001,
};

// Whoever takes body bytes for a request finds one here, and a backend that sees it complains.
static const char bait[] = "GET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\n";

static char table[period_bytes + window_bytes];

void pattern_init(void)
{
	struct rng rng;

	rng_init(&rng, 20260101);
	for (size_t i = 0; i < period_bytes; i++)
		table[i] = (char)(rng_u64(&rng) >> 56);
	for (size_t i = 0; i + sizeof(bait) < period_bytes; i += bait_every_bytes)
		memcpy(table + i, bait, sizeof(bait) - 1);
	memcpy(table + period_bytes, table, window_bytes);
}

static size_t start_of(u64 key, u64 at)
{
	return (size_t)((key * 7919 + at) % period_bytes);
}

void pattern_fill(char *to, u64 key, u64 at, size_t len)
{
	while (len) {
		size_t part = MIN(len, (size_t)window_bytes);

		memcpy(to, table + start_of(key, at), part);
		to += part;
		at += part;
		len -= part;
	}
}

bool pattern_matches(const char *bytes, u64 key, u64 at, size_t len)
{
	while (len) {
		size_t part = MIN(len, (size_t)window_bytes);

		if (memcmp(bytes, table + start_of(key, at), part) != 0)
			return false;
		bytes += part;
		at += part;
		len -= part;
	}
	return true;
}
