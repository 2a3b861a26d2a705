// SPDX-License-Identifier: Apache-2.0
// How much may be sent again: retries and hedges of one pool draw from one budget, so that a
// failing pool never gets many more requests than its clients send.
//
// Promise, exact at every moment: what was taken in the last window_ms is never more than
// max(least, percent % of the requests noted in the last window_ms). It follows that in any span of
// window_ms, wherever it lies, no more is taken than that bound gives at the span's last take.
// Time is kept in slots; where a slot straddles the window's edge, takes count as inside and
// requests as outside.
//
// One owner. Where several threads share a pool's budget, each counts its requests itself, and
// under a lock passes them on once in a slot (budget_note_at) and before it asks. What others have
// not passed on yet only makes the answer stricter.
#pragma once

#include "base/base.h"

struct budget_rules {
	u32 percent;   // of the requests, 0 to 100
	u32 least;     // takes per window that are always allowed
	u64 window_ms; // 1 or more
};

enum { BUDGET_SLOTS = 20 };

struct budget {
	u64 slot; // number of the newest one
	u32 requests[BUDGET_SLOTS + 1], taken[BUDGET_SLOTS + 1];
};

// First requests of clients, not what is sent again. now_ms never goes back.
void budget_note(struct budget *budget, const struct budget_rules *rules, u32 requests, u64 now_ms);

// The same for requests that came at_ms, which may be past; longer ago than the window they count
// for nothing.
void budget_note_at(
	struct budget *budget, const struct budget_rules *rules, u32 requests, u64 at_ms);

// When the slot of now_ms ends.
u64 budget_slot_end_ms(const struct budget_rules *rules, u64 now_ms);

// Takes one, or not.
bool budget_take(struct budget *budget, const struct budget_rules *rules, u64 now_ms) must_check;

// How many could be taken now.
u32 budget_left(struct budget *budget, const struct budget_rules *rules, u64 now_ms);
