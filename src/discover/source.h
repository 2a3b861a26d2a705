// SPDX-License-Identifier: Apache-2.0
// The one interface of everything that knows backends: a database, a name server, a file. A source
// lives on a thread of its own and may block it; that thread has a loop for timers and descriptors.
//
// It tells the whole list each time it has read it, and of trouble each time an attempt failed. It
// goes on by itself: after trouble it tries again, later and later (struct backoff). It compares
// nothing and remembers nothing; whoever listens does (discover.c).
#pragma once

#include "base/rng.h"
#include "conf/conf.h"
#include "discover/rows.h"
#include "loop/loop.h"

struct source_sink {
	void *owner;
	// The list, finished, with a fault for everything that was left out. It is handed over.
	void (*rows)(void *owner, struct rows *rows);
	// Why it could not be read, and what the user can do about it; both are copied. No secrets.
	void (*trouble)(void *owner, const char *cause, const char *cure);
};

struct source_config {
	const struct conf_provider *provider; // these two live as long as the source
	const struct conf_resolver *resolver;
	struct loop *loop;
	u64 seed;
	struct source_sink sink;
};

struct source_kind {
	const char *missing; // NULL; or why this build does not have it
	void *(*open)(const struct source_config *config); // copies `config`
	void (*stop)(void *source);			   // nothing is told any more
	bool (*is_idle)(const void *source);		   // the loop turns until then
	void (*free)(void *source);
};

extern const struct source_kind source_sqlite, source_postgres, source_dns, source_file;

const struct source_kind *source_kind_of(enum conf_provider_type type);

// ---- Trying again -------------------------------------------------------------------------------

// Nothing tells when a server is back: what is new there may wait for the longest pause.
enum { BACKOFF_MS_MIN = 250, BACKOFF_MS_MAX = 5000 };

struct backoff {
	u32 failures;
	struct rng rng;
};

// How long to wait after one more failure: doubles each time up to BACKOFF_MS_MAX, less up to half
// of it by chance, so that several who lost the same server do not come back together.
u64 backoff_next_ms(struct backoff *backoff);
