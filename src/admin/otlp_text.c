// SPDX-License-Identifier: Apache-2.0
#include "admin/otlp_text.h"

#include "base/hex.h"
#include "base/log_text.h"

enum {
	kind_server = 2, // Span.SpanKind
	kind_client = 3,
	remote_known = 0x100, // Span.flags: it is known whether the parent is in another process
	remote = 0x200,
	span_bytes_max = 8 * 1024, // of its text
	text_bytes_max = 384,	   // of each of its texts, escapes counted
	texts_max = 14,		   // of a span
	own_bytes_max = 2500,	   // keys, numbers, brackets
};
_Static_assert((int)span_bytes_max >= (int)texts_max * text_bytes_max + own_bytes_max,
	"a span fits whatever strangers have sent");

// ---- Attributes ---------------------------------------------------------------------------------

// A span is written piece by piece without looking whether there is room, as access lines are
// (base/log_text.h): there may be many of them.
#define ATTRIBUTE(key, type) "{\"key\":\"" key "\",\"value\":{\"" type "\":"

#define ADD_STR(at, key, value)                                                            \
	do {                                                                               \
		struct str value_ = (value);                                               \
                                                                                           \
		if (value_.len) {                                                          \
			at = LOG_PUT(at, ATTRIBUTE(key, "stringValue") "\"");              \
			at = log_put_escaped(at, value_, LOG_ESCAPE_JSON, text_bytes_max); \
			at = LOG_PUT(at, "\"}},");                                         \
		}                                                                          \
	} while (0)

// 64 bits are a text in this encoding.
#define ADD_U64(at, key, value)                                    \
	do {                                                       \
		at = LOG_PUT(at, ATTRIBUTE(key, "intValue") "\""); \
		at = log_put_u64(at, (value));                     \
		at = LOG_PUT(at, "\"}},");                         \
	} while (0)

#define ADD_SPAN_US(at, key, span_us)                \
	do {                                         \
		if ((span_us) != UINT32_MAX)         \
			ADD_U64(at, key, (span_us)); \
	} while (0)

#define ADD_BOOL(at, key, value)                                                  \
	do {                                                                      \
		if (value)                                                        \
			at = LOG_PUT(at, ATTRIBUTE(key, "boolValue") "true}},");  \
		else                                                              \
			at = LOG_PUT(at, ATTRIBUTE(key, "boolValue") "false}},"); \
	} while (0)

// ---- What spans of both kinds have --------------------------------------------------------------

static struct str method_of(const struct span *span)
{
	return span->method == HTTP_OTHER_METHOD
		       ? STR("_OTHER")
		       : str_from(http_method_text((enum http_method)span->method));
}

// Whether it ended because something went wrong: its outcome's word says what.
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

static char *add_error(char *at, const struct span *span)
{
	const struct outcome_info *failure = failure_of(span);
	char status[3] = {(char)('0' + span->status / 100), (char)('0' + span->status / 10 % 10),
		(char)('0' + span->status % 10)};

	if (failure)
		ADD_STR(at, "error.type", failure->name);
	else if (status_is_error(span))
		ADD_STR(at, "error.type", str_make(status, sizeof(status)));
	return at;
}

// A client that went away is no error of the request's span.
static char *put_status(char *at, const struct span *span)
{
	const struct outcome_info *failure = failure_of(span);
	bool ours = failure && (span->kind == SPAN_CLIENT || failure->origin != ORIGIN_CLIENT);

	if (!ours && !status_is_error(span))
		return at;
	at = LOG_PUT(at, ",\"status\":{\"code\":2");
	if (ours)
		at = LOG_PUT(log_put(LOG_PUT(at, ",\"message\":\""), failure->cause), "\"");
	return LOG_PUT(at, "}");
}

static char *add_request(char *at, const struct span *span)
{
	ADD_STR(at, "http.request.method", method_of(span));
	ADD_STR(at, "http.request.method_original", span_text(span, SPAN_METHOD));
	if (span->status)
		ADD_U64(at, "http.response.status_code", span->status);
	ADD_STR(at, "network.protocol.version",
		span->is_h2	      ? STR("2")
		: span->version_minor ? STR("1.1")
				      : STR("1.0"));
	at = add_error(at, span);
	if (span->backend) {
		ADD_STR(at, "weir.pool", span->backend->pool->name);
		ADD_STR(at, "weir.backend", span->backend->id);
	}
	return at;
}

// ---- The request's span -------------------------------------------------------------------------

// "name:port" of a Host field.
static char *add_host(char *at, struct str authority)
{
	size_t bracket = str_find(authority, ']');
	size_t from = bracket < authority.len ? bracket : 0;
	size_t colon = from + str_find(str_make(authority.ptr + from, authority.len - from), ':');
	u64 port;

	ADD_STR(at, "server.address", str_make(authority.ptr, colon));
	if (colon < authority.len &&
		str_to_u64(str_make(authority.ptr + colon + 1, authority.len - colon - 1),
			UINT16_MAX, &port) == 0)
		ADD_U64(at, "server.port", port);
	return at;
}

static char *add_server(char *at, const struct span *span)
{
	ADD_STR(at, "url.scheme", span->frontend->scheme);
	ADD_STR(at, "url.path", span_text(span, SPAN_PATH));
	if (span->route)
		ADD_STR(at, "http.route", span->route->pattern);
	at = add_host(at, span_text(span, SPAN_HOST));
	ADD_STR(at, "client.address", span_text(span, SPAN_CLIENT_IP));
	if (span->client_port)
		ADD_U64(at, "client.port", span->client_port);
	ADD_STR(at, "network.peer.address", span_text(span, SPAN_PEER));
	if (span->peer_port)
		ADD_U64(at, "network.peer.port", span->peer_port);
	ADD_STR(at, "user_agent.original", span_text(span, SPAN_AGENT));
	ADD_U64(at, "http.request.body.size", span->bytes_in);
	ADD_U64(at, "http.response.body.size", span->bytes_out);
	ADD_STR(at, "weir.outcome", outcome_info((enum outcome)span->outcome)->name);
	ADD_STR(at, "weir.frontend", span->frontend->conf->name);
	if (span->route)
		ADD_STR(at, "weir.route", span->route->conf->name);
	ADD_STR(at, "weir.request_id", span_text(span, SPAN_REQUEST_ID));
	return at;
}

// ---- A try's span -------------------------------------------------------------------------------

static char *add_address(char *at, const struct backend *backend)
{
	char text[ADDR_TEXT_MAX];
	struct str ip;

	if (backend->addr.family == ADDR_UNIX) {
		ADD_STR(at, "server.address", str_from(backend->addr.path));
		ADD_STR(at, "network.peer.address", str_from(backend->addr.path));
		ADD_STR(at, "network.transport", STR("unix"));
		return at;
	}
	ip = str_make(text, addr_format_ip(&backend->addr, text));
	ADD_STR(at, "server.address", backend->name.len ? backend->name : ip);
	ADD_U64(at, "server.port", backend->addr.port);
	ADD_STR(at, "network.peer.address", ip);
	ADD_U64(at, "network.peer.port", backend->addr.port);
	return at;
}

// Without the query, which may be a secret.
static char *add_url(char *at, const struct span *span)
{
	struct str host =
		span->backend->addr.family == ADDR_UNIX ? STR("localhost") : span->backend->address;

	at = LOG_PUT(at, ATTRIBUTE("url.full", "stringValue") "\"http://");
	at = log_put_escaped(at, host, LOG_ESCAPE_JSON, text_bytes_max);
	at = log_put_escaped(at, span_text(span, SPAN_PATH), LOG_ESCAPE_JSON, text_bytes_max);
	return LOG_PUT(at, "\"}},");
}

static char *add_client(char *at, const struct span *span)
{
	if (span->backend) {
		at = add_url(at, span);
		at = add_address(at, span->backend);
	}
	if (span->resends)
		ADD_U64(at, "http.request.resend_count", span->resends);
	ADD_BOOL(at, "weir.connection.reused", span->is_reused);
	if (span->is_hedge)
		ADD_BOOL(at, "weir.hedge", true);
	if (span->outcome == SPAN_OVERTAKEN)
		ADD_BOOL(at, "weir.overtaken", true);
	ADD_SPAN_US(at, "weir.connect_us", span->connect_us);
	ADD_SPAN_US(at, "weir.first_byte_us", span->first_byte_us);
	return at;
}

// ---- All of it ----------------------------------------------------------------------------------

// "GET /v1/*", or "GET"; "HTTP" where the method is none of those that are known.
static char *put_name(char *at, const struct span *span)
{
	struct str method = span->method == HTTP_OTHER_METHOD ? STR("HTTP") : method_of(span);

	at = log_put(LOG_PUT(at, ",\"name\":\""), method);
	if (span->kind == SPAN_SERVER && span->route && span->route->pattern.len) {
		*at++ = ' ';
		at = log_put_escaped(at, span->route->pattern, LOG_ESCAPE_JSON, text_bytes_max);
	}
	return LOG_PUT(at, "\"");
}

static char *put_moments(char *at, const struct span *span)
{
	u64 begun_us = (u64)MAX(span->begun_us, 0);

	at = log_put_u64(LOG_PUT(at, ",\"startTimeUnixNano\":\""), begun_us * 1000);
	at = LOG_PUT(at, "\",\"endTimeUnixNano\":\"");
	return LOG_PUT(log_put_u64(at, (begun_us + span->took_us) * 1000), "\"");
}

static char *put_ids(char *at, const struct span *span)
{
	u32 flags = span->flags | remote_known;

	at = LOG_PUT(at, "\"traceId\":\"");
	hex_put_16(at, span->trace_id[0], span->trace_id[1]);
	at = LOG_PUT(at + 32, "\",\"spanId\":\"");
	hex_put_8(at, span->id);
	at = LOG_PUT(at + 16, "\"");
	if (span->parent_id) {
		at = LOG_PUT(at, ",\"parentSpanId\":\"");
		hex_put_8(at, span->parent_id);
		at = LOG_PUT(at + 16, "\"");
		flags |= span->parent_is_remote ? (u32)remote : 0;
	}
	return log_put_u64(LOG_PUT(at, ",\"flags\":"), flags);
}

void otlp_text_span(struct json *json, const struct span *span)
{
	bool server = span->kind == SPAN_SERVER;
	char buffer[span_bytes_max], *at = buffer;

	*at++ = '{';
	at = put_ids(at, span);
	at = put_name(at, span);
	at = log_put_u64(LOG_PUT(at, ",\"kind\":"), server ? kind_server : kind_client);
	at = put_moments(at, span);
	at = LOG_PUT(at, ",\"attributes\":[");
	at = add_request(at, span);
	at = server ? add_server(at, span) : add_client(at, span);
	at--; // the last comma
	at = LOG_PUT(at, "]");
	at = put_status(at, span);
	*at++ = '}';
	json_raw(json, str_make(buffer, (size_t)(at - buffer)));
}

// ---- The resource -------------------------------------------------------------------------------

static void add_attribute(struct json *json, struct str key, struct str value)
{
	json_object_begin(json);
	json_key_str(json, "key", key);
	json_key(json, "value");
	json_object_begin(json);
	json_key_str(json, "stringValue", value);
	json_object_end(json);
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
	if (value.len && !is_given(tracing, key))
		add_attribute(json, str_from(key), value);
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
		add_attribute(json, STR("service.name"), tracing->service);
	else
		add_ours(json, tracing, "service.name", STR("weir"));
	add_ours(json, tracing, "service.version", STR(WEIR_VERSION));
	add_ours(json, tracing, "service.instance.id", instance);
	add_ours(json, tracing, "host.name", host);
	for (u32 i = 0; i < tracing->attribute_count; i++)
		if (!is_named || !str_eq(tracing->attributes[i].key, STR("service.name")))
			add_attribute(
				json, tracing->attributes[i].key, tracing->attributes[i].value);
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
