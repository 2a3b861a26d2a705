// SPDX-License-Identifier: Apache-2.0
#include "proxy/snapshot.h"

#include "upstream/pick.h"

// "Name: value" with its line end.
static struct str line(struct arena *arena, const char *name, struct str value)
{
	return str_from(arena_printf(arena, "%s: %.*s\r\n", name, STR_FMT(value)));
}

static void build_pool(
	struct pool *pool, const struct conf_pool *conf, struct arena *arena, u32 *first_cell)
{
	pool->name = conf->name;
	pool->backend_count = conf->backend_count;
	pool->backends = arena_zalloc(arena, sizeof(struct backend) * MAX(conf->backend_count, 1));
	pool->idle_connections_max = conf->limits.idle_connections;
	pool->connect_timeout_ms = conf->timeouts.connect_ms;
	pool->response_timeout_ms = conf->timeouts.response_ms;
	pool->response_idle_ms = conf->timeouts.response_idle_ms;
	pool->upstream_idle_ms = conf->timeouts.upstream_idle_ms;
	for (u32 i = 0; i < conf->backend_count; i++) {
		const struct conf_backend *from = &conf->backends[i];
		struct backend *backend = &pool->backends[i];

		backend->id = from->id;
		backend->address = from->address;
		backend->addr = from->addr;
		backend->name = from->host;
		backend->pool = pool;
		backend->index = i;
		backend->cell = (*first_cell)++;
		backend->weight = from->weight;
		backend->server_line = line(arena, "X-Backend-Server", from->address);
		backend->state = from->weight == 0 ? BACKEND_DISABLED
				 : from->host.len  ? BACKEND_UNRESOLVED
						   : BACKEND_USABLE;
		if (from->host.len)
			backend->addr.port = from->port;
	}
	pick_rebuild(pool, arena);
}

static void build_route(
	struct route *route, const struct conf_route *conf, struct snapshot *snapshot)
{
	route->conf = conf;
	route->response_timeout_ms = conf->response_timeout_ms;
	route->target_count = conf->split_count;
	route->targets =
		arena_zalloc(snapshot->arena, sizeof(struct target) * MAX(conf->split_count, 1));
	for (u32 i = 0; i < conf->split_count; i++) {
		route->targets[i].pool = &snapshot->pools[conf->splits[i].pool];
		route->targets[i].weight = conf->splits[i].weight;
		route->weight_sum += conf->splits[i].weight;
	}
}

static void build_forwarded_lines(struct frontend *frontend, struct arena *arena)
{
	const struct conf_frontend *conf = frontend->conf;
	struct str proto = STR_EMPTY, by = STR_EMPTY;

	if (conf->headers.forwarded != CONF_FORWARDED_NONE)
		proto = line(arena, "X-Forwarded-Proto", frontend->scheme);
	if (conf->headers.identify.len)
		by = line(arena, "X-Forwarded-By", conf->headers.identify);
	frontend->forwarded_lines =
		str_from(arena_printf(arena, "%.*s%.*s", STR_FMT(proto), STR_FMT(by)));
	frontend->proto_line_len = (u32)proto.len;
}

static void build_frontend(
	struct frontend *frontend, const struct conf_frontend *conf, struct snapshot *snapshot)
{
	struct arena *arena = snapshot->arena;

	frontend->conf = conf;
	frontend->scheme = STR("http");
	frontend->request_id_known =
		http_field_known(conf->headers.request_id.ptr, conf->headers.request_id.len);
	frontend->pool = conf->pool >= 0 ? &snapshot->pools[conf->pool] : NULL;
	if (conf->limits.connections)
		frontend->clients = arena_zalloc(arena, sizeof(*frontend->clients));
	frontend->route_count = conf->route_count;
	frontend->routes = arena_zalloc(arena, sizeof(struct route) * MAX(conf->route_count, 1));
	for (u32 i = 0; i < conf->route_count; i++) {
		build_route(&frontend->routes[i], &conf->routes[i], snapshot);
		if (conf->routes[i].match.path.len)
			frontend->any_needs_path = true;
	}
	build_forwarded_lines(frontend, arena);
	frontend->request_id_prefix =
		str_from(arena_printf(arena, "%.*s: ", STR_FMT(conf->headers.request_id)));
}

struct snapshot *snapshot_build(const struct conf *conf, struct arena *arena)
{
	struct snapshot *snapshot = arena_zalloc(arena, sizeof(*snapshot));

	snapshot->conf = conf;
	snapshot->arena = arena;
	snapshot->pool_count = conf->pool_count;
	snapshot->pools = arena_zalloc(arena, sizeof(struct pool) * MAX(conf->pool_count, 1) + 64);
	// The position of each pool has a cache line of its own, so the array must start on one.
	snapshot->pools = (struct pool *)(((uintptr_t)snapshot->pools + 63) & ~(uintptr_t)63);
	for (u32 i = 0; i < conf->pool_count; i++)
		build_pool(&snapshot->pools[i], &conf->pools[i], arena, &snapshot->backend_count);
	snapshot->frontend_count = conf->frontend_count;
	snapshot->frontends =
		arena_zalloc(arena, sizeof(struct frontend) * MAX(conf->frontend_count, 1));
	for (u32 i = 0; i < conf->frontend_count; i++) {
		snapshot->frontends[i].index = i;
		build_frontend(&snapshot->frontends[i], &conf->frontends[i], snapshot);
	}
	return snapshot;
}
