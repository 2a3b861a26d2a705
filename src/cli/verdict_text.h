// SPDX-License-Identifier: Apache-2.0
// The verdict of the admin API as one sentence, with the moments of its parts on the clock of
// whoever reads it.
#pragma once

#include <jansson.h>

#include "base/text.h"

// Ends with a zero; nothing is added where there is no verdict.
void verdict_add(struct text *text, const json_t *verdict);
