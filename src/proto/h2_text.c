// SPDX-License-Identifier: Apache-2.0
// From the fields of HTTP/2 to text of HTTP/1. What HTTP/1 cannot have is judged here
// (RFC 9113 8.1 to 8.3; libnghttp2 does not): names are tokens in lower case; values have no white
// space around them; pseudo-header fields are known, complete, not repeated and in front. The rest
// is judged where the text is read (h2_head.c).
//
// A message of everyday need not be parsed for that. While its lines are written, each is noted
// among the parser's fields as the parser would find it there. What is in any doubt, or was
// interrupted, ends that (`is_noted`), and the parser is asked.
#include "proto/h2_parts.h"
#include "proto/http_names.h"
#include "proto/scan.h"

enum {
	first_bytes = 1024,
	spare_bytes = 16,    // that scanners may read behind a line
	field_overhead = 32, // RFC 9113 6.5.2
	lists_max = 4, // so many times the limit of heads is decoded before the connection ends
	protocol_bytes_max = 64,
	urgency_max = 7,
};

static void refuse(struct h2_text *text, enum http_refusal why)
{
	if (text->refusal == HTTP_REFUSE_OK)
		text->refusal = (u8)why;
}

static inline void give_back(struct h2 *h2, struct block *block)
{
	if (likely(block == h2->kit->text))
		h2->kit->spare = block;
	else if (block)
		block_unref(block);
}

void h2_text_begin(struct h2 *h2, bool is_trailers)
{
	h2_text_done(h2);
	h2->text = (struct h2_text){
		.is_trailers = is_trailers, .has_start = is_trailers, .is_noted = !is_trailers};
	if (unlikely(is_trailers)) // which may be kept
		return;
	h2->text.block = h2->kit->spare;
	h2->kit->spare = NULL;
}

void h2_text_done(struct h2 *h2)
{
	if (h2->text.block)
		give_back(h2, h2->text.block);
	h2->text.block = NULL;
}

// Into a block of its own that has room for `len` more bytes.
static char *room_slow(struct h2 *h2, size_t len)
{
	struct h2_text *text = &h2->text;
	struct block *block =
		block_get_sized(h2->kit->pool, MAX((text->len + len) * 2, (size_t)first_bytes));

	if (!block) {
		refuse(text, HTTP_REFUSE_HEAD_TOO_LARGE);
		return NULL;
	}
	if (text->block) {
		memcpy(block->data, text->block->data, text->len);
		give_back(h2, text->block);
	}
	text->is_noted = false; // where it was
	text->block = block;
	return block->data + text->len;
}

void h2_text_pause(struct h2 *h2)
{
	struct h2_text *text = &h2->text;

	text->is_noted = false; // others use the parser meanwhile
	if (!h2->heading || (text->block == h2->kit->text && !room_slow(h2, 0)))
		h2_text_done(h2);
}

// For `len` more bytes. NULL: no memory, and the head is refused.
static inline char *room(struct h2 *h2, size_t len)
{
	struct h2_text *text = &h2->text;

	if (likely(text->block && text->block->size - text->len >= len))
		return text->block->data + text->len;
	return room_slow(h2, len);
}

static inline char *put(char *at, struct str text)
{
	memcpy(at, text.ptr, text.len);
	return at + text.len;
}

static inline void took(struct h2 *h2, const char *at)
{
	ASSERT(at <= h2->text.block->data + h2->text.block->size);
	h2->text.len = (u32)(at - h2->text.block->data);
}

static inline char *put_field(char *at, struct str name, struct str value)
{
	return put(put(put(put(at, name), STR(": ")), value), STR("\r\n"));
}

static void put_line(struct h2 *h2, struct str name, struct str value)
{
	char *at = room(h2, name.len + value.len + 4);

	if (!at)
		return;
	took(h2, put_field(at, name, value));
	h2->text.field_count++;
	h2->text.is_noted = false;
}

// Where spare_bytes may be read behind them.
#if SCAN_SSE2
static inline const char *value_end(struct str value)
{
	return scan_value_stop(value.ptr);
}

static inline const char *target_end(struct str target)
{
	return scan_target_stop(target.ptr);
}
#else
static const char *value_end(struct str value)
{
	return scan_value(value.ptr, value.ptr + value.len);
}

static const char *target_end(struct str target)
{
	return scan_target(target.ptr, target.ptr + target.len);
}
#endif

// The line that begins at `at`, behind which spare_bytes may be read, is the next field.
static inline void note(
	struct h2 *h2, enum http_known known, const char *at, size_t name_len, size_t value_len)
{
	const char *value = at + name_len + 2;

	if (unlikely(value_end(str_make(value, value_len)) != value + value_len))
		h2->text.is_noted = false;
	h2->parser->fields[h2->text.field_count++] = (struct http_field){
		.name = at,
		.value = value,
		.value_len = (u32)value_len,
		.name_len = (u16)name_len,
		.known = (u8)known,
	};
}

static struct str part(const struct h2_text *text, u32 at, u32 len)
{
	return str_make(text->block->data + at, len);
}

// ---- The start line -----------------------------------------------------------------------------

// A path that HTTP/1 would read as something else than one.
static bool path_is_plain(struct str method, struct str path)
{
	if (str_eq(path, STR("*")))
		return str_eq(method, STR("OPTIONS"));
	return path.len && path.ptr[0] == '/';
}

// RFC 9113 8.3.1, 8.5; RFC 8441 4.
static bool pseudo_is_whole(const struct h2_text *text, struct str method)
{
	const u8 always = H2_PSEUDO_METHOD | H2_PSEUDO_SCHEME | H2_PSEUDO_PATH;
	bool connects = str_eq(method, STR("CONNECT")), is_extended = text->protocol.len > 0;

	if (text->pseudo & H2_PSEUDO_AUTHORITY && !text->authority.len)
		return false;
	if (unlikely(connects && !is_extended))
		return text->pseudo == (H2_PSEUDO_METHOD | H2_PSEUDO_AUTHORITY);
	if (unlikely(text->pseudo & H2_PSEUDO_PROTOCOL))
		return connects && is_extended &&
		       text->pseudo == (always | H2_PSEUDO_AUTHORITY | H2_PSEUDO_PROTOCOL);
	return (text->pseudo & always) == always;
}

static void put_upgrade(struct h2 *h2, struct h2_stream *s, struct str protocol)
{
	if (protocol.len > protocol_bytes_max || !scan_is_token(protocol)) {
		refuse(&h2->text, HTTP_REFUSE_FIELD_VALUE);
		return;
	}
	s->upgrade = true;
	s->has_key = str_eq_nocase(protocol, STR("websocket"));
	put_line(h2, STR("connection"), STR("upgrade"));
	put_line(h2, STR("upgrade"), protocol);
	if (!s->has_key)
		return;
	websocket_key(h2->kit->seed, ++h2->kit->keys, s->key);
	put_line(h2, STR("sec-websocket-key"), str_make(s->key, WEBSOCKET_KEY_BYTES));
}

// A request as nearly all are: nothing is wrong with its pseudo-header fields.
static inline bool start_is_plain(const struct h2_text *text, u32 path_bytes_max)
{
	const u8 usual = H2_PSEUDO_METHOD | H2_PSEUDO_SCHEME | H2_PSEUDO_PATH | H2_PSEUDO_AUTHORITY;

	return text->pseudo == usual && text->is_get && text->authority.len &&
	       text->path.len - 1 < path_bytes_max && text->block->data[text->path.at] == '/';
}

static void judge_start(struct h2 *h2, struct str method, bool extended)
{
	struct h2_text *text = &h2->text;
	struct str path = part(text, text->path.at, text->path.len);

	if (!pseudo_is_whole(text, method))
		refuse(text, HTTP_REFUSE_FRAMES);
	else if (!scan_is_token(method))
		refuse(text, HTTP_REFUSE_METHOD);
	if (str_eq(method, STR("CONNECT")) && !extended)
		text->path = text->authority;
	else if (!path_is_plain(extended ? STR("GET") : method, path))
		refuse(text, HTTP_REFUSE_TARGET);
	if (text->path.len > h2->parser->limits.target_bytes_max)
		refuse(text, HTTP_REFUSE_URI_TOO_LONG);
}

static __attribute__((noinline)) void put_tunnel(struct h2 *h2)
{
	struct h2_text *text = &h2->text;
	char copy[protocol_bytes_max + 1];
	size_t len = MIN(text->protocol.len, (u32)sizeof(copy));

	memcpy(copy, text->block->data + text->protocol.at, len);
	put_upgrade(h2, h2->heading, str_make(copy, len));
}

// Behind the pseudo-header fields. The order of the calls keeps `part` valid: room() may move.
static void start_request(struct h2 *h2)
{
	struct h2_text *text = &h2->text;
	// The target of a plain CONNECT is the authority, which is Host besides (judge_start).
	size_t target_len = MAX(text->path.len, text->authority.len);
	size_t len = text->method.len + target_len + text->authority.len;
	char *at = room(h2, len + 32 + spare_bytes), *line;
	bool extended = text->protocol.len > 0;
	struct str method, path;

	if (!at)
		return;
	text->raw_at = text->len;
	if (likely(start_is_plain(text, h2->parser->limits.target_bytes_max))) {
		at = put(at, STR("GET "));
	} else {
		method = text->is_get ? STR("GET") : part(text, text->method.at, text->method.len);
		judge_start(h2, method, extended);
		at = put(put(at, extended ? STR("GET") : method), STR(" "));
	}
	path = str_make(at, text->path.len);
	at = put(put(at, part(text, text->path.at, text->path.len)), STR(" HTTP/1.1\r\n"));
	if (unlikely(!path.len || target_end(path) != path.ptr + path.len))
		text->is_noted = false;
	if (text->authority.len) {
		line = at;
		at = put_field(
			at, STR("host"), part(text, text->authority.at, text->authority.len));
		note(h2, HTTP_F_HOST, line, 4, text->authority.len);
		text->has_host = true;
	}
	took(h2, at);
	if (unlikely(extended))
		put_tunnel(h2);
}

// What HTTP/1 says where the tunnel that was asked for is there (RFC 8441 5).
static void put_switch(struct h2 *h2, const struct h2_stream *s)
{
	char accept[WEBSOCKET_ACCEPT_BYTES];

	put_line(h2, STR("connection"), STR("upgrade"));
	put_line(h2, STR("upgrade"), str_make(s->protocol, s->protocol_len));
	if (!s->has_key)
		return;
	websocket_accept(str_make(s->key, WEBSOCKET_KEY_BYTES), accept);
	put_line(h2, STR("sec-websocket-accept"), str_make(accept, WEBSOCKET_ACCEPT_BYTES));
}

static void start_response(struct h2 *h2, struct h2_stream *s)
{
	struct h2_text *text = &h2->text;
	bool switches = s->upgrade && text->status / 100 == 2;
	u16 status = switches ? 101 : text->status;
	struct str reason = str_from(http_reason(status));
	char *at = room(h2, 16 + reason.len);

	text->reason_len = (u8)reason.len;
	if (!at)
		return;
	// RFC 9113 8.3.2, 8.6.
	if (!(text->pseudo & H2_PSEUDO_STATUS) || text->status == 101)
		refuse(text, HTTP_REFUSE_STATUS_LINE);
	if (unlikely(status < 100))
		text->is_noted = false;
	text->raw_at = text->len;
	at = put(at, STR("HTTP/1.1 "));
	*at++ = (char)('0' + status / 100 % 10);
	*at++ = (char)('0' + status / 10 % 10);
	*at++ = (char)('0' + status % 10);
	at = put(put(put(at, STR(" ")), reason), STR("\r\n"));
	took(h2, at);
	if (switches)
		put_switch(h2, s);
}

static void start(struct h2 *h2)
{
	h2->text.has_start = true;
	if (h2->session.role == STREAM_SERVER)
		start_request(h2);
	else
		start_response(h2, h2->heading);
}

// The length is a constant, and at most 16: a few instructions by loads that overlap.
static inline bool is_same(struct str name, const char *text, size_t len)
{
	u64 differs;

	if (name.len != len)
		return false;
	if (len < 4)
		return memcmp(name.ptr, text, len) == 0;
	if (len < 8)
		differs = (scan_load32(name.ptr) ^ scan_load32(text)) |
			  (scan_load32(name.ptr + (len - 4)) ^ scan_load32(text + (len - 4)));
	else
		differs = (scan_load64(name.ptr) ^ scan_load64(text)) |
			  (scan_load64(name.ptr + (len - 8)) ^ scan_load64(text + (len - 8)));
	return differs == 0;
}

static inline u8 pseudo_of(struct str name, enum stream_role role)
{
#define X(what, told_to, text)                     \
	if (is_same(name, text, sizeof(text) - 1)) \
		return role == (told_to) ? H2_PSEUDO_##what : 0;
	H2_PSEUDO_FIELDS(X)
#undef X
	return 0;
}

// RFC 3986 3.1. It says nothing that the connection does not say, and goes nowhere.
static __attribute__((noinline)) bool odd_scheme_is_valid(struct str scheme)
{
	for (size_t i = 0; i < scheme.len; i++) {
		char c = ascii_lower(scheme.ptr[i]);
		bool is_letter = c >= 'a' && c <= 'z';

		if (!is_letter &&
			(i == 0 || !(ascii_is_digit(c) || c == '+' || c == '-' || c == '.')))
			return false;
	}
	return scheme.len > 0;
}

static inline bool scheme_is_valid(struct str scheme)
{
	return likely(is_same(scheme, "https", 5) || is_same(scheme, "http", 4)) ||
	       odd_scheme_is_valid(scheme);
}

static void read_status(struct h2_text *text, struct str value)
{
	bool is_number = value.len == 3;

	for (size_t i = 0; i < value.len && i < 3; i++) {
		is_number &= ascii_is_digit(value.ptr[i]);
		text->status = (u16)(text->status * 10 + (value.ptr[i] - '0'));
	}
	if (!is_number)
		refuse(text, HTTP_REFUSE_STATUS_LINE);
}

// Those whose place in the text comes later.
static __attribute__((noinline)) void keep_pseudo(struct h2 *h2, u8 pseudo, struct str value)
{
	struct h2_text *text = &h2->text;
	u32 start_at, len = (u32)value.len;
	char *at = room(h2, value.len + 1);

	if (!at)
		return;
	start_at = text->len;
	took(h2, put(at, value));
	switch (pseudo) {
	case H2_PSEUDO_METHOD:
		text->method.at = start_at;
		text->method.len = len;
		break;
	case H2_PSEUDO_PATH:
		text->path.at = start_at;
		text->path.len = len;
		break;
	case H2_PSEUDO_AUTHORITY:
		text->authority.at = start_at;
		text->authority.len = len;
		break;
	default:
		text->protocol.at = start_at;
		text->protocol.len = len;
		break;
	}
}

static inline void add_pseudo(struct h2 *h2, struct str name, struct str value)
{
	struct h2_text *text = &h2->text;
	u8 pseudo = pseudo_of(name, h2->session.role);

	if (unlikely(!pseudo || text->pseudo & pseudo || text->has_start)) {
		refuse(text, HTTP_REFUSE_FRAMES);
		return;
	}
	text->pseudo |= pseudo;
	if (pseudo == H2_PSEUDO_SCHEME) {
		if (unlikely(!scheme_is_valid(value)))
			refuse(text, HTTP_REFUSE_FRAMES);
	} else if (pseudo == H2_PSEUDO_METHOD && likely(is_same(value, "GET", 3))) {
		text->is_get = true;
		text->method.len = 3;
	} else if (pseudo == H2_PSEUDO_STATUS) {
		read_status(text, value);
	} else {
		keep_pseudo(h2, pseudo, value);
	}
}

// ---- Fields -------------------------------------------------------------------------------------

// RFC 9113 8.3.1: with :authority it says the same, or nobody knows whom the request is for.
static bool host_is_told(struct h2 *h2, struct str value)
{
	struct h2_text *text = &h2->text;

	if (!text->has_host) {
		text->has_host = true;
		return false;
	}
	if (text->host_repeats || text->authority.len == 0 ||
		!str_eq_nocase(value, part(text, text->authority.at, text->authority.len)))
		refuse(text, HTTP_REFUSE_HOST_REPEATED);
	text->host_repeats = true;
	return true;
}

// RFC 9113 8.2.1, as far as HTTP/1 has it otherwise.
static bool name_is_valid(struct h2_text *text, struct str name)
{
	const char *end = name.ptr + name.len;

	if (unlikely(name.len == 0 ||
		     scan_table(scan_word(name.ptr, end), end, SCAN_TOKEN) != end ||
		     scan_has_upper(name.ptr, end))) {
		refuse(text, HTTP_REFUSE_FIELD_NAME);
		return false;
	}
	return true;
}

static bool judge_name(struct h2_text *text, struct str name, enum http_known *ret_known)
{
	if (!name_is_valid(text, name))
		return false;
	*ret_known = http_field_known(name.ptr, name.len);
	if (!*ret_known && memchr(name.ptr, '_', name.len))
		text->is_noted = false;
	return true;
}

#if SCAN_SSE2
// Where spare_bytes may be read behind it.
static inline bool read_name(struct h2_text *text, struct str name, enum http_known *ret_known)
{
	u32 len = (u32)name.len;

	if (unlikely(name.len - 1 > 14))
		return judge_name(text, name, ret_known);
	*ret_known = http_known_lower(name.ptr, len);
	return likely(*ret_known || scan_all_lower(name.ptr, len)) ||
	       judge_name(text, name, ret_known);
}
#else
static bool read_name(struct h2_text *text, struct str name, enum http_known *ret_known)
{
	return judge_name(text, name, ret_known);
}
#endif

// RFC 9218 4: a dictionary of which "u" and "i" are known; what is not understood is passed over.
static void read_priority(struct h2_text *text, struct str value)
{
	text->has_priority = true;
	text->urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY;
	while (value.len) {
		struct str item = str_trim(str_cut(&value, ','));

		if (item.len == 3 && item.ptr[0] == 'u' && item.ptr[1] == '=' &&
			item.ptr[2] >= '0' && item.ptr[2] <= '0' + urgency_max)
			text->urgency = (u8)(item.ptr[2] - '0');
		else if (str_eq(item, STR("i")) || str_eq(item, STR("i=?1")))
			text->incremental = true;
		else if (str_eq(item, STR("i=?0")))
			text->incremental = false;
	}
}

// True: there is no line for it, or one that the parser has to see.
static __attribute__((noinline)) bool is_special(
	struct h2 *h2, enum http_known known, struct str name, struct str value)
{
	struct h2_text *text = &h2->text;

	if (h2->session.role == STREAM_SERVER) {
		if (str_eq(name, STR("priority")))
			read_priority(text, value);
		if (known == HTTP_F_HOST && !text->is_trailers && host_is_told(h2, value))
			return true;
	}
	// A WebSocket's handshake in HTTP/2 has no key (RFC 8441 5): the one behind it is ours.
	if (h2->heading->upgrade && known == HTTP_F_SEC_WEBSOCKET_KEY) {
		if (scan_value(value.ptr, value.ptr + value.len) != value.ptr + value.len)
			refuse(text, HTTP_REFUSE_FIELD_VALUE);
		return true;
	}
	return false;
}

static __attribute__((noinline)) void add_field(struct h2 *h2, struct str name, struct str value)
{
	struct h2_text *text = &h2->text;
	enum http_known known;
	char *at, *behind;

	if (unlikely(!text->has_start))
		start(h2);
	if (unlikely(text->refusal))
		return;
	at = room(h2, name.len + value.len + 4 + spare_bytes);
	if (!at)
		return;
	behind = put_field(at, name, value);
	name.ptr = at;
	value.ptr = at + name.len + 2;
	if (unlikely(!read_name(text, name, &known)))
		return;
	if (unlikely(known == HTTP_F_HOST || known == HTTP_F_SEC_WEBSOCKET_KEY || name.len == 8) &&
		is_special(h2, known, name, value))
		return;
	note(h2, known, at, name.len, value.len);
	took(h2, behind);
}

// RFC 9113 8.2.1. HTTP/1 would pass over it.
static inline bool is_padded(struct str value)
{
	u8 first, last;

	if (value.len == 0)
		return false;
	first = (u8)value.ptr[0];
	last = (u8)value.ptr[value.len - 1];
	return unlikely(MIN(first, last) <= ' ') &&
	       (ascii_is_blank((char)first) || ascii_is_blank((char)last));
}

static __attribute__((noinline)) int add_too_much(struct h2 *h2)
{
	struct h2_text *text = &h2->text;
	u32 bytes_max = h2->parser->limits.head_bytes_max;

	refuse(text, text->list_bytes > bytes_max ? HTTP_REFUSE_HEAD_TOO_LARGE
						  : HTTP_REFUSE_TOO_MANY_FIELDS);
	return text->list_bytes > bytes_max * lists_max ? -1 : 0;
}

int h2_text_add(struct h2 *h2, struct str name, struct str value)
{
	struct h2_text *text = &h2->text;

	text->list_bytes += (u32)(name.len + value.len) + field_overhead;
	if (unlikely(text->list_bytes > h2->parser->limits.head_bytes_max ||
		     text->field_count >= HTTP_FIELDS_MAX))
		return add_too_much(h2);
	if (unlikely(is_padded(value)))
		refuse(text, HTTP_REFUSE_FRAMES);
	if (name.len && name.ptr[0] == ':')
		add_pseudo(h2, name, value);
	else
		add_field(h2, name, value);
	return 0;
}

// ---- The end ------------------------------------------------------------------------------------

void h2_text_join_cookies(struct h2 *h2, const struct http_head *head)
{
	struct block *old = h2->text.block;
	u32 raw_at = h2->text.raw_at;
	const char *from = old->data + raw_at;
	struct str name = STR("cookie: "), value;
	char *at;
	bool first = true;

	h2->text.block = NULL;
	h2->text.len = h2->text.raw_at = 0;
	at = room(h2, head->raw.len + 2 * (size_t)head->field_count + name.len);
	if (!at) {
		give_back(h2, old);
		return;
	}
	at = put(at, str_make(from, (size_t)(head->fields[0].name - from)));
	for (u16 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->known == HTTP_F_COOKIE)
			continue;
		// Its value may have been cut since it was written: leading zeros of a length.
		at = put(put(at, str_make(field->name, field->name_len)), STR(": "));
		at = put(put(at, str_make(field->value, field->value_len)), STR("\r\n"));
	}
	for (u16 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->known != HTTP_F_COOKIE)
			continue;
		value = str_make(field->value, field->value_len);
		at = put(put(at, first ? name : STR("; ")), value);
		first = false;
	}
	took(h2, put(at, STR("\r\n\r\n")));
	give_back(h2, old);
}

void h2_text_end(struct h2 *h2)
{
	char *at;

	if (!h2->text.has_start)
		start(h2);
	at = room(h2, 2);
	if (at)
		took(h2, put(at, STR("\r\n")));
}
