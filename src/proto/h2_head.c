// SPDX-License-Identifier: Apache-2.0
// From text of HTTP/1 to a head, or to trailers: a message of HTTP/2 is read like one of HTTP/1, by
// its parser or by what was noted of it (h2_text.c). Since names are tokens, and as many lines must
// be found as were written, no byte of a value can end its line. No field may concern a connection
// (RFC 9113 8.2.2).
#include "proto/h2_parts.h"
#include "proto/http_names.h"

// RFC 9113 8.2.2. TE is one of them unless it says "trailers".
static const u64 connection_fields = HTTP_BIT(HTTP_F_CONNECTION) | HTTP_BIT(HTTP_F_KEEP_ALIVE) |
				     HTTP_BIT(HTTP_F_PROXY_CONNECTION) |
				     HTTP_BIT(HTTP_F_TRANSFER_ENCODING) | HTTP_BIT(HTTP_F_UPGRADE);

// `own`: the lines about an upgrade that h2_text.c wrote.
static bool concerns_connection(const struct http_head *head, u64 own)
{
	return head->known_seen & connection_fields & ~own ||
	       head->known_repeated & connection_fields;
}

static u64 own_lines(bool is_upgrade)
{
	return is_upgrade ? HTTP_BIT(HTTP_F_CONNECTION) | HTTP_BIT(HTTP_F_UPGRADE) : 0;
}

static bool te_is_valid(const struct http_head *head)
{
	const struct http_field *te = http_head_find(head, HTTP_F_TE);

	return !te || (!(head->known_repeated & HTTP_BIT(HTTP_F_TE)) &&
			      str_eq_nocase(str_make(te->value, te->value_len), STR("trailers")));
}

// Of a head that was read: as many fields as were written, and none that concerns a connection.
static inline enum http_refusal judge_fields(const struct h2 *h2, bool is_upgrade)
{
	const struct http_head *head = &h2->parser->head;

	if (head->field_count != h2->text.field_count)
		return HTTP_REFUSE_FIELD_VALUE;
	if (unlikely(concerns_connection(head, own_lines(is_upgrade)) || !te_is_valid(head)))
		return HTTP_REFUSE_FRAMES;
	return HTTP_REFUSE_OK;
}

// What parse_request or parse_response would have found.
static void take_noted(struct h2 *h2)
{
	struct h2_text *text = &h2->text;
	struct h1_parser *parser = h2->parser;
	struct http_head *head = &parser->head;
	struct http_known_sum sum = {0};

	http_head_init(head, parser->fields);
	for (u32 i = 0; i < text->field_count; i++)
		http_known_add(head, &sum, parser->fields[i].known, i + 1);
	head->version_minor = 1;
	head->field_count = head->sent_count = text->field_count;
	head->plain = true;
	head->known_seen = sum.seen;
	head->known_repeated = sum.again;
	head->raw = str_make(text->block->data + text->raw_at, text->len - text->raw_at);
}

static enum http_refusal parse_request(struct h2 *h2)
{
	struct h1_parser *parser = h2->parser;
	struct h1_limits limits = parser->limits;
	enum http_refusal why = HTTP_REFUSE_OK;
	size_t len = h2->text.len - h2->text.raw_at;
	int used;

	limits.head_bytes_max = HTTP_HEAD_BYTES_MAX; // counted as HTTP/2 counts
	used = h1_parse_request(h2->text.block->data + h2->text.raw_at, len, &limits,
		parser->fields, &parser->head, &why);
	if (used < 0)
		return why;
	// What the parser has seen as one head is all that was written.
	return (size_t)used == len ? HTTP_REFUSE_OK : HTTP_REFUSE_FIELD_VALUE;
}

static enum http_refusal parse_response(struct h2 *h2, enum http_method method)
{
	struct h1_parser *parser = h2->parser;
	struct h1_limits limits = parser->limits;
	enum http_refusal why = HTTP_REFUSE_OK;
	size_t len = h2->text.len - h2->text.raw_at;
	int used;

	limits.head_bytes_max = HTTP_HEAD_BYTES_MAX;
	used = h1_parse_response(h2->text.block->data + h2->text.raw_at, len, &limits, method,
		parser->fields, &parser->head, &why);
	if (used < 0)
		return why;
	return (size_t)used == len ? HTTP_REFUSE_OK : HTTP_REFUSE_FIELD_VALUE;
}

#if WEIR_TESTS
static bool is_same_str(struct str a, struct str b)
{
	return a.ptr == b.ptr && a.len == b.len;
}

// In builds with tests each head that was noted is parsed all the same, and has to be the same.
static void check_noted(enum http_refusal why, const struct http_head *noted,
	enum http_refusal parsed_why, const struct http_head *parsed)
{
	ASSERT(why == parsed_why);
	if (why)
		return;
	ASSERT(noted->method == parsed->method && noted->status == parsed->status &&
		is_same_str(noted->method_text, parsed->method_text) &&
		is_same_str(noted->target, parsed->target) &&
		is_same_str(noted->path, parsed->path) &&
		is_same_str(noted->authority, parsed->authority) &&
		is_same_str(noted->reason, parsed->reason) && is_same_str(noted->raw, parsed->raw));
	ASSERT(noted->framing == parsed->framing && noted->keep_alive == parsed->keep_alive &&
		noted->expect_continue == parsed->expect_continue &&
		noted->upgrade == parsed->upgrade && noted->plain == parsed->plain &&
		noted->has_content_length == parsed->has_content_length &&
		noted->content_length == parsed->content_length &&
		noted->any_hop == parsed->any_hop &&
		noted->has_underscore == parsed->has_underscore);
	ASSERT(noted->field_count == parsed->field_count &&
		noted->sent_count == parsed->sent_count &&
		noted->known_seen == parsed->known_seen &&
		noted->known_repeated == parsed->known_repeated);
	for (u32 i = 0; i < noted->field_count; i++) {
		const struct http_field *a = &noted->fields[i], *b = &parsed->fields[i];

		ASSERT(a->name == b->name && a->name_len == b->name_len && a->value == b->value &&
			a->value_len == b->value_len && a->known == b->known && a->hop == b->hop);
		ASSERT(!a->known || noted->first_known[a->known] == parsed->first_known[a->known]);
	}
}

static enum http_refusal checked(
	struct h2 *h2, enum http_refusal why, const enum http_method *answer_to)
{
	struct http_field fields[HTTP_FIELDS_MAX + HTTP_FIELDS_EXTRA];
	struct http_head noted = h2->parser->head;
	enum http_refusal parsed_why;

	memcpy(fields, noted.fields, sizeof(*fields) * noted.field_count);
	noted.fields = fields;
	parsed_why = answer_to ? parse_response(h2, *answer_to) : parse_request(h2);
	check_noted(why, &noted, parsed_why, &h2->parser->head);
	return why;
}
#else
static inline enum http_refusal checked(
	struct h2 *h2, enum http_refusal why, const enum http_method *answer_to)
{
	(void)h2;
	(void)answer_to;
	return why;
}
#endif

static enum http_refusal read_request(struct h2 *h2)
{
	struct h2_text *text = &h2->text;
	struct http_head *head = &h2->parser->head;

	if (unlikely(!text->is_noted || text->len > HTTP_HEAD_BYTES_MAX))
		return parse_request(h2);
	take_noted(h2);
	head->method_text = str_make(head->raw.ptr, text->method.len);
	head->method = likely(text->is_get) ? HTTP_GET : (u8)http_method_parse(head->method_text);
	head->target = str_make(head->raw.ptr + text->method.len + 1, text->path.len);
	return checked(h2, http_request_rules(head), NULL);
}

enum http_refusal h2_head_request(struct h2 *h2, struct h2_stream *s, bool end)
{
	struct h2_text *text = &h2->text;
	struct http_head *head = &h2->parser->head;
	enum http_refusal why;

	h2_text_end(h2);
	if (text->refusal)
		return (enum http_refusal)text->refusal;
	why = read_request(h2);
	if (why)
		return why;
	why = judge_fields(h2, s->upgrade);
	if (unlikely(why))
		return why;
	if (unlikely(head->known_repeated & HTTP_BIT(HTTP_F_COOKIE))) {
		h2_text_join_cookies(h2, head);
		why = text->refusal ? (enum http_refusal)text->refusal : parse_request(h2);
		if (why)
			return why;
	}
	if (s->upgrade && !head->upgrade)
		return HTTP_REFUSE_FIELD_VALUE;
	// What follows is the tunnel's: a backend of HTTP/1 would wait for a body that never comes,
	// and take the next request for it.
	if (unlikely(s->upgrade && head->has_content_length))
		return HTTP_REFUSE_CONTENT_LENGTH;
	if (!end && !s->upgrade && head->framing == HTTP_NO_BODY) {
		head->framing = HTTP_CHUNKED; // of a length that nobody knows
		head->expect_continue = head->known_seen & HTTP_BIT(HTTP_F_EXPECT);
	}
	head->keep_alive = head->is_h2 = true;
	s->method = head->method;
	return HTTP_REFUSE_OK;
}

// RFC 9110 8.6. "0" with 204 says nothing that is wrong.
static bool length_is_allowed(const struct http_head *head)
{
	const struct http_field *length = http_head_find(head, HTTP_F_CONTENT_LENGTH);

	if (!length || (head->status >= 200 && head->status != 204))
		return true;
	return head->status == 204 && length->value_len == 1 && length->value[0] == '0';
}

static enum http_refusal read_response(struct h2 *h2, enum http_method method)
{
	struct h2_text *text = &h2->text;
	struct http_head *head = &h2->parser->head;

	if (unlikely(!text->is_noted || text->len > HTTP_HEAD_BYTES_MAX))
		return parse_response(h2, method);
	take_noted(h2);
	head->status = text->status;
	head->reason = str_make(head->raw.ptr + STR("HTTP/1.1 200 ").len, text->reason_len);
	return checked(h2, http_response_rules(head, method), &method);
}

enum http_refusal h2_head_response(struct h2 *h2, struct h2_stream *s, bool end)
{
	struct h2_text *text = &h2->text;
	struct http_head *head = &h2->parser->head;
	enum http_refusal why;

	h2_text_end(h2);
	if (text->refusal)
		return (enum http_refusal)text->refusal;
	why = read_response(h2, (enum http_method)s->method);
	if (why)
		return why;
	why = judge_fields(h2, head->status == 101);
	if (unlikely(why))
		return why;
	if (unlikely(!length_is_allowed(head)))
		return HTTP_REFUSE_CONTENT_LENGTH;
	if (head->framing == HTTP_UNTIL_CLOSE) {
		head->framing = end ? HTTP_LENGTH : HTTP_CHUNKED;
		head->has_content_length = end;
		head->content_length = 0;
	}
	head->keep_alive = head->is_h2 = true;
	return HTTP_REFUSE_OK;
}

enum http_refusal h2_head_trailers(struct h2 *h2)
{
	struct h2_text *text = &h2->text;
	u16 count = 0;
	enum http_refusal why;

	h2_text_end(h2);
	if (text->refusal)
		return (enum http_refusal)text->refusal;
	text->block->used = text->len;
	why = h2_read_trailers(h2->parser, text->block, &count);
	if (why)
		return why;
	for (u16 i = 0; i < count; i++)
		if (HTTP_BIT(h2->parser->fields[i].known) & connection_fields)
			return HTTP_REFUSE_TRAILER;
	return count == text->field_count ? HTTP_REFUSE_OK : HTTP_REFUSE_TRAILER;
}

enum http_refusal h2_read_trailers(
	struct h1_parser *parser, const struct block *block, u16 *ret_count)
{
	enum http_refusal why = HTTP_REFUSE_OK;
	struct h1_limits limits = parser->limits;
	int used;

	limits.head_bytes_max = HTTP_HEAD_BYTES_MAX;
	used = h1_parse_trailers(
		block->data, block->used, &limits, parser->fields, ret_count, &why);
	if (used < 0)
		return why;
	return (size_t)used == block->used ? HTTP_REFUSE_OK : HTTP_REFUSE_TRAILER;
}
