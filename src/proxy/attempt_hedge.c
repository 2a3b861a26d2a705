// SPDX-License-Identifier: Apache-2.0
// The second copy of a request whose answer takes long: when it goes out, and which of the two wins
// (decide/hedge.h).
#include "proxy/attempt_parts.h"

void attempt_promote_second(struct exchange *x)
{
	record_note_promoted(x);
	x->attempt = x->second;
	x->active_ms = x->attempt->sent_us ? x->attempt->sent_us / 1000 : exchange_now_ms(x);
	x->backend = x->asked = x->attempt->pick.backend;
	x->second = NULL;
}

void attempt_drop_second(struct exchange *x, u32 miss)
{
	struct attempt *second = x->second;

	if (!second)
		return;
	attempt_tried(x, second, RECORD_END_SLOWER, 0); // where nothing else was told of it
	x->second = NULL;
	exchange_note_try(x, second->pick.backend, STATS_TRY_HEDGE);
	pick_note(exchange_upstream(x), &second->pick, miss);
	attempt_end(x, second, false);
}

void attempt_connect_of_second_failed(struct exchange *x, int error)
{
	faults_connect(&x->proxy->faults, x->second->pick.backend, error, x->attempts);
	x->second->pick.error = error;
	attempt_tried(x, x->second, (u8)outcome_of_connect(error), 0);
	attempt_drop_second(x, conn_is_shortage(error)
				       ? (u32)PICK_VOID
				       : attempt_miss_of_connect(outcome_of_connect(error)));
}

void attempt_wins(struct exchange *x, struct attempt *attempt, u16 status)
{
	struct upstream *upstream = exchange_upstream(x);
	u64 now_us = exchange_now_us(x);

	if (unlikely(attempt == x->second)) {
		struct attempt *loser = x->attempt;

		attempt_tried(x, loser, RECORD_END_SLOWER, 0);
		metrics_inc(x->proxy->metrics, M_HEDGES_WON);
		// That it has taken so long is known, and without it the estimate would drift
		// downwards.
		if (loser->sent_us && x->pool->learns)
			pick_note_latency(upstream, &loser->pick, now_us - loser->sent_us);
		exchange_note_try(x, x->asked, STATS_TRY_HEDGE);
		attempt_promote_second(x);
		attempt_end(x, loser, false);
	} else if (unlikely(x->second)) {
		attempt_drop_second(x, PICK_VOID);
	}
	// Who fails fast is not fast.
	if (x->pool->learns && status < 500)
		pick_note_latency(upstream, &attempt->pick, now_us - attempt->sent_us);
	if (unlikely(status >= 500))
		pick_note(upstream, &attempt->pick, MISS_STATUS);
	else if (unlikely(attempt->pick.is_trial || status == 101))
		pick_note(upstream, &attempt->pick, MISS_NONE); // a stream may be long
}

// ---- Sending it ---------------------------------------------------------------------------------

static struct hedge_facts hedge_facts_of(const struct exchange *x)
{
	return (struct hedge_facts){.idempotent = exchange_is_idempotent(x),
		.has_body = x->request_has_body || x->request->upgrade,
		.attempts = x->attempts,
		.others = pick_others(x->pool, &x->tried),
		.answer_begun = x->answer_begun};
}

static void begin_second(struct exchange *x, struct attempt *second)
{
	enum lease_result result;
	int error = 0;

	second->x = x;
	second->span_id = 0;
	x->second = second;
	x->attempts++;
	x->asked_again++;
	metrics_inc(x->proxy->metrics, M_HEDGES);
	pick_begin(exchange_upstream(x), &second->pick);
	result = attempt_open_lease(x, second, true, &error);
	if (result != LEASE_FULL)
		attempt_note_try(x, second);
	switch (result) {
	case LEASE_READY:
		attempt_send_head(x, second);
		break;
	case LEASE_WAIT:
		break;
	case LEASE_FULL:
		attempt_drop_second(x, PICK_VOID);
		break;
	case LEASE_FAILED:
		attempt_connect_of_second_failed(x, error);
		break;
	}
}

static void on_hedge(struct timer *timer)
{
	struct exchange *x = container_of(timer, struct exchange, hedge_timer);
	struct attempt *second = &x->tries[x->attempt == &x->tries[0]];
	struct pick_ask ask = {.key = x->key, .preferred = BALANCE_NONE, .tried = &x->tried};
	struct hedge_facts facts;

	if (x->over || x->step != STEP_AWAIT || x->second)
		return;
	if (x->hold != x->proxy->hold) // it is of another configuration
		return;
	if (pick_backend(exchange_upstream(x), x->pool, &ask, &second->pick) != PICK_OK)
		return;
	// The budget comes last, so that nothing is taken from it for nothing.
	facts = hedge_facts_of(x);
	if (attempt_may_hedge(x, &facts) && balance_try(&x->tried, second->pick.backend->index))
		begin_second(x, second);
	else
		pick_cancel(exchange_upstream(x), &second->pick);
}

static void arm_hedge(struct exchange *x)
{
	const struct picker *picker = upstream_picker(exchange_upstream(x), x->pool);
	struct hedge_facts facts = hedge_facts_of(x);
	u64 delay_us = hedge_delay_us(&picker->hedge, &x->pool->conf->hedge, &facts);

	if (delay_us == HEDGE_NEVER)
		return;
	if (!x->may_hedge)
		timer_init(&x->hedge_timer, on_hedge);
	x->may_hedge = true;
	loop_timer_set(
		x->proxy->loop, &x->hedge_timer, exchange_now_ms(x) + (delay_us + 999) / 1000);
}

enum step step_await(struct exchange *x)
{
	if (unlikely(x->pool->conf->hedge.percent) && !x->second)
		arm_hedge(x);
	return STEP_STAY;
}
