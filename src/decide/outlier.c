// SPDX-License-Identifier: Apache-2.0
#include "decide/outlier.h"

static bool has_volume(const struct outlier_rules *rules, const struct outlier_sample *sample)
{
	ASSERT(sample->successes <= sample->requests);
	return sample->requests >= MAX(rules->requests_min, 1u);
}

static double rate_of(const struct outlier_sample *sample)
{
	return (double)sample->successes / sample->requests;
}

u32 outlier_find(const struct outlier_rules *rules, const struct outlier_sample *samples, u32 count,
	bool *is_outlier)
{
	double sum = 0, squares = 0, mean, variance, factor = rules->factor_thousandths / 1000.0;
	u32 judged = 0, found = 0;

	for (u32 i = 0; i < count; i++) {
		is_outlier[i] = false;
		if (!has_volume(rules, &samples[i]))
			continue;
		judged++;
		sum += rate_of(&samples[i]);
	}
	if (judged == 0 || judged < rules->backends_min)
		return 0;
	mean = sum / judged;
	for (u32 i = 0; i < count; i++) {
		double off = has_volume(rules, &samples[i]) ? rate_of(&samples[i]) - mean : 0;

		squares += off * off;
	}
	variance = squares / judged;
	for (u32 i = 0; i < count; i++) {
		double below = has_volume(rules, &samples[i]) ? mean - rate_of(&samples[i]) : 0;

		// Squares on both sides: no root is needed.
		is_outlier[i] = below > 0 && below * below > factor * factor * variance &&
				below * 100 >= rules->margin_percent;
		found += is_outlier[i];
	}
	return found;
}
