// SPDX-License-Identifier: Apache-2.0
// Access lines as JSON objects. They are written with each request, so every piece knows its length
// where that can be known before, and none looks whether there is room: the bounds of access.h see
// to that.
#include "base/hex.h"
#include "proxy/access.h"

#define KEY(name) ",\"" name "\":"

#define PUT_STR(at, name, value, bytes_max)                                             \
	do {                                                                            \
		struct str value_ = (value);                                            \
                                                                                        \
		if (value_.len) {                                                       \
			at = LOG_PUT(at, KEY(name) "\"");                               \
			at = log_put_escaped(at, value_, LOG_ESCAPE_JSON, (bytes_max)); \
			*at++ = '"';                                                    \
		}                                                                       \
	} while (0)

#define PUT_U64(at, name, value)               \
	do {                                   \
		at = LOG_PUT(at, KEY(name));   \
		at = log_put_u64(at, (value)); \
	} while (0)

// What is 0 is left out: so many of them are that a line would be a fifth longer, and writing is
// what a log costs.
#define PUT_COUNT(at, name, value)                 \
	do {                                       \
		u64 value_ = (value);              \
                                                   \
		if (value_)                        \
			PUT_U64(at, name, value_); \
	} while (0)

#define PUT_SPAN(at, name, span_us)                     \
	do {                                            \
		if ((span_us) != ACCESS_NO_TIME)        \
			PUT_COUNT(at, name, (span_us)); \
	} while (0)

#define PUT_HEX(at, name, digits, put)            \
	do {                                      \
		at = LOG_PUT(at, KEY(name) "\""); \
		put;                              \
		at += (digits);                   \
		*at++ = '"';                      \
	} while (0)

// 2026-05-08T14:18:45.305Z
static char *put_moment(char *at, struct log_clock *clock, i64 wall_ms)
{
	u32 ms = (u32)((u64)MAX(wall_ms, 0) % 1000);

	log_clock_set(clock, wall_ms);
	memcpy(at, clock->iso, sizeof(clock->iso));
	at += sizeof(clock->iso);
	at[0] = '.';
	at[1] = (char)('0' + ms / 100);
	memcpy(at + 2, &log_digit_pairs[ms % 100 * 2], 2);
	return LOG_PUT(at + 4, "Z\"");
}

static const struct str outcome_pieces[] = {
#define X(name, text, ...) [OUTCOME_##name] = STR(KEY("outcome") "\"" text "\""),
#include "proxy/outcome.def"
#undef X
};

// ---- Names of OpenTelemetry ---------------------------------------------------------------------

static char *put_target(char *at, struct str target)
{
	bool hidden;
	struct str shown = access_shown(target, &hidden);

	if (target.ptr[0] == '/')
		PUT_STR(at, "url.path", shown, ACCESS_TARGET_MAX);
	else
		PUT_STR(at, "url.original", shown, ACCESS_TARGET_MAX);
	return at;
}

// By the convention a protocol without a name is http.
static char *put_protocol(char *at, u8 protocol)
{
	static const struct str pieces[] = {
		[ACCESS_TCP] = STR(KEY("network.protocol.name") "\"TCP\""),
		[ACCESS_HTTP_1_0] = STR(KEY("network.protocol.version") "\"1.0\""),
		[ACCESS_HTTP_1_1] = STR(KEY("network.protocol.version") "\"1.1\""),
		[ACCESS_HTTP_2] = STR(KEY("network.protocol.version") "\"2\""),
	};

	return log_put(at, pieces[protocol]);
}

static char *put_trace(char *at, const struct access_entry *entry)
{
	if (likely((entry->trace_id[0] | entry->trace_id[1]) == 0))
		return at;
	PUT_HEX(at, "trace_id", 32, hex_put_16(at, entry->trace_id[0], entry->trace_id[1]));
	if (entry->span_id)
		PUT_HEX(at, "span_id", 16, hex_put_8(at, entry->span_id));
	return at;
}

static char *put_names(char *at, const struct access_entry *entry)
{
	if (likely(entry->frontend_json.len))
		at = log_put(at, entry->frontend_json);
	else
		PUT_STR(at, "frontend", entry->frontend, ACCESS_NAME_MAX);
	if (entry->route_json.len)
		at = log_put(at, entry->route_json);
	else
		PUT_STR(at, "http.route", entry->route, ACCESS_NAME_MAX);
	if (likely(entry->backend_json.len))
		return log_put(at, entry->backend_json);
	PUT_STR(at, "pool", entry->pool, ACCESS_NAME_MAX);
	PUT_STR(at, "backend", entry->backend, ACCESS_NAME_MAX);
	return at;
}

static char *put_how(char *at, const struct access_entry *entry)
{
	at = log_put(at, outcome_pieces[entry->outcome]);
	at = put_names(at, entry);
	PUT_COUNT(at, "tries", entry->tries);
	if (entry->reused)
		at = LOG_PUT(at, KEY("reused") "true");
	PUT_SPAN(at, "head_us", entry->head_us);
	PUT_SPAN(at, "queue_us", entry->queue_us);
	PUT_SPAN(at, "connect_us", entry->connect_us);
	PUT_SPAN(at, "first_byte_us", entry->first_byte_us);
	PUT_U64(at, "total_us", entry->total_us);
	return at;
}

size_t access_format_json(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX])
{
	char *at = LOG_PUT(buffer, "{\"timestamp\":\"");
	bool hidden;

	at = put_moment(at, clock, entry->wall_ms);
	at = LOG_PUT(at, KEY("client.address") "\"");
	at = log_put_escaped(at, entry->client, LOG_ESCAPE_JSON, ADDR_TEXT_MAX);
	at = LOG_PUT(at, "\"" KEY("client.port"));
	at = log_put_u64(at, entry->client_port);
	PUT_STR(at, "http.request.method", entry->method, ACCESS_NAME_MAX);
	if (entry->target.len)
		at = put_target(at, entry->target);
	PUT_STR(at, "server.address", entry->host, ACCESS_FIELD_MAX);
	at = put_protocol(at, entry->protocol);
	PUT_COUNT(at, "http.response.status_code", entry->status);
	PUT_COUNT(at, "http.request.body.size", entry->bytes_in);
	PUT_COUNT(at, "http.response.body.size", entry->bytes_out);
	if (entry->referer.len)
		PUT_STR(at, "referer", access_shown(entry->referer, &hidden), ACCESS_FIELD_MAX);
	PUT_STR(at, "user_agent.original", entry->user_agent, ACCESS_FIELD_MAX);
	PUT_STR(at, "request_id", entry->request_id, ACCESS_NAME_MAX);
	at = put_trace(at, entry);
	if (unlikely(entry->tls_version.len)) {
		PUT_STR(at, "tls.protocol.version", entry->tls_version, ACCESS_NAME_MAX);
		PUT_STR(at, "tls.cipher", entry->tls_cipher, ACCESS_NAME_MAX);
		PUT_STR(at, "tls.client.server_name", entry->tls_name, ACCESS_NAME_MAX);
	}
	at = put_how(at, entry);
	*at++ = '}';
	return (size_t)(at - buffer);
}

// ---- The Elastic Common Schema ------------------------------------------------------------------

static char *put_ecs_trace(char *at, const struct access_entry *entry)
{
	if (likely((entry->trace_id[0] | entry->trace_id[1]) == 0))
		return at;
	PUT_HEX(at, "trace.id", 32, hex_put_16(at, entry->trace_id[0], entry->trace_id[1]));
	if (entry->span_id)
		PUT_HEX(at, "span.id", 16, hex_put_8(at, entry->span_id));
	return at;
}

static char *put_ecs_http(char *at, const struct access_entry *entry)
{
	bool hidden;

	if (entry->protocol == ACCESS_TCP)
		return LOG_PUT(at, KEY("network.transport") "\"tcp\"");
	if (entry->protocol == ACCESS_HTTP_1_0)
		at = LOG_PUT(at, KEY("http.version") "\"1.0\"");
	else if (entry->protocol == ACCESS_HTTP_1_1)
		at = LOG_PUT(at, KEY("http.version") "\"1.1\"");
	else
		at = LOG_PUT(at, KEY("http.version") "\"2\"");
	PUT_STR(at, "http.request.method", entry->method, ACCESS_NAME_MAX);
	if (entry->target.len && entry->target.ptr[0] == '/')
		PUT_STR(at, "url.path", access_shown(entry->target, &hidden), ACCESS_TARGET_MAX);
	else
		PUT_STR(at, "url.original", access_shown(entry->target, &hidden),
			ACCESS_TARGET_MAX);
	PUT_STR(at, "url.domain", entry->host, ACCESS_FIELD_MAX);
	PUT_COUNT(at, "http.response.status_code", entry->status);
	PUT_STR(at, "http.request.referrer", access_shown(entry->referer, &hidden),
		ACCESS_FIELD_MAX);
	PUT_STR(at, "http.request.id", entry->request_id, ACCESS_NAME_MAX);
	PUT_STR(at, "user_agent.original", entry->user_agent, ACCESS_FIELD_MAX);
	return at;
}

static char *put_ecs_ours(char *at, const struct access_entry *entry)
{
	PUT_STR(at, "weir.outcome", outcome_info((enum outcome)entry->outcome)->name,
		ACCESS_NAME_MAX);
	PUT_STR(at, "weir.frontend", entry->frontend, ACCESS_NAME_MAX);
	PUT_STR(at, "weir.route", entry->route, ACCESS_NAME_MAX);
	PUT_STR(at, "weir.pool", entry->pool, ACCESS_NAME_MAX);
	PUT_STR(at, "weir.backend", entry->backend, ACCESS_NAME_MAX);
	PUT_COUNT(at, "weir.tries", entry->tries);
	if (entry->reused)
		at = LOG_PUT(at, KEY("weir.reused") "true");
	PUT_SPAN(at, "weir.head_us", entry->head_us);
	PUT_SPAN(at, "weir.queue_us", entry->queue_us);
	PUT_SPAN(at, "weir.connect_us", entry->connect_us);
	PUT_SPAN(at, "weir.first_byte_us", entry->first_byte_us);
	return at;
}

size_t access_format_ecs(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX])
{
	char *at = LOG_PUT(buffer, "{\"@timestamp\":\"");

	at = put_moment(at, clock, entry->wall_ms);
	at = LOG_PUT(
		at, KEY("ecs.version") "\"8.11.0\"" KEY("event.kind") "\"event\"" KEY(
			    "event.category") "[\"web\"]" KEY("event.dataset") "\"weir.access\"");
	if (access_is_error(entry->status, (enum outcome)entry->outcome))
		at = LOG_PUT(at, KEY("event.outcome") "\"failure\"");
	else
		at = LOG_PUT(at, KEY("event.outcome") "\"success\"");
	PUT_U64(at, "event.duration", MIN(entry->total_us, (u64)INT64_MAX / 1000) * 1000);
	at = LOG_PUT(at, KEY("source.ip") "\"");
	at = log_put_escaped(at, entry->client, LOG_ESCAPE_JSON, ADDR_TEXT_MAX);
	*at++ = '"';
	if (entry->client_port)
		PUT_U64(at, "source.port", entry->client_port);
	at = put_ecs_http(at, entry);
	PUT_COUNT(at, "http.request.body.bytes", entry->bytes_in);
	PUT_COUNT(at, "http.response.body.bytes", entry->bytes_out);
	at = put_ecs_trace(at, entry);
	if (entry->tls_version.len) {
		PUT_STR(at, "tls.version", entry->tls_version, ACCESS_NAME_MAX);
		PUT_STR(at, "tls.cipher", entry->tls_cipher, ACCESS_NAME_MAX);
		PUT_STR(at, "tls.client.server_name", entry->tls_name, ACCESS_NAME_MAX);
	}
	at = put_ecs_ours(at, entry);
	*at++ = '}';
	return (size_t)(at - buffer);
}
