// SPDX-License-Identifier: Apache-2.0
// Whether a list is believed. A table that somebody emptied by accident, a file that was written
// half, an answer with one address instead of twenty: then what is new counts, and what vanished
// stays, until the list looks sane again or the rules say otherwise. Pure: lists in, a list out.
#pragma once

#include "discover/rows.h"

struct guard_rules {
	u32 backends_min;   // a list with fewer is not believed
	u32 vanish_percent; // by how much the list in use may shrink at once
};

enum guard_verdict {
	GUARD_TAKEN,
	GUARD_FEW,	// fewer than backends_min
	GUARD_VANISHED, // shorter by more than vanish_percent
};

struct guard_result {
	u8 verdict;   // enum guard_verdict
	u32 vanished; // of the list in use; with GUARD_FEW and _VANISHED all of them are kept
	u32 fresh;    // rows of the new list
	u32 in_use;   // rows of the list in use, before
};

// What is to be used from now on: `fresh`, to which is added what of `in_use` is kept all the same.
// `in_use` NULL: nothing is known yet. A list in use that is only stored bounds what may be missing
// by backends_min alone: much may have happened since. Both are finished lists.
void guard_judge(const struct guard_rules *rules, const struct rows *in_use, struct rows *fresh,
	struct guard_result *ret_result);
