// SPDX-License-Identifier: Apache-2.0
// Keeps a fault that repeats from flooding the log. The first time is news and is said at once.
// What follows within a second is only counted; then one call of `say` tells how many times that
// was, and the next second begins. A second without any is silent, and the time after it is news
// again. Nothing is lost: what is not said yet is told by hush_done at the latest.
//
// One hush is one thing that may repeat, on one thread. It costs nothing until the fault happens.
#pragma once

#include "loop/loop.h"

struct hush;

// It happened `times` times (at least once) since the last word of it.
typedef void hush_say_fn(struct hush *hush, u64 times);

struct hush {
	struct timer timer; // set: something was said within the last second
	struct loop *loop;
	hush_say_fn *say;
	u64 unsaid;
};

void hush_init(struct hush *hush, struct loop *loop, hush_say_fn *say);

// It happened. True: the caller says so, now. False: it was counted, and `say` will tell.
bool hush_is_news(struct hush *hush) must_check;

// Tells what is unsaid, and cancels the timer. The hush is as after hush_init.
void hush_done(struct hush *hush);
