// SPDX-License-Identifier: Apache-2.0
#include "conf/shape_parts.h"

void shape_report_taken(struct report *report, const struct node *node, const struct node *old)
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
			shape_report_taken(report, child, old);
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

struct node *shape_get_map(
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

void shape_put(struct shape *shape, struct node *parent, struct str key, struct node *node)
{
	struct node *old = node_get(parent, key);

	node->key = arena_str(shape->arena, key);
	if (!old)
		node_add(shape->arena, parent, node);
	else if (old->kind == NODE_MAP && node->kind == NODE_MAP)
		shape_merge(shape->report, old, node);
	else
		shape_report_taken(shape->report, node, old);
}

// root.GROUP.default.KEY = node, which stands at root now.
static void move_to_default(
	struct shape *shape, struct node *from, struct node *node, struct str group, struct str key)
{
	struct node *map = shape_get_map(shape, shape->root, group, node);
	struct node *member = map ? shape_get_map(shape, map, STR("default"), node) : NULL;

	if (!member)
		return;
	node_remove(from, node);
	shape_put(shape, member, key, node);
}

// ---- Forms of the seeds -------------------------------------------------------------------------

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

// `load_balancer: {algorithm: x}`; other keys in it are unknown ones.
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

	if (one && (frontends = shape_get_map(shape, shape->root, STR("frontends"), one))) {
		node_remove(shape->root, one);
		say_tcp(shape, one);
		shape_put(shape, frontends, STR("default"), one);
	}
	if (!many || many->kind != NODE_MAP)
		return;
	frontends = shape_get_map(shape, shape->root, STR("frontends"), many);
	if (!frontends)
		return;
	node_remove(shape->root, many);
	for (struct node *child = many->first; child; child = next) {
		next = child->next;
		say_tcp(shape, child);
		shape_put(shape, frontends, child->key, child);
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

// ---- The document -------------------------------------------------------------------------------

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
			shape_take_inline_pool(shape, child, child->key);
			if (routes)
				shape_take_inline_pools(shape, child, routes);
		}
	}
	pools = node_get(shape->root, STR("pools"));
	if (!pools || pools->kind != NODE_MAP)
		return;
	for (struct node *child = pools->first; child; child = child->next) {
		struct node *backends;

		shape_rename_aliases(shape, SCHEMA_pool, child);
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
	shape_rename_aliases(&shape, SCHEMA_root, root);
	take_load_balancer(&shape);
	take_shorthands(&shape);
	// Once more: what a shorthand has moved into frontends and pools has its own spellings.
	shape_rename_aliases(&shape, SCHEMA_root, root);
	shape_pools_and_frontends(&shape);
}
