// SPDX-License-Identifier: Apache-2.0
// Probes for the load of backends (pools.NAME.prequal.load: probe): for each request a few backends
// are asked for a page whose head tells their load (proto/load_report.h), and what they say is
// known to the picks that come later (upstream/load.h). One worker's.
//
// No request waits for a probe, or for what a probe holds: probes go out at the end of the turn,
// when the requests of the turn have their connections; never on the last connection that a backend
// with a bound may have, or for which others wait; and only as many at a time as the limits in
// load_probe.c say. What is beyond them is skipped and counted.
//
// A probe is no request: it is not in flight for the algorithm, takes no place of a limit other
// than that on sockets, and its failure counts neither for the breaker nor for ejection. There may
// be several for each request, so they would trip thresholds that are meant for requests; and
// whether a backend is well while nobody asks it for anything is for health checks to find out.
// What a failed probe does is to leave its backend without a fresh load, and so without requests as
// long as others have one.
#pragma once

#include "upstream/lease.h"

struct load_prober;

struct load_probes {
	struct upstream *upstream;
	struct load_prober *probers; // by pool
	struct slab probes;
	struct list running;
	bool draining;
};

// `upstream` is borrowed.
void load_probes_init(struct load_probes *probes, struct upstream *upstream);

// A request for `pool`, whose load is CONF_PREQUAL_PROBE, has come.
void load_probes_ask(struct load_probes *probes, const struct pool *pool);

// The next configuration: probes of pools that have another object are given up.
struct snapshot;
void load_probes_adopt(struct load_probes *probes, const struct snapshot *snapshot);

// Ends what runs and begins no more. The loop must turn until load_probes_is_empty.
void load_probes_drain(struct load_probes *probes);

static inline bool load_probes_is_empty(const struct load_probes *probes)
{
	return probes->probes.used == 0;
}

void load_probes_done(struct load_probes *probes);
