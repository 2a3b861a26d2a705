// SPDX-License-Identifier: Apache-2.0
// What stands in place of a source that this build was made without.
#pragma once

#include "discover/source.h"

#define NO_SOURCE(name, why) const struct source_kind name = {.missing = (why)}
