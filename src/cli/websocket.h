// SPDX-License-Identifier: Apache-2.0
// The server's side of a WebSocket (RFC 6455) that sends every message back, for the test backend.
// No extension is ever agreed to.
#pragma once

#include "proto/stream.h"
#include "proto/websocket_key.h"

enum { WEBSOCKET_HEADER_MAX = 14 };

struct websocket {
	char accept[WEBSOCKET_ACCEPT_BYTES]; // value of Sec-WebSocket-Accept
	u8 header[WEBSOCKET_HEADER_MAX];     // of the frame that comes, as far as it is here
	u8 header_len;
	u8 mask_at;    // which byte of the mask is next
	u64 left;      // payload bytes of the frame still to come
	i64 uncounted; // received bytes that nothing was sent for: credit to give back
	bool closed;   // our half is over
};

// Answers a request to upgrade: false when it lacks a proper key or version.
bool websocket_begin(struct websocket *websocket, const struct http_head *head);

// Takes over the slice, sends back what it asks for, and grants the stream what on_drained will
// not.
void websocket_feed(
	struct websocket *websocket, struct stream *stream, struct slice slice, bool end);
