// SPDX-License-Identifier: Apache-2.0
// The document tree: what YAML, TOML and JSON have in common. Maps, lists and texts; each node
// knows where it stands. Scalars stay text: their type is what schema.def says about their key, so
// no syntax can turn `no` into false or 12:30 into a number.
//
// Ownership: nodes and texts live in the arena. Depth and number of nodes are bounded by the
// builder, so walking a tree by recursion is bounded too.
#pragma once

#include "conf/report.h"

enum { TREE_DEPTH_MAX = 32, TREE_NODES_MAX = 250 * 1000 };

enum node_kind { NODE_NULL, NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
	struct node *next; // in its map or list
	struct node *first, *last;
	u32 count;
	u8 kind;	 // enum node_kind
	bool is_quoted;	 // a text that was written as one: "5" and not 5
	bool is_bare;	 // canonical number or boolean: written without quotes in every syntax
	bool is_default; // filled in from the schema
	bool is_secret;	 // its text is not for other eyes
	u32 width;	 // characters on its first line
	u32 key_width;
	u32 number; // position of a pool in struct conf
	struct place place;
	struct place key_place;
	struct str key;	     // in a map
	struct str text;     // NODE_TEXT
	struct str written;  // with its ${...}, when variables were filled in; else ptr NULL
	struct node **slots; // hashed members of a large map, or NULL
	u32 slot_count;
};

struct node *node_new(struct arena *arena, enum node_kind kind, struct place place);
struct node *node_new_text(struct arena *arena, struct str text, struct place place);

// The member of this name, or NULL; also NULL when `map` is NULL or no map.
struct node *node_get(const struct node *map, struct str key);

// Appends. In a map the child's key must be set and new.
void node_add(struct arena *arena, struct node *parent, struct node *child);

// Takes the child out; it may be added elsewhere.
void node_remove(struct node *parent, struct node *child);

// Puts `with` where `child` is, under the same key.
void node_replace(struct node *parent, struct node *child, struct node *with);

// Gives `child` another key, keeping its key's place.
void node_rename(struct node *parent, struct node *child, struct str key);

// A deep copy. NULL when it would have more than *nodes_left nodes, which it lowers, or more than
// `depth_max` levels.
struct node *node_copy(
	struct arena *arena, const struct node *node, u32 depth_max, u32 *nodes_left);

// "a map", "a list", "a text", "nothing".
const char *node_kind_text(const struct node *node);

// What comes from outside of a text that a parser has checked: is it UTF-8 (RFC 3629)?
bool tree_is_utf8(struct str text);

// Findings about a value, or about the key it stands under. Where the message has the text of the
// value, it shows what was written: a variable may hold a password.
struct err *report_value(struct report *report, enum conf_code code, const struct node *node,
	const char *format, ...) printf_like(4, 5);
struct err *report_key(struct report *report, enum conf_code code, const struct node *node,
	const char *format, ...) printf_like(4, 5);

// Builds a tree from a reader's events. After a false the reader stops: the finding is reported.
struct tree_builder {
	struct report *report;
	const char *file;
	struct node *root;
	struct node *open[TREE_DEPTH_MAX];
	u32 depth;
	u32 *nodes_left; // shared by all texts of one load
	bool has_key;
	struct str key;
	struct place key_place;
	u32 key_width;
};

bool builder_key(struct tree_builder *builder, struct str key, struct place place, u32 width);

// Adds a node where the document stands: a value of the key said last, an item, or the root.
bool builder_add(struct tree_builder *builder, struct node *node);

// The same, and what follows goes into it until builder_close, which fulfils YAML merge keys
// ("<<").
bool builder_open(struct tree_builder *builder, struct node *node);
bool builder_close(struct tree_builder *builder);

// Whether the next scalar is a key.
bool builder_wants_key(const struct tree_builder *builder);
