// SPDX-License-Identifier: Apache-2.0
#include "upstream/lease.h"

#include <errno.h>

#include "base/mem.h"

static struct link *of_session(struct session *session)
{
	return container_of(conn_of_session(session), struct link, conn);
}

static struct cell *cell_of(const struct link *link)
{
	return &link->upstream->cells[link->backend->cell];
}

static void leave_idle(struct link *link)
{
	if (!list_is_linked(&link->node))
		return;
	list_remove(&link->node);
	cell_of(link)->idle_count--;
	link->upstream->idle_count--;
	metrics_dec(link->upstream->metrics, M_BACKEND_CONNECTIONS_IDLE);
}

static bool is_usable(const struct link *link)
{
	return link->conn.session->end == SESSION_GOES_ON && !link->conn.closing &&
	       !link->conn.failed;
}

// Keeps a free link for the next request, or lets it go.
static void park(struct link *link)
{
	struct cell *cell = cell_of(link);
	struct pool *pool = link->backend->pool;
	u64 now_ms = loop_now_ms(link->conn.loop);

	if (link->conn.session->end != SESSION_GOES_ON) {
		conn_poke(&link->conn); // it ends by itself, when its output has left
		return;
	}
	if (!is_usable(link) || link->upstream->draining ||
		cell->idle_count >= pool->idle_connections_max ||
		link->upstream->idle_count >= link->upstream->idle_max) {
		conn_close(&link->conn);
		return;
	}
	list_push_front(&cell->idle, &link->node);
	cell->idle_count++;
	link->upstream->idle_count++;
	metrics_inc(link->upstream->metrics, M_BACKEND_CONNECTIONS_IDLE);
	link->idle_until_ms = now_ms + pool->upstream_idle_ms;
	conn_set_timer(&link->conn, link->idle_until_ms);
}

static void on_stream_done(struct session *session)
{
	struct link *link = of_session(session);

	link->stream_done = true;
	if (!link->lease)
		park(link);
}

static void on_poke(struct session *session)
{
	struct link *link = of_session(session);

	if (session->end != SESSION_GOES_ON && !link->lease)
		leave_idle(link);
	conn_poke(&link->conn);
}

static const struct session_events session_events = {
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
};

static void on_timer(struct conn *conn)
{
	struct link *link = container_of(conn, struct link, conn);

	if (!list_is_linked(&link->node))
		return; // in use: armed again when it is parked
	if (loop_now_ms(link->conn.loop) < link->idle_until_ms) {
		conn_set_timer(&link->conn, link->idle_until_ms);
		return;
	}
	leave_idle(link);
	conn_close(&link->conn);
}

static void on_closed(struct conn *conn)
{
	struct link *link = container_of(conn, struct link, conn);
	struct upstream *upstream = link->upstream;

	ASSERT(!link->lease);
	leave_idle(link);
	cell_of(link)->connections--;
	metrics_dec(upstream->metrics, M_BACKEND_CONNECTIONS_ACTIVE);
	metrics_add(upstream->metrics, M_BACKEND_BYTES_IN, conn->bytes_in);
	metrics_add(upstream->metrics, M_BACKEND_BYTES_OUT, conn->bytes_out);
	slab_put(&upstream->links, link);
}

static void take_stream(struct link *link, struct lease *lease)
{
	struct session *session = link->conn.session;

	link->stream_done = false;
	lease->heard_before = link->conn.bytes_in;
	lease->stream = session->ops->open(session);
}

static void on_connected(struct conn *conn, int error)
{
	struct link *link = container_of(conn, struct link, conn);
	struct lease *lease = link->lease;

	if (error)
		metrics_inc(link->upstream->metrics, M_CONNECT_FAILURES);
	if (!lease) { // nobody waits any more
		conn_close(conn);
		return;
	}
	if (error) {
		link->lease = NULL;
		lease->link = NULL;
		lease->events->on_failed(lease, error);
		return;
	}
	take_stream(link, lease);
	lease->events->on_ready(lease);
}

static const struct conn_events conn_events = {
	.on_closed = on_closed,
	.on_connected = on_connected,
	.on_timer = on_timer,
};

void upstream_init(struct upstream *upstream, struct loop *loop, struct h1_parser *parser,
	struct metrics_cells *metrics, u32 cell_count, u32 links_max)
{
	*upstream = (struct upstream){.loop = loop,
		.parser = parser,
		.metrics = metrics,
		.cell_count = cell_count,
		.idle_max = links_max / 2};
	slab_init(&upstream->links, "link", sizeof(struct link), links_max);
	upstream->cells = mem_alloc(sizeof(struct cell) * MAX(cell_count, 1));
	for (u32 i = 0; i < cell_count; i++)
		list_init(&upstream->cells[i].idle);
}

void upstream_drain(struct upstream *upstream)
{
	upstream->draining = true;
	for (u32 i = 0; i < upstream->cell_count; i++) {
		struct list *idle = &upstream->cells[i].idle;

		while (!list_is_empty(idle)) {
			struct link *link = list_first(idle, struct link, node);

			leave_idle(link);
			conn_close(&link->conn);
		}
	}
}

bool upstream_is_empty(const struct upstream *upstream)
{
	return upstream->links.used == 0;
}

void upstream_done(struct upstream *upstream)
{
	slab_done(&upstream->links);
	mem_free(upstream->cells);
}

static struct link *take_idle(struct upstream *upstream, struct backend *backend)
{
	struct cell *cell = &upstream->cells[backend->cell];

	while (!list_is_empty(&cell->idle)) {
		struct link *link = list_first(&cell->idle, struct link, node);

		leave_idle(link);
		if (is_usable(link))
			return link;
		conn_close(&link->conn);
	}
	return NULL;
}

static struct link *new_link(struct upstream *upstream, struct backend *backend, int *ret_error)
{
	struct link *link = slab_get(&upstream->links);
	int error;

	if (!link) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	error = conn_init_new(&link->conn, upstream->loop, &backend->addr, &conn_events);
	if (error) {
		slab_put(&upstream->links, link);
		*ret_error = error;
		return NULL;
	}
	link->upstream = upstream;
	link->backend = backend;
	link->lease = NULL;
	link->stream_done = false;
	list_init(&link->node);
	upstream->cells[backend->cell].connections++;
	metrics_inc(upstream->metrics, M_CONNECTS);
	metrics_inc(upstream->metrics, M_BACKEND_CONNECTIONS_ACTIVE);
	return link;
}

static void bind_lease(
	struct lease *lease, struct link *link, const struct lease_events *events, bool reused)
{
	*lease = (struct lease){
		.events = events, .link = link, .backend = link->backend, .reused = reused};
	link->lease = lease;
}

enum lease_result lease_open(struct upstream *upstream, struct lease *lease,
	struct backend *backend, bool may_reuse, const struct lease_events *events, int *ret_error)
{
	struct link *link = may_reuse ? take_idle(upstream, backend) : NULL;

	if (link) {
		metrics_inc(upstream->metrics, M_REUSE_HITS);
		bind_lease(lease, link, events, true);
		take_stream(link, lease);
		return LEASE_READY;
	}
	metrics_inc(upstream->metrics, M_REUSE_MISSES);
	link = new_link(upstream, backend, ret_error);
	if (!link)
		return LEASE_FAILED;
	bind_lease(lease, link, events, false);
	conn_use_h1(&link->conn, STREAM_CLIENT, upstream->parser, &session_events);
	conn_connect(&link->conn, &backend->addr);
	return LEASE_WAIT;
}

enum lease_result lease_open_raw(struct upstream *upstream, struct lease *lease,
	struct backend *backend, const struct lease_events *events, int *ret_error)
{
	struct link *link = new_link(upstream, backend, ret_error);

	if (!link)
		return LEASE_FAILED;
	bind_lease(lease, link, events, false);
	conn_use_raw(&link->conn, STREAM_CLIENT, &session_events);
	conn_connect(&link->conn, &backend->addr);
	return LEASE_WAIT;
}

void lease_release(struct lease *lease)
{
	struct link *link = lease->link;

	if (!link)
		return;
	lease->link = NULL;
	link->lease = NULL;
	if (link->stream_done)
		park(link);
}

void lease_abandon(struct lease *lease)
{
	struct link *link = lease->link;

	if (!link)
		return;
	lease->link = NULL;
	link->lease = NULL;
	if (lease->stream)
		lease->stream->ops->reset(lease->stream);
	conn_abort(&link->conn);
}
