// SPDX-License-Identifier: Apache-2.0
#include "proxy/explain.h"

#include <stdio.h>

#include "proxy/client_cert.h"
#include "proxy/explain_parts.h"
#include "proxy/reply.h"
#include "proxy/request.h"

enum {
	result_bytes_max = 2 * 1024 * 1024,
	exchange_bytes_max = 512 * 1024,
};

// What nobody sees: a connection and its request.
struct shadow {
	struct client client;
	struct exchange x;
	struct tls tls; // only for what it notes of a certificate
};

// ---- Memory -------------------------------------------------------------------------------------

static void fail(struct explain *explain, const char *error, const char *cure)
{
	explain->end = EXPLAIN_ERROR;
	if (explain->error)
		return;
	explain->error = error;
	explain->cure = cure;
}

static void fail_about(struct explain *explain, const char *before, struct str name,
	const char *behind, const char *cure)
{
	size_t size = strlen(before) + name.len + strlen(behind) + 1;
	char *text = explain_alloc(explain, size);

	if (!text)
		return; // which has failed by that
	snprintf(text, size, "%s%.*s%s", before, STR_FMT(name), behind);
	fail(explain, text, cure);
}

void *explain_alloc(struct explain *explain, size_t size)
{
	void *at = arena_alloc(&explain->arena, size);

	if (at)
		return memset(at, 0, size);
	fail(explain, "there is no memory for the answer", "Ask for less, or later.");
	return NULL;
}

struct str explain_keep(struct explain *explain, struct str text)
{
	char *copy = explain_alloc(explain, text.len + 1);

	if (!copy)
		return STR_EMPTY;
	if (text.len)
		memcpy(copy, text.ptr, text.len);
	return str_make(copy, text.len);
}

// ---- Where it arrives ---------------------------------------------------------------------------

static bool is_any(const struct addr *addr)
{
	static const u8 zeros[16];

	return memcmp(addr->ip, zeros, addr->family == ADDR_V4 ? 4 : 16) == 0;
}

static bool takes_address(const struct addr *bound, const struct addr *addr)
{
	if (bound->family == ADDR_UNIX || addr->family == ADDR_UNIX)
		return addr_equal(bound, addr);
	return bound->port == addr->port &&
	       (is_any(bound) || is_any(addr) || addr_equal(bound, addr));
}

static const struct frontend *find_by_address(
	const struct snapshot *snapshot, const struct addr *addr)
{
	for (u32 i = 0; i < snapshot->frontend_count; i++) {
		const struct frontend *frontend = snapshot->frontends[i];

		for (u32 k = 0; frontend && k < frontend->conf->bind_count; k++)
			if (takes_address(&frontend->conf->binds[k].addr, addr))
				return frontend;
	}
	return NULL;
}

static const struct frontend *first_with_http(const struct snapshot *snapshot)
{
	const struct frontend *first = NULL;

	for (u32 i = 0; i < snapshot->frontend_count; i++) {
		const struct frontend *frontend = snapshot->frontends[i];

		if (frontend && frontend->conf->protocol == CONF_HTTP)
			return frontend;
		first = first ? first : frontend;
	}
	return first;
}

// A URL in its parts; the authority is empty where it names none.
struct url {
	struct str authority, target;
};

static struct url cut_url(struct str text)
{
	struct str rest = text, scheme;
	struct url url = {STR_EMPTY, STR_EMPTY};
	size_t slash;

	text.len = str_find(text, '#');
	rest = text;
	scheme = str_cut(&rest, ':');
	if (str_starts(rest, STR("//")) && scheme.len)
		text = str_make(rest.ptr + 2, rest.len - 2);
	else if (text.len == 0 || text.ptr[0] == '/' || text.ptr[0] == '*') {
		url.target = text.len ? text : STR("/");
		return url;
	}
	slash = MIN(str_find(text, '/'), str_find(text, '?'));
	url.authority = str_make(text.ptr, slash);
	url.target = str_make(text.ptr + slash, text.len - slash);
	return url;
}

// The port that an authority names; 0: none.
static u16 port_of(struct str authority)
{
	size_t at = authority.len;
	u64 port;

	while (at && ascii_is_digit(authority.ptr[at - 1]))
		at--;
	if (at == 0 || authority.ptr[at - 1] != ':' ||
		str_to_u64(str_make(authority.ptr + at, authority.len - at), UINT16_MAX, &port) !=
			0)
		return 0;
	return (u16)port;
}

static const struct frontend *find_frontend(
	struct explain *explain, const struct snapshot *snapshot, const struct explain_ask *ask)
{
	const struct frontend *found = NULL;
	struct addr addr = {.family = ADDR_V4};

	if (ask->frontend.len) {
		found = snapshot_find_frontend(snapshot, ask->frontend);
		if (!found)
			fail_about(explain, "there is no frontend '", ask->frontend, "'",
				"The configuration names them under `frontends`.");
		return found;
	}
	if (ask->address.len) {
		struct str text = explain_keep(explain, ask->address);

		if (addr_parse(text, &addr) != 0)
			fail_about(explain, "'", ask->address, "' is no address to listen on",
				"Write it as 10.0.0.1:80, [::1]:80, :80 or unix:/path.");
		else if (!(found = find_by_address(snapshot, &addr)))
			fail_about(explain, "no frontend is bound to ", ask->address, "",
				"The configuration names them under frontends.NAME.bind.");
		return found;
	}
	addr.port = port_of(cut_url(ask->url).authority);
	if (addr.port)
		found = find_by_address(snapshot, &addr);
	return found ? found : first_with_http(snapshot);
}

static bool has_line_end(struct str text)
{
	return str_find(text, '\r') < text.len || str_find(text, '\n') < text.len ||
	       str_find(text, '\0') < text.len;
}

// ---- The connection -----------------------------------------------------------------------------

static void make_client(struct client *client, struct proxy *proxy, const struct frontend *frontend,
	const struct addr *peer)
{
	char text[ADDR_TEXT_MAX];

	client->proxy = proxy;
	client->gate = &proxy->gates[frontend->index];
	client->trusted = request_is_trusted(frontend->conf, peer);
	client->ip_len = (u8)MIN(addr_format_ip(peer, text), sizeof(client->ip));
	memcpy(client->ip, text, client->ip_len);
	client->is_long = true;
	client->port = peer->port;
	client->requests = 1;
}

// False: it is reset.
static bool may_connect(
	struct explain *explain, const struct frontend *frontend, const struct addr *peer)
{
	enum guard_answer answer = frontend->is_guarded ? guard_look(frontend, peer) : GUARD_IN;

	explain->guard = (u8)answer;
	if (!guard_refuses(answer))
		return true;
	guard_key_text(frontend, answer, explain->guard_key);
	explain->end = EXPLAIN_DENIED;
	return false;
}

// False: nobody asks for the certificate that it shows.
static bool show_certificate(
	struct explain *explain, struct shadow *shadow, const struct explain_ask *ask)
{
	struct str lines;

	if (ask->cert_subject.len + ask->cert_sans.len == 0)
		return true;
	if (!shadow->client.gate->frontend->asks_certificates) {
		fail_about(explain, "frontend '", explain->frontend,
			"' asks its clients for no certificate",
			"Ask without one, or set frontends.NAME.tls.client_certificates there.");
		return false;
	}
	if (has_line_end(ask->cert_subject) || has_line_end(ask->cert_sans) ||
		ask->cert_subject.len + ask->cert_sans.len > EXPLAIN_CERT_BYTES_MAX) {
		fail(explain, "the certificate is too large, or has a line end",
			"Name its subject and names alone, of 2000 bytes together at most.");
		return false;
	}
	lines = client_cert_lines(&explain->arena, ask->cert_subject, ask->cert_sans);
	shadow->tls.note = (char *)(uintptr_t)lines.ptr;
	shadow->tls.note_len = (u16)lines.len;
	shadow->client.conn.tls = &shadow->tls;
	shadow->client.conn.is_secure = true;
	return lines.ptr != NULL;
}

// ---- The request --------------------------------------------------------------------------------

static bool is_one_line_each(const struct explain_ask *ask)
{
	for (u32 i = 0; i < ask->field_count; i++)
		if (has_line_end(ask->fields[i].name) || has_line_end(ask->fields[i].value))
			return false;
	return !has_line_end(ask->method) && !has_line_end(ask->url);
}

static bool has_field(const struct explain_ask *ask, struct str name)
{
	for (u32 i = 0; i < ask->field_count; i++)
		if (str_eq_nocase(ask->fields[i].name, name))
			return true;
	return false;
}

// What a client would send.
struct writing {
	char *start, *at;
};

static void put(struct writing *writing, struct str text)
{
	memcpy(writing->at, text.ptr, text.len);
	writing->at += text.len;
}

static void put_field(struct writing *writing, struct str name, struct str value)
{
	put(writing, name);
	put(writing, STR(": "));
	put(writing, value);
	put(writing, STR("\r\n"));
}

static struct str write_request(struct explain *explain, const struct explain_ask *ask)
{
	struct str method = ask->method.len ? ask->method : STR("GET");
	struct url url = cut_url(ask->url);
	size_t room = method.len + ask->url.len + 128;
	struct writing writing;

	for (u32 i = 0; i < ask->field_count; i++)
		room += ask->fields[i].name.len + ask->fields[i].value.len + 4;
	if (room > EXPLAIN_HEAD_BYTES_MAX || !is_one_line_each(ask)) {
		fail(explain,
			room > EXPLAIN_HEAD_BYTES_MAX ? "the request is too large"
						      : "a line end stands in the request",
			"Ask with less, and with one line for each field.");
		return STR_EMPTY;
	}
	writing.start = writing.at = explain_alloc(explain, room);
	if (!writing.at)
		return STR_EMPTY;
	put(&writing, method);
	put(&writing, STR(" "));
	if (str_eq(method, STR("CONNECT")))
		put(&writing, url.authority);
	else if (url.target.len == 0 || url.target.ptr[0] == '?')
		put(&writing, STR("/"));
	if (!str_eq(method, STR("CONNECT")))
		put(&writing, url.target);
	put(&writing, STR(" HTTP/1.1\r\n"));
	if (!has_field(ask, STR("host")))
		put_field(&writing, STR("Host"),
			url.authority.len ? url.authority : STR("localhost"));
	for (u32 i = 0; i < ask->field_count; i++)
		put_field(&writing, ask->fields[i].name, ask->fields[i].value);
	put(&writing, STR("\r\n"));
	return str_make(writing.start, (size_t)(writing.at - writing.start));
}

// As h1_recv.c and exchange_begin_http or exchange_begin_refused do it.
static void parse_request(struct exchange *x, struct str text)
{
	struct h1_parser *parser = &x->proxy->parsers[x->frontend->index];
	enum http_refusal why = HTTP_REFUSE_OK;
	struct http_head *head = &parser->head;
	int used =
		h1_parse_request(text.ptr, text.len, &parser->limits, parser->fields, head, &why);

	x->request_ended = true;
	if (used <= 0) {
		x->refusal = (u8)(why != HTTP_REFUSE_OK ? why : HTTP_REFUSE_REQUEST_LINE);
		return;
	}
	x->request_ended = head->framing == HTTP_NO_BODY ||
			   (head->framing == HTTP_LENGTH && head->content_length == 0);
	x->request_has_body = !x->request_ended;
	x->request = http_head_copy(&x->arena, head);
	if (!x->request)
		x->refusal = HTTP_REFUSE_HEAD_TOO_LARGE;
}

// As opening.c does it, with the host of the URL as the name that TLS asks for, and no protocols.
static void route_name(struct exchange *x, const struct explain_ask *ask)
{
	struct str authority = cut_url(ask->url).authority, name;
	struct client_hello hello = {0};

	if (authority.len <= sizeof(hello.name)) {
		name = http_host_of(authority, hello.name);
		memmove(hello.name, name.ptr, name.len);
		hello.name_len = (u8)name.len;
	}
	x->route = router_find_hello(x->frontend, &hello);
	if (x->route)
		x->pool = router_pool(x->route, (u32)(rng_u64(&x->proxy->rng) >> 32));
}

static bool make_exchange(struct explain *explain, struct shadow *shadow, struct proxy *proxy,
	const struct explain_ask *ask)
{
	struct exchange *x = &shadow->x;

	x->proxy = proxy;
	x->client = &shadow->client;
	x->frontend = shadow->client.gate->frontend;
	x->hold = proxy->hold;
	x->headed_us = x->began_us = loop_now_us(proxy->loop);
	x->headed_wall_ms = loop_wall_ms(proxy->loop);
	x->deadline_ms = UINT64_MAX;
	x->sticky = BALANCE_NONE;
	x->tcp = x->frontend->conf->protocol != CONF_HTTP;
	attempt_init(x);
	if (x->tcp) {
		x->pool = x->frontend->pool;
		if (x->frontend->conf->protocol == CONF_TLS_PASSTHROUGH)
			route_name(x, ask);
	} else {
		struct str text = write_request(explain, ask);

		if (explain->error)
			return false;
		parse_request(x, text);
	}
	return true;
}

// ---- Which way ----------------------------------------------------------------------------------

static struct str join(struct explain *explain, struct str a, struct str b, struct str c)
{
	char *text = explain_alloc(explain, a.len + b.len + c.len + 1);

	if (!text)
		return STR_EMPTY;
	memcpy(text, a.ptr, a.len);
	memcpy(text + a.len, b.ptr, b.len);
	memcpy(text + a.len + b.len, c.ptr, c.len);
	return str_make(text, a.len + b.len + c.len);
}

static struct str list_names(struct explain *explain, const struct str *names, u32 count)
{
	struct str list = STR_EMPTY;

	for (u32 i = 0; i < count; i++)
		list = join(explain, list, i ? STR(" or ") : STR_EMPTY, names[i]);
	return list;
}

static void tell_cert_miss(struct explain *explain, struct explain_route *told,
	const struct conf_match_cert *wanted, const struct router_cert *cert)
{
	static const struct str words[] = {{"false", 5}, {"true", 4}};

	if (told->miss == ROUTER_MISS_VERIFIED) {
		told->wanted = words[!cert->is_verified];
		told->got = words[cert->is_verified];
		return;
	}
	if (told->miss == ROUTER_MISS_SUBJECT) {
		told->wanted = list_names(explain, wanted->subjects.names, wanted->subjects.count);
		told->got = cert->subject;
	} else {
		told->wanted = list_names(explain, wanted->sans.names, wanted->sans.count);
		told->got = cert->sans;
	}
	told->got = told->got.len ? explain_keep(explain, told->got) : (struct str){0};
}

static struct str header_of(const struct http_head *head, struct str name)
{
	const struct http_field *field = http_head_find_name(head, name);

	return field ? str_make(field->value, field->value_len) : (struct str){0};
}

static void tell_miss(struct explain *explain, struct explain_route *told,
	const struct conf_match *match, const struct exchange *x, const struct router_cert *cert,
	u32 header)
{
	const struct http_head *head = x->request;
	const struct conf_header *wanted = &match->headers[header];

	switch ((enum router_miss)told->miss) {
	case ROUTER_MATCHES:
		break;
	case ROUTER_MISS_HOST:
		told->wanted = join(explain, match->host_is_suffix ? STR("*") : STR_EMPTY,
			match->host, STR_EMPTY);
		told->got = explain_keep(explain, head->authority);
		break;
	case ROUTER_MISS_PATH:
		told->wanted = join(explain, match->path,
			match->path_is_prefix ? STR("*") : STR_EMPTY, STR_EMPTY);
		told->got = explain_keep(explain, x->path);
		break;
	case ROUTER_MISS_METHOD:
		told->wanted = list_names(explain, match->methods, match->method_count);
		told->got = explain_keep(explain, head->method_text);
		break;
	case ROUTER_MISS_HEADER:
		told->wanted = join(explain, wanted->name, STR(": "), wanted->value);
		told->got = header_of(head, wanted->name);
		if (told->got.ptr)
			told->got = explain_keep(explain, told->got);
		break;
	case ROUTER_MISS_VERIFIED:
	case ROUTER_MISS_SUBJECT:
	case ROUTER_MISS_SAN:
		tell_cert_miss(explain, told, &match->cert, cert);
		break;
	}
}

// Those that were asked, up to the one that takes it. Of many the first are told, and the last one.
static void tell_routes(struct explain *explain, const struct exchange *x)
{
	const struct frontend *frontend = x->frontend;
	u32 asked = x->route ? (u32)(x->route - frontend->routes) + 1 : frontend->route_count;
	u32 count = MIN(asked, (u32)EXPLAIN_ROUTES_MAX);
	struct router_cert cert = client_cert_known(&x->client->conn);

	if (!x->path.len || count == 0) // refused before
		return;
	explain->routes = explain_alloc(explain, sizeof(*explain->routes) * count);
	if (!explain->routes)
		return;
	explain->route_count = count;
	explain->routes_left_out = asked - count;
	for (u32 i = 0; i < count; i++) {
		const struct route *route = &frontend->routes[i + 1 < count ? i : asked - 1];
		struct explain_route *told = &explain->routes[i];
		u32 header = 0;

		told->name = explain_keep(explain, route->conf->name);
		told->miss = (u8)router_try(route, x->request, x->path, &cert, &header);
		tell_miss(explain, told, &route->conf->match, x, &cert, header);
	}
}

static void tell_shares(struct explain *explain, const struct route *route)
{
	u32 count = MIN(route->target_count, (u32)EXPLAIN_SHARES_MAX);

	if (route->target_count < 2)
		return;
	explain->is_chance = true;
	explain->shares = explain_alloc(explain, sizeof(*explain->shares) * count);
	if (!explain->shares)
		return;
	explain->share_count = count;
	explain->shares_left_out = route->target_count - count;
	for (u32 i = 0; i < count; i++)
		explain->shares[i] =
			(struct explain_share){explain_keep(explain, route->targets[i].pool->name),
				route->targets[i].weight};
}

// What the request says, as far as it could be read.
static void tell_request(struct explain *explain, struct exchange *x)
{
	const struct http_head *head = x->request;

	explain->client = explain_keep(explain, request_client_ip(x));
	if (x->tcp && x->route) {
		explain->route = explain_keep(explain, x->route->conf->name);
		tell_shares(explain, x->route);
	}
	if (!head)
		return;
	explain->method = explain_keep(explain, head->method_text);
	explain->host = explain_keep(explain, head->authority);
	explain->path = explain_keep(explain, x->path);
	tell_routes(explain, x);
	if (!x->route)
		return;
	explain->route = explain_keep(explain, x->route->conf->name);
	tell_shares(explain, x->route);
}

static void tell_answer(struct explain *explain, struct exchange *x)
{
	explain->end = EXPLAIN_ANSWERED;
	explain->outcome = x->outcome;
	explain->refusal = x->refusal;
	// Which one a page of our own has is decided when it is made.
	explain->status = x->outcome == OUTCOME_BUILTIN ? 0 : reply_status(x);
	if (x->outcome == OUTCOME_REDIRECTED)
		explain->location = explain_keep(
			explain, router_location(&x->arena, x->route, x->request, x->path));
}

static void follow(struct explain *explain, struct exchange *x)
{
	enum step next = STEP_PICK;

	if (x->tcp && !x->pool) {
		explain->end = EXPLAIN_ANSWERED;
		explain->outcome = OUTCOME_NAME_UNKNOWN;
		return;
	}
	if (!x->tcp)
		next = step_route(x);
	if (next == STEP_ADMIT)
		next = step_admit(x);
	tell_request(explain, x);
	if (explain->error)
		return;
	if (next == STEP_REPLY)
		tell_answer(explain, x);
	else
		explain_pools(explain, x);
}

// ---- All of it ----------------------------------------------------------------------------------

static void run(struct explain *explain, struct proxy *proxy, const struct explain_ask *ask)
{
	const struct frontend *frontend = find_frontend(explain, proxy->snapshot, ask);
	struct addr peer = ask->from;
	struct shadow *shadow = explain_alloc(explain, sizeof(*shadow));

	if (!frontend && !explain->error)
		fail(explain, "there is no frontend", "The configuration has none.");
	if (explain->error)
		return;
	if (peer.family == ADDR_NONE)
		peer = (struct addr){.family = ADDR_V4, .ip = {127, 0, 0, 1}};
	make_client(&shadow->client, proxy, frontend, &peer);
	explain->frontend = explain_keep(explain, frontend->conf->name);
	explain->tcp = frontend->conf->protocol != CONF_HTTP;
	explain->peer = explain_keep(explain, str_make(shadow->client.ip, shadow->client.ip_len));
	explain->client = explain->peer;
	explain->is_trusted = shadow->client.trusted;
	if (!may_connect(explain, frontend, &peer))
		return;
	arena_init(&shadow->x.arena, exchange_bytes_max);
	if (show_certificate(explain, shadow, ask) && make_exchange(explain, shadow, proxy, ask))
		follow(explain, &shadow->x);
	arena_done(&shadow->x.arena);
}

void explain_run(struct explain *ret_explain, struct proxy *proxy, const struct explain_ask *ask)
{
	struct rng rng = proxy->rng, upstream_rng = proxy->upstream.rng;

	*ret_explain = (struct explain){.generation = proxy->snapshot->generation};
	arena_init(&ret_explain->arena, result_bytes_max);
	run(ret_explain, proxy, ask);
	proxy->rng = rng;
	proxy->upstream.rng = upstream_rng;
	if (ret_explain->error)
		ret_explain->end = EXPLAIN_ERROR;
}

void explain_done(struct explain *explain)
{
	arena_done(&explain->arena);
}
