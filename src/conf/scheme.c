// SPDX-License-Identifier: Apache-2.0
#include "conf/scheme.h"

enum { http_port = 80, https_port = 443, text_bytes_max = 1024 };

// The first of those that say the same is the canonical one.
static const struct scheme {
	struct str text;
	enum conf_scheme scheme;
	bool is_h2;
} schemes[] = {
	{STR("http://"), CONF_SCHEME_HTTP, false},
	{STR("https://"), CONF_SCHEME_HTTPS, false},
	{STR("h2c://"), CONF_SCHEME_HTTP, true},
	{STR("grpc://"), CONF_SCHEME_HTTP, true},
	{STR("h2://"), CONF_SCHEME_HTTPS, true},
	{STR("grpcs://"), CONF_SCHEME_HTTPS, true},
};

bool scheme_has_port(struct str text)
{
	size_t bracket = str_find(text, ']');

	if (bracket < text.len)
		return bracket + 1 < text.len;
	return str_find(text, ':') < text.len;
}

static struct str behind(struct arena *arena, struct str text, const struct scheme *scheme)
{
	text = str_make(text.ptr + scheme->text.len, text.len - scheme->text.len);
	if (text.len && text.ptr[text.len - 1] == '/')
		text.len--;
	if (text.len && !scheme_has_port(text))
		return str_from(arena_printf(arena, "%.*s:%d",
			(int)MIN(text.len, (size_t)text_bytes_max), text.ptr,
			scheme->scheme == CONF_SCHEME_HTTPS ? https_port : http_port));
	return arena_str(arena, text);
}

struct scheme_address scheme_take(struct arena *arena, struct str text)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_starts(text, schemes[i].text))
			return (struct scheme_address){schemes[i].scheme, schemes[i].is_h2,
				behind(arena, text, &schemes[i])};
	return (struct scheme_address){CONF_SCHEME_NONE, false, text};
}

struct str scheme_strip(struct str text)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_starts(text, schemes[i].text))
			return str_make(
				text.ptr + schemes[i].text.len, text.len - schemes[i].text.len);
	return text;
}

struct str scheme_text(enum conf_scheme scheme, bool is_h2)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (schemes[i].scheme == scheme && schemes[i].is_h2 == is_h2)
			return schemes[i].text;
	return STR_EMPTY;
}

struct str scheme_url(struct arena *arena, struct scheme_address address)
{
	struct str text = scheme_text(address.scheme, address.is_h2);

	return str_from(arena_printf(arena, "%.*s%.*s", STR_FMT(text), STR_FMT(address.address)));
}

// The host of an address without its port and brackets; empty for a unix socket.
static struct str host_of(const struct conf_backend *backend)
{
	struct str host = backend->address;

	if (backend->host.len)
		return backend->host;
	if (backend->addr.family == ADDR_UNIX)
		return STR_EMPTY;
	while (host.len && host.ptr[host.len - 1] != ':')
		host.len--;
	host.len -= host.len > 0;
	if (host.len > 2 && host.ptr[0] == '[')
		host = str_make(host.ptr + 1, host.len - 2);
	return host;
}

void scheme_settle(struct conf_backend *backend, const struct conf_pool *pool, struct arena *arena)
{
	static const struct conf_upstream_tls usual = {.enabled = true, .verify = true};

	if (pool->protocol == CONF_POOL_H2)
		backend->is_h2 = true;
	if (!backend->has_own_tls && backend->scheme != CONF_SCHEME_HTTP)
		backend->tls = pool->tls;
	if (backend->scheme == CONF_SCHEME_HTTPS && !backend->tls.enabled)
		backend->tls = usual;
	if (backend->tls.enabled && backend->tls.server_name.len == 0)
		backend->tls.server_name = arena_str(arena, host_of(backend));
}
