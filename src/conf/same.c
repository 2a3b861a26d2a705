// SPDX-License-Identifier: Apache-2.0
#include "conf/same.h"

#include "conf/tree.h"

// What was never set has no bytes to look at.
static bool same_text(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || str_eq(a, b));
}

// Members of a map stand in the order of the schema, once a tree is complete; those that are named
// by the user may stand in any.
static bool same_members(const struct node *a, const struct node *b)
{
	const struct node *other = b->first;

	for (const struct node *one = a->first; one; one = one->next) {
		const struct node *at = other;

		if (a->kind == NODE_MAP && (!at || !str_eq(one->key, at->key)))
			at = node_get(b, one->key);
		if (!at || !conf_same_node(one, at))
			return false;
		other = other ? other->next : NULL;
	}
	return true;
}

// As deep as a tree may be (TREE_DEPTH_MAX).
bool conf_same_node(const struct node *a, const struct node *b)
{
	if (a->kind != b->kind || a->count != b->count)
		return false;
	if (a->kind == NODE_TEXT)
		return same_text(a->text, b->text);
	return same_members(a, b);
}

static const struct node *pool_node(const struct conf *conf, struct str name)
{
	return conf->tree ? node_get(node_get(conf->tree, STR("pools")), name) : NULL;
}

bool conf_same_pool(const struct conf *a, const struct conf_pool *pool_a, const struct conf *b,
	const struct conf_pool *pool_b)
{
	const struct node *node_a = pool_node(a, pool_a->name),
			  *node_b = pool_node(b, pool_b->name);

	return node_a && node_b && conf_same_node(node_a, node_b) &&
	       same_text(pool_a->sticky.secret, pool_b->sticky.secret) &&
	       same_text(pool_a->hash.secret, pool_b->hash.secret);
}

bool conf_same_section(const struct conf *a, const struct conf *b, struct str name)
{
	const struct node *node_a = a->tree ? node_get(a->tree, name) : NULL,
			  *node_b = b->tree ? node_get(b->tree, name) : NULL;

	return node_a == node_b || (node_a && node_b && conf_same_node(node_a, node_b));
}
