// SPDX-License-Identifier: Apache-2.0
// Whether two configurations say the same about something.
#pragma once

#include "conf/conf.h"

struct node;

// Of two trees, or parts of them; both are complete, or neither.
bool conf_same_node(const struct node *a, const struct node *b);

// All that is written about the pool and its backends, defaults and the contents of secrets
// included. What one of them was not read from a text says is never the same.
bool conf_same_pool(const struct conf *a, const struct conf_pool *pool_a, const struct conf *b,
	const struct conf_pool *pool_b);

// Of a section of the configuration ("runtime"), as its text says it.
bool conf_same_section(const struct conf *a, const struct conf *b, struct str name);
