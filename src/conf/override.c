// SPDX-License-Identifier: Apache-2.0
#include "conf/override.h"

#include "conf/read.h"

enum { steps_max = 16 };

struct step {
	struct str name; // or
	u32 index;	 // of an item, when is_index
	bool is_index;
};

struct setting {
	struct report *report;
	struct place place;
	struct step steps[steps_max];
	u32 count;
	u32 *nodes_left;
};

static void report_path(struct setting *setting, const char *why)
{
	report_at(setting->report, CODE_BAD_OVERRIDE, setting->place, 1, "%s", why);
}

static bool add_step(struct setting *setting, struct step step)
{
	if (setting->count == steps_max || (!step.is_index && step.name.len == 0)) {
		report_path(setting, "this is no key: write it like frontends.web.bind or "
				     "pools.app.backends[0].weight");
		return false;
	}
	setting->steps[setting->count++] = step;
	return true;
}

// "a.b[0].c"
static bool parse_path(struct setting *setting, struct str path)
{
	while (path.len) {
		struct str part = str_cut(&path, '.');
		struct str name = str_make(part.ptr, str_find(part, '['));
		struct str indexes = str_make(part.ptr + name.len, part.len - name.len);

		if (!add_step(setting, (struct step){.name = name}))
			return false;
		while (indexes.len) {
			struct str index = str_make(indexes.ptr + 1, indexes.len - 1);
			u64 number = 0;

			if (indexes.ptr[0] != '[' || str_find(index, ']') == index.len) {
				report_path(setting, "'[' and ']' hold the number of an item");
				return false;
			}
			indexes = index;
			index = str_cut(&indexes, ']');
			if (str_to_u64(index, TREE_NODES_MAX, &number) < 0) {
				report_path(setting, "'[' and ']' hold the number of an item");
				return false;
			}
			if (!add_step(
				    setting, (struct step){.index = (u32)number, .is_index = true}))
				return false;
		}
	}
	if (setting->count)
		return true;
	report_path(setting, "there is no key before the '='");
	return false;
}

static void set_places(struct node *node, struct place place)
{
	node->place = place;
	node->key_place = place;
	for (struct node *child = node->first; child; child = child->next)
		set_places(child, place);
}

static struct node *parse_value(struct setting *setting, struct str value)
{
	struct read_input input = {.report = setting->report,
		.file = setting->place.file,
		.text = value,
		.has_no_lines = true,
		.nodes_left = setting->nodes_left};
	struct node *node;

	if (!tree_is_utf8(value)) {
		report_at(setting->report, CODE_MALFORMED, setting->place, 1,
			"this value is no UTF-8 text");
		return NULL;
	}
	if (value.len == 0 || (value.ptr[0] != '[' && value.ptr[0] != '{'))
		return node_new_text(setting->report->arena, value, setting->place);
	node = read_yaml_value(&input);
	if (node)
		set_places(node, setting->place);
	return node;
}

static struct node *find_item(const struct node *list, u32 index)
{
	struct node *item = list->kind == NODE_LIST ? list->first : NULL;

	while (item && index--)
		item = item->next;
	return item;
}

// Into the tree itself: only so can an item of a list be meant.
static void set_in_place(struct setting *setting, struct node *root, struct node *value)
{
	struct node *node = root, *parent = NULL;

	for (u32 i = 0; i < setting->count; i++) {
		const struct step *step = &setting->steps[i];

		parent = node;
		node = step->is_index ? find_item(node, step->index) : node_get(node, step->name);
		if (node || (i + 1 == setting->count && !step->is_index))
			continue;
		report_path(setting, "no such item: an override by number changes what a file "
				     "has given");
		return;
	}
	if (node) {
		node_replace(parent, node, value);
	} else if (parent->kind == NODE_MAP) {
		value->key =
			arena_str(setting->report->arena, setting->steps[setting->count - 1].name);
		node_add(setting->report->arena, parent, value);
	} else {
		report_path(setting, "what stands there is no map of keys");
	}
}

static void set_over(struct setting *setting, struct node *root, struct node *value)
{
	struct arena *arena = setting->report->arena;
	struct node *overlay = node_new(arena, NODE_MAP, setting->place), *map = overlay;

	for (u32 i = 0; i < setting->count; i++) {
		struct node *child =
			i + 1 == setting->count ? value : node_new(arena, NODE_MAP, setting->place);

		child->key = arena_str(arena, setting->steps[i].name);
		child->key_place = setting->place;
		node_add(arena, map, child);
		map = child;
	}
	shape_document(setting->report, overlay, setting->nodes_left);
	shape_override(setting->report, root, overlay);
}

static void apply(struct setting *setting, struct node *root, struct str value)
{
	struct node *node = parse_value(setting, value);
	bool has_index = false;

	for (u32 i = 0; i < setting->count; i++)
		has_index |= setting->steps[i].is_index;
	if (!node)
		return;
	if (has_index)
		set_in_place(setting, root, node);
	else
		set_over(setting, root, node);
}

void override_set(struct report *report, struct node *root, struct str path, struct str value,
	struct place place, u32 *nodes_left)
{
	struct setting setting = {.report = report, .place = place, .nodes_left = nodes_left};

	if (parse_path(&setting, path))
		apply(&setting, root, value);
}

// ---- environment ----

static const struct str prefix = {"WEIR_", 5};

// "FRONTENDS__WEB__BIND": the next part, in lower case.
static struct str cut_part(struct arena *arena, struct str *rest)
{
	size_t len = 0, skip = 0;
	char *part;

	while (len < rest->len && skip == 0) {
		if (rest->ptr[len] == '_' && len + 1 < rest->len && rest->ptr[len + 1] == '_' &&
			len)
			skip = 2;
		else
			len++;
	}
	part = arena_zalloc(arena, len + 1);
	for (size_t i = 0; i < len; i++)
		part[i] = ascii_lower(rest->ptr[i]);
	*rest = str_make(rest->ptr + len + skip, rest->len - len - skip);
	return str_make(part, len);
}

// Names that users chose may have capitals and '-', which variables have not.
static bool is_same_name(struct str name, struct str part)
{
	if (name.len != part.len)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i] == '-' ? '_' : ascii_lower(name.ptr[i]);

		if (c != (part.ptr[i] == '-' ? '_' : part.ptr[i]))
			return false;
	}
	return true;
}

static struct step find_step(const struct node *at, struct str part)
{
	struct step step = {.name = part};
	u64 number;

	if (at && at->kind == NODE_LIST && str_to_u64(part, TREE_NODES_MAX, &number) == 0)
		return (struct step){.index = (u32)number, .is_index = true};
	for (const struct node *child = at && at->kind == NODE_MAP ? at->first : NULL; child;
		child = child->next)
		if (is_same_name(child->key, part))
			step.name = child->key;
	return step;
}

static struct str first_part(struct str name)
{
	struct str rest = str_make(name.ptr + prefix.len, name.len - prefix.len);
	size_t len = 0;

	while (len < rest.len &&
		!(rest.ptr[len] == '_' && len + 1 < rest.len && rest.ptr[len + 1] == '_'))
		len++;
	return str_make(rest.ptr, len);
}

static const struct schema_key *find_root_key(struct str part)
{
	for (u32 i = 0; i < schema_key_count; i++)
		if (schema_keys[i].map == SCHEMA_root && str_eq_nocase(schema_keys[i].name, part))
			return &schema_keys[i];
	return NULL;
}

bool override_is_setting(struct str name)
{
	return str_starts(name, prefix) && find_root_key(first_part(name));
}

// A service named "weir" makes Kubernetes set these.
static bool is_from_kubernetes(struct str name)
{
	return str_eq(name, STR("WEIR_PORT")) || str_starts(name, STR("WEIR_PORT_")) ||
	       str_starts(name, STR("WEIR_SERVICE_"));
}

// WEIR_LOG_LEVEL for WEIR_LOG__LEVEL is the likeliest slip.
static void warn_stray(struct report *report, const struct variable *variable)
{
	struct str part = first_part(variable->name), head = part;
	const struct schema_key *near;
	struct err *err;

	head.len = str_find(part, '_');
	err = report_at(report, CODE_STRAY_VARIABLE, variable->place, 1,
		"'%.*s' is no setting and is ignored", CLIP(variable->name));
	near = schema_near(SCHEMA_root, part);
	if (head.len < part.len && find_root_key(head))
		report_advice(report, err, "did you mean 'WEIR_%.*s__%.*s'?", CLIP(head),
			CLIP(str_make(part.ptr + head.len + 1, part.len - head.len - 1)));
	else if (near)
		report_advice(report, err, "keys are separated by '__'; did you mean '%.*s'?",
			STR_FMT(near->name));
}

static void apply_variable(
	struct report *report, struct node *root, const struct variable *variable, u32 *nodes_left)
{
	struct setting setting = {
		.report = report, .place = variable->place, .nodes_left = nodes_left};
	struct str rest = variable->name;
	const struct node *at = root;

	rest.ptr += prefix.len;
	rest.len -= prefix.len;
	while (rest.len) {
		struct step step = find_step(at, cut_part(report->arena, &rest));

		if (!add_step(&setting, step))
			return;
		at = !at	     ? NULL
		     : step.is_index ? find_item(at, step.index)
				     : node_get(at, step.name);
	}
	apply(&setting, root, variable->value);
}

// These two are read elsewhere, and are no settings.
static bool is_for_commands(struct str name)
{
	return str_eq(name, STR("WEIR_CONFIG")) || str_eq(name, STR("WEIR_TOKEN"));
}

static bool is_meant(struct str name)
{
	return str_starts(name, prefix) && !is_for_commands(name) && !is_from_kubernetes(name);
}

void override_from_variables(struct report *report, struct node *root,
	const struct variables *variables, u32 *nodes_left)
{
	for (u32 i = 0; i < variables->count; i++) {
		const struct variable *variable = &variables->list[i];

		if (is_meant(variable->name) && override_is_setting(variable->name))
			apply_variable(report, root, variable, nodes_left);
	}
}

void override_warn_strays(struct report *report, const struct variables *variables)
{
	for (u32 i = 0; i < variables->count; i++) {
		const struct variable *variable = &variables->list[i];

		if (is_meant(variable->name) && !variable->is_used &&
			!override_is_setting(variable->name))
			warn_stray(report, variable);
	}
}
