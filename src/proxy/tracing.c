// SPDX-License-Identifier: Apache-2.0
#include "proxy/tracing.h"

#include "base/hex.h"
#include "proxy/exchange_parts.h"
#include "proxy/request.h"

static const struct str parent_name = STR("traceparent: ");
static const struct str state_name = STR("tracestate: ");
static const struct str line_end = STR("\r\n");

u64 tracing_threshold(u32 part)
{
	return (((u64)part << 32) / CONF_WHOLE) << (TRACE_CHANCE_BITS - 32);
}

void tracing_rules_init(struct tracing_rules *rules, const struct conf_tracing *conf)
{
	*rules = (struct tracing_rules){.sampled_below = tracing_threshold(conf->sample),
		.parent_decides = conf->sampler == CONF_SAMPLER_PARENT,
		.trusts_all = conf->trust == CONF_TRUST_ALL};
}

// ---- Which trace --------------------------------------------------------------------------------

static u64 new_id(struct exchange *x)
{
	u64 id;

	do
		id = rng_u64(&x->proxy->rng);
	while (id == 0);
	return id;
}

// What the client says of its trace, when that can be understood.
static bool read_parent(const struct http_head *head, struct trace_context *ret_context)
{
	const struct http_field *field = http_head_find(head, HTTP_F_TRACEPARENT);

	if (!field || (head->known_repeated & HTTP_BIT(HTTP_F_TRACEPARENT)))
		return false;
	return trace_context_parse(str_make(field->value, field->value_len), ret_context);
}

static bool is_believed(const struct exchange *x)
{
	return x->proxy->tracing.trusts_all || x->client->trusted;
}

static bool is_sampled(const struct exchange *x, bool has_parent)
{
	const struct tracing_rules *rules = &x->proxy->tracing;
	const struct trace_context *context = &x->tracing.context;

	if (has_parent && rules->parent_decides)
		return context->flags & TRACE_SAMPLED;
	return trace_context_chance(context->trace_id) < rules->sampled_below;
}

// ---- What backends are told ---------------------------------------------------------------------

// All members of all fields. False: one of them is malformed.
static bool read_state(const struct http_head *head, struct trace_state *state)
{
	for (u32 i = head->first_known[HTTP_F_TRACESTATE] - 1u; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->known == HTTP_F_TRACESTATE &&
			!trace_state_add(state, str_make(field->value, field->value_len)))
			return false;
	}
	return true;
}

// The state goes on as it came where that is possible; else what may go on of it is written to
// `text`. Gives its length.
static size_t pass_state(struct exchange *x, bool has_parent, struct trace_state *state)
{
	struct http_head *head = x->request;
	bool is_good;

	if (!head->first_known[HTTP_F_TRACESTATE])
		return 0;
	is_good = has_parent && read_state(head, state);
	if (is_good && state->bytes <= TRACE_STATE_BYTES)
		return 0;
	request_take_out(head, HTTP_F_TRACESTATE);
	if (!is_good)
		return 0;
	trace_state_shorten(state);
	return state->bytes;
}

static char *put(char *at, struct str text)
{
	memcpy(at, text.ptr, text.len);
	return at + text.len;
}

static void write_lines(struct exchange *x, bool has_parent)
{
	struct tracing *tracing = &x->tracing;
	struct trace_state state = {0};
	size_t state_len = pass_state(x, has_parent, &state);
	char *start = arena_alloc(&x->arena, parent_name.len + TRACE_PARENT_BYTES + state_name.len +
						     state_len + 2 * line_end.len);
	char *at = start;

	request_take_out(x->request, HTTP_F_TRACEPARENT);
	if (!start) // what the client has said is wrong now, so nothing is said
		return;
	at = put(at, parent_name);
	tracing->id_at = at + TRACE_PARENT_ID_AT;
	trace_context_write(&tracing->context, at);
	at = put(at + TRACE_PARENT_BYTES, line_end);
	if (state_len)
		at = put(trace_state_write(&state, put(at, state_name)), line_end);
	tracing->lines = str_make(start, (size_t)(at - start));
}

void tracing_begin(struct exchange *x)
{
	struct tracing *tracing = &x->tracing;
	bool has_parent =
		x->request && is_believed(x) && read_parent(x->request, &tracing->context);

	x->is_traced = true;
	tracing->id_at = NULL;
	tracing->lines = STR_EMPTY;
	tracing->sends = 0;
	tracing->remote_id = has_parent ? tracing->context.parent_id : 0;
	if (!has_parent)
		tracing->context = (struct trace_context){
			.trace_id = {new_id(x), new_id(x)}, .flags = TRACE_RANDOM};
	x->is_recorded = is_sampled(x, has_parent);
	// Who does not record stands aside: the next span hangs below the last one that there is.
	if (has_parent && !x->is_recorded && !(tracing->context.flags & TRACE_SAMPLED))
		return;
	tracing->context.parent_id = new_id(x);
	tracing->context.flags = (u8)((tracing->context.flags & ~TRACE_SAMPLED) |
				      (x->is_recorded ? TRACE_SAMPLED : 0));
	if (x->request)
		write_lines(x, has_parent);
}

// ---- Spans --------------------------------------------------------------------------------------

static struct span *open_span(struct exchange *x)
{
	struct span *span = span_ring_open(x->proxy->spans);

	if (!span)
		metrics_inc(x->proxy->metrics, M_SPANS_DROPPED);
	return span;
}

static i64 wall_us(const struct exchange *x, u64 at_us)
{
	return x->headed_wall_ms * 1000 + (i64)(at_us - x->headed_us);
}

static struct str path_of(const struct http_head *head)
{
	return str_make(head->path.ptr, str_find(head->path, '?'));
}

static u32 between(u64 from_us, u64 to_us)
{
	return from_us && to_us >= from_us ? (u32)MIN(to_us - from_us, (u64)UINT32_MAX - 1)
					   : UINT32_MAX;
}

static void fill(struct exchange *x, struct span *span, enum span_kind kind, u64 begun_us)
{
	const struct http_head *head = x->request;
	const struct tracing *tracing = &x->tracing;

	*span = (struct span){
		.trace_id = {tracing->context.trace_id[0], tracing->context.trace_id[1]},
		.begun_us = wall_us(x, begun_us),
		.took_us = exchange_now_us(x) - begun_us,
		.frontend = x->frontend,
		.route = x->route,
		.kind = (u8)kind,
		.flags = tracing->context.flags,
		.method = head ? head->method : (u8)HTTP_OTHER_METHOD,
		.version_minor = head ? head->version_minor : 1,
		.is_h2 = head && head->is_h2};
	if (head)
		span_put(span, SPAN_PATH, path_of(head));
}

void tracing_try(struct exchange *x, struct attempt *attempt)
{
	attempt->span_id = new_id(x);
	attempt->is_hedge = attempt == x->second;
	attempt->resends = x->tracing.sends;
	if (x->tracing.sends < UINT8_MAX)
		x->tracing.sends++;
}

void tracing_send(struct exchange *x, const struct attempt *attempt)
{
	if (x->tracing.id_at)
		hex_put_8(x->tracing.id_at, attempt->span_id);
}

// What ended in a way of its own has the outcome that its request would have had; an answer that
// was not good enough has a status, which says why.
static u8 outcome_of_end(const struct exchange *x, u8 ended)
{
	switch (ended) {
	case RECORD_END_SLOWER:
	case RECORD_END_DROPPED:
		return SPAN_OVERTAKEN;
	case RECORD_END_STATUS:
		return OUTCOME_OK;
	case RECORD_END_STALE:
	case RECORD_END_LATE:
		return x->failure;
	default:
		return ended;
	}
}

void tracing_tried(struct exchange *x, struct attempt *attempt, u8 ended, u16 status)
{
	u64 answered_us = x->answer_begun ? x->answered_us : exchange_now_us(x);
	u64 id = attempt->span_id;
	struct span *span;

	attempt->span_id = 0;
	if (id == 0)
		return; // it had not begun, or was told of
	span = open_span(x);
	if (!span)
		return;
	fill(x, span, SPAN_CLIENT, attempt->leased_us);
	span->id = id;
	span->parent_id = x->tracing.context.parent_id;
	span->backend = attempt->pick.backend;
	span->connect_us =
		attempt->lease.reused ? 0 : between(attempt->leased_us, attempt->sent_us);
	span->first_byte_us = status ? between(attempt->sent_us, answered_us) : UINT32_MAX;
	span->status = status;
	span->outcome = outcome_of_end(x, ended);
	span->resends = attempt->resends;
	span->is_hedge = attempt->is_hedge;
	span->is_reused = attempt->lease.reused;
	if (span->method == HTTP_OTHER_METHOD)
		span_put(span, SPAN_METHOD, x->request->method_text);
	span_ring_commit(x->proxy->spans);
}

static void put_client(struct exchange *x, struct span *span)
{
	struct str peer = str_make(x->client->ip, x->client->ip_len);
	struct str client = request_client_ip(x);

	span_put(span, SPAN_CLIENT_IP, client);
	span_put(span, SPAN_PEER, peer);
	span->peer_port = x->client->port;
	span->client_port = str_eq(client, peer) ? x->client->port : 0;
}

void tracing_end(struct exchange *x)
{
	const struct http_head *head = x->request;
	struct span *span = open_span(x);

	if (!span)
		return;
	fill(x, span, SPAN_SERVER, x->began_us);
	span->id = x->tracing.context.parent_id;
	span->parent_id = x->tracing.remote_id;
	span->parent_is_remote = true;
	span->backend = x->backend;
	span->bytes_in = x->up.total;
	span->bytes_out = x->answer.total;
	span->status = x->status;
	span->outcome = x->outcome;
	if (head) {
		const struct http_field *agent = http_head_find(head, HTTP_F_USER_AGENT);

		span_put(span, SPAN_HOST, head->authority);
		if (agent)
			span_put(span, SPAN_AGENT, str_make(agent->value, agent->value_len));
	}
	put_client(x, span);
	if (head) {
		span_put(span, SPAN_REQUEST_ID, request_id(x));
		if (head->method == HTTP_OTHER_METHOD)
			span_put(span, SPAN_METHOD, head->method_text);
	}
	span_ring_commit(x->proxy->spans);
}

// ---- Logs ---------------------------------------------------------------------------------------

bool tracing_ids(struct exchange *x, u64 ret_trace_id[static 2], u64 *ret_span_id)
{
	struct trace_context passing;
	const struct trace_context *context = &x->tracing.context;

	if (!x->is_traced) {
		if (!x->request || !read_parent(x->request, &passing))
			return false;
		context = &passing;
	}
	ret_trace_id[0] = context->trace_id[0];
	ret_trace_id[1] = context->trace_id[1];
	*ret_span_id =
		x->is_traced && context->parent_id != x->tracing.remote_id ? context->parent_id : 0;
	return true;
}
