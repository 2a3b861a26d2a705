// SPDX-License-Identifier: Apache-2.0
// Figures as people read them, at most six columns wide unless it says otherwise. What is not known
// (NAN) is "-".
#pragma once

#include <math.h>

#include "base/base.h"

struct unit {
	char text[24];
};

struct unit unit_number(double value);	// 0, 0.02, 3.1, 310, 12.4k, 5.24M
struct unit unit_count(double value);	// the same, but whole numbers below 10,000: 12, 9999, 524k
struct unit unit_percent(double ratio); // 0%, 0.03%, 4.2%, 31%
struct unit unit_us(double us);		// 310µs, 9.9ms, 38ms, 1.2s, 120s
struct unit unit_span(double ms);	// 59s, 4m12s, 2h13m, 3d04h, 120d
struct unit unit_times(double ratio);	// 1.2×, 40×

// Of this machine's time zone; 8 columns, 19, and 12: 14:02:11, 2026-05-08 14:02:11, 14:02:11.042
struct unit unit_clock(double at_ms);
struct unit unit_date(double at_ms);
struct unit unit_clock_ms(double at_ms);
