// SPDX-License-Identifier: Apache-2.0
#include "conf/shape.h"

enum { ports_max = 1024 };

struct shape {
	struct report *report;
	struct arena *arena;
	struct node *root;
	u32 *nodes_left;
};

static void report_taken(struct report *report, const struct node *node, const struct node *old)
{
	report_key(report, CODE_TWO_FILES, node,
		"'%.*s' is given here and at %s: one value, one place", CLIP(node->key),
		report_place_text(report, old->key_place.file ? old->key_place : old->place));
}

void shape_merge(struct report *report, struct node *into, struct node *from)
{
	struct node *next;

	for (struct node *child = from->first; child; child = next) {
		struct node *old = node_get(into, child->key);

		next = child->next;
		if (!old)
			node_add(report->arena, into, child);
		else if (old->kind == NODE_MAP && child->kind == NODE_MAP)
			shape_merge(report, old, child);
		else
			report_taken(report, child, old);
	}
	from->first = from->last = NULL;
	from->slots = NULL;
	from->count = 0;
}

void shape_override(struct report *report, struct node *into, struct node *from)
{
	struct node *next;

	for (struct node *child = from->first; child; child = next) {
		struct node *old = node_get(into, child->key);

		next = child->next;
		child->next = NULL;
		if (!old)
			node_add(report->arena, into, child);
		else if (old->kind == NODE_MAP && child->kind == NODE_MAP)
			shape_override(report, old, child);
		else
			node_replace(into, old, child);
	}
	from->first = from->last = NULL;
	from->slots = NULL;
	from->count = 0;
}

// The map under `key`, made when missing. NULL when something else stands there: the table will
// complain about that.
static struct node *get_map(
	struct shape *shape, struct node *parent, struct str key, const struct node *because_of)
{
	struct node *map = node_get(parent, key);

	if (map && map->kind == NODE_NULL)
		map->kind = NODE_MAP;
	if (map)
		return map->kind == NODE_MAP ? map : NULL;
	map = node_new(shape->arena, NODE_MAP, because_of->place);
	map->key = arena_str(shape->arena, key);
	map->key_place = because_of->key_place;
	map->key_width = because_of->key_width;
	node_add(shape->arena, parent, map);
	return map;
}

// Puts `node` under `key`, merging maps.
static void put(struct shape *shape, struct node *parent, struct str key, struct node *node)
{
	struct node *old = node_get(parent, key);

	node->key = arena_str(shape->arena, key);
	if (!old)
		node_add(shape->arena, parent, node);
	else if (old->kind == NODE_MAP && node->kind == NODE_MAP)
		shape_merge(shape->report, old, node);
	else
		report_taken(shape->report, node, old);
}

// root.GROUP.default.KEY = node, which stands at root now.
static void move_to_default(
	struct shape *shape, struct node *from, struct node *node, struct str group, struct str key)
{
	struct node *map = get_map(shape, shape->root, group, node);
	struct node *member = map ? get_map(shape, map, STR("default"), node) : NULL;

	if (!member)
		return;
	node_remove(from, node);
	put(shape, member, key, node);
}

// ---- lists ----

// A copy of a text for one of its parts.
static struct node *part_of(struct shape *shape, const struct node *node, struct str part)
{
	struct node *item = node_new_text(shape->arena, part, node->place);

	item->is_quoted = node->is_quoted;
	item->written = node->written;
	item->width = (u32)part.len;
	if (item->place.line)
		item->place.column += (u32)(part.ptr - node->text.ptr) + node->is_quoted;
	return item;
}

// Up to the next comma that is not inside of ${...}: weir config convert leaves variables alone.
static struct str cut_item(struct str *rest)
{
	struct str item = str_make(rest->ptr, 0);
	bool in_variable = false;

	while (item.len < rest->len && (in_variable || rest->ptr[item.len] != ',')) {
		char c = rest->ptr[item.len];

		if (c == '$' && item.len + 1 < rest->len && rest->ptr[item.len + 1] == '{')
			in_variable = true;
		else if (c == '}')
			in_variable = false;
		item.len++;
	}
	rest->ptr += item.len;
	rest->len -= item.len;
	if (rest->len) {
		rest->ptr++;
		rest->len--;
	}
	return item;
}

// "a, b" becomes [a, b]: addresses, networks and methods have no commas.
static struct node *to_list(struct shape *shape, struct node *parent, struct node *node)
{
	struct node *list;
	struct str rest = node->text;

	if (node->kind != NODE_TEXT)
		return node;
	list = node_new(shape->arena, NODE_LIST, node->place);
	list->width = node->width;
	while (rest.len) {
		struct str part = str_trim(cut_item(&rest));

		if (part.len)
			node_add(shape->arena, list, part_of(shape, node, part));
	}
	if (!list->first)
		node_add(shape->arena, list, part_of(shape, node, node->text));
	node_replace(parent, node, list);
	return list;
}

// The same where commas are a part of each text.
static void to_list_of_one(struct shape *shape, struct node *parent, struct node *node)
{
	struct node *list;

	if (node->kind != NODE_TEXT)
		return;
	list = node_new(shape->arena, NODE_LIST, node->place);
	list->width = node->width;
	node_add(shape->arena, list, part_of(shape, node, node->text));
	node_replace(parent, node, list);
}

// ---- backends ----

// "host:8001-8004": the first and last port, or false.
static bool parse_range(struct str text, struct str *ret_host, u64 *ret_first, u64 *ret_last)
{
	struct str first, last;
	size_t colon = text.len;

	while (colon > 0 && text.ptr[colon - 1] != ':')
		colon--;
	if (colon == 0 || str_starts(text, STR("unix:")))
		return false;
	last = str_make(text.ptr + colon, text.len - colon);
	first = str_cut(&last, '-');
	if (str_to_u64(first, UINT16_MAX, ret_first) < 0 ||
		str_to_u64(last, UINT16_MAX, ret_last) < 0)
		return false;
	*ret_host = str_make(text.ptr, colon - 1);
	return *ret_first <= *ret_last && *ret_last - *ret_first < ports_max;
}

static void set_port(struct shape *shape, struct node *backend, struct str host, u64 port)
{
	struct node *address = node_get(backend, STR("address"));
	struct node *id = node_get(backend, STR("id"));

	address->text = str_from(arena_printf(
		shape->arena, "%.*s:%u", (int)MIN(host.len, (size_t)4096), host.ptr, (u32)port));
	if (id && id->kind == NODE_TEXT)
		id->text = str_from(arena_printf(shape->arena, "%.*s-%u",
			(int)MIN(id->text.len, (size_t)4096), id->text.ptr, (u32)port));
}

// One backend per port of a range; the first one is `backend` itself.
static void expand_range(struct shape *shape, struct node *backend)
{
	const struct node *address = node_get(backend, STR("address"));
	struct node *last_added = backend;
	u64 first, last;
	struct str host;

	if (!address || address->kind != NODE_TEXT ||
		!parse_range(address->text, &host, &first, &last))
		return;
	for (u64 port = first + 1; port <= last; port++) {
		struct node *copy =
			node_copy(shape->arena, backend, TREE_DEPTH_MAX, shape->nodes_left);

		if (!copy) {
			report_value(shape->report, CODE_TOO_BIG, address,
				"these ports make more than %d values: too many", TREE_NODES_MAX);
			return;
		}
		set_port(shape, copy, host, port);
		copy->next = last_added->next;
		last_added->next = copy;
		last_added = copy;
	}
	set_port(shape, backend, host, first);
}

static void rename_aliases(struct shape *shape, enum schema_map_id map, struct node *node);

// "address" becomes {address: "address"}, in place: a list may be long.
static void make_backend(struct shape *shape, struct node *item)
{
	struct node *address = node_new_text(shape->arena, item->text, item->place);

	address->is_quoted = item->is_quoted;
	address->written = item->written;
	address->width = item->width;
	address->key = STR("address");
	item->kind = NODE_MAP;
	node_add(shape->arena, item, address);
}

static void shape_backends(struct shape *shape, struct node *parent, struct node *node)
{
	struct node *list = to_list(shape, parent, node), *next;

	if (list->kind != NODE_LIST)
		return;
	for (struct node *item = list->first; item; item = item->next) {
		if (item->kind == NODE_TEXT)
			make_backend(shape, item);
		rename_aliases(shape, SCHEMA_backend, item);
	}
	for (struct node *item = list->first; item; item = next) {
		next = item->next;
		if (item->kind == NODE_MAP)
			expand_range(shape, item);
	}
	list->count = 0;
	for (struct node *item = list->first; item; item = item->next) {
		list->count++;
		list->last = item;
	}
}

// ---- pools written inside frontends and routes ----

static struct str free_pool_name(struct shape *shape, struct str name)
{
	const struct node *pools = node_get(shape->root, STR("pools"));

	while (node_get(pools, name))
		name = str_from(arena_printf(
			shape->arena, "%.*s-pool", (int)MIN(name.len, (size_t)4096), name.ptr));
	return name;
}

static void move_pool(struct shape *shape, struct node *owner, struct node *pool, struct str name)
{
	struct node *pools = get_map(shape, shape->root, STR("pools"), pool);
	struct node *reference, *map = pool;

	if (!pools)
		return;
	name = free_pool_name(shape, name);
	reference = node_new_text(shape->arena, name, pool->place);
	node_replace(owner, pool, reference);
	if (pool->kind == NODE_LIST) {
		map = node_new(shape->arena, NODE_MAP, pool->place);
		map->key_place = reference->key_place;
		map->key_width = reference->key_width;
		pool->key = STR("backends");
		node_add(shape->arena, map, pool);
	}
	map->key = reference->text;
	map->key_place = reference->key_place;
	map->key_width = reference->key_width;
	node_add(shape->arena, pools, map);
}

static void take_inline_pool(struct shape *shape, struct node *owner, struct str name)
{
	struct node *pool = node_get(owner, STR("pool"));
	struct node *backends = node_get(owner, STR("backends"));

	if (pool && (pool->kind == NODE_MAP || pool->kind == NODE_LIST))
		move_pool(shape, owner, pool, name);
	if (!backends)
		return;
	if (pool) {
		report_key(shape->report, CODE_CONFLICT, backends,
			"both 'pool' and 'backends' are given: 'backends' is short for a pool");
		node_remove(owner, backends);
		return;
	}
	if (backends->kind == NODE_TEXT)
		backends = to_list(shape, owner, backends);
	node_rename(owner, backends, STR("pool"));
	if (backends->kind == NODE_LIST)
		move_pool(shape, owner, backends, name);
}

static void shape_routes(struct shape *shape, const struct node *frontend, struct node *routes)
{
	u32 number = 0;

	if (routes->kind != NODE_LIST)
		return;
	for (struct node *route = routes->first; route; route = route->next, number++) {
		const struct node *name = node_get(route, STR("name"));
		struct str suffix = name && name->kind == NODE_TEXT
					    ? name->text
					    : str_from(arena_printf(shape->arena, "%u", number));

		take_inline_pool(shape, route,
			str_from(arena_printf(
				shape->arena, "%.*s-%.*s", CLIP(frontend->key), CLIP(suffix))));
	}
}

// ---- spellings ----

// "health_check: none" becomes {type: none}, in every map that has such a key.
static void take_type(
	struct shape *shape, const struct schema_key *key, struct node *parent, struct node *child)
{
	const struct schema_key *type = schema_type_of(key->nested);
	struct node *text = child;

	if (child->kind == NODE_TEXT && type) {
		child = node_new(shape->arena, NODE_MAP, text->place);
		child->width = text->width;
		node_replace(parent, text, child);
		text->key = type->name;
		node_add(shape->arena, child, text);
	}
	rename_aliases(shape, key->nested, child);
}

static void shape_child(
	struct shape *shape, const struct schema_key *key, struct node *parent, struct node *child)
{
	struct node *text;

	switch ((enum schema_kind)key->kind) {
	case KIND_NESTED:
	case KIND_STICKY:
		take_type(shape, key, parent, child);
		return;
	case KIND_RETRY:
	case KIND_ROUTE_RETRY:
	case KIND_BACKEND_CHECK:
	case KIND_CLIENT_CERT:
		rename_aliases(shape, key->nested, child);
		return;
	case KIND_FRONTENDS:
	case KIND_POOLS:
	case KIND_TOKENS:
		if (child->kind == NODE_MAP)
			for (struct node *member = child->first; member; member = member->next)
				rename_aliases(shape, schema_inside(key), member);
		return;
	case KIND_ROUTES:
	case KIND_TESTS:
		if (child->kind == NODE_LIST)
			for (struct node *item = child->first; item; item = item->next)
				rename_aliases(shape, schema_inside(key), item);
		return;
	case KIND_CERT_SUBJECTS:
		to_list_of_one(shape, parent, child);
		return;
	case KIND_BINDS:
	case KIND_ADMIN_BINDS:
	case KIND_ADMIN_HOSTS:
	case KIND_PREFIXES:
	case KIND_METHODS:
	case KIND_MATCH_ALPN:
	case KIND_PROXY_TLVS:
	case KIND_CERT_NAMES:
	case KIND_STATUSES:
	case KIND_RETRY_WHEN:
	case KIND_HASH_BY:
	case KIND_OUTCOMES:
	case KIND_BUILTIN_ALLOW:
		to_list(shape, parent, child);
		return;
	case KIND_REDIRECT:
		if (child->kind != NODE_TEXT)
			return;
		text = child;
		child = node_new(shape->arena, NODE_MAP, text->place);
		child->width = text->width;
		node_replace(parent, text, child);
		text->key = STR("to");
		node_add(shape->arena, child, text);
		return;
	default:
		return;
	}
}

// "5" of `interval_secs` becomes "5s" of `interval`; a variable stands for a bare number too.
static void take_number(
	struct shape *shape, const struct schema_key *key, struct node *parent, struct node *child)
{
	struct str rest = str_from(key->other), name = str_cut(&rest, '.');
	struct str unit = str_eq(str_from(key->unit), STR("seconds")) ? STR("s") : STR("ms");
	u64 number;

	node_remove(parent, child);
	if (child->kind == NODE_TEXT && (str_to_u64(child->text, UINT64_MAX, &number) == 0 ||
						str_starts(child->text, STR("${"))))
		child->text = str_from(arena_printf(shape->arena, "%.*s%.*s",
			(int)MIN(child->text.len, (size_t)4096), child->text.ptr, STR_FMT(unit)));
	while (rest.len && parent) {
		parent = get_map(shape, parent, name, child);
		name = str_cut(&rest, '.');
	}
	if (parent)
		put(shape, parent, name, child);
}

static void rename_aliases(struct shape *shape, enum schema_map_id map, struct node *node)
{
	struct node *next;

	if (node->kind != NODE_MAP)
		return;
	for (struct node *child = node->first; child; child = next) {
		const struct schema_key *key = schema_find(map, child->key);
		const struct node *old;

		next = child->next;
		if (key && key->kind == KIND_ALIAS_IN) {
			take_number(shape, key, node, child);
			continue;
		}
		if (key && key->kind == KIND_ALIAS) {
			key = schema_find(map, str_from(key->other));
			old = node_get(node, key->name);
			if (old) {
				report_taken(shape->report, child, old);
				node_remove(node, child);
				continue;
			}
			node_rename(node, child, key->name);
		}
		if (key)
			shape_child(shape, key, node, child);
	}
}

// ---- the top level ----

// `load_balancer: {algorithm: x}`; other keys in it are unknown ones.
// A file that has `load_balancer` is written for a program whose metrics are on this port.
static void give_metrics_their_port(struct shape *shape)
{
	struct node *metrics = node_get(shape->root, STR("metrics"));
	struct node *enabled =
		metrics && metrics->kind == NODE_MAP ? node_get(metrics, STR("enabled")) : NULL;
	struct node *port;

	if (!enabled || node_get(metrics, STR("port")))
		return;
	if (enabled->kind != NODE_TEXT || !str_eq(enabled->text, STR("true")))
		return;
	port = node_new_text(shape->arena, STR("9090"), enabled->place);
	port->key = STR("port");
	node_add(shape->arena, metrics, port);
}

static void take_load_balancer(struct shape *shape)
{
	struct node *map = node_get(shape->root, STR("load_balancer")), *next;

	if (!map)
		return;
	node_remove(shape->root, map);
	give_metrics_their_port(shape);
	if (map->kind != NODE_MAP) {
		report_value(shape->report, CODE_WRONG_TYPE, map,
			"load_balancer is a map with 'algorithm', not %s", node_kind_text(map));
		return;
	}
	for (struct node *child = map->first; child; child = next) {
		struct nearest nearest = {0};
		struct err *err;

		next = child->next;
		if (str_eq(child->key, STR("algorithm"))) {
			move_to_default(shape, map, child, STR("pools"), STR("algorithm"));
			continue;
		}
		err = report_key(shape->report, CODE_UNKNOWN_KEY, child,
			"unknown key '%.*s' in load_balancer", CLIP(child->key));
		nearest_try(&nearest, child->key, STR("algorithm"));
		if (nearest.found)
			report_advice(shape->report, err, "did you mean 'algorithm'?");
	}
}

static void say_tcp(struct shape *shape, struct node *frontend)
{
	struct node *protocol;

	if (frontend->kind != NODE_MAP || node_get(frontend, STR("protocol")))
		return;
	protocol = node_new_text(shape->arena, STR("tcp"), frontend->key_place);
	protocol->key = STR("protocol");
	protocol->key_place = frontend->key_place;
	protocol->key_width = frontend->key_width;
	node_add(shape->arena, frontend, protocol);
}

// [frontend] is frontends.default, [tcp_frontend.NAME] is frontends.NAME, both for TCP.
static void take_tcp_frontends(struct shape *shape)
{
	struct node *one = node_get(shape->root, STR("frontend"));
	struct node *many = node_get(shape->root, STR("tcp_frontend"));
	struct node *frontends, *next;

	if (one && (frontends = get_map(shape, shape->root, STR("frontends"), one))) {
		node_remove(shape->root, one);
		say_tcp(shape, one);
		put(shape, frontends, STR("default"), one);
	}
	if (!many || many->kind != NODE_MAP)
		return;
	frontends = get_map(shape, shape->root, STR("frontends"), many);
	if (!frontends)
		return;
	node_remove(shape->root, many);
	for (struct node *child = many->first; child; child = next) {
		next = child->next;
		say_tcp(shape, child);
		put(shape, frontends, child->key, child);
	}
}

static void take_shorthands(struct shape *shape)
{
	static const struct {
		struct str from, group, to;
	} moves[] = {
		{{"backends", 8}, {"pools", 5}, {"backends", 8}},
		{{"algorithm", 9}, {"pools", 5}, {"algorithm", 9}},
		{{"bind", 4}, {"frontends", 9}, {"bind", 4}},
		{{"health_check", 12}, {"pools", 5}, {"health_check", 12}},
		{{"circuit_breaker", 15}, {"pools", 5}, {"circuit_breaker", 15}},
		{{"retry", 5}, {"pools", 5}, {"retry", 5}},
	};

	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		struct node *node = node_get(shape->root, moves[i].from);
		const struct schema_key *key = schema_find(SCHEMA_root, moves[i].from);

		if (node && key->kind == KIND_SHORTHAND)
			move_to_default(shape, shape->root, node, moves[i].group, moves[i].to);
	}
}

static void check_version(struct shape *shape)
{
	struct node *version = node_get(shape->root, STR("version"));

	if (!version)
		return;
	if (version->kind != NODE_TEXT || !str_eq(version->text, STR("1")))
		report_value(shape->report, CODE_OUT_OF_RANGE, version,
			"this weir reads version 1 of the configuration");
	node_remove(shape->root, version);
}

// "$schema" is for editors, and "x-..." is the place for a user's anchors and notes.
static void drop_notes(struct node *root)
{
	struct node *next;

	for (struct node *child = root->first; child; child = next) {
		next = child->next;
		if (str_eq(child->key, STR("$schema")) || str_starts(child->key, STR("x-")))
			node_remove(root, child);
	}
}

static void shape_pools_and_frontends(struct shape *shape)
{
	struct node *frontends = node_get(shape->root, STR("frontends"));
	struct node *pools;

	if (frontends && frontends->kind == NODE_MAP) {
		for (struct node *child = frontends->first; child; child = child->next) {
			struct node *routes = node_get(child, STR("routes"));

			if (child->kind != NODE_MAP)
				continue;
			take_inline_pool(shape, child, child->key);
			if (routes)
				shape_routes(shape, child, routes);
		}
	}
	pools = node_get(shape->root, STR("pools"));
	if (!pools || pools->kind != NODE_MAP)
		return;
	for (struct node *child = pools->first; child; child = child->next) {
		struct node *backends;

		rename_aliases(shape, SCHEMA_pool, child);
		backends = node_get(child, STR("backends"));
		if (backends)
			shape_backends(shape, child, backends);
	}
}

void shape_document(struct report *report, struct node *root, u32 *nodes_left)
{
	struct shape shape = {
		.report = report, .arena = report->arena, .root = root, .nodes_left = nodes_left};

	drop_notes(root);
	check_version(&shape);
	take_tcp_frontends(&shape);
	rename_aliases(&shape, SCHEMA_root, root);
	take_load_balancer(&shape);
	take_shorthands(&shape);
	// Once more: what a shorthand has moved into frontends and pools has its own spellings.
	rename_aliases(&shape, SCHEMA_root, root);
	shape_pools_and_frontends(&shape);
}

static struct node *add_implied(struct report *report, struct node *map, const char *key,
	enum node_kind kind, const char *text)
{
	struct node *node =
		kind == NODE_TEXT ? node_new_text(report->arena, str_from(text), (struct place){0})
				  : node_new(report->arena, kind, (struct place){0});

	node->key = str_from(key);
	node->is_default = true;
	node_add(report->arena, map, node);
	return node;
}

// Who writes how to check wants to check: by HTTP, unless it says otherwise.
static void complete_checks(struct report *report, struct node *pools)
{
	for (struct node *pool = pools && pools->kind == NODE_MAP ? pools->first : NULL; pool;
		pool = pool->next) {
		struct node *check = node_get(pool, STR("health_check"));

		if (check && check->kind == NODE_MAP && !node_get(check, STR("type")))
			add_implied(report, check, "type", NODE_TEXT, "http");
	}
}

bool shape_is_fed(const struct node *root, struct str pool)
{
	const struct node *providers = node_get(root, STR("providers"));
	const struct node *at = providers && providers->kind == NODE_LIST ? providers->first : NULL;

	for (; at; at = at->next) {
		const struct node *named = node_get(at, STR("pool"));

		// Rows of a table may name any pool.
		if (node_get(at, STR("url")) || node_get(at, STR("path")))
			return true;
		if (str_eq(named && named->kind == NODE_TEXT ? named->text : STR("default"), pool))
			return true;
	}
	return false;
}

// A pool whose backends come from a provider need not say that it has none of its own, and the one
// called `default` need not be there.
static void complete_fed_pools(struct report *report, struct node *root)
{
	struct node *pools = node_get(root, STR("pools"));

	if (!pools && shape_is_fed(root, STR("default"))) {
		pools = add_implied(report, root, "pools", NODE_MAP, NULL);
		add_implied(report, pools, "default", NODE_MAP, NULL);
	}
	for (struct node *pool = pools && pools->kind == NODE_MAP ? pools->first : NULL; pool;
		pool = pool->next)
		if (pool->kind == NODE_MAP && !node_get(pool, STR("backends")) &&
			shape_is_fed(root, pool->key))
			add_implied(report, pool, "backends", NODE_LIST, NULL);
}

// "dns:app:80" and "srv:_http._tcp.app" stand for as many backends as their name server says: they
// are providers. Those with keys of their own stay, and are refused where addresses are read.
static struct node *take_name(struct report *report, struct node *pool, struct node *item)
{
	const struct node *address = node_get(item, STR("address"));
	struct node *provider, *values[3];
	static const struct str keys[] = {{"type", 4}, {"host", 4}, {"pool", 4}};
	struct str host;

	if (item->kind != NODE_MAP || item->count != 1 || !address || address->kind != NODE_TEXT)
		return NULL;
	host = address->text;
	if (!str_starts(host, STR("dns:")) && !str_starts(host, STR("srv:")))
		return NULL;
	host = arena_str(report->arena, str_make(host.ptr + 4, host.len - 4));
	provider = node_new(report->arena, NODE_MAP, item->place);
	values[0] = node_new_text(report->arena, STR("dns"), address->place);
	values[1] = node_new_text(report->arena, host, address->place);
	values[1]->width = address->width;
	values[2] = node_new_text(report->arena, pool->key, address->place);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		values[i]->key = keys[i];
		values[i]->key_place = address->place;
		node_add(report->arena, provider, values[i]);
	}
	return provider;
}

static void take_names(struct report *report, struct node *root)
{
	struct node *pools = node_get(root, STR("pools"));
	struct node *providers = node_get(root, STR("providers"));

	for (struct node *pool = pools && pools->kind == NODE_MAP ? pools->first : NULL; pool;
		pool = pool->next) {
		struct node *list = node_get(pool, STR("backends")), *next;

		for (struct node *item = list && list->kind == NODE_LIST ? list->first : NULL; item;
			item = next) {
			struct node *provider = take_name(report, pool, item);

			next = item->next;
			if (!provider || (providers && providers->kind != NODE_LIST))
				continue;
			if (!providers)
				providers = add_implied(report, root, "providers", NODE_LIST, NULL);
			node_remove(list, item);
			node_add(report->arena, providers, provider);
		}
	}
}

void shape_complete(struct report *report, struct node *root)
{
	struct node *frontends = node_get(root, STR("frontends"));
	struct node *pools, *frontend = node_get(frontends, STR("default"));
	struct node *bind;

	take_names(report, root);
	complete_fed_pools(report, root);
	pools = node_get(root, STR("pools"));
	complete_checks(report, pools);
	if (!frontends && node_get(pools, STR("default")))
		frontends = add_implied(report, root, "frontends", NODE_MAP, NULL);
	if (frontends && frontends->kind == NODE_MAP && frontends->is_default)
		frontend = add_implied(report, frontends, "default", NODE_MAP, NULL);
	if (!frontend || frontend->kind != NODE_MAP || node_get(frontend, STR("bind")))
		return;
	bind = add_implied(report, frontend, "bind", NODE_LIST, NULL);
	node_add(
		report->arena, bind, node_new_text(report->arena, STR(":8080"), (struct place){0}));
}
