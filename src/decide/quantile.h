// SPDX-License-Identifier: Apache-2.0
// A quantile of the last samples (requests in flight of backends that were looked at). Whole
// numbers below 64 are exact, larger ones within 1/32. O(1) per sample.
#pragma once

#include "base/base.h"

enum { QUANTILE_WINDOW = 256, QUANTILE_BUCKETS = 64 + 26 * 32 };

struct quantile {
	u32 percent; // 1 to 99
	u32 at, filled;
	u32 bucket; // where the quantile is now
	u32 upto;   // samples in buckets up to and with that one
	u16 samples[QUANTILE_WINDOW];
	u16 counts[QUANTILE_BUCKETS];
};

void quantile_init(struct quantile *quantile, u32 percent);
void quantile_add(struct quantile *quantile, u32 value);

// Whether a value lies above the quantile; false as long as there are no samples.
bool quantile_is_above(const struct quantile *quantile, u32 value);
