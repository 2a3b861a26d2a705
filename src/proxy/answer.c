// SPDX-License-Identifier: Apache-2.0
#include "proxy/answer.h"

#include "base/log_text.h"

enum {
	word_bytes_max = 64,  // of an outcome or an error type
	name_bytes_max = 255, // of a backend; twice as many when all are quoted
	status_bytes_max = 2 * name_bytes_max + 3 * word_bytes_max + 64,
	timing_bytes_max = 160,
	hsts_bytes_max = 64,
};

// ---- Proxy-Status -------------------------------------------------------------------------------

// As RFC 8941 3.3.3 has strings. What it has no room for becomes '?'.
static char *put_string(char *at, struct str text)
{
	*at++ = '"';
	for (size_t i = 0; i < MIN(text.len, (size_t)name_bytes_max); i++) {
		char c = text.ptr[i];

		if (c == '"' || c == '\\')
			*at++ = '\\';
		*at++ = c >= ' ' && c <= '~' ? c : '?';
	}
	*at++ = '"';
	return at;
}

static char *put_status(const struct exchange *x, char *at, bool is_ours)
{
	const struct outcome_info *info = outcome_info((enum outcome)x->outcome);

	at = LOG_PUT(at, "Proxy-Status: weir");
	if (!is_ours) {
		at = LOG_PUT(at, "; received-status=");
		at = log_put_u64(at, x->status);
	} else if (info->error.len) {
		at = LOG_PUT(at, "; error=");
		at = log_put(at, info->error);
	}
	if (is_ours) {
		at = LOG_PUT(at, "; details=");
		at = put_string(at, info->name);
	}
	if (x->backend && x->frontend->conf->headers.tell_backend) {
		at = LOG_PUT(at, "; next-hop=");
		at = put_string(at, x->backend->id);
	}
	return LOG_PUT(at, "\r\n");
}

// ---- Server-Timing ------------------------------------------------------------------------------

// In milliseconds, with three digits behind the point.
static char *put_span(char *at, bool *is_first, struct str name, u64 from_us, u64 to_us)
{
	u32 part;

	if (from_us == 0 || to_us < from_us)
		return at;
	if (!*is_first)
		at = LOG_PUT(at, ", ");
	*is_first = false;
	at = log_put(at, name);
	at = LOG_PUT(at, ";dur=");
	at = log_put_u64(at, (to_us - from_us) / 1000);
	part = (u32)((to_us - from_us) % 1000);
	*at++ = '.';
	*at++ = (char)('0' + part / 100);
	memcpy(at, &log_digit_pairs[part % 100 * 2], 2);
	return at + 2;
}

static char *put_timing(const struct exchange *x, char *start)
{
	const struct attempt *attempt = x->attempt;
	u64 connect_us = attempt->lease.reused ? attempt->sent_us : attempt->leased_us;
	char *at = LOG_PUT(start, "Server-Timing: ");
	bool is_first = true;

	if (attempt->leased_us)
		at = put_span(at, &is_first, STR("weir-queue"), x->headed_us, attempt->leased_us);
	if (attempt->sent_us) {
		at = put_span(at, &is_first, STR("weir-connect"), connect_us, attempt->sent_us);
		at = put_span(
			at, &is_first, STR("weir-first-byte"), attempt->sent_us, x->answered_us);
	}
	return is_first ? start : LOG_PUT(at, "\r\n");
}

void answer_add_lines(struct exchange *x, struct http_head *head, bool is_ours)
{
	const struct conf_frontend *conf = x->frontend->conf;
	char *start = arena_alloc(&x->arena, status_bytes_max + timing_bytes_max + hsts_bytes_max),
	     *at = start;

	if (!start || head->added_count == HTTP_ADDED_MAX)
		return;
	if (is_ours || conf->headers.proxy_status)
		at = put_status(x, at, is_ours);
	if (conf->headers.server_timing)
		at = put_timing(x, at);
	if (conf->tls.hsts_ms && x->client->conn.is_secure) {
		at = LOG_PUT(at, "Strict-Transport-Security: max-age=");
		at = LOG_PUT(log_put_u64(at, conf->tls.hsts_ms / 1000), "\r\n");
	}
	head->added[head->added_count++] = str_make(start, (size_t)(at - start));
}
