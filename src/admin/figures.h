// SPDX-License-Identifier: Apache-2.0
// Numbers of what workers do: summed over their cells for now, and over their statistics for rates
// and latencies. Once a second it looks at all of them, and what came since the last time goes into
// the history.
//
// Rates are those of the last second. Latencies are of the last 10 to 20 s, so that a backend with
// few requests has some; with more than FIGURES_CALM_MAX backends those of backends are of the last
// second.
//
// The admin thread alone uses it.
#pragma once

#include "admin/history.h"
#include "base/json.h"
#include "proxy/snapshot.h"

struct admin;
struct figures;

enum { FIGURES_CALM_MAX = 2000, FIGURES_SPARKS = 30, FIGURES_SPARK_S = 2 };

struct figures *figures_new(struct admin *admin);
void figures_stop(struct figures *figures); // its timer
void figures_free(struct figures *figures);

// The next configuration (admin->face.snapshot is it from now on).
void figures_adopt(
	struct figures *figures, const struct snapshot *before, const struct snapshot *snapshot);

// Called after each look.
void figures_on_second(struct figures *figures, void (*heard)(struct admin *admin));

struct figures_load {
	u32 connections, idle, in_flight;
};

// Of one backend now, over all workers.
struct figures_load figures_load(const struct snapshot *snapshot, const struct backend *backend);
u32 figures_pool_in_flight(const struct snapshot *snapshot, const struct pool *pool);

struct figures_rate {
	u64 requests_total;
	double requests_per_s, errors_per_s, client_errors_per_s, retries_per_s;
	u64 requests; // those that the latencies are of
	u32 p50_us, p90_us, p99_us, max_us;
};

const struct figures_rate *figures_whole(const struct figures *figures);
const struct figures_rate *figures_of_pool(const struct figures *figures, const struct pool *pool);
const struct figures_rate *figures_of_backend(
	const struct figures *figures, const struct backend *backend);
double figures_busy_ratio(const struct figures *figures, u32 worker); // of the last second

const struct history *figures_history(const struct figures *figures);

// Keys and values behind those that stand there already.
void figures_write_whole(struct json *json, const struct figures *figures);
void figures_write_frontend(
	struct json *json, const struct figures *figures, const struct frontend *frontend);
void figures_write_pool(struct json *json, const struct figures *figures, const struct pool *pool);
void figures_write_backend(
	struct json *json, const struct figures *figures, const struct backend *backend);
