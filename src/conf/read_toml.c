// SPDX-License-Identifier: Apache-2.0
#include "conf/read_toml.h"

#include "conf/read.h"

struct toml_reader {
	const struct read_input *input;
	struct tree_builder builder;
};

static struct place place_of(const struct toml_reader *reader, struct toml_position position)
{
	return (struct place){.file = reader->input->file,
		.line = MAX(position.line, 1u),
		.column = MAX(position.column, 1u)};
}

static int take_key(void *context, const char *text, size_t len, struct toml_position position)
{
	struct toml_reader *reader = context;

	builder_key(
		&reader->builder, str_make(text, len), place_of(reader, position), position.width);
	return 0;
}

static int take_open(void *context, int is_table, struct toml_position position)
{
	struct toml_reader *reader = context;
	struct node *node = node_new(reader->input->report->arena, is_table ? NODE_MAP : NODE_LIST,
		place_of(reader, position));

	return builder_open(&reader->builder, node) ? 0 : -1;
}

static int take_close(void *context)
{
	struct toml_reader *reader = context;

	return builder_close(&reader->builder) ? 0 : -1;
}

static int take_scalar(
	void *context, const char *text, size_t len, int is_string, struct toml_position position)
{
	struct toml_reader *reader = context;
	struct place place = place_of(reader, position);
	struct node *node;

	if (len && memchr(text, '\0', len)) {
		report_at(reader->input->report, CODE_UNSUPPORTED, place, position.width,
			"a zero byte in a text");
		return -1;
	}
	node = node_new_text(reader->input->report->arena, str_make(text, len), place);
	node->is_quoted = is_string;
	node->width = position.width;
	return builder_add(&reader->builder, node) ? 0 : -1;
}

// The last text in quotes of "cannot redefine existing table 'pools.app' as array".
static struct str find_repeated_key(const char *message)
{
	const char *start = strstr(message, "cannot redefine existing ");
	struct str key;

	start = start ? strchr(start, '\'') : NULL;
	if (!start)
		return STR_EMPTY;
	key = str_from(start + 1);
	key.len = str_find(key, '\'');
	return key;
}

// The key that stands last in the text, of those with this name.
static const struct node *find_last(const struct node *node, struct str name)
{
	const struct node *found = NULL;

	for (const struct node *child = node->first; child; child = child->next) {
		const struct node *inner = find_last(child, name);

		if (inner && (!found || inner->key_place.line >= found->key_place.line))
			found = inner;
		if (str_eq(child->key, name) && child->key_place.line &&
			(!found || child->key_place.line > found->key_place.line))
			found = child;
	}
	return found;
}

static const struct node *find_path(const struct node *node, struct str path)
{
	while (node && path.len) {
		struct str name = str_cut(&path, '.');

		if (node->kind == NODE_LIST)
			node = node->last;
		node = node_get(node, name);
	}
	return node;
}

static void ignore_error(void *context, const char *message, struct toml_position position)
{
	(void)context;
	(void)message;
	(void)position;
}

static struct toml_events make_events(
	void (*error)(void *context, const char *message, struct toml_position position))
{
	return (struct toml_events){take_key, take_open, take_close, take_scalar, error};
}

static size_t line_start(struct str text, u32 line)
{
	size_t at = 0;

	while (line-- > 1 && at < text.len)
		at += str_find(str_make(text.ptr + at, text.len - at), '\n') + 1;
	return MIN(at, text.len);
}

// The parser tells only the second place of a key that is given twice. The first one stands in the
// text before, which is good by itself.
static const struct node *find_first_place(
	const struct toml_reader *reader, struct str key, u32 line, bool *ret_is_header)
{
	const struct toml_events events = make_events(ignore_error);
	struct str text = reader->input->text;
	size_t before = line_start(text, line);
	u32 nodes_left = TREE_NODES_MAX;
	struct toml_reader second = {.input = reader->input,
		.builder = {.report = reader->input->report, .nodes_left = &nodes_left}};
	struct str last_name = key, rest = key;

	*ret_is_header = before < text.len && text.ptr[before] == '[';
	if (key.len == 0 || toml_walk(text.ptr, before, &events, &second) < 0)
		return NULL;
	if (*ret_is_header)
		return find_path(second.builder.root, key);
	while (rest.len)
		last_name = str_cut(&rest, '.');
	return find_last(second.builder.root, last_name);
}

static void report_twice(
	struct toml_reader *reader, struct str key, struct place first, struct place second)
{
	report_at(reader->input->report, CODE_DUPLICATE_KEY, second, (u32)MIN(key.len, (size_t)64),
		"key '%.*s' is given twice; the first one is at %s", CLIP(key),
		report_place_text(reader->input->report, first));
}

// Inside of one inline table: the two last places before the error where `key =` stands.
static bool find_pair_in_line(const struct toml_reader *reader, struct str key, struct place place,
	struct place *ret_first, struct place *ret_second)
{
	struct str text = reader->input->text;
	size_t start = line_start(text, place.line);
	struct str line = str_make(
		text.ptr + start, str_find(str_make(text.ptr + start, text.len - start), '\n'));
	u32 found[2] = {0};

	for (size_t at = 0; at + key.len < MIN(line.len, (size_t)place.column) && key.len; at++) {
		struct str behind = str_make(line.ptr + at + key.len, line.len - at - key.len);
		bool starts = at == 0 || strchr(" \t{,", line.ptr[at - 1]);

		behind = str_trim(behind);
		if (!starts || !str_starts(str_make(line.ptr + at, line.len - at), key) ||
			behind.len == 0 || behind.ptr[0] != '=')
			continue;
		found[0] = found[1];
		found[1] = (u32)at + 1;
	}
	if (!found[0])
		return false;
	*ret_first = *ret_second = place;
	ret_first->column = found[0];
	ret_second->column = found[1];
	return true;
}

static void report_other(
	struct toml_reader *reader, const char *message, struct place place, u32 width)
{
	struct err *err = report_at(
		reader->input->report, CODE_SYNTAX, place, width, "not valid TOML: %s", message);
	const char *boolean = strstr(message, "while parsing boolean: expected '");

	if (boolean)
		report_advice(reader->input->report, err, "did you mean '%.*s'?",
			(int)strcspn(boolean + 33, "'"), boolean + 33);
}

static void take_error(void *context, const char *message, struct toml_position position)
{
	struct toml_reader *reader = context;
	struct place place = place_of(reader, position);
	struct str key = find_repeated_key(message), text = reader->input->text;
	const struct node *first;
	struct place pair[2];
	bool is_header = false;

	if (find_pair_in_line(reader, key, place, &pair[0], &pair[1])) {
		report_twice(reader, key, pair[0], pair[1]);
		return;
	}
	first = find_first_place(reader, key, place.line, &is_header);
	if (!first || !first->key_place.line) {
		report_other(reader, message, place, position.width);
		return;
	}
	text.ptr += line_start(text, place.line);
	place.column = is_header ? 2 : 1;
	while (*text.ptr == ' ' || *text.ptr == '\t') {
		place.column++;
		text.ptr++;
	}
	report_twice(reader, key, first->key_place, place);
}

// Behind the string that starts at `at`; a string that is not closed ends with its line, where the
// library will complain.
static size_t skip_string(struct str text, size_t at)
{
	char quote = text.ptr[at];
	bool is_long = at + 2 < text.len && text.ptr[at + 1] == quote && text.ptr[at + 2] == quote;
	size_t quotes = is_long ? 3 : 1, seen = 0;

	for (at += quotes; at < text.len && seen < quotes; at++) {
		if (text.ptr[at] == '\\' && quote == '"')
			at++;
		if (at >= text.len || (text.ptr[at] == '\n' && !is_long))
			return MIN(at, text.len);
		seen = text.ptr[at] == quote ? seen + 1 : 0;
	}
	// A long string may end with one or two quotes of its own.
	for (size_t more = 0; is_long && more < 2 && at < text.len && text.ptr[at] == quote; more++)
		at++;
	return at;
}

// Each dot of a key is a level, and the library walks levels by recursion: too many are refused
// before it sees them.
static bool check_dots(const struct read_input *input)
{
	struct str text = input->text;
	u32 dots = 0;
	size_t i = 0;

	while (i < text.len) {
		char c = text.ptr[i];

		if (c == '#') {
			i += str_find(str_make(text.ptr + i, text.len - i), '\n');
			continue;
		}
		if (c == '"' || c == '\'') {
			i = skip_string(text, i);
			continue;
		}
		if (c && strchr("=[]{},\n", c))
			dots = 0;
		if (c == '.' && ++dots > TREE_DEPTH_MAX) {
			report_at(input->report, CODE_TOO_BIG, read_place_at(input->file, text, i),
				1, "more than %d dots in one key", TREE_DEPTH_MAX);
			return false;
		}
		i++;
	}
	return true;
}

struct node *read_toml(const struct read_input *input)
{
	const struct toml_events events = make_events(take_error);
	struct toml_reader reader = {.input = input,
		.builder = {.report = input->report,
			.file = input->file,
			.nodes_left = input->nodes_left}};

	if (!check_dots(input) || toml_walk(input->text.ptr, input->text.len, &events, &reader) < 0)
		return NULL;
	return reader.builder.root;
}
