// SPDX-License-Identifier: Apache-2.0
// Signs of life for a service manager that wants them (WATCHDOG_USEC): at half that time every
// worker is asked something, and the sign is given only when all of them have answered what they
// were asked before. So a worker whose loop stands still costs the process its sign.
#pragma once

#include "control/handover.h"
#include "control/worker.h"

struct watchdog_ask;

struct watchdog {
	struct loop *loop;
	struct handover *handover;
	struct workers *workers;
	struct watchdog_ask *asks; // one for each worker; NULL: nobody wants signs
	u32 asks_out;
	struct timer timer;
};

// The control thread's, once. Does nothing where nobody wants signs.
void watchdog_start(struct watchdog *watchdog, struct loop *loop, struct handover *handover,
	struct workers *workers);

// No sign is given from now on. What workers were asked stays out: one that stands still never
// answers. Harmless when it does not run, as is the next one.
void watchdog_stop(struct watchdog *watchdog);

// Waits for what was asked, in turns of the loop. No worker runs.
void watchdog_done(struct watchdog *watchdog);
