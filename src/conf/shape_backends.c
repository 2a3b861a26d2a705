// SPDX-License-Identifier: Apache-2.0
#include "conf/shape_parts.h"

enum { ports_max = 1024 };

// ---- Backends -----------------------------------------------------------------------------------

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

void shape_backends(struct shape *shape, struct node *parent, struct node *node)
{
	struct node *list = shape_to_list(shape, parent, node), *next;

	if (list->kind != NODE_LIST)
		return;
	for (struct node *item = list->first; item; item = item->next) {
		if (item->kind == NODE_TEXT)
			make_backend(shape, item);
		shape_rename_aliases(shape, SCHEMA_backend, item);
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

// ---- Pools where they are used ------------------------------------------------------------------

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
	struct node *pools = shape_get_map(shape, shape->root, STR("pools"), pool);
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

void shape_take_inline_pool(struct shape *shape, struct node *owner, struct str name)
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
		backends = shape_to_list(shape, owner, backends);
	node_rename(owner, backends, STR("pool"));
	if (backends->kind == NODE_LIST)
		move_pool(shape, owner, backends, name);
}

void shape_take_inline_pools(struct shape *shape, const struct node *frontend, struct node *routes)
{
	u32 number = 0;

	if (routes->kind != NODE_LIST)
		return;
	for (struct node *route = routes->first; route; route = route->next, number++) {
		const struct node *name = node_get(route, STR("name"));
		struct str suffix = name && name->kind == NODE_TEXT
					    ? name->text
					    : str_from(arena_printf(shape->arena, "%u", number));

		shape_take_inline_pool(shape, route,
			str_from(arena_printf(
				shape->arena, "%.*s-%.*s", CLIP(frontend->key), CLIP(suffix))));
	}
}
