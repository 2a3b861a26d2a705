// SPDX-License-Identifier: Apache-2.0
// Inside of the exchange only: what its files call of each other. exchange.c is the machine and the
// steps on the client's side, attempt*.c the steps towards a backend and what follows a failure,
// exchange_events.c what streams say, exchange_end.c the last step.
#pragma once

#include "proxy/exchange.h"

typedef enum step step_fn(struct exchange *x);

#define X(name, text, run, to) step_fn run;
#include "proxy/steps.def"
#undef X

static inline u64 exchange_now_us(const struct exchange *x)
{
	return loop_now_us(x->proxy->loop);
}

static inline u64 exchange_now_ms(const struct exchange *x)
{
	return loop_now_ms(x->proxy->loop);
}

static inline struct upstream *exchange_upstream(struct exchange *x)
{
	return &x->proxy->upstream;
}

static inline bool exchange_is_idempotent(const struct exchange *x)
{
	return x->request && http_method_is_idempotent((enum http_method)x->request->method);
}

static inline bool exchange_is_whole(const struct exchange *x)
{
	return x->outcome == OUTCOME_OK;
}

// Between attempts: nothing takes the request's body now.
static inline bool exchange_is_between(const struct exchange *x)
{
	return x->step == STEP_PICK || x->step == STEP_QUEUE || x->step == STEP_LEASE ||
	       x->step == STEP_PAUSE;
}

// An event decides where to go. From inside a step's own function the step returns it instead.
void exchange_go(struct exchange *x, enum step to);

// ... to the end.
void exchange_finish(struct exchange *x, enum outcome outcome);

// Sets the timer for what bounds the present wait, after something that bounds it has changed.
void exchange_set_deadline(struct exchange *x);

// Where an exchange goes that cannot have an answer from a backend: an answer of our own when the
// client has none yet, else its visible end.
enum step exchange_give_up(struct exchange *x, enum outcome outcome);

// The running attempt is over and cannot be followed by another: ends it, and gives up.
void exchange_fail(struct exchange *x, enum outcome outcome);

// ---- Attempts (attempt*.c) ----------------------------------------------------------------------

void attempt_init(struct exchange *x);

// What of the request the pick in x->pool depends on: x->retry, x->sticky and x->key.
void attempt_look(struct exchange *x);

enum { EXCHANGE_FAILOVERS_MAX = 8 };

// The running attempt failed. Asks whether another one may follow, ends this one, and says where to
// go: to another attempt, at once or after a pause, or to give_up(outcome).
enum step attempt_failed(struct exchange *x, enum retry_cause cause, enum outcome outcome);

// There was a connection for us only (net/conn.h, on_unwelcome): as if it had not come about.
void attempt_is_unwelcome(struct attempt *attempt);

// The running attempt has had its try_timeout. Where another may follow it ends, as when it failed;
// else its answer is waited for as long as an answer may take.
enum step attempt_is_late(struct exchange *x);

// The running attempt's answer has this status. True: it may be had again, and `ret_next` is where
// to go; the attempt has ended. False: the answer is passed on.
bool attempt_is_refused(struct exchange *x, u16 status, bool end, enum step *ret_next);

// The running attempt has its final head: the others are over, and what it taught is noted.
void attempt_wins(struct exchange *x, struct attempt *attempt, u16 status);

// A hedged request's copy broke, or its answer is no good.
void attempt_drop_second(struct exchange *x, u32 miss);

// The last try that began is not the last one of its request, or not its only one.
static inline void exchange_note_try(
	struct exchange *x, const struct backend *backend, enum stats_try kind)
{
	if (x->proxy->stats)
		stats_note_try(x->proxy->stats, x->frontend, backend, kind);
}

// Ends what limits.requests of its pool counts.
void attempt_give_place(struct exchange *x);

// An attempt is over with which its request ends: as tracing_tried.
static inline void attempt_tried_last(
	struct exchange *x, struct attempt *attempt, u8 ended, u16 status)
{
	if (unlikely(x->is_recorded))
		tracing_tried(x, attempt, ended, status);
}

// ... and the request goes on. Of several calls for one attempt the first one counts.
static inline void attempt_tried(struct exchange *x, struct attempt *attempt, u8 ended, u16 status)
{
	record_note_try(x, attempt, ended, status);
	attempt_tried_last(x, attempt, ended, status);
}

// The end of what an attempt holds. `whole`: its message pair is complete.
static inline void attempt_end(struct exchange *x, struct attempt *attempt, bool whole)
{
	if (whole)
		lease_release(&attempt->lease);
	else
		lease_abandon(&attempt->lease);
	pick_end(exchange_upstream(x), &attempt->pick);
}

// ---- The end (exchange_end.c) -------------------------------------------------------------------

// After the turn in which the last step was made.
void exchange_free(struct task *task);

// ---- Streams (exchange_events.c) ----------------------------------------------------------------

extern const struct stream_events exchange_down_events, exchange_up_events;
extern const struct relay_events exchange_relay_events;
