// SPDX-License-Identifier: Apache-2.0
#include "proxy/request.h"

#include <errno.h>

enum { request_id_len = 32 };

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

// "Name: a, b" in one contiguous text in the arena. `before` may be empty.
static int append_text(struct exchange *x, enum http_known known, struct str name,
	struct str before, struct str value)
{
	size_t comma = before.len ? 2 : 0;
	size_t value_len = before.len + comma + value.len;
	char *text = arena_alloc(&x->arena, name.len + 2 + value_len), *at = text;

	if (!text)
		return -ENOMEM;
	memcpy(at, name.ptr, name.len);
	at += name.len;
	memcpy(at, ": ", 2);
	at += 2;
	if (comma) {
		memcpy(at, before.ptr, before.len);
		at += before.len;
		memcpy(at, ", ", 2);
		at += 2;
	}
	memcpy(at, value.ptr, value.len);
	append(x->request, (struct http_field){.name = text,
				   .value = text + name.len + 2,
				   .value_len = (u32)value_len,
				   .name_len = (u16)name.len,
				   .known = (u8)known});
	return 0;
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

static int set_forwarded(struct exchange *x)
{
	const struct frontend *frontend = x->client->frontend;
	struct http_head *head = x->request;
	bool trusted = x->client->trusted;
	struct str before = trusted ? forwarded_for(x) : STR_EMPTY;
	int error;

	take_out(head, HTTP_F_X_FORWARDED_FOR);
	if (!trusted) {
		take_out(head, HTTP_F_X_FORWARDED_PROTO);
		take_out(head, HTTP_F_X_FORWARDED_HOST);
		take_out(head, HTTP_F_X_REAL_IP);
		take_out(head, HTTP_F_FORWARDED);
	}
	if (frontend->conf->headers.forwarded == CONF_FORWARDED_NONE)
		return 0;
	error = append_text(x, HTTP_F_X_FORWARDED_FOR, STR("X-Forwarded-For"), before,
		str_make(x->client->ip, x->client->ip_len));
	if (error)
		return error;
	if (!trusted || !http_head_find(head, HTTP_F_X_FORWARDED_PROTO))
		append(head, frontend->forwarded_proto);
	if (head->authority.len && (!trusted || !http_head_find(head, HTTP_F_X_FORWARDED_HOST)))
		error = append_text(x, HTTP_F_X_FORWARDED_HOST, STR("X-Forwarded-Host"), STR_EMPTY,
			head->authority);
	return error;
}

// Sixteen hexadecimal digits of a number, all digits worked on at once.
static void put_hex(char *text, u64 number)
{
	for (int half = 0; half < 2; half++) {
		u64 x = half ? number & 0xffffffff : number >> 32;
		u64 letters;

		x = ((x & 0xffff0000) << 16) | (x & 0xffff);
		x = ((x & 0x0000ff000000ff00) << 8) | (x & 0x000000ff000000ff);
		x = ((x & 0x00f000f000f000f0) << 4) | (x & 0x000f000f000f000f);
		letters = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101;
		x = __builtin_bswap64(x + 0x3030303030303030 + letters * ('a' - '0' - 10));
		memcpy(text + half * 8, &x, 8);
	}
}

static int set_request_id(struct exchange *x)
{
	struct str name = x->client->frontend->conf->headers.request_id;
	const struct http_field *sent;

	put_hex(x->request_id, rng_u64(&x->proxy->rng));
	put_hex(x->request_id + 16, rng_u64(&x->proxy->rng));
	if (name.len == 0)
		return 0;
	sent = http_head_find_name(x->request, name);
	if (sent && x->client->trusted) {
		x->keep_request_id = true;
		return 0;
	}
	for (u32 i = 0; sent && i < x->request->field_count; i++)
		if (str_eq_nocase(
			    str_make(x->request->fields[i].name, x->request->fields[i].name_len),
			    name))
			x->request->fields[i].hop = true;
	return append_text(
		x, HTTP_F_OTHER, name, STR_EMPTY, str_make(x->request_id, request_id_len));
}

int request_prepare(struct exchange *x)
{
	const struct conf_frontend *conf = x->client->frontend->conf;
	struct http_head *head = x->request;
	const struct http_field *upgrade = http_head_find(head, HTTP_F_UPGRADE);
	int error;

	// Never h2c (a backend that agrees would speak a protocol nobody here checks), and no
	// upgrade behind a body.
	if (head->upgrade &&
		(!upgrade || !x->request_ended ||
			str_eq_nocase(
				str_make(upgrade->value, MIN(upgrade->value_len, 3u)), STR("h2c"))))
		head->upgrade = false;
	http_mark_hop_fields(head);
	error = set_forwarded(x);
	if (!error)
		error = set_request_id(x);
	if (error)
		return error;
	take_out(head, HTTP_F_X_FORWARDED_BY);
	take_out(head, HTTP_F_X_BACKEND_SERVER);
	x->server_field = UINT32_MAX;
	if (conf->headers.identify.len) {
		append(head, x->client->frontend->forwarded_by);
		x->server_field = head->field_count;
		append(head, x->client->frontend->forwarded_by);
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
