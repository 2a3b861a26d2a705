// SPDX-License-Identifier: Apache-2.0
#include "proxy/load_probe.h"

#include "base/mem.h"
#include "proxy/snapshot.h"
#include "upstream/load.h"
#include "upstream/queue.h"

enum {
	probes_max = 1024,	  // at a time, of a worker
	requests_probed_max = 16, // at a time, of a pool: so many times prequal.probes
	backend_probes_max = 4,	  // at a time, to one backend
	links_kept_one_in = 4,	  // part of all connections that only requests may use
	body_bytes_max = 64 * 1024,
};

static const struct str own_lines = STR("User-Agent: weir/" WEIR_VERSION " load-probe\r\n");

// One worker's, of one pool.
struct load_prober {
	struct load_probes *probes;
	struct picker *picker;
	struct task send; // at the end of the turn
	u32 wanted;	  // requests that came since the last one
	u32 running;
};

struct load_probe {
	struct load_prober *prober;
	struct lease lease;
	struct timer timer;
	struct list node; // in load_probes.running
	struct task free;
	u32 body_bytes; // of the answer, so far
	bool heard;	// the answer's head has come
};

// ---- The end ------------------------------------------------------------------------------------

static void free_probe(struct task *task)
{
	struct load_probe *probe = container_of(task, struct load_probe, free);

	slab_put(&probe->prober->probes->probes, probe);
}

// `whole`: its answer is complete.
static void finish(struct load_probe *probe, bool whole)
{
	struct load_prober *prober = probe->prober;
	struct upstream *upstream = prober->probes->upstream;

	if (whole)
		lease_release(&probe->lease);
	else
		lease_abandon(&probe->lease);
	upstream_cell(upstream, probe->lease.backend)->load_probes--;
	prober->running--;
	list_remove(&probe->node);
	loop_timer_cancel(upstream->loop, &probe->timer);
	loop_defer(upstream->loop, &probe->free);
}

static void count(const struct load_probe *probe, enum metric metric)
{
	metrics_inc(probe->prober->probes->upstream->metrics, metric);
}

static void fail(struct load_probe *probe)
{
	if (!probe->heard)
		count(probe, M_LOAD_PROBES_FAILED);
	finish(probe, false);
}

static void on_late(struct timer *timer)
{
	fail(container_of(timer, struct load_probe, timer));
}

// ---- The answer ---------------------------------------------------------------------------------

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	struct load_probe *probe = stream->owner;

	if (head->status < 200)
		return;
	probe->heard = true;
	if (head->status >= 500) {
		count(probe, M_LOAD_PROBES_FAILED);
	} else {
		count(probe, M_LOAD_PROBES);
		load_note_probe(probe->prober->probes->upstream, probe->lease.backend, head);
	}
	if (end)
		finish(probe, true);
	else
		stream->ops->grant(stream, body_bytes_max);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct load_probe *probe = stream->owner;

	probe->body_bytes += (u32)slice.len; // no more than was granted
	slice_drop(&slice);
	if (end || probe->body_bytes == body_bytes_max)
		finish(probe, end);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 number)
{
	(void)fields;
	(void)number;
	finish(stream->owner, true);
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	(void)fault;
	fail(stream->owner);
}

static const struct stream_events stream_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

// ---- The request --------------------------------------------------------------------------------

static void send_request(struct load_probe *probe)
{
	const struct backend *backend = probe->lease.backend;
	struct stream *stream = probe->lease.stream;
	struct http_head head;

	http_head_init(&head, NULL);
	head.method = HTTP_GET;
	head.method_text = STR("GET");
	head.path = backend->pool->conf->prequal.probe;
	head.authority = backend->addr.family == ADDR_UNIX ? STR("localhost") : backend->address;
	head.version_minor = 1;
	head.framing = HTTP_NO_BODY;
	head.added[head.added_count++] = own_lines;
	stream->events = &stream_events;
	stream->owner = probe;
	stream->ops->use_parser(stream, probe->prober->probes->upstream->parser);
	stream->ops->send_head(stream, &head, true);
}

static void on_ready(struct lease *lease)
{
	send_request(container_of(lease, struct load_probe, lease));
}

static void on_failed(struct lease *lease, int error)
{
	(void)error;
	fail(container_of(lease, struct load_probe, lease));
}

static const struct lease_events lease_events = {.on_ready = on_ready, .on_failed = on_failed};

static struct load_probe *new_probe(struct load_prober *prober)
{
	struct load_probe *probe = slab_get(&prober->probes->probes);

	if (!probe)
		return NULL;
	*probe = (struct load_probe){.prober = prober, .free = {.run = free_probe}};
	timer_init(&probe->timer, on_late);
	list_init(&probe->node);
	return probe;
}

static void begin(struct load_prober *prober, struct backend *backend)
{
	struct load_probes *probes = prober->probes;
	struct upstream *upstream = probes->upstream;
	const struct pool *pool = backend->pool;
	struct load_probe *probe = new_probe(prober);
	int error;

	if (!probe) {
		metrics_inc(upstream->metrics, M_LOAD_PROBES_SKIPPED);
		return;
	}
	prober->running++;
	upstream_cell(upstream, backend)->load_probes++;
	list_push_back(&probes->running, &probe->node);
	loop_timer_set(upstream->loop, &probe->timer,
		loop_now_ms(upstream->loop) +
			MIN(pool->conf->prequal.age_max_ms, pool->response_timeout_ms));
	switch (lease_open(upstream, &probe->lease, backend, true, &lease_events, &error)) {
	case LEASE_READY:
		send_request(probe);
		break;
	case LEASE_WAIT:
		break;
	case LEASE_FULL: // others were faster
		count(probe, M_LOAD_PROBES_SKIPPED);
		finish(probe, false);
		break;
	case LEASE_FAILED:
		fail(probe);
		break;
	}
}

// ---- Whether and whom ---------------------------------------------------------------------------

// Requests must not find the backend full because of a probe.
static bool has_socket_to_spare(struct load_prober *prober, const struct backend *backend)
{
	const struct cell *cell = upstream_cell(prober->probes->upstream, backend);
	u32 used = cap_used(backend->sockets);

	if (!backend->sockets_max)
		return true;
	if (queue_waiting(backend->pool))
		return false;
	return cell->idle_count > 1 || used + 1 < backend->sockets_max;
}

static bool is_within_limits(const struct load_prober *prober, const struct backend *backend)
{
	const struct upstream *upstream = prober->probes->upstream;
	const struct slab *links = &upstream->links;

	return prober->running < requests_probed_max * prober->picker->prequal->options.probes &&
	       upstream->cells[backend->cell].load_probes < backend_probes_max &&
	       links->used < links->used_max - links->used_max / links_kept_one_in;
}

static void consider(struct load_prober *prober, struct backend *backend)
{
	struct upstream *upstream = prober->probes->upstream;

	if (!balance_is_eligible(prober->picker->state, backend->index))
		return;
	if (!is_within_limits(prober, backend)) {
		metrics_inc(upstream->metrics, M_LOAD_PROBES_SKIPPED);
	} else if (!has_socket_to_spare(prober, backend)) {
		metrics_inc(upstream->metrics, M_LOAD_PROBES_SKIPPED);
		load_note_probe(upstream, backend, NULL);
	} else {
		begin(prober, backend);
	}
}

static void send_all(struct task *task)
{
	struct load_prober *prober = container_of(task, struct load_prober, send);
	struct picker *picker = prober->picker;

	if (!picker->prequal) // the pool has another object meanwhile
		prober->wanted = 0;
	for (; prober->wanted; prober->wanted--) {
		u32 targets[PREQUAL_PROBES_MAX];
		u32 number = prequal_targets(picker->prequal, &picker->upstream->rng, targets);

		for (u32 i = 0; i < number; i++)
			consider(prober, &picker->pool->backends[targets[i]]);
	}
}

void load_probes_ask(struct load_probes *probes, const struct pool *pool)
{
	struct load_prober *prober = &probes->probers[pool->index];

	if (probes->draining)
		return;
	prober->wanted++;
	loop_defer(probes->upstream->loop, &prober->send);
}

// ---- Life ---------------------------------------------------------------------------------------

void load_probes_init(struct load_probes *probes, struct upstream *upstream)
{
	*probes = (struct load_probes){.upstream = upstream};
	list_init(&probes->running);
	slab_init(&probes->probes, "load probe", sizeof(struct load_probe), probes_max);
	probes->probers =
		mem_alloc(sizeof(struct load_prober) * MAX(upstream->slots->pools.max, 1));
	for (u32 i = 0; i < upstream->slots->pools.max; i++)
		probes->probers[i] = (struct load_prober){.probes = probes,
			.picker = &upstream->pickers[i],
			.send = {.run = send_all}};
}

void load_probes_adopt(struct load_probes *probes, const struct snapshot *snapshot)
{
	list_for_each_safe (node, &probes->running) {
		struct load_probe *probe = list_entry(node, struct load_probe, node);
		const struct pool *pool = probe->lease.backend->pool;

		if (snapshot->pools[pool->index] != pool)
			finish(probe, false);
	}
}

void load_probes_drain(struct load_probes *probes)
{
	probes->draining = true;
	list_for_each_safe (node, &probes->running)
		finish(list_entry(node, struct load_probe, node), false);
	for (u32 i = 0; i < probes->upstream->slots->pools.max; i++)
		probes->probers[i].wanted = 0;
}

void load_probes_done(struct load_probes *probes)
{
	for (u32 i = 0; i < probes->upstream->slots->pools.max; i++)
		ASSERT(!probes->probers[i].send.next);
	mem_free(probes->probers);
	slab_done(&probes->probes);
}
