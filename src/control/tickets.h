// SPDX-License-Identifier: Apache-2.0
// What the keys of session tickets are made of (net/tls_ticket.h), from one process to the next: a
// process takes over what was left with the keeper and leaves it again, so that an upgrade or a
// crash costs no client its session. It goes through the keeper's channel and lies in memory only;
// what lies there is replaced with each period, so that neither has more than what opens the
// tickets that are still taken.
//
// All calls are the control thread's.
#pragma once

#include "base/log.h"
#include "base/text.h"
#include "control/handover.h"
#include "net/tls_ticket.h"

enum { TICKETS_WHY_MAX = 128 };

struct tickets {
	struct loop *loop;
	struct handover *handover;
	struct tls_secret secret; // of the period before this one, or of the start
	struct timer timer;
};

// What was left, else a new secret.
void tickets_open(
	struct tickets *tickets, struct loop *loop, struct handover *handover, struct log *log);

// To the keeper. Later periods follow by themselves.
void tickets_leave(struct tickets *tickets);

// Also of one that was never opened.
void tickets_done(struct tickets *tickets);

// As it is left. The text is to be wiped by whoever has it.
void tickets_format(struct text *text, const struct tls_secret *secret);
bool tickets_parse(struct str text, struct tls_secret *ret_secret,
	char why[static TICKETS_WHY_MAX]) must_check;
