// SPDX-License-Identifier: Apache-2.0
// Passive health: a backend that treats requests badly several times in a row is taken out for a
// while, longer each time, and comes back by itself.
//
// Two small states. `struct misses` counts one backend's bad answers in a row as one thread saw
// them. `struct ejection` is one per backend, of one owner: how long it is out, and how often it
// was.
//
// Promises: never more of the pool out than the configured share (refused connections excepted:
// such a backend could not serve anyway; share.h), never out longer than max_ms at a time, the time
// grows by base_ms with each ejection and shrinks again by base_ms for each base_ms of good
// conduct.
#pragma once

#include "decide/share.h"

// What one attempt taught about its backend.
enum miss {
	MISS_NONE,    // it answered, and not with 5xx
	MISS_REFUSED, // the connection
	MISS_CONNECT, // unreachable, or no connection in time
	MISS_STATUS,  // 5xx
	MISS_TIMEOUT, // no answer in time
	MISS_RESET,   // closed or broken before a whole answer; counts with 5xx
	MISS_KIND_COUNT,
};

struct ejection_rules {
	// In a row; 0 = never for this reason.
	u32 connect_failures, errors, timeouts;
	u64 base_ms, max_ms; // 1 or more, base <= max
	u32 jitter_percent;
	u32 share_percent; // of the pool that may be out, 0 to 100
};

// A success ends all streaks; that of connect failures ends with any connection.
struct misses {
	u32 connects, errors, timeouts;
};

enum ejection_why {
	EJECTION_NONE,
	EJECTION_REFUSED, // could not be connected to, and refused the last time
	EJECTION_CONNECT, // could not be connected to
	EJECTION_ERRORS,
	EJECTION_TIMEOUTS,
	EJECTION_OUTLIER,
};

// Counts one attempt. Says why the backend should be ejected when a streak is complete, and then
// begins to count anew.
enum ejection_why misses_note(
	struct misses *misses, const struct ejection_rules *rules, enum miss miss);

struct ejection {
	u64 until_ms; // while out
	u64 calm_ms;  // in: since when conduct has been good, or the last time it was rewarded
	u32 times;    // grows the time out
	u8 why;	      // enum ejection_why; EJECTION_NONE: in
};

static inline bool ejection_is_out(const struct ejection *ejection)
{
	return ejection->why != EJECTION_NONE;
}

// Takes the backend out, unless it is out already or the share is used up. True: it is out now,
// until ejection->until_ms.
bool ejection_begin(struct ejection *ejection, const struct ejection_rules *rules,
	const struct share *share, enum ejection_why why, u32 random, u64 now_ms) must_check;

// Lets time pass. True: the backend is back with this call.
bool ejection_tick(struct ejection *ejection, const struct ejection_rules *rules, u64 now_ms);

// An active check passed often enough: connections work again. True: the backend is back.
bool ejection_forgive_connect(struct ejection *ejection, u64 now_ms);

const char *ejection_why_text(enum ejection_why why); // "connection refused", ...

// Nobody can connect to it, so it could not serve anyway.
static inline bool ejection_is_connect(enum ejection_why why)
{
	return why == EJECTION_REFUSED || why == EJECTION_CONNECT;
}
