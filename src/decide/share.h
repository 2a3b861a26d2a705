// SPDX-License-Identifier: Apache-2.0
// How much of a pool may be taken out by judgement, and when judgement itself is not to be trusted.
// Pure functions over counts of one pool's backends (those with weight 0 do not count).
//
// Two kinds of "out" are kept apart. `down` cannot answer: its active checks failed, or it refuses
// connections. `ejected` answers, but badly: by status, by latency, by time-outs, or because its
// breaker is open. Only the second kind is bounded and can be overruled; a backend that is down
// gets nothing, even when that leaves nobody.
#pragma once

#include "base/base.h"

struct share {
	u32 total;
	u32 down;
	u32 ejected; // down or not: when it is well again, it is still ejected
	u32 left;    // neither
};

// Whether one more may be ejected so that at most `percent` % of all are.
bool share_has_room(const struct share *share, u32 percent);

// Whether ejections are ignored: fewer than `percent` % of all are left, and there are some that
// could be let in again.
bool share_is_panic(const struct share *share, u32 percent);
