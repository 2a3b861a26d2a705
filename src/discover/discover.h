// SPDX-License-Identifier: Apache-2.0
// Where backends come from that are not written in the configuration. Each provider has a source
// (source.h) on a thread of its own, which may block there; what it reads comes by message to the
// one loop that this object lives on, where lists are judged (guard.h), put together for each pool,
// and told.
//
// What it promises: the whole list of a pool each time it has changed, never a list with a row that
// is no backend, and never a worse one because a source is in trouble: then the last good list
// stays, also from one start to the next (keep.h). One log line when a provider's state changes.
//
// All calls from the thread of `loop`.
#pragma once

#include "base/log.h"
#include "conf/conf.h"
#include "discover/rows.h"
#include "loop/loop.h"

struct discover;
struct control_finding_news; // control/control.h

struct discover_sink {
	void *owner;
	// All backends that providers know for a pool, from now on. `pool` and the rows live as
	// long as the call.
	void (*changed)(void *owner, struct str pool, const struct row *rows, u32 count);
	// What happens to a provider itself: at most once for each change. NULL: nobody wants it.
	void (*told)(void *owner, const struct control_finding_news *news);
};

struct discover_config {
	const struct conf *conf; // copied as far as it is needed
	struct loop *loop;
	struct log *log;
	struct discover_sink sink;
	const char *state_folder; // NULL: nothing is kept
	u64 seed;
};

// Never fails: a provider that cannot begin is one in trouble.
struct discover *discover_open(const struct discover_config *config);

// Each provider has told a list, or that it has none, and nothing better is to be expected: worth
// waiting for at the start, for a moment (DISCOVER_START_WAIT_MS).
enum { DISCOVER_START_WAIT_MS = 2000 };
bool discover_is_settled(const struct discover *discover);

// Another configuration: providers that say the same go on as they are, others end or begin. Pools
// are told anew where their list is another one.
void discover_reload(struct discover *discover, const struct conf *conf);

// Nothing is told any more, and the loop may go. Threads that are busy are left to end by
// themselves, and waited for a moment.
void discover_free(struct discover *discover); // NULL is fine

// NULL, or why this build does not have what a provider needs.
const char *discover_missing(const struct conf_provider *provider);

// The list that was told of a pool last; NULL: none. Lives until the loop turns.
const struct rows *discover_rows(const struct discover *discover, struct str pool);

// ---- For looking at, from the same thread -------------------------------------------------------

struct discover_state {
	const char *name, *type, *pool; // of the provider
	bool is_up;			// the last attempt went well
	bool is_stored;			// what serves is from the disk
	bool is_held;			// the guard holds some back
	u32 rows, skipped;		// in use; of the last list
	u64 successes, errors;		// lists read, attempts that failed
	i64 success_wall_ms;		// 0 = never
	const char *cause;		// of the last trouble, while not up; else empty
	i64 since_wall_ms; // since when it is up, or in trouble; 0 = it has told nothing yet
	const char *const *faults; // findings about its last list, as sentences; the first of them
	u32 fault_count, fault_total;
};

u32 discover_count(const struct discover *discover);
void discover_look(const struct discover *discover, u32 index, struct discover_state *ret_state);
