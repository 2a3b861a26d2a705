// SPDX-License-Identifier: Apache-2.0
// One call of a running weir's admin API, for commands: asked, judged, and told when it went wrong,
// with what to do about it.
#pragma once

#include <jansson.h>

#include "cli/ask.h"
#include "cli/cli.h"

struct call {
	const char *method;
	const char *path; // with query; what stands in it went through call_encode
	struct str body;  // JSON, or empty
	const char *etag; // of what is to be changed; NULL: whatever it is now
};

// EXIT_OK; EXIT_UNAVAILABLE: no weir answered; EXIT_FAILED: it said no, or what is not understood.
// In all but the first case *ret_trouble says why, and *ret_status has the status or 0.
int call_try(const struct ask_where *where, const struct call *call, struct arena *arena,
	struct str *ret_body, u16 *ret_status, struct ask_trouble *ret_trouble) must_check;

// The same with a message on standard error instead of trouble. `cli` says whom to ask.
int call_text(const struct cli *cli, const struct call *call, struct str *ret_body) must_check;

// An answer as a tree, which the caller gives back by json_decref. EXIT_FAILED with a message on
// standard error when it is no object, or has no `key`.
int call_read(struct str body, const char *key, json_t **ret_tree) must_check;

// call_text and call_read.
int call_json(const struct cli *cli, const struct call *call, const char *key,
	json_t **ret_tree) must_check;

// "weir: CAUSE. CURE" on standard error; gives `code`.
int call_complain(int code, const struct ask_trouble *trouble);

// A part of a path or a value of a query: what has a meaning there as %XX.
const char *call_encode(struct arena *arena, struct str part);

// ---- Reading trees ------------------------------------------------------------------------------
// What is missing, null, or of another kind is NAN, "" or false.

double call_number(const json_t *tree, const char *key);
const char *call_string(const json_t *tree, const char *key);
bool call_is(const json_t *tree, const char *key);
