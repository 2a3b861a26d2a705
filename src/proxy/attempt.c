// SPDX-License-Identifier: Apache-2.0
// The way of one attempt to get an answer out of some backend: picking, waiting for a place, a
// connection, sending.
#include <errno.h>

#include "proxy/attempt_parts.h"
#include "proxy/introduce.h"
#include "proxy/key.h"
#include "proxy/request.h"
#include "proxy/sticky.h"

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
	attempt_count_request(x);
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
	x->attempt->pick.error = error;
	if (!conn_is_shortage(error))
		return attempt_failed(x, RETRY_CONNECT, outcome_of_connect(error));
	attempt_tried_last(x, x->attempt, OUTCOME_OVERLOADED, 0);
	attempt_end(x, x->attempt, false);
	return exchange_give_up(x, OUTCOME_OVERLOADED); // no other backend would change that
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

enum lease_result attempt_open_lease(
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
	result = attempt_open_lease(x, attempt, may_reuse(x), &error);
	if (result == LEASE_FULL)
		return lost_place(x);
	if (likely(!x->asked))
		x->asked = x->backend;
	else
		note_asked_again(x);
	if (unlikely(x->is_next))
		note_waited(x);
	attempt_note_try(x, attempt);
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

void attempt_send_head(struct exchange *x, struct attempt *attempt)
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
		struct retry_facts facts = attempt_facts_of(x, RETRY_TIMEOUT, 0);

		facts.sent = true;
		facts.body_held |= !again;
		x->is_tried_shortly = retry_could_follow(&x->retry->rules, &facts);
	}
	attempt_send_head(x, x->attempt);
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
		attempt_send_head(x, attempt);
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
		attempt_connect_of_second_failed(x, error);
	else
		exchange_go(x, connect_failed(x, error));
}

void attempt_is_unwelcome(struct attempt *attempt)
{
	int error = conn_unwelcome_error(&attempt->lease.link->conn);
	struct exchange *x = attempt->x;

	if (attempt == x->second || x->step == STEP_AWAIT) {
		on_lease_failed(&attempt->lease, error);
		return;
	}
	faults_connect(&x->proxy->faults, x->backend, error, x->attempts);
	exchange_fail(x, outcome_of_connect(error)); // a tunnel
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
