// SPDX-License-Identifier: Apache-2.0
// Rules over a whole head, the same for every version of HTTP.
#include "proto/http.h"

#include "proto/scan.h"

enum { option_close = 1, option_keep_alive = 2, option_upgrade = 4 };

// Fields that change how a message is read. A head without any of them is done early.
static const u64 special_fields = HTTP_BIT(HTTP_F_CONTENT_LENGTH) |
				  HTTP_BIT(HTTP_F_TRANSFER_ENCODING) | HTTP_BIT(HTTP_F_CONNECTION) |
				  HTTP_BIT(HTTP_F_EXPECT) | HTTP_BIT(HTTP_F_UPGRADE);

static const u64 hop_fields = HTTP_BIT(HTTP_F_CONNECTION) | HTTP_BIT(HTTP_F_KEEP_ALIVE) |
			      HTTP_BIT(HTTP_F_PROXY_CONNECTION) | HTTP_BIT(HTTP_F_TE) |
			      HTTP_BIT(HTTP_F_TRANSFER_ENCODING) | HTTP_BIT(HTTP_F_UPGRADE) |
			      HTTP_BIT(HTTP_F_HTTP2_SETTINGS) |
			      HTTP_BIT(HTTP_F_PROXY_AUTHENTICATE) |
			      HTTP_BIT(HTTP_F_PROXY_AUTHORIZATION);

// Named in Connection, these stay: a client must not be able to strip what frames the message,
// says where it goes, or is the proxy's own word.
static const u64 kept_fields =
	HTTP_BIT(HTTP_F_HOST) | HTTP_BIT(HTTP_F_CONTENT_LENGTH) | HTTP_BIT(HTTP_F_X_FORWARDED_FOR) |
	HTTP_BIT(HTTP_F_X_FORWARDED_PROTO) | HTTP_BIT(HTTP_F_X_FORWARDED_HOST) |
	HTTP_BIT(HTTP_F_X_FORWARDED_BY) | HTTP_BIT(HTTP_F_X_BACKEND_SERVER) |
	HTTP_BIT(HTTP_F_X_REQUEST_ID) | HTTP_BIT(HTTP_F_X_REAL_IP) | HTTP_BIT(HTTP_F_FORWARDED) |
	HTTP_BIT(HTTP_F_VIA);

static bool has(const struct http_head *head, enum http_known known)
{
	return head->known_seen & HTTP_BIT(known);
}

static bool repeated(const struct http_head *head, enum http_known known)
{
	return head->known_repeated & HTTP_BIT(known);
}

static struct str field_text(const struct http_field *field)
{
	return str_make(field->value, field->value_len);
}

static struct str first_value(const struct http_head *head, enum http_known known)
{
	return field_text(http_head_find(head, known));
}

const struct http_field *http_head_find_name(const struct http_head *head, struct str name)
{
	enum http_known known = http_field_known(name.ptr, name.len);

	if (known)
		return http_head_find(head, known);
	for (u16 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (!field->known && str_eq_nocase(name, str_make(field->name, field->name_len)))
			return field;
	}
	return NULL;
}

static const char *rebase(const char *ptr, struct str raw, const char *copy)
{
	uintptr_t offset = (uintptr_t)ptr - (uintptr_t)raw.ptr;

	return offset <= raw.len ? copy + offset : ptr;
}

inline struct http_head *http_head_copy(struct arena *arena, const struct http_head *head)
{
	size_t fields_size = (head->field_count + HTTP_FIELDS_EXTRA) * sizeof(*head->fields);
	struct http_head *copy = arena_alloc(arena, sizeof(*copy) + fields_size + head->raw.len);
	char *raw;

	if (!copy)
		return NULL;
	memcpy(copy, head, offsetof(struct http_head, added));
	for (u8 i = 0; i < head->added_count; i++)
		copy->added[i] = head->added[i];
	copy->fields = (struct http_field *)(copy + 1);
	raw = (char *)copy->fields + fields_size;
	memcpy(raw, head->raw.ptr, head->raw.len);
	for (u16 i = 0; i < head->field_count; i++) {
		copy->fields[i] = head->fields[i];
		copy->fields[i].name = raw + (head->fields[i].name - head->raw.ptr);
		copy->fields[i].value = raw + (head->fields[i].value - head->raw.ptr);
	}
	copy->method_text.ptr = rebase(head->method_text.ptr, head->raw, raw);
	copy->target.ptr = rebase(head->target.ptr, head->raw, raw);
	copy->path.ptr = rebase(head->path.ptr, head->raw, raw);
	copy->authority.ptr = rebase(head->authority.ptr, head->raw, raw);
	copy->reason.ptr = rebase(head->reason.ptr, head->raw, raw);
	copy->raw.ptr = raw;
	return copy;
}

// The next element of a comma-separated list, without white space; may be empty.
static struct str list_next(struct str *rest)
{
	return str_trim(str_cut(rest, ','));
}

static u8 option_flag(struct str option)
{
	if (option.len == 5 && str_eq_nocase(option, STR("close")))
		return option_close;
	if (option.len == 10 && str_eq_nocase(option, STR("keep-alive")))
		return option_keep_alive;
	if (option.len == 7 && str_eq_nocase(option, STR("upgrade")))
		return option_upgrade;
	return 0;
}

// What all Connection fields together say. Their number of options is bounded, since each may have
// to be looked for among all fields.
static enum http_refusal connection_options(const struct http_head *head, u8 *ret_flags)
{
	u32 count = 0;
	u8 flags = 0;

	for (u16 i = head->first_known[HTTP_F_CONNECTION] - 1; i < head->field_count; i++) {
		struct str rest = field_text(&head->fields[i]);

		if (head->fields[i].known != HTTP_F_CONNECTION)
			continue;
		while (rest.len) {
			if (++count > HTTP_CONNECTION_OPTIONS_MAX)
				return HTTP_REFUSE_CONNECTION;
			flags |= option_flag(list_next(&rest));
		}
		if (!repeated(head, HTTP_F_CONNECTION))
			break;
	}
	*ret_flags = flags;
	return HTTP_REFUSE_OK;
}

// Zeros before the number are legal, but to some readers "010" is eight: they are not passed on.
static void drop_leading_zeros(struct http_head *head, struct http_field *field)
{
	while (field->value_len > 1 && *field->value == '0') {
		field->value++;
		field->value_len--;
	}
	head->plain = false;
}

// Digits only, once only, and small enough for the signed 64 bits that others count in.
static enum http_refusal read_content_length(struct http_head *head)
{
	struct http_field *field = &head->fields[head->first_known[HTTP_F_CONTENT_LENGTH] - 1];
	const char *at = field->value, *end = at + field->value_len;
	u64 length = 0;

	// All but the last 19 digits, which fit, are zeros, or the number is too large.
	for (; unlikely(end - at > 19); at++)
		if (*at != '0')
			return HTTP_REFUSE_CONTENT_LENGTH;
	for (; at < end; at++) {
		u32 digit = (u32)(*at - '0');

		if (unlikely(digit > 9))
			return HTTP_REFUSE_CONTENT_LENGTH;
		length = length * 10 + digit;
	}
	if (unlikely(repeated(head, HTTP_F_CONTENT_LENGTH) || field->value_len == 0 ||
		     length > INT64_MAX))
		return HTTP_REFUSE_CONTENT_LENGTH;
	if (unlikely(*field->value == '0' && field->value_len > 1))
		drop_leading_zeros(head, field);
	head->content_length = length;
	head->has_content_length = true;
	return HTTP_REFUSE_OK;
}

// Several plain names of codings, of which only the last is chunked: well formed, but not for us.
static bool codings_then_chunked(struct str value)
{
	bool chunked = false;
	u32 count = 0;

	while (value.len) {
		struct str coding = list_next(&value);

		if (chunked || coding.len == 0 ||
			scan_table(coding.ptr, coding.ptr + coding.len, SCAN_TOKEN) !=
				coding.ptr + coding.len)
			return false;
		chunked = str_eq_nocase(coding, STR("chunked"));
		count++;
	}
	return chunked && count > 1;
}

// RFC 9112 6.1 and 6.3: only "chunked", alone, once, and not in HTTP/1.0.
static enum http_refusal check_transfer_encoding(const struct http_head *head)
{
	struct str value = first_value(head, HTTP_F_TRANSFER_ENCODING);

	if (repeated(head, HTTP_F_TRANSFER_ENCODING) || head->version_minor == 0)
		return HTTP_REFUSE_TRANSFER_ENCODING;
	if (str_eq_nocase(value, STR("chunked")))
		return HTTP_REFUSE_OK;
	return codings_then_chunked(value) ? HTTP_REFUSE_CODING_UNKNOWN
					   : HTTP_REFUSE_TRANSFER_ENCODING;
}

// What the two framing fields say, for requests and responses alike, when one of them is there.
static inline enum http_refusal read_framing(struct http_head *head)
{
	enum http_refusal why = HTTP_REFUSE_OK;

	if (likely(has(head, HTTP_F_CONTENT_LENGTH))) {
		head->framing = HTTP_LENGTH;
		why = read_content_length(head);
	}
	if (likely(why || !has(head, HTTP_F_TRANSFER_ENCODING)))
		return why;
	if (head->has_content_length)
		return HTTP_REFUSE_LENGTH_AND_CHUNKED;
	head->framing = HTTP_CHUNKED;
	return check_transfer_encoding(head);
}

// RFC 9110 7.8: a list of protocols, each a token or two with a slash between. What is none could
// be read by others as something else than what we looked at. Elements may be empty (5.6.1.2).
static enum http_refusal check_upgrade(const struct http_head *head)
{
	for (u16 i = head->first_known[HTTP_F_UPGRADE] - 1; i < head->field_count; i++) {
		struct str rest = field_text(&head->fields[i]);

		if (head->fields[i].known != HTTP_F_UPGRADE)
			continue;
		while (rest.len) {
			struct str version = list_next(&rest);
			bool is_empty = version.len == 0, has_version;
			struct str name = str_make(version.ptr, str_find(version, '/'));

			has_version = name.len < version.len;
			(void)str_cut(&version, '/');
			if (!is_empty &&
				(!scan_is_token(name) || (has_version && !scan_is_token(version))))
				return HTTP_REFUSE_UPGRADE;
		}
	}
	return HTTP_REFUSE_OK;
}

// An offer to change to HTTP/2 in the clear would let requests pass unseen; it is not heard.
static bool upgrade_offered(const struct http_head *head)
{
	struct str rest;

	if (!has(head, HTTP_F_UPGRADE) || repeated(head, HTTP_F_UPGRADE) ||
		head->version_minor == 0)
		return false;
	rest = first_value(head, HTTP_F_UPGRADE);
	if (rest.len == 0)
		return false;
	while (rest.len) {
		struct str protocol = list_next(&rest);

		if (str_eq_nocase(protocol, STR("h2c")) || str_eq_nocase(protocol, STR("h2")))
			return false;
	}
	return true;
}

static bool same_protocol(struct str a, struct str b)
{
	return str_eq_nocase(str_cut(&a, '/'), str_cut(&b, '/'));
}

bool http_upgrade_agrees(const struct http_head *request, const struct http_head *response)
{
	struct str taken, offers;

	if (!request->upgrade || !response->upgrade)
		return false;
	taken = first_value(response, HTTP_F_UPGRADE);
	while (taken.len) {
		struct str protocol = list_next(&taken);
		bool found = false;

		offers = first_value(request, HTTP_F_UPGRADE);
		while (offers.len && !found)
			found = same_protocol(list_next(&offers), protocol);
		if (!found)
			return false;
	}
	return true;
}

static enum http_refusal read_expect(struct http_head *head)
{
	if (!has(head, HTTP_F_EXPECT) || head->version_minor == 0)
		return HTTP_REFUSE_OK;
	if (repeated(head, HTTP_F_EXPECT) ||
		!str_eq_nocase(first_value(head, HTTP_F_EXPECT), STR("100-continue")))
		return HTTP_REFUSE_EXPECT;
	head->expect_continue = head->framing == HTTP_CHUNKED || head->content_length > 0;
	return HTTP_REFUSE_OK;
}

static size_t scheme_len(struct str target)
{
	if (target.len >= 7 && str_eq_nocase(str_make(target.ptr, 7), STR("http://")))
		return 7;
	if (target.len >= 8 && str_eq_nocase(str_make(target.ptr, 8), STR("https://")))
		return 8;
	return 0;
}

static enum http_refusal read_absolute_form(struct http_head *head)
{
	struct str target = head->target, rest;
	size_t skip = scheme_len(target), len = 0;

	if (skip == 0)
		return HTTP_REFUSE_TARGET;
	rest = str_make(target.ptr + skip, target.len - skip);
	while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?')
		len++;
	head->authority = str_make(rest.ptr, len);
	if (!http_authority_valid(head->authority))
		return HTTP_REFUSE_TARGET;
	head->path = str_make(rest.ptr + len, rest.len - len);
	if (head->path.len == 0)
		head->path = head->method == HTTP_OPTIONS ? STR("*") : STR("/");
	// "http://host?query" would need a slash that no byte of the head can lend.
	return head->path.ptr[0] == '?' ? HTTP_REFUSE_TARGET : HTTP_REFUSE_OK;
}

// The authority-form has a host and a port that is not empty (RFC 9112 3.2.3).
static enum http_refusal read_authority_form(struct http_head *head)
{
	struct str target = head->target;
	size_t len = target.len;

	while (len && ascii_is_digit(target.ptr[len - 1]))
		len--;
	if (len == 0 || len == target.len || target.ptr[len - 1] != ':' ||
		!http_authority_valid(target))
		return HTTP_REFUSE_TARGET;
	head->path = head->authority = target;
	return HTTP_REFUSE_OK;
}

// The forms of a target other than "/path" (RFC 9112 3.2.2 to 3.2.4).
static enum http_refusal read_odd_target(struct http_head *head)
{
	if (head->method == HTTP_CONNECT)
		return read_authority_form(head);
	if (str_eq(head->target, STR("*"))) {
		head->path = head->target;
		return head->method == HTTP_OPTIONS ? HTTP_REFUSE_OK : HTTP_REFUSE_TARGET;
	}
	return read_absolute_form(head);
}

static enum http_refusal read_host(struct http_head *head)
{
	struct str host;

	if (unlikely(!has(head, HTTP_F_HOST))) {
		if (head->version_minor)
			return HTTP_REFUSE_HOST_MISSING;
		if (head->authority.len == 0)
			head->authority = STR_EMPTY;
		return HTTP_REFUSE_OK;
	}
	if (unlikely(repeated(head, HTTP_F_HOST)))
		return HTTP_REFUSE_HOST_REPEATED;
	host = first_value(head, HTTP_F_HOST);
	if (unlikely(!http_authority_valid(host)) && (host.len || head->version_minor))
		return HTTP_REFUSE_HOST_INVALID;
	if (likely(head->authority.len == 0))
		head->authority = host;
	return HTTP_REFUSE_OK;
}

static enum http_refusal request_special(struct http_head *head)
{
	enum http_refusal why = read_framing(head);
	u8 flags = 0;

	if (!why && has(head, HTTP_F_CONNECTION))
		why = connection_options(head, &flags);
	if (!why)
		why = read_expect(head);
	if (!why && has(head, HTTP_F_UPGRADE))
		why = check_upgrade(head);
	if (why)
		return why;
	if (flags & option_close)
		head->keep_alive = false;
	else if (flags & option_keep_alive)
		head->keep_alive = true;
	head->upgrade = (flags & option_upgrade) && upgrade_offered(head);
	return HTTP_REFUSE_OK;
}

inline enum http_refusal http_request_rules(struct http_head *head)
{
	enum http_refusal why = HTTP_REFUSE_OK;

	if (likely(head->target.ptr[0] == '/' && head->method != HTTP_CONNECT))
		head->path = head->target;
	else
		why = read_odd_target(head);
	if (!why)
		why = read_host(head);
	if (unlikely(why))
		return why;
	head->framing = HTTP_NO_BODY;
	head->keep_alive = head->version_minor;
	if (head->known_seen & special_fields)
		why = request_special(head);
	if (unlikely(head->method == HTTP_CONNECT && !why))
		return HTTP_REFUSE_CONNECT;
	return why;
}

static bool response_has_no_body(const struct http_head *head, enum http_method method)
{
	return method == HTTP_HEAD || head->status < 200 || head->status == 204 ||
	       head->status == 304 || (method == HTTP_CONNECT && head->status < 300);
}

inline enum http_refusal http_response_rules(struct http_head *head, enum http_method method)
{
	enum http_refusal why;
	u8 flags = 0;

	head->framing = HTTP_UNTIL_CLOSE;
	why = read_framing(head);
	if (likely(!why) && has(head, HTTP_F_CONNECTION))
		why = connection_options(head, &flags);
	if (unlikely(why))
		return why;
	if (unlikely(response_has_no_body(head, method)))
		head->framing = HTTP_NO_BODY;
	// RFC 9110 8.6: these must not carry a length. Servers do send "0" with a 204.
	if (unlikely(head->status < 200 || head->status == 204)) {
		head->has_content_length = false;
		head->content_length = 0;
	}
	head->keep_alive = head->framing != HTTP_UNTIL_CLOSE &&
			   (head->version_minor || flags & option_keep_alive) &&
			   !(flags & option_close);
	if (unlikely(head->status == 101))
		head->upgrade = (flags & option_upgrade) && upgrade_offered(head);
	return HTTP_REFUSE_OK;
}

// One option of Connection: the fields of that name are of this connection only.
static void mark_named(struct http_head *head, struct str name)
{
	enum http_known known = http_field_known(name.ptr, name.len);

	if (known && (kept_fields & HTTP_BIT(known) || !has(head, known)))
		return;
	for (u16 i = 0; i < head->field_count; i++) {
		struct http_field *field = &head->fields[i];

		if (known ? field->known == known
			  : !field->known && field->name_len == name.len &&
					str_eq_nocase(name, str_make(field->name, name.len)))
			field->hop = true;
	}
}

static void mark_connection(struct http_head *head)
{
	for (u16 i = head->first_known[HTTP_F_CONNECTION] - 1; i < head->field_count; i++) {
		struct str rest = field_text(&head->fields[i]);

		if (head->fields[i].known != HTTP_F_CONNECTION)
			continue;
		while (rest.len) {
			struct str option = list_next(&rest);

			if (option.len && !option_flag(option))
				mark_named(head, option);
		}
	}
}

// Kept apart, so that a look which finds nothing is all that most heads pay for.
static __attribute__((noinline)) void mark_fields(struct http_head *head, u64 marked)
{
	head->any_hop = true;
	for (u16 i = 0; i < head->field_count; i++)
		if (marked & HTTP_BIT(head->fields[i].known))
			head->fields[i].hop = true;
	if (has(head, HTTP_F_CONNECTION))
		mark_connection(head);
}

void http_mark_hop_fields(struct http_head *head)
{
	u64 marked = hop_fields;

	if (head->status && !head->has_content_length)
		marked |= HTTP_BIT(HTTP_F_CONTENT_LENGTH);
	if (unlikely(head->known_seen & marked))
		mark_fields(head, marked);
}
