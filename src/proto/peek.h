// SPDX-License-Identifier: Apache-2.0
// A session that only looks: it gathers the first bytes of a connection in one piece until its
// owner knows what follows (a PROXY header, a client hello) and puts another session in its place,
// or refuses the peer. What was gathered is the owner's then.
//
// It holds one block: small while little is wanted, and never more than was asked for and one
// receive.
#pragma once

#include "proto/stream.h"

struct peek;

struct peek_events {
	// There are at least peek->need bytes in peek->held. True: it goes on; peek->need was
	// raised. False: another session stands in its place, or it was refused.
	bool (*on_bytes)(struct peek *peek);
	// The peer ended (error 0) or the connection broke before there were that many.
	void (*on_ended)(struct peek *peek, int error);
};

struct peek {
	struct session session;
	struct stream stream; // for an exchange that only tells how this ends; it carries nothing
	struct slice held;
	const struct peek_events *events;
	u32 need;
	bool is_refused; // what comes is dropped
};

extern const struct session_ops peek_session_ops;

void peek_init(struct peek *peek, struct block_pool *pool, struct bytes *out,
	const struct session_events *session_events, const struct peek_events *events);

// What was gathered, without its first `skip` bytes; the caller owns it.
struct slice peek_take(struct peek *peek, size_t skip);

// Sends `farewell` (perhaps nothing) and ends in order; what still comes is dropped.
void peek_refuse(struct peek *peek, struct str farewell);
