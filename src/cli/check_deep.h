// SPDX-License-Identifier: Apache-2.0
// What `weir check --deep` opens: certificates, keys, authorities and lists, as a start would; and
// what it finds that a start would not mind.
#pragma once

#include "base/text.h"
#include "conf/conf.h"

// Adds lines to what is printed. Gives the number of errors.
u32 check_deep(const struct conf *conf, struct arena *arena, struct text *text);
