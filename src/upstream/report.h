// SPDX-License-Identifier: Apache-2.0
// What a worker tells the control thread at once, because waiting for the next tick would cost
// requests: a backend's streak of failures is complete, or a trial of its breaker has ended.
#pragma once

#include "loop/loop.h"
#include "upstream/pool.h"

enum report_kind {
	REPORT_EJECT, // a streak is complete (misses_note); `why` says of what
	REPORT_LOOK,  // look at this backend's cells now: its breaker may have to change
};

struct report {
	struct message message;
	void *owner; // the receiver's, from struct report_to
	struct backend *backend;
	u8 kind;   // enum report_kind
	u8 why;	   // enum ejection_why of REPORT_EJECT
	int error; // of a connect that failed, the streak's last; 0: unknown
};

// Where reports go: their receiver's loop and function. `deliver` frees the report (mem_free). A
// zeroed one: nowhere.
struct report_to {
	struct loop *loop;
	message_fn *deliver;
	void *owner;
};

// From a worker's thread. When there is no memory for it the report is lost: the streak will be
// complete again.
void report_send(const struct report_to *to, struct backend *backend, enum report_kind kind,
	enum ejection_why why, int error);
