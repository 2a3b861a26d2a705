// SPDX-License-Identifier: Apache-2.0
// The last step of an exchange: what is written about it, and giving everything back.
#include "net/tls.h"
#include "base/hash.h"
#include "proxy/exchange_parts.h"
#include "proxy/passing.h"
#include "proxy/request.h"

enum { fields_max = 12 };

_Static_assert((int)STATS_NO_TIME == (int)ACCESS_NO_TIME, "one word for what was not reached");

static u32 span_us(u64 from_us, u64 to_us)
{
	return from_us && to_us >= from_us ? (u32)MIN(to_us - from_us, (u64)UINT32_MAX - 1)
					   : ACCESS_NO_TIME;
}

static u32 first_byte_us_of(const struct exchange *x)
{
	return span_us(x->attempt->sent_us, x->answered_us);
}

// Of a connection that was reused nothing was waited for.
static u32 connect_us_of(const struct exchange *x)
{
	const struct attempt *attempt = x->attempt;

	return attempt->lease.reused ? ACCESS_NO_TIME
				     : span_us(attempt->leased_us, attempt->sent_us);
}

static struct str field_text(const struct http_head *head, enum http_known known)
{
	const struct http_field *field = head ? http_head_find(head, known) : NULL;

	return field ? str_make(field->value, field->value_len) : STR_EMPTY;
}

// As told by a trusted proxy in any spelling; the line has one.
static struct str client_text(struct exchange *x, char buffer[static ADDR_TEXT_MAX])
{
	struct str text = request_client_ip(x);
	struct addr addr;

	if (likely(text.ptr == x->client->ip) || addr_parse_ip(text, &addr) != 0)
		return str_make(x->client->ip, x->client->ip_len);
	return str_make(buffer, addr_format_ip(&addr, buffer));
}

// All lines of a trace are there or none; of a request that belongs to none it is its id that
// decides, on every instance the same.
static u64 chance_of(struct exchange *x)
{
	u64 trace_id[2], span_id;

	if (tracing_ids(x, trace_id, &span_id))
		return trace_context_chance(trace_id);
	return (x->request ? hash_str(request_id(x), 0) : rng_u64(&x->proxy->rng)) >>
	       (64 - TRACE_CHANCE_BITS);
}

static bool is_wanted(struct exchange *x)
{
	const struct access_config *config = &x->proxy->access;
	enum outcome outcome = (enum outcome)x->outcome;

	return access_passes(config, x->status, outcome, exchange_now_us(x) - x->began_us) &&
	       (access_is_error(x->status, outcome) || chance_of(x) < config->sampled_below);
}

static void add_names(const struct exchange *x, struct access_entry *entry)
{
	const struct snapshot *snapshot = x->hold->snapshot;

	entry->frontend = x->frontend->conf->name;
	entry->frontend_json = x->frontend->access_json;
	if (x->route) {
		entry->route = x->route->conf->name;
		entry->route_json = x->route->access_json;
	}
	if (x->pool)
		entry->pool = x->pool->name;
	if (x->backend) {
		entry->backend = x->backend->id;
		if (snapshot->access_json)
			entry->backend_json = snapshot->access_json[x->backend->cell];
	}
}

static void add_request(struct exchange *x, struct access_entry *entry)
{
	const struct http_head *head = x->request;

	entry->protocol = !head || head->version_minor ? ACCESS_HTTP_1_1 : ACCESS_HTTP_1_0;
	if (unlikely(head && head->is_h2))
		entry->protocol = ACCESS_HTTP_2;
	if (!head)
		return;
	entry->method = head->method_text;
	entry->target = head->target;
	entry->host = head->authority;
	entry->user_agent = field_text(head, HTTP_F_USER_AGENT);
	entry->referer = field_text(head, HTTP_F_REFERER);
	entry->request_id = request_id(x);
	if (x->is_traced || (head->known_seen & HTTP_BIT(HTTP_F_TRACEPARENT)))
		(void)tracing_ids(x, entry->trace_id, &entry->span_id);
}

// "1.3" of "TLSv1.3", as both conventions for logs have it.
static void add_tls(const struct conn *conn, struct access_entry *entry)
{
	const struct tls *tls = conn_tls(conn);

	entry->tls_version = tls_version(tls);
	(void)str_cut(&entry->tls_version, 'v');
	entry->tls_cipher = tls_cipher(tls);
	entry->tls_name = tls_sni(tls);
}

static void write_access(struct exchange *x, u64 total_us)
{
	const struct attempt *attempt = x->attempt;
	u32 head_us = span_us(x->began_us, x->headed_us);
	char client[ADDR_TEXT_MAX];
	struct access_entry entry = {
		.wall_ms = x->headed_wall_ms - head_us / 1000,
		.client = client_text(x, client),
		.client_port = x->client->trusted ? 0 : x->client->port,
		.bytes_in = x->up.total,
		.bytes_out = x->answer.total,
		.total_us = total_us,
		.head_us = head_us,
		.queue_us = span_us(x->headed_us, attempt->leased_us),
		.connect_us = attempt->lease.reused ? 0 : connect_us_of(x),
		.first_byte_us = first_byte_us_of(x),
		.connections = x->proxy->client_count,
		.status = x->status,
		.tries = x->attempts,
		.outcome = x->outcome,
		.reused = attempt->lease.reused,
	};

	add_names(x, &entry);
	if (!x->tcp)
		add_request(x, &entry);
	if (unlikely(x->client->conn.is_secure))
		add_tls(&x->client->conn, &entry);
	access_write(x->proxy->log, &x->proxy->access, &entry);
}

// A status of 500 or above, or no whole answer by a backend's or our doing.
static bool is_error(const struct exchange *x)
{
	const struct outcome_info *info = outcome_info((enum outcome)x->outcome);

	if (x->status >= 500)
		return true;
	return info->origin >= ORIGIN_BALANCER && (info->status == 0 || info->status >= 500);
}

// A backend's whole answer is the client's, without anything that had to be waited for.
static inline bool is_usual(const struct exchange *x)
{
	return likely(exchange_is_whole(x)) && likely(x->status < 500) &&
	       likely(x->attempt->lease.reused) && likely(!x->may_wait);
}

// A tunnel may be open for days: what it took is its answer.
static u64 timed_us(const struct exchange *x, u64 total_us)
{
	return x->tunnelling && !x->tcp ? x->answered_us - x->began_us : total_us;
}

static __attribute__((noinline)) void note_unusual(struct exchange *x, u64 total_us)
{
	const struct backend *backend = x->asked;
	u64 now_us = exchange_now_us(x), sent_us = x->attempt->sent_us;
	u64 waited_us = x->waited_us ? x->waited_us : now_us - x->queued_us;
	struct stats_entry entry = {
		.frontend = x->frontend,
		.pool = backend ? backend->pool : x->pool,
		.backend = backend,
		.bytes_in = x->up.total,
		.bytes_out = x->answer.total,
		.total_us = timed_us(x, total_us),
		.spent_us = now_us - sent_us,
		.queue_us = x->may_wait ? (u32)MIN(waited_us, (u64)STATS_NO_TIME - 1)
					: (u32)STATS_NO_TIME,
		.connect_us = connect_us_of(x),
		.first_byte_us = first_byte_us_of(x),
		.status = x->status,
		.method = x->request ? x->request->method : (u8)HTTP_OTHER_METHOD,
		.tcp = x->tcp,
		.was_sent = sent_us != 0,
		.error = is_error(x),
	};

	if (x->tunnelling && !x->tcp) {
		entry.upgraded = true;
		entry.spent_us = x->answered_us - sent_us;
	}
	stats_note(x->proxy->stats, &entry);
}

// Whoever looks at a distribution of times finds a request of it, among those that a collector has.
static cold void note_trace(struct exchange *x, u64 total_us)
{
	struct stats_entry entry = {.frontend = x->frontend,
		.pool = x->asked ? x->asked->pool : x->pool,
		.backend = x->asked,
		.total_us = timed_us(x, total_us)};
	i64 since_ms = (i64)(exchange_now_us(x) - x->headed_us) / 1000;

	stats_note_trace(x->proxy->stats, &entry, (const u8 *)x->tracing.context.trace_id,
		x->headed_wall_ms + since_ms);
}

static inline void note_stats(struct exchange *x, u64 total_us)
{
	u64 sent_us = x->attempt->sent_us;
	struct stats_entry entry;

	if (!is_usual(x)) {
		note_unusual(x, total_us);
		return;
	}
	entry.frontend = x->frontend;
	entry.backend = x->asked;
	entry.bytes_in = x->up.total;
	entry.bytes_out = x->answer.total;
	entry.total_us = total_us;
	entry.spent_us = exchange_now_us(x) - sent_us;
	entry.first_byte_us = (u32)(x->answered_us - sent_us);
	entry.status = x->status;
	entry.method = x->request->method;
	stats_note_usual(x->proxy->stats, &entry);
}

// Why no other attempt followed is told where that decided it. The query may be a secret.
static size_t add_fields(struct exchange *x, const struct addr *peer, const struct addr *client,
	struct log_field fields[static fields_max])
{
	const struct outcome_info *info = outcome_info((enum outcome)x->outcome);
	struct str target = x->request ? x->request->path : STR_EMPTY;
	size_t count = 0;

	target.len = str_find(target, '?');
	fields[count++] = LOG_STR("outcome", info->name);
	fields[count++] = LOG_STR("cause", info->cause);
	if (x->no_retry && x->outcome == x->failure)
		fields[count++] =
			LOG_CSTR("no_retry", retry_reason_text((enum retry_reason)x->no_retry));
	fields[count++] = LOG_U64("status", x->status);
	fields[count++] = LOG_STR("pool", x->pool ? x->pool->name : STR_EMPTY);
	fields[count++] = LOG_STR("backend", x->backend ? x->backend->id : STR_EMPTY);
	fields[count++] = LOG_STR("target", target);
	fields[count++] = LOG_STR("request_id", x->request ? request_id(x) : STR_EMPTY);
	fields[count++] = LOG_STR("cure", info->cure);
	fields[count++] = LOG_SPAN("handle_connection");
	fields[count++] = LOG_ADDR("peer_address", peer);
	if (unlikely(x->client->has_origin) && front_origin(x->client)->is_told)
		fields[count++] = LOG_ADDR("client_address", client);
	return count;
}

static void log_end(struct exchange *x)
{
	enum outcome outcome = (enum outcome)x->outcome;
	struct log_field fields[fields_max];
	struct addr peer, client;

	if (!faults_is_news(&x->proxy->faults, outcome, x->tcp))
		return;
	front_peer(x->client, &peer);
	front_client(x->client, &client);
	log_write(x->proxy->log, faults_level(outcome, x->tcp), __FILE__, faults_message(x->tcp),
		fields, add_fields(x, &peer, &client, fields));
}

// What an attempt that came as far as an answer teaches by its end.
static void note_end(struct exchange *x)
{
	struct attempt *attempt = x->attempt;

	if (!attempt->pick.is_begun)
		return;
	if (exchange_is_whole(x))
		pick_note(exchange_upstream(x), &attempt->pick, MISS_NONE);
	else if (x->outcome == OUTCOME_RESPONSE_CUT)
		pick_note(exchange_upstream(x), &attempt->pick, MISS_RESET);
}

static inlined void give_back(struct exchange *x)
{
	attempt_tried_last(x, x->attempt, x->outcome, x->answer_begun ? x->status : 0);
	if (unlikely(x->may_wait))
		queue_leave(exchange_upstream(x), &x->waiter);
	if (unlikely(x->second))
		attempt_drop_second(x, PICK_VOID);
	attempt_end(x, x->attempt, (exchange_is_whole(x) && x->request_ended) || x->tunnel_whole);
	if (unlikely(x->has_place))
		attempt_give_place(x);
	// A stream whose answer is complete and whose request is too is already over; resetting it
	// then does nothing. Anything else is cut so that the client can see it.
	if (unlikely(!x->down))
		return;
	if (likely(!x->tunnel_whole))
		x->down->ops->reset(x->down);
	else
		x->down->ops->release(x->down);
}

void exchange_free(struct task *task)
{
	struct exchange *x = container_of(task, struct exchange, free_task);

	bytes_clear(&x->replay);
	arena_done(&x->arena);
	proxy_let_go(x->proxy, x->hold);
	if (unlikely(x->pool_hold))
		proxy_let_go(x->proxy, x->pool_hold);
	slab_put(&x->proxy->exchanges, x);
}

// Another process goes on with it.
static cold void end_given(struct exchange *x)
{
	x->is_recorded = false; // the spans are that one's to end
	give_back(x);
	front_exchange_done(x->client, x);
	loop_defer(x->proxy->loop, &x->free_task);
}

static void leave_tunnels(struct exchange *x)
{
	list_remove(&x->tunnel);
	metrics_dec(x->proxy->metrics, M_TUNNELS_ACTIVE);
	if (x->passing)
		passing_forget(x);
}

enum step step_done(struct exchange *x)
{
	struct proxy *proxy = x->proxy;
	u64 total_us = exchange_now_us(x) - x->began_us;

	x->over = true;
	loop_timer_cancel(proxy->loop, &x->timer);
	if (unlikely(x->may_hedge))
		loop_timer_cancel(proxy->loop, &x->hedge_timer);
	half_stop(&x->up);
	half_stop(&x->answer);
	if (unlikely(x->tunnelling)) {
		leave_tunnels(x);
		if (x->is_given) {
			metrics_dec(proxy->metrics, M_REQUESTS_ACTIVE);
			end_given(x);
			return STEP_STAY;
		}
	}
	trace_add(proxy->trace, TRACE_DONE, x->outcome, x->id, x->status, total_us);
	metrics_bump(&proxy->metrics->outcomes[x->outcome], 1);
	metrics_dec(proxy->metrics, M_REQUESTS_ACTIVE);
	if (x->outcome != OUTCOME_OK)
		log_end(x);
	if (likely(proxy->stats))
		note_stats(x, total_us);
	if (access_is_on(&proxy->access) && (likely(!proxy->access.is_thinned) || is_wanted(x)))
		write_access(x, total_us);
	if (proxy->records)
		records_add(proxy->records, x);
	note_end(x);
	give_back(x);
	if (unlikely(x->is_recorded)) {
		if (proxy->stats)
			note_trace(x, total_us);
		tracing_end(x);
	}
	front_exchange_done(x->client, x);
	loop_defer(proxy->loop, &x->free_task);
	return STEP_STAY;
}
