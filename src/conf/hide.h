// SPDX-License-Identifier: Apache-2.0
// Findings show the line they point at, and people copy findings into tickets. So the texts that
// they are shown from are copies in which every character of a secret is a '*': places stay right.
#pragma once

#include "conf/schema.h"

// What stands for a secret that is not shown; no secret itself.
#define HIDDEN_SECRET "***"

// A copy of a document without the values of keys that hold secrets (SECRET in schema.def),
// whatever its syntax and however broken it is, and without passwords in URLs; variables and the
// places of secrets stay. The text itself when it has none.
struct str hide_secrets(struct arena *arena, struct str text) must_check;

// A copy of a .env file without its values.
struct str hide_values(struct arena *arena, struct str text) must_check;
