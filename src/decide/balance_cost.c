// SPDX-License-Identifier: Apache-2.0
#include "decide/balance_cost.h"

#include <math.h>

#include "decide/balance_kinds.h"

// Nanoseconds; above every latency.
#define PENALTY_NS 0x1p47

static const double tau = (double)BALANCE_EWMA_TAU;
static const double slow_start_least = 0.1;

static double decay(nsec from, nsec now)
{
	return now > from ? exp(-(double)(now - from) / tau) : 1;
}

static bool has_history(const struct balance_ewma *ewma)
{
	return ewma->value_ns > 0;
}

void ewma_average(struct balance_ewma *ewma, nsec sample, nsec now)
{
	double kept = has_history(ewma) ? decay(ewma->at, now) : 0;

	ewma->value_ns = ewma->value_ns * kept + (double)MAX(sample, 1) * (1 - kept);
	ewma->at = MAX(ewma->at, now);
}

void ewma_observe(struct balance_ewma *ewma, nsec sample, nsec now)
{
	if ((double)sample <= ewma->value_ns) {
		ewma_average(ewma, sample, now);
		return;
	}
	ewma->value_ns = (double)MAX(sample, 1);
	ewma->at = MAX(ewma->at, now);
}

double ewma_read(const struct balance_ewma *ewma, nsec now)
{
	return ewma->value_ns * decay(ewma->at, now);
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
