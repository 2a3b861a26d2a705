// SPDX-License-Identifier: Apache-2.0
// Text to tree, one reader per syntax, and back. Each stops at the first syntax error of its text,
// reports it with its place, and gives NULL. An empty text gives an empty map; the root is always a
// map.
#pragma once

#include "conf/conf.h"
#include "conf/tree.h"

struct read_input {
	struct report *report;
	const char *file;  // for places; lives as long as the tree
	struct str text;   // already added to the report
	bool has_no_lines; // a value from outside of files: its places have no line
	u32 *nodes_left;
};

struct node *read_yaml(const struct read_input *input) must_check;

// One value of any kind, from an override. NULL after an error.
struct node *read_yaml_value(const struct read_input *input) must_check;

// jansson checks the grammar; then it is YAML in flow style.
struct node *read_json(const struct read_input *input) must_check;
struct node *read_toml(const struct read_input *input) must_check;

// The file of Bal.rs (seed 1): not YAML, although it is named so. Unlike the others it tells all
// errors.
bool read_balrs_is(struct str text);
struct node *read_balrs(const struct read_input *input) must_check;

// The way back: a tree as text. In a source ${...} are variables, in an effective tree they are
// text. Origins become comments, in YAML only. Secrets stand in a private one only.
enum tree_write_kind {
	TREE_WRITE_SOURCE,
	TREE_WRITE_EFFECTIVE,
	TREE_WRITE_ORIGINS,
	TREE_WRITE_PRIVATE
};

struct str tree_write(const struct node *root, enum conf_syntax syntax, enum tree_write_kind kind,
	struct arena *arena);

// A scalar's text for other eyes: of a secret the variable that holds it, or HIDDEN_SECRET.
struct str tree_shown(const struct node *node);

// Where byte `offset` of a text stands.
struct place read_place_at(const char *file, struct str text, size_t offset);
