// SPDX-License-Identifier: Apache-2.0
// Whether a configuration that is on probation may stay: until when it has to be confirmed, and
// what ends it before. Pure: counts and moments in, a verdict out. It is asked once a second.
#pragma once

#include "base/base.h"

enum {
	PROBATION_REQUESTS_MIN = 20,   // below so many nothing is said about errors
	PROBATION_ERRORS_PERCENT = 5,  // of the requests since, that may fail in any case
	PROBATION_ERRORS_TIMES = 2,    // as large as before may their share be in any case
	PROBATION_SECONDS_WITHOUT = 2, // in a row, in which a pool has nobody left
};

// Of the whole process: requests and errors since it started.
struct probation_counts {
	u64 requests, errors;
	u32 pools_lost; // without a backend that may get requests, and not so when it began
};

struct probation {
	struct probation_counts began;
	u64 until_ms;
	u32 seconds_without;
};

enum probation_verdict {
	PROBATION_GOES_ON,
	PROBATION_IS_OVER,  // nobody has confirmed it
	PROBATION_FAILS,    // too many requests end as errors
	PROBATION_IS_EMPTY, // a pool has lost its last backend
};

void probation_begin(
	struct probation *probation, const struct probation_counts *counts, u64 until_ms);
enum probation_verdict probation_step(
	struct probation *probation, const struct probation_counts *counts, u64 now_ms);

// For people.
const char *probation_text(enum probation_verdict verdict);
