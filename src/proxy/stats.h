// SPDX-License-Identifier: Apache-2.0
// What one worker counts of requests and TCP connections when they are over. One writer, the
// worker; any thread reads at any time, without a lock.
//
// A row is of one frontend and one backend (or none), a flow of one frontend and one pool (or
// none). Both come into being with the first request that needs them, and their memory stays until
// stats_free, so a reader may hold on to them. What is in them is plain cells that only grow: each
// is right, and two of them may be apart by the requests that end meanwhile. Only when somebody is
// gone for good (stats_forget_...) his counts go over to another row, and the empty one serves the
// next newcomer; who adds rows up looks whether that happened meanwhile (stats_moves).
//
// Promises: what clients send never makes more than STATS_COUNTS_MAX counts of a row, nor more than
// STATS_MORE_MAX beyond the first STATS_SLOTS of all rows; what goes beyond is counted with method
// HTTP_OTHER_METHOD under the class of its status. Rows and flows are bounded too, and so is their
// memory: what finds none is counted in row 0 and flow 0, which name nobody. Nothing is lost, and
// nothing is refused because it cannot be counted.
#pragma once

#include "base/histogram.h"
#include "proto/http.h"
#include "proxy/snapshot.h"

enum {
	STATS_ROWS_MAX = 16 * 1024,
	STATS_FLOWS_MAX = 4096,
	STATS_MORE_MAX = 16 * 1024,
	STATS_SLOTS = 6,
	STATS_MORE_OF_ROW_MAX = 64,
	STATS_CLASSES = 6, // 0: no answer, 1 to 5: the first digit of the status
	STATS_COUNTS_MAX = STATS_SLOTS + STATS_MORE_OF_ROW_MAX + STATS_CLASSES,
};

enum { STATS_NO_TIME = UINT32_MAX }; // this moment was never reached

// Tries at a backend that were not the last one of their request.
enum stats_try {
	STATS_TRY_REPEATED, // failed, and another one followed
	STATS_TRY_HEDGE,    // of two copies, the one that was not needed
	STATS_TRIES,
};

// The last traced request of a flow, for an exemplar. Read by stats_exemplar_of.
struct stats_exemplar {
	u32 sequence;	 // odd while it is written; 0: there is none
	u64 trace_id[2]; // its 16 bytes in their order
	u64 total_us;
	i64 wall_ms;
};

// Nobody, in place of a slot.
#define STATS_NOBODY UINT32_MAX

struct stats_flow {
	u32 frontend;		// slot; STATS_NOBODY: of all that had no room
	u32 pool;		// slot; STATS_NOBODY: of no pool
	struct histogram total; // of whole requests, or of TCP connections
	struct histogram queue, connect, first_byte;
	struct sizes request, response;
	struct stats_exemplar exemplar;
	struct stats_flow *next_free;
};

struct stats_row {
	// Slots. STATS_NOBODY as `frontend`: of all that had no room.
	u32 frontend;
	u32 pool;    // of the backend, or whose turn it was; STATS_NOBODY: none
	u32 backend; // the last one that was asked; STATS_NOBODY: none
	struct stats_flow *flow;
	u64 key; // the same in all workers; in the order of frontends, then of backends
	u64 bytes_in, bytes_out; // bodies and tunnels, on the client's side
	u64 errors;		 // the backend's or our doing, see struct stats_entry
	u64 upgrades;
	u64 tries[STATS_TRIES];
	u64 classes[STATS_CLASSES]; // what found no room in the following
	u64 counts[STATS_SLOTS];
	u16 keys[STATS_SLOTS]; // of counts: method and status; 0: free
	u16 more_count;
	u32 more; // further counts (struct stats_more): index of the newest plus 1
	struct stats_row *next_free;
	struct histogram spent; // from a request sent to the backend to the end of the answer
};

struct stats;

// Borrows the snapshot. Memory that is missing ends the process.
struct stats *stats_new(const struct snapshot *snapshot);

// Nobody reads any more. NULL is fine.
void stats_free(struct stats *stats);

// ---- By the worker ------------------------------------------------------------------------------

// One request or TCP connection that is over.
struct stats_entry {
	const struct frontend *frontend;
	const struct pool *pool;       // the backend's, or whose turn it was; NULL: none
	const struct backend *backend; // NULL: none was asked
	u64 bytes_in, bytes_out;
	u64 total_us; // of a request that became a tunnel: to the head of its answer
	u64 spent_us; // from being sent to the end; only where `was_sent`
	u32 queue_us, connect_us, first_byte_us; // or STATS_NO_TIME
	u16 status;				 // of the answer to the client; 0: none
	u8 method;				 // enum http_method
	bool tcp, upgraded; // a TCP connection | a request that became a tunnel
	bool was_sent;
	bool error; // status 500 or above, or no whole answer by the backend's or our doing
};

void stats_note(struct stats *stats, const struct stats_entry *entry);

// The same, quicker, for what is usual: a backend's whole answer below 500 that came on a
// connection that was there already, to a request that did not have to wait for a place. What this
// says of itself is not looked at: pool, queue_us, connect_us, and what follows method.
void stats_note_usual(struct stats *stats, const struct stats_entry *entry);

// A try at `backend` that is not, or not only, told by the entry of its request.
void stats_note_try(struct stats *stats, const struct frontend *frontend,
	const struct backend *backend, enum stats_try kind);

// A client connection was opened (1) or closed (-1).
void stats_note_connection(struct stats *stats, const struct frontend *frontend, int by);

// The request that was noted with `entry` is recorded in this trace. Only where it was noted and
// its total_us are looked at.
void stats_note_trace(struct stats *stats, const struct stats_entry *entry,
	const u8 trace_id[static 16], i64 wall_ms);

// Nobody has this slot any more. What was counted for it counts for its pool without a backend, for
// its frontend without a pool, or for nobody. So there are never more rows than of those who are
// there, whoever came and went.
void stats_forget_backend(struct stats *stats, u32 slot);
void stats_forget_pool(struct stats *stats, u32 slot);
void stats_forget_frontend(struct stats *stats, u32 slot);

// ---- By any thread ------------------------------------------------------------------------------

// Of whom a row or a flow is, at this moment: it may lose its names (stats_forget_...).
struct stats_names {
	u32 frontend, pool, backend; // slots, or STATS_NOBODY
};

static inline struct stats_names stats_row_names(const struct stats_row *row)
{
	return (struct stats_names){.frontend = __atomic_load_n(&row->frontend, __ATOMIC_RELAXED),
		.pool = __atomic_load_n(&row->pool, __ATOMIC_RELAXED),
		.backend = __atomic_load_n(&row->backend, __ATOMIC_RELAXED)};
}

static inline struct stats_names stats_flow_names(const struct stats_flow *flow)
{
	return (struct stats_names){.frontend = __atomic_load_n(&flow->frontend, __ATOMIC_RELAXED),
		.pool = __atomic_load_n(&flow->pool, __ATOMIC_RELAXED),
		.backend = STATS_NOBODY};
}

// Of all of these. Sums of rows that were made between two calls with the same result are right;
// else counts went from one row to another meanwhile, which is rare and takes microseconds.
u64 stats_moves(const struct stats *const *stats, u32 count);
static inline bool stats_may_have_moved(u64 before, u64 after)
{
	return before != after || before >> 63; // the highest bit: some do just now
}

// The key of rows with these names.
u64 stats_key(const struct stats *stats, u32 frontend, u32 pool, u32 backend);

u32 stats_row_count(const struct stats *stats); // at least 1: row 0
const struct stats_row *stats_row(const struct stats *stats, u32 index);
u32 stats_flow_count(const struct stats *stats);
const struct stats_flow *stats_flow(const struct stats *stats, u32 index);

// Clients of this worker that are connected to the frontend.
u64 stats_connections(const struct stats *stats, const struct frontend *frontend);

struct stats_count {
	u64 count;
	u16 status; // 0: no answer; 1 to 5: all of this class that had no room of their own
	u8 method;  // enum http_method
};

// The row's counts by method and status, without those that are zero; gives how many. A TCP row has
// one, with status 0.
u32 stats_row_counts(const struct stats *stats, const struct stats_row *row,
	struct stats_count ret_counts[static STATS_COUNTS_MAX]);

// False: there is none, or it was changing all the time.
bool stats_exemplar_of(const struct stats_flow *flow, struct stats_exemplar *ret_exemplar);

// ---- Sums ---------------------------------------------------------------------------------------

// Of a frontend, of a pool, or of everything: `time` is of whole requests. Of a backend: its own
// part of them, of the tries that were the last ones.
struct stats_sum {
	struct histogram time;
	u64 requests;		   // that are over; TCP connections too
	u64 errors, client_errors; // client_errors: answers of 400 to 499
	u64 classes[STATS_CLASSES];
	u64 upgrades;
	u64 tries[STATS_TRIES];
	u64 bytes_in, bytes_out;
};

// Each sums over `count` workers, and begins at zero. They look at every row: for all backends at
// once take stats_sum_each.
void stats_sum_backend(const struct stats *const *stats, u32 count, const struct backend *backend,
	struct stats_sum *ret_sum);
void stats_sum_pool(const struct stats *const *stats, u32 count, const struct pool *pool,
	struct stats_sum *ret_sum);
void stats_sum_frontend(const struct stats *const *stats, u32 count,
	const struct frontend *frontend, struct stats_sum *ret_sum);
void stats_sum_all(const struct stats *const *stats, u32 count, struct stats_sum *ret_sum);

// All of them in one pass. The arrays are the caller's and zero at first: by slot, as many as their
// counts say. NULL: not wanted.
struct stats_sums {
	struct stats_sum all;
	struct stats_sum *frontends, *pools, *backends;
	u32 frontend_count, pool_count, backend_count;
};

void stats_sum_each(const struct stats *const *stats, u32 count, struct stats_sums *sums);

// What came between two sums of the same: for the last second, or the last minute. Quantiles and
// the maximum of `time` are those of histogram.h.
void stats_sum_minus(
	const struct stats_sum *now, const struct stats_sum *before, struct stats_sum *ret_between);
