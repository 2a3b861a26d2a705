// SPDX-License-Identifier: Apache-2.0
// A session with one stream and no head: a TCP connection as it is. Either half ends on its own; an
// end of the outgoing half becomes a half-close.
#pragma once

#include "proto/stream.h"

struct raw {
	struct session session;
	struct stream stream;
	struct slice held; // received, not granted yet
	u64 credit;
	u32 queued, in_flight;
	bool in_ended, out_ended, peer_ended;
};

extern const struct session_ops raw_session_ops;

// The peer has ended its half already, and its owner knows: nothing is received any more.
void raw_skip_input(struct raw *raw);

void raw_init(struct raw *raw, enum stream_role role, struct block_pool *pool, struct bytes *out,
	const struct session_events *events);
