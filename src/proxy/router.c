// SPDX-License-Identifier: Apache-2.0
#include "proxy/router.h"

#include <stdio.h>

enum { host_bytes_max = 255 };

static bool is_named(const struct conf_match *match, struct str host)
{
	if (!match->host_is_suffix)
		return str_eq(host, match->host);
	return host.len > match->host.len &&
	       memcmp(host.ptr + host.len - match->host.len, match->host.ptr, match->host.len) == 0;
}

static bool host_matches(const struct conf_match *match, const struct http_head *head)
{
	char buffer[host_bytes_max];

	if (head->authority.len > sizeof(buffer))
		return false;
	return is_named(match, http_host_of(head->authority, buffer));
}

static bool offers_one(const struct conf_match *match, const struct client_hello *hello)
{
	for (u32 i = 0; i < match->alpn_count; i++)
		if (client_hello_offers(hello, match->alpn[i]))
			return true;
	return false;
}

static bool path_matches(const struct conf_match *match, struct str path)
{
	if (!match->path_is_prefix)
		return str_eq(path, match->path);
	return str_starts(path, match->path) ||
	       (path.len + 1 == match->path.len &&
		       memcmp(path.ptr, match->path.ptr, path.len) == 0);
}

static bool method_matches(const struct conf_match *match, const struct http_head *head)
{
	for (u32 i = 0; i < match->method_count; i++)
		if (str_eq(match->methods[i], head->method_text))
			return true;
	return false;
}

static bool has_header(const struct http_head *head, const struct conf_header *wanted)
{
	for (u32 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (str_eq_nocase(str_make(field->name, field->name_len), wanted->name) &&
			str_eq(str_make(field->value, field->value_len), wanted->value))
			return true;
	}
	return false;
}

static bool is_one_of(const struct conf_names *wanted, struct str name)
{
	bool ignores_case = str_starts(name, STR("DNS:"));

	for (u32 i = 0; i < wanted->count; i++)
		if (ignores_case ? str_eq_nocase(wanted->names[i], name)
				 : str_eq(wanted->names[i], name))
			return true;
	return false;
}

static bool has_one_of(const struct conf_names *wanted, struct str sans)
{
	while (sans.len)
		if (is_one_of(wanted, str_cut(&sans, ',')))
			return true;
	return false;
}

static enum router_miss find_cert_miss(
	const struct conf_match_cert *wanted, const struct router_cert *cert)
{
	if (wanted->verified == CONF_CERT_NOT_ASKED)
		return ROUTER_MATCHES;
	if (cert->is_verified != (wanted->verified == CONF_CERT_VERIFIED))
		return ROUTER_MISS_VERIFIED;
	if (wanted->subjects.count && !is_one_of(&wanted->subjects, cert->subject))
		return ROUTER_MISS_SUBJECT;
	if (wanted->sans.count && !has_one_of(&wanted->sans, cert->sans))
		return ROUTER_MISS_SAN;
	return ROUTER_MATCHES;
}

static inline enum router_miss find_miss(const struct conf_match *match,
	const struct http_head *head, struct str path, u32 *ret_header)
{
	if (match->host.len && !host_matches(match, head))
		return ROUTER_MISS_HOST;
	if (match->path.len && !path_matches(match, path))
		return ROUTER_MISS_PATH;
	if (match->method_count && !method_matches(match, head))
		return ROUTER_MISS_METHOD;
	for (u32 i = 0; i < match->header_count; i++)
		if (!has_header(head, &match->headers[i])) {
			*ret_header = i;
			return ROUTER_MISS_HEADER;
		}
	return ROUTER_MATCHES;
}

enum router_miss router_try(const struct route *route, const struct http_head *head,
	struct str path, const struct router_cert *cert, u32 *ret_header)
{
	const struct conf_match *match = &route->conf->match;
	enum router_miss miss = find_miss(match, head, path, ret_header);

	return miss == ROUTER_MATCHES ? find_cert_miss(&match->cert, cert) : miss;
}

const struct route *router_find(
	const struct frontend *frontend, const struct http_head *head, struct str path)
{
	u32 header;

	for (u32 i = 0; i < frontend->route_count; i++)
		if (find_miss(&frontend->routes[i].conf->match, head, path, &header) ==
			ROUTER_MATCHES)
			return &frontend->routes[i];
	return NULL;
}

const struct route *router_find_certified(const struct frontend *frontend,
	const struct http_head *head, struct str path, const struct router_cert *cert)
{
	u32 header;

	for (u32 i = 0; i < frontend->route_count; i++)
		if (router_try(&frontend->routes[i], head, path, cert, &header) == ROUTER_MATCHES)
			return &frontend->routes[i];
	return NULL;
}

const struct route *router_find_hello(
	const struct frontend *frontend, const struct client_hello *hello)
{
	for (u32 i = 0; i < frontend->route_count; i++) {
		const struct conf_match *match = &frontend->routes[i].conf->match;

		if (match->host.len && !is_named(match, client_hello_name(hello)))
			continue;
		if (match->alpn_count && !offers_one(match, hello))
			continue;
		return &frontend->routes[i];
	}
	return NULL;
}

struct pool *router_pool(const struct route *route, u32 random)
{
	u32 at = (u32)(((u64)random * route->weight_sum) >> 32);

	for (u32 i = 0; i < route->target_count; i++) {
		if (at < route->targets[i].weight)
			return route->targets[i].pool;
		at -= route->targets[i].weight;
	}
	return route->targets[route->target_count - 1].pool;
}

// What the '*' stood for, without slashes at its front: behind a "/" of the configuration they
// would make the location name another host ("//evil.example").
static struct str rest_of(const struct conf_match *match, struct str path)
{
	struct str rest = STR_EMPTY;

	if (match->path_is_prefix && path.len > match->path.len)
		rest = str_make(path.ptr + match->path.len, path.len - match->path.len);
	while (rest.len && (*rest.ptr == '/' || *rest.ptr == '\\')) {
		rest.ptr++;
		rest.len--;
	}
	return rest;
}

static struct str piece_text(const struct conf_piece *piece, const struct route *route,
	const struct http_head *head, struct str path)
{
	size_t query = str_find(head->path, '?');
	const struct conf_match *match = &route->conf->match;

	switch (piece->kind) {
	case CONF_PIECE_TEXT:
		return piece->text;
	case CONF_PIECE_HOST:
		return head->authority;
	case CONF_PIECE_PATH:
		return str_make(head->path.ptr, query);
	case CONF_PIECE_QUERY:
		return str_make(head->path.ptr + query, head->path.len - query);
	case CONF_PIECE_REST:
		return rest_of(match, path);
	}
	return STR_EMPTY;
}

struct str router_https_location(struct arena *arena, const struct http_head *head, u16 port)
{
	struct str host = head->authority, path = head->path;
	size_t at = host.len, room;
	char *text;
	int len;

	while (at && ascii_is_digit(host.ptr[at - 1]))
		at--;
	if (at && host.ptr[at - 1] == ':')
		host.len = at - 1;
	if (path.len == 0 || path.ptr[0] != '/')
		path = STR("/");
	room = host.len + path.len + sizeof("https://:65535");
	text = arena_alloc(arena, room);
	if (!text)
		return STR_EMPTY;
	if (port == 443)
		len = snprintf(text, room, "https://%.*s%.*s", STR_FMT(host), STR_FMT(path));
	else
		len = snprintf(
			text, room, "https://%.*s:%u%.*s", STR_FMT(host), port, STR_FMT(path));
	return str_make(text, (size_t)len);
}

struct str router_location(struct arena *arena, const struct route *route,
	const struct http_head *head, struct str path)
{
	size_t len = 0;
	char *text, *at;

	for (u32 i = 0; i < route->conf->redirect_to_count; i++)
		len += piece_text(&route->conf->redirect_to[i], route, head, path).len;
	text = at = arena_alloc(arena, len + 1);
	if (!text)
		return STR_EMPTY;
	for (u32 i = 0; i < route->conf->redirect_to_count; i++) {
		struct str piece = piece_text(&route->conf->redirect_to[i], route, head, path);

		memcpy(at, piece.ptr, piece.len);
		at += piece.len;
	}
	// A path that begins with two slashes must not become another host.
	while (len >= 2 && route->conf->redirect_to[0].kind != CONF_PIECE_TEXT && text[0] == '/' &&
		(text[1] == '/' || text[1] == '\\')) {
		text++;
		len--;
	}
	return str_make(text, len);
}
