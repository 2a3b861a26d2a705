// SPDX-License-Identifier: Apache-2.0
// The two fields by which both ends of a WebSocket's handshake in HTTP/1 know that they mean it
// (RFC 6455 4.2.2). They keep no secret.
#pragma once

#include "base/str.h"

enum { WEBSOCKET_KEY_BYTES = 24, WEBSOCKET_ACCEPT_BYTES = 28 };

// Sec-WebSocket-Key of 16 bytes that the caller draws.
void websocket_key(u64 a, u64 b, char ret_key[static WEBSOCKET_KEY_BYTES]);

// Sec-WebSocket-Accept for a key (of WEBSOCKET_KEY_BYTES).
void websocket_accept(struct str key, char ret_accept[static WEBSOCKET_ACCEPT_BYTES]);
