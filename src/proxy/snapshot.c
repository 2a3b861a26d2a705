// SPDX-License-Identifier: Apache-2.0
#include "proxy/snapshot.h"

#include "proxy/access.h"
#include "proxy/builtin.h"
#include "proxy/secure.h"
#include "proxy/snapshot_match.h"
#include "proxy/sticky.h"
#include "upstream/view.h"

enum { nowhere = UINT16_MAX };

// Begins and ends on cache lines, so that no other thread's data is beside it.
static void *lines_of(struct arena *arena, size_t size)
{
	uintptr_t at = (uintptr_t)arena_zalloc(arena, size + 2 * CACHE_LINE);

	return (void *)((at + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1));
}

// "Name: value" with its line end.
static struct str line(struct arena *arena, const char *name, struct str value)
{
	return str_from(arena_printf(arena, "%s: %.*s\r\n", name, STR_FMT(value)));
}

static enum eligible_why first_why(const struct conf_backend *conf)
{
	return conf->weight == 0 ? ELIGIBLE_DISABLED
	       : conf->host.len	 ? ELIGIBLE_UNRESOLVED
				 : ELIGIBLE_OK;
}

// What was found by watching stays when the configuration changes. A slot that was never watched is
// all zero.
static struct adaptive *adaptive_of(const struct conf_pool *conf, struct adaptive *adaptive)
{
	if (atomic_load(&adaptive->limit))
		return adaptive;
	gradient_init(&adaptive->gradient, &conf->limits.gradient);
	atomic_store(&adaptive->limit, gradient_limit(&adaptive->gradient));
	return adaptive;
}

static void build_backend(
	struct pool *pool, u32 index, struct arena *arena, struct slots *slots, u32 cell)
{
	const struct conf_backend *from = &pool->conf->backends[index];
	struct backend *backend = &pool->backends[index];

	backend->id = from->id;
	backend->address = from->address;
	backend->addr = from->addr;
	if (from->host.len)
		backend->addr.port = from->port;
	backend->name = from->host;
	backend->conf = from;
	backend->pool = pool;
	backend->index = index;
	backend->cell = cell;
	backend->weight = from->weight;
	backend->sockets_max = from->max_connections;
	backend->is_h2 = from->is_h2;
	backend->is_tls = from->tls.enabled;
	backend->server_line = line(arena, "X-Backend-Server", from->address);
	backend->sockets = &slots->seats[cell].sockets;
	if (pool->conf->limits.adaptive)
		backend->adaptive = adaptive_of(pool->conf, &slots->seats[cell].adaptive);
	backend->why = (u8)first_why(from);
	backend->share = SLOW_START_WHOLE;
	pool->members[index] =
		(struct balance_member){.id = balance_id(from->id), .weight = from->weight};
	pool->is_bounded |= from->max_connections || pool->conf->limits.adaptive;
}

static enum balance_kind kind_of(enum conf_algorithm algorithm)
{
	static const u8 kinds[] = {
		[CONF_ROUND_ROBIN] = BALANCE_ROUND_ROBIN,
		[CONF_RANDOM] = BALANCE_RANDOM,
		[CONF_WEIGHTED_RANDOM] = BALANCE_WEIGHTED_RANDOM,
		[CONF_POWER_OF_TWO] = BALANCE_POWER_OF_TWO,
		[CONF_LEAST_CONNECTIONS] = BALANCE_LEAST_CONNECTIONS,
		[CONF_LEAST_RESPONSE_TIME] = BALANCE_LEAST_RESPONSE_TIME,
		[CONF_IP_HASH] = BALANCE_IP_HASH,
		[CONF_CONSISTENT_HASH] = BALANCE_CONSISTENT_HASH,
		[CONF_MAGLEV] = BALANCE_MAGLEV,
		[CONF_RENDEZVOUS] = BALANCE_RENDEZVOUS,
		[CONF_FIRST] = BALANCE_FIRST,
		[CONF_PREQUAL] = BALANCE_PREQUAL,
	};

	ASSERT((size_t)algorithm < ARRAY_LEN(kinds));
	return (enum balance_kind)kinds[algorithm];
}

static void build_pool(struct snapshot *snapshot, struct pool *pool, const struct conf_pool *conf,
	const struct snapshot_match *match)
{
	struct arena *arena = snapshot->arena;
	u32 room = MAX(conf->backend_count, 1);

	pool->name = conf->name;
	pool->conf = conf;
	pool->since = snapshot->generation;
	pool->requests = &snapshot->slots->pool_requests[pool->index];
	pool->kind = kind_of(conf->algorithm);
	pool->options.load_percent = conf->hash.load_percent;
	pool->hash_secret = key_hash_secret(conf->hash.secret);
	pool->options.choices = conf->prequal.choices;
	pool->options.hot_percent = conf->prequal.options.hot_percent;
	pool->load = (u8)(pool->kind == BALANCE_PREQUAL ? conf->prequal.load : CONF_PREQUAL_OWN);
	pool->backend_count = conf->backend_count;
	pool->backends = lines_of(arena, sizeof(struct backend) * room);
	pool->members = arena_zalloc(arena, sizeof(struct balance_member) * room);
	pool->failover = conf->failover >= 0 ? snapshot->pools[match->pools[conf->failover]] : NULL;
	pool->idle_connections_max = conf->limits.idle_connections;
	pool->connect_timeout_ms = conf->timeouts.connect_ms;
	pool->response_timeout_ms = conf->timeouts.response_ms;
	pool->response_idle_ms = conf->timeouts.response_idle_ms;
	pool->upstream_idle_ms = conf->timeouts.upstream_idle_ms;
	pool->is_bounded = conf->limits.requests > 0;
	pool->learns = pool->kind == BALANCE_LEAST_RESPONSE_TIME || pool->kind == BALANCE_PREQUAL ||
		       conf->limits.adaptive || conf->hedge.percent;
	pool->worker_count = snapshot->worker_count;
	pool->cells = lines_of(arena, sizeof(struct pool_cell) * snapshot->worker_count);
	for (u32 i = 0; i < conf->backend_count; i++) {
		build_backend(pool, i, arena, snapshot->slots, match->cells[i]);
		snapshot->backends[match->cells[i]] = &pool->backends[i];
		pool->eligible += eligible_is_in(backend_why(&pool->backends[i]));
	}
	pool->sticky = sticky_build(pool, arena);
	view_init(pool);
}

// Far more than anybody has are nowhere.
static u32 place_of(u32 frontend, u32 route)
{
	return MIN(frontend, (u32)nowhere) | MIN(route, (u32)nowhere) << 16;
}

static void build_route(struct route *route, const struct conf_route *conf,
	struct snapshot *snapshot, const struct snapshot_match *match)
{
	route->conf = conf;
	route->pattern = str_from(arena_printf(snapshot->arena, "%.*s%s", STR_FMT(conf->match.path),
		conf->match.path_is_prefix ? "*" : ""));
	route->response_timeout_ms = conf->response_timeout_ms;
	route->target_count = conf->split_count;
	route->targets =
		arena_zalloc(snapshot->arena, sizeof(struct target) * MAX(conf->split_count, 1));
	for (u32 i = 0; i < conf->split_count; i++) {
		route->targets[i].pool = snapshot->pools[match->pools[conf->splits[i].pool]];
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

static void build_builtin(struct frontend *frontend, const struct snapshot *snapshot)
{
	const struct conf_page *pages[] = {
		&frontend->conf->builtin.health, &frontend->conf->builtin.stats};

	for (u32 i = 0; i < ARRAY_LEN(pages); i++)
		if (pages[i]->path.len)
			frontend->builtin_lengths |= 1ull << pages[i]->path.len % 64;
	if (frontend->builtin_lengths)
		frontend->builtin = builtin_build(frontend, snapshot);
}

static bool any_pool_tells(const struct conf *conf)
{
	for (u32 i = 0; i < conf->pool_count; i++)
		if (conf->pools[i].send_proxy.version != CONF_SEND_PROXY_NONE)
			return true;
	return false;
}

static bool asks_certificates(const struct conf_frontend *conf)
{
	return conf->tls.client.mode != CONF_CLIENT_CERT_NONE;
}

static bool some_ask_certificates(const struct conf *conf)
{
	for (u32 i = 0; i < conf->frontend_count; i++)
		if (asks_certificates(&conf->frontends[i]))
			return true;
	return false;
}

static void build_frontend(struct frontend *frontend, const struct conf_frontend *conf,
	struct snapshot *snapshot, const struct snapshot_match *match)
{
	struct arena *arena = snapshot->arena;

	frontend->conf = conf;
	frontend->scheme = conf->tls.enabled ? STR("https") : STR("http");
	frontend->request_id_known =
		http_field_known(conf->headers.request_id.ptr, conf->headers.request_id.len);
	frontend->pool = conf->pool >= 0 && !conf->redirect_https
				 ? snapshot->pools[match->pools[conf->pool]]
				 : NULL;
	frontend->has_answer_lines =
		conf->headers.server_timing || conf->headers.proxy_status || conf->tls.hsts_ms;
	frontend->asks_certificates = asks_certificates(conf);
	frontend->some_ask_certificates = some_ask_certificates(snapshot->conf);
	if (conf->limits.connections)
		frontend->clients = &snapshot->slots->frontend_clients[frontend->index];
	frontend->is_guarded = guard_is_wanted(conf);
	frontend->expects_header = conf->client_ip.proxy_protocol != CONF_PROXY_PROTOCOL_NONE;
	frontend->route_count = conf->redirect_https ? 0 : conf->route_count;
	frontend->routes = arena_zalloc(arena, sizeof(struct route) * MAX(conf->route_count, 1));
	for (u32 i = 0; i < frontend->route_count; i++) {
		build_route(&frontend->routes[i], &conf->routes[i], snapshot, match);
		frontend->routes[i].place = place_of(frontend->index, i);
		frontend->routes_ask_certificates |= conf->routes[i].match.cert.verified != 0;
	}
	build_builtin(frontend, snapshot);
	build_forwarded_lines(frontend, arena);
	frontend->request_id_prefix =
		str_from(arena_printf(arena, "%.*s: ", STR_FMT(conf->headers.request_id)));
}

static bool has_access_json(const struct conf_log *conf)
{
	return conf->access.output.kind != CONF_OUTPUT_NONE &&
	       conf->access.format == CONF_ACCESS_JSON;
}

static void build_access_names(struct snapshot *snapshot)
{
	struct arena *arena = snapshot->arena;

	for (u32 i = 0; i < snapshot->frontend_count; i++) {
		struct frontend *frontend = snapshot->frontends[i];

		if (!frontend)
			continue;
		frontend->access_json = access_name_json(arena, "frontend", frontend->conf->name);
		for (u32 j = 0; j < frontend->route_count; j++)
			frontend->routes[j].access_json = access_name_json(
				arena, "http.route", frontend->routes[j].conf->name);
	}
	snapshot->access_json =
		arena_zalloc(arena, sizeof(struct str) * MAX(snapshot->backend_count, 1));
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		const struct pool *pool = snapshot->pools[i];
		struct str name;

		if (!pool)
			continue;
		name = access_name_json(arena, "pool", pool->name);
		for (u32 j = 0; j < pool->backend_count; j++) {
			struct str id = access_name_json(arena, "backend", pool->backends[j].id);

			snapshot->access_json[pool->backends[j].cell] = str_from(
				arena_printf(arena, "%.*s%.*s", STR_FMT(name), STR_FMT(id)));
		}
	}
}

// ---- The whole ----------------------------------------------------------------------------------

// Pools that stay are taken over; all others have their place before any of them is built, since
// one may fail over to another.
static void build_pools(struct snapshot *snapshot, const struct snapshot *before,
	const struct snapshot_match *match)
{
	const struct conf *conf = snapshot->conf;

	for (u32 i = 0; i < conf->pool_count; i++) {
		u32 slot = match->pools[i];
		struct pool *pool;

		if (match->is_same[i]) {
			snapshot->pools[slot] = before->pools[slot];
			continue;
		}
		pool = lines_of(snapshot->arena, sizeof(*pool));
		pool->index = slot;
		snapshot->pools[slot] = pool;
	}
	for (u32 i = 0, cell = 0; i < conf->pool_count; cell += conf->pools[i++].backend_count) {
		struct snapshot_match of_pool = *match;
		struct pool *pool = snapshot->pools[match->pools[i]];

		of_pool.cells += cell;
		if (!match->is_same[i])
			build_pool(snapshot, pool, &conf->pools[i], &of_pool);
		else
			for (u32 j = 0; j < pool->backend_count; j++)
				snapshot->backends[pool->backends[j].cell] = &pool->backends[j];
	}
}

static void build_frontends(struct snapshot *snapshot, const struct snapshot_match *match)
{
	const struct conf *conf = snapshot->conf;

	for (u32 i = 0; i < conf->frontend_count; i++) {
		u32 slot = match->frontends[i];
		struct frontend *frontend = arena_zalloc(snapshot->arena, sizeof(*frontend));

		snapshot->frontends[slot] = frontend;
		frontend->index = slot;
		frontend->place = place_of(slot, nowhere);
		build_frontend(frontend, &conf->frontends[i], snapshot, match);
	}
}

static struct snapshot *build(const struct snapshot *before, const struct conf *conf,
	struct arena *arena, struct slots *slots, u32 generation, const char **ret_what)
{
	struct snapshot *snapshot = arena_zalloc(arena, sizeof(*snapshot));
	struct snapshot_match match;

	snapshot->conf = conf;
	snapshot->arena = arena;
	snapshot->slots = slots;
	snapshot->worker_count = slots->worker_count;
	snapshot->generation = generation;
	snapshot->cells = slots->cells;
	if (!snapshot_match(&match, before, conf, slots, generation, arena, ret_what))
		return NULL;
	snapshot->frontend_count = slots->frontends.count;
	snapshot->pool_count = slots->pools.count;
	snapshot->backend_count = slots->backends.count;
	snapshot->frontends = arena_zalloc(
		arena, sizeof(*snapshot->frontends) * MAX(snapshot->frontend_count, 1));
	snapshot->pools =
		arena_zalloc(arena, sizeof(*snapshot->pools) * MAX(snapshot->pool_count, 1));
	snapshot->backends =
		arena_zalloc(arena, sizeof(*snapshot->backends) * MAX(snapshot->backend_count, 1));
	build_pools(snapshot, before, &match);
	snapshot->tells_backends = any_pool_tells(conf);
	build_frontends(snapshot, &match);
	// The log is the process', as it was at its start.
	if (before ? before->access_json != NULL : has_access_json(&conf->log))
		build_access_names(snapshot);
	return snapshot;
}

struct snapshot *snapshot_begin(
	const struct conf *conf, struct arena *arena, struct slots *slots, u32 generation)
{
	const char *what = NULL;
	struct snapshot *snapshot = build(NULL, conf, arena, slots, generation, &what);

	ASSERT(snapshot);
	snapshot_adopt(snapshot);
	return snapshot;
}

struct snapshot *snapshot_build(const struct conf *conf, struct arena *arena, u32 worker_count)
{
	struct snapshot *snapshot;
	u32 backends = 0;

	for (u32 i = 0; i < conf->pool_count; i++)
		backends += conf->pools[i].backend_count;
	snapshot = snapshot_begin(conf, arena,
		slots_new(worker_count, backends, conf->pool_count, conf->frontend_count), 0);
	snapshot->owns_slots = true;
	return snapshot;
}

struct snapshot *snapshot_follow(const struct snapshot *before, const struct conf *conf,
	struct arena *arena, u32 generation, const char **ret_what)
{
	struct snapshot *snapshot = build(before, conf, arena, before->slots, generation, ret_what);

	if (snapshot)
		snapshot->guard = before->guard;
	return snapshot;
}

// ---- Who uses it --------------------------------------------------------------------------------

static void count_users(struct snapshot *snapshot, u32 by)
{
	for (u32 i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backends[i])
			snapshot->slots->backends.users[i] += by;
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i]) {
			snapshot->slots->pools.users[i] += by;
			snapshot->pools[i]->users += by;
		}
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		if (snapshot->frontends[i])
			snapshot->slots->frontends.users[i] += by;
}

void snapshot_adopt(struct snapshot *snapshot)
{
	count_users(snapshot, 1);
}

void snapshot_unsecure(struct snapshot *snapshot)
{
	for (u32 i = 0; snapshot->secure && i <= snapshot->worker_count; i++)
		secure_free(snapshot->secure[i]);
	snapshot->secure = NULL;
}

void snapshot_retire(struct snapshot *snapshot, const struct snapshot_heirs *heirs)
{
	const struct slots *slots = snapshot->slots;

	snapshot_unsecure(snapshot);
	count_users(snapshot, (u32)-1);
	for (u32 i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backends[i] && slots->backends.users[i] == 0)
			heirs->backend(heirs->owner, i);
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		struct pool *pool = snapshot->pools[i];

		if (pool && pool->users == 0)
			heirs->pool(heirs->owner, pool);
		if (pool && slots->pools.users[i] == 0)
			heirs->pool_slot(heirs->owner, i);
	}
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		if (snapshot->frontends[i] && slots->frontends.users[i] == 0)
			heirs->frontend(heirs->owner, i);
}

void snapshot_cancel(struct snapshot *snapshot)
{
	struct slots *slots = snapshot->slots;

	snapshot_unsecure(snapshot);
	for (u32 i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backends[i] && slots->backends.users[i] == 0)
			slot_give(&slots->backends, i);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] && snapshot->pools[i]->users == 0) {
			view_done(snapshot->pools[i]);
			if (slots->pools.users[i] == 0)
				slot_give(&slots->pools, i);
		}
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		if (snapshot->frontends[i] && slots->frontends.users[i] == 0)
			slot_give(&slots->frontends, i);
}

void snapshot_guard(struct snapshot *snapshot, u64 clients_max, u64 seed)
{
	u64 sum = 0;

	for (u32 i = 0; i < snapshot->conf->frontend_count; i++) {
		const struct conf_frontend *conf = &snapshot->conf->frontends[i];
		u64 own = conf->limits.connections ? conf->limits.connections : clients_max;

		if (guard_counts(conf))
			sum += MIN(own, clients_max);
	}
	if (sum == 0)
		return;
	if (!snapshot->guard)
		snapshot->guard = guard_new(MIN(sum, clients_max), snapshot->worker_count, seed);
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		if (snapshot->frontends[i] && guard_counts(snapshot->frontends[i]->conf))
			snapshot->frontends[i]->guard = snapshot->guard;
}

bool snapshot_secure(struct snapshot *snapshot, const struct snapshot *before,
	const struct tls_secret *secret, u64 clients_max, struct tls_error *ret_error)
{
	struct secure **old = before ? before->secure : NULL;
	u32 count = snapshot->worker_count + 1,
	    connections = (u32)MIN(clients_max * 3 + 64, 1u << 30);

	if (!old && !secure_is_wanted(snapshot->conf))
		return true;
	snapshot->secure = arena_zalloc(snapshot->arena, sizeof(*snapshot->secure) * count);
	for (u32 i = 0; i < count; i++) {
		snapshot->secure[i] = secure_new(snapshot, old ? old[i]->env : NULL, secret,
			connections, i < snapshot->worker_count, ret_error);
		if (!snapshot->secure[i])
			return false;
	}
	return true;
}

void snapshot_done(struct snapshot *snapshot)
{
	guard_free(snapshot->guard);
	snapshot_unsecure(snapshot);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			view_done(snapshot->pools[i]);
	if (snapshot->owns_slots)
		slots_free(snapshot->slots);
}

struct pool *snapshot_find_pool(const struct snapshot *snapshot, struct str name)
{
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] && str_eq(snapshot->pools[i]->name, name))
			return snapshot->pools[i];
	return NULL;
}

struct backend *snapshot_find_backend(const struct pool *pool, struct str id)
{
	for (u32 i = 0; pool && i < pool->backend_count; i++)
		if (str_eq(pool->backends[i].id, id))
			return &pool->backends[i];
	return NULL;
}

const struct frontend *snapshot_find_frontend(const struct snapshot *snapshot, struct str name)
{
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		if (snapshot->frontends[i] && str_eq(snapshot->frontends[i]->conf->name, name))
			return snapshot->frontends[i];
	return NULL;
}
