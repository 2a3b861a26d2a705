// SPDX-License-Identifier: Apache-2.0
// One word for how an exchange or a connection ended, the same in answers, logs, metrics and the
// Proxy-Status field (RFC 9209). The rows are in outcome.def.
#pragma once

#include "base/metrics.h"
#include "proto/http.h"

enum outcome {
#define X(name, text, status, origin, error, cause, cure) OUTCOME_##name,
#include "proxy/outcome.def"
#undef X
	OUTCOME_COUNT
};
_Static_assert((int)OUTCOME_COUNT <= (int)METRICS_OUTCOMES_MAX, "cells hold one count per outcome");

// Is it us, the client or a backend?
enum outcome_origin { ORIGIN_NOBODY, ORIGIN_CLIENT, ORIGIN_BALANCER, ORIGIN_BACKEND };

struct outcome_info {
	struct str name;  // snake case
	u16 status;	  // of our own answer; 0: none is sent (too late, or nothing to say)
	u8 origin;	  // enum outcome_origin
	struct str error; // RFC 9209 2.3 error type; empty when the end is no error
	struct str cause; // a clause without capital and full stop, for people
	struct str cure;  // a sentence for the operator, or empty
};

extern const struct outcome_info outcome_infos[OUTCOME_COUNT];

static inline const struct outcome_info *outcome_info(enum outcome outcome)
{
	return &outcome_infos[outcome];
}

// What a refused request ends with. The answer's status is the refusal's own
// (http_refusal_status), which is finer for bad_request (400, 414).
enum outcome outcome_of_refusal(enum http_refusal why);

// What a failed connect ends with. `error`: positive or negative errno.
enum outcome outcome_of_connect(int error);
