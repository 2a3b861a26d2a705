// SPDX-License-Identifier: Apache-2.0
// The two messages of grpc.health.v1.Health/Check, as gRPC puts them into a body: a byte that says
// whether it is compressed, four bytes of length, and a message in Protocol Buffers' wire format.
// What a message has beyond the one field that is known is skipped, as the format wants it.
#pragma once

#include "base/str.h"

enum {
	GRPC_MESSAGE_HEAD_BYTES = 5,
	GRPC_HEALTH_SERVICE_MAX = 255,
	GRPC_HEALTH_REQUEST_MAX = GRPC_MESSAGE_HEAD_BYTES + 3 + GRPC_HEALTH_SERVICE_MAX,
	GRPC_HEALTH_ANSWER_MAX = 4096, // of a body that is looked at
};

#define GRPC_HEALTH_PATH "/grpc.health.v1.Health/Check"

enum grpc_health_status {
	GRPC_HEALTH_UNKNOWN,
	GRPC_HEALTH_SERVING,
	GRPC_HEALTH_NOT_SERVING,
	GRPC_HEALTH_SERVICE_UNKNOWN,
};

// A HealthCheckRequest as a whole body; gives its length. An empty name asks about the whole
// server; one above GRPC_HEALTH_SERVICE_MAX is a bug.
size_t grpc_health_write_request(struct str service, char buffer[static GRPC_HEALTH_REQUEST_MAX]);

enum grpc_health_answer {
	GRPC_HEALTH_READ,
	GRPC_HEALTH_MORE,      // the message goes on
	GRPC_HEALTH_MALFORMED, // or compressed, or too large
};

// A HealthCheckResponse out of the beginning of a body. A status that nobody knows is UNKNOWN.
enum grpc_health_answer grpc_health_read_answer(
	struct str body, enum grpc_health_status *ret_status) must_check;
