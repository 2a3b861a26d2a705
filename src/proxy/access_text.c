// SPDX-License-Identifier: Apache-2.0
// Access lines as the tools of others read them.
#include "base/hex.h"
#include "proxy/access.h"

static const struct str redacted = STR("?[redacted]");

// ---- Combined -----------------------------------------------------------------------------------

static void put_url(struct log_text *text, struct str url, size_t bytes_max)
{
	bool hidden;
	struct str shown = access_shown(url, &hidden);

	log_text_escaped(text, shown, LOG_ESCAPE_TEXT, bytes_max - (hidden ? redacted.len : 0));
	if (hidden)
		log_text_bytes(text, redacted.ptr, redacted.len);
}

static void put_request_line(struct log_text *text, const struct access_entry *entry)
{
	struct str protocol = access_protocol_text(entry->protocol);

	log_text_escaped(text, entry->method, LOG_ESCAPE_TEXT, ACCESS_NAME_MAX);
	log_text_char(text, ' ');
	put_url(text, entry->target, ACCESS_TARGET_MAX);
	log_text_char(text, ' ');
	log_text_bytes(text, protocol.ptr, protocol.len);
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

static void put_ids(struct log_text *text, const struct access_entry *entry)
{
	char digits[32];

	NAME(text, " id=", entry->request_id);
	if ((entry->trace_id[0] | entry->trace_id[1]) == 0)
		return;
	hex_put_16(digits, entry->trace_id[0], entry->trace_id[1]);
	NAME(text, " trace_id=", str_make(digits, 32));
	if (entry->span_id == 0)
		return;
	hex_put_8(digits, entry->span_id);
	NAME(text, " span_id=", str_make(digits, 16));
}

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
	put_ids(text, entry);
}

size_t access_format_combined(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX])
{
	struct log_text text_, *text = &text_;

	log_clock_set(clock, entry->wall_ms);
	log_text_init(text, buffer, ACCESS_LINE_MAX);
	log_text_escaped(text, entry->client, LOG_ESCAPE_TEXT, ADDR_TEXT_MAX);
	LOG_TEXT_PUT(text, " - - [");
	log_text_bytes(text, clock->clf, sizeof(clock->clf));
	LOG_TEXT_PUT(text, "] \"");
	if (entry->method.len)
		put_request_line(text, entry);
	else
		log_text_char(text, '-');
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

// ---- HAProxy ------------------------------------------------------------------------------------

// Who ended it, and when: 'R' while the request came, 'Q' in the queue, 'C' while a connection was
// made, 'H' before the answer's head, 'D' behind it, '-' nothing of that; '?' as far as it came.
static const char terminations[OUTCOME_COUNT][3] = {
	[OUTCOME_OK] = "--",
	[OUTCOME_CLIENT_ABORTED] = "C?",
	[OUTCOME_CLIENT_TIMEOUT_HEADER] = "cR",
	[OUTCOME_CLIENT_BODY_TIMEOUT] = "cH",
	[OUTCOME_CLIENT_STALLED] = "cD",
	[OUTCOME_BAD_REQUEST] = "PR",
	[OUTCOME_HEAD_TOO_LARGE] = "PR",
	[OUTCOME_PLAIN_HTTP] = "PR",
	[OUTCOME_MISDIRECTED] = "PR",
	[OUTCOME_PAYLOAD_TOO_LARGE] = "PR",
	[OUTCOME_EXPECTATION_FAILED] = "PR",
	[OUTCOME_METHOD_NOT_ALLOWED] = "PR",
	[OUTCOME_VERSION] = "PR",
	[OUTCOME_NOT_IMPLEMENTED] = "PR",
	[OUTCOME_PROXY_HEADER_MALFORMED] = "PR",
	[OUTCOME_PROXY_HEADER_TIMEOUT] = "cR",
	[OUTCOME_HELLO_TIMEOUT] = "cR",
	[OUTCOME_HELLO_MALFORMED] = "PR",
	[OUTCOME_NAME_UNKNOWN] = "PR",
	[OUTCOME_NO_ROUTE] = "PR",
	[OUTCOME_REDIRECTED] = "LR",
	[OUTCOME_BUILTIN] = "LR",
	[OUTCOME_BUILTIN_DENIED] = "PR",
	[OUTCOME_NO_BACKEND_AVAILABLE] = "SC",
	[OUTCOME_QUEUE_FULL] = "PQ",
	[OUTCOME_QUEUE_TIMEOUT] = "sQ",
	[OUTCOME_SHED] = "PQ",
	[OUTCOME_CONNECTION_REFUSED] = "SC",
	[OUTCOME_CONNECTION_TIMEOUT] = "sC",
	[OUTCOME_CONNECT_FAILED] = "SC",
	[OUTCOME_TLS_FAILED] = "SC",
	[OUTCOME_TLS_PROTOCOL] = "SC",
	[OUTCOME_TLS_CERTIFICATE] = "SC",
	[OUTCOME_CONNECTION_RESET] = "SH",
	[OUTCOME_RESPONSE_MALFORMED] = "PH",
	[OUTCOME_RESPONSE_HEAD_TOO_LARGE] = "PH",
	[OUTCOME_RESPONSE_TIMEOUT] = "sH",
	[OUTCOME_REQUEST_TIMEOUT] = "s?",
	[OUTCOME_RESPONSE_CUT] = "SD",
	[OUTCOME_UPSTREAM_IDLE_TIMEOUT] = "sD",
	[OUTCOME_UPGRADE_FAILED] = "PH",
	[OUTCOME_UPGRADE_UNSUPPORTED] = "PH",
	[OUTCOME_TUNNEL_CLOSED] = "--",
	[OUTCOME_TUNNEL_IDLE_TIMEOUT] = "sD",
	[OUTCOME_DRAINING] = "K?",
	[OUTCOME_OVERLOADED] = "RC",
	[OUTCOME_INTERNAL_ERROR] = "I?",
};

static char phase_of(const struct access_entry *entry)
{
	if (entry->first_byte_us != ACCESS_NO_TIME)
		return 'D';
	if (entry->connect_us != ACCESS_NO_TIME && entry->tries)
		return 'H';
	if (entry->tries)
		return 'C';
	return entry->pool.len ? 'Q' : 'R';
}

const char *access_termination_of(enum outcome outcome)
{
	ASSERT(terminations[outcome][0]); // an outcome without a row
	return terminations[outcome];
}

void access_termination(const struct access_entry *entry, char ret_state[static 2])
{
	const char *state = access_termination_of((enum outcome)entry->outcome);

	ret_state[0] = state[0];
	ret_state[1] = state[1] == '?' ? phase_of(entry) : state[1];
}

static void put_ms(struct log_text *text, u32 span_us)
{
	if (span_us == ACCESS_NO_TIME)
		LOG_TEXT_PUT(text, "-1");
	else
		log_text_u64(text, span_us / 1000);
}

// TR/Tw/Tc/Tr/Ta, or Tw/Tc/Tt of TCP.
static void put_timers(struct log_text *text, const struct access_entry *entry)
{
	bool http = entry->protocol != ACCESS_TCP;

	if (http) {
		put_ms(text, entry->head_us);
		log_text_char(text, '/');
	}
	put_ms(text, entry->queue_us);
	log_text_char(text, '/');
	put_ms(text, entry->connect_us);
	if (http) {
		log_text_char(text, '/');
		put_ms(text, entry->first_byte_us);
	}
	log_text_char(text, '/');
	log_text_u64(text, entry->total_us / 1000);
}

// A name of its own is what it calls "no name".
static void put_word(struct log_text *text, struct str name, const char *none)
{
	if (name.len == 0)
		name = str_from(none);
	log_text_escaped(text, name, LOG_ESCAPE_TEXT, ACCESS_NAME_MAX);
}

// [06/Feb/2009:12:14:14.655]
static void put_date(struct log_text *text, struct log_clock *clock, i64 wall_ms)
{
	log_clock_set(clock, wall_ms);
	log_text_char(text, '[');
	log_text_bytes(text, clock->clf, 20);
	log_text_char(text, '.');
	log_text_digits(text, (u64)MAX(wall_ms, 0) % 1000, 3);
	LOG_TEXT_PUT(text, "] ");
}

static void put_haproxy_http(struct log_text *text, const struct access_entry *entry)
{
	LOG_TEXT_PUT(text, " \"");
	if (entry->method.len)
		put_request_line(text, entry);
	else
		LOG_TEXT_PUT(text, "<BADREQ>");
	log_text_char(text, '"');
}

size_t access_format_haproxy(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX])
{
	bool http = entry->protocol != ACCESS_TCP;
	struct log_text text_, *text = &text_;
	char state[2];

	access_termination(entry, state);
	log_text_init(text, buffer, ACCESS_LINE_MAX);
	log_text_escaped(text, entry->client, LOG_ESCAPE_TEXT, ADDR_TEXT_MAX);
	log_text_char(text, ':');
	log_text_u64(text, entry->client_port);
	log_text_char(text, ' ');
	put_date(text, clock, entry->wall_ms);
	put_word(text, entry->frontend, "-");
	log_text_char(text, ' ');
	put_word(text, entry->pool.len ? entry->pool : entry->frontend, "-");
	log_text_char(text, '/');
	put_word(text, entry->backend, "<NOSRV>");
	log_text_char(text, ' ');
	put_timers(text, entry);
	log_text_char(text, ' ');
	if (http) {
		if (entry->status)
			log_text_u64(text, entry->status);
		else
			LOG_TEXT_PUT(text, "-1");
		log_text_char(text, ' ');
	}
	log_text_u64(text, entry->bytes_out);
	if (http)
		LOG_TEXT_PUT(text, " - -");
	log_text_char(text, ' ');
	log_text_bytes(text, state, sizeof(state));
	if (http)
		LOG_TEXT_PUT(text, "--");
	log_text_char(text, ' ');
	log_text_u64(text, entry->connections);
	LOG_TEXT_PUT(text, "/0/0/0/");
	log_text_u64(text, entry->tries > 1 ? entry->tries - 1u : 0);
	LOG_TEXT_PUT(text, " 0/0");
	if (http)
		put_haproxy_http(text, entry);
	return (size_t)(text->at - buffer);
}
