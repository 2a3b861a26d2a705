// SPDX-License-Identifier: Apache-2.0
// Changes of many backends of one pool at about the same time, told together: the first few of a
// second are told each for itself, what comes beyond is held and told once, a second later, with
// its number. First results of checks that are good are always held, until every backend has had
// one.
//
// One thread. What is held is told at the latest by throng_done.
#pragma once

#include "control/model.h"

enum {
	THRONG_SINGLE_MAX = 16, // of one pool, in one second
	THRONG_HOLD_MS = 1000,
	THRONG_KINDS = 12, // of changes that are held apart
};

struct throng;

// `count` backends have changed like this; `last` is the last one. `is_same`: all for its reason.
typedef void throng_tell_fn(
	struct throng *throng, const struct model_change *last, u32 count, bool is_same);

struct throng_held {
	struct model_change last;
	u32 count;
	bool is_same;
};

struct throng {
	struct timer timer; // set: something is held
	struct loop *loop;
	throng_tell_fn *tell;
	u32 backends;	// of the pool
	u32 first;	// of them, how many have had a first result
	u64 second_ms;	// when the present second began
	u32 single;	// told since then
	u32 held_count; // of `held`
	struct throng_held held[THRONG_KINDS];
};

// Of `backends`, `known` have had their first result.
void throng_init(
	struct throng *throng, struct loop *loop, u32 backends, u32 known, throng_tell_fn *tell);

// A backend has changed. False: the caller tells it, now. True: it is held, or was told by `tell`.
bool throng_holds(struct throng *throng, const struct model_change *change) must_check;

void throng_done(struct throng *throng);
