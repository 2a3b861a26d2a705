// SPDX-License-Identifier: Apache-2.0
// Spans shortened by chance, so that what began together does not stay together.
#pragma once

#include "base/base.h"

// A span in [span_ms - percent % of it, span_ms]: never longer than configured. span_ms is at most
// 2^40, percent 0 to 100; `random` is 32 bits of chance.
static inline u64 jitter_shorten(u64 span_ms, u32 percent, u32 random)
{
	u64 most = span_ms * percent / 100;
	u64 high = (most >> 8) * random >> 24, low = (most & 0xff) * random >> 32;

	return span_ms - (high + low);
}
