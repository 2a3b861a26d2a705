// SPDX-License-Identifier: Apache-2.0
#include "admin/figures.h"

#include "admin/admin_inside.h"

struct figures_load figures_load(const struct snapshot *snapshot, const struct backend *backend)
{
	struct figures_load load = {0};

	for (u32 i = 0; i < snapshot->worker_count; i++) {
		const struct cell *cell = &snapshot->cells[i][backend->cell];

		load.connections += cell_read(&cell->connections);
		load.idle += cell_read(&cell->idle_count);
		load.in_flight += cell_read(&cell->in_flight);
	}
	return load;
}

u32 figures_pool_in_flight(const struct snapshot *snapshot, const struct pool *pool)
{
	u32 in_flight = 0;

	for (u32 i = 0; i < pool->backend_count; i++)
		in_flight += figures_load(snapshot, &pool->backends[i]).in_flight;
	return in_flight;
}

static struct metrics_cells sum_cells(const struct admin *admin)
{
	struct metrics_cells sum = {0};

	for (u32 i = 0; i < admin->face.workers->count; i++)
		metrics_sum(&admin->face.workers->all[i].metrics, &sum);
	return sum;
}

void figures_write_whole(struct json *json, struct admin *admin)
{
	struct metrics_cells sum = sum_cells(admin);

	json_key(json, "totals");
	json_object_begin(json);
	json_key_u64(json, "connections", metrics_read(&sum, M_CONNECTIONS_ACTIVE));
	json_key_u64(json, "connections_max", admin->face.connections_max);
	json_key_u64(json, "in_flight", metrics_read(&sum, M_REQUESTS_ACTIVE));
	json_key_u64(json, "tunnels", metrics_read(&sum, M_TUNNELS_ACTIVE));
	json_object_end(json);
}

void figures_write_frontend(struct json *json, struct admin *admin, const struct frontend *frontend)
{
	(void)json;
	(void)admin;
	(void)frontend;
}

void figures_write_pool(struct json *json, struct admin *admin, const struct pool *pool)
{
	(void)json;
	(void)admin;
	(void)pool;
}

void figures_write_backend(struct json *json, struct admin *admin, const struct backend *backend)
{
	(void)json;
	(void)admin;
	(void)backend;
}
