// SPDX-License-Identifier: Apache-2.0
// A file with a list of backends as rows. Three forms, told apart by the file's ending and its
// first character:
//
//	10.0.0.1:80                     one address per line, with words behind it if wanted
//	10.0.0.2:80 weight=2 state=drain   # and comments
//
//	[10.0.0.1:80, {address: "10.0.0.2:80", weight: 2}]     YAML or JSON: a list, or a map whose
//	                                                        `backends` is one
//
// Words and keys are address, id, pool, weight, state, max_connections and metadata.
#pragma once

#include "discover/rows.h"

enum { LIST_ERROR_MAX = 512 };

// Finished rows; or NULL with a sentence that names file, line and column.
struct rows *list_read(
	const char *file, struct str text, char ret_error[static LIST_ERROR_MAX]) must_check;
