// SPDX-License-Identifier: Apache-2.0
// A typed head as the fields of HTTP/2. Names that are not lower-case become so when libnghttp2
// copies them; of known ones it gets the spelling that nobody has to copy.
#include "proto/h2_parts.h"
#include "proto/http_names.h"

enum {
	// So often the request's identifier goes into the table of header compression, not for
	// itself: its name is found there by the next ones.
	identifier_period = 64,
	name_stays = NGHTTP2_NV_FLAG_NO_COPY_NAME,
	value_stays = NGHTTP2_NV_FLAG_NO_COPY_VALUE,
};

// What concerns one connection of HTTP/1 has no place in HTTP/2 (RFC 9113 8.2.2).
static const u64 connection_fields =
	HTTP_BIT(HTTP_F_CONNECTION) | HTTP_BIT(HTTP_F_KEEP_ALIVE) |
	HTTP_BIT(HTTP_F_PROXY_CONNECTION) | HTTP_BIT(HTTP_F_TRANSFER_ENCODING) |
	HTTP_BIT(HTTP_F_UPGRADE) | HTTP_BIT(HTTP_F_HTTP2_SETTINGS) | HTTP_BIT(HTTP_F_TE) |
	HTTP_BIT(HTTP_F_SEC_WEBSOCKET_KEY) | HTTP_BIT(HTTP_F_SEC_WEBSOCKET_ACCEPT);

struct writer {
	struct h2 *h2;
	nghttp2_nv *nv;
	size_t count;
	u8 text_flags; // of text that the head borrows
};

static inline void add(struct writer *w, struct str name, struct str value, u32 flags)
{
	if (unlikely(w->count == H2_NV_MAX))
		return; // HTTP_FIELDS_MAX and what the proxy adds fit
	w->nv[w->count++] = (nghttp2_nv){
		.name = (uint8_t *)name.ptr,
		.namelen = name.len,
		.value = (uint8_t *)value.ptr,
		.valuelen = value.len,
		.flags = (uint8_t)flags,
	};
}

static inline struct str known_name(enum http_known known)
{
	return str_make(http_known_names[known].text, http_known_names[known].len);
}

// A pseudo-header field.
static inline void add_pseudo(struct writer *w, struct str name, struct str value)
{
	add(w, name, value, name_stays | w->text_flags);
}

// Ready-made lines, "Name: value" CRLF.
static void add_lines(struct writer *w, struct str lines)
{
	while (lines.len) {
		struct str line = str_cut(&lines, '\n');
		struct str name = str_cut(&line, ':');
		struct str value = str_trim(str_make(line.ptr, line.len - (line.len > 0)));
		enum http_known known = http_field_known(name.ptr, name.len);
		u32 flags = w->text_flags;

		if (unlikely(!known)) {
			if (name.len)
				add(w, name, value, flags);
			continue;
		}
		// Another one for each request: in the table it would only push others out.
		if (known == HTTP_F_X_REQUEST_ID && w->h2->identifiers++ % identifier_period)
			flags |= NGHTTP2_NV_FLAG_NO_INDEX;
		add(w, known_name(known), value, name_stays | flags);
	}
}

static void add_fields(struct writer *w, const struct http_head *head, u64 left_out)
{
	// What came by HTTP/2 is lower-case, and stays with its value.
	u32 same = head->is_h2 && w->text_flags ? head->sent_count : 0;

	for (u32 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		struct str value = str_make(field->value, field->value_len);

		if (field->hop || (left_out >> field->known & 1))
			continue;
		if (likely(field->known))
			add(w, known_name(field->known), value, name_stays | w->text_flags);
		else
			add(w, str_make(field->name, field->name_len), value,
				(i < same ? (u32)name_stays : 0) | w->text_flags);
	}
	for (u32 i = 0; i < head->added_count; i++)
		add_lines(w, head->added[i]);
}

static struct str number_text(u64 number, char buffer[static 20])
{
	size_t at = 20;

	do {
		buffer[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return str_make(buffer + at, 20 - at);
}

static bool has_length(const struct http_head *head)
{
	return head->framing == HTTP_LENGTH ||
	       (head->framing == HTTP_NO_BODY && head->has_content_length);
}

// The length, when the head has one that its fields do not tell.
static void add_length(struct writer *w, const struct http_head *head, bool end, char *buffer)
{
	if (!has_length(head) || head->first_known[HTTP_F_CONTENT_LENGTH])
		return;
	if (head->content_length || !end || head->framing == HTTP_NO_BODY)
		add(w, STR("content-length"), number_text(head->content_length, buffer),
			name_stays | w->text_flags);
}

static u64 left_out_of(const struct http_head *head)
{
	return connection_fields | (has_length(head) ? 0 : HTTP_BIT(HTTP_F_CONTENT_LENGTH));
}

static struct writer writer_of(struct h2 *h2, bool stays)
{
	return (struct writer){
		.h2 = h2, .nv = h2->kit->nv, .text_flags = stays ? (u8)value_stays : (u8)0};
}

size_t h2_fields_response(
	struct h2 *h2, const struct http_head *head, u16 status, bool end, bool stays)
{
	struct h2_kit *kit = h2->kit;
	struct writer w = writer_of(h2, stays);

	kit->status[0] = (char)('0' + status / 100 % 10);
	kit->status[1] = (char)('0' + status / 10 % 10);
	kit->status[2] = (char)('0' + status % 10);
	add_pseudo(&w, STR(":status"), str_make(kit->status, 3));
	add_fields(&w, head, left_out_of(head));
	add_length(&w, head, end, kit->number);
	return w.count;
}

// RFC 9113 8.2.2: "trailers" is all that TE may say; gRPC insists on it.
static bool takes_trailers(const struct http_head *head)
{
	const struct http_field *te = http_head_find(head, HTTP_F_TE);
	struct str rest = te ? str_make(te->value, te->value_len) : STR_EMPTY;

	while (rest.len)
		if (str_eq_nocase(str_trim(str_cut(&rest, ',')), STR("trailers")))
			return true;
	return false;
}

size_t h2_fields_request(struct h2 *h2, const struct http_head *head, bool end, bool stays)
{
	struct writer w = writer_of(h2, stays);
	const struct http_field *protocol =
		head->upgrade ? http_head_find(head, HTTP_F_UPGRADE) : NULL;

	add_pseudo(&w, STR(":method"), protocol ? STR("CONNECT") : head->method_text);
	if (protocol)
		add_pseudo(&w, STR(":protocol"), str_make(protocol->value, protocol->value_len));
	add_pseudo(&w, STR(":scheme"), h2->is_secure ? STR("https") : STR("http"));
	add_pseudo(&w, STR(":authority"), head->authority);
	add_pseudo(&w, STR(":path"), head->path);
	add_fields(&w, head, left_out_of(head) | HTTP_BIT(HTTP_F_HOST));
	add_length(&w, head, end, h2->kit->number);
	if (unlikely(head->known_seen & HTTP_BIT(HTTP_F_TE)) && takes_trailers(head))
		add_pseudo(&w, STR("te"), STR("trailers"));
	return w.count;
}

size_t h2_fields_trailers(struct h2 *h2, const struct http_field *fields, u16 count)
{
	struct writer w = writer_of(h2, false);

	for (u32 i = 0; i < count; i++)
		add(&w, str_make(fields[i].name, fields[i].name_len),
			str_make(fields[i].value, fields[i].value_len), NGHTTP2_NV_FLAG_NONE);
	return w.count;
}
