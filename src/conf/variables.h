// SPDX-License-Identifier: Apache-2.0
// The environment and a .env file as one table, and ${NAME} in texts.
#pragma once

#include "conf/tree.h"

struct variable {
	struct str name, value;
	struct place place; // {"environment NAME"} or the line of the .env file
	bool is_used;	    // a configuration names it
};

struct variables {
	struct variable *list;
	u32 count, room;
};

// Both may be NULL. The environment wins over the file, and the file's later lines over earlier
// ones. A file that is missing is no error; gives whether it was read.
void variables_add_environ(struct variables *variables, struct arena *arena, char *const *environ);
void variables_add_dotenv(
	struct variables *variables, struct report *report, const char *file, struct str text);

const struct variable *variables_find(const struct variables *variables, struct str name);

// The value of a variable that `node` names; false, reported with `why`, when it is not set.
bool variables_use(struct variables *variables, struct report *report, const struct node *node,
	struct str name, const char *why, struct str *ret_value) must_check;

// Whether a value stands at `place` because a variable put it there.
bool variables_gave(const struct variables *variables, struct place place);

// Whether a text as written is one ${NAME} or ${NAME:?message}: nothing of its value stands in it.
bool variables_is_one(struct str written);

// Fills ${NAME}, ${NAME:-default}, ${NAME:?message} into all texts of a tree; $${ stands for ${.
// What is not set, or not complete, is reported.
void variables_fill(struct variables *variables, struct report *report, struct node *node);
