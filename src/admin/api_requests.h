// SPDX-License-Identifier: Apache-2.0
// Decision records of all workers, for the API and for those who watch.
#pragma once

#include "admin/admin_inside.h"
#include "proxy/record.h"

enum { REQUESTS_MAX = 500 };

// The newest ones of all workers, at most `max`; gives how many.
u32 requests_read(
	const struct admin *admin, bool failures_only, struct record *ret_records, u32 max);

// Tells records that were seen from those that were not.
enum { REQUESTS_SEEN = 256 };

struct requests_seen {
	u64 hashes[REQUESTS_SEEN];
	u32 at;
};

// False when it was seen before; then it is.
bool requests_is_news(struct requests_seen *seen, const struct record *record);
