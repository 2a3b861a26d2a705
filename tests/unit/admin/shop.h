// SPDX-License-Identifier: Apache-2.0
// Something to be scraped: frontends, pools and backends made by hand, and what workers counted of
// seeded traffic. The last frontend is TCP, the last pool has no requests.
#pragma once

#include "admin/expose.h"

struct shop {
	struct arena arena;
	struct snapshot snapshot;
	struct expose_source source;
	struct expose_backend *backends;
	struct expose_pool *pools;
	struct expose_worker *workers;
	struct metrics_cells *cells; // one more than workers: the logger's
	struct stats **stats;
};

// `requests` for each backend of pools with requests. Two pools or more.
void shop_open(struct shop *shop, u32 workers, u32 frontends, u32 pools, u32 backends_of_pool,
	u32 requests);
void shop_close(struct shop *shop);
