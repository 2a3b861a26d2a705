// SPDX-License-Identifier: Apache-2.0
// One worker's upstream side as one object: what it believes about each pool (pick.h), its
// connections to backends (lease.h), its requests that wait for a place (queue.h), and what it
// hears of the other workers (crowd.h).
#pragma once

#include "base/metrics.h"
#include "base/rng.h"
#include "decide/hedge.h"
#include "decide/prequal.h"
#include "decide/waiters.h"
#include "loop/loop.h"
#include "net/tls.h"
#include "proto/h2.h"
#include "upstream/crowd.h"
#include "upstream/report.h"
#include "upstream/slots.h"
#include "upstream/view.h"

// What one worker has of one pool to itself.
struct picker {
	struct upstream *upstream;
	struct pool *pool;
	bool is_current; // the newest configuration has the pool
	struct pool_cell *shared;
	struct balance_state *state;
	const struct balance_table *table;
	u64 generation; // of the pool, that `state` is up to
	bool has_costs; // requests in flight change what the algorithm picks
	bool learns;	// latencies do
	// Eligible, but with no place for another request when that was last looked at; out of
	// `state` until there is one.
	struct list full;
	u32 full_count;
	struct list idle; // links to backends with a bound on sockets, newest first
	struct waiters queue;
	struct task serve; // those who wait
	struct hedge hedge;
	struct prequal *prequal; // NULL: no pool of probes
	struct list told;	 // struct load_told, oldest first
	// Of the pool's requests that this worker counted: those its budget knows of, when the last
	// one came, and when the budget has to hear of them.
	u64 noted, requested_ms, note_ms;
	u64 refused_until_ms; // until then nobody waits for a pool whose backends all refuse
	struct arena arena;   // of `state`
};

struct upstream {
	struct loop *loop;
	struct h1_parser *parser;
	struct h2_kit *h2;
	struct metrics_cells *metrics;
	struct slots *slots;
	struct crowd *crowd;	       // of them
	struct cell *cells;	       // by slot
	struct backend **backends;     // by slot, those of now; NULL: there is none
	struct picker *pickers;	       // by slot; pool NULL: there is none
	u32 pool_count, backend_count; // slots that were ever used
	u32 number;		       // this worker's
	struct report_to reports;
	struct rng rng;
	struct crowd_ear ear;
	struct slab links;
	struct tls_client **tls; // by backend->cell; NULL: nobody is spoken to by TLS
	u32 tls_count;
	// Over all backends; the rest of the links is for running requests.
	u32 idle_count, idle_max;
	bool draining; // keep nothing
	// More than half of the links are in use by requests, and one more was wanted. Called from
	// inside of anything. NULL: nobody wants to know.
	void (*on_many)(struct upstream *upstream);
	// A backend's conduct on HTTP/2 has ended its connection. NULL: nobody wants to know.
	void (*on_excess)(
		struct upstream *upstream, const struct backend *backend, enum h2_excess excess);
	// The same behind a handshake of TLS: tls_is_excess.
	void (*on_tls_excess)(
		struct upstream *upstream, const struct backend *backend, enum tls_fault fault);
	struct message nudge;
	_Atomic(bool) nudged; // `nudge` is on its way
};

struct upstream_config {
	struct loop *loop;
	struct h1_parser *parser;
	struct h2_kit *h2; // NULL: no backend speaks HTTP/2
	struct metrics_cells *metrics;
	struct slots *slots;
	struct pool **pools;	   // by slot
	struct backend **backends; // by slot
	u32 pool_count, backend_count;
	u32 number;
	u32 links_max;
	struct report_to reports;
	u64 seed;
};

void upstream_init(struct upstream *upstream, const struct upstream_config *config);

// Links in use by requests.
static inline u32 upstream_busy_links(const struct upstream *upstream)
{
	return upstream->links.used - upstream->idle_count;
}

static inline bool upstream_has_many_busy(const struct upstream *upstream)
{
	return upstream_busy_links(upstream) > upstream->links.used_max / 2;
}

// The next configuration. Pools that are the same objects are left alone. A pool with another
// object begins anew with what its backends' cells say; who waits in its queue looks there for a
// place. Idle connections to backends that are gone are closed. The arrays live until the next
// call.
struct upstream_change {
	struct pool *const *pools;
	struct backend **backends;
	u32 pool_count, backend_count;
};
void upstream_adopt(struct upstream *upstream, const struct upstream_change *change);

// Nobody uses this object any more, which is not the newest configuration's.
void upstream_let_go(struct upstream *upstream, const struct pool *pool);

// Nobody has this backend any more, nothing runs at it and no connection to it is open: its cell is
// for another one.
void upstream_forget(struct upstream *upstream, u32 slot);

// Closes idle links and keeps no more. The loop must turn until upstream_is_empty.
void upstream_drain(struct upstream *upstream);
bool upstream_is_empty(const struct upstream *upstream);
void upstream_done(struct upstream *upstream);

// From any thread: look at your pools. The worker takes up what was published, serves those who
// wait if there are places, and closes idle connections that others wait for. It must not have
// ended its loop.
void upstream_nudge(struct upstream *upstream);

static inline struct picker *upstream_picker(
	const struct upstream *upstream, const struct pool *pool)
{
	return &upstream->pickers[pool->index];
}

static inline struct cell *upstream_cell(
	const struct upstream *upstream, const struct backend *backend)
{
	return &upstream->cells[backend->cell];
}
