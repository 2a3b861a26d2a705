// SPDX-License-Identifier: Apache-2.0
// The environment and a .env file as one table, and ${NAME} in texts.
#pragma once

#include "conf/tree.h"

struct variable {
	struct str name, value;
	struct place place; // {"environment NAME"} or the line of the .env file
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

// Fills ${NAME}, ${NAME:-default}, ${NAME:?message} into all texts of a tree; $${ stands for ${.
// What is not set, or not complete, is reported.
void variables_fill(const struct variables *variables, struct report *report, struct node *node);
