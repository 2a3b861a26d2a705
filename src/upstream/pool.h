// SPDX-License-Identifier: Apache-2.0
// Pools and backends as all threads see them. Immutable once the snapshot is built, except for the
// atomics, each of which names its writer: the control thread says who may get requests, workers
// count what they do.
//
// How a change reaches a worker: the control thread writes the flags of the backends (`why`,
// `share`, ...), perhaps a new view (view.h), and then moves the pool's generation. A worker
// compares generations at each pick, so a change counts from the next pick on.
#pragma once

#include <stdatomic.h>

#include "base/addr.h"
#include "base/list.h"
#include "conf/conf.h"
#include "decide/balance.h"
#include "decide/balance_cost.h"
#include "decide/cap.h"
#include "decide/eligible.h"
#include "decide/key_hash.h"
#include "decide/slow_start.h"

struct load_told;
struct view;
struct sticky; // proxy/sticky.h
struct upstream;

// What all requests to one backend together may do, found by watching (decide/gradient.h). Only
// where limits.adaptive is on.
struct adaptive {
	atomic_flag lock; // over `gradient`; held for a few dozen instructions
	struct gradient gradient;
	_Atomic(u32) limit; // requests at the same time; written by whoever holds the lock
	struct cap requests;
};

// The epoch of an object that has a successor in a newer configuration: of no breaker's state.
#define BACKEND_EPOCH_PAST UINT32_MAX

struct backend {
	struct str id;	    // unique in its pool; its identity across reloads
	struct str address; // as configured, for people and for X-Backend-Server
	struct str name;    // host name to be resolved; empty when `addr` was given
	struct addr addr;   // written by control before `why` leaves UNRESOLVED
	const struct conf_backend *conf;
	struct pool *pool;
	u32 index;		   // in its pool
	u32 cell;		   // its slot (slots.h), also in each worker's array of cells
	u32 sockets_max;	   // of all workers, idle ones too; 0: no bound
	bool is_h2;		   // it speaks HTTP/2, and nothing else
	bool is_tls;		   // it is spoken to by TLS
	struct str server_line;	   // "X-Backend-Server: address" with its line end
	struct adaptive *adaptive; // NULL: limits.adaptive is off | its slot's (slots.h)
	struct cap *sockets;	   // its slot's: counted where sockets_max bounds them
	// Written by the control thread.
	_Atomic(u8) why;	   // enum eligible_why
	_Atomic(u32) weight;	   // 0: no new requests
	_Atomic(bool) is_disabled; // its kept connections are closed
	_Atomic(u8) share;	   // of its weight, in parts of SLOW_START_WHOLE
	_Atomic(u32) epoch;	   // of its breaker, another one in each state
	_Atomic(u32) trials; // trial requests that may begin; workers take from it, then read epoch
	_Atomic(u64) checked_ms; // when its last health check ended; 0: there was none
	_Atomic(u64) check_us;	 // how long the last answer to one took; 0: there was none
};

// What one worker has of one backend. It has one writer, the worker. Fields marked "read by all"
// are changed by relaxed stores (cell_store) and may be read by any thread.
struct cell {
	u32 in_flight; // read by all: attempts that were begun and have not ended
	// Read by all, growing: what attempts came to that began in the breaker's epoch that was
	// current at their end, trials apart.
	u32 good, bad;
	u32 bad_streak;				  // read by all: `bad` ones since the last good one
	u32 trials_good, trials_bad, trials_void; // read by all, growing
	u32 connections;			  // read by all: open, idle ones too
	u32 idle_count;				  // read by all
	bool is_dirty;	       // in_flight has changed since other workers were told
	bool is_full;	       // out of the picker's state, because there was no place
	struct list full_node; // in the picker's list
	struct misses misses;
	struct balance_ewma latency;
	struct balance_curve *curve; // prequal only
	struct load_told *told;	     // by the backend; where pool->load is HEADER
	u32 load_probes;	     // on their way to it
	struct list idle;	     // links, newest first
	struct list open;	     // links of HTTP/2 that are in use and have room for more
};

// What one worker has of one pool, as far as others look at it. One writer, the worker.
struct pool_cell {
	_Alignas(CACHE_LINE) u64 requests; // read by all, growing: first tries, for the budget
	u64 charged;			   // read by all, growing: what was taken from the budget
	u64 failures;		   // read by all, growing: of all its cells, counted after them
	_Atomic(u64) seen;	   // generation up to which it uses nothing older
	_Atomic(u32) waiting;	   // requests in its queue
	_Atomic(u32) idle_bounded; // idle links to backends with a bound on sockets
};

struct pool {
	struct str name;
	const struct conf_pool *conf;
	u32 index; // its slot
	u32 since; // generation of the configuration that made this object
	u32 users; // snapshots that have it; the control thread's
	struct backend *backends;
	u32 backend_count;
	struct pool *failover; // NULL: none
	enum balance_kind kind;
	struct balance_options options;
	struct key_hash_secret hash_secret;
	u8 load;			// enum conf_prequal_load; OWN where the kind is another one
	struct sticky *sticky;		// NULL: clients are not bound by a cookie
	struct balance_member *members; // of backends, with their configured weights
	u32 idle_connections_max;	// kept per backend and worker
	u64 connect_timeout_ms, response_timeout_ms, response_idle_ms, upstream_idle_ms;
	bool learns;	 // how long answers take matters: to the algorithm, a bound, or hedging
	bool is_bounded; // somebody may have to wait: for a socket, for a place, for the adaptive
			 // limit
	struct pool_cell *cells; // one for each worker
	u32 worker_count;
	// The retry budget, shared by all workers. Only requests that are sent again take the lock.
	atomic_flag budget_lock;
	struct budget budget;
	struct cap *requests; // its slot's: being served, where limits.requests bounds them
	// Written by the control thread.
	_Atomic(struct view *) view;
	_Atomic(u64) generation;
	_Atomic(u32) eligible; // how many may get requests
	_Atomic(u32) disabled; // backends whose kept connections are closed
	bool is_reweighed;     // a member has another weight than in the view's table
	// Written by workers, together: of all their queues. Sequentially consistent, see queue.h.
	_Alignas(CACHE_LINE) _Atomic(u32) waiting;
	_Atomic(u32) choosy;	  // of them, those to whom not every backend is of use
	_Atomic(u32) last_served; // worker whose queue had the last place that became free
	// One position for all workers: the next connection goes to the next backend, whoever took
	// it.
	_Alignas(CACHE_LINE) _Atomic(u64) position;
};

// A plain add by the one writer of a cell; relaxed for those who read it.
static inline void cell_add(u32 *field, u32 by)
{
	__atomic_store_n(field, __atomic_load_n(field, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

static inline void cell_set(u32 *field, u32 value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static inline u32 cell_read(const u32 *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

// Who sees it in sees its address: a worker may meet a flag of which the generation is still to
// come.
static inline enum eligible_why backend_why(const struct backend *backend)
{
	return (enum eligible_why)atomic_load_explicit(&backend->why, memory_order_acquire);
}
