// SPDX-License-Identifier: Apache-2.0
// Prequal's pool of probes (Wydrowski et al., NSDI'24), for backends that tell their own load when
// they are asked for it. It pays where several balancers share the backends and so do not see each
// other's requests; one that sees all of them picks by balance_pick, which follows the same rule
// over its own counts. What backends tell with their answers to requests is for balance_pick, too:
// a pool of that would lead every next request back to those who answered last.
//
// For each request: prequal_pick, then send the probes that prequal_targets names, and give what
// comes back to prequal_add. One pool belongs to one worker.
#pragma once

#include "decide/balance.h"
#include "decide/quantile.h"

enum { PREQUAL_POOL_MAX = 16, PREQUAL_PROBES_MAX = 8 };

// The paper's constants are the defaults (all zero gives them).
struct prequal_options {
	u32 probes;	 // for each request, at most PREQUAL_PROBES_MAX; 3
	u32 pool_max;	 // probes that are kept, at most PREQUAL_POOL_MAX; 16
	u32 removals;	 // for each request, by turns the oldest and the worst; 1
	nsec age_max;	 // 1 s
	double spread;	 // delta of the reuse formula; 1
	u32 reuse_max;	 // cap of it, which small pools need; 16
	u32 hot_percent; // above this quantile of requests in flight a backend is hot; 84
};

struct prequal_probe {
	u32 index;
	u32 in_flight; // in units of an average weight, grows by one with each use
	nsec latency;
	nsec at;
	u32 uses_left;
};

struct prequal {
	struct prequal_options options;
	u32 members;
	u32 count;
	struct prequal_probe probes[PREQUAL_POOL_MAX]; // oldest first
	double reuse;
	bool remove_worst; // next time
	struct quantile heat;
};

void prequal_init(struct prequal *prequal, const struct prequal_options *options, u32 members);

// How often one probe may be used while there are `members`: max(1, (1 + delta) / ((1 - m/n) probes
// - removals)), at most reuse_max, which is also what it is when the formula has no answer (with
// the paper's constants up to 24 members).
double prequal_reuse(const struct prequal_options *options, u32 members);

// Whom to probe now: distinct indexes below `members`, fewer than options.probes when there are not
// so many. Gives how many.
u32 prequal_targets(
	const struct prequal *prequal, struct rng *rng, u32 ret_indexes[PREQUAL_PROBES_MAX]);

// An answer to a probe. It replaces an older one of the same member, and the oldest of all in a
// full pool. `rng` rounds how often it may be used.
void prequal_add(
	struct prequal *prequal, u32 index, u32 in_flight, nsec latency, nsec now, struct rng *rng);

// The best of the pool that is eligible in `state` and was not tried; without one two choices by
// `state`, whose table is of any kind that picks by cost. Counts the use, and removes what the
// constants say; who only wants to know does it on a copy.
u32 prequal_pick(struct prequal *prequal, struct balance_state *state,
	const struct balance_ask *ask, nsec now);
