// SPDX-License-Identifier: Apache-2.0
#include "conf/shape_parts.h"

// ---- Lists --------------------------------------------------------------------------------------

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

struct node *shape_to_list(struct shape *shape, struct node *parent, struct node *node)
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

// ---- Keys ---------------------------------------------------------------------------------------

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
	shape_rename_aliases(shape, key->nested, child);
}

static void respell(
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
		shape_rename_aliases(shape, key->nested, child);
		return;
	case KIND_FRONTENDS:
	case KIND_POOLS:
	case KIND_TOKENS:
		if (child->kind == NODE_MAP)
			for (struct node *member = child->first; member; member = member->next)
				shape_rename_aliases(shape, schema_inside(key), member);
		return;
	case KIND_ROUTES:
	case KIND_TESTS:
		if (child->kind == NODE_LIST)
			for (struct node *item = child->first; item; item = item->next)
				shape_rename_aliases(shape, schema_inside(key), item);
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
		shape_to_list(shape, parent, child);
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
		parent = shape_get_map(shape, parent, name, child);
		name = str_cut(&rest, '.');
	}
	if (parent)
		shape_put(shape, parent, name, child);
}

void shape_rename_aliases(struct shape *shape, enum schema_map_id map, struct node *node)
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
				shape_report_taken(shape->report, child, old);
				node_remove(node, child);
				continue;
			}
			node_rename(node, child, key->name);
		}
		if (key)
			respell(shape, key, node, child);
	}
}
