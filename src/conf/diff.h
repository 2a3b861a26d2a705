// SPDX-License-Identifier: Apache-2.0
// What another configuration changes, one change after the other, and what a reload makes of each
// (docs/decisions/0016). Both are compared as the complete trees they were made of, so a default
// that is written out is no change. Secrets are compared and never shown.
//
// Ownership: a diff and its texts live in the arena; names may point into both configurations.
#pragma once

#include "conf/conf.h"

// X(NAME, word in the API, what is said)
#define CONF_EFFECTS(X)                                                                          \
	X(NEXT, "next_request", "counts from the next request on; connections stay")             \
	X(CONNECTIONS, "new_connections", "counts for new connections; those there are stay")    \
	X(KEPT, "kept", "kept: its health, counters and connections stay")                       \
	X(REPLACED, "replaced", "the pool is replaced; its backends keep what is known of them") \
	X(ANEW, "anew", "another server under the same name: nothing is known of it")            \
	X(OPENED, "opened", "opened")                                                            \
	X(PROBED, "probed", "gets requests once a check has passed")                             \
	X(DRAINED, "drained", "drained: nothing new, what runs may finish")                      \
	X(ASKED, "asked", "sources of backends are asked anew")                                  \
	X(TESTED, "tested", "run before each reload")                                            \
	X(RESTART, "restart", "needs a restart: counts from the next start on")

enum conf_effect {
#define X(name, word, text) CONF_EFFECT_##name,
	CONF_EFFECTS(X)
#undef X
		CONF_EFFECT_COUNT
};

extern const char *const conf_effect_words[CONF_EFFECT_COUNT];
extern const char *const conf_effect_texts[CONF_EFFECT_COUNT];

enum conf_change_kind { CONF_ADDED, CONF_REMOVED, CONF_CHANGED };

struct conf_change {
	struct conf_change *next;
	u8 kind;	   // enum conf_change_kind
	u8 effect;	   // enum conf_effect
	const char *group; // "frontend", "route", "pool", "backend", "section"; static
	struct str name;   // "web", "app/10.0.0.1:80", "log"
	struct str key;	   // "timeouts.connect"; empty: the whole of it
	// For people, cut where they are long. Empty: there was none, or it is not shown.
	struct str before, after;
};

struct conf_diff {
	struct conf_change *first, *last; // grouped as the configuration is
	u32 count;			  // all, also those that are left out
	u32 frontends_kept, pools_kept, backends_kept;
};

enum { CONF_CHANGES_MAX = 10000 }; // what is beyond is only counted

// From `a` to `b`.
struct conf_diff *conf_diff(const struct conf *a, const struct conf *b, struct arena *arena);

// In words: a line for each change, and a last one with the sums.
struct str conf_diff_text(const struct conf_diff *diff, struct arena *arena);

// {"same": false, "count": 1, "changes": [{"group", "name", "change", "key", "before", "after",
// "effect"}], "kept": {"frontends", "pools", "backends"}}
struct str conf_diff_json(const struct conf_diff *diff, struct arena *arena);
