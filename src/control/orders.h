// SPDX-License-Identifier: Apache-2.0
// Who gave which order to which backend, and when, for as long as the order may be in force. What
// is in force the model knows; whoever lists them asks both. The control thread's.
#pragma once

#include "base/list.h"
#include "proxy/snapshot.h"

enum { ORDERS_MAX = 100 * 1000, ORDERS_WHO_BYTES = 80 };

enum orders_kind { ORDERS_STATE, ORDERS_WEIGHT, ORDERS_BREAKER, ORDERS_LOG_LEVEL };

struct orders_note {
	struct list node;
	u8 kind;  // enum orders_kind
	u32 cell; // the backend's
	i64 wall_ms;
	u64 event;
	char who[ORDERS_WHO_BYTES];
};

struct orders {
	struct list notes; // the oldest first
	u32 count;
};

void orders_init(struct orders *orders);
void orders_done(struct orders *orders);

// Takes the place of the one before of this kind to this backend.
void orders_note(struct orders *orders, enum orders_kind kind, u32 cell, const char *who,
	i64 wall_ms, u64 event);

// NULL: nobody gave one that is remembered.
const struct orders_note *orders_find(const struct orders *orders, enum orders_kind kind, u32 cell);

// Forgets those to backends that are gone.
void orders_adopt(struct orders *orders, const struct snapshot *snapshot);
