// SPDX-License-Identifier: Apache-2.0
#include "conf/edit.h"

#include "conf/load_parts.h"
#include "conf/read.h"
#include "conf/scheme.h"
#include "conf/tree.h"

struct editing {
	struct arena *arena;
	struct node *root, *pools;
	struct place place;
	struct errs *errs;
};

// Without what is in front of it, as backends are called. The tree is canonical: a port is there.
static struct str address_of(const struct node *backend)
{
	const struct node *address = node_get(backend, STR("address"));

	return scheme_strip(address ? address->text : STR_EMPTY);
}

struct str conf_backend_id(const struct node *backend)
{
	const struct node *id = node_get(backend, STR("id"));

	return id ? id->text : address_of(backend);
}

static struct node *find(const struct node *list, struct str id)
{
	for (struct node *one = list->first; one; one = one->next)
		if (str_eq(conf_backend_id(one), id))
			return one;
	return NULL;
}

static void add_value(const struct editing *editing, struct node *map, const char *key,
	struct str value, bool is_bare)
{
	struct node *node =
		node_new_text(editing->arena, arena_str(editing->arena, value), editing->place);

	node->key = str_from(key);
	node->key_place = editing->place;
	node->is_bare = is_bare;
	node_add(editing->arena, map, node);
}

static void add_number(const struct editing *editing, struct node *map, const char *key, u32 number)
{
	add_value(editing, map, key, str_from(arena_printf(editing->arena, "%u", number)), true);
}

struct str conf_edit_id(struct arena *arena, const struct conf_edit_backend *backend)
{
	return backend->id.len ? backend->id : scheme_take(arena, backend->address).address;
}

// ---- What a backend has besides -----------------------------------------------------------------

// Without what follows from the schema alone.
static struct node *copy_written(struct arena *arena, const struct node *node)
{
	struct node *copy = node_new(arena, (enum node_kind)node->kind, node->place);

	copy->key = node->key;
	copy->text = node->text;
	copy->is_bare = node->is_bare;
	copy->is_quoted = node->is_quoted;
	for (const struct node *child = node->first; child; child = child->next)
		if (!child->is_default)
			node_add(arena, copy, copy_written(arena, child));
	return copy;
}

struct str conf_edit_own(
	const struct conf *conf, struct str pool, struct str id, struct arena *arena)
{
	static const struct str others[] = {
		STR("id"), STR("address"), STR("weight"), STR("max_connections"), STR("backup")};
	const struct node *list =
		node_get(node_get(node_get(conf->tree, STR("pools")), pool), STR("backends"));
	const struct node *backend = list ? find(list, id) : NULL;
	struct node *own;

	if (!backend)
		return STR_EMPTY;
	own = copy_written(arena, backend);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct node *other = node_get(own, others[i]);

		if (other)
			node_remove(own, other);
	}
	return own->first ? tree_write(own, CONF_JSON, TREE_WRITE_PRIVATE, arena) : STR_EMPTY;
}

static void add_own(const struct editing *editing, struct node *map, struct str own)
{
	struct report report = {.arena = editing->arena, .errs = editing->errs};
	u32 nodes_left = TREE_NODES_MAX;
	struct read_input input = {.report = &report,
		.file = editing->place.file,
		.text = own,
		.has_no_lines = true,
		.nodes_left = &nodes_left};
	struct node *root = own.len ? read_json(&input) : NULL, *child;

	while (root && (child = root->first)) {
		node_remove(root, child);
		if (!node_get(map, child->key))
			node_add(editing->arena, map, child);
	}
}

static void add_backend(
	const struct editing *editing, struct node *list, const struct conf_edit_backend *backend)
{
	struct node *map = node_new(editing->arena, NODE_MAP, editing->place);
	struct scheme_address taken = scheme_take(editing->arena, backend->address);

	if (backend->id.len && !str_eq(backend->id, taken.address))
		add_value(editing, map, "id", backend->id, false);
	add_value(editing, map, "address", scheme_url(editing->arena, taken), false);
	add_number(editing, map, "weight", backend->weight);
	if (backend->max_connections)
		add_number(editing, map, "max_connections", backend->max_connections);
	if (backend->is_backup)
		add_value(editing, map, "backup", STR("true"), true);
	add_own(editing, map, backend->own);
	node_add(editing->arena, list, map);
}

static void note(const struct editing *editing, struct node *taken, struct str text)
{
	struct node *node;

	if (text.len == 0 || node_get(taken, text))
		return;
	node = node_new(editing->arena, NODE_NULL, editing->place);
	node->key = text;
	node_add(editing->arena, taken, node);
}

// A list may be long: what is taken is looked up and not searched for.
static void add_list(const struct editing *editing, struct node *list, const struct conf_edit *edit)
{
	struct node taken = {.kind = NODE_MAP};

	for (const struct node *one = list->first; one; one = one->next) {
		note(editing, &taken, conf_backend_id(one));
		note(editing, &taken, address_of(one));
	}
	for (u32 i = 0; i < edit->count; i++) {
		const struct conf_edit_backend *one = &edit->backends[i];
		struct str address = scheme_take(editing->arena, one->address).address;
		struct str id = one->id.len ? one->id : address;

		if (node_get(&taken, id) || node_get(&taken, address))
			continue;
		note(editing, &taken, id);
		note(editing, &taken, address);
		add_backend(editing, list, one);
	}
}

// In the place of what it was.
static void set_value(const struct editing *editing, struct node *map, const char *key,
	struct str value, bool is_bare)
{
	struct node *before = node_get(map, str_from(key));

	if (before)
		node_remove(map, before);
	add_value(editing, map, key, value, is_bare);
}

static void change(
	const struct editing *editing, struct node *backend, const struct conf_edit *edit)
{
	if (edit->kind == CONF_EDIT_STATE)
		set_value(editing, backend, "state", edit->backends->address, false);
	else
		set_value(editing, backend, "weight",
			str_from(arena_printf(editing->arena, "%u", edit->backends->weight)), true);
}

static void apply(struct editing *editing, const struct conf_edit *edit)
{
	const struct node *pool = node_get(editing->pools, edit->pool);
	struct node *list = node_get(pool, STR("backends")), *found;
	struct str id;

	editing->place = (struct place){.file = edit->origin};
	if (edit->kind == CONF_EDIT_LOG_LEVEL)
		set_value(editing, node_get(editing->root, STR("log")), "level",
			edit->backends->address, false);
	if (!list || list->kind != NODE_LIST)
		return;
	switch ((enum conf_edit_kind)edit->kind) {
	case CONF_EDIT_ADD:
		id = conf_edit_id(editing->arena, edit->backends);
		if (!find(list, id))
			add_backend(editing, list, edit->backends);
		break;
	case CONF_EDIT_REMOVE:
		found = find(list, edit->backends->id);
		if (found)
			node_remove(list, found);
		break;
	case CONF_EDIT_WEIGHT:
	case CONF_EDIT_STATE:
		found = find(list, edit->backends->id);
		if (found)
			change(editing, found, edit);
		break;
	case CONF_EDIT_LOG_LEVEL:
		break;
	case CONF_EDIT_LIST:
		add_list(editing, list, edit);
		break;
	}
}

struct conf_edit_backend *conf_edit_copy_backends(
	struct arena *arena, const struct conf_edit_backend *backends, u32 count)
{
	struct conf_edit_backend *copies = arena_zalloc(arena, sizeof(*copies) * MAX(count, 1));

	for (u32 i = 0; i < count; i++) {
		copies[i] = backends[i];
		copies[i].address = arena_str(arena, backends[i].address);
		copies[i].id = arena_str(arena, conf_edit_id(arena, &backends[i]));
		copies[i].own = arena_str(arena, backends[i].own);
	}
	return copies;
}

struct conf *conf_edit(const struct conf *base, const struct conf_edit *edits, u32 count,
	struct arena *arena, struct errs *errs)
{
	u32 nodes_left = UINT32_MAX;
	struct node *root = node_copy(arena, base->tree, TREE_DEPTH_MAX, &nodes_left);
	struct editing editing = {
		.arena = arena, .root = root, .pools = node_get(root, STR("pools")), .errs = errs};

	for (u32 i = 0; i < count; i++)
		apply(&editing, &edits[i]);
	return load_tree(base, root, arena, errs);
}
