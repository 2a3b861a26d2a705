// SPDX-License-Identifier: Apache-2.0
// Who of a pool may get requests, and why the others may not: the one place where health, ejection,
// breaker, panic, draining and backup come together. Run over all backends of a pool whenever one
// of them changes; the reasons are what `weir explain` and the API show.
//
// Two things are not looked at here, because they change with every request: whether a backend was
// tried already, and whether it is full.
#pragma once

#include "decide/breaker.h"
#include "decide/ejection.h"
#include "decide/health.h"

// X(NAME, text)
#define ELIGIBLE_REASONS(X)                                       \
	X(OK, "may get requests")                                 \
	X(TRIAL, "its breaker is half-open: trial requests only") \
	X(PANIC, "ejected, but too few are left")                 \
	X(DISABLED, "its weight is 0")                            \
	X(DRAINING, "it is being drained")                        \
	X(HELD_OPEN, "its circuit breaker is held open by order") \
	X(UNRESOLVED, "its name has no address")                  \
	X(UNCHECKED, "not checked yet, and others are healthy")   \
	X(DOWN, "its health checks fail")                         \
	X(REFUSES, "it refuses connections")                      \
	X(EJECTED, "ejected by how it answers")                   \
	X(BREAKER_OPEN, "its circuit breaker is open")            \
	X(BACKUP, "a backup, and others can take requests")

enum eligible_why {
#define X(name, text) ELIGIBLE_##name,
	ELIGIBLE_REASONS(X)
#undef X
		ELIGIBLE_REASON_COUNT
};

// What is known about one backend.
struct eligible_facts {
	bool enabled;  // has a weight
	bool draining; // no new requests, by order
	bool resolved; // has an address
	bool checked;  // active checks are on; `health` says nothing otherwise
	bool backup;
	bool held_open; // its breaker, by order: as good as drained, while that holds
	u8 health;	// enum health_state
	u8 ejection;	// enum ejection_why
	u8 breaker;	// enum breaker_state
};

struct eligible_pool {
	struct share share; // of enabled, resolved backends that no order keeps out and no backups
	u32 up;		    // of all, known to be healthy
	u32 eligible;	    // how many may get requests, trials included
	bool panic;	    // ejections are ignored
};

const char *eligible_why_text(enum eligible_why why);

static inline bool eligible_is_in(enum eligible_why why)
{
	return why <= ELIGIBLE_PANIC;
}

// Out of ordinary service, and nobody wanted it to be.
static inline bool eligible_is_trouble(enum eligible_why why)
{
	switch (why) {
	case ELIGIBLE_OK:
	case ELIGIBLE_BACKUP:
	case ELIGIBLE_DISABLED:
	case ELIGIBLE_HELD_OPEN:
	case ELIGIBLE_DRAINING:
		return false;
	default:
		return true;
	}
}

// Whether this backend counts in eligible_pool.up | in its share.ejected: what follows for the pool
// from one backend, between two judgements.
bool eligible_counts_up(const struct eligible_facts *facts);
bool eligible_counts_ejected(const struct eligible_facts *facts);

// Judges all backends of one pool: why[i] for facts[i]. panic_percent: 0 = no panic.
struct eligible_pool eligible_judge(
	const struct eligible_facts *facts, u32 count, u32 panic_percent, u8 *why);
