// SPDX-License-Identifier: Apache-2.0
// What an exchange does to get an answer out of some backend: picking, waiting for a place, a
// connection, sending, and what follows when that fails.
#include <errno.h>

#include "proxy/exchange_parts.h"
#include "proxy/introduce.h"
#include "proxy/key.h"
#include "proxy/request.h"
#include "proxy/sticky.h"

static u32 chance(struct exchange *x)
{
	return (u32)(rng_u64(&x->proxy->rng) >> 32);
}

// ---- The budget of the pool ---------------------------------------------------------------------

static void lock_budget(struct pool *pool)
{
	while (atomic_flag_test_and_set_explicit(&pool->budget_lock, memory_order_acquire))
		;
}

static void unlock_budget(struct pool *pool)
{
	atomic_flag_clear_explicit(&pool->budget_lock, memory_order_release);
}

static const struct budget_rules *budget_rules_of(const struct pool *pool)
{
	return &pool->conf->retry.rules.budget;
}

// A route may say how much, but over how long is the pool's.
static struct budget_rules budget_rules_for(const struct exchange *x)
{
	struct budget_rules rules = x->retry->rules.budget;

	rules.window_ms = budget_rules_of(x->pool)->window_ms;
	return rules;
}

// Under the lock: the budget hears of this worker's requests since the last time.
static void note_requests(struct picker *picker)
{
	u64 growth = picker->shared->requests - picker->noted;

	if (growth)
		budget_note_at(&picker->pool->budget, budget_rules_of(picker->pool),
			(u32)MIN(growth, (u64)UINT32_MAX), picker->requested_ms);
	picker->noted += growth;
}

static void charge(struct picker *picker)
{
	__atomic_store_n(&picker->shared->charged, picker->shared->charged + 1, __ATOMIC_RELAXED);
}

static struct retry_answer ask_retry(struct exchange *x, struct retry_facts *facts)
{
	struct picker *picker = upstream_picker(exchange_upstream(x), x->pool);
	struct retry_rules rules = x->retry->rules;
	struct retry_answer answer;
	u64 now_ms = exchange_now_ms(x);

	if (unlikely(!picker->pool)) // gone, and forgotten
		return (struct retry_answer){
			.verdict = RETRY_GIVE_UP, .reason = RETRY_BECAUSE_NO_BUDGET};
	rules.budget = budget_rules_for(x);
	facts->refused_lately = now_ms < picker->refused_until_ms;
	lock_budget(picker->pool); // it may be newer than x->pool
	note_requests(picker);
	answer = retry_ask(&rules, &picker->pool->budget, facts, chance(x), now_ms);
	unlock_budget(picker->pool);
	if (answer.verdict == RETRY_GIVE_UP && retry_all_refuse(facts))
		picker->refused_until_ms = now_ms + RETRY_REFUSED_LATELY_MS;
	if (answer.is_charged)
		charge(picker);
	if (answer.reason == RETRY_BECAUSE_NO_BUDGET)
		metrics_inc(x->proxy->metrics, M_RETRIES_REFUSED);
	return answer;
}

// The first try of a request; what is sent again has been counted.
static void count_request(struct exchange *x)
{
	struct picker *picker = upstream_picker(exchange_upstream(x), x->pool);
	u64 now_ms = exchange_now_ms(x);

	if (unlikely(now_ms >= picker->note_ms)) {
		lock_budget(x->pool);
		note_requests(picker);
		unlock_budget(x->pool);
		picker->note_ms = budget_slot_end_ms(budget_rules_of(x->pool), now_ms);
	}
	x->is_counted = true;
	picker->requested_ms = now_ms;
	__atomic_store_n(&picker->shared->requests, picker->shared->requests + 1, __ATOMIC_RELAXED);
}

// ---- Failure ------------------------------------------------------------------------------------

static bool body_is_held(const struct exchange *x)
{
	// What was spliced went by unseen.
	return !x->replay_lost && x->replay.len == x->up.total && !mover_is_running(&x->up.mover);
}

static struct retry_facts facts_of(const struct exchange *x, enum retry_cause cause, u16 status)
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

static u32 miss_of_connect(enum outcome outcome)
{
	return outcome == OUTCOME_CONNECTION_REFUSED ? MISS_REFUSED : MISS_CONNECT;
}

static u32 miss_of(enum retry_cause cause, enum outcome outcome, u16 status)
{
	switch (cause) {
	case RETRY_CONNECT:
		return miss_of_connect(outcome);
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

// The copy takes over, with the time that it has had so far.
static void promote_second(struct exchange *x)
{
	record_note_promoted(x);
	x->attempt = x->second;
	x->active_ms = x->attempt->sent_us ? x->attempt->sent_us / 1000 : exchange_now_ms(x);
	x->backend = x->asked = x->attempt->pick.backend;
	x->second = NULL;
}

static void note_try(struct exchange *x, struct attempt *attempt)
{
	if (unlikely(x->is_recorded))
		tracing_try(x, attempt);
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
		note_try(x, x->attempt);
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
	struct retry_facts facts = facts_of(x, cause, status);
	struct retry_answer answer;

	*ret_gave_up = false;
	x->failure = (u8)outcome;
	if (x->second) { // the copy still runs
		exchange_note_try(x, x->asked, STATS_TRY_REPEATED);
		attempt_tried(x, x->attempt, end_of(cause, outcome), status);
		pick_note(exchange_upstream(x), &x->attempt->pick, miss_of(cause, outcome, status));
		attempt_end(x, x->attempt, whole);
		promote_second(x);
		return STEP_STAY;
	}
	answer = ask_retry(x, &facts);
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
		promote_second(x);
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

// ---- Picking ------------------------------------------------------------------------------------

void attempt_give_place(struct exchange *x)
{
	if (!x->has_place)
		return;
	x->has_place = false;
	cap_give(x->pool->requests);
	queue_freed(exchange_upstream(x), x->pool);
}

static bool take_place(struct exchange *x)
{
	u32 requests_max = x->pool->conf->limits.requests;

	if (likely(requests_max == 0) || x->has_place)
		return true;
	if (!x->is_next && x->attempts == 0 && queue_is_general(x->pool))
		return false;
	x->has_place = cap_take(x->pool->requests, requests_max);
	return x->has_place;
}

inline void attempt_look(struct exchange *x)
{
	const struct pool *pool = x->pool;

	x->retry = x->route && x->route->conf->retry ? x->route->conf->retry : &pool->conf->retry;
	x->sticky = pool->sticky && !x->tcp ? sticky_find(x) : BALANCE_NONE;
	if (balance_kind_info(pool->kind)->keyed)
		x->key = key_of_request(x);
}

static void prepare_pool(struct exchange *x)
{
	count_request(x);
	attempt_look(x);
	if (unlikely(x->pool->load == CONF_PREQUAL_PROBE))
		load_probes_ask(&x->proxy->load_probes, x->pool);
}

static bool fail_over(struct exchange *x)
{
	if (!x->pool->failover || x->failovers == EXCHANGE_FAILOVERS_MAX ||
		x->attempt->pick.is_begun)
		return false;
	attempt_give_place(x);
	x->failovers++;
	x->pool = x->pool->failover;
	x->tried.count = 0;
	x->is_counted = false;
	return likely(x->hold == x->proxy->hold) || exchange_rebind(x);
}

static enum step nobody_is_left(struct exchange *x)
{
	return exchange_give_up(
		x, x->failure ? (enum outcome)x->failure : OUTCOME_NO_BACKEND_AVAILABLE);
}

static void on_turn(struct queue_waiter *waiter)
{
	struct exchange *x = container_of(waiter, struct exchange, waiter);

	x->is_next = true;
	exchange_go(x, STEP_PICK);
}

static u64 queue_look_ms(struct exchange *x)
{
	const struct conf_pool *conf = x->pool->conf;
	u64 last_ms = x->queued_ms + conf->timeouts.queue_ms, now_ms = exchange_now_ms(x);

	if (conf->limits.shed.target_ms)
		return MIN(last_ms, now_ms + conf->limits.shed.target_ms);
	return last_ms;
}

static enum step wait_for_place(struct exchange *x)
{
	u64 now_ms = exchange_now_ms(x);

	attempt_give_place(x); // others may need it to go on
	if (x->is_next) {      // somebody was faster
		x->is_next = false;
		queue_rejoin(exchange_upstream(x), &x->waiter);
		return STEP_QUEUE;
	}
	x->queued_ms = now_ms;
	x->queued_us = exchange_now_us(x);
	x->waited_us = 0;
	if (!x->may_wait)
		queue_waiter_init(&x->waiter, &x->tried, on_turn);
	x->may_wait = true;
	if (!queue_join(exchange_upstream(x), x->pool, &x->waiter,
		    now_ms + x->pool->conf->timeouts.queue_ms))
		return exchange_give_up(x, OUTCOME_QUEUE_FULL);
	metrics_inc(x->proxy->metrics, M_QUEUED);
	x->wait_until_ms = queue_look_ms(x);
	return STEP_QUEUE;
}

static enum step picked(struct exchange *x)
{
	struct backend *backend = x->attempt->pick.backend;

	if (!balance_try(&x->tried, backend->index)) {
		pick_cancel(exchange_upstream(x), &x->attempt->pick);
		return nobody_is_left(x);
	}
	x->backend = backend;
	x->trace->b = backend->index;
	return STEP_LEASE;
}

enum step step_pick(struct exchange *x)
{
	if (unlikely(x->hold != x->proxy->hold) && !exchange_rebind(x))
		return nobody_is_left(x);
	for (;;) {
		// What is sent again does not stand back for those who have not begun.
		struct pick_ask ask = {
			.tried = &x->tried, .is_next = x->is_next || x->attempts > 0};
		enum pick_verdict verdict;

		if (!x->is_counted)
			prepare_pool(x);
		ask.key = x->key;
		ask.preferred = x->sticky;
		if (x->proxy->records) {
			pick_seen_begin(&x->seen, exchange_upstream(x), x->pool);
			ask.seen = &x->seen.balance;
		}
		verdict = take_place(x) ? pick_backend(exchange_upstream(x), x->pool, &ask,
						  &x->attempt->pick)
					: PICK_FULL;
		switch (verdict) {
		case PICK_OK:
			return picked(x);
		case PICK_FULL:
			return wait_for_place(x);
		case PICK_TRIED: // whom it was meant for is gone, or has no trial left
			x->tried.count = 0;
			continue;
		case PICK_NOBODY:
			break;
		}
		x->is_next = false;
		if (!fail_over(x))
			return nobody_is_left(x);
	}
}

// ---- A connection -------------------------------------------------------------------------------

static void on_lease_ready(struct lease *lease);
static void on_lease_failed(struct lease *lease, int error);
static const struct lease_events lease_events = {
	.on_ready = on_lease_ready, .on_failed = on_lease_failed};

// What may be replayed (docs/decisions/0008) goes on any idle connection; what may not, and is the
// first of its client connection, on a fresh one, because its client had no way to learn that
// connections go stale.
static bool may_reuse(const struct exchange *x)
{
	if (x->replayed)
		return false;
	return exchange_is_idempotent(x) || x->client->requests > 1;
}

static enum step connect_failed(struct exchange *x, int error)
{
	faults_connect(&x->proxy->faults, x->backend, error, x->attempts);
	if (!conn_is_shortage(error))
		return attempt_failed(x, RETRY_CONNECT, outcome_of_connect(error));
	attempt_tried_last(x, x->attempt, OUTCOME_OVERLOADED, 0);
	attempt_end(x, x->attempt, false);
	return exchange_give_up(x, OUTCOME_OVERLOADED); // no other backend would change that
}

static void connect_of_second_failed(struct exchange *x, int error)
{
	faults_connect(&x->proxy->faults, x->second->pick.backend, error, x->attempts);
	attempt_tried(x, x->second, (u8)outcome_of_connect(error), 0);
	attempt_drop_second(x, conn_is_shortage(error)
				       ? (u32)PICK_VOID
				       : miss_of_connect(outcome_of_connect(error)));
}

static __attribute__((noinline)) enum lease_result open_told(
	struct exchange *x, struct attempt *attempt, bool reuse, int *ret_error)
{
	struct backend *backend = attempt->pick.backend;
	const struct lease_intro *intro;

	if (!introduce_client(x, backend->pool, &intro)) {
		*ret_error = -ENOMEM;
		return LEASE_FAILED;
	}
	return lease_open_told(exchange_upstream(x), &attempt->lease, backend, intro, x->tcp,
		reuse && !x->tcp, &lease_events, ret_error);
}

static enum lease_result open_lease(
	struct exchange *x, struct attempt *attempt, bool reuse, int *ret_error)
{
	attempt->leased_us = exchange_now_us(x);
	attempt->sent_us = 0;
	if (unlikely(attempt->pick.backend->pool->conf->send_proxy.version))
		return open_told(x, attempt, reuse, ret_error);
	if (x->tcp)
		return lease_open_raw(exchange_upstream(x), &attempt->lease, attempt->pick.backend,
			&lease_events, ret_error);
	return lease_open(exchange_upstream(x), &attempt->lease, attempt->pick.backend, reuse,
		&lease_events, ret_error);
}

// Another worker was faster: the backend is full after all. Who has waited keeps its turn.
static enum step lost_place(struct exchange *x)
{
	struct upstream *upstream = exchange_upstream(x);

	x->tried.count--;
	x->attempts--;
	attempt_end(x, x->attempt, false);
	picker_mark_full(upstream_picker(upstream, x->pool), x->backend);
	return STEP_PICK;
}

// Not the first connection for this request: it is sent again, to another backend or, as a replay,
// to the same.
static __attribute__((noinline)) void note_asked_again(struct exchange *x)
{
	if (x->attempts - 1 == x->asked_again)
		return;
	x->asked_again++;
	exchange_note_try(x, x->asked, STATS_TRY_REPEATED);
	x->asked = x->backend;
}

static __attribute__((noinline)) void note_waited(struct exchange *x)
{
	x->waited_us = MAX(exchange_now_us(x) - x->queued_us, 1);
	x->is_next = false;
}

enum step step_lease(struct exchange *x)
{
	struct attempt *attempt = x->attempt;
	enum lease_result result;
	int error = 0;

	if (attempt->lease.link)
		return STEP_STAY;
	if (!attempt->pick.is_begun) { // else a replay
		x->attempts++;
		pick_begin(exchange_upstream(x), &attempt->pick);
	}
	result = open_lease(x, attempt, may_reuse(x), &error);
	if (result == LEASE_FULL)
		return lost_place(x);
	if (likely(!x->asked))
		x->asked = x->backend;
	else
		note_asked_again(x);
	if (unlikely(x->is_next))
		note_waited(x);
	note_try(x, attempt);
	switch (result) {
	case LEASE_READY:
		return STEP_SEND;
	case LEASE_WAIT:
		return STEP_STAY;
	case LEASE_FULL:
	case LEASE_FAILED:
		break;
	}
	return connect_failed(x, error);
}

// ---- Sending ------------------------------------------------------------------------------------

// Sends again what was sent of the body before, and what has come since.
static void resend_body(struct exchange *x)
{
	struct stream *stream = x->attempt->lease.stream;

	x->up.target = stream;
	x->up.undrained = x->replay.len;
	for (struct segment *at = x->replay.head; at; at = at->next) {
		struct slice slice = at->slice;

		if (slice.len == 0)
			continue;
		block_ref(slice.block);
		stream->ops->send_body(stream, slice, false);
	}
	if (x->request_ended)
		stream->ops->send_body(stream, (struct slice){0}, true);
}

// Whether the body is kept while it is sent, to be sent again.
static void plan_body(struct exchange *x)
{
	const struct conf_retry *retry = x->retry;

	x->replay_lost = !retry_wants_body(&retry->rules, exchange_is_idempotent(x),
				 x->attempt->lease.reused) &&
			 !lease_may_be_refused(&x->attempt->lease);
	// What is spliced cannot be kept.
	if (!x->replay_lost && x->request->framing == HTTP_LENGTH &&
		x->request->content_length <= retry->body_bytes_max)
		x->up.pipes = NULL;
}

static void send_head(struct exchange *x, struct attempt *attempt)
{
	struct stream *stream = attempt->lease.stream;

	stream->events = &exchange_up_events;
	stream->owner = attempt;
	attempt->sent_us = exchange_now_us(x);
	request_address(x, attempt->pick.backend);
	if (unlikely(x->is_recorded))
		tracing_send(x, attempt);
	stream->ops->use_parser(stream, &x->proxy->parsers[x->frontend->index]);
	stream->ops->send_head(stream, x->request, !x->request_has_body);
}

enum step step_send(struct exchange *x)
{
	bool again = x->up.state != HALF_IDLE;

	x->is_tried_shortly = false;
	if (x->retry->try_timeout_ms) {
		struct retry_facts facts = facts_of(x, RETRY_TIMEOUT, 0);

		facts.sent = true;
		facts.body_held |= !again;
		x->is_tried_shortly = retry_could_follow(&x->retry->rules, &facts);
	}
	send_head(x, x->attempt);
	if (!x->request_has_body)
		return STEP_AWAIT;
	if (again) {
		resend_body(x);
	} else {
		plan_body(x);
		half_open(&x->up, x->down, x->attempt->lease.stream);
	}
	return STEP_AWAIT;
}

// ---- Hedging ------------------------------------------------------------------------------------

static struct hedge_facts hedge_facts_of(const struct exchange *x)
{
	return (struct hedge_facts){.idempotent = exchange_is_idempotent(x),
		.has_body = x->request_has_body || x->request->upgrade,
		.attempts = x->attempts,
		.others = pick_others(x->pool, &x->tried),
		.answer_begun = x->answer_begun};
}

static bool may_hedge(struct exchange *x)
{
	struct hedge_facts facts = hedge_facts_of(x);
	struct picker *picker = upstream_picker(exchange_upstream(x), x->pool);
	struct budget_rules rules = budget_rules_for(x);
	bool may;

	lock_budget(picker->pool);
	note_requests(picker);
	may = hedge_ask(&facts, &picker->pool->budget, &rules, exchange_now_ms(x));
	unlock_budget(picker->pool);
	if (may)
		charge(picker);
	return may;
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
	result = open_lease(x, second, true, &error);
	if (result != LEASE_FULL)
		note_try(x, second);
	switch (result) {
	case LEASE_READY:
		send_head(x, second);
		break;
	case LEASE_WAIT:
		break;
	case LEASE_FULL:
		attempt_drop_second(x, PICK_VOID);
		break;
	case LEASE_FAILED:
		connect_of_second_failed(x, error);
		break;
	}
}

static void on_hedge(struct timer *timer)
{
	struct exchange *x = container_of(timer, struct exchange, hedge_timer);
	struct attempt *second = &x->tries[x->attempt == &x->tries[0]];
	struct pick_ask ask = {.key = x->key, .preferred = BALANCE_NONE, .tried = &x->tried};

	if (x->over || x->step != STEP_AWAIT || x->second)
		return;
	if (x->hold != x->proxy->hold) // it is of another configuration
		return;
	if (pick_backend(exchange_upstream(x), x->pool, &ask, &second->pick) != PICK_OK)
		return;
	// The budget comes last, so that nothing is taken from it for nothing.
	if (may_hedge(x) && balance_try(&x->tried, second->pick.backend->index))
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

// ---- Events of connections ----------------------------------------------------------------------

static void log_opened(const struct exchange *x)
{
	struct addr peer;

	if (!log_is_on(x->proxy->log, LOG_INFO))
		return;
	front_peer(x->client, &peer);
	LOG(x->proxy->log, LOG_INFO, "opened client connection", LOG_SPAN("handle_connection"),
		LOG_ADDR("peer_address", &peer), LOG_SPAN("through"),
		LOG_STR("target_address", x->backend->address));
}

static void on_lease_ready(struct lease *lease)
{
	struct attempt *attempt = container_of(lease, struct attempt, lease);
	struct exchange *x = attempt->x;

	if (unlikely(x->step == STEP_AWAIT)) { // the copy of a hedged request
		send_head(x, attempt);
		return;
	}
	log_opened(x);
	exchange_go(x, x->tcp ? STEP_TUNNEL : STEP_SEND);
}

static void on_lease_failed(struct lease *lease, int error)
{
	struct attempt *attempt = container_of(lease, struct attempt, lease);
	struct exchange *x = attempt->x;

	if (attempt == x->second)
		connect_of_second_failed(x, error);
	else
		exchange_go(x, connect_failed(x, error));
}

void attempt_init(struct exchange *x)
{
	struct attempt *attempt = &x->tries[0];

	attempt->x = x;
	attempt->lease.link = NULL;
	attempt->lease.reused = false;
	attempt->pick.is_begun = false;
	attempt->leased_us = attempt->sent_us = 0;
	attempt->span_id = 0;
	x->attempt = attempt;
}
