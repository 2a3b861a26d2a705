// SPDX-License-Identifier: Apache-2.0
#include "proto/h1_parse.h"

#include "proto/scan.h"

// The helpers below take where to read from and where the bytes end. They give the place behind
// what they read, or NULL: then *ret_why is the refusal, or HTTP_REFUSE_OK when bytes are missing.

static const char *refuse(enum http_refusal *ret_why, enum http_refusal why)
{
	*ret_why = why;
	return NULL;
}

// At the first byte that a value cannot have: only CRLF ends a line.
static const char *line_end(
	const char *at, const char *end, enum http_refusal other, enum http_refusal *ret_why)
{
	if (at == end)
		return NULL;
	if (*at == '\r') {
		if (at + 1 == end)
			return NULL;
		if (likely(at[1] == '\n'))
			return at + 2;
		return refuse(ret_why, HTTP_REFUSE_LINE_END);
	}
	return refuse(ret_why, *at == '\n' ? HTTP_REFUSE_LINE_END : other);
}

static const char *method(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	const char *start = at;

	if (likely(end - at >= 4 && memcmp(at, "GET ", 4) == 0)) {
		head->method = HTTP_GET;
		head->method_text = str_make(at, 3);
		return at + 4;
	}
	at = scan_table(scan_word(at, end), end, SCAN_TOKEN);
	if (at == end)
		return NULL;
	if (*at == '\n')
		return refuse(ret_why, HTTP_REFUSE_LINE_END);
	if (*at == '\r')
		return refuse(ret_why, HTTP_REFUSE_REQUEST_LINE);
	if (*at != ' ' || at == start)
		return refuse(ret_why, HTTP_REFUSE_METHOD);
	head->method_text = str_make(start, (size_t)(at - start));
	head->method = (u8)http_method_parse(head->method_text);
	return at + 1;
}

static const char *target(const char *at, const char *end, u32 bytes_max, struct http_head *head,
	enum http_refusal *ret_why)
{
	const char *start = at;

	at = scan_target(at, end);
	if (unlikely((size_t)(at - start) > bytes_max))
		return refuse(ret_why, HTTP_REFUSE_URI_TOO_LONG);
	if (at == end)
		return NULL;
	if (unlikely(*at != ' ')) {
		if (*at == '\r')
			return refuse(ret_why, HTTP_REFUSE_REQUEST_LINE);
		return refuse(ret_why, *at == '\n' ? HTTP_REFUSE_LINE_END : HTTP_REFUSE_TARGET);
	}
	if (unlikely(at == start))
		return refuse(ret_why, HTTP_REFUSE_REQUEST_LINE);
	head->target = str_make(start, (size_t)(at - start));
	return at + 1;
}

// Compares with a pattern in which '0' stands for any digit, as far as there are bytes. Length of
// what agrees.
static size_t match(const char *at, const char *end, const char *pattern)
{
	size_t len = 0;

	while (pattern[len] && at + len < end &&
		(pattern[len] == '0' ? ascii_is_digit(at[len]) : at[len] == pattern[len]))
		len++;
	return len;
}

static bool version_known(const char *at)
{
	return at[5] == '1' && (at[7] == '0' || at[7] == '1');
}

// "HTTP/1.1" CRLF. Any other well-formed version is told apart from nonsense.
static const char *request_version(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	static const char pattern[] = "HTTP/0.0\r\n";
	size_t len;

	if (likely(end - at >= 10 && memcmp(at, "HTTP/1.1\r\n", 10) == 0)) {
		head->version_minor = 1;
		return at + 10;
	}
	len = match(at, end, pattern);
	if (at + len == end && len < sizeof(pattern) - 1)
		return NULL;
	if (len < sizeof(pattern) - 1)
		return refuse(ret_why, at[len] == '\n' || len == 9 ? HTTP_REFUSE_LINE_END
								   : HTTP_REFUSE_REQUEST_LINE);
	if (!version_known(at))
		return refuse(ret_why, HTTP_REFUSE_VERSION);
	head->version_minor = at[7] == '1';
	return at + len;
}

static const char *status_line(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	static const char pattern[] = "HTTP/0.0 000";
	const char *reason;
	size_t len = match(at, end, pattern);

	if (len < sizeof(pattern) - 1) {
		if (at + len == end)
			return NULL;
		return refuse(
			ret_why, at[len] == '\n' ? HTTP_REFUSE_LINE_END : HTTP_REFUSE_STATUS_LINE);
	}
	if (!version_known(at))
		return refuse(ret_why, HTTP_REFUSE_VERSION);
	head->version_minor = at[7] == '1';
	head->status = (u16)((at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0'));
	if (head->status < 100)
		return refuse(ret_why, HTTP_REFUSE_STATUS_LINE);
	at += len;
	if (at == end)
		return NULL;
	if (likely(*at == ' ')) {
		reason = ++at;
		at = scan_value(at, end);
		head->reason = str_make(reason, (size_t)(at - reason));
	}
	return line_end(at, end, HTTP_REFUSE_STATUS_LINE, ret_why);
}

// A field line whose name is not followed by its colon, seen at `at`.
static const char *refuse_name(const char *start, const char *at, enum http_refusal *ret_why)
{
	if (*at == '\n')
		return refuse(ret_why, HTTP_REFUSE_LINE_END);
	if (at == start && (*at == ' ' || *at == '\t'))
		return refuse(ret_why, HTTP_REFUSE_OBS_FOLD);
	return refuse(ret_why, HTTP_REFUSE_FIELD_NAME);
}

// One field line: name ":" OWS value OWS CRLF (RFC 9112 5).
static const char *field_line(
	const char *at, const char *end, struct http_field *field, enum http_refusal *ret_why)
{
	const char *start = at, *behind;

	at = scan_word(at, end);
	if (unlikely(at == end || *at != ':' || at == start)) {
		at = scan_table(at, end, SCAN_TOKEN);
		if (at == end)
			return NULL;
		if (*at != ':' || at == start)
			return refuse_name(start, at, ret_why);
	}
	field->name = start;
	field->name_len = (u16)(at - start);
	at++;
	if (likely(at < end && *at == ' '))
		at++;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	field->value = at;
	at = scan_value(at, end);
	behind = line_end(at, end, HTTP_REFUSE_FIELD_VALUE, ret_why);
	if (unlikely(!behind))
		return NULL;
	while (at > field->value && (at[-1] == ' ' || at[-1] == '\t'))
		at--;
	field->value_len = (u32)(at - field->value);
	field->known = (u8)http_field_known(start, field->name_len);
	field->hop = false;
	return behind;
}

// Field lines up to and with the empty line.
static const char *field_lines(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	u16 count = 0;

	for (;;) {
		if (at == end)
			return NULL;
		if (*at == '\r') {
			head->field_count = count;
			return line_end(at, end, HTTP_REFUSE_OK, ret_why);
		}
		if (unlikely(count == HTTP_FIELDS_MAX))
			return refuse(ret_why, HTTP_REFUSE_TOO_MANY_FIELDS);
		at = field_line(at, end, &head->fields[count], ret_why);
		if (unlikely(!at))
			return NULL;
		http_head_note(head, count, head->fields[count].known);
		count++;
	}
}

// RFC 9112 2.2: an empty line or two may come before a request, left over from the one before.
static const char *empty_lines(const char *at, const char *end, enum http_refusal *ret_why)
{
	for (int i = 0; i < 2 && at && at < end && *at == '\r'; i++)
		at = line_end(at, end, HTTP_REFUSE_OK, ret_why);
	return at;
}

// What the end of a helper's NULL means to the caller.
static int not_read(size_t len, const struct h1_limits *limits, enum http_refusal *ret_why)
{
	if (*ret_why == HTTP_REFUSE_OK && len >= limits->head_bytes_max)
		*ret_why = HTTP_REFUSE_HEAD_TOO_LARGE;
	return *ret_why ? -1 : 0;
}

int h1_parse_request(const char *buf, size_t len, const struct h1_limits *limits,
	struct http_field *fields, struct http_head *ret_head, enum http_refusal *ret_why)
{
	const char *end = buf + MIN(len, limits->head_bytes_max), *start, *at;

	*ret_head = (struct http_head){.fields = fields};
	*ret_why = HTTP_REFUSE_OK;
	at = start = empty_lines(buf, end, ret_why);
	if (at)
		at = method(at, end, ret_head, ret_why);
	if (at)
		at = target(at, end, limits->target_bytes_max, ret_head, ret_why);
	if (at)
		at = request_version(at, end, ret_head, ret_why);
	if (at)
		at = field_lines(at, end, ret_head, ret_why);
	if (unlikely(!at))
		return not_read(len, limits, ret_why);
	ret_head->raw = str_make(start, (size_t)(at - start));
	*ret_why = http_request_rules(ret_head);
	return *ret_why ? -1 : (int)(at - buf);
}

int h1_parse_response(const char *buf, size_t len, const struct h1_limits *limits,
	enum http_method method, struct http_field *fields, struct http_head *ret_head,
	enum http_refusal *ret_why)
{
	const char *end = buf + MIN(len, limits->head_bytes_max), *at;

	*ret_head = (struct http_head){.fields = fields};
	*ret_why = HTTP_REFUSE_OK;
	at = status_line(buf, end, ret_head, ret_why);
	if (at)
		at = field_lines(at, end, ret_head, ret_why);
	if (unlikely(!at))
		return not_read(len, limits, ret_why);
	ret_head->raw = str_make(buf, (size_t)(at - buf));
	*ret_why = http_response_rules(ret_head, method);
	return *ret_why ? -1 : (int)(at - buf);
}

int h1_parse_trailers(const char *buf, size_t len, const struct h1_limits *limits,
	struct http_field *fields, u16 *ret_count, enum http_refusal *ret_why)
{
	const char *end = buf + MIN(len, limits->head_bytes_max), *at;
	struct http_head head = {.fields = fields};

	*ret_why = HTTP_REFUSE_OK;
	at = field_lines(buf, end, &head, ret_why);
	if (!at)
		return not_read(len, limits, ret_why);
	for (u16 i = 0; i < head.field_count; i++) {
		if (!http_trailer_allowed(fields[i].known)) {
			*ret_why = HTTP_REFUSE_TRAILER;
			return -1;
		}
	}
	*ret_count = head.field_count;
	return (int)(at - buf);
}

// Line by line. `start` is where the first line begins that may be the final empty one.
static size_t find_end(const char *buf, size_t len, size_t start, size_t *scanned)
{
	const char *at;

	*scanned = MAX(*scanned, start);
	while (*scanned < len && (at = memchr(buf + *scanned, '\n', len - *scanned))) {
		size_t line = (size_t)(at - buf);

		*scanned = line + 1;
		if (line == start || buf[line - 1] != '\r')
			return line + 1;
		if (line == start + 1 || (line >= start + 2 && buf[line - 2] == '\n'))
			return line + 1;
	}
	*scanned = MAX(*scanned, len);
	return 0;
}

size_t h1_head_end(const char *buf, size_t len, size_t *scanned)
{
	size_t start = 0;

	while (start < 4 && start + 2 <= len && buf[start] == '\r' && buf[start + 1] == '\n')
		start += 2;
	return find_end(buf, len, start, scanned);
}

size_t h1_trailers_end(const char *buf, size_t len, size_t *scanned)
{
	return find_end(buf, len, 0, scanned);
}
