// SPDX-License-Identifier: Apache-2.0
// What the answer to a health check of gRPC means (grpc.health.v1.Health/Check), collected as it
// comes: fields and trailers, pieces of the body, and the judgement when it is over. Pure; the
// connection is the checker's.
#pragma once

#include "base/text.h"
#include "decide/health.h"
#include "proto/http.h"

struct check_grpc {
	struct text body; // at most GRPC_HEALTH_ANSWER_MAX
	u32 status;	  // of gRPC
	bool has_status;
	bool is_grpc; // by its Content-Type
};

// Zeroes are the beginning.
void check_grpc_done(struct check_grpc *check);

// Of the head, then of the trailers; where both tell a status the last one counts.
void check_grpc_fields(struct check_grpc *check, const struct http_field *fields, u16 count);

// False: that is more than such an answer may have.
bool check_grpc_body(struct check_grpc *check, struct str bytes) must_check;

// HEALTH_NONE is a pass. `http_status`: of the head.
enum health_reason check_grpc_judge(const struct check_grpc *check, u16 http_status);
