// SPDX-License-Identifier: Apache-2.0
// The tests that stand in a configuration (`tests:`): each request is tried by the code that
// explains requests (proxy/explain.h), which is the code that they run, on a proxy of its own that
// nobody connects to. There every backend may get requests, and every name has an address: what is
// tested is what is written, and not how the servers are.
#pragma once

#include "base/err.h"
#include "conf/conf.h"

// Adds an error for each expectation that does not hold, with what came instead. Gives their
// number. In any thread; takes descriptors for the time of the call, and some milliseconds for each
// ten thousand backends. Nothing is done where there are no tests.
u32 rehearse(const struct conf *conf, struct errs *errs);
