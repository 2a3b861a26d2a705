// SPDX-License-Identifier: Apache-2.0
// Inside of shape*.c only. shape.c has the document as a whole: merging, and the forms of the
// seeds. shape_spelling.c makes each key and value what the table knows (conf/schema.def),
// shape_backends.c the lists of backends and the pools that stand where they are used,
// shape_implied.c what nobody need write.
//
// Nodes are moved, renamed and made in the report's arena, and none is freed.
#pragma once

#include "conf/shape.h"

// One document on its way.
struct shape {
	struct report *report;
	struct arena *arena; // the report's
	struct node *root;
	u32 *nodes_left; // copies may still be made of so many
};

// `node` says what `old` has said.
void shape_report_taken(struct report *report, const struct node *node, const struct node *old);

// The map under `key`, made when missing. NULL when something else stands there: the table will
// complain about that.
struct node *shape_get_map(
	struct shape *shape, struct node *parent, struct str key, const struct node *because_of);

// Puts `node` under `key`, merging maps.
void shape_put(struct shape *shape, struct node *parent, struct str key, struct node *node);

// ---- Spelling (shape_spelling.c) ----------------------------------------------------------------

// Every key of a map of this kind by its own name, and values in their longest form; likewise in
// the maps below.
void shape_rename_aliases(struct shape *shape, enum schema_map_id map, struct node *node);

// "a, b" becomes [a, b], and is what this gives back: addresses, networks and methods have no
// commas. What is no text stays.
struct node *shape_to_list(struct shape *shape, struct node *parent, struct node *node);

// ---- Backends and pools (shape_backends.c) ------------------------------------------------------

// The list under `backends` of a pool: texts, spellings, ranges of ports.
void shape_backends(struct shape *shape, struct node *parent, struct node *node);

// A pool that stands inside of its frontend, or of a route of that, goes to the others by this
// name, or by one that is free.
void shape_take_inline_pool(struct shape *shape, struct node *owner, struct str name);
void shape_take_inline_pools(struct shape *shape, const struct node *frontend, struct node *routes);
