// SPDX-License-Identifier: Apache-2.0
// A typed head as the fields of HTTP/2. Names become lower-case when libnghttp2 copies them.
#include "proto/h2_parts.h"

// What concerns one connection of HTTP/1 has no place in HTTP/2 (RFC 9113 8.2.2).
static const u64 connection_fields =
	HTTP_BIT(HTTP_F_CONNECTION) | HTTP_BIT(HTTP_F_KEEP_ALIVE) |
	HTTP_BIT(HTTP_F_PROXY_CONNECTION) | HTTP_BIT(HTTP_F_TRANSFER_ENCODING) |
	HTTP_BIT(HTTP_F_UPGRADE) | HTTP_BIT(HTTP_F_HTTP2_SETTINGS) | HTTP_BIT(HTTP_F_TE) |
	HTTP_BIT(HTTP_F_SEC_WEBSOCKET_KEY) | HTTP_BIT(HTTP_F_SEC_WEBSOCKET_ACCEPT);

struct writer {
	nghttp2_nv *nv;
	size_t count;
};

static inline void add(struct writer *w, struct str name, struct str value)
{
	if (unlikely(w->count == H2_NV_MAX))
		return; // HTTP_FIELDS_MAX and what the proxy adds fit
	w->nv[w->count++] = (nghttp2_nv){
		.name = (uint8_t *)name.ptr,
		.namelen = name.len,
		.value = (uint8_t *)value.ptr,
		.valuelen = value.len,
		.flags = NGHTTP2_NV_FLAG_NONE,
	};
}

// Ready-made lines, "Name: value" CRLF.
static void add_lines(struct writer *w, struct str lines)
{
	while (lines.len) {
		struct str line = str_cut(&lines, '\n');
		struct str name = str_cut(&line, ':');

		if (name.len == 0)
			continue;
		add(w, name, str_trim(str_make(line.ptr, line.len - (line.len > 0))));
		// Another one for each request: in the table it would only push others out.
		if (name.len == 12 && str_eq_nocase(name, STR("x-request-id")))
			w->nv[w->count - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
	}
}

static void add_fields(struct writer *w, const struct http_head *head, u64 left_out)
{
	for (u32 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		// There are as many as are counted.
		// NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
		if (!field->hop && !(left_out >> field->known & 1))
			add(w, str_make(field->name, field->name_len),
				str_make(field->value, field->value_len));
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

// The length, when the head has one that its fields do not tell. libnghttp2 copies it at once.
static void add_length(struct writer *w, const struct http_head *head, bool end, char *buffer)
{
	if (!has_length(head) || head->first_known[HTTP_F_CONTENT_LENGTH])
		return;
	if (head->content_length || !end || head->framing == HTTP_NO_BODY)
		add(w, STR("content-length"), number_text(head->content_length, buffer));
}

static u64 left_out_of(const struct http_head *head)
{
	return connection_fields | (has_length(head) ? 0 : HTTP_BIT(HTTP_F_CONTENT_LENGTH));
}

size_t h2_fields_response(struct h2_kit *kit, const struct http_head *head, u16 status, bool end)
{
	struct writer w = {.nv = kit->nv};

	kit->status[0] = (char)('0' + status / 100 % 10);
	kit->status[1] = (char)('0' + status / 10 % 10);
	kit->status[2] = (char)('0' + status % 10);
	add(&w, STR(":status"), str_make(kit->status, 3));
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

size_t h2_fields_request(struct h2_kit *kit, const struct http_head *head, bool is_secure, bool end)
{
	struct writer w = {.nv = kit->nv};
	const struct http_field *protocol =
		head->upgrade ? http_head_find(head, HTTP_F_UPGRADE) : NULL;

	add(&w, STR(":method"), protocol ? STR("CONNECT") : head->method_text);
	if (protocol)
		add(&w, STR(":protocol"), str_make(protocol->value, protocol->value_len));
	add(&w, STR(":scheme"), is_secure ? STR("https") : STR("http"));
	add(&w, STR(":authority"), head->authority);
	add(&w, STR(":path"), head->path);
	add_fields(&w, head, left_out_of(head) | HTTP_BIT(HTTP_F_HOST));
	add_length(&w, head, end, kit->number);
	if (unlikely(head->known_seen & HTTP_BIT(HTTP_F_TE)) && takes_trailers(head))
		add(&w, STR("te"), STR("trailers"));
	return w.count;
}

size_t h2_fields_trailers(struct h2_kit *kit, const struct http_field *fields, u16 count)
{
	struct writer w = {.nv = kit->nv};

	for (u32 i = 0; i < count; i++)
		add(&w, str_make(fields[i].name, fields[i].name_len),
			str_make(fields[i].value, fields[i].value_len));
	return w.count;
}
