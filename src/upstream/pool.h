// SPDX-License-Identifier: Apache-2.0
// Pools and backends as all workers see them. Immutable after the snapshot is built, except the few
// atomics named below.
#pragma once

#include "base/addr.h"
#include "base/list.h"
#include "decide/balance.h"
#include "proto/http.h"

enum backend_state {
	BACKEND_USABLE,
	BACKEND_UNRESOLVED, // its name is not known (yet): no address
	BACKEND_DISABLED,   // weight 0
};

struct backend {
	struct str id;	    // unique in its pool
	struct str address; // as configured, for people and for X-Backend-Server
	struct str name;    // host name to be resolved; empty when `addr` was given
	struct addr addr;   // valid while the state is BACKEND_USABLE
	struct pool *pool;
	u32 index; // in its pool
	u32 cell;  // in each worker's array of cells
	u32 weight;
	struct str server_line; // "X-Backend-Server: address" with its line end
	// Written once by the resolver (release), read by workers (acquire).
	_Atomic(u8) state; // enum backend_state
};

struct pool {
	struct str name;
	struct backend *backends;
	u32 backend_count;
	u32 idle_connections_max; // kept per backend and worker
	u64 connect_timeout_ms, response_timeout_ms, response_idle_ms, upstream_idle_ms;
	// The order over the eligible backends, replaced as a whole when that set changes.
	_Atomic(struct balance_order *) order;
	// One position for all workers: the next connection goes to the next backend, whoever took
	// it.
	_Alignas(CACHE_LINE) _Atomic(u64) position;
};

// What one worker has of one backend.
struct cell {
	struct list idle; // links, newest first; the worker's own
	u32 idle_count;
	u32 connections; // open, idle ones too
};
