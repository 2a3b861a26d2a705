// SPDX-License-Identifier: Apache-2.0
// Numbers of what workers do: summed over their cells for now, and over the statistics of the last
// second for rates and latencies.
#pragma once

#include "base/json.h"
#include "proxy/snapshot.h"

struct admin;

struct figures_load {
	u32 connections, idle, in_flight;
	u64 ewma_us; // 0: not known
};

// Of one backend, over all workers.
struct figures_load figures_load(const struct snapshot *snapshot, const struct backend *backend);
u32 figures_pool_in_flight(const struct snapshot *snapshot, const struct pool *pool);

// Keys and values behind those that stand there already.
void figures_write_whole(struct json *json, struct admin *admin);
void figures_write_frontend(
	struct json *json, struct admin *admin, const struct frontend *frontend);
void figures_write_pool(struct json *json, struct admin *admin, const struct pool *pool);
void figures_write_backend(struct json *json, struct admin *admin, const struct backend *backend);
