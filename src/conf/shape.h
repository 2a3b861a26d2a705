// SPDX-License-Identifier: Apache-2.0
// From what people write to the canonical tree: other spellings, shorthands, single values where
// lists are meant, pools written inside frontends, and the forms of the seeds. It moves and
// renames nodes, and judges nothing: wrong keys and values stay where the table will find them.
#pragma once

#include "conf/schema.h"

// One document, before it is merged with others. Removes what only concerns the text ($schema,
// x-*).
void shape_document(struct report *report, struct node *root, u32 *nodes_left);

// Adds `from` to `into`: maps merge; the same value in both is an error that names both places.
void shape_merge(struct report *report, struct node *into, struct node *from);

// The same, but `from` wins.
void shape_override(struct report *report, struct node *into, struct node *from);

// After all documents: the frontend that a lone pool `default` implies.
void shape_complete(struct report *report, struct node *root);

// Whether a provider may give the pool of this name its backends.
bool shape_is_fed(const struct node *root, struct str pool);
