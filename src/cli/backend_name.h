// SPDX-License-Identifier: Apache-2.0
// Which backend a word means: "pool/id", or the id or the address alone where that is enough.
#pragma once

#include <jansson.h>

#include "cli/ask.h"

// `state` is the answer of GET /api/v1/state. NULL and trouble, with the nearest names, when nobody
// or more than one is meant. The result is borrowed from `state`.
const json_t *backend_by_name(const json_t *state, const char *word, struct arena *arena,
	struct ask_trouble *ret_trouble) must_check;
