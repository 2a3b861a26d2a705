// SPDX-License-Identifier: Apache-2.0
// The dice of a simulation: when requests come, and how long they take.
#include <math.h>

#include "cli/simulate_inside.h"

// A burst brings four times as many requests a fifth of the time, for ten mean service times.
static const double burst_rate = 4, burst_part = 0.2, burst_services = 10;
// Of the logarithm; the 99th percentile is then 6 times the mean.
static const double lognormal_sigma = 1;
// One request in ten takes ten times as long as the others.
static const double bimodal_part = 0.1, bimodal_factor = 10;

double simulate_uniform(struct rng *rng)
{
	return (double)((rng_u64(rng) >> 11) + 1) * 0x1p-53;
}

double simulate_exponential(struct rng *rng)
{
	return -log(simulate_uniform(rng));
}

double simulate_draw_service(struct simulation *sim)
{
	double mean = sim->options->mean_ms, normal;

	switch (sim->options->service) {
	case SERVICE_EXPONENTIAL:
		return mean * simulate_exponential(&sim->rng);
	case SERVICE_LOGNORMAL:
		normal = sqrt(2 * simulate_exponential(&sim->rng)) *
			 cos(2 * M_PI * simulate_uniform(&sim->rng));
		return mean * exp(lognormal_sigma * normal - lognormal_sigma * lognormal_sigma / 2);
	case SERVICE_BIMODAL:
		mean /= 1 - bimodal_part + bimodal_part * bimodal_factor;
		return simulate_uniform(&sim->rng) < bimodal_part ? mean * bimodal_factor : mean;
	case SERVICE_CONSTANT:
		break;
	}
	return mean;
}

double simulate_draw_gap(struct simulation *sim)
{
	double quiet = (1 - burst_part * burst_rate) / (1 - burst_part);

	switch (sim->options->arrival) {
	case ARRIVAL_POISSON:
		return sim->mean_gap * simulate_exponential(&sim->rng);
	case ARRIVAL_BURST:
		return sim->mean_gap * simulate_exponential(&sim->rng) /
		       (sim->in_burst ? burst_rate : quiet);
	case ARRIVAL_CONSTANT:
		break;
	}
	return sim->mean_gap;
}

// Bursts and the time between them are exponential.
void simulate_turn_mood(struct simulation *sim)
{
	double mean = burst_services * sim->options->mean_ms;

	sim->in_burst = !sim->in_burst;
	if (!sim->in_burst)
		mean *= (1 - burst_part) / burst_part;
	sim->next_mood = sim->now + mean * simulate_exponential(&sim->rng);
	// What was drawn at the old rate is drawn anew.
	sim->next_arrival = sim->now + simulate_draw_gap(sim);
}
