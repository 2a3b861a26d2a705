// SPDX-License-Identifier: Apache-2.0
// One sentence about how things stand: what somebody wants to read at 3 a.m. before anything else.
// It has parts, each with a level and, where it is about something that lasts, since when. The
// clock on the wall is the reader's, so moments are numbers.
#pragma once

#include "admin/admin_inside.h"

// Of the copies at hand (state_fetch) and the figures of the last second, as in docs/api.md.
void verdict_write(struct json *json, const struct admin *admin);
