// SPDX-License-Identifier: Apache-2.0
#include "decide/gradient.h"

enum { warm_up_samples = 10, window_samples = 600, queue_allowance = 4 };

static const double tolerance = 1.5, smoothing = 0.2, gradient_min = 0.5;
static const double recovered_ratio = 2, recovery = 0.95;

void gradient_init(struct gradient *gradient, const struct gradient_rules *rules)
{
	ASSERT(rules->limit_min >= 1 && rules->limit_min <= rules->limit_start);
	ASSERT(rules->limit_start <= rules->limit_max);
	*gradient = (struct gradient){.limit = rules->limit_start};
}

// The plain mean at first, then an exponential average.
static void average(struct gradient *gradient, double rtt_us)
{
	double share = 2.0 / (window_samples + 1);

	if (gradient->samples < warm_up_samples)
		share = 1.0 / ++gradient->samples;
	gradient->long_us += (rtt_us - gradient->long_us) * share;
	// Far faster than usual: an overload is over, and must not count as usual for long.
	if (gradient->long_us > recovered_ratio * rtt_us)
		gradient->long_us *= recovery;
}

void gradient_note(
	struct gradient *gradient, const struct gradient_rules *rules, u64 rtt_us, u32 in_flight)
{
	double rtt = (double)MAX(rtt_us, (u64)1), slope, wanted;

	average(gradient, rtt);
	// Unused room says nothing about whether there could be more.
	if (in_flight < gradient->limit / 2)
		return;
	slope = tolerance * gradient->long_us / rtt;
	slope = MAX(gradient_min, MIN(1.0, slope));
	wanted = gradient->limit * slope + queue_allowance;
	gradient->limit = gradient->limit * (1 - smoothing) + wanted * smoothing;
	gradient->limit =
		MAX((double)rules->limit_min, MIN((double)rules->limit_max, gradient->limit));
}

u32 gradient_limit(const struct gradient *gradient)
{
	return (u32)gradient->limit;
}
