// SPDX-License-Identifier: Apache-2.0
#include "proxy/request.h"

#include <errno.h>

enum {
	request_id_len = 32,
	lines_bytes_max = 192, // names, separators, an address and an id; the rest is counted apart
};

static void append(struct http_head *head, struct http_field field)
{
	ASSERT(head->field_count < HTTP_FIELDS_MAX + HTTP_FIELDS_EXTRA);
	head->fields[head->field_count++] = field;
}

// A field the client sent and the proxy sets itself is taken out, every copy of it.
static void take_out(struct http_head *head, enum http_known known)
{
	u8 first = head->first_known[known];

	if (!first)
		return;
	for (u32 i = first - 1u; i < head->field_count; i++)
		if (head->fields[i].known == known)
			head->fields[i].hop = true;
}

// Fields made for one request stand in one text, line behind line, so that they are written in one
// copy.
struct lines {
	struct http_head *head;
	char *at;
};

static char *put(char *at, struct str text)
{
	memcpy(at, text.ptr, text.len);
	return at + text.len;
}

// Leaves room for the value and gives where it goes.
static char *add_line(struct lines *lines, enum http_known known, struct str name, size_t value_len)
{
	char *start = lines->at, *value = put(put(start, name), STR(": "));

	append(lines->head, (struct http_field){.name = start,
				    .value = value,
				    .value_len = (u32)value_len,
				    .name_len = (u16)name.len,
				    .known = (u8)known});
	lines->at = put(value + value_len, STR("\r\n"));
	return value;
}

static struct str field_value(const struct http_head *head, enum http_known known)
{
	const struct http_field *field = http_head_find(head, known);

	return field ? str_make(field->value, field->value_len) : STR_EMPTY;
}

// All X-Forwarded-For fields of a trusted peer as one list.
static struct str forwarded_for(struct exchange *x)
{
	struct http_head *head = x->request;
	struct str all = field_value(head, HTTP_F_X_FORWARDED_FOR);
	u32 first = head->first_known[HTTP_F_X_FORWARDED_FOR];

	for (u32 i = first; first && i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		char *text;

		if (field->known != HTTP_F_X_FORWARDED_FOR || field->value_len == 0)
			continue;
		text = arena_alloc(&x->arena, all.len + 2 + field->value_len);
		if (!text)
			break;
		memcpy(text, all.ptr, all.len);
		memcpy(text + all.len, ", ", 2);
		memcpy(text + all.len + 2, field->value, field->value_len);
		all = str_make(text, all.len + 2 + field->value_len);
	}
	return all;
}

// What a client must not tell the backend about itself, unless its peer is trusted.
static void take_out_forwarded(struct http_head *head, bool trusted)
{
	take_out(head, HTTP_F_X_FORWARDED_FOR);
	if (trusted)
		return;
	take_out(head, HTTP_F_X_FORWARDED_PROTO);
	take_out(head, HTTP_F_X_FORWARDED_HOST);
	take_out(head, HTTP_F_X_REAL_IP);
	take_out(head, HTTP_F_FORWARDED);
}

static void add_forwarded(struct exchange *x, struct lines *lines, struct str before)
{
	struct http_head *head = x->request;
	bool trusted = x->client->trusted;
	struct str ip = str_make(x->client->ip, x->client->ip_len);
	size_t comma = before.len ? 2 : 0;
	char *value = add_line(
		lines, HTTP_F_X_FORWARDED_FOR, STR("X-Forwarded-For"), before.len + comma + ip.len);

	if (comma)
		value = put(put(value, before), STR(", "));
	put(value, ip);
	if (head->authority.len && (!trusted || !http_head_find(head, HTTP_F_X_FORWARDED_HOST)))
		put(add_line(lines, HTTP_F_X_FORWARDED_HOST, STR("X-Forwarded-Host"),
			    head->authority.len),
			head->authority);
}

// A byte as two hexadecimal digits, low address first.
#define HEX_ROW(h)                                                                            \
	h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h \
	  "e" h "f"
static const char hex_pairs[] = HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4")
	HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b")
		HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

static void put_hex(char *text, u64 number)
{
	for (int i = 0; i < 8; i++, number >>= 8)
		memcpy(text + i * 2, hex_pairs + (number & 0xff) * 2, 2);
}

static const struct http_field *find_request_id(const struct exchange *x)
{
	const struct frontend *frontend = x->client->frontend;

	if (frontend->request_id_known != HTTP_F_OTHER)
		return http_head_find(x->request, frontend->request_id_known);
	return http_head_find_name(x->request, frontend->conf->headers.request_id);
}

static void add_request_id(struct exchange *x, struct lines *lines)
{
	const struct frontend *frontend = x->client->frontend;
	struct str name = frontend->conf->headers.request_id;
	const struct http_field *sent;

	put_hex(x->request_id, rng_u64(&x->proxy->rng));
	put_hex(x->request_id + 16, rng_u64(&x->proxy->rng));
	if (name.len == 0)
		return;
	sent = find_request_id(x);
	if (sent && x->client->trusted) {
		x->keep_request_id = true;
		return;
	}
	for (u32 i = 0; sent && i < x->request->field_count; i++)
		if (str_eq_nocase(
			    str_make(x->request->fields[i].name, x->request->fields[i].name_len),
			    name))
			x->request->fields[i].hop = true;
	put(add_line(lines, frontend->request_id_known, name, request_id_len),
		str_make(x->request_id, request_id_len));
}

// Never h2c (a backend that agrees would speak a protocol nobody here checks), and no upgrade
// behind a body.
static bool upgrade_is_allowed(const struct exchange *x)
{
	const struct http_field *upgrade = http_head_find(x->request, HTTP_F_UPGRADE);

	return upgrade && x->request_ended &&
	       !str_eq_nocase(str_make(upgrade->value, MIN(upgrade->value_len, 3u)), STR("h2c"));
}

int request_prepare(struct exchange *x)
{
	const struct frontend *frontend = x->client->frontend;
	const struct conf_frontend *conf = frontend->conf;
	struct http_head *head = x->request;
	bool trusted = x->client->trusted;
	bool forward = conf->headers.forwarded != CONF_FORWARDED_NONE;
	struct str before = trusted && forward ? forwarded_for(x) : STR_EMPTY;
	struct lines lines = {.head = head};

	if (head->upgrade && !upgrade_is_allowed(x))
		head->upgrade = false;
	http_mark_hop_fields(head);
	take_out_forwarded(head, trusted);
	take_out(head, HTTP_F_X_FORWARDED_BY);
	take_out(head, HTTP_F_X_BACKEND_SERVER);
	lines.at = arena_alloc(&x->arena,
		lines_bytes_max + before.len + head->authority.len + conf->headers.request_id.len);
	if (!lines.at)
		return -ENOMEM;
	if (forward)
		add_forwarded(x, &lines, before);
	add_request_id(x, &lines);
	if (forward && (!trusted || !http_head_find(head, HTTP_F_X_FORWARDED_PROTO)))
		append(head, frontend->forwarded_proto);
	x->server_field = UINT32_MAX;
	if (conf->headers.identify.len) {
		append(head, frontend->forwarded_by);
		x->server_field = head->field_count;
		append(head, frontend->forwarded_by);
	}
	return 0;
}

void request_address(struct exchange *x)
{
	if (x->server_field != UINT32_MAX)
		x->request->fields[x->server_field] = x->backend->server_field;
	if (x->request->authority.len == 0)
		x->request->authority = x->backend->address;
}

struct str request_id(const struct exchange *x)
{
	const struct http_field *sent =
		x->keep_request_id ? http_head_find_name(x->request,
					     x->client->frontend->conf->headers.request_id)
				   : NULL;

	return sent ? str_make(sent->value, sent->value_len)
		    : str_make(x->request_id, request_id_len);
}

static bool is_trusted(const struct conf_frontend *conf, const struct addr *addr)
{
	for (u32 i = 0; i < conf->client_ip.trusted_proxy_count; i++)
		if (addr_prefix_match(&conf->client_ip.trusted_proxies[i], addr))
			return true;
	return false;
}

// The rightmost address of the list that is no trusted proxy; text that is no address ends the
// search.
static struct str rightmost_untrusted(
	const struct conf_frontend *conf, struct str list, struct str peer)
{
	struct str best = peer;

	while (list.len) {
		size_t at = list.len;
		struct addr addr;
		struct str one;

		while (at && list.ptr[at - 1] != ',')
			at--;
		one = str_trim(str_make(list.ptr + at, list.len - at));
		if (addr_parse_ip(one, &addr) != 0)
			break;
		best = one;
		if (!is_trusted(conf, &addr))
			break;
		list.len = at ? at - 1 : 0;
	}
	return best;
}

struct str request_client_ip(const struct exchange *x)
{
	const struct conf_frontend *conf = x->client->frontend->conf;
	struct str peer = str_make(x->client->ip, x->client->ip_len);
	enum http_known known = conf->client_ip.header == CONF_CLIENT_IP_X_REAL_IP
					? HTTP_F_X_REAL_IP
					: HTTP_F_X_FORWARDED_FOR;
	const struct http_field *field;

	if (!x->client->trusted || !x->request)
		return peer;
	field = http_head_find(x->request, known);
	if (!field)
		return peer;
	return rightmost_untrusted(conf, str_make(field->value, field->value_len), peer);
}
