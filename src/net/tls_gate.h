// SPDX-License-Identifier: Apache-2.0
// Who may begin a handshake now: a few in each turn of the loop, in the order of arrival, because
// each costs as much as dozens of requests. So a storm of new clients delays new clients, and
// everybody else as little as those few.
#pragma once

#include "base/list.h"
#include "loop/loop.h"

enum { TLS_GATE_PER_TURN = 4 };

struct tls;

struct tls_gate {
	struct loop *loop;	// NULL: not bound to one yet
	struct message message; // to itself: the next turn comes at once
	bool is_posted;
	struct list waiting; // tls.gate_node
	u64 turn_us;	     // the turn that `left` is for
	u32 left;
};

void tls_gate_init(struct tls_gate *gate);

// Whether this one may go on now. If not it waits, and its conn is poked when it may.
bool tls_gate_pass(struct tls_gate *gate, struct tls *tls) must_check;

// It goes away.
void tls_gate_leave(struct tls *tls);
