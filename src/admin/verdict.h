// SPDX-License-Identifier: Apache-2.0
// One sentence about how things stand, worst first: what somebody wants to read at 3 a.m. before
// anything else.
#pragma once

#include "admin/admin_inside.h"

enum verdict_level { VERDICT_OK, VERDICT_WARN, VERDICT_BAD };

enum { VERDICT_TEXT_BYTES = 400 };

struct verdict {
	u8 level; // enum verdict_level
	char text[VERDICT_TEXT_BYTES];
};

const char *verdict_word(enum verdict_level level); // "ok", "warn", "bad"

// Of the copies at hand (state_fetch) and the figures of the last second.
struct verdict verdict_make(const struct admin *admin);
