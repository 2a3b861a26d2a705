// SPDX-License-Identifier: Apache-2.0
// The one place that decides whether an attempt that failed is followed by another. It covers all
// ways to fail: no connection, a kept connection that turned out to be closed, a reset, a try that
// took too long, and an answer whose status asks for it.
//
// What may be sent again (RFC 9110 section 9.2.2), in this order of questions:
//   - nothing, once a byte of the answer has gone to the client;
//   - anything of which nothing was sent, or that the backend has certainly not processed (it says
//     so, or there was no connection that it takes);
//   - a request whose method is idempotent (or that the rules name), as long as its body is held
//     as a whole, while there are attempts, time and budget left.
//
// Two things are not charged to the budget, because no backend gets more requests by them than
// clients sent: going on to another backend when no connection came about, and one replay on a
// fresh connection for a kept one that its backend had closed. The replay does not count as an
// attempt either: it was our choice to use that connection.
//
// When every backend refuses, they are asked again after a pause: one that restarts is away for
// some milliseconds. A pool that goes on refusing is answered for at once.
#pragma once

#include "decide/budget.h"

// X(NAME, word of the configuration)
#define RETRY_CAUSES(X)                   \
	X(CONNECT, "connect")             \
	X(RESET, "reset_before_response") \
	X(TIMEOUT, "timeout")             \
	X(STATUS, "status")               \
	X(NOT_PROCESSED, "not_processed") \
	X(STALE, "stale")

enum retry_cause {
#define X(name, text) RETRY_##name,
	RETRY_CAUSES(X)
#undef X
		RETRY_CAUSE_COUNT
};

enum {
	RETRY_STATUSES_MAX = 16,
	RETRY_REFUSED_LATELY_MS = 1000,
};

#define RETRY_CAUSE_BIT(cause) (1u << (cause))

struct retry_rules {
	u32 attempts_max; // with the first one, 1 or more; 1 = no retries
	u32 causes; // RETRY_CAUSE_BIT of CONNECT, RESET and TIMEOUT; what is not there is final
	u32 status_count;
	u16 statuses[RETRY_STATUSES_MAX];
	bool any_method; // else idempotent ones
	bool has_budget;
	u64 backoff_base_ms, backoff_max_ms; // base 0: none
	struct budget_rules budget;
};

// What happened, as far as it matters.
struct retry_facts {
	u8 cause;     // enum retry_cause
	u16 status;   // of RETRY_STATUS
	u32 attempts; // made so far, with this one and failed connects, without replays
	u32 backoffs; // delays that were waited so far
	u32 others;   // eligible backends that were not tried for this request
	// Within RETRY_REFUSED_LATELY_MS another request was given up because all refused.
	bool refused_lately;
	bool sent; // some byte of the request may have left
	// The client has (part of) a final answer; or this attempt broke after its answer had begun
	// to come.
	bool answer_begun;
	bool idempotent; // by its method
	bool has_body;
	bool body_held;	 // all that was sent of the body can be sent again
	bool replayed;	 // there was a replay already
	bool tcp;	 // a connection without requests: only RETRY_CONNECT has a second try
	u64 deadline_ms; // of the whole request; UINT64_MAX = none
};

enum retry_verdict {
	RETRY_GIVE_UP,
	RETRY_REPLAY,  // the same backend, at once, on a fresh connection
	RETRY_ANOTHER, // a backend that was not tried, after delay_ms
	RETRY_ANY,     // all were tried: forget that, and pick any, after delay_ms
};

// Why not. X(NAME, text)
#define RETRY_REASONS(X)                                       \
	X(OK, "may be sent again")                             \
	X(ANSWER_BEGUN, "the answer had begun")                \
	X(NOT_WANTED, "retry.when does not name this failure") \
	X(NOT_IDEMPOTENT, "the method may not be repeated")    \
	X(BODY_LOST, "the body is not held any more")          \
	X(NO_ATTEMPTS, "retry.max_attempts is reached")        \
	X(ALL_REFUSE, "every backend goes on refusing")        \
	X(NO_TIME, "the request's deadline leaves no time")    \
	X(NO_BUDGET, "the retry budget of the pool is used up")

enum retry_reason {
#define X(name, text) RETRY_BECAUSE_##name,
	RETRY_REASONS(X)
#undef X
		RETRY_REASON_COUNT
};

struct retry_answer {
	u8 verdict;	 // enum retry_verdict
	u8 reason;	 // enum retry_reason
	bool is_charged; // the budget has one less
	u64 delay_ms;
};

const char *retry_reason_text(enum retry_reason reason);

bool retry_names_status(const struct retry_rules *rules, u32 status);

// The decision; takes from the budget when the answer is yes and the budget is charged. `random`:
// 32 bits of chance.
struct retry_answer retry_ask(const struct retry_rules *rules, struct budget *budget,
	const struct retry_facts *facts, u32 random, u64 now_ms) must_check;

// No connection came about, and there is nobody left to ask.
bool retry_all_refuse(const struct retry_facts *facts) must_check;

// Whether the same question would find no obstacle but time and budget: a try that is the last one
// anyway is better waited for than ended by its try time-out.
bool retry_could_follow(
	const struct retry_rules *rules, const struct retry_facts *facts) must_check;

// Delay before the (backoffs + 1)-th retry that waits: anywhere in (0, min(base * 2^backoffs, max)]
// ("full jitter"); 0 when the base is 0.
u64 retry_backoff_ms(const struct retry_rules *rules, u32 backoffs, u32 random);

// Whether body bytes are worth holding for this request: some failure could have it sent again.
bool retry_wants_body(const struct retry_rules *rules, bool idempotent, bool connection_reused);
