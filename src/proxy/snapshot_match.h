// SPDX-License-Identifier: Apache-2.0
// Inside of snapshots only: which slots a configuration gets, by what it has in common with the one
// before it.
#pragma once

#include "proxy/snapshot.h"

struct snapshot_match {
	u32 *pools;	// slots, as conf->pools
	bool *is_same;	// as conf->pools: the object of the one before stays
	u32 *cells;	// slots of the backends of all pools, in their order
	u32 *frontends; // slots, as conf->frontends
};

// False: there are not so many slots; *ret_what names of what. What was taken has been given back.
bool snapshot_match(struct snapshot_match *match, const struct snapshot *before,
	const struct conf *conf, struct slots *slots, u32 generation, struct arena *arena,
	const char **ret_what) must_check;
