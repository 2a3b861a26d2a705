// SPDX-License-Identifier: Apache-2.0
#include "proto/h1_parse.h"

#include "proto/http_names.h"
#include "proto/scan.h"

// The helpers below take where to read from and where the bytes end. They give the place behind
// what they read, or NULL: then *ret_why is the refusal, or HTTP_REFUSE_OK when bytes are missing.

static const char *refuse(enum http_refusal *ret_why, enum http_refusal why)
{
	*ret_why = why;
	return NULL;
}

static inline bool at_crlf(const char *at, const char *end)
{
	return at + 1 < end && memcmp(at, "\r\n", 2) == 0;
}

// What follows is not CRLF, and `other` says what it is when it has nothing to do with line ends.
static const char *refuse_end(
	const char *at, const char *end, enum http_refusal other, enum http_refusal *ret_why)
{
	if (at == end || (*at == '\r' && at + 1 == end))
		return NULL;
	return refuse(ret_why, *at == '\r' || *at == '\n' ? HTTP_REFUSE_LINE_END : other);
}

// Behind the value (or reason) at `at` and its CRLF. Tabs are rare: the fast scanner stops at them.
static inline const char *value_line(const char *at, const char *end, enum http_refusal other,
	struct str *ret_value, enum http_refusal *ret_why)
{
	const char *start = at;

	at = scan_value(at, end);
	while (unlikely(!at_crlf(at, end))) {
		if (at == end || *at != '\t')
			return refuse_end(at, end, other, ret_why);
		at = scan_value(at + 1, end);
	}
	*ret_value = str_make(start, (size_t)(at - start));
	return at + 2;
}

static inline const char *method(
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

static inline const char *target(const char *at, const char *end, u32 bytes_max,
	struct http_head *head, enum http_refusal *ret_why)
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
static inline const char *request_version(
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

// "HTTP/1.1 200": fast for the two versions there are, otherwise what is wrong is sought.
static const char *response_version(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	static const char pattern[] = "HTTP/0.0 000";
	size_t len;

	if (likely(end - at >= 9 && memcmp(at, "HTTP/1.1 ", 9) == 0)) {
		head->version_minor = 1;
		return at + 9;
	}
	len = match(at, end, pattern);
	if (at + len == end && len < sizeof(pattern) - 1)
		return NULL;
	if (len >= 9 && version_known(at)) {
		head->version_minor = at[7] == '1';
		return at + 9;
	}
	if (len >= sizeof(pattern) - 1)
		return refuse(ret_why, HTTP_REFUSE_VERSION);
	return refuse(ret_why, at[len] == '\n' ? HTTP_REFUSE_LINE_END : HTTP_REFUSE_STATUS_LINE);
}

// Three digits, 100 to 999.
static inline const char *status_code(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	u32 hundreds, tens, ones;
	int i = 0;

	if (likely(end - at >= 3)) {
		hundreds = (u32)(at[0] - '1');
		tens = (u32)(at[1] - '0');
		ones = (u32)(at[2] - '0');
		if (likely(hundreds <= 8 && tens <= 9 && ones <= 9)) {
			head->status = (u16)(100 + hundreds * 100 + tens * 10 + ones);
			return at + 3;
		}
	}
	while (i < 3 && at + i < end && ascii_is_digit(at[i]) && at[0] != '0')
		i++;
	if (at + i == end)
		return NULL;
	return refuse(ret_why, at[i] == '\n' ? HTTP_REFUSE_LINE_END : HTTP_REFUSE_STATUS_LINE);
}

static inline const char *status_line(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	at = response_version(at, end, head, ret_why);
	if (likely(at != NULL))
		at = status_code(at, end, head, ret_why);
	if (unlikely(!at || at == end))
		return NULL;
	if (likely(*at == ' '))
		return value_line(at + 1, end, HTTP_REFUSE_STATUS_LINE, &head->reason, ret_why);
	head->reason = str_make(at, 0);
	return at_crlf(at, end) ? at + 2 : refuse_end(at, end, HTTP_REFUSE_STATUS_LINE, ret_why);
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

// The end of a field name, where its colon stands.
static inline const char *field_name(const char *at, const char *end, enum http_refusal *ret_why)
{
	const char *start = at;

	at = scan_word(at, end);
	if (likely(at < end && *at == ':' && at > start))
		return at;
	at = scan_table(at, end, SCAN_TOKEN);
	if (at == end)
		return NULL;
	if (*at != ':' || at == start)
		return refuse_name(start, at, ret_why);
	return at;
}

// One field line: name ":" OWS value OWS CRLF (RFC 9112 5).
static __attribute__((noinline)) const char *field_line(
	const char *at, const char *end, struct http_field *field, enum http_refusal *ret_why)
{
	const char *colon = field_name(at, end, ret_why), *behind;
	struct str value;

	if (unlikely(!colon))
		return NULL;
	field->name = at;
	field->name_len = (u16)(colon - at);
	field->known = (u8)http_field_known(at, field->name_len);
	field->hop = false;
	at = colon + 1;
	if (likely(at < end && *at == ' '))
		at++;
	while (unlikely(at < end && ascii_is_blank(*at)))
		at++;
	behind = value_line(at, end, HTTP_REFUSE_FIELD_VALUE, &value, ret_why);
	if (unlikely(!behind))
		return NULL;
	if (unlikely((u8)behind[-3] <= ' '))
		value = str_trim(value);
	field->value = value.ptr;
	field->value_len = (u32)value.len;
	return behind;
}

enum { fast_line_room = 16 + 2 + 16 }; // name, colon and space, start of the value with its CRLF

#if SCAN_SSE2
// The field lines of everyday: a name of at most 15 letters and the like, without "_" (most are
// known, and those need no look at their bytes), one space, a value without tabs. NULL: field_line
// must see. With `roomy`, known when compiled, fast_line_room bytes are there and are not asked for
// again.
static inline __attribute__((always_inline)) const char *field_line_fast(
	const char *at, const char *end, bool roomy, struct http_field *field)
{
	const char *value, *behind;
	enum http_known known;
	u32 len, first;

	if (!roomy && unlikely(end - at < 16))
		return NULL;
	len = scan_colon(at);
	if (unlikely(len - 1 > 14))
		return NULL;
	known = http_known_short(at, len);
	value = at + len + 2;
	if (unlikely((!known && !scan_all_plain(at, len)) || (!roomy && value >= end) ||
		     value[-1] != ' ' || (u8)value[0] <= ' '))
		return NULL;
	first = roomy ? scan_value_start(value) : 16;
	behind = value + first;
	if (first == 16) {
		behind = scan_value(roomy ? behind : value, end);
		if (unlikely(!at_crlf(behind, end)))
			return NULL;
	}
	if (unlikely(memcmp(behind, "\r\n", 2) != 0 || behind[-1] == ' '))
		return NULL;
	field->name = at;
	field->value = value;
	field->value_len = (u32)(behind - value);
	field->name_len = (u16)len;
	field->known = (u8)known;
	field->hop = false;
	return behind + 2;
}
#else
static const char *field_line_fast(
	const char *at, const char *end, bool roomy, struct http_field *field)
{
	(void)at, (void)end, (void)roomy, (void)field;
	return NULL;
}
#endif

// "Name: value", one space and nothing else; so is every line of field_line_fast.
static bool is_plain(const struct http_field *field, const char *behind)
{
	return field->value == field->name + field->name_len + 2 && field->value[-1] == ' ' &&
	       behind == field->value + field->value_len + 2;
}

// field_line_fast takes no name that has one.
static bool has_underscore(const struct http_field *field)
{
	return !field->known && memchr(field->name, '_', field->name_len);
}

// Field lines up to and with the empty line.
static const char *field_lines(
	const char *at, const char *end, struct http_head *head, enum http_refusal *ret_why)
{
	struct http_field *fields = head->fields;
	struct http_known_sum sum = {0};
	bool plain = true, underscore = false;
	u32 count = 0;

	while (likely(at < end && *at != '\r')) {
		const char *behind;

		if (unlikely(count == HTTP_FIELDS_MAX))
			return refuse(ret_why, HTTP_REFUSE_TOO_MANY_FIELDS);
		if (likely(end - at >= fast_line_room))
			behind = field_line_fast(at, end, true, &fields[count]);
		else
			behind = field_line_fast(at, end, false, &fields[count]);
		if (unlikely(!behind)) {
			behind = field_line(at, end, &fields[count], ret_why);
			if (unlikely(!behind))
				return NULL;
			plain &= is_plain(&fields[count], behind);
			underscore |= has_underscore(&fields[count]);
		}
		at = behind;
		count++;
		http_known_add(head, &sum, fields[count - 1].known, count);
	}
	head->field_count = head->sent_count = (u16)count;
	head->plain = plain;
	head->has_underscore = underscore;
	head->known_seen = sum.seen;
	head->known_repeated = sum.again;
	return likely(at_crlf(at, end)) ? at + 2
					: refuse_end(at, end, HTTP_REFUSE_LINE_END, ret_why);
}

// RFC 9112 2.2: an empty line or two may come before a request, left over from the one before.
static const char *empty_lines(const char *at, const char *end, enum http_refusal *ret_why)
{
	for (int i = 0; unlikely(i < 2 && at < end && *at == '\r'); i++) {
		if (!at_crlf(at, end))
			return refuse_end(at, end, HTTP_REFUSE_LINE_END, ret_why);
		at += 2;
	}
	return at;
}

// What the end of a helper's NULL means to the caller.
static int not_read(size_t len, const struct h1_limits *limits, enum http_refusal *ret_why)
{
	if (*ret_why == HTTP_REFUSE_OK && len >= limits->head_bytes_max)
		*ret_why = HTTP_REFUSE_HEAD_TOO_LARGE;
	return *ret_why ? -1 : 0;
}

inline int h1_parse_request(const char *buf, size_t len, const struct h1_limits *limits,
	struct http_field *fields, struct http_head *ret_head, enum http_refusal *ret_why)
{
	const char *end = buf + MIN(len, limits->head_bytes_max), *start, *at;

	http_head_init(ret_head, fields);
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

inline int h1_parse_response(const char *buf, size_t len, const struct h1_limits *limits,
	enum http_method method, struct http_field *fields, struct http_head *ret_head,
	enum http_refusal *ret_why)
{
	const char *end = buf + MIN(len, limits->head_bytes_max), *at;

	http_head_init(ret_head, fields);
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
