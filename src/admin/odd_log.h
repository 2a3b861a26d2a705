// SPDX-License-Identifier: Apache-2.0
// Says in the log which backends fail or are slow beside their peers (decide/oddity.h): once, when
// that has lasted for two looks, and once when it is over. That one flaps or is out is told where
// it is found (control/changes.h).
//
// At most ODD_LOG_LINES_MAX lines in a look; what is beyond is one more line with its number.
#pragma once

#include "admin/admin_inside.h"

enum { ODD_LOG_EVERY_S = 5, ODD_LOG_LASTS = 2, ODD_LOG_LINES_MAX = 16 };

struct odd_log;

struct odd_log *odd_log_new(struct admin *admin);
void odd_log_free(struct odd_log *odd);

// Called once a second; looks every ODD_LOG_EVERY_S.
void odd_log_second(struct odd_log *odd);
