// SPDX-License-Identifier: Apache-2.0
// Looks up names, those of backends once, at start, in a thread of its own: a slow or dead name
// server delays nobody but the backends it is asked about. Of several addresses the first that
// accepts a connection is taken.
#pragma once

#include "loop/loop.h"
#include "proxy/snapshot.h"

struct resolver;

// One answer, on the loop: an address (its port set) or an error text of the resolver.
typedef void resolver_answer_fn(
	void *owner, struct backend *backend, const struct addr *addr, const char *error);

// Starts when some backend has a name and no address yet; NULL when none has (or no thread could be
// had: *ret_error).
struct resolver *resolver_start(const struct snapshot *snapshot, struct loop *loop, void *owner,
	resolver_answer_fn *answer, int *ret_error);

// The same for one name that is no backend's: the answer is about NULL. NULL: no thread could be
// had.
struct resolver *resolver_start_name(struct str name, u16 port, struct loop *loop, void *owner,
	resolver_answer_fn *answer, int *ret_error);

// All answers were delivered.
bool resolver_is_done(const struct resolver *resolver);

// No answer comes after this, and snapshot and loop may go. A look-up that still runs cannot be
// interrupted: its thread is left to end by itself and cleans up. NULL is fine.
void resolver_stop(struct resolver *resolver);
