// SPDX-License-Identifier: Apache-2.0
#include "decide/probation.h"

void probation_begin(
	struct probation *probation, const struct probation_counts *counts, u64 until_ms)
{
	*probation = (struct probation){.began = *counts, .until_ms = until_ms};
}

// A share of errors that was there before is not the new configuration's.
static bool fails(const struct probation *probation, const struct probation_counts *counts)
{
	const struct probation_counts *before = &probation->began;
	// Sums of what others count may be a little off.
	u64 requests = counts->requests - MIN(before->requests, counts->requests);
	u64 errors = counts->errors - MIN(before->errors, counts->errors);

	return requests >= PROBATION_REQUESTS_MIN &&
	       errors * 100 > requests * PROBATION_ERRORS_PERCENT &&
	       (before->errors == 0 ||
		       (double)errors * (double)before->requests >
			       (double)before->errors * (double)requests * PROBATION_ERRORS_TIMES);
}

enum probation_verdict probation_step(
	struct probation *probation, const struct probation_counts *counts, u64 now_ms)
{
	if (counts->pools_lost)
		probation->seconds_without++;
	else
		probation->seconds_without = 0;
	if (probation->seconds_without >= PROBATION_SECONDS_WITHOUT)
		return PROBATION_IS_EMPTY;
	if (fails(probation, counts))
		return PROBATION_FAILS;
	return now_ms >= probation->until_ms ? PROBATION_IS_OVER : PROBATION_GOES_ON;
}

const char *probation_text(enum probation_verdict verdict)
{
	switch (verdict) {
	case PROBATION_GOES_ON:
		break;
	case PROBATION_IS_OVER:
		return "it was not confirmed in time";
	case PROBATION_FAILS:
		return "too many requests failed";
	case PROBATION_IS_EMPTY:
		return "a pool had no backend left that may get requests";
	}
	return "";
}
