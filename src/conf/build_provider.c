// SPDX-License-Identifier: Apache-2.0
// Converters of the sources of backends, and of how their names are looked up.
#include <errno.h>

#include "conf/build.h"
#include "conf/file.h"
#include "conf/schema.h"

enum {
	providers_max = 64,
	name_bytes_max = 64,
	sql_name_bytes_max = 63, // what PostgreSQL keeps of one
	servers_max = 8,
	dns_port = 53,
};

static void set_str(const struct schema_key *key, void *object, struct str text)
{
	*(struct str *)(void *)((char *)object + key->offset) = text;
}

void build_provider_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > name_bytes_max || !build_is_token(text))
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no name of a provider (%s): letters, digits, '_' and '-', at "
			"most %d",
			CLIP(text), path_text(build, path), name_bytes_max);
	else
		set_str(key, object, text);
}

void build_provider_pool(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (build_scalar(build, path, node, &text) &&
		build_find_pool(build, path, node, text, false) >= 0)
		set_str(key, object, text);
}

void build_provider_path(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	const char *file;
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > 4000) {
		report_value(build->report, CODE_MALFORMED, node, "%s is 1 to 4000 bytes",
			path_text(build, path));
		return;
	}
	file = node->place.line ? file_relative(build->arena, node->place.file, text) : text.ptr;
	file = file_absolute(build->arena, file);
	build_canonical(build, node, file, false);
	set_str(key, object, str_from(file));
}

// "workers", "public.workers"
void build_sql_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text, part, rest;
	u32 parts = 0;
	bool is_good = true;

	if (!build_scalar(build, path, node, &text))
		return;
	for (rest = text; rest.len && is_good; parts++) {
		part = str_cut(&rest, '.');
		is_good = part.len > 0 && part.len <= sql_name_bytes_max;
		for (size_t i = 0; i < part.len; i++)
			is_good &= (u8)part.ptr[i] > ' ' && part.ptr[i] != '"' &&
				   part.ptr[i] != '\'' && part.ptr[i] != 0x7f;
	}
	if (!is_good || parts == 0 || parts > 2 || text.ptr[text.len - 1] == '.')
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no name in a database (%s): like workers or public.workers",
			CLIP(text), path_text(build, path));
	else
		set_str(key, object, text);
}

void build_provider_host(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_provider *provider = object;
	struct str text, host, port;
	u64 number = 0;
	bool is_good;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	port = text;
	host = str_cut(&port, ':');
	is_good = host.len > 0 && host.len <= 253 && build_is_token(host);
	if (is_good && text.ptr[0] == '_')
		is_good = host.len == text.len;
	else if (is_good)
		is_good = str_to_u64(port, UINT16_MAX, &number) == 0 && number > 0;
	if (!is_good) {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' cannot be looked up (%s): write name:80, or for SRV records "
			"_http._tcp.name",
			CLIP(text), path_text(build, path));
		return;
	}
	provider->host = arena_str(build->arena, host);
	provider->port = (u16)number;
}

void build_resolver_servers(struct build *build, const struct schema_key *key,
	const struct path *path, struct node *node, void *object)
{
	struct conf_resolver *resolver = &((struct conf *)object)->resolver;
	struct path item = {.up = path};
	struct str *servers;

	(void)key;
	build_make_list(build, node);
	if (node->kind == NODE_TEXT) { // one that was written without a list
		struct node *only = node_new_text(build->arena, node->text, node->place);

		node->kind = NODE_LIST;
		node_add(build->arena, node, only);
	}
	if (node->kind == NODE_LIST && node->count == 1 && node->first->kind == NODE_TEXT &&
		str_eq(node->first->text, STR("system")))
		return;
	if (!build_check_list(build, path, node, "addresses, or system"))
		return;
	servers = arena_zalloc(build->arena, sizeof(*servers) * node->count);
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct addr addr;
		struct str text;

		if (!build_scalar(build, &item, child, &text))
			continue;
		if (addr_parse_ip(text, &addr) == 0)
			text = str_from(arena_printf(build->arena,
				addr.family == ADDR_V6 && text.ptr[0] != '[' ? "[%.*s]:%d"
									     : "%.*s:%d",
				CLIP(text), dns_port));
		if (resolver->server_count == servers_max || addr_parse(text, &addr) != 0 ||
			addr.family == ADDR_UNIX || addr.port == 0)
			report_value(build->report, CODE_MALFORMED, child,
				"'%.*s' is no name server (%s): write 127.0.0.1 or 127.0.0.1:53, "
				"at "
				"most %d",
				CLIP(text), path_text(build, &item), servers_max);
		else
			servers[resolver->server_count++] = text;
	}
	resolver->servers = servers;
}

// ---- One provider as a whole --------------------------------------------------------------------

static bool ends_in(struct str text, const char *ending)
{
	size_t len = strlen(ending);

	return text.len >= len && memcmp(text.ptr + text.len - len, ending, len) == 0;
}

static bool is_sqlite_file(struct str path)
{
	return ends_in(path, ".db") || ends_in(path, ".sqlite") || ends_in(path, ".sqlite3") ||
	       ends_in(path, ".db3");
}

// "sqlite:workers.db?mode=rwc" -> the file.
static struct str sqlite_file(struct build *build, struct str url)
{
	struct str path = str_make(url.ptr + 7, url.len - 7);

	if (str_starts(path, STR("//")))
		path = str_make(path.ptr + 2, path.len - 2);
	path.len = str_find(path, '?');
	path = arena_str(build->arena, path);
	return str_from(file_absolute(build->arena, path.ptr));
}

// Gives false, reported, when the URL is none of a database that is known. Its text is never shown.
static bool take_url(struct build *build, const struct path *path, const struct node *node,
	struct conf_provider *provider)
{
	if (str_starts(provider->url, STR("postgres://")) ||
		str_starts(provider->url, STR("postgresql://"))) {
		if (provider->type == CONF_PROVIDER_AUTO)
			provider->type = CONF_PROVIDER_POSTGRES;
		if (provider->type == CONF_PROVIDER_POSTGRES)
			return true;
	}
	if (str_starts(provider->url, STR("sqlite:"))) {
		provider->path = sqlite_file(build, provider->url);
		if (provider->type == CONF_PROVIDER_AUTO)
			provider->type = CONF_PROVIDER_SQLITE;
		if (provider->type == CONF_PROVIDER_SQLITE && provider->path.len)
			return true;
	}
	report_at(build->report, CODE_MALFORMED, node->place, node->width,
		"%.*s (%s) is no URL of a database that weir reads: "
		"postgres://user:password@host/name or sqlite:FILE",
		CLIP(provider->url_from), path_text(build, path));
	return false;
}

// What the user has to correct when the database refuses.
static struct str url_from(struct build *build, const struct path *path, const struct node *url)
{
	if (url->kind == NODE_MAP && url->first && url->first->kind == NODE_TEXT)
		return url->first->text;
	if (url->written.ptr && variables_is_one(url->written)) {
		struct str name = str_make(url->written.ptr + 2, url->written.len - 3);

		name.len = str_find(name, ':');
		return name;
	}
	return str_from(arena_printf(build->arena, "%s.url", path_text(build, path)));
}

static void take_type(struct build *build, const struct path *path, struct node *node,
	struct conf_provider *provider)
{
	static const char *const needs[] = {
		[CONF_PROVIDER_AUTO] = "'url', 'path' or 'host'",
		[CONF_PROVIDER_SQLITE] = "'path'",
		[CONF_PROVIDER_POSTGRES] = "'url'",
		[CONF_PROVIDER_DNS] = "'host'",
		[CONF_PROVIDER_FILE] = "'path'",
	};
	bool has_url = provider->url.len > 0, has_path = provider->path.len > 0,
	     has_host = provider->host.len > 0, has_it;

	if ((has_url && has_path) || (has_host && (has_url || has_path))) {
		report_key(build->report, CODE_CONFLICT, node,
			"%s is one source: url, path or host", path_text(build, path));
		return;
	}
	if (provider->url.len) {
		const struct node *url = node_get(node, STR("url"));

		provider->url_from = url_from(build, path, url);
		(void)take_url(build, path, url, provider);
		return;
	}
	if (provider->type == CONF_PROVIDER_AUTO && provider->path.len)
		provider->type =
			is_sqlite_file(provider->path) ? CONF_PROVIDER_SQLITE : CONF_PROVIDER_FILE;
	if (provider->type == CONF_PROVIDER_AUTO && provider->host.len)
		provider->type = CONF_PROVIDER_DNS;
	has_it = provider->type == CONF_PROVIDER_DNS ? provider->host.len > 0
		 : provider->type == CONF_PROVIDER_SQLITE || provider->type == CONF_PROVIDER_FILE
			 ? provider->path.len > 0
			 : false;
	if (!has_it && !build->is_partial)
		report_key(build->report, CODE_MISSING, node, "%s needs %s", path_text(build, path),
			needs[provider->type]);
}

static bool has_name(const struct conf_provider *providers, u32 count, struct str name)
{
	for (u32 i = 0; i < count; i++)
		if (str_eq(providers[i].name, name))
			return true;
	return false;
}

// "postgres", and the second one "postgres-2".
static void take_name(struct build *build, const struct path *path, const struct node *node,
	struct conf_provider *providers, u32 count)
{
	static const struct str words[] = {[CONF_PROVIDER_AUTO] = {"provider", 8},
		[CONF_PROVIDER_SQLITE] = {"sqlite", 6},
		[CONF_PROVIDER_POSTGRES] = {"postgres", 8},
		[CONF_PROVIDER_DNS] = {"dns", 3},
		[CONF_PROVIDER_FILE] = {"file", 4}};
	struct conf_provider *provider = &providers[count];
	u32 number = 1;

	if (provider->name.len) {
		if (has_name(providers, count, provider->name))
			report_key(build->report, CODE_NOT_UNIQUE, node,
				"%s has the name of another provider: '%.*s'",
				path_text(build, path), CLIP(provider->name));
		return;
	}
	provider->name = words[provider->type];
	while (has_name(providers, count, provider->name))
		provider->name = str_from(
			arena_printf(build->arena, "%s-%u", words[provider->type].ptr, ++number));
}

void build_providers(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;
	struct conf_provider *providers;
	struct path item = {.up = path};

	(void)key;
	if (node->kind != NODE_LIST || node->count > providers_max) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"providers is a list of at most %d sources, not %s", providers_max,
			node->kind == NODE_LIST ? "more" : node_kind_text(node));
		return;
	}
	providers = arena_zalloc(build->arena, sizeof(*providers) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct conf_provider *provider = &providers[item.index];
		u32 errors = build->report->errs->error_count;

		provider->place = child->place;
		build_map(build, SCHEMA_provider, &item, child, provider);
		if (build->report->errs->error_count > errors)
			continue;
		take_type(build, &item, child, provider);
		take_name(build, &item, child, providers, item.index);
	}
	conf->providers = providers;
	conf->provider_count = node->count;
}
