// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy.h"

#include "base/mem.h"
#include "proxy/exchange.h"
#include "proxy/passing.h"
#include "proxy/secure.h"

enum {
	arena_bytes = 4096,
	h2_streams_more = 32 * 1024, // than one for each client
	rebinds_at_once = 256,
};

static void bound_parsers(struct proxy *proxy, const struct snapshot *snapshot)
{
	for (u32 i = 0; i < snapshot->frontend_count; i++) {
		struct h1_limits *limits = &proxy->parsers[i].limits;
		u64 head_bytes_max;

		if (!snapshot->frontends[i])
			continue;
		head_bytes_max = snapshot->frontends[i]->conf->http.max_header_size;
		ASSERT(head_bytes_max <= HTTP_HEAD_BYTES_MAX);
		limits->head_bytes_max = (u32)head_bytes_max;
		limits->target_bytes_max = (u32)head_bytes_max / 2;
	}
}

static void on_excess(
	struct upstream *upstream, const struct backend *backend, enum h2_excess excess)
{
	struct proxy *proxy = container_of(upstream, struct proxy, upstream);

	faults_excess_of_backend(&proxy->faults, backend, excess);
}

static void on_tls_excess(
	struct upstream *upstream, const struct backend *backend, enum tls_fault fault)
{
	struct proxy *proxy = container_of(upstream, struct proxy, upstream);

	faults_tls_of_backend(&proxy->faults, backend, fault);
}

// ---- Another configuration ----------------------------------------------------------------------

static struct hold *new_hold(const struct snapshot *snapshot)
{
	struct hold *hold = mem_alloc(sizeof(*hold));

	hold->snapshot = snapshot;
	list_init(&hold->node);
	return hold;
}

// By the newest snapshot, or an older one that is still used.
static bool is_held(const struct proxy *proxy, const struct pool *pool)
{
	if (proxy->snapshot->pools[pool->index] == pool)
		return true;
	list_for_each (node, &proxy->old_holds) {
		const struct snapshot *old = list_entry(node, struct hold, node)->snapshot;

		if (pool->index < old->pool_count && old->pools[pool->index] == pool)
			return true;
	}
	return false;
}

void proxy_let_go_slowly(struct proxy *proxy, struct hold *hold)
{
	const struct snapshot *snapshot = hold->snapshot;

	ASSERT(hold->count == 0 && hold != proxy->hold);
	list_remove(&hold->node);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] && !is_held(proxy, snapshot->pools[i]))
			upstream_let_go(&proxy->upstream, snapshot->pools[i]);
	mem_free(hold);
	if (proxy->on_let_go)
		proxy->on_let_go(proxy, snapshot);
}

// Tunnels live long. Those that cannot go over, because what they came by is gone, keep what they
// have.
static void on_rebind(struct timer *timer)
{
	struct proxy *proxy = container_of(timer, struct proxy, rebind);

	for (u32 i = 0; i < rebinds_at_once && proxy->rebinds_left; i++) {
		struct exchange *x = list_first(&proxy->tunnels, struct exchange, tunnel);

		proxy->rebinds_left--;
		if (list_is_empty(&proxy->tunnels))
			return;
		list_remove(&x->tunnel);
		list_push_back(&proxy->tunnels, &x->tunnel);
		if (x->hold != proxy->hold)
			(void)exchange_rebind(x);
	}
	if (proxy->rebinds_left)
		loop_timer_set(proxy->loop, timer, loop_now_ms(proxy->loop) + 1);
}

static void begin_rebinds(struct proxy *proxy)
{
	proxy->rebinds_left = 0;
	list_for_each (node, &proxy->tunnels)
		proxy->rebinds_left++;
	if (proxy->rebinds_left)
		on_rebind(&proxy->rebind);
}

// What new connections use from now on.
static void take_secure(struct proxy *proxy, const struct snapshot *snapshot)
{
	if (!snapshot->secure)
		return;
	proxy->secure = snapshot->secure[proxy->upstream.number];
	tls_env_bind(proxy->secure->env, proxy->loop);
	proxy->upstream.tls = proxy->secure->clients;
	proxy->upstream.tls_count = proxy->secure->client_count;
	proxy->faults.tls_detail = proxy->secure->env->detail;
}

void proxy_adopt(struct proxy *proxy, const struct snapshot *snapshot)
{
	struct hold *before = proxy->hold;
	struct upstream_change change = {.pools = snapshot->pools,
		.backends = snapshot->backends,
		.pool_count = snapshot->pool_count,
		.backend_count = snapshot->backend_count};

	before->count++; // until the end of this
	list_push_back(&proxy->old_holds, &before->node);
	proxy->hold = new_hold(snapshot);
	proxy->snapshot = snapshot;
	bound_parsers(proxy, snapshot);
	front_adopt(proxy, before);
	load_probes_adopt(&proxy->load_probes, snapshot);
	faults_adopt(&proxy->faults, snapshot);
	take_secure(proxy, snapshot);
	upstream_adopt(&proxy->upstream, &change);
	begin_rebinds(proxy);
	proxy_let_go(proxy, before);
}

void proxy_forget_backend(struct proxy *proxy, u32 slot)
{
	upstream_forget(&proxy->upstream, slot);
	if (proxy->stats)
		stats_forget_backend(proxy->stats, slot);
}

// ---- Life ---------------------------------------------------------------------------------------

void proxy_init(struct proxy *proxy, struct loop *loop, struct snapshot *snapshot, u32 number,
	const struct proxy_limits *limits, struct log *log, struct trace_ring *trace,
	struct metrics_cells *metrics, u64 seed)
{
	struct upstream_config upstream = {.loop = loop,
		.metrics = metrics,
		.slots = snapshot->slots,
		.pools = snapshot->pools,
		.backends = snapshot->backends,
		.pool_count = snapshot->pool_count,
		.backend_count = snapshot->backend_count,
		.number = number,
		.links_max = limits->links_max,
		.seed = seed ^ 0x9e3779b97f4a7c15ull};

	u32 exchanges_max = limits->clients_max * 2 + h2_streams_more;

	memset(proxy, 0, sizeof(*proxy));
	proxy->loop = loop;
	proxy->snapshot = snapshot;
	proxy->log = log;
	proxy->trace = trace;
	proxy->metrics = metrics;
	proxy->parsers = upstream.parser =
		mem_alloc(sizeof(*proxy->parsers) * MAX(snapshot->slots->frontends.max, 1));
	bound_parsers(proxy, snapshot);
	proxy->gates = mem_alloc(sizeof(*proxy->gates) * MAX(snapshot->slots->frontends.max, 1));
	proxy->hold = new_hold(snapshot);
	list_init(&proxy->old_holds);
	list_init(&proxy->tunnels);
	timer_init(&proxy->rebind, on_rebind);
	proxy->h2 = upstream.h2 = h2_kit_new(&loop->blocks, &loop->now_us,
		limits->clients_max + limits->links_max, 2 * exchanges_max, ~seed);
	proxy->splice = loop_can_splice(loop) ? &proxy->pipes : NULL;
	proxy->clients_max = limits->clients_max;
	list_init(&proxy->client_list);
	front_adopt(proxy, proxy->hold);
	list_init(&proxy->rosters);
	rng_init(&proxy->rng, seed);
	slab_init(&proxy->clients, "client", sizeof(struct client), limits->clients_max);
	slab_init(&proxy->clients_with_origin, "client with origin",
		sizeof(struct client_with_origin), limits->clients_max);
	// An exchange that is over is freed at the end of the turn, while its client may begin
	// another; and a client of HTTP/2 may have many.
	slab_init(&proxy->exchanges, "exchange", sizeof(struct exchange), exchanges_max);
	slab_init(&proxy->arenas, "arena", arena_bytes, exchanges_max);
	upstream_init(&proxy->upstream, &upstream);
	proxy->upstream.on_excess = on_excess;
	proxy->upstream.on_tls_excess = on_tls_excess;
	faults_init(&proxy->faults, loop, log, snapshot);
	evict_init(proxy);
	take_secure(proxy, snapshot);
	load_probes_init(&proxy->load_probes, &proxy->upstream);
}

bool proxy_has_room(const struct proxy *proxy, const struct frontend *frontend)
{
	return front_has_room(proxy, frontend);
}

bool proxy_offer(struct proxy *proxy, const struct frontend *frontend, int fd)
{
	return front_offer(proxy, frontend, fd);
}

void proxy_accept(struct proxy *proxy, const struct frontend *frontend, int fd)
{
	front_accept(proxy, frontend, fd);
}

void proxy_drain(struct proxy *proxy)
{
	if (proxy->draining)
		return;
	proxy->draining = true;
	trace_add(proxy->trace, TRACE_DRAIN, 0, proxy->client_count, proxy->exchanges.used, 0);
	load_probes_drain(&proxy->load_probes);
	upstream_drain(&proxy->upstream);
	front_drain(proxy);
}

void proxy_abort(struct proxy *proxy)
{
	proxy_drain(proxy);
	proxy->is_aborted = true;
	front_abort(proxy);
}

bool proxy_is_empty(const struct proxy *proxy)
{
	return proxy->client_count == 0 && proxy->exchanges.used == 0 &&
	       load_probes_is_empty(&proxy->load_probes) && upstream_is_empty(&proxy->upstream);
}

void proxy_done(struct proxy *proxy)
{
	ASSERT(proxy_is_empty(proxy));
	passing_done(proxy);
	evict_done(proxy);
	faults_done(&proxy->faults);
	load_probes_done(&proxy->load_probes);
	upstream_done(&proxy->upstream);
	mover_pipes_done(&proxy->pipes);
	slab_done(&proxy->arenas);
	slab_done(&proxy->exchanges);
	slab_done(&proxy->clients_with_origin);
	slab_done(&proxy->clients);
	h2_kit_free(proxy->h2);
	loop_timer_cancel(proxy->loop, &proxy->rebind);
	ASSERT(proxy->hold->count == 0 && list_is_empty(&proxy->old_holds));
	mem_free(proxy->hold);
	mem_free(proxy->gates);
	mem_free(proxy->parsers);
}
