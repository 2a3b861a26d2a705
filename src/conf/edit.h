// SPDX-License-Identifier: Apache-2.0
// Changes to the backends of pools on top of a configuration that was loaded: what somebody adds
// and removes while it runs, and lists that come from elsewhere.
#pragma once

#include "conf/conf.h"

struct node;

// What a backend of a tree is called.
struct str conf_backend_id(const struct node *backend);

enum conf_edit_kind {
	CONF_EDIT_ADD,	     // one backend; nothing happens where the pool has its id
	CONF_EDIT_REMOVE,    // by id; nothing happens where the pool does not have it
	CONF_EDIT_WEIGHT,    // of one backend, by id, where it is there
	CONF_EDIT_STATE,     // the same; `address` has the word of its key `state`
	CONF_EDIT_LOG_LEVEL, // of no pool; `address` has the word of log.level
	CONF_EDIT_LIST,	     // these besides those that are written, unless id or address is taken
};

struct conf_edit_backend {
	struct str id;	     // empty: its address is its id, without what is in front of it
	struct str address;  // as in a configuration; not for REMOVE and WEIGHT
	u32 weight;	     // 0 to 1000
	u32 max_connections; // 0 = no limit
	bool is_backup;
	struct str own; // ADD: what it has besides, as conf_edit_own gives it; empty: nothing
};

struct conf_edit {
	u8 kind; // enum conf_edit_kind
	struct str pool;
	const char *origin; // "api": where values are said to come from; static
	const struct conf_edit_backend *backends; // one, or those of a LIST
	u32 count;
};

// What it is called: its id, or its address without what is in front.
struct str conf_edit_id(struct arena *arena, const struct conf_edit_backend *backend);

// What a backend of `conf` has besides the values above, as it was written: a text that stands for
// itself, in the arena. Empty: nothing, or there is no such backend.
struct str conf_edit_own(
	const struct conf *conf, struct str pool, struct str id, struct arena *arena);

// Copies, with an id for each.
struct conf_edit_backend *conf_edit_copy_backends(
	struct arena *arena, const struct conf_edit_backend *backends, u32 count);

// `base` with `edits` made to it one after the other, checked as conf_load does. An edit of a pool
// that `base` does not have changes nothing. NULL when there is any error. `base` outlives the call
// only.
struct conf *conf_edit(const struct conf *base, const struct conf_edit *edits, u32 count,
	struct arena *arena, struct errs *errs) must_check;
