// SPDX-License-Identifier: Apache-2.0
#include "proxy/request.h"

#include <errno.h>

#include "base/hex.h"
#include "proxy/client_cert.h"

enum {
	request_id_len = 32,
	lines_bytes_max = 192, // names, separators, an address and an id; the rest is counted apart
	lookalike_bytes_max = 64, // of a name; none of ours is as long
};

void request_take_out(struct http_head *head, enum http_known known)
{
	u8 first = head->first_known[known];

	if (!first)
		return;
	head->any_hop = true;
	for (u32 i = first - 1u; i < head->field_count; i++)
		if (head->fields[i].known == known)
			head->fields[i].hop = true;
}

static char *put(char *at, struct str text)
{
	memcpy(at, text.ptr, text.len);
	return at + text.len;
}

static char *put_line(char *at, struct str name_and_colon, struct str value)
{
	return put(put(put(at, name_and_colon), value), STR("\r\n"));
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

// Fields that the proxy sets, or that a client must not set for itself.
static const u64 ours = HTTP_BIT(HTTP_F_X_FORWARDED_FOR) | HTTP_BIT(HTTP_F_X_FORWARDED_PROTO) |
			HTTP_BIT(HTTP_F_X_FORWARDED_HOST) | HTTP_BIT(HTTP_F_X_REAL_IP) |
			HTTP_BIT(HTTP_F_FORWARDED) | HTTP_BIT(HTTP_F_X_FORWARDED_BY) |
			HTTP_BIT(HTTP_F_X_BACKEND_SERVER) | HTTP_BIT(HTTP_F_X_CLIENT_CERT_SUBJECT) |
			HTTP_BIT(HTTP_F_X_CLIENT_CERT_SAN);

// `forward`: we write X-Forwarded-For ourselves; else a trusted peer's goes on as it is.
// `certified`: backends know these fields as ours, and cannot tell by which frontend a request
// came; so nobody is trusted with them.
static void take_out_ours(struct http_head *head, bool trusted, bool forward, bool certified)
{
	if (certified || !trusted) {
		request_take_out(head, HTTP_F_X_CLIENT_CERT_SUBJECT);
		request_take_out(head, HTTP_F_X_CLIENT_CERT_SAN);
	}
	request_take_out(head, HTTP_F_X_FORWARDED_BY);
	request_take_out(head, HTTP_F_X_BACKEND_SERVER);
	if (forward || !trusted)
		request_take_out(head, HTTP_F_X_FORWARDED_FOR);
	if (trusted)
		return;
	request_take_out(head, HTTP_F_X_FORWARDED_PROTO);
	request_take_out(head, HTTP_F_X_FORWARDED_HOST);
	request_take_out(head, HTTP_F_X_REAL_IP);
	request_take_out(head, HTTP_F_FORWARDED);
}

static bool is_ours(const struct exchange *x, struct str name)
{
	enum http_known known = http_field_known(name.ptr, name.len);

	return (known && ours & HTTP_BIT(known)) ||
	       str_eq_nocase(name, x->frontend->conf->headers.request_id);
}

// For CGI, WSGI and their like "-" and "_" in a name are the same: what nobody may claim, nobody
// may claim in such a spelling either.
static cold void take_out_lookalikes(struct exchange *x)
{
	struct http_head *head = x->request;
	char name[lookalike_bytes_max];

	for (u16 i = 0; i < head->field_count; i++) {
		struct http_field *field = &head->fields[i];
		size_t len = field->name_len;

		if (field->known || len > sizeof(name) || !memchr(field->name, '_', len))
			continue;
		for (size_t at = 0; at < len; at++)
			name[at] = (char)(field->name[at] == '_' ? '-' : field->name[at]);
		if (!is_ours(x, str_make(name, len)))
			continue;
		field->hop = true;
		head->any_hop = true;
	}
}

static char *put_forwarded(const struct exchange *x, char *at, struct str before)
{
	const struct http_head *head = x->request;
	bool trusted = x->client->trusted;

	at = put(at, STR("X-Forwarded-For: "));
	if (before.len)
		at = put(put(at, before), STR(", "));
	memcpy(at, x->client->ip, sizeof(x->client->ip)); // the whole field: its size is known
	at = put(at + x->client->ip_len, STR("\r\n"));
	if (head->authority.len && (!trusted || !http_head_find(head, HTTP_F_X_FORWARDED_HOST)))
		at = put_line(at, STR("X-Forwarded-Host: "), head->authority);
	return at;
}

static const struct http_field *find_request_id(const struct exchange *x)
{
	const struct frontend *frontend = x->frontend;

	if (frontend->request_id_known != HTTP_F_OTHER)
		return http_head_find(x->request, frontend->request_id_known);
	return http_head_find_name(x->request, frontend->conf->headers.request_id);
}

void request_identify(struct exchange *x)
{
	hex_put_16(x->request_id, rng_u64(&x->proxy->rng), rng_u64(&x->proxy->rng));
	x->keep_request_id = x->client->trusted && x->frontend->conf->headers.request_id.len &&
			     find_request_id(x);
}

static char *put_request_id(struct exchange *x, char *at)
{
	const struct frontend *frontend = x->frontend;
	struct str name = frontend->conf->headers.request_id;
	const struct http_field *sent;

	if (name.len == 0 || x->keep_request_id)
		return at;
	sent = find_request_id(x);
	if (sent)
		x->request->any_hop = true;
	for (u32 i = 0; sent && i < x->request->field_count; i++)
		if (str_eq_nocase(
			    str_make(x->request->fields[i].name, x->request->fields[i].name_len),
			    name))
			x->request->fields[i].hop = true;
	return put_line(at, frontend->request_id_prefix, str_make(x->request_id, request_id_len));
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
	const struct frontend *frontend = x->frontend;
	const struct conf_frontend *conf = frontend->conf;
	struct http_head *head = x->request;
	bool trusted = x->client->trusted;
	bool forward = conf->headers.forwarded != CONF_FORWARDED_NONE;
	struct str before = trusted && forward ? forwarded_for(x) : STR_EMPTY;
	struct str lines = frontend->forwarded_lines;
	char *start, *at;

	x->names_no_host = head->authority.len == 0;
	if (head->upgrade && !upgrade_is_allowed(x))
		head->upgrade = false;
	http_mark_hop_fields(head);
	if (unlikely(head->known_seen & ours))
		take_out_ours(head, trusted, forward, frontend->some_ask_certificates);
	if (unlikely(head->has_underscore))
		take_out_lookalikes(x);
	start = at = arena_alloc(&x->arena,
		lines_bytes_max + before.len + head->authority.len + conf->headers.request_id.len);
	if (!start)
		return -ENOMEM;
	if (forward)
		at = put_forwarded(x, at, before);
	at = put_request_id(x, at);
	ASSERT(head->added_count == 0);
	head->added[0] = str_make(start, (size_t)(at - start));
	if (trusted && http_head_find(head, HTTP_F_X_FORWARDED_PROTO))
		lines = str_make(
			lines.ptr + frontend->proto_line_len, lines.len - frontend->proto_line_len);
	head->added[1] = lines;
	head->added[2] = STR_EMPTY; // the backend's, in each attempt
	head->added_count = conf->headers.identify.len ? 3 : 2;
	if (unlikely(x->is_traced) && x->tracing.lines.len) {
		head->added[3] = x->tracing.lines;
		head->added_count = 4;
	}
	if (unlikely(frontend->asks_certificates))
		client_cert_tell(x);
	return 0;
}

void request_address(struct exchange *x, const struct backend *backend)
{
	struct http_head *head = x->request;

	if (x->frontend->conf->headers.identify.len)
		head->added[2] = backend->server_line;
	// A path is no host. "localhost" is true, and some servers refuse an empty Host.
	if (x->names_no_host)
		head->authority =
			backend->addr.family == ADDR_UNIX ? STR("localhost") : backend->address;
}

struct str request_id(const struct exchange *x)
{
	const struct http_field *sent =
		x->keep_request_id
			? http_head_find_name(x->request, x->frontend->conf->headers.request_id)
			: NULL;

	return sent ? str_make(sent->value, sent->value_len)
		    : str_make(x->request_id, request_id_len);
}

bool request_is_trusted(const struct conf_frontend *conf, const struct addr *addr)
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
		if (!request_is_trusted(conf, &addr))
			break;
		list.len = at ? at - 1 : 0;
	}
	return best;
}

struct str request_client_ip(struct exchange *x)
{
	const struct conf_frontend *conf = x->frontend->conf;
	struct str peer = str_make(x->client->ip, x->client->ip_len);

	if (!x->client->trusted || !x->request)
		return peer;
	if (conf->client_ip.header == CONF_CLIENT_IP_X_REAL_IP)
		return rightmost_untrusted(conf, field_value(x->request, HTTP_F_X_REAL_IP), peer);
	return rightmost_untrusted(conf, forwarded_for(x), peer);
}
