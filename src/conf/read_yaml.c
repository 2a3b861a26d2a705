// SPDX-License-Identifier: Apache-2.0
#include "conf/read.h"

#include <yaml.h>

struct anchor {
	struct anchor *next;
	struct str name;
	struct node *node;
};

struct yaml_reader {
	const struct read_input *input;
	struct tree_builder builder;
	yaml_parser_t parser;
	struct anchor *anchors;
	u32 document_count;
};

struct place read_place_at(const char *file, struct str text, size_t offset)
{
	struct place place = {.file = file, .line = 1, .column = 1};

	for (size_t i = 0; i < offset && i < text.len; i++) {
		if (text.ptr[i] == '\n') {
			place.line++;
			place.column = 1;
		} else if (((u8)text.ptr[i] & 0xc0) != 0x80) {
			place.column++;
		}
	}
	return place;
}

static struct place place_of(const struct yaml_reader *reader, const yaml_mark_t *mark)
{
	if (reader->input->has_no_lines)
		return (struct place){.file = reader->input->file};
	return (struct place){.file = reader->input->file,
		.line = (u32)mark->line + 1,
		.column = (u32)mark->column + 1};
}

static u32 width_of(const yaml_event_t *event)
{
	if (event->start_mark.line != event->end_mark.line ||
		event->end_mark.column <= event->start_mark.column)
		return 1;
	return (u32)(event->end_mark.column - event->start_mark.column);
}

static struct str line_of(struct str text, size_t number)
{
	struct str line = str_cut(&text, '\n');

	while (number-- > 0)
		line = str_cut(&text, '\n');
	return line;
}

// libyaml names the rule that broke; what the writer can do about it is this.
static const char *find_advice(const char *problem)
{
	static const struct {
		const char *problem, *advice;
	} advices[] = {
		{"mapping values are not allowed", "is the line above complete, and are both "
						   "indented alike? A text with ': ' in it needs "
						   "quotes"},
		{"did not find expected key", "the line does not stand under the keys it "
					      "belongs to: align it with them"},
		{"did not find expected '-'", "items of one list start in the same column"},
		{"could not find expected ':'", "a key is followed by ':' and a space"},
		{"did not find expected ',' or '}'", "a '{' is not closed, or a ',' is missing"},
		{"did not find expected ',' or ']'", "a '[' is not closed, or a ',' is missing"},
		{"cannot start any token", "put the text in quotes"},
		{"found unexpected end of stream", "a quote is not closed"},
		{"block sequence entries are not allowed", "a list starts on its own line, after "
							   "its key"},
	};

	for (size_t i = 0; i < ARRAY_LEN(advices); i++)
		if (strstr(problem, advices[i].problem))
			return advices[i].advice;
	return NULL;
}

// A tab in the indentation of the line, or where the parser stopped.
static bool report_tab(struct yaml_reader *reader, const char *problem)
{
	struct place place = place_of(reader, &reader->parser.problem_mark);
	struct str line = line_of(reader->input->text, reader->parser.problem_mark.line);
	u32 column = 1;

	while (column <= line.len && line.ptr[column - 1] == ' ')
		column++;
	if (column > line.len || line.ptr[column - 1] != '\t')
		return false;
	place.column = column;
	report_at(reader->input->report, CODE_TAB, place, 1,
		"tab used for indentation; YAML allows only spaces here        (libyaml says "
		"\"%s\")",
		problem);
	return true;
}

static void report_syntax(struct yaml_reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	const char *problem = parser->problem ? parser->problem : "cannot be read";
	const char *advice = find_advice(problem);
	struct place place = place_of(reader, &parser->problem_mark);
	struct err *err;

	if (parser->error == YAML_READER_ERROR) {
		place = read_place_at(
			reader->input->file, reader->input->text, parser->problem_offset);
		advice = "the file must be UTF-8 text";
	} else if (report_tab(reader, problem)) {
		return;
	}
	if ((strstr(problem, "could not find expected ':'") ||
		    strstr(problem, "found unexpected end of stream")) &&
		parser->context)
		place = place_of(reader, &parser->context_mark);
	if (parser->context && parser->context_mark.line != parser->problem_mark.line)
		err = report_at(reader->input->report, CODE_SYNTAX, place, 1,
			"not valid YAML: %s (%s from line %zu)", problem, parser->context,
			parser->context_mark.line + 1);
	else
		err = report_at(reader->input->report, CODE_SYNTAX, place, 1, "not valid YAML: %s",
			problem);
	if (advice)
		report_advice(reader->input->report, err, "%s", advice);
}

static bool unsupported(struct yaml_reader *reader, const yaml_event_t *event, const char *what)
{
	report_at(reader->input->report, CODE_UNSUPPORTED, place_of(reader, &event->start_mark),
		width_of(event), "%s", what);
	return false;
}

static bool tag_is_known(const yaml_char_t *tag)
{
	return !tag || strncmp((const char *)tag, "tag:yaml.org,2002:", 18) == 0 ||
	       strcmp((const char *)tag, "!") == 0;
}

static void remember(struct yaml_reader *reader, const yaml_char_t *name, struct node *node)
{
	struct arena *arena = reader->input->report->arena;
	struct anchor *anchor;

	if (!name)
		return;
	anchor = arena_zalloc(arena, sizeof(*anchor));
	anchor->next = reader->anchors;
	anchor->name = arena_str(arena, str_from((const char *)name));
	anchor->node = node;
	reader->anchors = anchor;
}

static bool is_open(const struct tree_builder *builder, const struct node *node)
{
	for (u32 i = 0; i < builder->depth; i++)
		if (builder->open[i] == node)
			return true;
	return false;
}

static bool take_alias(struct yaml_reader *reader, const yaml_event_t *event)
{
	struct tree_builder *builder = &reader->builder;
	struct str name = str_from((const char *)event->data.alias.anchor);
	const struct anchor *anchor = reader->anchors;
	struct node *copy;

	while (anchor && !str_eq(anchor->name, name))
		anchor = anchor->next;
	if (builder_wants_key(builder))
		return unsupported(reader, event, "an alias cannot be a key here");
	if (!anchor)
		return unsupported(reader, event, "no anchor of this name stands before it");
	if (is_open(builder, anchor->node))
		return unsupported(reader, event, "an alias inside of what it stands for");
	copy = node_copy(reader->input->report->arena, anchor->node,
		TREE_DEPTH_MAX - builder->depth, builder->nodes_left);
	if (!copy) {
		report_at(reader->input->report, CODE_TOO_BIG, place_of(reader, &event->start_mark),
			width_of(event),
			"what this alias stands for is too deep or too large here");
		return false;
	}
	return builder_add(builder, copy);
}

static bool is_null(const char *text, size_t len)
{
	static const struct str nulls[] = {
		{"", 0}, {"~", 1}, {"null", 4}, {"Null", 4}, {"NULL", 4}};

	for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
		if (str_eq(str_make(text, len), nulls[i]))
			return true;
	return false;
}

static bool take_scalar(struct yaml_reader *reader, const yaml_event_t *event)
{
	struct tree_builder *builder = &reader->builder;
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct place place = place_of(reader, &event->start_mark);
	bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct node *node;

	if (memchr(text, '\0', len))
		return unsupported(reader, event, "a zero byte in a text");
	if (!tag_is_known(event->data.scalar.tag))
		return unsupported(reader, event, "tags (!name) mean nothing in a configuration");
	if (builder_wants_key(builder)) {
		builder_key(builder, str_make(text, len), place, width_of(event));
		return true;
	}
	if (is_plain && is_null(text, len))
		node = node_new(reader->input->report->arena, NODE_NULL, place);
	else
		node = node_new_text(reader->input->report->arena, str_make(text, len), place);
	node->is_quoted = !is_plain;
	node->width = width_of(event);
	remember(reader, event->data.scalar.anchor, node);
	return builder_add(builder, node);
}

static bool take_start(struct yaml_reader *reader, const yaml_event_t *event)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *tag =
		is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	struct node *node = node_new(reader->input->report->arena, is_map ? NODE_MAP : NODE_LIST,
		place_of(reader, &event->start_mark));

	if (!tag_is_known(tag))
		return unsupported(reader, event, "tags (!name) mean nothing in a configuration");
	if (builder_wants_key(&reader->builder))
		return unsupported(reader, event, "a key must be a single word");
	remember(reader,
		is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
		node);
	return builder_open(&reader->builder, node);
}

static bool take_event(struct yaml_reader *reader, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (reader->document_count++)
			return unsupported(reader, event, "a second document in one file");
		return true;
	case YAML_ALIAS_EVENT:
		return take_alias(reader, event);
	case YAML_SCALAR_EVENT:
		return take_scalar(reader, event);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return take_start(reader, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return builder_close(&reader->builder);
	default:
		return true;
	}
}

static bool take_all(struct yaml_reader *reader)
{
	bool goes_on = true, ended = false;

	while (goes_on && !ended) {
		yaml_event_t event;

		if (!yaml_parser_parse(&reader->parser, &event)) {
			report_syntax(reader);
			return false;
		}
		ended = event.type == YAML_STREAM_END_EVENT;
		goes_on = take_event(reader, &event);
		yaml_event_delete(&event);
	}
	return goes_on;
}

struct node *read_yaml_value(const struct read_input *input)
{
	struct yaml_reader reader = {.input = input,
		.builder = {.report = input->report,
			.file = input->file,
			.nodes_left = input->nodes_left}};
	struct place start = {.file = input->file, .line = 1, .column = 1};
	bool ok;

	if (!yaml_parser_initialize(&reader.parser)) {
		report_at(input->report, CODE_UNREADABLE, start, 1, "no memory for the parser");
		return NULL;
	}
	yaml_parser_set_input_string(
		&reader.parser, (const unsigned char *)input->text.ptr, input->text.len);
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	ok = take_all(&reader);
	yaml_parser_delete(&reader.parser);
	if (!ok)
		return NULL;
	return reader.builder.root ? reader.builder.root
				   : node_new(input->report->arena, NODE_NULL, start);
}

struct node *read_yaml(const struct read_input *input)
{
	struct node *root = read_yaml_value(input);

	if (root && root->kind == NODE_NULL)
		root->kind = NODE_MAP;
	if (!root || root->kind == NODE_MAP)
		return root;
	report_value(input->report, CODE_WRONG_TYPE, root,
		"a configuration is a map of keys, and this is %s", node_kind_text(root));
	return NULL;
}
