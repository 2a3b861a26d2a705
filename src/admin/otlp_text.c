// SPDX-License-Identifier: Apache-2.0
#include "admin/otlp_text.h"

#include "base/hex.h"

enum {
	status_error = 2, // Status.StatusCode
	kind_server = 2,  // Span.SpanKind
	kind_client = 3,
	remote_known = 0x100, // Span.flags: it is known whether the parent is in another process
	remote = 0x200,
	number_bytes_max = 24,
};

// ---- Attributes ---------------------------------------------------------------------------------

static void begin_attribute(struct json *json, const char *key, const char *type)
{
	json_object_begin(json);
	json_key_cstr(json, "key", key);
	json_key(json, "value");
	json_object_begin(json);
	json_key(json, type);
}

static void end_attribute(struct json *json)
{
	json_object_end(json);
	json_object_end(json);
}

static void add_str(struct json *json, const char *key, struct str value)
{
	if (value.len == 0)
		return;
	begin_attribute(json, key, "stringValue");
	json_str(json, value);
	end_attribute(json);
}

// 64 bits are a text in this encoding.
static void put_u64(struct json *json, u64 value)
{
	char digits[number_bytes_max];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	json_str(json, str_make(digits + at, sizeof(digits) - at));
}

static void add_u64(struct json *json, const char *key, u64 value)
{
	begin_attribute(json, key, "intValue");
	put_u64(json, value);
	end_attribute(json);
}

static void add_span_us(struct json *json, const char *key, u32 span_us)
{
	if (span_us != UINT32_MAX)
		add_u64(json, key, span_us);
}

static void add_bool(struct json *json, const char *key, bool value)
{
	begin_attribute(json, key, "boolValue");
	json_bool(json, value);
	end_attribute(json);
}

static void add_hex(struct json *json, const char *key, u64 id)
{
	char text[16];

	hex_put_8(text, id);
	json_key_str(json, key, str_make(text, sizeof(text)));
}

// ---- What spans of both kinds have --------------------------------------------------------------

static struct str method_of(const struct span *span)
{
	return span->method == HTTP_OTHER_METHOD
		       ? STR("_OTHER")
		       : str_from(http_method_text((enum http_method)span->method));
}

// Whether it ended because something went wrong: its outcome's word says what. A client that went
// away is no error of this span.
static const struct outcome_info *failure_of(const struct span *span)
{
	const struct outcome_info *info;

	if (span->outcome == SPAN_OVERTAKEN)
		return NULL;
	info = outcome_info((enum outcome)span->outcome);
	return info->origin == ORIGIN_NOBODY ? NULL : info;
}

// A client's span errs from 400 on, a server's from 500 on.
static bool status_is_error(const struct span *span)
{
	return span->status >= (span->kind == SPAN_CLIENT ? 400 : 500);
}

static void add_error(struct json *json, const struct span *span)
{
	const struct outcome_info *failure = failure_of(span);
	char status[3] = {(char)('0' + span->status / 100), (char)('0' + span->status / 10 % 10),
		(char)('0' + span->status % 10)};

	if (failure)
		add_str(json, "error.type", failure->name);
	else if (status_is_error(span))
		add_str(json, "error.type", str_make(status, sizeof(status)));
}

static void put_status(struct json *json, const struct span *span)
{
	const struct outcome_info *failure = failure_of(span);
	bool ours = failure && (span->kind == SPAN_CLIENT || failure->origin != ORIGIN_CLIENT);

	if (!ours && !status_is_error(span))
		return;
	json_key(json, "status");
	json_object_begin(json);
	json_key_u64(json, "code", status_error);
	if (ours)
		json_key_str(json, "message", failure->cause);
	json_object_end(json);
}

static void add_request(struct json *json, const struct span *span)
{
	add_str(json, "http.request.method", method_of(span));
	add_str(json, "http.request.method_original", span_text(span, SPAN_METHOD));
	if (span->status)
		add_u64(json, "http.response.status_code", span->status);
	add_str(json, "network.protocol.version", span->version_minor ? STR("1.1") : STR("1.0"));
	add_error(json, span);
	if (span->backend) {
		add_str(json, "weir.pool", span->backend->pool->name);
		add_str(json, "weir.backend", span->backend->id);
	}
}

// ---- The request's span -------------------------------------------------------------------------

// "name:port" of a Host field.
static void add_host(struct json *json, struct str authority)
{
	size_t bracket = str_find(authority, ']');
	size_t from = bracket < authority.len ? bracket : 0;
	size_t colon = from + str_find(str_make(authority.ptr + from, authority.len - from), ':');
	u64 port;

	add_str(json, "server.address", str_make(authority.ptr, colon));
	if (colon < authority.len &&
		str_to_u64(str_make(authority.ptr + colon + 1, authority.len - colon - 1),
			UINT16_MAX, &port) == 0)
		add_u64(json, "server.port", port);
}

static void add_server(struct json *json, const struct span *span)
{
	const struct outcome_info *info = outcome_info((enum outcome)span->outcome);
	struct str client = span_text(span, SPAN_CLIENT_IP), peer = span_text(span, SPAN_PEER);

	add_str(json, "url.scheme", span->frontend->scheme);
	add_str(json, "url.path", span_text(span, SPAN_PATH));
	if (span->route)
		add_str(json, "http.route", span->route->pattern);
	add_host(json, span_text(span, SPAN_HOST));
	add_str(json, "client.address", client);
	if (span->client_port)
		add_u64(json, "client.port", span->client_port);
	add_str(json, "network.peer.address", peer);
	if (span->peer_port)
		add_u64(json, "network.peer.port", span->peer_port);
	add_str(json, "user_agent.original", span_text(span, SPAN_AGENT));
	add_u64(json, "http.request.body.size", span->bytes_in);
	add_u64(json, "http.response.body.size", span->bytes_out);
	add_str(json, "weir.outcome", info->name);
	add_str(json, "weir.frontend", span->frontend->conf->name);
	if (span->route)
		add_str(json, "weir.route", span->route->conf->name);
	add_str(json, "weir.request_id", span_text(span, SPAN_REQUEST_ID));
}

// ---- A try's span -------------------------------------------------------------------------------

static void add_address(struct json *json, const struct backend *backend)
{
	char text[ADDR_TEXT_MAX];
	size_t len;

	if (backend->addr.family == ADDR_UNIX) {
		add_str(json, "server.address", str_from(backend->addr.path));
		add_str(json, "network.peer.address", str_from(backend->addr.path));
		add_str(json, "network.transport", STR("unix"));
		return;
	}
	len = addr_format_ip(&backend->addr, text);
	add_str(json, "server.address", backend->name.len ? backend->name : str_make(text, len));
	add_u64(json, "server.port", backend->addr.port);
	add_str(json, "network.peer.address", str_make(text, len));
	add_u64(json, "network.peer.port", backend->addr.port);
}

// Without the query, which may be a secret.
static void add_url(struct json *json, const struct span *span)
{
	struct str path = span_text(span, SPAN_PATH);
	struct str host =
		span->backend->addr.family == ADDR_UNIX ? STR("localhost") : span->backend->address;
	char url[sizeof("http://") + ADDR_TEXT_MAX + SPAN_TEXT_BYTES + 256];
	size_t len = 7, host_len = MIN(host.len, (size_t)ADDR_TEXT_MAX + 255);

	memcpy(url, "http://", len);
	memcpy(url + len, host.ptr, host_len);
	memcpy(url + len + host_len, path.ptr, path.len);
	add_str(json, "url.full", str_make(url, len + host_len + path.len));
}

static void add_client(struct json *json, const struct span *span)
{
	if (span->backend) {
		add_url(json, span);
		add_address(json, span->backend);
	}
	if (span->resends)
		add_u64(json, "http.request.resend_count", span->resends);
	add_bool(json, "weir.connection.reused", span->is_reused);
	if (span->is_hedge)
		add_bool(json, "weir.hedge", true);
	if (span->outcome == SPAN_OVERTAKEN)
		add_bool(json, "weir.overtaken", true);
	add_span_us(json, "weir.connect_us", span->connect_us);
	add_span_us(json, "weir.first_byte_us", span->first_byte_us);
}

// ---- All of it ----------------------------------------------------------------------------------

// "GET /v1/*", or "GET"; "HTTP" where the method is none of those that are known.
static void put_name(struct json *json, const struct span *span)
{
	struct str method = span->method == HTTP_OTHER_METHOD ? STR("HTTP") : method_of(span),
		   pattern;
	char name[sizeof("OPTIONS ") + 255];
	size_t len = method.len;

	pattern = span->kind == SPAN_SERVER && span->route ? span->route->pattern : STR_EMPTY;
	memcpy(name, method.ptr, len);
	if (pattern.len) {
		name[len++] = ' ';
		pattern.len = MIN(pattern.len, sizeof(name) - len);
		memcpy(name + len, pattern.ptr, pattern.len);
		len += pattern.len;
	}
	json_key_str(json, "name", str_make(name, len));
}

static void put_nano(struct json *json, const char *key, i64 unix_us)
{
	json_key(json, key);
	put_u64(json, (u64)MAX(unix_us, 0) * 1000);
}

static void put_ids(struct json *json, const struct span *span)
{
	char trace_id[32];
	u32 flags = span->flags | remote_known;

	hex_put_16(trace_id, span->trace_id[0], span->trace_id[1]);
	json_key_str(json, "traceId", str_make(trace_id, sizeof(trace_id)));
	add_hex(json, "spanId", span->id);
	if (span->parent_id)
		add_hex(json, "parentSpanId", span->parent_id);
	if (span->parent_id && span->parent_is_remote)
		flags |= remote;
	json_key_u64(json, "flags", flags);
}

void otlp_text_span(struct json *json, const struct span *span)
{
	json_object_begin(json);
	put_ids(json, span);
	put_name(json, span);
	json_key_u64(json, "kind", span->kind == SPAN_SERVER ? kind_server : kind_client);
	put_nano(json, "startTimeUnixNano", span->begun_us);
	put_nano(json, "endTimeUnixNano", span->begun_us + (i64)span->took_us);
	json_key(json, "attributes");
	json_array_begin(json);
	add_request(json, span);
	if (span->kind == SPAN_SERVER)
		add_server(json, span);
	else
		add_client(json, span);
	json_array_end(json);
	put_status(json, span);
	json_object_end(json);
}

static bool is_given(const struct conf_tracing *tracing, const char *key)
{
	for (u32 i = 0; i < tracing->attribute_count; i++)
		if (str_eq(tracing->attributes[i].key, str_from(key)))
			return true;
	return false;
}

static void add_ours(
	struct json *json, const struct conf_tracing *tracing, const char *key, struct str value)
{
	if (!is_given(tracing, key))
		add_str(json, key, value);
}

static void add_given(struct json *json, const struct conf_attribute *attribute)
{
	json_object_begin(json);
	json_key_str(json, "key", attribute->key);
	json_key(json, "value");
	json_object_begin(json);
	json_key_str(json, "stringValue", attribute->value);
	json_object_end(json);
	json_object_end(json);
}

static void put_resource(
	struct json *json, const struct conf_tracing *tracing, struct str host, struct str instance)
{
	bool is_named = tracing->service.len > 0;

	json_key(json, "resource");
	json_object_begin(json);
	json_key(json, "attributes");
	json_array_begin(json);
	if (is_named)
		add_str(json, "service.name", tracing->service);
	else
		add_ours(json, tracing, "service.name", STR("weir"));
	add_ours(json, tracing, "service.version", STR(WEIR_VERSION));
	add_ours(json, tracing, "service.instance.id", instance);
	add_ours(json, tracing, "host.name", host);
	for (u32 i = 0; i < tracing->attribute_count; i++)
		if (!is_named || !str_eq(tracing->attributes[i].key, STR("service.name")))
			add_given(json, &tracing->attributes[i]);
	json_array_end(json);
	json_object_end(json);
}

void otlp_text_begin(
	struct json *json, const struct conf_tracing *tracing, struct str host, struct str instance)
{
	json_object_begin(json);
	json_key(json, "resourceSpans");
	json_array_begin(json);
	json_object_begin(json);
	put_resource(json, tracing, host, instance);
	json_key(json, "scopeSpans");
	json_array_begin(json);
	json_object_begin(json);
	json_key(json, "scope");
	json_object_begin(json);
	json_key_cstr(json, "name", "weir");
	json_key_cstr(json, "version", WEIR_VERSION);
	json_object_end(json);
	json_key(json, "spans");
	json_array_begin(json);
}

void otlp_text_end(struct json *json)
{
	json_array_end(json);
	json_object_end(json);
	json_array_end(json);
	json_object_end(json);
	json_array_end(json);
	json_object_end(json);
	ASSERT(json_is_complete(json));
}
