// SPDX-License-Identifier: Apache-2.0
#include "conf/shape_parts.h"

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
