// SPDX-License-Identifier: Apache-2.0
#include "discover/list.h"

#include <stdio.h>

#include "conf/read.h"

enum { tree_bytes_max = 256 << 20, where_bytes_max = 32 };

// The value of `key` in a row, or NULL.
static struct str *place_of(struct row_values *values, struct str key)
{
	static const struct str names[] = {{"address", 7}, {"id", 2}, {"pool", 4}, {"weight", 6},
		{"state", 5}, {"max_connections", 15}, {"metadata", 8}};
	struct str *const places[] = {&values->address, &values->id, &values->pool, &values->weight,
		&values->state, &values->max_connections, &values->metadata};

	_Static_assert(ARRAY_LEN(names) == ARRAY_LEN(places), "a place for each name");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(names[i], key))
			return places[i];
	return NULL;
}

#define SHOWN(s) (int)MIN((s).len, (size_t)60), (s).ptr

// ---- Lines --------------------------------------------------------------------------------------

static struct str cut_word(struct str *rest)
{
	struct str word;

	*rest = str_trim(*rest);
	word = str_make(rest->ptr, strcspn(rest->ptr, " \t\r\n"));
	word.len = MIN(word.len, rest->len);
	*rest = str_make(rest->ptr + word.len, rest->len - word.len);
	return word;
}

static void take_line(struct rows *rows, struct str line, u32 number)
{
	char where[where_bytes_max];
	struct row_values values = {.where = where};
	struct str word;

	line = str_cut(&line, '#');
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	values.address = cut_word(&line);
	if (values.address.len == 0)
		return;
	snprintf(where, sizeof(where), "line %u", number);
	while ((word = cut_word(&line)).len) {
		struct str value = word, key = str_cut(&value, '=');
		struct str *place = place_of(&values, key);

		if (place && key.len < word.len)
			*place = value;
		else
			rows_fault(rows, "line %u: '%.*s' is no KEY=VALUE like weight=2", number,
				SHOWN(word));
	}
	rows_add(rows, &values);
}

static struct rows *read_lines(struct str text)
{
	struct rows *rows = rows_new();

	for (u32 number = 1; text.len; number++)
		take_line(rows, str_cut(&text, '\n'), number);
	rows_finish(rows);
	return rows;
}

// ---- YAML and JSON ------------------------------------------------------------------------------

static void take_map(struct rows *rows, const struct node *map, const char *where)
{
	struct row_values values = {.where = where};

	for (const struct node *child = map->first; child; child = child->next) {
		struct str *place = place_of(&values, child->key);

		if (place && child->kind == NODE_TEXT)
			*place = child->text;
		else if (!place)
			rows_fault(rows, "line %u: unknown key '%.*s'", child->key_place.line,
				SHOWN(child->key));
		else if (child->kind != NODE_NULL)
			rows_fault(rows, "line %u: %.*s is %s", child->key_place.line,
				SHOWN(child->key), node_kind_text(child));
	}
	rows_add(rows, &values);
}

static void take_item(struct rows *rows, const struct node *item)
{
	char where[where_bytes_max];

	snprintf(where, sizeof(where), "line %u", item->place.line);
	if (item->kind == NODE_MAP)
		take_map(rows, item, where);
	else
		rows_add(rows, &(struct row_values){
				       .address = item->kind == NODE_TEXT ? item->text : STR_EMPTY,
				       .where = where});
}

static const struct node *find_list(
	const struct node *root, const char *file, char ret_error[static LIST_ERROR_MAX])
{
	const struct node *list = root;

	if (root->kind == NODE_MAP)
		list = node_get(root, STR("backends"));
	if (list && list->kind == NODE_LIST)
		return list;
	snprintf(ret_error, LIST_ERROR_MAX,
		"%s:1:1: this is no list of backends, nor a map whose 'backends' is one", file);
	return NULL;
}

static struct rows *read_tree(
	const char *file, struct str text, char ret_error[static LIST_ERROR_MAX])
{
	const struct node *root, *list = NULL;
	u32 nodes_left = TREE_NODES_MAX;
	struct rows *rows = NULL;
	struct arena arena;
	struct errs errs;
	struct report report = {.arena = &arena, .errs = &errs};

	arena_init(&arena, tree_bytes_max);
	errs_init(&errs);
	root = read_yaml_value(&(struct read_input){
		.report = &report, .file = file, .text = text, .nodes_left = &nodes_left});
	if (root)
		list = find_list(root, file, ret_error);
	else if (errs.first)
		snprintf(ret_error, LIST_ERROR_MAX, "%s:%u:%u: %s", file, errs.first->place.line,
			errs.first->place.column, errs.first->message);
	else
		snprintf(ret_error, LIST_ERROR_MAX, "%s is no YAML", file);
	if (list) {
		rows = rows_new();
		for (const struct node *item = list->first; item; item = item->next)
			take_item(rows, item);
		rows_finish(rows);
	}
	errs_done(&errs);
	arena_done(&arena);
	return rows;
}

static bool ends_in(const char *file, const char *ending)
{
	size_t len = strlen(file), ending_len = strlen(ending);

	return len >= ending_len && strcmp(file + len - ending_len, ending) == 0;
}

struct rows *list_read(const char *file, struct str text, char ret_error[static LIST_ERROR_MAX])
{
	struct str first = text;

	while (first.len && (u8)first.ptr[0] <= ' ')
		first = str_make(first.ptr + 1, first.len - 1);
	if (first.len &&
		(ends_in(file, ".yaml") || ends_in(file, ".yml") || ends_in(file, ".json") ||
			first.ptr[0] == '[' || first.ptr[0] == '{'))
		return read_tree(file, text, ret_error);
	return read_lines(text);
}
