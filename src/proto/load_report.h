// SPDX-License-Identifier: Apache-2.0
// What a backend says of its own load, as one field of an answer:
//
//     X-Weir-Load: in_flight=12, latency_ms=3.5
//
// A list of name=value with commas between; their order does not count, names that are not known
// are skipped. Numbers are plain decimals, with a fraction or without: no sign, no exponent.
#pragma once

#include "base/str.h"

enum {
	LOAD_IN_FLIGHT_MAX = 1000 * 1000,
	LOAD_LATENCY_MS_MAX = 3600 * 1000,
	LOAD_REPORT_MEMBERS_MAX = 32,
};

struct load_report {
	u32 in_flight; // requests it is working on, of all its clients; a fraction is rounded
	bool has_latency;
	nsec latency; // that a request would meet now
};

// The value of the field, without white space around it. False: it is no such report (no in_flight,
// a name twice, a number that is none or above its bound, a quoted text, too many members).
bool load_report_parse(struct str value, struct load_report *ret_report) must_check;
