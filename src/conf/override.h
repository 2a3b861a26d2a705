// SPDX-License-Identifier: Apache-2.0
// Settings from outside the files: WEIR_FRONTENDS__WEB__BIND=:80 and --set frontends.web.bind=:80,
// put on top of the canonical tree with their origin.
#pragma once

#include "conf/shape.h"
#include "conf/variables.h"

// root.a.b[0].c = value, where a value that starts with '[' or '{' is read as YAML. `place` says
// where the setting comes from. What leads nowhere is reported.
void override_set(struct report *report, struct node *root, struct str path, struct str value,
	struct place place, u32 *nodes_left);

// All WEIR_* variables that are settings.
void override_from_variables(struct report *report, struct node *root,
	const struct variables *variables, u32 *nodes_left);

// Warns of WEIR_* variables that are no settings, and that no configuration names either: slips.
void override_warn_strays(struct report *report, const struct variables *variables);

// Whether NAME of NAME=VALUE is the name of a setting.
bool override_is_setting(struct str name);
