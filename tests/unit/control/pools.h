// SPDX-License-Identifier: Apache-2.0
// Pools for tests of the model and the checker: a configuration made by hand that a test may change
// before the snapshot is built of it, and a listener that remembers.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/model.h"

enum { POOLS_MAX = 4, POOLS_HEARD_MAX = 1 << 15 };

struct pools {
	struct arena arena;
	struct conf conf;
	struct conf_pool pools[POOLS_MAX];
	struct conf_backend *backends[POOLS_MAX];
	u32 pool_count;
	struct snapshot *snapshot;
	struct model *model;
	struct model_change *heard;
	u32 heard_count;
	u64 now_ms;
};

// One pool of so many backends 10.0.N.N:80, with the defaults of the configuration, without checks.
void pools_init(struct pools *pools, u32 backend_count);

// One more; gives its index.
u32 pools_add(struct pools *pools, u32 backend_count);

// The snapshot, and its model at `now_ms`.
void pools_build(struct pools *pools, u32 worker_count, u64 now_ms);
void pools_done(struct pools *pools);

static inline struct backend *pools_backend(struct pools *pools, u32 index)
{
	return &pools->snapshot->pools[0]->backends[index];
}

static inline enum eligible_why pools_why(struct pools *pools, u32 index)
{
	return backend_why(pools_backend(pools, index));
}

// The changes of this kind that were heard; `to` NULL: any.
u32 pools_heard(const struct pools *pools, enum model_change_kind kind, const char *to);

// The last one, or NULL.
const struct model_change *pools_last(const struct pools *pools, enum model_change_kind kind);

// Ticks every MODEL_TICK_MS until `until_ms`.
void pools_run(struct pools *pools, u64 until_ms);

// What a worker does at the end of an attempt that began in the present epoch.
void pools_good(struct pools *pools, u32 worker, u32 index);
void pools_bad(struct pools *pools, u32 worker, u32 index);
void pools_eject(struct pools *pools, u32 index, enum ejection_why why);
void pools_look(struct pools *pools, u32 index);
