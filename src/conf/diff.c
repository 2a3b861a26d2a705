// SPDX-License-Identifier: Apache-2.0
#include "conf/diff.h"

#include "base/text.h"
#include "conf/edit.h"
#include "conf/read.h"
#include "conf/same.h"
#include "conf/tree.h"

enum { shown_bytes_max = 120 };

const char *const conf_effect_words[CONF_EFFECT_COUNT] = {
#define X(name, word, text) [CONF_EFFECT_##name] = (word),
	CONF_EFFECTS(X)
#undef X
};

const char *const conf_effect_texts[CONF_EFFECT_COUNT] = {
#define X(name, word, text) [CONF_EFFECT_##name] = (text),
	CONF_EFFECTS(X)
#undef X
};

// What is compared: its name, and what a change of it means.
struct subject {
	struct conf_diff *diff;
	struct arena *arena;
	const char *group;
	struct str name;
	enum conf_effect effect;
};

static struct str text_of(const struct subject *subject, struct text *text)
{
	return text->len ? text_take(text, subject->arena) : STR_EMPTY;
}

static bool is_full(const struct text *text)
{
	return text->len > shown_bytes_max;
}

static void add_shown(struct text *text, const struct node *node)
{
	bool is_map = node->kind == NODE_MAP;

	if (node->kind == NODE_TEXT)
		text_add(text, tree_shown(node));
	if (node->kind == NODE_TEXT || node->kind == NODE_NULL)
		return;
	text_addc(text, is_map ? '{' : '[');
	for (const struct node *child = node->first; child && !is_full(text); child = child->next) {
		if (child != node->first)
			text_add(text, STR(", "));
		if (is_map)
			text_printf(text, "%.*s: ", STR_FMT(child->key));
		add_shown(text, child);
	}
	text_addc(text, is_map ? '}' : ']');
}

// What follows from the schema alone is not worth a word.
static void add_members(struct text *text, const struct node *map)
{
	for (const struct node *child = map->first; child && !is_full(text); child = child->next) {
		if (child->is_default)
			continue;
		if (text->len)
			text_add(text, STR(", "));
		text_printf(text, "%.*s: ", STR_FMT(child->key));
		add_shown(text, child);
	}
}

static struct str clip(const struct subject *subject, struct text *text)
{
	size_t len = shown_bytes_max;

	if (is_full(text)) {
		while (len && ((u8)text->data[len] & 0xc0) == 0x80)
			len--;
		text->len = len;
		text_add(text, STR("…"));
	}
	return text_of(subject, text);
}

static struct str shown(const struct subject *subject, const struct node *node)
{
	struct text text = {0};

	if (node)
		add_shown(&text, node);
	return clip(subject, &text);
}

static struct conf_change *add(
	const struct subject *subject, enum conf_change_kind kind, struct str key)
{
	struct conf_diff *diff = subject->diff;
	struct conf_change *change;

	if (++diff->count > CONF_CHANGES_MAX)
		return NULL;
	change = arena_zalloc(subject->arena, sizeof(*change));
	change->kind = (u8)kind;
	change->effect = (u8)subject->effect;
	change->group = subject->group;
	change->name = subject->name;
	change->key = key;
	if (diff->last)
		diff->last->next = change;
	else
		diff->first = change;
	diff->last = change;
	return change;
}

static void add_value(
	const struct subject *subject, struct str key, const struct node *a, const struct node *b)
{
	struct conf_change *change = add(subject,
		!a   ? CONF_ADDED
		: !b ? CONF_REMOVED
		     : CONF_CHANGED,
		key);

	if (!change)
		return;
	change->before = shown(subject, a);
	change->after = shown(subject, b);
}

// A thing that came or went, with what was written about it.
static void add_whole(
	const struct subject *subject, enum conf_change_kind kind, const struct node *node)
{
	struct conf_change *change = add(subject, kind, STR_EMPTY);
	struct text text = {0};

	if (!change)
		return;
	add_members(&text, node);
	*(kind == CONF_ADDED ? &change->after : &change->before) = clip(subject, &text);
}

static struct str join(const struct subject *subject, struct str path, struct str key)
{
	return path.len == 0 ? key
			     : str_from(arena_printf(
				       subject->arena, "%.*s.%.*s", STR_FMT(path), STR_FMT(key)));
}

static bool is_one_of(struct str key, const char *const *names)
{
	for (; names && *names; names++)
		if (str_eq(key, str_from(*names)))
			return true;
	return false;
}

// Each value that differs, as deep as there are maps in both. `besides` are compared elsewhere.
static void compare(const struct subject *subject, struct str path, const struct node *a,
	const struct node *b, const char *const *besides)
{
	for (const struct node *one = a->first; one; one = one->next) {
		const struct node *other = node_get(b, one->key);
		struct str key;

		if (is_one_of(one->key, besides) || (other && conf_same_node(one, other)))
			continue;
		key = join(subject, path, one->key);
		if (other && one->kind == NODE_MAP && other->kind == NODE_MAP)
			compare(subject, key, one, other, NULL);
		else
			add_value(subject, key, one, other);
	}
	for (const struct node *other = b->first; other; other = other->next)
		if (!is_one_of(other->key, besides) && !node_get(a, other->key))
			add_value(subject, join(subject, path, other->key), NULL, other);
}

// ---- Lists whose members have names -------------------------------------------------------------

// Nodes by a name that is looked up; the first of a name counts.
struct names {
	struct node map;
	const struct node **nodes;
	bool *is_taken;
};

static void names_make(struct names *names, struct arena *arena, const struct node *list,
	struct str (*name_of)(const struct node *node))
{
	u32 index = 0, count = list ? list->count : 0;

	*names = (struct names){.map = {.kind = NODE_MAP},
		.nodes = arena_zalloc(arena, sizeof(*names->nodes) * MAX(count, 1)),
		.is_taken = arena_zalloc(arena, sizeof(bool) * MAX(count, 1))};
	for (const struct node *one = list ? list->first : NULL; one; one = one->next) {
		struct str name = name_of(one);
		struct node *entry;

		names->nodes[index++] = one;
		if (name.len == 0 || node_get(&names->map, name))
			continue;
		entry = node_new(arena, NODE_NULL, (struct place){0});
		entry->key = name;
		entry->number = index - 1;
		node_add(arena, &names->map, entry);
	}
}

static const struct node *names_find(struct names *names, struct str name, u32 *ret_index)
{
	const struct node *entry = name.len ? node_get(&names->map, name) : NULL;

	if (!entry || names->is_taken[entry->number])
		return NULL;
	*ret_index = entry->number;
	names->is_taken[entry->number] = true;
	return names->nodes[entry->number];
}

// ---- Pools and backends -------------------------------------------------------------------------

static struct str address_of(const struct node *backend)
{
	const struct node *address = node_get(backend, STR("address"));

	return address ? address->text : STR_EMPTY;
}

static void compare_backend(struct subject *subject, const struct node *a, const struct node *b)
{
	if (!b) {
		subject->effect = CONF_EFFECT_DRAINED;
		add_whole(subject, CONF_REMOVED, a);
	} else if (conf_same_node(a, b)) {
		subject->diff->backends_kept++;
	} else {
		subject->effect =
			str_eq(address_of(a), address_of(b)) ? CONF_EFFECT_KEPT : CONF_EFFECT_ANEW;
		compare(subject, STR_EMPTY, a, b, NULL);
	}
}

static void compare_backends(const struct subject *pool, const struct node *a, const struct node *b)
{
	struct subject subject = *pool;
	struct names names;
	u32 index, count = b ? b->count : 0;

	subject.group = "backend";
	names_make(&names, pool->arena, b, conf_backend_id);
	for (const struct node *one = a ? a->first : NULL; one; one = one->next) {
		struct str id = conf_backend_id(one);
		const struct node *other = names_find(&names, id, &index);

		if (!other || !conf_same_node(one, other))
			subject.name = str_from(arena_printf(
				pool->arena, "%.*s/%.*s", STR_FMT(pool->name), STR_FMT(id)));
		compare_backend(&subject, one, other);
	}
	subject.effect = CONF_EFFECT_PROBED;
	for (u32 i = 0; i < count; i++) {
		if (names.is_taken[i])
			continue;
		subject.name = str_from(arena_printf(pool->arena, "%.*s/%.*s", STR_FMT(pool->name),
			STR_FMT(conf_backend_id(names.nodes[i]))));
		add_whole(&subject, CONF_ADDED, names.nodes[i]);
	}
}

static const struct conf_pool *find_pool(const struct conf *conf, struct str name)
{
	for (u32 i = 0; i < conf->pool_count; i++)
		if (str_eq(conf->pools[i].name, name))
			return &conf->pools[i];
	return NULL;
}

static bool same_text(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || str_eq(a, b));
}

// Secrets of which the tree has only the place.
static void compare_contents(const struct subject *subject, const struct conf_pool *a,
	const struct conf_pool *b, bool *ret_same)
{
	*ret_same = true;
	if (!a || !b)
		return;
	if (!same_text(a->sticky.secret, b->sticky.secret)) {
		*ret_same = false;
		add(subject, CONF_CHANGED, STR("sticky.secret"));
	}
	if (!same_text(a->hash.secret, b->hash.secret)) {
		*ret_same = false;
		add(subject, CONF_CHANGED, STR("hash.secret"));
	}
}

static void compare_pool(struct subject *subject, const struct conf *a, const struct conf *b,
	const struct node *node_a, const struct node *node_b)
{
	static const char *const besides[] = {"backends", NULL};
	const struct node *backends = node_get(node_a, STR("backends"));
	const struct node *either = node_a ? node_a : node_b;
	bool has_same_secrets = true;

	ASSERT(either);
	subject->name = either->key;
	subject->effect = !node_a   ? CONF_EFFECT_OPENED
			  : !node_b ? CONF_EFFECT_DRAINED
				    : CONF_EFFECT_REPLACED;
	if (!node_a || !node_b) {
		add_whole(subject, node_a ? CONF_REMOVED : CONF_ADDED, either);
		return;
	}
	if (conf_same_node(node_a, node_b)) {
		compare_contents(subject, find_pool(a, node_a->key), find_pool(b, node_b->key),
			&has_same_secrets);
		subject->diff->pools_kept += has_same_secrets;
		subject->diff->backends_kept += backends ? backends->count : 0;
		return;
	}
	compare(subject, STR_EMPTY, node_a, node_b, besides);
	compare_backends(subject, backends, node_get(node_b, STR("backends")));
}

static void compare_pools(struct subject *subject, const struct conf *a, const struct conf *b)
{
	const struct node *pools_a = node_get(a->tree, STR("pools")),
			  *pools_b = node_get(b->tree, STR("pools"));

	subject->group = "pool";
	for (const struct node *one = pools_a ? pools_a->first : NULL; one; one = one->next)
		compare_pool(subject, a, b, one, node_get(pools_b, one->key));
	for (const struct node *one = pools_b ? pools_b->first : NULL; one; one = one->next)
		if (!node_get(pools_a, one->key))
			compare_pool(subject, a, b, NULL, one);
}

// ---- Frontends and routes -----------------------------------------------------------------------

static struct str route_name(const struct node *route)
{
	const struct node *name = node_get(route, STR("name"));

	return name ? name->text : STR_EMPTY;
}

static void name_route(
	struct subject *subject, struct str frontend, const struct node *route, u32 index)
{
	struct str name = route_name(route);

	subject->name = name.len ? str_from(arena_printf(subject->arena, "%.*s/%.*s",
					   STR_FMT(frontend), STR_FMT(name)))
				 : str_from(arena_printf(subject->arena, "%.*s.routes[%u]",
					   STR_FMT(frontend), index));
}

// Those of no name meet in their order.
static const struct node *next_nameless(
	const struct names *names, const struct node *list, u32 *from)
{
	for (u32 i = *from; list && i < list->count; i++)
		if (!names->is_taken[i] && route_name(names->nodes[i]).len == 0) {
			*from = i + 1;
			names->is_taken[i] = true;
			return names->nodes[i];
		}
	*from = UINT32_MAX;
	return NULL;
}

// What both lists begin with alike, and what they end with alike, needs no names.
static void take_alike(struct names *a, u32 count_a, struct names *b, u32 count_b)
{
	u32 at = 0, end = 0;

	while (at < count_a && at < count_b && conf_same_node(a->nodes[at], b->nodes[at])) {
		a->is_taken[at] = b->is_taken[at] = true;
		at++;
	}
	while (at + end < count_a && at + end < count_b &&
		conf_same_node(a->nodes[count_a - 1 - end], b->nodes[count_b - 1 - end])) {
		a->is_taken[count_a - 1 - end] = b->is_taken[count_b - 1 - end] = true;
		end++;
	}
}

static void compare_routes(
	const struct subject *frontend, const struct node *a, const struct node *b)
{
	struct subject subject = *frontend;
	struct names names_a, names_b;
	u32 count_a = a ? a->count : 0, count_b = b ? b->count : 0, nameless = 0, last = 0;
	bool has_moved = false;

	subject.group = "route";
	subject.effect = CONF_EFFECT_NEXT;
	names_make(&names_a, subject.arena, a, route_name);
	names_make(&names_b, subject.arena, b, route_name);
	take_alike(&names_a, count_a, &names_b, count_b);
	for (u32 i = 0; i < count_a; i++) {
		const struct node *one = names_a.nodes[i], *other;
		u32 index = last;

		if (names_a.is_taken[i])
			continue;
		other = route_name(one).len ? names_find(&names_b, route_name(one), &index)
					    : next_nameless(&names_b, b, &nameless);
		has_moved |= index < last;
		last = index;
		name_route(&subject, frontend->name, one, i);
		if (!other)
			add_whole(&subject, CONF_REMOVED, one);
		else
			compare(&subject, STR_EMPTY, one, other, NULL);
	}
	for (u32 i = 0; i < count_b; i++) {
		if (names_b.is_taken[i])
			continue;
		name_route(&subject, frontend->name, names_b.nodes[i], i);
		add_whole(&subject, CONF_ADDED, names_b.nodes[i]);
	}
	if (has_moved) {
		subject = *frontend;
		subject.effect = CONF_EFFECT_NEXT;
		add(&subject, CONF_CHANGED, STR("routes: their order"));
	}
}

static bool has_text(const struct node *list, struct str text)
{
	for (const struct node *one = list ? list->first : NULL; one; one = one->next)
		if (one->kind == NODE_TEXT && str_eq(one->text, text))
			return true;
	return false;
}

static void compare_binds(
	const struct subject *frontend, const struct node *a, const struct node *b)
{
	struct subject subject = *frontend;

	for (const struct node *one = a ? a->first : NULL; one; one = one->next) {
		subject.effect = CONF_EFFECT_DRAINED;
		if (!has_text(b, one->text))
			add_value(&subject, STR("bind"), one, NULL);
	}
	for (const struct node *one = b ? b->first : NULL; one; one = one->next) {
		subject.effect = CONF_EFFECT_OPENED;
		if (!has_text(a, one->text))
			add_value(&subject, STR("bind"), NULL, one);
	}
}

static void compare_frontend(struct subject *subject, const struct node *a, const struct node *b)
{
	static const char *const parts[] = {
		"bind", "routes", "protocol", "tls", "allow", "deny", "limits", "client_ip", NULL};
	static const char *const at_once[] = {"bind", "routes", "http", "headers", "timeouts",
		"builtin", "pool", "redirect_https", NULL};
	const struct node *either = a ? a : b;

	ASSERT(either);
	subject->name = either->key;
	if (!a || !b) {
		subject->effect = a ? CONF_EFFECT_DRAINED : CONF_EFFECT_OPENED;
		add_whole(subject, a ? CONF_REMOVED : CONF_ADDED, either);
		return;
	}
	if (conf_same_node(a, b)) {
		subject->diff->frontends_kept++;
		return;
	}
	compare_binds(subject, node_get(a, STR("bind")), node_get(b, STR("bind")));
	subject->effect = CONF_EFFECT_CONNECTIONS;
	compare(subject, STR_EMPTY, a, b, at_once);
	subject->effect = CONF_EFFECT_NEXT;
	compare(subject, STR_EMPTY, a, b, parts);
	compare_routes(subject, node_get(a, STR("routes")), node_get(b, STR("routes")));
}

static void compare_frontends(struct subject *subject, const struct conf *a, const struct conf *b)
{
	const struct node *frontends_a = node_get(a->tree, STR("frontends")),
			  *frontends_b = node_get(b->tree, STR("frontends"));

	subject->group = "frontend";
	for (const struct node *one = frontends_a ? frontends_a->first : NULL; one; one = one->next)
		compare_frontend(subject, one, node_get(frontends_b, one->key));
	for (const struct node *one = frontends_b ? frontends_b->first : NULL; one; one = one->next)
		if (!node_get(frontends_a, one->key))
			compare_frontend(subject, NULL, one);
}

// ---- The whole ----------------------------------------------------------------------------------

static void compare_section(struct subject *subject, const struct conf *a, const struct conf *b,
	const char *name, enum conf_effect effect)
{
	const struct node *node_a = node_get(a->tree, str_from(name)),
			  *node_b = node_get(b->tree, str_from(name));

	subject->name = str_from(name);
	subject->effect = effect;
	if (node_a && node_b && conf_same_node(node_a, node_b))
		return;
	if (node_a && node_b && node_a->kind == NODE_MAP && node_b->kind == NODE_MAP)
		compare(subject, STR_EMPTY, node_a, node_b, NULL);
	else if (node_a || node_b)
		add_value(subject, STR_EMPTY, node_a, node_b);
}

struct conf_diff *conf_diff(const struct conf *a, const struct conf *b, struct arena *arena)
{
	static const struct {
		const char *name;
		enum conf_effect effect;
	} sections[] = {{"runtime", CONF_EFFECT_RESTART}, {"log", CONF_EFFECT_RESTART},
		{"admin", CONF_EFFECT_RESTART}, {"metrics", CONF_EFFECT_RESTART},
		{"tracing", CONF_EFFECT_RESTART}, {"certificates", CONF_EFFECT_CONNECTIONS},
		{"providers", CONF_EFFECT_ASKED}, {"resolver", CONF_EFFECT_ASKED},
		{"tests", CONF_EFFECT_TESTED}};
	struct conf_diff *diff = arena_zalloc(arena, sizeof(*diff));
	struct subject subject = {.diff = diff, .arena = arena};

	compare_frontends(&subject, a, b);
	compare_pools(&subject, a, b);
	subject.group = "section";
	for (u32 i = 0; i < ARRAY_LEN(sections); i++)
		compare_section(&subject, a, b, sections[i].name, sections[i].effect);
	return diff;
}
