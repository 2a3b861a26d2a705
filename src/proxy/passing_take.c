// SPDX-License-Identifier: Apache-2.0
// Taking tunnels that another process has begun.
#include "proxy/exchange_parts.h"
#include "proxy/passing.h"

enum { request_id_len = 32 };

// Where the tunnel goes on, in the configuration of this process.
struct spot {
	const struct frontend *frontend;
	const struct route *route; // NULL: none took it, or it is gone
	struct backend *backend;
};

static const struct frontend *find_frontend(const struct snapshot *snapshot, struct str name)
{
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		if (snapshot->frontends[i] && str_eq(snapshot->frontends[i]->conf->name, name))
			return snapshot->frontends[i];
	return NULL;
}

static const struct route *find_route(
	const struct frontend *frontend, const struct parcel_facts *facts)
{
	for (u32 i = 0; i < frontend->route_count; i++)
		if (str_eq(frontend->routes[i].conf->name, facts->route) &&
			str_eq(frontend->routes[i].pattern, facts->pattern))
			return &frontend->routes[i];
	return NULL;
}

static struct backend *find_backend(const struct snapshot *snapshot, struct str pool, struct str id)
{
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		struct pool *found = snapshot->pools[i];

		if (!found || !str_eq(found->name, pool))
			continue;
		for (u32 j = 0; j < found->backend_count; j++)
			if (str_eq(found->backends[j].id, id))
				return &found->backends[j];
	}
	return NULL;
}

static u64 told(u64 value, u64 else_value)
{
	return value == PARCEL_UNTOLD ? else_value : value;
}

static u64 moment_us(const struct proxy *proxy, u64 age_us)
{
	u64 now_us = loop_now_us(proxy->loop);

	return age_us < now_us ? now_us - age_us : 0;
}

// ---- The request --------------------------------------------------------------------------------

static void add_field(struct http_head *head, struct str name, struct str value)
{
	struct http_field *field = &head->fields[head->field_count];
	enum http_known known = http_field_known(name.ptr, name.len);

	if (!name.len || !value.len)
		return;
	*field = (struct http_field){.name = name.ptr,
		.name_len = (u16)name.len,
		.value = value.ptr,
		.value_len = (u32)value.len,
		.known = (u8)known};
	head->field_count++;
	head->known_seen |= HTTP_BIT(known);
	head->first_known[known] = (u8)head->field_count;
}

static struct str keep(struct exchange *x, struct str text)
{
	char *copy = text.len ? arena_alloc(&x->arena, text.len) : NULL;

	if (!copy)
		return STR_EMPTY;
	memcpy(copy, text.ptr, text.len);
	return str_make(copy, text.len);
}

// As much of it as is told at the end of a tunnel.
static bool take_request(struct exchange *x, const struct parcel_facts *facts)
{
	enum { fields_max = 3 };
	struct str name = x->frontend->conf->headers.request_id;
	struct http_head *head = arena_alloc(&x->arena, sizeof(*head));
	struct http_field *fields = arena_alloc(&x->arena, sizeof(*fields) * fields_max);

	if (!head || !fields)
		return false;
	http_head_init(head, fields);
	head->added_count = 0;
	head->method_text = keep(x, facts->method);
	head->method = (u8)http_method_parse(head->method_text);
	head->target = head->path = keep(x, facts->target);
	head->authority = keep(x, facts->host);
	head->version_minor = told(facts->version_minor, 1) != 0;
	add_field(head, STR("user-agent"), keep(x, facts->user_agent));
	add_field(head, STR("referer"), keep(x, facts->referer));
	memset(x->request_id, '0', request_id_len);
	if (facts->request_id.len == request_id_len) {
		memcpy(x->request_id, facts->request_id.ptr, request_id_len);
	} else if (facts->request_id.len && name.len) { // the client's own
		add_field(head, name, keep(x, facts->request_id));
		x->keep_request_id = true;
	}
	x->request = head;
	return true;
}

// ---- The exchange -------------------------------------------------------------------------------

static void take_times(struct exchange *x, const struct parcel_facts *facts)
{
	struct proxy *proxy = x->proxy;
	u64 now_ms = loop_now_ms(proxy->loop), silent_ms = told(facts->silent_ms, 0);

	x->active_ms = silent_ms < now_ms ? now_ms - silent_ms : 0;
	x->began_us = moment_us(proxy, told(facts->began_us, 0));
	x->headed_us = moment_us(proxy, told(facts->headed_us, 0));
	x->attempt->leased_us = moment_us(proxy, told(facts->leased_us, UINT64_MAX));
	x->attempt->sent_us = moment_us(proxy, told(facts->sent_us, 0));
	x->answered_us = moment_us(proxy, told(facts->answered_us, UINT64_MAX));
	x->headed_wall_ms =
		(i64)MIN(told(facts->headed_wall_ms, (u64)x->headed_wall_ms), (u64)INT64_MAX);
}

// Spans go on where this process records any.
static void take_trace(struct exchange *x, const struct parcel_facts *facts)
{
	struct tracing *tracing = &x->tracing;

	if (facts->trace_high == PARCEL_UNTOLD || facts->trace_low == PARCEL_UNTOLD)
		return;
	tracing->id_at = NULL;
	tracing->lines = STR_EMPTY;
	tracing->sends = 1;
	tracing->remote_id = told(facts->span_parent, 0);
	tracing->context = (struct trace_context){.trace_id = {facts->trace_high, facts->trace_low},
		.parent_id = told(facts->span, tracing->remote_id),
		.flags = (u8)told(facts->trace_flags, 0)};
	x->is_traced = true;
	x->is_recorded = x->proxy->spans && facts->span_try != PARCEL_UNTOLD;
	x->attempt->span_id = x->is_recorded ? facts->span_try : 0;
	x->attempt->resends = (u8)told(facts->resends, 0);
	x->attempt->is_hedge = false;
}

static bool take_exchange(
	struct exchange *x, const struct spot *at, const struct parcel_facts *facts)
{
	struct backend *backend = at->backend;

	x->tcp = told(facts->tcp, 0) != 0;
	x->step = STEP_TUNNEL;
	x->route = at->route;
	x->pool = backend->pool;
	x->backend = x->asked = backend;
	x->status = (u16)told(facts->status, 0);
	x->attempts = (u8)told(facts->tries, 1);
	x->answer_begun = x->request_ended = x->replay_lost = true;
	x->server_name = keep(x, facts->server_name);
	take_times(x, facts);
	take_trace(x, facts);
	if (backend->pool->conf->limits.requests)
		x->has_place = cap_take(backend->pool->requests, 0);
	pick_take(&x->proxy->upstream, backend, &x->attempt->pick);
	exchange_note_tunnel(x);
	return x->tcp || take_request(x, facts);
}

// In blocks, since the text is the parcel's.
static bool take_bytes(struct half *half, const struct text *bytes)
{
	struct block_pool *pool = half->target->session->pool;

	for (size_t at = 0; at < bytes->len;) {
		size_t len = MIN(bytes->len - at, (size_t)BLOCK_BYTES);
		struct block *block = block_get_sized(pool, len);

		if (!block)
			return false;
		memcpy(block->data, bytes->data + at, len);
		block->used = block->size;
		half_left(half, (struct slice){.block = block, .ptr = block->data, .len = len});
		at += len;
	}
	return true;
}

static bool take_halves(
	struct exchange *x, const struct parcel *parcel, const struct parcel_facts *facts)
{
	struct stream *stream = x->attempt->lease.stream;

	stream->events = &exchange_up_events;
	stream->owner = x->attempt;
	half_take_over(&x->up, x->down, stream, told(facts->bytes_up, 0));
	half_take_over(&x->answer, stream, x->down, told(facts->bytes_down, 0));
	return take_bytes(&x->up, &parcel->up) && take_bytes(&x->answer, &parcel->down);
}

static void start(struct exchange *x, const struct parcel_facts *facts)
{
	struct conn *client = &x->client->conn, *backend = &x->attempt->lease.link->conn;
	bool up_is_over = told(facts->ended_up, 0) != 0;
	bool answer_is_over = !up_is_over && told(facts->ended_down, 0) != 0;

	if (up_is_over)
		raw_skip_input(&client->raw);
	if (answer_is_over)
		raw_skip_input(&backend->raw);
	half_resume(&x->up, up_is_over);
	half_resume(&x->answer, answer_is_over);
	exchange_set_deadline(x);
	conn_start(client);
	conn_start(backend);
}

// Of what begins to be taken and cannot be: nobody is told, since it goes on where it was.
static void give_up(struct client *client, struct exchange *x)
{
	conn_close(&client->conn);
	if (!x)
		return;
	if (x->attempt->lease.link)
		conn_close(&x->attempt->lease.link->conn);
	x->is_given = true;
	exchange_finish(x, OUTCOME_TUNNEL_CLOSED);
}

static const struct lease_events no_events;

static const char *take_at(struct proxy *proxy, const struct spot *at, struct parcel *parcel,
	const struct parcel_facts *facts)
{
	struct addr addr = {.family = ADDR_UNIX, .path = ""};
	struct client *client;
	struct exchange *x;

	if (facts->client.len && addr_parse_ip(facts->client, &addr) != 0)
		return "the client's address makes no sense";
	addr.port = (u16)told(facts->client_port, 0);
	client = front_take(proxy, at->frontend, parcel->client, &addr);
	if (!client)
		return "there is no room for its client";
	parcel->client = -1;
	client->requests = (u32)told(facts->requests, 0);
	client->opened_s -= (u32)MIN(told(facts->opened_s, 0), (u64)client->opened_s);
	x = exchange_new(client, &client->conn.raw.stream);
	if (x && !take_exchange(x, at, facts)) {
		give_up(client, x);
		return "there is no memory for its request";
	}
	if (!x || !lease_take_raw(&proxy->upstream, &x->attempt->lease, at->backend,
			  parcel->backend, &no_events)) {
		give_up(client, x);
		return "there is no room for it";
	}
	parcel->backend = -1;
	x->attempt->lease.reused = told(facts->reused, 0) != 0;
	if (!take_halves(x, parcel, facts)) {
		give_up(client, x);
		return "there is no memory for its bytes";
	}
	if (!parcel_claim(parcel->claim)) {
		give_up(client, x);
		return "it was taken back";
	}
	start(x, facts);
	metrics_inc(proxy->metrics, M_TUNNELS_TAKEN);
	return NULL;
}

const char *passing_take(struct proxy *proxy, struct parcel *parcel)
{
	struct parcel_facts facts;
	struct spot at;

	if (proxy->is_aborted)
		return "it is ending";
	if (parcel->client < 0 || parcel->backend < 0 || parcel->claim < 0 ||
		parcel_read(str_make(parcel->words.data, parcel->words.len), &facts) != 0)
		return "it makes no sense";
	at.frontend = find_frontend(proxy->snapshot, facts.frontend);
	at.backend = find_backend(proxy->snapshot, facts.pool, facts.backend);
	if (!at.frontend || !at.backend)
		return "its frontend or its backend is not in this configuration";
	at.route = facts.route.len ? find_route(at.frontend, &facts) : NULL;
	return take_at(proxy, &at, parcel, &facts);
}
