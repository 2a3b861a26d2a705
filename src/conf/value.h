// SPDX-License-Identifier: Apache-2.0
// Durations and sizes with units, to numbers and back.
#pragma once

#include "base/arena.h"

enum value_result {
	VALUE_OK,
	VALUE_NO_UNIT,	 // a bare number other than 0
	VALUE_MALFORMED, // anything else
	VALUE_TOO_LARGE, // does not fit 64 bits
};

// "250ms", "5s", "1m30s", "1h", "2d": digits and units, largest unit first.
enum value_result value_parse_duration(struct str text, u64 *ret_ms) must_check;

// "512B", "64KiB", "10MB", "1g". KiB, MiB, GiB and k, m, g are powers of 1024; kB, MB and GB of
// 1000. Case does not matter.
enum value_result value_parse_size(struct str text, u64 *ret_bytes) must_check;

// The shortest exact form: 90000 -> "1m30s", 65536 -> "64KiB".
const char *value_format_duration(struct arena *arena, u64 ms);
const char *value_format_size(struct arena *arena, u64 bytes);

// "true", "yes", "on" and their opposites, in any case.
bool value_parse_flag(struct str text, bool *ret_flag) must_check;
