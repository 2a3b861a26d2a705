// SPDX-License-Identifier: Apache-2.0
// Which backends fail or are slow beside their peers, over time: told once when that has lasted,
// and once when it is over (decide/oddity.h); and every UNWELL_EVERY_MS, while somebody is out by
// no order, flaps, fails or is slow, one line that says who and since when, so that whoever opens
// the log in the middle of it need not read back to where it began.
//
// Who fails or is slow is found by whoever has the figures (unwell_look). Who is out is told where
// it is found, and so is who begins to flap (changes.h). One thread, the control thread's.
#pragma once

#include "control/changes.h"
#include "control/model.h"
#include "decide/oddity.h"

enum {
	UNWELL_EVERY_MS = 60 * 1000,
	UNWELL_NAMED_MAX = 5, // in one line; the others are counted
	UNWELL_TOLD_MAX = 16, // each for itself, of one look; the others are counted
};

struct unwell;

// Borrows all of it until unwell_free.
struct unwell *unwell_new(struct loop *loop, struct log *log, const struct snapshot *snapshot,
	const struct model *model, struct changes *changes);
void unwell_free(struct unwell *unwell);

// The next configuration. Of who is not in it nothing stays known.
void unwell_adopt(struct unwell *unwell, const struct snapshot *snapshot);

// What a look has found about all backends; both by slot.
void unwell_look(struct unwell *unwell, const struct oddity_facts *facts,
	const struct oddity_finding *findings);

// Since when it flaps, fails, is slow, by the loop's clock; 0: it does not.
u64 unwell_since_ms(const struct unwell *unwell, const struct backend *backend, enum oddity oddity);
