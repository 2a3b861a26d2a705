// SPDX-License-Identifier: Apache-2.0
// Decision records: what was done with the last requests and why, so that one who asks afterwards
// (`weir why ID`, the dashboard) is answered. Each worker keeps its last RECORDS_KEPT requests, and
// apart from them its last RECORDS_FAILED_KEPT that failed, which a flood of successes does not
// push out.
//
// One writer, the worker, and any number of readers in other threads, without a lock: each record
// has a sequence number that is odd while it is written (a seqlock), so a reader gets a whole
// record or none. What is written for an ordinary request are three or four lines of the cache, and
// nothing is computed that a reader can compute: moments as they were taken, indices instead of
// names. Numbers are slots, or of one configuration, which `generation` names.
//
// What a record holds of the pick is what the algorithm had in its hands (struct balance_seen).
#pragma once

#include "decide/balance.h"
#include "proxy/outcome.h"

struct attempt;
struct exchange;

enum {
	RECORDS_KEPT = 4096,
	RECORDS_FAILED_KEPT = 512,
	RECORD_ID_MAX = 64,   // of a request id that a trusted proxy sent; ours have 32
	RECORD_PATH_MAX = 96, // of the path in its normal form, without query
	RECORD_IP_MAX = 39,
	RECORD_SHORT_IP_MAX = 15,
	RECORD_TRIES_MAX = 4, // the first three and the last one
	RECORD_NOBODY = UINT16_MAX,
};
#define RECORD_NO_TIME UINT32_MAX // this moment was never reached

// How a try ended that was not the end of its request. X(NAME, name, text)
#define RECORD_ENDS(X)                                                                     \
	X(STATUS, "status_retried", "the backend's answer is one that is asked for again") \
	X(STALE, "stale", "the kept connection turned out to be closed")                   \
	X(LATE, "try_timeout", "no answer had begun within retry.try_timeout")             \
	X(SLOWER, "slower", "the other copy was answered first")                           \
	X(DROPPED, "dropped", "the request ended meanwhile")

// Where a number can also be an enum outcome, these come behind.
enum record_end {
	RECORD_END_NOT = METRICS_OUTCOMES_MAX,
#define X(name, word, text) RECORD_END_##name,
	RECORD_ENDS(X)
#undef X
		RECORD_END_COUNT
};

struct record_try {
	u16 pool, backend; // slots (upstream/slots.h)
	u16 status;	   // of its answer; 0: none
	u8 ended;	   // enum outcome (OK: it gave the answer) or enum record_end
	bool hedge;	   // the second copy of a slow request
	u32 at_us;	   // since the request began
	u32 took_us;
};

struct record {
	i64 at_ms; // Unix time when it began
	u64 total_us, bytes_in, bytes_out;
	u64 key;	     // that it was balanced by, where the algorithm hashes
	u32 worker;	     // number
	u32 generation;	     // of the configuration that the indices are of
	u32 sticky;	     // index of the backend that its cookie named; BALANCE_NONE: none
	u32 head_us;	     // while its head came | spans as in access.h
	u32 queue_us;	     // of the last try
	u32 connect_us;	     // 0: an idle connection
	u32 first_byte_us;   // from the request sent to the answer's head
	u16 frontend;	     // slots; RECORD_NOBODY: none (of a route: no route took it)
	u16 route, pool;     // the route is a number of its frontend's in that generation
	u16 backend;	     // the last one that was picked
	u16 status;	     // 0: no answer was sent
	u16 eligible, full;  // of the pool at the last pick, as in pick.h
	u16 look_count_seen; // looks of the last pick, kept or not
	u8 look_count, try_count;
	u8 attempts;  // begun, without replays; may be more than tries are kept
	u8 pauses;    // waited between tries
	u8 failovers; // pools that had nobody, before `pool`
	u8 method;    // enum http_method
	u8 outcome;   // enum outcome
	u8 refusal;   // enum http_refusal, of an answer of our own
	u8 failure;   // enum outcome of the last try that failed
	u8 no_retry;  // enum retry_reason: why none followed it
	bool tcp, tunnelling, reused, replayed;
	bool is_picked; // the pool was asked for a backend
	bool may_wait;	// it has waited in the queue for a place
	bool by_weight; // as in struct balance_seen
	bool path_is_cut;
	struct record_try tries[RECORD_TRIES_MAX];
	struct balance_look looks[BALANCE_LOOKS_MAX]; // of the last pick by the algorithm
	char id[RECORD_ID_MAX + 1];		      // empty: none (TCP)
	char path[RECORD_PATH_MAX + 1];
	char client[RECORD_IP_MAX + 1]; // "unix:": by a unix socket
};

enum { RECORD_WORDS = 63 };

struct record_slot {
	_Atomic(u64) sequence; // 2n + 1 while record n is written, 2n + 2 afterwards
	_Atomic(u64) words[RECORD_WORDS];
};

struct record_ring {
	struct record_slot *slots;
	_Atomic(u64) sequence; // of the next record
	u32 mask;
};

// One worker's.
struct records {
	u32 worker;
	struct record_ring all, failed;
};

// Whether the failed ones keep it: an answer of 500 and above, or an end that is a backend's or the
// balancer's doing. A page of our own that tells of trouble is no trouble itself; and who asks for
// what is not there must not push real failures out, so that is counted only.
static inline bool record_is_failure(enum outcome outcome, u16 status)
{
	u8 origin = outcome_info(outcome)->origin;

	return (outcome != OUTCOME_NO_ROUTE &&
		       (origin == ORIGIN_BACKEND || origin == ORIGIN_BALANCER)) ||
	       (status >= 500 && outcome != OUTCOME_BUILTIN);
}

const char *record_end_name(u8 ended); // of outcomes, too
const char *record_end_text(u8 ended);

// ---- For the worker and who started it ----------------------------------------------------------

// Takes the memory: 2.3 MiB.
struct records *records_new(u32 worker);
void records_free(struct records *records); // nobody reads any more; NULL is fine

// The end of an exchange, by its worker.
void records_add(struct records *records, struct exchange *x);

// What is kept of tries until then: this one has ended (enum outcome or enum record_end, and the
// status of its answer, 0 without one), and the request goes on. Only the first call for a try
// counts. None does anything where no records are kept.
void record_note_try(struct exchange *x, const struct attempt *attempt, u8 ended, u16 status);

// ... and nothing runs for it until the next try begins | the second copy is the one that counts.
void record_note_pause(struct exchange *x);
void record_note_promoted(struct exchange *x);

// ---- For readers, in any thread -----------------------------------------------------------------

// The newest record of that id among `count` workers' (NULL: a worker that keeps none). False:
// there is none, or none any more.
bool record_find(
	struct records *const *all, u32 count, struct str id, struct record *ret_record) must_check;

// At most `max` records of all workers, those first that ended last. Gives their number.
u32 record_read_newest(struct records *const *all, u32 count, bool failures_only,
	struct record *ret_records, u32 max);
