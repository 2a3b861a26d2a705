// SPDX-License-Identifier: Apache-2.0
// Pages that weir answers itself on the traffic port, as JSON: whether requests can be served, and
// what each backend does. Whose they show: all backends that requests of this frontend can reach,
// in the order of the configuration.
//
// A backend is healthy that may get requests, or would get them as a backup; so nobody is healthy
// exactly when every request gets 503.
//
// An answer takes no more memory than a slow reader costs anyway (RELAY_WINDOW_BYTES) and reads a
// bounded number of cells, however many backends and workers there are; it says so when some
// backends are left out. Counts are of all of them.
#pragma once

#include "proxy/exchange.h"

// What the pages of one frontend show. Made once with the snapshot.
struct builtin;
struct builtin *builtin_build(const struct frontend *frontend, const struct snapshot *snapshot);

// The first question, in a few instructions: can a path of this length be a page of the frontend?
static inline bool builtin_may_be(const struct frontend *frontend, struct str path)
{
	return frontend->builtin_lengths >> (path.len % 64) & 1;
}

// OUTCOME_BUILTIN: this request is for a page. OUTCOME_BUILTIN_DENIED: and its client may not see
// it. OUTCOME_OK: it is not.
enum outcome builtin_find(struct exchange *x);

// Sends the whole answer of OUTCOME_BUILTIN on x->down and sets x->status. False: there is no
// memory, and nothing was sent.
bool builtin_send(struct exchange *x) must_check;
