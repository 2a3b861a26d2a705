// SPDX-License-Identifier: Apache-2.0
// A circuit breaker per backend. Closed, it lets everything through and counts; failures in a row,
// or too large a share of them in a sliding window, open it. Open, nothing passes for a while that
// doubles each time it opens again. Half-open, a bounded number of trial requests decide: all good,
// and it closes; one bad, and it opens.
//
// Two ways to use it, with the same rules: one owner asks for every request (breaker_ask, then
// breaker_done); or several threads let requests pass by a published state and an owner sums up
// what they saw (breaker_counts, breaker_apply), handing out breaker_trials_free trials as tokens.
//
// Promises: half-open, never more than trials_max trials at the same time, nor more than
// success_threshold of them that could still count; it never opens while the pool's share is used
// up (share.h); results of requests from before the present state change nothing.
#pragma once

#include "decide/share.h"

enum breaker_state {
	BREAKER_CLOSED = 0, // the numbers are those of the metric lb_circuit_breaker_state
	BREAKER_OPEN = 1,
	BREAKER_HALF_OPEN = 2,
};

enum breaker_forced { BREAKER_AUTOMATIC, BREAKER_FORCED_CLOSED, BREAKER_FORCED_OPEN };

struct breaker_rules {
	u32 failure_threshold;	  // failures in a row that open it; 0 = that does not
	u32 error_percent;	  // share of failures that opens it, 1 to 100; 0 = that does not
	u32 requests_min;	  // in the window, for the share to count
	u64 window_ms;		  // 1 or more where error_percent is set
	u32 success_threshold;	  // good trials that close it, 1 or more
	u32 trials_max;		  // at the same time, 1 or more
	u64 open_ms, open_ms_max; // 1 or more, the first and the longest time open
	u32 share_percent;	  // of the pool that may be out, 0 to 100
};

enum { BREAKER_SLOTS = 10 };

struct breaker {
	u64 until_ms;	    // open: when it becomes half-open
	u64 since_ms;	    // of the present state
	u32 in_a_row;	    // failures since the last success
	u32 opened;	    // times in a row that it opened; grows the time
	u32 trials, passed; // half-open: running and good ones
	u32 epoch;	    // another one in each state; requests carry it
	u64 slot;	    // number of the newest slot of the window
	struct {
		u32 good, bad;
	} slots[BREAKER_SLOTS];
	u8 state;  // enum breaker_state
	u8 forced; // enum breaker_forced
};

enum breaker_outcome {
	BREAKER_GOOD,
	BREAKER_BAD,
	BREAKER_VOID, // says nothing about the backend: the client went away, ...
};

// Why it changed. X(NAME, text)
#define BREAKER_CAUSES(X)                                   \
	X(UNCHANGED, "unchanged")                           \
	X(IN_A_ROW, "failures in a row")                    \
	X(ERROR_SHARE, "share of failures in the window")   \
	X(TIME, "time open is over")                        \
	X(TRIALS_GOOD, "trial requests succeeded")          \
	X(TRIAL_BAD, "a trial request failed")              \
	X(FORCED, "by order")                               \
	X(RECONFIGURED, "it is reached in another way now") \
	X(NO_ROOM, "should open, but too much of the pool is out already")

enum breaker_cause {
#define X(name, text) BREAKER_##name,
	BREAKER_CAUSES(X)
#undef X
		BREAKER_CAUSE_COUNT
};

// What a call did. NO_ROOM: nothing changed, although the rules asked for it.
struct breaker_step {
	bool changed;
	u8 from, to; // enum breaker_state
	u8 cause;    // enum breaker_cause
};

// What several threads saw since the last time of requests that carry the present epoch.
struct breaker_counts {
	u32 good, bad;	    // not trials
	u32 bad_at_the_end; // of `bad`: those after the last good one
	u32 trials_begun, trials_good, trials_bad, trials_void;
};

void breaker_init(struct breaker *breaker, u64 now_ms);

const char *breaker_state_name(enum breaker_state state); // "closed", "open", "half_open"
const char *breaker_cause_text(enum breaker_cause cause);

// Lets time pass: an open breaker whose time is over becomes half-open.
struct breaker_step breaker_tick(
	struct breaker *breaker, const struct breaker_rules *rules, u64 now_ms);

enum breaker_answer { BREAKER_PASS, BREAKER_TRIAL, BREAKER_REFUSE };

// May a request pass now? Its ticket goes to breaker_done, which must be called for each trial, or
// its place is never free again. Call breaker_tick first.
enum breaker_answer breaker_ask(
	struct breaker *breaker, const struct breaker_rules *rules, u32 *ret_ticket) must_check;

// A request that passed has ended, or its end is certain (a trial whose answer is a long stream is
// judged by its head). `share` is the pool's now, for when it should open.
struct breaker_step breaker_done(struct breaker *breaker, const struct breaker_rules *rules,
	const struct share *share, u32 ticket, enum breaker_outcome outcome, u64 now_ms);

// The same for the sums of several threads.
struct breaker_step breaker_apply(struct breaker *breaker, const struct breaker_rules *rules,
	const struct share *share, const struct breaker_counts *counts, u64 now_ms);

// How many more trials may begin now; 0 unless half-open.
u32 breaker_trials_free(const struct breaker *breaker, const struct breaker_rules *rules);

// Holds it open or closed whatever happens, or lets it go: then it is closed and knows nothing.
struct breaker_step breaker_force(struct breaker *breaker, enum breaker_forced forced, u64 now_ms);

// Whether the pool counts this backend as ejected.
static inline bool breaker_is_out(const struct breaker *breaker)
{
	return breaker->state != BREAKER_CLOSED;
}
