// SPDX-License-Identifier: Apache-2.0
// Which check a pool gets whose configuration does not say: GET /health is tried; the first backend
// that answers it with 2xx pins `http` for the whole pool. When every backend was heard and none
// has such a page (each answered, but with something that says "not here"), connecting is all that
// can be checked: `tcp`. A decision is final until the next reload.
#pragma once

#include "base/base.h"

enum health_auto_mode {
	HEALTH_AUTO_OPEN, // undecided: probe with http, judge by health_auto_judge
	HEALTH_AUTO_HTTP,
	HEALTH_AUTO_TCP,
};

// What a probe's answer says about the page.
enum health_auto_answer {
	HEALTH_AUTO_NO_ANSWER, // no connection, no answer, or no HTTP
	HEALTH_AUTO_GOOD,      // 2xx
	HEALTH_AUTO_NO_PAGE,   // 3xx, 4xx, 501: somebody is there, but this is no health page
	HEALTH_AUTO_BAD,       // other 5xx: somebody is there and says that he is ill
};

struct health_auto {
	u32 backends; // of the pool
	u32 no_page;  // of them that answered so
	u8 mode;      // enum health_auto_mode
};

void health_auto_init(struct health_auto *automatic, u32 backends);

// status: 100 to 599, or 0 when there was no answer.
enum health_auto_answer health_auto_classify(u32 status);

// Notes one backend's answer. `before`: what the same backend said last time (NO_ANSWER at first).
// True when this decided the mode.
bool health_auto_note(struct health_auto *automatic, enum health_auto_answer before,
	enum health_auto_answer answer);

// Whether a probe with this answer passed. While the mode is open, "not here" passes: it is as much
// as a connection would say.
bool health_auto_judge(const struct health_auto *automatic, enum health_auto_answer answer);
