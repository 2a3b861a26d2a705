// SPDX-License-Identifier: Apache-2.0
#include "decide/balance_cost.h"

#include <math.h>

#include "decide/balance_kinds.h"

// Nanoseconds; above every latency.
#define PENALTY_NS 0x1p47

static const double tau = (double)BALANCE_EWMA_TAU;
static const double slow_start_least = 0.1;

static double decay(nsec from, nsec now, double over)
{
	return now > from ? exp(-(double)(now - from) / over) : 1;
}

static bool has_history(const struct balance_ewma *ewma)
{
	return ewma->value_ns > 0;
}

static void average(struct balance_ewma *ewma, nsec sample, nsec now, double over)
{
	double kept = has_history(ewma) ? decay(ewma->at, now, over) : 0;

	ewma->value_ns = ewma->value_ns * kept + (double)MAX(sample, 1) * (1 - kept);
	ewma->at = MAX(ewma->at, now);
}

void ewma_observe(struct balance_ewma *ewma, nsec sample, nsec now)
{
	if ((double)sample <= ewma->value_ns) {
		average(ewma, sample, now, tau);
		return;
	}
	ewma->value_ns = (double)MAX(sample, 1);
	ewma->at = MAX(ewma->at, now);
}

double ewma_read(const struct balance_ewma *ewma, nsec now)
{
	return ewma->value_ns * decay(ewma->at, now, tau);
}

// 0, 1, 2, 3, 4-5, 6-7, 8-11, 12-15, ... 192 and above.
static u32 part_of(u32 in_flight)
{
	u32 octave;

	if (in_flight < 4)
		return in_flight;
	octave = 31 - (u32)__builtin_clz(in_flight);
	return MIN(2 * octave + (in_flight >> (octave - 1) & 1), CURVE_PARTS - 1);
}

void curve_observe(struct balance_curve *curve, u32 in_flight, nsec sample, nsec now)
{
	average(&curve->parts[part_of(in_flight)], sample, now, (double)CURVE_TAU);
}

struct balance_ewma curve_read(const struct balance_curve *curve, u32 in_flight)
{
	u32 part = part_of(in_flight);

	for (u32 off = 0; off < CURVE_PARTS; off++) {
		if (off <= part && has_history(&curve->parts[part - off]))
			return curve->parts[part - off];
		if (part + off < CURVE_PARTS && has_history(&curve->parts[part + off]))
			return curve->parts[part + off];
	}
	return (struct balance_ewma){0};
}

double balance_cost_connections(u32 in_flight, u32 weight, double slow_start)
{
	return (in_flight + 1.0) / (MAX(weight, 1) * slow_start);
}

// What is v now was v exp(now / tau) at time zero, had it decayed since.
static double at_zero(double value_ns, nsec now)
{
	return log(value_ns) + (double)now / tau;
}

double balance_latency_key(const struct balance_ewma *latency)
{
	return has_history(latency) ? at_zero(latency->value_ns, latency->at) : -INFINITY;
}

double balance_cost_latency(
	const struct balance_ewma *latency, u32 in_flight, u32 weight, double slow_start, nsec now)
{
	if (!has_history(latency))
		return in_flight ? at_zero(PENALTY_NS + in_flight, now) : -INFINITY;
	return balance_latency_key(latency) +
	       log(balance_cost_connections(in_flight, weight, slow_start));
}

double balance_cost(const struct balance_table *table, u32 index, const struct balance_load *load)
{
	u32 weight = balance_weight(table, index);

	switch (table->cost) {
	case BALANCE_COST_CONNECTIONS:
		return balance_cost_connections(load->in_flight, weight, load->slow_start);
	case BALANCE_COST_LATENCY:
		return balance_cost_latency(
			&load->latency, load->in_flight, weight, load->slow_start, load->now);
	case BALANCE_COST_RELATIVE:
		return MIN(UINT32_MAX, load->in_flight * (double)table->weight_max /
					       (MAX(weight, 1) * load->slow_start));
	case BALANCE_COST_IN_FLIGHT:
		return load->in_flight;
	case BALANCE_COST_NONE:
		break;
	}
	return 0;
}

double balance_slow_start(nsec elapsed, nsec window, double least)
{
	if (elapsed >= window)
		return 1;
	return MAX(MAX(least, slow_start_least), (double)elapsed / (double)window);
}
