// SPDX-License-Identifier: Apache-2.0
// HTTP/1.0 and 1.1 on one connection, either role: one stream at a time, pipelined requests held
// until the answer before them is complete. After a 101 (or a 2xx to CONNECT) both directions are
// raw.
//
// What it writes is built from parsed values only, so nothing ambiguous can be passed on (RFC
// 9112).
#pragma once

#include "proto/h1_parse.h"
#include "proto/stream.h"

struct h1 {
	struct session session;
	struct stream stream;
	struct h1_parser *parser;
	struct slice held;     // received, not consumed
	u64 out_left;	       // of a body with a length
	u32 queued, in_flight; // body bytes in `out` | in the batch being sent
	union {
		u64 in_left; // of a body with a length
		struct h1_chunked chunked;
	};
	u32 credit;	 // body bytes that may still be delivered
	u32 scanned;	 // of a head that is not complete
	u32 linger_left; // bytes that may still be read and dropped
	u8 in, out;	 // enum h1_state
	u8 method;	 // of the running request (http_method)
	u8 interim_heads;
	bool peer_minor_0; // the request came as HTTP/1.0
	bool keep_alive;   // after this exchange
	bool peer_closes;  // the client asked for no more than this exchange
	bool peer_ended;
	bool running;	    // input is being consumed further up the stack
	bool upgrade_asked; // a 101 may answer
	bool perhaps_small; // the running body has no length, and was not long so far
	bool draining;
};

// Limits, and scratch for parsing: nothing in it outlives an event, so all sessions of a thread
// that have the same limits share one.
struct h1_parser {
	struct h1_limits limits;
	struct http_field fields[HTTP_FIELDS_MAX + HTTP_FIELDS_EXTRA];
	struct http_head head;
};

extern const struct session_ops h1_session_ops;

void h1_init(struct h1 *h1, enum stream_role role, struct h1_parser *parser,
	struct block_pool *pool, struct bytes *out, const struct session_events *events);

// Client role: where a server's connections are counted, one that ends is there until both have
// ended it. Without this we close behind a last answer at once.
static inline void h1_see_it_out(struct h1 *h1)
{
	h1->session.sees_it_out = true;
}
