// SPDX-License-Identifier: Apache-2.0
// What `weir check --deep` opens: certificates, keys, authorities and lists, as a start would; and
// what it finds that a start would not mind.
#pragma once

#include "base/text.h"
#include "conf/conf.h"

// Adds what is wrong to `errs`, and a line about each file that can be used to `text`. Gives the
// number of errors.
u32 check_deep(const struct conf *conf, struct arena *arena, struct text *text, struct errs *errs);
