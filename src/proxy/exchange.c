// SPDX-License-Identifier: Apache-2.0
#include "proxy/exchange.h"

#include <errno.h>

#include "proxy/reply.h"
#include "proxy/request.h"
#include "upstream/pick.h"

enum {
	replay_bytes_max = 64 * 1024,
	arena_heap_bytes_max = 256 * 1024,
};

const char *const step_names[STEP_COUNT] = {
#define X(name, text, run, to) [STEP_##name] = text,
#include "proxy/steps.def"
#undef X
};

typedef enum step step_fn(struct exchange *x);

#define X(name, text, run, to) static step_fn run;
#include "proxy/steps.def"
#undef X

#define TO(name) (1u << STEP_##name)
static const struct {
	step_fn *run;
	u32 to;
} steps[STEP_COUNT] = {
#define X(name, text, run, to) [STEP_##name] = {run, to},
#include "proxy/steps.def"
#undef X
};
#undef TO

bool step_may_go(enum step from, enum step to)
{
	return steps[from].to & (1u << to);
}

static u64 now_us(const struct exchange *x)
{
	return loop_now_us(x->proxy->loop);
}

static bool answer_is_stalled_by_client(const struct exchange *x)
{
	return x->answer.undrained > 0 ||
	       (mover_is_running(&x->answer.mover) && x->answer.mover.in_pipe > 0);
}

// The upload waits for the client, not for the backend.
static bool upload_waits_for_client(const struct exchange *x)
{
	return x->up.state == HALF_OPEN && x->up.undrained == 0 && x->up.mover.in_pipe == 0;
}

struct deadline {
	u64 after_ms; // of silence
	enum outcome outcome;
};

// What bounds the wait in this step; every step that can wait has a row.
static struct deadline deadline_of(const struct exchange *x)
{
	const struct conf_frontend *conf = x->client->frontend->conf;
	const struct pool *pool = x->pool;

	switch ((enum step)x->step) {
	case STEP_LEASE:
		return (struct deadline){pool->connect_timeout_ms, OUTCOME_CONNECTION_TIMEOUT};
	case STEP_AWAIT:
		if (upload_waits_for_client(x))
			return (struct deadline){
				conf->timeouts.request_body_idle_ms, OUTCOME_CLIENT_BODY_TIMEOUT};
		return (struct deadline){x->route && x->route->response_timeout_ms
						 ? x->route->response_timeout_ms
						 : pool->response_timeout_ms,
			OUTCOME_RESPONSE_TIMEOUT};
	case STEP_RELAY:
		if (answer_is_stalled_by_client(x))
			return (struct deadline){pool->response_idle_ms, OUTCOME_CLIENT_STALLED};
		return (struct deadline){pool->response_idle_ms, OUTCOME_UPSTREAM_IDLE_TIMEOUT};
	case STEP_TUNNEL:
		return (struct deadline){
			conf->timeouts.tunnel_idle_ms, OUTCOME_TUNNEL_IDLE_TIMEOUT};
	default:
		ASSERT(false && "a step that waits needs a deadline");
		return (struct deadline){0, OUTCOME_INTERNAL_ERROR};
	}
}

static void set_deadline(struct exchange *x)
{
	loop_timer_set(x->proxy->loop, &x->timer, x->active_ms + deadline_of(x).after_ms);
}

// The timer is set and rings no later than it must: on_deadline looks again at what is due. An
// ordinary answer ends before that, so the second setting is saved.
static bool is_bounded(const struct exchange *x)
{
	return x->step == STEP_RELAY && timer_is_set(&x->timer) &&
	       x->timer.deadline_ms <= x->active_ms + x->pool->response_idle_ms;
}

static void move(struct exchange *x, enum step to)
{
	enum step from = (enum step)x->step;

	ASSERT(steps[from].to >> to & 1);
#if WEIR_TESTS
	x->proxy->moves[from][to]++;
#endif
	x->trace->a = x->trace->a * 100 + to;
	x->step = (u8)to;
}

// One event for all moves of a run; each move is in it before its step is run.
static void open_trace(struct exchange *x)
{
	x->trace = trace_add(x->proxy->trace, TRACE_STEP, 0, x->id, x->step, 0);
}

static void run(struct exchange *x)
{
	ASSERT(!x->running);
	x->running = true;
	x->active_ms = loop_now_ms(x->proxy->loop);
	while (!x->over) {
		u8 before = x->step;
		enum step next = steps[before].run(x);

		if (next != STEP_STAY)
			move(x, next);
		else if (x->step == before)
			break;
	}
	x->running = false;
	if (!x->over && !is_bounded(x))
		set_deadline(x);
}

// An event decides where to go. From inside a step's own function the step returns it instead.
static void go(struct exchange *x, enum step to)
{
	if (x->over || x->step == STEP_DONE)
		return;
	if (!x->running)
		open_trace(x);
	move(x, to);
	if (!x->running)
		run(x);
}

static void finish(struct exchange *x, enum outcome outcome)
{
	x->outcome = (u8)outcome;
	go(x, STEP_DONE);
}

static bool is_whole(const struct exchange *x)
{
	return x->outcome == OUTCOME_OK;
}

// An attempt that cannot go on: an answer of our own when the client has none yet, else its visible
// end.
static void fail_attempt(struct exchange *x, enum outcome outcome)
{
	lease_abandon(&x->lease);
	half_stop(&x->up);
	x->outcome = (u8)outcome;
	go(x, x->answer_begun || x->tcp ? STEP_DONE : STEP_REPLY);
}

// ---- Steps --------------------------------------------------------------------------------------

static enum step reply(struct exchange *x, enum outcome outcome)
{
	x->outcome = (u8)outcome;
	return STEP_REPLY;
}

static enum step refuse(struct exchange *x, enum http_refusal why)
{
	x->refusal = (u8)why;
	return reply(x, outcome_of_refusal(why));
}

static enum step do_route(struct exchange *x)
{
	const struct frontend *frontend = x->client->frontend;
	struct http_head *head = x->request;
	enum http_refusal why;
	char *buffer;

	if (x->refusal != HTTP_REFUSE_OK)
		return refuse(x, (enum http_refusal)x->refusal);
	request_identify(x);
	buffer = arena_alloc(&x->arena, head->path.len + 1);
	if (!buffer)
		return reply(x, OUTCOME_INTERNAL_ERROR);
	why = http_path_normalize(head->path, buffer, &x->path);
	if (why != HTTP_REFUSE_OK)
		return refuse(x, why);
	if (head->method == HTTP_TRACE)
		return reply(x, OUTCOME_METHOD_NOT_ALLOWED);
	if (frontend->route_count)
		x->route = router_find(frontend, head, x->path);
	if (x->route && x->route->conf->redirect_status)
		return reply(x, OUTCOME_REDIRECTED);
	x->pool = x->route ? router_pool(x->route, (u32)(rng_u64(&x->proxy->rng) >> 32))
			   : frontend->pool;
	return x->pool ? STEP_ADMIT : reply(x, OUTCOME_NO_ROUTE);
}

static enum step do_admit(struct exchange *x)
{
	u64 body_max = x->client->frontend->conf->http.max_body_size;

	if (x->request->framing == HTTP_LENGTH && x->request->content_length > body_max)
		return reply(x, OUTCOME_PAYLOAD_TOO_LARGE);
	if (request_prepare(x) != 0)
		return reply(x, OUTCOME_INTERNAL_ERROR);
	return STEP_PICK;
}

static enum step do_pick(struct exchange *x)
{
	struct backend *backend = pick_backend(x->pool, &x->tried);

	if (!backend || !balance_try(&x->tried, backend->index)) {
		x->outcome =
			x->connect_failure ? x->connect_failure : (u8)OUTCOME_NO_BACKEND_AVAILABLE;
		return x->tcp ? STEP_DONE : STEP_REPLY;
	}
	if (x->attempts) {
		metrics_inc(x->proxy->metrics, M_RETRIES);
		trace_add(x->proxy->trace, TRACE_RETRY, x->attempts, x->id, x->connect_failure, 0);
	}
	x->backend = backend;
	x->trace->b = backend->index;
	return STEP_LEASE;
}

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
	return http_method_is_idempotent((enum http_method)x->request->method) ||
	       x->client->requests > 1;
}

static void connect_failed(struct exchange *x, int error)
{
	x->connect_failure = (u8)outcome_of_connect(error);
	faults_connect(&x->proxy->faults, x->backend, error, x->tried.count);
}

static enum step do_lease(struct exchange *x)
{
	int error = 0;
	enum lease_result result;

	if (x->lease.link)
		return STEP_STAY;
	x->attempts++;
	x->leased_us = now_us(x);
	if (x->tcp)
		result = lease_open_raw(
			&x->proxy->upstream, &x->lease, x->backend, &lease_events, &error);
	else
		result = lease_open(&x->proxy->upstream, &x->lease, x->backend, may_reuse(x),
			&lease_events, &error);
	switch (result) {
	case LEASE_READY:
		return STEP_SEND;
	case LEASE_WAIT:
		return STEP_STAY;
	case LEASE_FAILED:
		break;
	}
	connect_failed(x, error);
	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS) {
		x->outcome = OUTCOME_OVERLOADED; // no other backend would change that
		return x->tcp ? STEP_DONE : STEP_REPLY;
	}
	return STEP_PICK;
}

static const struct stream_events up_events;

// Sends again what the first try had sent of the body, and what has come since.
static void resend_body(struct exchange *x)
{
	struct stream *stream = x->lease.stream;

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

static enum step do_send(struct exchange *x)
{
	struct stream *stream = x->lease.stream;
	bool again = x->up.state != HALF_IDLE;

	stream->events = &up_events;
	stream->owner = x;
	x->sent_us = now_us(x);
	request_address(x);
	h1_use_parser(stream, &x->proxy->parsers[x->client->frontend->index]);
	stream->ops->send_head(stream, x->request, !x->request_has_body);
	if (!x->request_has_body)
		return STEP_AWAIT;
	if (again)
		resend_body(x);
	else
		half_open(&x->up, x->down, stream);
	return STEP_AWAIT;
}

static enum step do_await(struct exchange *x)
{
	(void)x;
	return STEP_STAY;
}

static enum step do_answer(struct exchange *x)
{
	struct http_head *head = x->response;
	bool end = x->response_end;

	bytes_clear(&x->replay);
	x->replay_lost = true;
	x->answered_us = now_us(x);
	x->status = head->status;
	x->answer_begun = true;
	http_mark_hop_fields(head);
	head->keep_alive = x->request_ended && !x->proxy->draining;
	metrics_inc(x->proxy->metrics, metrics_response_class(head->status));
	x->down->ops->send_head(x->down, head, end);
	x->response = NULL;
	if (head->status == 101)
		return STEP_TUNNEL;
	if (end) {
		x->outcome = OUTCOME_OK;
		return STEP_DONE;
	}
	half_open(&x->answer, x->lease.stream, x->down);
	return STEP_RELAY;
}

static enum step do_relay(struct exchange *x)
{
	(void)x;
	return STEP_STAY;
}

static enum step do_tunnel(struct exchange *x)
{
	struct stream *stream = x->lease.stream;

	if (x->tunnelling)
		return STEP_STAY;
	x->tunnelling = true;
	metrics_inc(x->proxy->metrics, M_TUNNELS_ACTIVE);
	if (x->tcp) {
		stream->events = &up_events;
		stream->owner = x;
		x->answer_begun = true;
	}
	half_open(&x->up, x->down, stream);
	half_open(&x->answer, stream, x->down);
	return STEP_STAY;
}

static enum step do_reply(struct exchange *x)
{
	reply_send(x);
	metrics_inc(x->proxy->metrics, metrics_response_class(x->status));
	metrics_bump(&x->proxy->metrics->local_answers[x->outcome], 1);
	return STEP_DONE;
}

// ---- The end ------------------------------------------------------------------------------------

static u32 span_us(u64 from_us, u64 to_us)
{
	return from_us && to_us >= from_us ? (u32)MIN(to_us - from_us, (u64)UINT32_MAX - 1)
					   : ACCESS_NO_TIME;
}

static struct str field_text(const struct http_head *head, enum http_known known)
{
	const struct http_field *field = head ? http_head_find(head, known) : NULL;

	return field ? str_make(field->value, field->value_len) : STR_EMPTY;
}

static void write_access(struct exchange *x)
{
	const struct http_head *head = x->request;
	u32 head_us = span_us(x->began_us, x->headed_us);
	struct access_entry entry = {
		.wall_ms = x->headed_wall_ms - head_us / 1000,
		.protocol = x->tcp			       ? STR("TCP")
			    : head && head->version_minor == 0 ? STR("HTTP/1.0")
							       : STR("HTTP/1.1"),
		.frontend = x->client->frontend->conf->name,
		.route = x->route ? x->route->conf->name : STR_EMPTY,
		.pool = x->pool ? x->pool->name : STR_EMPTY,
		.backend = x->backend ? x->backend->id : STR_EMPTY,
		.bytes_in = x->up.total,
		.bytes_out = x->answer.total,
		.total_us = now_us(x) - x->began_us,
		.head_us = head_us,
		.queue_us = span_us(x->headed_us, x->leased_us),
		.connect_us = x->lease.reused ? 0 : span_us(x->leased_us, x->sent_us),
		.first_byte_us = span_us(x->sent_us, x->answered_us),
		.status = x->status,
		.tries = x->attempts,
		.outcome = x->outcome,
		.reused = x->lease.reused,
	};

	if (addr_parse_ip(request_client_ip(x), &entry.client) != 0)
		entry.client = (struct addr){0};
	else if (!x->client->trusted)
		entry.client.port = x->client->port;
	if (head) {
		entry.method = head->method_text;
		entry.target = head->target;
		entry.host = head->authority;
		entry.user_agent = field_text(head, HTTP_F_USER_AGENT);
		entry.referer = field_text(head, HTTP_F_REFERER);
		entry.request_id = request_id(x);
	}
	access_write(x->proxy->log, &x->proxy->access, &entry);
}

static void log_end(struct exchange *x)
{
	const struct outcome_info *info = outcome_info((enum outcome)x->outcome);
	struct addr peer;

	if (!faults_is_news(&x->proxy->faults, (enum outcome)x->outcome, x->tcp))
		return;
	front_peer(x->client, &peer);
	LOG(x->proxy->log, faults_level((enum outcome)x->outcome, x->tcp), faults_message(x->tcp),
		LOG_STR("outcome", info->name), LOG_STR("cause", info->cause),
		LOG_U64("status", x->status), LOG_STR("pool", x->pool ? x->pool->name : STR_EMPTY),
		LOG_STR("backend", x->backend ? x->backend->id : STR_EMPTY),
		LOG_STR("target", x->request ? x->request->path : STR_EMPTY),
		LOG_STR("request_id", x->request ? request_id(x) : STR_EMPTY),
		LOG_STR("cure", info->cure), LOG_SPAN("handle_connection"),
		LOG_ADDR("peer_address", &peer));
}

static void give_back_streams(struct exchange *x)
{
	if (is_whole(x) && x->request_ended)
		lease_release(&x->lease);
	else if (x->tunnel_whole)
		lease_release(&x->lease);
	else
		lease_abandon(&x->lease);
	// A stream whose answer is complete and whose request is too is already over; resetting it
	// then does nothing. Anything else is cut so that the client can see it.
	if (x->down && !x->tunnel_whole)
		x->down->ops->reset(x->down);
}

static void free_exchange(struct task *task)
{
	struct exchange *x = container_of(task, struct exchange, free_task);

	bytes_clear(&x->replay);
	arena_done(&x->arena);
	slab_put(&x->proxy->exchanges, x);
}

static enum step do_done(struct exchange *x)
{
	struct proxy *proxy = x->proxy;

	x->over = true;
	loop_timer_cancel(proxy->loop, &x->timer);
	half_stop(&x->up);
	half_stop(&x->answer);
	trace_add(proxy->trace, TRACE_DONE, x->outcome, x->id, x->status, now_us(x) - x->began_us);
	metrics_bump(&proxy->metrics->outcomes[x->outcome], 1);
	metrics_dec(proxy->metrics, M_REQUESTS_ACTIVE);
	if (x->tunnelling)
		metrics_dec(proxy->metrics, M_TUNNELS_ACTIVE);
	if (x->outcome != OUTCOME_OK)
		log_end(x);
	if (access_is_on(&proxy->access))
		write_access(x);
	give_back_streams(x);
	front_exchange_done(x->client);
	loop_defer(proxy->loop, &x->free_task);
	return STEP_STAY;
}

// ---- Events -------------------------------------------------------------------------------------

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
	struct exchange *x = container_of(lease, struct exchange, lease);

	log_opened(x);
	go(x, x->tcp ? STEP_TUNNEL : STEP_SEND);
}

static void on_lease_failed(struct lease *lease, int error)
{
	struct exchange *x = container_of(lease, struct exchange, lease);

	connect_failed(x, error);
	go(x, STEP_PICK);
}

static void on_deadline(struct timer *timer)
{
	struct exchange *x = container_of(timer, struct exchange, timer);
	struct deadline deadline = deadline_of(x);
	u64 active_ms = MAX(x->active_ms, MAX(x->up.mover.active_ms, x->answer.mover.active_ms));

	if (active_ms + deadline.after_ms > loop_now_ms(x->proxy->loop)) {
		x->active_ms = active_ms;
		set_deadline(x);
		return;
	}
	metrics_inc(x->proxy->metrics, M_TIMEOUTS);
	trace_add(x->proxy->trace, TRACE_DEADLINE, x->step, x->id, 0, 0);
	if (x->step == STEP_LEASE) {
		metrics_inc(x->proxy->metrics, M_CONNECT_FAILURES);
		lease_abandon(&x->lease);
		connect_failed(x, -ETIMEDOUT);
		go(x, STEP_PICK);
		return;
	}
	fail_attempt(x, deadline.outcome);
}

static struct exchange *of_stream(struct stream *stream)
{
	return stream->owner;
}

// Keeps a copy (by reference) of body bytes while the request may still have to be sent again.
static void keep_for_replay(struct exchange *x, const struct slice *slice)
{
	struct slice copy = *slice;

	if (x->replay_lost || slice->len == 0)
		return;
	if (!x->lease.reused || x->replay.len + slice->len > replay_bytes_max ||
		!http_method_is_idempotent((enum http_method)x->request->method)) {
		x->replay_lost = true;
		bytes_clear(&x->replay);
		return;
	}
	block_ref(copy.block);
	if (bytes_append(&x->proxy->loop->blocks, &x->replay, copy) != 0)
		x->replay_lost = true;
}

// A body may go on coming while its request waits for a fresh connection. The credit that was
// granted before bounds how much.
static void keep_while_waiting(struct exchange *x, struct slice slice, bool end)
{
	size_t len = slice.len;

	if (len && bytes_append(&x->proxy->loop->blocks, &x->replay, slice) != 0) {
		fail_attempt(x, OUTCOME_OVERLOADED);
		return;
	}
	half_skip(&x->up, len, end);
	x->request_ended = end;
}

static void tunnel_maybe_over(struct exchange *x)
{
	if (!x->tunnelling || x->up.state != HALF_ENDED || x->answer.state != HALF_ENDED)
		return;
	x->tunnel_whole = true;
	finish(x, OUTCOME_TUNNEL_CLOSED);
}

// While the answer is awaited, it is now the backend and now the client that is waited for, and
// each has a deadline of its own.
static void look_at_deadline(struct exchange *x)
{
	if (!x->over && x->step == STEP_AWAIT)
		set_deadline(x);
}

// Whatever the client does meanwhile, the wait for a connection is as long as it is.
static void client_was_active(struct exchange *x)
{
	if (x->step != STEP_LEASE)
		x->active_ms = loop_now_ms(x->proxy->loop);
}

static void down_body(struct stream *stream, struct slice slice, bool end)
{
	struct exchange *x = of_stream(stream);

	client_was_active(x);
	if (!x->tunnelling) {
		if (x->up.total + slice.len > x->client->frontend->conf->http.max_body_size) {
			slice_drop(&slice);
			fail_attempt(x, OUTCOME_PAYLOAD_TOO_LARGE);
			return;
		}
		if (x->step == STEP_LEASE) {
			keep_while_waiting(x, slice, end);
			return;
		}
		keep_for_replay(x, &slice);
		if (end)
			x->request_ended = true;
	}
	half_body(&x->up, &x->answer, slice, end);
	if (!end)
		return;
	tunnel_maybe_over(x);
	look_at_deadline(x);
}

static void down_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct exchange *x = of_stream(stream);

	if (x->step == STEP_LEASE) { // they may be dropped (RFC 9110 6.5.1)
		keep_while_waiting(x, (struct slice){0}, true);
		return;
	}
	x->active_ms = loop_now_ms(x->proxy->loop);
	x->request_ended = true;
	x->replay_lost = true; // trailers are not kept
	half_trailers(&x->up, fields, count);
	look_at_deadline(x);
}

static void down_drained(struct stream *stream, size_t len)
{
	struct exchange *x = of_stream(stream);

	client_was_active(x);
	half_drained(&x->answer, len);
}

static void down_reset(struct stream *stream, enum stream_fault fault)
{
	struct exchange *x = of_stream(stream);

	trace_add(x->proxy->trace, TRACE_RESET, (u16)fault, x->id, false, 0);
	if (fault == STREAM_MALFORMED && !x->answer_begun) {
		x->refusal = stream->session->refusal;
		fail_attempt(x, outcome_of_refusal((enum http_refusal)x->refusal));
		return;
	}
	if (x->tunnelling && fault == STREAM_PEER_RESET)
		finish(x, OUTCOME_TUNNEL_CLOSED);
	else
		finish(x, fault == STREAM_NO_MEMORY ? OUTCOME_OVERLOADED : OUTCOME_CLIENT_ABORTED);
}

static void down_head(struct stream *stream, struct http_head *head, bool end)
{
	(void)stream;
	(void)head;
	(void)end;
	ASSERT(false && "a request head comes through on_request");
}

static const struct stream_events down_events = {
	.on_head = down_head,
	.on_body = down_body,
	.on_trailers = down_trailers,
	.on_drained = down_drained,
	.on_reset = down_reset,
};

static void up_head(struct stream *stream, struct http_head *head, bool end)
{
	struct exchange *x = of_stream(stream);

	if (head->status < 200 && head->status != 101) {
		x->active_ms = loop_now_ms(x->proxy->loop);
		http_mark_hop_fields(head);
		x->down->ops->send_head(x->down, head, false);
		return;
	}
	if (head->status == 101 && !http_upgrade_agrees(x->request, head)) {
		fail_attempt(x, OUTCOME_UPGRADE_FAILED);
		return;
	}
	x->response = head;
	x->response_end = end;
	go(x, STEP_ANSWER);
}

static void up_body(struct stream *stream, struct slice slice, bool end)
{
	struct exchange *x = of_stream(stream);

	x->active_ms = loop_now_ms(x->proxy->loop);
	half_body(&x->answer, x->tunnelling ? &x->up : NULL, slice, end);
	if (!end)
		return;
	if (x->tunnelling)
		tunnel_maybe_over(x);
	else
		finish(x, OUTCOME_OK);
}

static void up_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct exchange *x = of_stream(stream);

	half_trailers(&x->answer, fields, count);
	finish(x, OUTCOME_OK);
}

static void up_drained(struct stream *stream, size_t len)
{
	struct exchange *x = of_stream(stream);

	x->active_ms = loop_now_ms(x->proxy->loop);
	half_drained(&x->up, len);
	look_at_deadline(x);
}

// A reused connection may have been closed by the backend just as the request was sent. If no byte
// of an answer came and the request may be sent again, it is, once and on a fresh connection.
static bool may_replay(const struct exchange *x, enum stream_fault fault)
{
	bool broke = fault == STREAM_PEER_CLOSED || fault == STREAM_PEER_RESET;

	if (!broke || !x->lease.reused || x->replayed || lease_has_heard(&x->lease))
		return false;
	if (!http_method_is_idempotent((enum http_method)x->request->method))
		return false;
	// What was spliced went by unseen.
	return !x->request_has_body ||
	       (!x->replay_lost && x->replay.len == x->up.total && !mover_is_running(&x->up.mover));
}

static enum outcome fault_outcome(
	const struct exchange *x, struct stream *stream, enum stream_fault fault)
{
	switch (fault) {
	case STREAM_MALFORMED:
		if (stream->session->refusal == HTTP_REFUSE_HEAD_TOO_LARGE ||
			stream->session->refusal == HTTP_REFUSE_TOO_MANY_FIELDS)
			return OUTCOME_RESPONSE_HEAD_TOO_LARGE;
		return x->answer_begun ? OUTCOME_RESPONSE_CUT : OUTCOME_RESPONSE_MALFORMED;
	case STREAM_NO_MEMORY:
		return OUTCOME_OVERLOADED;
	case STREAM_PEER_CLOSED:
	case STREAM_PEER_RESET:
		break;
	}
	return x->answer_begun ? OUTCOME_RESPONSE_CUT : OUTCOME_CONNECTION_RESET;
}

static void up_reset(struct stream *stream, enum stream_fault fault)
{
	struct exchange *x = of_stream(stream);

	trace_add(x->proxy->trace, TRACE_RESET, (u16)fault, x->id, true, 0);
	if (x->step == STEP_AWAIT && may_replay(x, fault)) {
		x->replayed = true;
		metrics_inc(x->proxy->metrics, M_REPLAYS);
		mover_drop(&x->up.mover);
		lease_abandon(&x->lease);
		go(x, STEP_LEASE);
		return;
	}
	if (x->tunnelling)
		finish(x, OUTCOME_TUNNEL_CLOSED);
	else
		fail_attempt(x, fault_outcome(x, stream, fault));
}

static const struct stream_events up_events = {
	.on_head = up_head,
	.on_body = up_body,
	.on_trailers = up_trailers,
	.on_drained = up_drained,
	.on_reset = up_reset,
};

static void on_broken(struct half *half, bool source_failed)
{
	bool upload = half->target != ((struct exchange *)half->source->owner)->down;
	struct exchange *x = half->source->owner;
	bool client_failed = upload == source_failed;

	if (x->tunnelling)
		finish(x, OUTCOME_TUNNEL_CLOSED);
	else if (client_failed)
		finish(x, OUTCOME_CLIENT_ABORTED);
	else
		fail_attempt(x, x->answer_begun ? OUTCOME_RESPONSE_CUT : OUTCOME_CONNECTION_RESET);
}

static const struct relay_events relay_events = {.on_broken = on_broken};

// ---- The beginning ------------------------------------------------------------------------------

static struct exchange *new_exchange(struct client *client, struct stream *down)
{
	struct proxy *proxy = client->proxy;
	struct exchange *x = slab_get(&proxy->exchanges);

	if (!x)
		return NULL;
	memset(x, 0, offsetof(struct exchange, timer));
	x->tried.count = 0;
	x->lease = (struct lease){0};
	x->proxy = proxy;
	if (arena_init_slab(&x->arena, &proxy->arenas, arena_heap_bytes_max) != 0) {
		slab_put(&proxy->exchanges, x);
		return NULL;
	}
	x->client = client;
	x->down = down;
	x->id = ++proxy->next_exchange;
	x->began_us = client->head_began_us;
	x->headed_us = now_us(x);
	x->headed_wall_ms = loop_wall_ms(proxy->loop);
	x->active_ms = loop_now_ms(proxy->loop);
	x->free_task = (struct task){.run = free_exchange};
	x->refusal = HTTP_REFUSE_OK;
	timer_init(&x->timer, on_deadline);
	half_init(&x->up, &relay_events, proxy->splice);
	half_init(&x->answer, &relay_events, proxy->splice);
	down->events = &down_events;
	down->owner = x;
	client->exchange = x;
	metrics_inc(proxy->metrics, M_REQUESTS);
	metrics_inc(proxy->metrics, M_REQUESTS_ACTIVE);
	return x;
}

bool exchange_begin_http(
	struct client *client, struct stream *down, struct http_head *head, bool end)
{
	struct exchange *x = new_exchange(client, down);

	if (!x)
		return false;
	x->request_has_body = !end;
	x->request_ended = end;
	x->request = http_head_copy(&x->arena, head);
	if (!x->request)
		x->refusal = HTTP_REFUSE_HEAD_TOO_LARGE;
	open_trace(x);
	run(x);
	return true;
}

bool exchange_begin_refused(struct client *client, struct stream *down, enum http_refusal why)
{
	struct exchange *x = new_exchange(client, down);

	if (!x)
		return false;
	x->refusal = (u8)why;
	open_trace(x);
	run(x);
	return true;
}

bool exchange_begin_tcp(struct client *client, struct stream *down)
{
	struct exchange *x = new_exchange(client, down);

	if (!x)
		return false;
	x->tcp = true;
	x->pool = client->frontend->pool;
	x->step = STEP_PICK;
	open_trace(x);
	run(x);
	return true;
}

void exchange_abort(struct exchange *x, enum outcome outcome)
{
	finish(x, outcome);
}
