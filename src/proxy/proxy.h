// SPDX-License-Identifier: Apache-2.0
// The data plane of one core as one object: no globals, so a test makes as many as it likes. Its
// parts (front, exchange, upstream) share what stands here and nothing else.
#pragma once

#include "base/log.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "base/trace.h"
#include "net/mover.h"
#include "proxy/access.h"
#include "proxy/evict.h"
#include "proxy/faults.h"
#include "proxy/load_probe.h"
#include "proxy/record.h"
#include "proxy/snapshot.h"
#include "proxy/stats.h"
#include "proxy/tracing.h"
#include "upstream/lease.h"

enum step {
#define X(name, text, run, to) STEP_##name,
#include "proxy/steps.def"
#undef X
	STEP_COUNT,
	STEP_STAY, // wait for an event
};

extern const char *const step_names[STEP_COUNT];

// True when the table allows the move.
bool step_may_go(enum step from, enum step to);

struct secure; // proxy/secure.h
// What this worker still uses of a snapshot: exchanges that began with it, and clients of frontends
// that the next one has not. A plain count, the worker's own.
struct hold {
	const struct snapshot *snapshot;
	u32 count;
	struct list node; // in proxy->old_holds; the newest one is in no list
};

struct gate;  // proxy/front.h
struct giver; // proxy/passing.c

struct proxy {
	struct loop *loop;
	const struct snapshot *snapshot; // the newest one
	struct hold *hold;		 // on it
	struct list old_holds;		 // oldest first
	// Nothing here uses this snapshot any more, nor ever will. Later than in the turn of
	// proxy_adopt, or in it. NULL: nobody wants to know.
	void (*on_let_go)(struct proxy *proxy, const struct snapshot *snapshot);
	struct gate *gates;  // by slot of the frontend
	struct list tunnels; // exchanges
	struct giver *giver; // of tunnels, to another process (passing.c); NULL: none
	struct timer rebind; // of tunnels, some at a time
	u32 rebinds_left;
	struct log *log;
	struct trace_ring *trace;
	struct metrics_cells *metrics;
	struct stats *stats; // borrowed; NULL: requests are not counted
	struct access_config access;
	struct span_ring *spans; // NULL: no tracing
	struct tracing_rules tracing;
	struct upstream upstream;
	struct h1_parser *parsers; // one for each frontend, with its limits
	struct h2_kit *h2;
	struct mover_pipes pipes;
	struct mover_pipes *splice; // &pipes, or NULL where descriptors cannot be spliced
	struct rng rng;
	struct slab clients, clients_with_origin, exchanges, arenas;
	struct list client_list; // the newest first
	struct list rosters;	 // those who are looking through it
	u32 client_count, clients_max;
	u32 next_exchange;
	bool draining, is_aborted;
	u32 moves[STEP_COUNT]
		 [STEP_COUNT]; // how often each move was made; counted in builds with tests
	struct faults faults;
	struct evict evict;
	struct secure *secure; // TLS; NULL: none. Borrowed
	u32 handshakes;	       // of clients, under way
	struct load_probes load_probes;
	struct records *records; // of the last requests; NULL: none are kept
};

struct proxy_limits {
	u32 clients_max;
	u32 links_max;
};

// Everything in `proxy` is the caller's memory; loop, snapshot, log, trace and metrics are
// borrowed. `number` is the worker's, below the snapshot's worker_count. What it learns about
// backends goes to proxy->upstream.reports, which the caller sets; so it does proxy->stats and
// proxy->records.
void proxy_init(struct proxy *proxy, struct loop *loop, struct snapshot *snapshot, u32 number,
	const struct proxy_limits *limits, struct log *log, struct trace_ring *trace,
	struct metrics_cells *metrics, u64 seed);

// The next configuration, from the next request on. What runs goes on with the old one and lets go
// of it by and by (on_let_go). Client connections, idle connections to backends that are in both,
// and whatever cells say stay; who waits for a place in a pool that has another object waits there.
void proxy_adopt(struct proxy *proxy, const struct snapshot *snapshot);

// One who held it holds it no more.
void proxy_let_go_slowly(struct proxy *proxy, struct hold *hold);

static inline void proxy_let_go(struct proxy *proxy, struct hold *hold)
{
	if (unlikely(--hold->count == 0) && hold != proxy->hold)
		proxy_let_go_slowly(proxy, hold);
}

// Nobody has this backend any more: what this worker knows of it is forgotten, what it counted
// counts for its pool.
void proxy_forget_backend(struct proxy *proxy, u32 slot);

// Whether one more connection would be taken now, as far as this worker can tell.
bool proxy_has_room(const struct proxy *proxy, const struct frontend *frontend);

// Takes a fresh connection. False: a limit is reached (of the worker or of the frontend), and the
// descriptor stays the caller's.
bool proxy_offer(struct proxy *proxy, const struct frontend *frontend, int fd) must_check;

// The same, but what cannot be taken is reset.
void proxy_accept(struct proxy *proxy, const struct frontend *frontend, int fd);

// Take nothing new; what runs may finish. Idle keep-alive connections get a second of grace.
void proxy_drain(struct proxy *proxy);

// End everything at once.
void proxy_abort(struct proxy *proxy);

// Nothing is open any more (turn the loop until then).
bool proxy_is_empty(const struct proxy *proxy);

// Says what the log was spared so far. Asserts that every slab is empty.
void proxy_done(struct proxy *proxy);
