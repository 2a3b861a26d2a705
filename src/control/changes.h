// SPDX-License-Identifier: Apache-2.0
// What is made of a change in the model (control/model.h): one log line, and one event among the
// last CHANGES_KEPT that the API shows.
//
// Lines cannot flood the log: a backend, or a pool, that changes more than CHANGES_SAID times
// within CHANGES_CALM_MS is spoken of once a second from then on, with the number of changes in
// between. Every change is an event.
#pragma once

#include "base/log.h"
#include "control/model.h"
#include "proxy/hush.h"

enum {
	CHANGES_KEPT = 256,
	CHANGES_SAID = 8,
	CHANGES_CALM_MS = 10 * 1000,
};

struct event {
	u64 number; // the first one is 1
	i64 wall_ms;
	struct model_change change;
};

struct changes;

// Borrows all of it until changes_free.
struct changes *changes_new(struct loop *loop, struct log *log, const struct snapshot *snapshot);
void changes_free(struct changes *changes); // tells what was only counted so far

// A model_listener_fn; `owner` is the struct changes.
void changes_note(void *owner, const struct model_change *change);

// The number of the newest event; 0: none yet.
u64 changes_newest(const struct changes *changes);

// NULL: it was not yet, or is no longer kept. Valid until the next change.
const struct event *changes_event(const struct changes *changes, u64 number);
