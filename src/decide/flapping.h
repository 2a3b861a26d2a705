// SPDX-License-Identifier: Apache-2.0
// When something is said to flap: it has been out and in twice within FLAPPING_MINUTES. Counted by
// minutes, so a change is forgotten after nine to ten of them.
#pragma once

#include "base/base.h"

enum { FLAPPING_MINUTES = 10, FLAPPING_FROM = 4 };

// Zero at first.
struct flapping {
	u64 minute; // of the newest count
	u16 counts[FLAPPING_MINUTES];
};

// It has gone out, or has come back.
void flapping_note(struct flapping *flapping, u64 now_ms);

// How often, within the last FLAPPING_MINUTES.
u32 flapping_changes(const struct flapping *flapping, u64 now_ms);

static inline bool flapping_is(u32 changes)
{
	return changes >= FLAPPING_FROM;
}
