// SPDX-License-Identifier: Apache-2.0
#include "conf/tree.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"

enum { slots_from_count = 16, message_bytes_max = 1024 };

struct node *node_new(struct arena *arena, enum node_kind kind, struct place place)
{
	struct node *node = arena_zalloc(arena, sizeof(*node));

	node->kind = (u8)kind;
	node->place = place;
	node->width = 1;
	node->text = STR_EMPTY;
	node->key = STR_EMPTY;
	return node;
}

struct node *node_new_text(struct arena *arena, struct str text, struct place place)
{
	struct node *node = node_new(arena, NODE_TEXT, place);

	node->text = arena_str(arena, text);
	return node;
}

static struct node **find_slot(const struct node *map, struct str key)
{
	u32 at = (u32)hash_str(key, 0) & (map->slot_count - 1);

	while (map->slots[at] && !str_eq(map->slots[at]->key, key))
		at = (at + 1) & (map->slot_count - 1);
	return &map->slots[at];
}

struct node *node_get(const struct node *map, struct str key)
{
	if (!map || map->kind != NODE_MAP)
		return NULL;
	if (map->slots)
		return *find_slot(map, key);
	for (struct node *child = map->first; child; child = child->next)
		if (str_eq(child->key, key))
			return child;
	return NULL;
}

static void fill_slots(struct arena *arena, struct node *map)
{
	map->slot_count = slots_from_count * 2;
	while (map->slot_count < map->count * 4)
		map->slot_count *= 2;
	map->slots = arena_zalloc(arena, sizeof(*map->slots) * map->slot_count);
	for (struct node *child = map->first; child; child = child->next)
		*find_slot(map, child->key) = child;
}

void node_add(struct arena *arena, struct node *parent, struct node *child)
{
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->count++;
	if (parent->kind != NODE_MAP || parent->count < slots_from_count)
		return;
	if (!parent->slots || parent->count * 2 > parent->slot_count)
		fill_slots(arena, parent);
	else
		*find_slot(parent, child->key) = child;
}

// The slots go: they are made again by the next node_add. Until then the map is searched in order.
static struct node **find_link(struct node *parent, struct node *child, struct node **ret_before)
{
	struct node **link = &parent->first;

	*ret_before = NULL;
	parent->slots = NULL;
	while (*link != child) {
		ASSERT(*link);
		*ret_before = *link;
		link = &(*link)->next;
	}
	return link;
}

void node_remove(struct node *parent, struct node *child)
{
	struct node *before, **link = find_link(parent, child, &before);

	*link = child->next;
	if (parent->last == child)
		parent->last = before;
	parent->count--;
	child->next = NULL;
}

void node_replace(struct node *parent, struct node *child, struct node *with)
{
	struct node *before, **link = find_link(parent, child, &before);

	with->next = child->next;
	with->key = child->key;
	if (!with->key_place.file) {
		with->key_place = child->key_place;
		with->key_width = child->key_width;
	}
	*link = with;
	if (parent->last == child)
		parent->last = with;
	child->next = NULL;
}

void node_rename(struct node *parent, struct node *child, struct str key)
{
	parent->slots = NULL;
	child->key = key;
}

struct node *node_copy(struct arena *arena, const struct node *node, u32 depth_max, u32 *nodes_left)
{
	struct node *copy;

	if (*nodes_left == 0 || depth_max == 0)
		return NULL;
	--*nodes_left;
	copy = arena_zalloc(arena, sizeof(*copy));
	*copy = *node;
	copy->first = copy->last = copy->next = NULL;
	copy->slots = NULL;
	copy->count = 0;
	for (const struct node *child = node->first; child; child = child->next) {
		struct node *child_copy = node_copy(arena, child, depth_max - 1, nodes_left);

		if (!child_copy)
			return NULL;
		node_add(arena, copy, child_copy);
	}
	return copy;
}

const char *node_kind_text(const struct node *node)
{
	switch ((enum node_kind)node->kind) {
	case NODE_TEXT:
		return "a single value";
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "a map of keys";
	case NODE_NULL:
		break;
	}
	return "nothing";
}

static size_t utf8_len(u8 first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

bool tree_is_utf8(struct str text)
{
	for (size_t i = 0; i < text.len;) {
		u8 first = (u8)text.ptr[i], second = i + 1 < text.len ? (u8)text.ptr[i + 1] : 0;
		size_t len = utf8_len(first);

		if (len == 0 || len > text.len - i)
			return false;
		for (size_t j = 1; j < len; j++)
			if (((u8)text.ptr[i + j] & 0xc0) != 0x80)
				return false;
		// Longer than needed, a surrogate, or beyond the last code point.
		if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
			(first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90))
			return false;
		i += len;
	}
	return true;
}

#define FORMAT_MESSAGE(message, format)                                \
	do {                                                           \
		va_list args;                                          \
                                                                       \
		va_start(args, format);                                \
		vsnprintf((message), sizeof(message), (format), args); \
		va_end(args);                                          \
	} while (0)

// Every occurrence of `text` (as CLIP cuts it) in the message becomes `written`.
static void hide_variables(char *message, size_t size, const struct node *node)
{
	char copy[message_bytes_max];
	size_t len = MIN(node->text.len, (size_t)80), at = 0;
	const char *rest = copy;

	if (!node->written.ptr || len == 0)
		return;
	memcpy(copy, message, size);
	while (*rest && at + 1 < size) {
		if (strncmp(rest, node->text.ptr, len) == 0) {
			at += (size_t)snprintf(
				message + at, size - at, "%.*s", CLIP(node->written));
			at = MIN(at, size - 1);
			rest += len;
		} else {
			message[at++] = *rest++;
		}
	}
	message[at] = '\0';
}

struct err *report_value(struct report *report, enum conf_code code, const struct node *node,
	const char *format, ...)
{
	char message[message_bytes_max];

	FORMAT_MESSAGE(message, format);
	hide_variables(message, sizeof(message), node);
	return report_at(report, code, node->place, node->width, "%s", message);
}

struct err *report_key(struct report *report, enum conf_code code, const struct node *node,
	const char *format, ...)
{
	bool has_key = node->key_place.file != NULL;
	char message[message_bytes_max];

	FORMAT_MESSAGE(message, format);
	return report_at(report, code, has_key ? node->key_place : node->place,
		has_key ? node->key_width : node->width, "%s", message);
}

static struct node *top(const struct tree_builder *builder)
{
	return builder->depth ? builder->open[builder->depth - 1] : NULL;
}

bool builder_wants_key(const struct tree_builder *builder)
{
	return top(builder) && top(builder)->kind == NODE_MAP && !builder->has_key;
}

bool builder_key(struct tree_builder *builder, struct str key, struct place place, u32 width)
{
	builder->key = arena_str(builder->report->arena, key);
	builder->key_place = place;
	builder->key_width = MAX(width, 1u);
	builder->has_key = true;
	return true;
}

// "<<: *defaults": the members of the merged map count where the map itself has none.
static bool merge_from(struct tree_builder *builder, struct node *map, const struct node *from)
{
	struct arena *arena = builder->report->arena;

	if (from->kind == NODE_LIST) {
		for (const struct node *item = from->first; item; item = item->next)
			if (item->kind == NODE_MAP && !merge_from(builder, map, item))
				return false;
		return true;
	}
	for (const struct node *child = from->first; child; child = child->next) {
		struct node *copy;

		if (node_get(map, child->key))
			continue;
		copy = node_copy(
			arena, child, TREE_DEPTH_MAX - builder->depth, builder->nodes_left);
		if (!copy) {
			report_value(builder->report, CODE_TOO_BIG, from,
				"what is merged here is too deep or too large");
			return false;
		}
		node_add(arena, map, copy);
	}
	return true;
}

static void add_to_map(struct tree_builder *builder, struct node *map, struct node *node)
{
	struct node *old = node_get(map, builder->key);

	node->key = builder->key;
	node->key_place = builder->key_place;
	node->key_width = builder->key_width;
	builder->has_key = false;
	if (!old) {
		node_add(builder->report->arena, map, node);
		return;
	}
	report_key(builder->report, CODE_DUPLICATE_KEY, node,
		"key '%.*s' is given twice; the first one is at %s", CLIP(node->key),
		report_place_text(builder->report, old->key_place));
}

bool builder_add(struct tree_builder *builder, struct node *node)
{
	struct node *parent = top(builder);

	if (*builder->nodes_left == 0) {
		report_value(builder->report, CODE_TOO_BIG, node, "more than %d values: too many",
			TREE_NODES_MAX);
		return false;
	}
	--*builder->nodes_left;
	if (!parent)
		builder->root = node;
	else if (parent->kind == NODE_MAP)
		add_to_map(builder, parent, node);
	else
		node_add(builder->report->arena, parent, node);
	return true;
}

bool builder_open(struct tree_builder *builder, struct node *node)
{
	if (builder->depth == TREE_DEPTH_MAX) {
		report_value(builder->report, CODE_TOO_BIG, node,
			"nested deeper than %d levels: no configuration needs that",
			TREE_DEPTH_MAX);
		return false;
	}
	if (!builder_add(builder, node))
		return false;
	builder->open[builder->depth++] = node;
	return true;
}

bool builder_close(struct tree_builder *builder)
{
	struct node *map = builder->open[--builder->depth];
	struct node *merge = map->kind == NODE_MAP ? node_get(map, STR("<<")) : NULL;

	builder->has_key = false;
	if (!merge || merge->is_quoted || (merge->kind != NODE_MAP && merge->kind != NODE_LIST))
		return true;
	node_remove(map, merge);
	return merge_from(builder, map, merge);
}
