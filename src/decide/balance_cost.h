// SPDX-License-Identifier: Apache-2.0
// What a backend costs, as one number: least connections, least response time and slow start differ
// in this only. The counts and latencies are the caller's (summed over all workers, as fresh as it
// can); this is arithmetic.
#pragma once

#include "decide/balance.h"

#define BALANCE_EWMA_TAU (10 * NSEC_PER_SEC)

// Peak EWMA (as in Finagle and Linkerd): a sample above the value becomes the value at once, one
// below it pulls it down by 1 - exp(-time since the last one / tau). Without samples it decays to
// nothing, so that a backend that was slow is tried again: one second on a backend of 10 ms halves
// in 6.93 s and is 20 ms after 39.1 s. All zero: no history.
struct balance_ewma {
	double value_ns; // at the time `at`
	nsec at;
};

// Time that runs backwards counts as none.
void ewma_observe(struct balance_ewma *ewma, nsec sample, nsec now);
double ewma_read(const struct balance_ewma *ewma, nsec now); // nanoseconds, decayed

// The latency of a backend by how many requests it had in flight when one began, as Prequal's
// servers estimate it: what a request would take now is what requests took that met as many.
// Averages over about CURVE_TAU; finer than one half octave it does not tell.
enum { CURVE_PARTS = 16 };
#define CURVE_TAU NSEC_PER_SEC

struct balance_curve {
	struct balance_ewma parts[CURVE_PARTS];
};

// `in_flight` without the request itself, when it began.
void curve_observe(struct balance_curve *curve, u32 in_flight, nsec sample, nsec now);

// The part for as many in flight, or the nearest one that has samples; all zero when there are
// none.
struct balance_ewma curve_read(const struct balance_curve *curve, u32 in_flight);

struct balance_load {
	u32 in_flight;
	double slow_start; // (0, 1]: balance_slow_start, 1 when it is over
	struct balance_ewma latency;
	nsec now; // only where there is no latency yet
};

// The cost of member `index` of `table`, for balance_change.
double balance_cost(const struct balance_table *table, u32 index, const struct balance_load *load);

// (in flight + 1) / (weight x slow start): what a new request's share of the backend would be.
double balance_cost_connections(u32 in_flight, u32 weight, double slow_start);

// The same times the decaying latency. All latencies decay at the same rate, so which of two is
// higher never changes until one gets a sample: the number is the logarithm of the latency at time
// zero of the clock, and needs no change as time goes by. Without history -INFINITY, so that
// somebody finds out; with requests on the way and none answered, more than any latency.
double balance_cost_latency(
	const struct balance_ewma *latency, u32 in_flight, u32 weight, double slow_start, nsec now);

// A latency alone as such a number: what balance_change_latency wants of curve_read.
double balance_latency_key(const struct balance_ewma *latency);

// The part of its weight that a backend gets which came back `elapsed` ago: from a tenth (or
// `least`, if that is more) in a straight line to 1 after `window`.
double balance_slow_start(nsec elapsed, nsec window, double least);
