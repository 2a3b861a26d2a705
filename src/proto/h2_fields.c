// SPDX-License-Identifier: Apache-2.0
// A typed head as the fields of HTTP/2: packed here where it is framed at once, else as a list for
// libnghttp2, which copies it. It puts nothing into the peer's table then, of which there is one
// for both (h2_pack.h).
#include "proto/h2_parts.h"
#include "proto/http_names.h"

// Fields of the static table, name and value; and names of it (RFC 7541 appendix A).
enum {
	static_authority = 1,
	static_path = 4,
	static_root = 4,
	static_http = 6,
	static_https = 7,
	static_status = 8,
	method_bytes_max = H2_FIELDS_SPARE_BYTES - 64,
};

// What concerns one connection of HTTP/1 has no place in HTTP/2 (RFC 9113 8.2.2).
static const u64 connection_fields =
	HTTP_BIT(HTTP_F_CONNECTION) | HTTP_BIT(HTTP_F_KEEP_ALIVE) |
	HTTP_BIT(HTTP_F_PROXY_CONNECTION) | HTTP_BIT(HTTP_F_TRANSFER_ENCODING) |
	HTTP_BIT(HTTP_F_UPGRADE) | HTTP_BIT(HTTP_F_HTTP2_SETTINGS) | HTTP_BIT(HTTP_F_TE) |
	HTTP_BIT(HTTP_F_SEC_WEBSOCKET_KEY) | HTTP_BIT(HTTP_F_SEC_WEBSOCKET_ACCEPT);

struct writer {
	struct h2_packer *packer; // NULL: a list
	nghttp2_nv *nv;
	size_t count;
};

static void add_nv(struct writer *w, struct str name, struct str value, u32 flags)
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

// A name becomes lower-case when libnghttp2 copies it.
static inline void add(
	struct writer *w, enum http_known known, struct str name, bool is_lower, struct str value)
{
	if (likely(w->packer != NULL))
		h2_pack_field(w->packer, known, name, is_lower, value);
	else
		add_nv(w, name, value, NGHTTP2_NV_FLAG_NO_INDEX);
}

static inline void add_known(struct writer *w, enum http_known known, struct str value)
{
	add(w, known, http_known_text(known), true, value);
}

static void add_pseudo(
	struct writer *w, u32 name_index, struct str name, struct str value, bool may_repeat)
{
	if (likely(w->packer != NULL))
		h2_pack_pseudo(w->packer, name_index, name, value, may_repeat);
	else
		add_nv(w, name, value, NGHTTP2_NV_FLAG_NO_INDEX);
}

// Ready-made lines, "Name: value" CRLF.
static void add_lines(struct writer *w, struct str lines)
{
	while (lines.len) {
		struct str line = str_cut(&lines, '\n'), name;

		line.len -= line.len > 0;
		if (likely(w->packer != NULL)) {
			h2_pack_line(w->packer, line);
			continue;
		}
		name = str_cut(&line, ':');
		if (name.len)
			add(w, HTTP_F_OTHER, name, false, str_trim(line));
	}
}

static void add_fields(struct writer *w, const struct http_head *head, u64 left_out)
{
	u32 lower = head->is_h2 ? head->sent_count : 0;

	for (u32 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		// There are as many as are counted.
		// NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
		if (!field->hop && !(left_out >> field->known & 1))
			add(w, field->known, str_make(field->name, field->name_len), i < lower,
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

// The length, when the head has one that its fields do not tell.
static void add_length(struct writer *w, const struct http_head *head, bool end, char *buffer)
{
	if (!has_length(head) || head->first_known[HTTP_F_CONTENT_LENGTH])
		return;
	if (head->content_length || !end || head->framing == HTTP_NO_BODY)
		add_known(w, HTTP_F_CONTENT_LENGTH, number_text(head->content_length, buffer));
}

static u64 left_out_of(const struct http_head *head)
{
	return connection_fields | (has_length(head) ? 0 : HTTP_BIT(HTTP_F_CONTENT_LENGTH));
}

static struct writer writer_of(struct h2_kit *kit, struct h2_packer *packer)
{
	return (struct writer){.packer = packer, .nv = kit->nv};
}

struct h2_packer h2_fields_begin(struct h2 *h2, const struct http_head *head)
{
	u8 *start = h2->kit->block;
	struct h2_packer packer = h2_pack_begin(
		&h2->pack, start, start + sizeof(h2->kit->block) - H2_FIELDS_SPARE_BYTES);

	packer.is_full = head->method_text.len > method_bytes_max;
	return packer;
}

static void add_status(struct writer *w, u16 status, char text[static 3])
{
	static const u16 known[] = {200, 204, 206, 304, 400, 404, 500};

	for (u32 i = 0; w->packer && i < ARRAY_LEN(known); i++) {
		if (known[i] == status) {
			h2_pack_static(w->packer, static_status + i);
			return;
		}
	}
	text[0] = (char)('0' + status / 100 % 10);
	text[1] = (char)('0' + status / 10 % 10);
	text[2] = (char)('0' + status % 10);
	add_pseudo(w, static_status, STR(":status"), str_make(text, 3), true);
}

size_t h2_fields_response(struct h2_kit *kit, const struct http_head *head, u16 status, bool end,
	struct h2_packer *packer)
{
	struct writer w = writer_of(kit, packer);

	add_status(&w, status, kit->status);
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

// libnghttp2 looks at it too: it decides what an answer may be. What is not in the static table may
// not go into the other one.
static void add_method(struct writer *w, const struct http_head *head, bool is_tunnel)
{
	bool is_static = head->method == HTTP_GET || head->method == HTTP_POST;
	u32 stays = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;

	add_nv(w, STR(":method"), is_tunnel ? STR("CONNECT") : head->method_text,
		(is_static && !is_tunnel ? 0 : (u32)NGHTTP2_NV_FLAG_NO_INDEX) |
			(w->packer ? stays : 0));
}

static void add_target(struct writer *w, const struct http_head *head, bool is_secure)
{
	struct h2_packer *packer = w->packer;

	if (packer)
		h2_pack_static(packer, is_secure ? static_https : static_http);
	else
		add_nv(w, STR(":scheme"), is_secure ? STR("https") : STR("http"), 0);
	add_pseudo(w, static_authority, STR(":authority"), head->authority, true);
	if (packer && str_eq(head->path, STR("/")))
		h2_pack_static(packer, static_root);
	else
		add_pseudo(w, static_path, STR(":path"), head->path, false);
}

size_t h2_fields_request(struct h2_kit *kit, const struct http_head *head, bool is_secure, bool end,
	struct h2_packer *packer)
{
	struct writer w = writer_of(kit, packer);
	const struct http_field *protocol =
		head->upgrade ? http_head_find(head, HTTP_F_UPGRADE) : NULL;

	add_method(&w, head, protocol);
	if (protocol) // not into the table, where its value alone would look like a whole line
		add_pseudo(&w, 0, STR(":protocol"), str_make(protocol->value, protocol->value_len),
			false);
	add_target(&w, head, is_secure);
	add_fields(&w, head, left_out_of(head) | HTTP_BIT(HTTP_F_HOST));
	add_length(&w, head, end, kit->number);
	if (unlikely(head->known_seen & HTTP_BIT(HTTP_F_TE)) && takes_trailers(head))
		add_known(&w, HTTP_F_TE, STR("trailers"));
	return w.count;
}

size_t h2_fields_trailers(struct h2_kit *kit, const struct http_field *fields, u16 count)
{
	struct writer w = writer_of(kit, NULL);

	for (u32 i = 0; i < count; i++)
		add(&w, fields[i].known, str_make(fields[i].name, fields[i].name_len), false,
			str_make(fields[i].value, fields[i].value_len));
	return w.count;
}
