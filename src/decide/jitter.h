// SPDX-License-Identifier: Apache-2.0
// Spans shortened by chance, so that what began together does not stay together.
#pragma once

#include "base/base.h"

// A span in [span_ms - percent % of it, span_ms]: never longer than configured. span_ms is below
// 2^32 (49 days), percent 0 to 100; `random` is 32 bits of chance.
static inline u64 jitter_shorten(u64 span_ms, u32 percent, u32 random)
{
	ASSERT(span_ms <= UINT32_MAX && percent <= 100);
	return span_ms - (span_ms * percent / 100 * random >> 32);
}
