// SPDX-License-Identifier: Apache-2.0
// Time that passes in a command that waits for something: no clock is read, the kernel's timers
// tell.
#pragma once

#include "base/base.h"

struct wait {
	int bound; // a timer
};

void wait_begin(struct wait *wait, u64 bound_ms); // 0: for ever
void wait_end(struct wait *wait);

// Sleeps. False: the bound is reached.
bool wait_for_ms(const struct wait *wait, u32 ms);
