// SPDX-License-Identifier: Apache-2.0
// Body bytes that tell whose they are and where they belong: byte `at` of the body `key`. Nothing
// of one body fits into another, and no byte fits at another place.
#pragma once

#include "base/base.h"

void pattern_init(void);

// Fills `to` with bytes [at, at + len) of body `key`.
void pattern_fill(char *to, u64 key, u64 at, size_t len);

bool pattern_matches(const char *bytes, u64 key, u64 at, size_t len);
