// SPDX-License-Identifier: Apache-2.0
// Converters of pools and backends.
#include <errno.h>

#include "base/text.h"
#include "conf/build.h"
#include "conf/scheme.h"
#include "conf/shape.h"

enum { names_shown_max = 12, id_bytes_max = 128 };

static const char *list_pools(struct build *build)
{
	struct text list = {0};
	u32 count = 0;

	for (const struct node *pool = build->pools ? build->pools->first : NULL; pool;
		pool = pool->next, count++)
		if (count < names_shown_max)
			text_printf(&list, "%s%.*s", count ? ", " : "", CLIP(pool->key));
	if (count > names_shown_max)
		text_printf(&list, " and %u more", count - names_shown_max);
	return count ? text_take(&list, build->arena).ptr : "none";
}

i32 build_find_pool(struct build *build, const struct path *path, const struct node *node,
	struct str name, bool is_key)
{
	const struct node *pool = node_get(build->pools, name);
	struct nearest nearest = {0};
	struct err *err;

	if (pool) {
		build->pool_is_used[pool->number] = true;
		return (i32)pool->number;
	}
	if (build->is_partial)
		return -1;
	for (pool = build->pools ? build->pools->first : NULL; pool; pool = pool->next)
		nearest_try(&nearest, name, pool->key);
	err = (is_key ? report_key : report_value)(build->report, CODE_UNDEFINED, node,
		"pool '%.*s' is not defined (%s); pools: %s", CLIP(name), path_text(build, path),
		list_pools(build));
	build_suggest(build, err, &nearest);
	return -1;
}

void build_pool_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_route *route = object;
	struct conf_split *split;
	struct str text;
	i32 pool;

	if (!build_scalar(build, path, node, &text))
		return;
	pool = build_find_pool(build, path, node, text, false);
	if (key->map == SCHEMA_frontend) {
		((struct conf_frontend *)object)->pool = pool;
		return;
	}
	split = arena_zalloc(build->arena, sizeof(*split));
	*split = (struct conf_split){.pool = pool < 0 ? 0 : (u32)pool, .weight = 1};
	route->splits = split;
	route->split_count = 1;
}

void build_backend_id(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_backend *backend = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > id_bytes_max || !build_is_printable(text))
		report_value(build->report, CODE_MALFORMED, node,
			"%s is 1 to %d printable characters", path_text(build, path), id_bytes_max);
	else
		backend->id = text;
}

// Forms of addresses that stand for several.
static bool report_source(struct build *build, const struct path *path, const struct node *node)
{
	if (str_starts(node->text, STR("dns:")) || str_starts(node->text, STR("srv:"))) {
		report_value(build->report, CODE_CONFLICT, node,
			"'%.*s' (%s) stands for as many backends as its name server says, and has "
			"no "
			"other keys; SRV records bring weights",
			CLIP(node->text), path_text(build, path));
		return true;
	}
	return false;
}

// "http://host:port/path"
static bool has_path(struct str text)
{
	struct str behind = scheme_strip(text);

	return behind.len < text.len && str_find(behind, '/') < behind.len;
}

static void report_address(
	struct build *build, const struct path *path, const struct node *node, int rc)
{
	struct str text = node->text;
	struct addr addr;
	struct err *err;

	if (rc == -ERANGE)
		err = report_value(build->report, CODE_OUT_OF_RANGE, node,
			"the port of '%.*s' (%s) is larger than 65535", CLIP(text),
			path_text(build, path));
	else if (rc == -ENAMETOOLONG)
		err = report_value(build->report, CODE_MALFORMED, node,
			"the path in %s is too long: a unix path has at most 107 bytes",
			path_text(build, path));
	else
		err = report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no backend address (%s): write 10.0.0.1:80, [::1]:80, name:80 "
			"or unix:/path",
			CLIP(text), path_text(build, path));
	if (node->written.ptr)
		return;
	if (has_path(text))
		report_advice(build->report, err,
			"a backend has no path: requests keep theirs, and routes choose by it");
	else if (text.len && text.len < 200 && addr_parse_ip(text, &addr) == 0)
		report_advice(build->report, err, "a port is missing: '%s%.*s%s:80'",
			addr.family == ADDR_V6 && text.ptr[0] != '[' ? "[" : "", CLIP(text),
			addr.family == ADDR_V6 && text.ptr[0] != '[' ? "]" : "");
	else if (rc == -EINVAL && text.len && !scheme_has_port(text))
		report_advice(build->report, err, "a port is missing");
}

// A name and its port, for addr_parse() = -ENOENT.
static void set_name(struct build *build, struct conf_backend *backend, struct str text)
{
	struct str port = text, host = str_cut(&port, ':');
	u64 number = 0;
	int rc = str_to_u64(port, UINT16_MAX, &number);

	ASSERT(rc == 0);
	backend->host = arena_str(build->arena, host);
	backend->port = (u16)number;
	backend->addr = (struct addr){.family = ADDR_NONE};
}

void build_address(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_backend *backend = object;
	struct scheme_address taken;
	struct str text, front;
	u16 port;
	int rc;

	(void)key;
	if (!build_scalar(build, path, node, &text) || report_source(build, path, node))
		return;
	taken = scheme_take(build->arena, text);
	text = taken.address;
	backend->scheme = taken.scheme;
	backend->is_h2 = taken.is_h2;
	rc = addr_parse(text, &backend->addr);
	if (rc == -ENOENT)
		set_name(build, backend, text);
	else if (rc < 0 || text.ptr[0] == ':') {
		report_address(build, path, node, rc < 0 ? rc : -EINVAL);
		return;
	}
	port = rc == -ENOENT ? backend->port : backend->addr.port;
	if (port == 0 && backend->addr.family != ADDR_UNIX) {
		report_value(build->report, CODE_OUT_OF_RANGE, node,
			"nothing can listen on port 0 (%s)", path_text(build, path));
		return;
	}
	backend->address = text;
	// "http://" says something only where the pool has TLS: see build_finish_tls.
	front = scheme_text(taken.scheme, taken.is_h2);
	if (taken.scheme == CONF_SCHEME_HTTP && !taken.is_h2)
		front = STR_EMPTY;
	build_canonical(build, node,
		arena_printf(build->arena, "%.*s%.*s", STR_FMT(front),
			(int)MIN(text.len, (size_t)1024), text.ptr),
		false);
}

static void check_unique_ids(
	struct build *build, const struct path *path, const struct conf_pool *pool)
{
	struct node seen = {.kind = NODE_MAP};

	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct conf_backend *backend = &pool->backends[i];
		const struct node *old;
		struct node *node;

		if (!backend->id.ptr)
			continue;
		old = node_get(&seen, backend->id);
		if (old) {
			report_at(build->report, CODE_NOT_UNIQUE, backend->place,
				(u32)MIN(backend->id.len, (size_t)40),
				"%s has two backends with the id '%.*s'; the first is at %s",
				path_text(build, path), CLIP(backend->id),
				report_place_text(build->report, old->place));
			continue;
		}
		node = node_new(build->arena, NODE_NULL, backend->place);
		node->key = backend->id;
		node_add(build->arena, &seen, node);
	}
}

void build_backends(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_pool *pool = object;
	struct conf_backend *backends;
	struct path item = {.up = path};

	(void)key;
	if (node->kind != NODE_LIST) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a list of backends, not %s", path_text(build, path),
			node_kind_text(node));
		return;
	}
	if (node->count == 0 && !build->is_partial && !shape_is_fed(build->root, pool->name))
		report_key(build->report, CODE_EMPTY, node, "%s is empty: a pool needs a backend",
			path_text(build, path));
	backends = arena_zalloc(build->arena, sizeof(*backends) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct conf_backend *backend = &backends[item.index];

		backend->place = child->place;
		backend->host = STR_EMPTY;
		build_map(build, SCHEMA_backend, &item, child, backend);
		if (!backend->id.ptr)
			backend->id = backend->address;
	}
	pool->backends = backends;
	pool->backend_count = node->count;
	check_unique_ids(build, path, pool);
}

void build_pools(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;
	u32 count = 0;

	(void)key;
	if (node->kind != NODE_MAP) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"pools is a map of names to pools, not %s", node_kind_text(node));
		return;
	}
	build->pools = node;
	build->pool_is_used = arena_zalloc(build->arena, node->count + 1u);
	build->pool_list =
		arena_zalloc(build->arena, sizeof(*build->pool_list) * (node->count + 1u));
	// Numbered before any is built: a pool may name one that follows.
	for (struct node *child = node->first; child; child = child->next)
		child->number = count++;
	for (struct node *child = node->first; child; child = child->next) {
		struct path inner = {.up = path, .name = child->key};
		struct conf_pool *pool = &build->pool_list[child->number];

		pool->failover = -1;
		pool->name = child->key;
		pool->place = child->place;
		if (build_check_name(build, child, "pool"))
			build_map(build, SCHEMA_pool, &inner, child, pool);
		build_finish_send_proxy(build, &inner, child, pool);
		build_finish_pool(pool);
		build_finish_tls(build, pool);
	}
	conf->pools = build->pool_list;
	conf->pool_count = count;
}
