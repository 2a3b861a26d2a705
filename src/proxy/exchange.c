// SPDX-License-Identifier: Apache-2.0
// The machine of the exchange: its steps, its deadlines, its beginning.
#include <errno.h>

#include "proto/grpc.h"
#include "proxy/answer.h"
#include "proxy/builtin.h"
#include "proxy/client_cert.h"
#include "proxy/exchange_parts.h"
#include "proxy/passing.h"
#include "proxy/reply.h"
#include "proxy/request.h"
#include "proxy/sticky.h"

enum { arena_heap_bytes_max = 256 * 1024, under_way_ms = 1000 };

const char *const step_names[STEP_COUNT] = {
#define X(name, text, run, to) [STEP_##name] = text,
#include "proxy/steps.def"
#undef X
};

#define TO(name) (1u << STEP_##name)
static const u16 ways[STEP_COUNT] = {
#define X(name, text, run, to) [STEP_##name] = to,
#include "proxy/steps.def"
#undef X
};
#undef TO
_Static_assert(STEP_COUNT <= 16, "a bit of u16, and a digit of a trace event, for each step");

bool step_may_go(enum step from, enum step to)
{
	return ways[from] & (1u << to);
}

// A call for each step, so that the compiler may put their bodies in a row.
static inline enum step take_step(struct exchange *x, enum step step)
{
	switch (step) {
#define X(name, text, run, to) \
	case STEP_##name:      \
		return run(x);
#include "proxy/steps.def"
#undef X
	case STEP_COUNT:
	case STEP_STAY:
		break;
	}
	ASSERT(false && "no such step");
	return STEP_STAY;
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
	u64 at_ms;
	enum outcome outcome;
};

static u64 answer_timeout_ms(const struct exchange *x)
{
	u64 timeout_ms = x->route && x->route->response_timeout_ms ? x->route->response_timeout_ms
								   : x->pool->response_timeout_ms;

	return x->is_tried_shortly ? MIN(timeout_ms, x->retry->try_timeout_ms) : timeout_ms;
}

static struct deadline after(const struct exchange *x, u64 silence_ms, enum outcome outcome)
{
	return (struct deadline){x->active_ms + silence_ms, outcome};
}

// What bounds the wait in this step alone; every step that can wait has a row.
static struct deadline deadline_of_step(const struct exchange *x)
{
	const struct conf_frontend *conf = x->frontend->conf;
	const struct pool *pool = x->pool;

	switch ((enum step)x->step) {
	case STEP_QUEUE:
		return (struct deadline){x->wait_until_ms, OUTCOME_QUEUE_TIMEOUT};
	case STEP_PAUSE:
		return (struct deadline){x->wait_until_ms, OUTCOME_OK};
	case STEP_LEASE:
		return after(x, pool->connect_timeout_ms, OUTCOME_CONNECTION_TIMEOUT);
	case STEP_AWAIT:
		if (upload_waits_for_client(x))
			return after(x, conf->timeouts.request_body_idle_ms,
				OUTCOME_CLIENT_BODY_TIMEOUT);
		return after(x, answer_timeout_ms(x), OUTCOME_RESPONSE_TIMEOUT);
	case STEP_RELAY:
		if (answer_is_stalled_by_client(x))
			return after(x, pool->response_idle_ms, OUTCOME_CLIENT_STALLED);
		return after(x, pool->response_idle_ms, OUTCOME_UPSTREAM_IDLE_TIMEOUT);
	case STEP_TUNNEL:
		return after(x, conf->timeouts.tunnel_idle_ms, OUTCOME_TUNNEL_IDLE_TIMEOUT);
	default:
		ASSERT(false && "a step that waits needs a deadline");
		return after(x, 0, OUTCOME_INTERNAL_ERROR);
	}
}

static struct deadline deadline_of(const struct exchange *x)
{
	struct deadline deadline = deadline_of_step(x);

	if (x->deadline_ms < deadline.at_ms && x->step != STEP_TUNNEL)
		return (struct deadline){x->deadline_ms, OUTCOME_REQUEST_TIMEOUT};
	return deadline;
}

void exchange_set_deadline(struct exchange *x)
{
	loop_timer_set(x->proxy->loop, &x->timer, deadline_of(x).at_ms);
}

// The timer is set and rings no later than it must: on_deadline looks again at what is due. An
// ordinary answer ends before that, so the second setting is saved.
static bool is_bounded(const struct exchange *x)
{
	return x->step == STEP_RELAY && timer_is_set(&x->timer) &&
	       x->timer.deadline_ms <= x->active_ms + x->pool->response_idle_ms;
}

static inline void move(struct exchange *x, enum step from, enum step to, u64 *path)
{
	ASSERT(ways[from] >> to & 1);
#if WEIR_TESTS
	x->proxy->moves[from][to]++;
#endif
	*path = *path << 4 | to;
	x->step = (u8)to;
}

// One event for all moves of a run; each move is in it before its step is run.
static void open_trace(struct exchange *x)
{
	x->trace = trace_add(x->proxy->trace, TRACE_STEP, 0, x->id, x->step, 0);
}

static void run(struct exchange *x)
{
	u64 *path = &x->trace->a;

	ASSERT(!x->running);
	x->running = true;
	x->active_ms = exchange_now_ms(x);
	for (enum step step = (enum step)x->step; !x->over;) {
		enum step next = take_step(x, step);

		if (next != STEP_STAY) {
			move(x, step, next, path);
			step = next;
		} else if (x->step != step) {
			step = (enum step)x->step; // moved by an event
		} else {
			break;
		}
	}
	x->running = false;
	if (!x->over && !is_bounded(x))
		exchange_set_deadline(x);
}

void exchange_go(struct exchange *x, enum step to)
{
	if (x->over || x->step == STEP_DONE)
		return;
	if (to == STEP_STAY) { // the wait goes on, and for something else
		if (!x->running)
			exchange_set_deadline(x);
		return;
	}
	if (!x->running)
		open_trace(x);
	move(x, (enum step)x->step, to, &x->trace->a);
	if (!x->running)
		run(x);
}

void exchange_finish(struct exchange *x, enum outcome outcome)
{
	x->outcome = (u8)outcome;
	exchange_go(x, STEP_DONE);
}

enum step exchange_give_up(struct exchange *x, enum outcome outcome)
{
	half_stop(&x->up);
	x->outcome = (u8)outcome;
	return x->answer_begun || x->tcp ? STEP_DONE : STEP_REPLY;
}

void exchange_fail(struct exchange *x, enum outcome outcome)
{
	attempt_drop_second(x, PICK_VOID);
	attempt_tried_last(x, x->attempt, (u8)outcome, 0);
	attempt_end(x, x->attempt, false);
	exchange_go(x, exchange_give_up(x, outcome));
}

// ---- Steps on the client's side -----------------------------------------------------------------

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

static u64 shorter(u64 a, u64 b)
{
	return a && b ? MIN(a, b) : MAX(a, b);
}

// When the whole request has to be over: as the route says, else the frontend or the pool.
static void bound_request(struct exchange *x)
{
	u64 bound_ms = x->route ? x->route->conf->request_timeout_ms : CONF_NOT_SET;

	if (bound_ms == CONF_NOT_SET)
		bound_ms = shorter(
			x->frontend->conf->timeouts.request_ms, x->pool->conf->timeouts.request_ms);
	if (unlikely(x->request->known_seen & HTTP_BIT(HTTP_F_CONTENT_TYPE)) &&
		grpc_is_call(x->request))
		bound_ms = shorter(bound_ms, grpc_timeout_ms(x->request));
	if (bound_ms)
		x->deadline_ms = x->headed_us / 1000 + bound_ms;
}

static enum step without_pool(struct exchange *x)
{
	if (!x->frontend->conf->redirect_https)
		return reply(x, OUTCOME_NO_ROUTE);
	if (x->request->authority.len == 0)
		return refuse(x, HTTP_REFUSE_HOST_MISSING);
	return reply(x, OUTCOME_REDIRECTED);
}

static inline const struct route *find_route(const struct exchange *x)
{
	struct router_cert cert;

	if (likely(!x->frontend->routes_ask_certificates))
		return router_find(x->frontend, x->request, x->path);
	cert = client_cert_known(&x->client->conn);
	return router_find_certified(x->frontend, x->request, x->path, &cert);
}

inline enum step step_route(struct exchange *x)
{
	const struct frontend *frontend = x->frontend;
	struct http_head *head = x->request;
	enum http_refusal why;
	char *buffer;

	if (unlikely(x->proxy->spans))
		tracing_begin(x);
	if (x->refusal != HTTP_REFUSE_OK) {
		if (x->request)
			request_identify(x);
		return refuse(x, (enum http_refusal)x->refusal);
	}
	request_identify(x);
	buffer = arena_alloc(&x->arena, head->path.len + 1);
	if (!buffer)
		return reply(x, OUTCOME_INTERNAL_ERROR);
	why = http_path_normalize(head->path, buffer, &x->path);
	if (why != HTTP_REFUSE_OK)
		return refuse(x, why);
	if (head->method == HTTP_TRACE)
		return reply(x, OUTCOME_METHOD_NOT_ALLOWED);
	if (unlikely(builtin_may_be(frontend, x->path))) {
		enum outcome outcome = builtin_find(x);

		if (outcome != OUTCOME_OK)
			return reply(x, outcome);
	}
	if (frontend->route_count)
		x->route = find_route(x);
	if (x->route && x->route->conf->redirect_status)
		return reply(x, OUTCOME_REDIRECTED);
	x->pool = x->route ? router_pool(x->route, (u32)(rng_u64(&x->proxy->rng) >> 32))
			   : frontend->pool;
	if (!x->pool)
		return without_pool(x);
	bound_request(x);
	return STEP_ADMIT;
}

inline enum step step_admit(struct exchange *x)
{
	u64 body_max = x->frontend->conf->http.max_body_size;

	if (x->request->framing == HTTP_LENGTH && x->request->content_length > body_max)
		return reply(x, OUTCOME_PAYLOAD_TOO_LARGE);
	if (request_prepare(x) != 0)
		return reply(x, OUTCOME_INTERNAL_ERROR);
	return STEP_PICK;
}

// The client comes back to this backend.
static void bind_client(struct exchange *x, struct http_head *head)
{
	struct str line = sticky_line(x);

	if (line.len && head->added_count < HTTP_ADDED_MAX)
		head->added[head->added_count++] = line;
}

enum step step_answer(struct exchange *x)
{
	struct http_head *head = x->response;
	bool end = x->response_end;

	bytes_clear(&x->replay);
	x->replay_lost = true;
	x->answered_us = exchange_now_us(x);
	x->status = head->status;
	x->answer_begun = true;
	http_mark_hop_fields(head);
	head->keep_alive = x->request_ended && !x->client->gate->draining;
	metrics_inc(x->proxy->metrics, metrics_response_class(head->status));
	if (unlikely(x->pool->sticky))
		bind_client(x, head);
	if (unlikely(x->frontend->has_answer_lines))
		answer_add_lines(x, head, false);
	x->down->ops->send_head(x->down, head, end);
	x->response = NULL;
	if (head->status == 101)
		return STEP_TUNNEL;
	if (end) {
		x->outcome = OUTCOME_OK;
		return STEP_DONE;
	}
	half_open(&x->answer, x->attempt->lease.stream, x->down);
	return STEP_RELAY;
}

enum step step_wait(struct exchange *x)
{
	(void)x;
	return STEP_STAY;
}

void exchange_note_tunnel(struct exchange *x)
{
	x->tunnelling = true;
	x->passing = NULL;
	list_push_back(&x->proxy->tunnels, &x->tunnel);
	metrics_inc(x->proxy->metrics, M_TUNNELS_ACTIVE);
}

enum step step_tunnel(struct exchange *x)
{
	struct stream *stream = x->attempt->lease.stream;

	if (x->tunnelling)
		return STEP_STAY;
	exchange_note_tunnel(x);
	if (x->tcp) {
		stream->events = &exchange_up_events;
		stream->owner = x->attempt;
		x->attempt->sent_us = exchange_now_us(x);
		pick_note(exchange_upstream(x), &x->attempt->pick, MISS_NONE);
		x->attempt->sent_us = exchange_now_us(x); // it stands
		x->answer_begun = true;
	}
	half_open(&x->up, x->down, stream);
	half_open(&x->answer, stream, x->down);
	return STEP_STAY;
}

enum step step_reply(struct exchange *x)
{
	bool is_sent = x->outcome == OUTCOME_BUILTIN && builtin_send(x);

	if (x->outcome == OUTCOME_BUILTIN && !is_sent)
		x->outcome = OUTCOME_OVERLOADED;
	if (!is_sent)
		reply_send(x);
	metrics_inc(x->proxy->metrics, metrics_response_class(x->status));
	metrics_bump(&x->proxy->metrics->local_answers[x->outcome], 1);
	return STEP_DONE;
}

// ---- Deadlines ----------------------------------------------------------------------------------

// Those who wait longer than they may in a queue that does not empty are turned away early.
static void queue_is_due(struct exchange *x)
{
	const struct conf_pool *conf = x->pool->conf;
	const struct waiters *queue = &upstream_picker(exchange_upstream(x), x->pool)->queue;
	u64 now_ms = exchange_now_ms(x), last_ms = x->queued_ms + conf->timeouts.queue_ms;

	if (now_ms >= last_ms)
		exchange_go(x, exchange_give_up(x, OUTCOME_QUEUE_TIMEOUT));
	else if (shed_is_overload(&conf->limits.shed, queue->empty_ms, queue->count, now_ms))
		exchange_go(x, exchange_give_up(x, OUTCOME_SHED));
	else {
		x->wait_until_ms = MIN(last_ms, now_ms + conf->limits.shed.target_ms);
		exchange_set_deadline(x);
	}
}

// What it teaches about the backend that this time is over.
static u32 miss_of_end(const struct exchange *x, enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_RESPONSE_TIMEOUT:
		return MISS_TIMEOUT;
	case OUTCOME_REQUEST_TIMEOUT:
		return x->step == STEP_AWAIT && !upload_waits_for_client(x) ? (u32)MISS_TIMEOUT
									    : (u32)PICK_VOID;
	case OUTCOME_UPSTREAM_IDLE_TIMEOUT:
		return MISS_RESET;
	default:
		return PICK_VOID;
	}
}

static void attempt_is_due(struct exchange *x, enum outcome outcome)
{
	if (outcome == OUTCOME_CONNECTION_TIMEOUT) {
		metrics_inc(x->proxy->metrics, M_CONNECT_FAILURES);
		lease_expire(&x->attempt->lease);
		faults_connect(&x->proxy->faults, x->backend, ETIMEDOUT, x->attempts);
		exchange_go(x, attempt_failed(x, RETRY_CONNECT, outcome));
	} else if (outcome == OUTCOME_RESPONSE_TIMEOUT && x->is_tried_shortly) {
		exchange_go(x, attempt_is_late(x));
	} else {
		if (x->attempt->pick.is_begun) // nobody was picked yet while it waits for a place
			pick_note(exchange_upstream(x), &x->attempt->pick, miss_of_end(x, outcome));
		exchange_fail(x, outcome);
	}
}

static void on_deadline(struct timer *timer)
{
	struct exchange *x = container_of(timer, struct exchange, timer);
	struct deadline deadline;

	x->active_ms = MAX(x->active_ms, MAX(x->up.mover.active_ms, x->answer.mover.active_ms));
	if (unlikely(x->hold != x->proxy->hold) && x->step == STEP_RELAY)
		(void)exchange_rebind(x); // a stream may be long
	deadline = deadline_of(x);
	if (deadline.at_ms > exchange_now_ms(x)) {
		exchange_set_deadline(x);
		return;
	}
	if (unlikely(passing_is_under_way(x))) {
		loop_timer_set(x->proxy->loop, timer, exchange_now_ms(x) + under_way_ms);
		return;
	}
	if (deadline.outcome == OUTCOME_OK) { // a pause
		exchange_go(x, STEP_PICK);
		return;
	}
	if (deadline.outcome == OUTCOME_QUEUE_TIMEOUT) {
		queue_is_due(x);
		return;
	}
	metrics_inc(x->proxy->metrics, M_TIMEOUTS);
	trace_add(x->proxy->trace, TRACE_DEADLINE, x->step, x->id, 0, 0);
	attempt_is_due(x, deadline.outcome);
}

// ---- The beginning ------------------------------------------------------------------------------

struct exchange *exchange_new(struct client *client, struct stream *down)
{
	struct proxy *proxy = client->proxy;
	struct exchange *x = slab_get(&proxy->exchanges);

	if (!x)
		return NULL;
	zero_plain(x, offsetof(struct exchange, timer));
	x->tried.count = 0;
	x->proxy = proxy;
	if (arena_init_slab(&x->arena, &proxy->arenas, arena_heap_bytes_max) != 0) {
		slab_put(&proxy->exchanges, x);
		return NULL;
	}
	x->client = client;
	x->frontend = client->gate->frontend;
	x->hold = proxy->hold;
	x->hold->count++;
	x->down = down;
	x->id = ++proxy->next_exchange;
	x->began_us = client->head_began_us;
	x->headed_us = exchange_now_us(x);
	x->headed_wall_ms = loop_wall_ms(proxy->loop);
	x->active_ms = loop_now_ms(proxy->loop);
	x->free_task = (struct task){.run = exchange_free};
	x->deadline_ms = UINT64_MAX;
	x->sticky = BALANCE_NONE;
	pick_seen_nothing(&x->seen);
	timer_init(&x->timer, on_deadline);
	attempt_init(x);
	half_init(&x->up, x, &exchange_relay_events, proxy->splice);
	half_init(&x->answer, x, &exchange_relay_events, proxy->splice);
	down->events = &exchange_down_events;
	down->owner = x;
	front_exchange_begins(client, x);
	metrics_inc(proxy->metrics, M_REQUESTS);
	metrics_inc(proxy->metrics, M_REQUESTS_ACTIVE);
	return x;
}

// `why`: it is parsed and refused all the same; OK: it is not.
static inline bool begin_http(struct client *client, struct stream *down, struct http_head *head,
	bool end, enum http_refusal why)
{
	struct exchange *x = exchange_new(client, down);

	if (!x)
		return false;
	x->request_has_body = !end;
	x->request_ended = end;
	x->request = http_head_copy(&x->arena, head);
	if (unlikely(why != HTTP_REFUSE_OK))
		x->refusal = (u8)why;
	else if (unlikely(!x->request))
		x->refusal = HTTP_REFUSE_HEAD_TOO_LARGE;
	open_trace(x);
	run(x);
	return true;
}

bool exchange_begin_http(
	struct client *client, struct stream *down, struct http_head *head, bool end)
{
	return begin_http(client, down, head, end, HTTP_REFUSE_OK);
}

bool exchange_begin_unwanted(struct client *client, struct stream *down, struct http_head *head,
	bool end, enum http_refusal why)
{
	return begin_http(client, down, head, end, why);
}

bool exchange_begin_refused(struct client *client, struct stream *down, enum http_refusal why)
{
	struct exchange *x = exchange_new(client, down);

	if (!x)
		return false;
	x->refusal = (u8)why;
	open_trace(x);
	run(x);
	return true;
}

bool exchange_begin_tcp(struct client *client, struct stream *down)
{
	struct exchange *x = exchange_new(client, down);

	if (!x)
		return false;
	x->tcp = true;
	x->pool = x->frontend->pool;
	x->step = STEP_PICK;
	open_trace(x);
	run(x);
	return true;
}

static struct exchange *new_tls(struct client *client, struct stream *down, struct str server_name)
{
	struct exchange *x = exchange_new(client, down);
	char *name;

	if (!x)
		return NULL;
	x->tcp = true;
	x->step = STEP_PICK;
	name = server_name.len ? arena_alloc(&x->arena, server_name.len) : NULL;
	if (name) {
		memcpy(name, server_name.ptr, server_name.len);
		x->server_name = str_make(name, server_name.len);
	}
	return x;
}

bool exchange_begin_tls(struct client *client, struct stream *down, const struct route *route,
	struct pool *pool, struct str server_name)
{
	struct exchange *x = new_tls(client, down, server_name);

	if (!x)
		return false;
	x->route = route;
	x->pool = pool;
	open_trace(x);
	run(x);
	return true;
}

bool exchange_tell_end(
	struct client *client, struct stream *down, enum outcome outcome, struct str server_name)
{
	struct exchange *x = new_tls(client, down, server_name);

	if (!x)
		return false;
	exchange_finish(x, outcome);
	return true;
}

void exchange_abort(struct exchange *x, enum outcome outcome)
{
	exchange_finish(x, outcome);
}
