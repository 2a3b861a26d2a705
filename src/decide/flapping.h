// SPDX-License-Identifier: Apache-2.0
// When something is said to flap: it has been out and in twice within FLAPPING_MINUTES. Counted by
// minutes, so a change is forgotten after nine to ten of them. Where counting has not gone on for
// so long, the span is that since it began, and that is what people are told.
#pragma once

#include "base/base.h"

enum { FLAPPING_MINUTES = 10, FLAPPING_FROM = 4 };

struct flapping {
	u64 since_ms; // when counting began
	u64 minute;   // of the newest count
	u16 counts[FLAPPING_MINUTES];
};

void flapping_init(struct flapping *flapping, u64 now_ms);

// It has gone out, or has come back.
void flapping_note(struct flapping *flapping, u64 now_ms);

// How often, within the last FLAPPING_MINUTES.
u32 flapping_changes(const struct flapping *flapping, u64 now_ms);

// The span that these are of: FLAPPING_MINUTES, or less.
u64 flapping_span_ms(const struct flapping *flapping, u64 now_ms);

// "4 changes within 20 seconds"
enum { FLAPPING_TEXT_BYTES = 48 };

void flapping_describe(u32 changes, u64 span_ms, char text[static FLAPPING_TEXT_BYTES]);

static inline bool flapping_is(u32 changes)
{
	return changes >= FLAPPING_FROM;
}
