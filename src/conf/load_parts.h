// SPDX-License-Identifier: Apache-2.0
// Inside of conf/ only: a tree that is complete already, to a configuration.
#pragma once

#include "conf/conf.h"

struct node;

// What is read besides the tree (files that it names) is read as for `base`.
struct conf *load_tree(const struct conf *base, struct node *root, struct arena *arena,
	struct errs *errs) must_check;
