// SPDX-License-Identifier: Apache-2.0
// Which files that the TLS of a configuration names cannot be used. secure_new stops at the first
// one; this finds all of them, each where the configuration names it.
#pragma once

#include "base/err.h"
#include "conf/conf.h"

// Adds an error for each. Gives their number; 0 when it is not a file that secure_new fails for. In
// any thread.
u32 secure_try(const struct conf *conf, struct errs *errs);
