// SPDX-License-Identifier: Apache-2.0
#include "proxy/access.h"

// Whatever the strangers send, a line fits: four long values, ten short ones, and our own words.
_Static_assert(ACCESS_LINE_MAX >= ACCESS_TARGET_MAX + 3 * ACCESS_FIELD_MAX + 10 * ACCESS_NAME_MAX +
					  ADDR_TEXT_MAX * 4 + 1024,
	"an access line is never cut");

static const struct str redacted = {"?[redacted]", 11};

// What of `url` may be shown, and whether something was left out.
static struct str shown_part(struct str url, bool *ret_hidden)
{
	size_t query = str_find(url, '?');

	*ret_hidden = query < url.len;
	return str_make(url.ptr, query);
}

// ---- Combined -----------------------------------------------------------------------------------

static void put_url(struct log_text *text, struct str url, size_t bytes_max)
{
	bool hidden;
	struct str shown = shown_part(url, &hidden);

	log_text_escaped(text, shown, LOG_ESCAPE_TEXT, bytes_max - (hidden ? redacted.len : 0));
	if (hidden)
		log_text_bytes(text, redacted.ptr, redacted.len);
}

static void put_request_line(struct log_text *text, const struct access_entry *entry)
{
	if (entry->method.len == 0) {
		log_text_char(text, '-');
		return;
	}
	log_text_escaped(text, entry->method, LOG_ESCAPE_TEXT, ACCESS_NAME_MAX);
	log_text_char(text, ' ');
	put_url(text, entry->target, ACCESS_TARGET_MAX);
	log_text_char(text, ' ');
	log_text_escaped(text, entry->protocol, LOG_ESCAPE_TEXT, ACCESS_NAME_MAX);
}

// Behind a space; a value that is not known is left out.
static void put_name(struct log_text *text, const char *key, size_t key_len, struct str value)
{
	bool quoted = !log_text_is_bare(value);

	if (value.len == 0)
		return;
	log_text_bytes(text, key, key_len);
	if (quoted)
		log_text_char(text, '"');
	log_text_escaped(text, value, LOG_ESCAPE_TEXT, ACCESS_NAME_MAX);
	if (quoted)
		log_text_char(text, '"');
}

static void put_span(struct log_text *text, const char *key, size_t key_len, u32 span_us)
{
	if (span_us == ACCESS_NO_TIME)
		return;
	log_text_bytes(text, key, key_len);
	log_text_u64(text, span_us);
}

#define NAME(text, key, value)	 put_name((text), (key), sizeof(key) - 1, (value))
#define SPAN(text, key, span_us) put_span((text), (key), sizeof(key) - 1, (span_us))

static void put_combined_extras(struct log_text *text, const struct access_entry *entry)
{
	NAME(text, " outcome=", outcome_info((enum outcome)entry->outcome)->name);
	NAME(text, " frontend=", entry->frontend);
	NAME(text, " route=", entry->route);
	NAME(text, " pool=", entry->pool);
	NAME(text, " backend=", entry->backend);
	LOG_TEXT_PUT(text, " tries=");
	log_text_u64(text, entry->tries);
	if (entry->reused)
		LOG_TEXT_PUT(text, " reused=true");
	else
		LOG_TEXT_PUT(text, " reused=false");
	LOG_TEXT_PUT(text, " bytes_in=");
	log_text_u64(text, entry->bytes_in);
	SPAN(text, " head_us=", entry->head_us);
	SPAN(text, " queue_us=", entry->queue_us);
	SPAN(text, " connect_us=", entry->connect_us);
	SPAN(text, " first_byte_us=", entry->first_byte_us);
	LOG_TEXT_PUT(text, " total_us=");
	log_text_u64(text, entry->total_us);
	NAME(text, " host=", entry->host);
	NAME(text, " id=", entry->request_id);
}

size_t access_format_combined(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX])
{
	struct log_text text_, *text = &text_;

	log_clock_set(clock, entry->wall_ms);
	log_text_init(text, buffer, ACCESS_LINE_MAX);
	log_text_ip(text, &entry->client);
	LOG_TEXT_PUT(text, " - - [");
	log_text_bytes(text, clock->clf, sizeof(clock->clf));
	LOG_TEXT_PUT(text, "] \"");
	put_request_line(text, entry);
	LOG_TEXT_PUT(text, "\" ");
	log_text_digits(text, entry->status, 3);
	log_text_char(text, ' ');
	log_text_u64(text, entry->bytes_out);
	LOG_TEXT_PUT(text, " \"");
	if (entry->referer.len > 0)
		put_url(text, entry->referer, ACCESS_FIELD_MAX);
	else
		log_text_char(text, '-');
	LOG_TEXT_PUT(text, "\" \"");
	if (entry->user_agent.len > 0)
		log_text_escaped(text, entry->user_agent, LOG_ESCAPE_TEXT, ACCESS_FIELD_MAX);
	else
		log_text_char(text, '-');
	log_text_char(text, '"');
	put_combined_extras(text, entry);
	return (size_t)(text->at - buffer);
}

// ---- JSON ---------------------------------------------------------------------------------------

// `key` comes with everything in front of the value: ,"name":"
static void put_json(
	struct log_text *text, const char *key, size_t key_len, struct str value, size_t bytes_max)
{
	if (value.len == 0)
		return;
	log_text_bytes(text, key, key_len);
	log_text_escaped(text, value, LOG_ESCAPE_JSON, bytes_max);
	log_text_char(text, '"');
}

#define JSON(text, name, value, bytes_max) \
	put_json((text), ",\"" name "\":\"", sizeof(",\"" name "\":\"") - 1, (value), (bytes_max))

static void put_json_target(struct log_text *text, struct str target)
{
	bool hidden;
	struct str shown = shown_part(target, &hidden);

	if (target.len == 0)
		return;
	if (target.ptr[0] == '/')
		JSON(text, "url.path", shown, ACCESS_TARGET_MAX);
	else
		JSON(text, "url.original", shown, ACCESS_TARGET_MAX);
}

static void put_json_protocol(struct log_text *text, struct str protocol)
{
	struct str version = protocol, name;

	if (protocol.len == 0)
		return;
	name = str_cut(&version, '/');
	if (str_eq(name, STR("HTTP")))
		name = STR("http");
	JSON(text, "network.protocol.name", name, ACCESS_NAME_MAX / 2);
	JSON(text, "network.protocol.version", version, ACCESS_NAME_MAX / 2);
}

static void put_json_extras(struct log_text *text, const struct access_entry *entry)
{
	JSON(text, "outcome", outcome_info((enum outcome)entry->outcome)->name, ACCESS_NAME_MAX);
	JSON(text, "frontend", entry->frontend, ACCESS_NAME_MAX);
	JSON(text, "http.route", entry->route, ACCESS_NAME_MAX);
	JSON(text, "pool", entry->pool, ACCESS_NAME_MAX);
	JSON(text, "backend", entry->backend, ACCESS_NAME_MAX);
	LOG_TEXT_PUT(text, ",\"tries\":");
	log_text_u64(text, entry->tries);
	if (entry->reused)
		LOG_TEXT_PUT(text, ",\"reused\":true");
	else
		LOG_TEXT_PUT(text, ",\"reused\":false");
	SPAN(text, ",\"head_us\":", entry->head_us);
	SPAN(text, ",\"queue_us\":", entry->queue_us);
	SPAN(text, ",\"connect_us\":", entry->connect_us);
	SPAN(text, ",\"first_byte_us\":", entry->first_byte_us);
	LOG_TEXT_PUT(text, ",\"total_us\":");
	log_text_u64(text, entry->total_us);
}

size_t access_format_json(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX])
{
	struct log_text text_, *text = &text_;
	bool hidden;

	log_clock_set(clock, entry->wall_ms);
	log_text_init(text, buffer, ACCESS_LINE_MAX);
	LOG_TEXT_PUT(text, "{\"timestamp\":\"");
	log_text_bytes(text, clock->iso, sizeof(clock->iso));
	log_text_char(text, '.');
	log_text_digits(text, (u64)MAX(entry->wall_ms, 0) % 1000, 3);
	LOG_TEXT_PUT(text, "Z\",\"client.address\":\"");
	log_text_ip(text, &entry->client);
	LOG_TEXT_PUT(text, "\",\"client.port\":");
	log_text_u64(text, entry->client.port);
	JSON(text, "http.request.method", entry->method, ACCESS_NAME_MAX);
	put_json_target(text, entry->target);
	JSON(text, "server.address", entry->host, ACCESS_NAME_MAX);
	put_json_protocol(text, entry->protocol);
	LOG_TEXT_PUT(text, ",\"http.response.status_code\":");
	log_text_u64(text, entry->status);
	LOG_TEXT_PUT(text, ",\"http.request.body.size\":");
	log_text_u64(text, entry->bytes_in);
	LOG_TEXT_PUT(text, ",\"http.response.body.size\":");
	log_text_u64(text, entry->bytes_out);
	JSON(text, "referer", shown_part(entry->referer, &hidden), ACCESS_FIELD_MAX);
	JSON(text, "user_agent.original", entry->user_agent, ACCESS_FIELD_MAX);
	JSON(text, "request_id", entry->request_id, ACCESS_NAME_MAX);
	put_json_extras(text, entry);
	log_text_char(text, '}');
	return (size_t)(text->at - buffer);
}

void access_write(
	struct log *log, const struct access_config *config, const struct access_entry *entry)
{
	char buffer[ACCESS_LINE_MAX];
	size_t len;

	if (config->format == ACCESS_JSON)
		len = access_format_json(entry, &log->clock, buffer);
	else
		len = access_format_combined(entry, &log->clock, buffer);
	log_ring_put(
		&log->ring, LOG_RECORD_ACCESS, LOG_INFO, entry->wall_ms, str_make(buffer, len));
}
