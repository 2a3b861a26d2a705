// SPDX-License-Identifier: Apache-2.0
// Inside of attempts only; what the rest of the exchange calls stands in exchange_parts.h.
// attempt.c is the way of one attempt: picking, waiting for a place, a connection, sending.
// attempt_failed.c is what follows when that fails, attempt_hedge.c the second copy of a slow
// request and which of the two wins, attempt_budget.c how much may be sent again.
//
// x->attempt is the attempt that counts, x->second the copy while it runs. Both hold a pick and a
// lease (struct attempt), which attempt_end gives back.
#pragma once

#include "proxy/exchange_parts.h"

// It has begun, or is sent once more.
inline void attempt_note_try(struct exchange *x, struct attempt *attempt)
{
	if (unlikely(x->is_recorded))
		tracing_try(x, attempt);
}

// A connection for what was picked; as lease_open.
enum lease_result attempt_open_lease(
	struct exchange *x, struct attempt *attempt, bool reuse, int *ret_error);

// Its stream can be used.
void attempt_send_head(struct exchange *x, struct attempt *attempt);

// ---- Failure (attempt_failed.c) -----------------------------------------------------------------

// What the running attempt has come to, for decide/retry.h.
struct retry_facts attempt_facts_of(const struct exchange *x, enum retry_cause cause, u16 status);

// What a connection that could not be had says of its backend (enum miss).
static inline u32 attempt_miss_of_connect(enum outcome outcome)
{
	return outcome == OUTCOME_CONNECTION_REFUSED ? MISS_REFUSED : MISS_CONNECT;
}

// ---- The second copy (attempt_hedge.c) ----------------------------------------------------------

// The copy takes over, with the time that it has had so far. The other one is over, or about to be.
void attempt_promote_second(struct exchange *x);

// There was no connection for it.
void attempt_connect_of_second_failed(struct exchange *x, int error);

// ---- The budget of the pool (attempt_budget.c) --------------------------------------------------

// The first try of a request in its pool; what is sent again has been counted.
void attempt_count_request(struct exchange *x);

// Whether the attempt that failed is followed by another one | a copy may be sent. A yes is paid
// for already.
struct retry_answer attempt_ask_retry(struct exchange *x, struct retry_facts *facts);
bool attempt_may_hedge(struct exchange *x, const struct hedge_facts *facts);
