// SPDX-License-Identifier: Apache-2.0
// What follows when the attempt that counts has failed: another one, the same once more on a fresh
// connection, the copy that still runs, or the end (decide/retry.h).
#include "proxy/attempt_parts.h"

static bool body_is_held(const struct exchange *x)
{
	// What was spliced went by unseen.
	return !x->replay_lost && x->replay.len == x->up.total && !mover_is_running(&x->up.mover);
}

struct retry_facts attempt_facts_of(const struct exchange *x, enum retry_cause cause, u16 status)
{
	const struct attempt *attempt = x->attempt;
	bool broke = cause == RETRY_RESET || cause == RETRY_STALE;

	return (struct retry_facts){.cause = (u8)cause,
		.status = status,
		.attempts = x->attempts,
		.backoffs = x->pauses,
		.others = pick_others(x->pool, &x->tried),
		.sent = attempt->sent_us != 0,
		.answer_begun = x->answer_begun ||
				(broke && attempt->lease.link && lease_has_heard(&attempt->lease)),
		.idempotent = exchange_is_idempotent(x),
		.has_body = x->request_has_body,
		.body_held = body_is_held(x),
		.replayed = x->replayed,
		.tcp = x->tcp,
		.deadline_ms = x->deadline_ms};
}

// How it ended, as records say it (enum record_end or enum outcome).
static u8 end_of(enum retry_cause cause, enum outcome outcome)
{
	switch (cause) {
	case RETRY_STALE:
		return RECORD_END_STALE;
	case RETRY_STATUS:
		return RECORD_END_STATUS;
	case RETRY_TIMEOUT:
		return RECORD_END_LATE;
	default:
		return (u8)outcome;
	}
}

static u32 miss_of(enum retry_cause cause, enum outcome outcome, u16 status)
{
	switch (cause) {
	case RETRY_CONNECT:
		return attempt_miss_of_connect(outcome);
	case RETRY_TIMEOUT:
		return MISS_TIMEOUT;
	case RETRY_STATUS:
		return status >= 500 ? MISS_STATUS : MISS_NONE;
	case RETRY_RESET:
	case RETRY_STALE:
		return MISS_RESET;
	default:
		return PICK_VOID;
	}
}

// The same backend on a fresh connection: that a kept one was stale says nothing against it.
static enum step replay(struct exchange *x)
{
	x->replayed = true;
	attempt_tried(x, x->attempt, RECORD_END_STALE, 0);
	metrics_inc(x->proxy->metrics, M_REPLAYS);
	mover_drop(&x->up.mover);
	if (lease_renew(&x->attempt->lease)) {
		x->attempt->leased_us = exchange_now_us(x);
		x->attempt->sent_us = 0;
		attempt_note_try(x, x->attempt);
	}
	return STEP_LEASE;
}

static enum step follow(struct exchange *x, const struct retry_answer *answer)
{
	metrics_inc(x->proxy->metrics, M_RETRIES);
	trace_add(x->proxy->trace, TRACE_RETRY, x->attempts, x->id, x->failure, 0);
	mover_drop(&x->up.mover);
	if (answer->verdict == RETRY_ANY)
		x->tried.count = 0;
	if (answer->delay_ms == 0)
		return STEP_PICK;
	x->pauses++;
	x->wait_until_ms = exchange_now_ms(x) + answer->delay_ms;
	return STEP_PAUSE;
}

static enum step after_failure(struct exchange *x, enum retry_cause cause, u16 status, bool whole,
	enum outcome outcome, bool *ret_gave_up)
{
	struct retry_facts facts = attempt_facts_of(x, cause, status);
	struct retry_answer answer;

	*ret_gave_up = false;
	x->failure = (u8)outcome;
	if (x->second) { // the copy still runs
		exchange_note_try(x, x->asked, STATS_TRY_REPEATED);
		attempt_tried(x, x->attempt, end_of(cause, outcome), status);
		pick_note(exchange_upstream(x), &x->attempt->pick, miss_of(cause, outcome, status));
		attempt_end(x, x->attempt, whole);
		attempt_promote_second(x);
		return STEP_STAY;
	}
	answer = attempt_ask_retry(x, &facts);
	if (answer.verdict == RETRY_REPLAY)
		return replay(x);
	if (answer.verdict == RETRY_GIVE_UP) {
		x->no_retry = answer.reason;
		*ret_gave_up = true;
		return STEP_STAY;
	}
	attempt_tried(x, x->attempt, end_of(cause, outcome), status);
	record_note_pause(x);
	pick_note(exchange_upstream(x), &x->attempt->pick, miss_of(cause, outcome, status));
	attempt_end(x, x->attempt, whole);
	return follow(x, &answer);
}

enum step attempt_failed(struct exchange *x, enum retry_cause cause, enum outcome outcome)
{
	bool gave_up;
	enum step next = after_failure(x, cause, 0, false, outcome, &gave_up);

	if (!gave_up)
		return next;
	pick_note(exchange_upstream(x), &x->attempt->pick, miss_of(cause, outcome, 0));
	attempt_tried_last(x, x->attempt, (u8)outcome, 0);
	attempt_end(x, x->attempt, false);
	return exchange_give_up(x, outcome);
}

enum step attempt_is_late(struct exchange *x)
{
	bool gave_up;
	enum step next =
		after_failure(x, RETRY_TIMEOUT, 0, false, OUTCOME_RESPONSE_TIMEOUT, &gave_up);

	if (gave_up)
		x->is_tried_shortly = false;
	return next;
}

bool attempt_is_refused(struct exchange *x, u16 status, bool end, enum step *ret_next)
{
	bool gave_up;

	if (likely(status < 400) || x->tcp || !retry_names_status(&x->retry->rules, status))
		return false;
	*ret_next = after_failure(x, RETRY_STATUS, status, end && x->request_ended,
		OUTCOME_NO_BACKEND_AVAILABLE, &gave_up);
	return !gave_up;
}
