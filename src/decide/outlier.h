// SPDX-License-Identifier: Apache-2.0
// Backends that succeed clearly less often than the others of their pool. Among those with enough
// requests in the interval, an outlier's success rate is more than `factor` standard deviations
// below the mean, and at least `margin` below it, so that 99.8 % among 99.9 % is nobody's fault.
// With few backends one bad one spoils the mean: n of them can see a factor of at most sqrt(n - 1).
#pragma once

#include "base/base.h"

struct outlier_rules {
	u32 backends_min;	// with enough requests; fewer: no outliers
	u32 requests_min;	// of a backend in the interval, 1 or more
	u32 factor_thousandths; // 1900 = 1.9 standard deviations
	u32 margin_percent;	// 0 to 100, of requests
};

// One backend's interval.
struct outlier_sample {
	u32 requests, successes; // successes <= requests
};

// Sets is_outlier[i] for each of `count` samples. Gives how many there are.
u32 outlier_find(const struct outlier_rules *rules, const struct outlier_sample *samples, u32 count,
	bool *is_outlier);
