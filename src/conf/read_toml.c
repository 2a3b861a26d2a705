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

static void take_error(void *context, const char *message, struct toml_position position)
{
	struct toml_reader *reader = context;

	report_at(reader->input->report, CODE_SYNTAX, place_of(reader, position), position.width,
		"not valid TOML: %s", message);
}

struct node *read_toml(const struct read_input *input)
{
	static const struct toml_events events = {
		take_key, take_open, take_close, take_scalar, take_error};
	struct toml_reader reader = {.input = input,
		.builder = {.report = input->report,
			.file = input->file,
			.nodes_left = input->nodes_left}};

	if (toml_walk(input->text.ptr, input->text.len, &events, &reader) < 0)
		return NULL;
	return reader.builder.root;
}
