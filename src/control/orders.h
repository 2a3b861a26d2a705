// SPDX-License-Identifier: Apache-2.0
// Who gave which order to which backend, and when, for as long as the order may be in force. What
// is in force the model knows; whoever lists them asks both. The control thread's.
#pragma once

#include "base/list.h"
#include "proxy/snapshot.h"

enum { ORDERS_MAX = 100 * 1000, ORDERS_WHO_BYTES = 80 };

// X(NAME, word)
#define ORDERS_KINDS(X)       \
	X(STATE, "state")     \
	X(WEIGHT, "weight")   \
	X(BREAKER, "breaker") \
	X(LOG_LEVEL, "log_level") // of no backend

enum orders_kind {
#define X(name, word) ORDERS_##name,
	ORDERS_KINDS(X)
#undef X
		ORDERS_KIND_COUNT
};

const char *orders_kind_word(enum orders_kind kind);

// What is ordered, as a word or a number, and back. False: it is none of this kind.
enum { ORDERS_VALUE_BYTES = 16 };
void orders_format(char text[static ORDERS_VALUE_BYTES], enum orders_kind kind, u32 value);
bool orders_parse(enum orders_kind kind, struct str text, u32 *ret_value) must_check;

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
