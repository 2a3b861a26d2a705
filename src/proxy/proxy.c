// SPDX-License-Identifier: Apache-2.0
#include "proxy/proxy.h"

#include "base/mem.h"
#include "proxy/exchange.h"
#include "proxy/secure.h"

enum { arena_bytes = 4096 };

static struct h1_parser *new_parsers(const struct snapshot *snapshot)
{
	struct h1_parser *parsers = mem_alloc(sizeof(*parsers) * MAX(snapshot->frontend_count, 1));

	for (u32 i = 0; i < snapshot->frontend_count; i++) {
		u64 head_bytes_max = snapshot->frontends[i].conf->http.max_header_size;

		ASSERT(head_bytes_max <= HTTP_HEAD_BYTES_MAX);
		parsers[i].limits.head_bytes_max = (u32)head_bytes_max;
		parsers[i].limits.target_bytes_max = (u32)head_bytes_max / 2;
	}
	return parsers;
}

void proxy_init(struct proxy *proxy, struct loop *loop, struct snapshot *snapshot, u32 number,
	const struct proxy_limits *limits, struct log *log, struct trace_ring *trace,
	struct metrics_cells *metrics, u64 seed)
{
	struct upstream_config upstream = {.loop = loop,
		.metrics = metrics,
		.crowd = &snapshot->crowd,
		.pools = snapshot->pools,
		.pool_count = snapshot->pool_count,
		.number = number,
		.links_max = limits->links_max,
		.seed = seed ^ 0x9e3779b97f4a7c15ull};

	memset(proxy, 0, sizeof(*proxy));
	proxy->loop = loop;
	proxy->snapshot = snapshot;
	proxy->log = log;
	proxy->trace = trace;
	proxy->metrics = metrics;
	proxy->parsers = upstream.parser = new_parsers(snapshot);
	proxy->splice = loop_can_splice(loop) ? &proxy->pipes : NULL;
	proxy->clients_max = limits->clients_max;
	list_init(&proxy->client_list);
	list_init(&proxy->rosters);
	rng_init(&proxy->rng, seed);
	slab_init(&proxy->clients, "client", sizeof(struct client), limits->clients_max);
	// An exchange that is over is freed at the end of the turn, while its client may begin
	// another.
	slab_init(&proxy->exchanges, "exchange", sizeof(struct exchange), limits->clients_max * 2);
	slab_init(&proxy->arenas, "arena", arena_bytes, limits->clients_max * 2);
	upstream_init(&proxy->upstream, &upstream);
	faults_init(&proxy->faults, loop, log, snapshot);
	if (snapshot->secure) {
		proxy->secure = snapshot->secure[number];
		tls_env_bind(proxy->secure->env, loop);
		proxy->upstream.tls = proxy->secure->clients;
		proxy->faults.tls_detail = proxy->secure->env->detail;
	}
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
	faults_done(&proxy->faults);
	load_probes_done(&proxy->load_probes);
	upstream_done(&proxy->upstream);
	mover_pipes_done(&proxy->pipes);
	slab_done(&proxy->arenas);
	slab_done(&proxy->exchanges);
	slab_done(&proxy->clients);
	mem_free(proxy->parsers);
}
