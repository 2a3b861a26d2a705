// SPDX-License-Identifier: Apache-2.0
// The right to use one stream to a backend: an idle connection, or a new one. Idle connections
// belong to one worker, newest first, so that the warm ones are used and the rest grow old and go.
//
// A lease is embedded in its holder (an attempt of an exchange). It ends by lease_release (the
// message pair is complete, the connection may serve again) or lease_abandon (it may not).
#pragma once

#include "base/metrics.h"
#include "net/conn.h"
#include "upstream/pool.h"

struct lease;
struct link;

struct lease_events {
	void (*on_ready)(struct lease *lease);		   // lease->stream is set
	void (*on_failed)(struct lease *lease, int error); // no connection; the lease is over
};

struct lease {
	const struct lease_events *events;
	struct link *link; // NULL: no lease
	struct stream *stream;
	struct backend *backend;
	bool reused;	  // the connection served before
	u64 heard_before; // bytes that had come on it when the stream was taken
};

// One connection to a backend.
struct link {
	struct conn conn;
	struct upstream *upstream;
	struct backend *backend;
	struct lease *lease; // NULL: idle or closing
	struct list node;    // in its cell's idle list
	u64 idle_until_ms;
	bool stream_done;
};

// One worker's upstream side.
struct upstream {
	struct loop *loop;
	struct h1_parser *parser;
	struct metrics_cells *metrics;
	struct cell *cells;
	u32 cell_count;
	struct slab links;
	u32 idle_count,
		idle_max; // over all backends; the rest of the links is for running requests
	bool draining;	  // keep nothing
};

void upstream_init(struct upstream *upstream, struct loop *loop, struct h1_parser *parser,
	struct metrics_cells *metrics, u32 cell_count, u32 links_max);

// Closes idle links and keeps no more. The loop must turn until upstream_is_empty.
void upstream_drain(struct upstream *upstream);
bool upstream_is_empty(const struct upstream *upstream);
void upstream_done(struct upstream *upstream);

enum lease_result { LEASE_READY, LEASE_WAIT, LEASE_FAILED };

// A stream to `backend`. `may_reuse`: an idle connection will do. READY: lease->stream can be used
// now. WAIT: one of the events follows in a later turn. FAILED: *ret_error says why; no event
// follows.
enum lease_result lease_open(struct upstream *upstream, struct lease *lease,
	struct backend *backend, bool may_reuse, const struct lease_events *events, int *ret_error);

// The same for bytes without HTTP: always a new connection, never kept.
enum lease_result lease_open_raw(struct upstream *upstream, struct lease *lease,
	struct backend *backend, const struct lease_events *events, int *ret_error);

// Has any byte of an answer come?
static inline bool lease_has_heard(const struct lease *lease)
{
	return lease->link->conn.bytes_in != lease->heard_before;
}

void lease_release(struct lease *lease);
void lease_abandon(struct lease *lease);
