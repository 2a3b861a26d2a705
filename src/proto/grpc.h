// SPDX-License-Identifier: Apache-2.0
// What a proxy has to know of gRPC (the protocol over HTTP/2): which requests are calls, how long
// they may take, and which of its status codes an answer of our own means.
#pragma once

#include "proto/http.h"

// X(NAME, code)
#define GRPC_CODES(X)            \
	X(OK, 0)                 \
	X(UNKNOWN, 2)            \
	X(DEADLINE_EXCEEDED, 4)  \
	X(NOT_FOUND, 5)          \
	X(PERMISSION_DENIED, 7)  \
	X(RESOURCE_EXHAUSTED, 8) \
	X(UNIMPLEMENTED, 12)     \
	X(INTERNAL, 13)          \
	X(UNAVAILABLE, 14)       \
	X(UNAUTHENTICATED, 16)

enum grpc_code {
#define X(name, code) GRPC_##name = code,
	GRPC_CODES(X)
#undef X
};

// Content-Type is application/grpc, perhaps with "+proto" or parameters; not that of gRPC-Web.
bool grpc_is_call(const struct http_head *request);

// Of grpc-timeout, rounded up; 0: there is none that is well formed.
u64 grpc_timeout_ms(const struct http_head *request);

// What a status of HTTP means to a caller, where a proxy answers. 504: the time was over.
enum grpc_code grpc_code_of(u16 http_status);
