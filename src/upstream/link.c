// SPDX-License-Identifier: Apache-2.0
#include "upstream/link.h"

#include "upstream/lease.h"
#include "upstream/queue.h"

enum { alive_check_ms = 30 * 1000 };

static struct link *of_session(struct session *session)
{
	return container_of(conn_of_session(session), struct link, conn);
}

// ---- Room for streams of HTTP/2 -----------------------------------------------------------------

u32 link_room(const struct link *link)
{
	u32 waiting = 0;

	if (link->is_open)
		return link->conn.session->ops->room(link->conn.session);
	for (const struct lease *lease = link->leases; lease; lease = lease->next)
		waiting++;
	return H2_STREAMS_MAX - MIN(waiting, (u32)H2_STREAMS_MAX);
}

void link_look_at_room(struct link *link)
{
	// One that was told whom it is for is shared by nobody.
	bool has_room =
		!link->is_told && link->leases && link_is_usable(link) && link_room(link) > 0;

	if (has_room == list_is_linked(&link->open_node))
		return;
	if (!has_room) {
		list_remove(&link->open_node);
		return;
	}
	list_push_front(&link_cell(link)->open, &link->open_node);
	if (link_picker(link)->pool)
		queue_freed(link->upstream, link_picker(link)->pool);
}

// ---- What it hears ------------------------------------------------------------------------------

static void on_stream_done(struct session *session, struct stream *stream)
{
	struct link *link = of_session(session);

	(void)stream;
	if (unlikely(link->is_h2)) {
		link_look_at_room(link);
		return;
	}
	link->stream_done = true;
	if (!link->leases)
		link_park(link);
}

static void on_poke(struct session *session)
{
	struct link *link = of_session(session);

	if (session->end != SESSION_GOES_ON && !link->leases)
		link_leave_idle(link);
	else if (unlikely(session->end != SESSION_GOES_ON && link->is_h2))
		list_remove(&link->open_node);
	conn_poke(&link->conn);
}

static void on_open_limit(struct session *session)
{
	struct link *link = of_session(session);

	if (link->is_open) {
		link_look_at_room(link);
		return;
	}
	link->is_open = true;
	lease_link_opened(link);
	link_look_at_room(link);
	if (!link->leases)
		link_park(link);
}

// The backend will answer what it has taken, and no more.
static void on_goaway(struct session *session)
{
	struct link *link = of_session(session);

	link->retires = true;
	list_remove(&link->open_node);
	if (!link->leases && list_is_linked(&link->node)) {
		link_leave_idle(link);
		link_let_go(link);
	}
}

static void on_excess(struct session *session)
{
	struct link *link = of_session(session);
	struct upstream *upstream = link->upstream;
	enum h2_excess excess = h2_excess_of(session);

	metrics_inc(upstream->metrics, M_H2_RESETS + (u32)excess);
	if (upstream->on_excess)
		upstream->on_excess(upstream, upstream->backends[link->cell], excess);
}

static const struct session_events session_events = {
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
	.on_open_limit = on_open_limit,
	.on_goaway = on_goaway,
	.on_excess = on_excess,
};

static void on_timer(struct conn *conn)
{
	struct link *link = container_of(conn, struct link, conn);

	if (unlikely(link->is_h2 && link->leases)) {
		conn_set_timer(&link->conn, loop_now_ms(link->conn.loop) + alive_check_ms);
		conn->session->ops->check_alive(conn->session);
		return;
	}
	if (!list_is_linked(&link->node))
		return; // in use: armed again when it is parked
	if (loop_now_ms(link->conn.loop) < link->idle_until_ms) {
		conn_set_timer(&link->conn, link->idle_until_ms);
		return;
	}
	link_leave_idle(link);
	link_let_go(link);
}

// The place goes to who waits for just this one, else to whoever waits longest.
static void give_socket(struct upstream *upstream, u32 cell, u32 pool, struct lease *heir)
{
	if (heir) {
		lease_inherit(heir, upstream);
		return;
	}
	cap_give(&upstream->slots->seats[cell].sockets);
	if (upstream->pickers[pool].pool)
		queue_freed(upstream, upstream->pickers[pool].pool);
}

static void on_closed(struct conn *conn)
{
	struct link *link = container_of(conn, struct link, conn);
	struct upstream *upstream = link->upstream;
	struct lease *heir = link->heir;
	u32 cell = link->cell, pool = link->pool;
	bool had_socket = link->has_socket;

	lease_link_failed(link, -ECONNRESET);
	ASSERT(!link->leases);
	if (link->owner)
		list_remove(&link->owner_node);
	link_leave_idle(link);
	list_remove(&link->open_node);
	cell_add(&link_cell(link)->connections, (u32)-1);
	metrics_dec(upstream->metrics, M_BACKEND_CONNECTIONS_ACTIVE);
	metrics_add(upstream->metrics, M_BACKEND_BYTES_IN, conn->bytes_in);
	metrics_add(upstream->metrics, M_BACKEND_BYTES_OUT, conn->bytes_out);
	slab_put(&upstream->links, link);
	if (had_socket)
		give_socket(upstream, cell, pool, heir);
}

static void on_connected(struct conn *conn, int error)
{
	struct link *link = container_of(conn, struct link, conn);

	if (error)
		metrics_inc(link->upstream->metrics, M_CONNECT_FAILURES);
	if (!link->leases) { // nobody waits any more
		conn_close(conn);
		return;
	}
	if (error) {
		list_remove(&link->open_node);
		lease_link_failed(link, error);
		return;
	}
	if (unlikely(link->is_h2)) { // on_open_limit follows
		conn_set_timer(conn, loop_now_ms(conn->loop) + alive_check_ms);
		return;
	}
	lease_link_ready(link);
}

static void on_tls_excess(struct conn *conn)
{
	struct link *link = container_of(conn, struct link, conn);
	struct upstream *upstream = link->upstream;

	if (upstream->on_tls_excess)
		upstream->on_tls_excess(
			upstream, upstream->backends[link->cell], (enum tls_fault)conn->tls->fault);
}

// Of HTTP/1 the stream tells it further. Of HTTP/2 there is none before the backend's first word.
static void on_unwelcome(struct conn *conn, int error)
{
	struct link *link = container_of(conn, struct link, conn);

	metrics_inc(link->upstream->metrics, M_CONNECT_FAILURES);
	if (!link->is_h2)
		return;
	list_remove(&link->open_node);
	lease_link_failed(link, error);
}

static const struct conn_events conn_events = {
	.on_closed = on_closed,
	.on_connected = on_connected,
	.on_unwelcome = on_unwelcome,
	.on_timer = on_timer,
	.on_excess = on_tls_excess,
};

// ---- The beginning ------------------------------------------------------------------------------

static void init_link(struct link *link, struct upstream *upstream, const struct backend *backend)
{
	link->upstream = upstream;
	link->cell = backend->cell;
	link->pool = backend->pool->index;
	link->leases = NULL;
	link->heir = NULL;
	link->stream_done = link->is_h2 = link->is_open = link->retires = false;
	link->owner = NULL;
	link->is_told = false;
	link->has_socket = backend->sockets_max > 0;
	list_init(&link->node);
	list_init(&link->bound_node);
	list_init(&link->open_node);
	cell_add(&link_cell(link)->connections, 1);
	metrics_inc(upstream->metrics, M_BACKEND_CONNECTIONS_ACTIVE);
}

static struct link *new_link(struct upstream *upstream, struct backend *backend, int *ret_error)
{
	struct link *link = slab_get(&upstream->links);
	int error;

	if (unlikely(upstream_has_many_busy(upstream)) && upstream->on_many)
		upstream->on_many(upstream);
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
	init_link(link, upstream, backend);
	metrics_inc(upstream->metrics, M_CONNECTS);
	return link;
}

struct link *link_take_fd(struct upstream *upstream, struct backend *backend, int fd)
{
	struct link *link = slab_get(&upstream->links);

	if (!link)
		return NULL;
	conn_init_fd(&link->conn, upstream->loop, fd, &conn_events);
	link->conn.upstream = true;
	init_link(link, upstream, backend);
	if (link->has_socket)
		(void)cap_take(backend->sockets, 0); // it was there before the bound
	conn_use_raw(&link->conn, STREAM_CLIENT, &session_events);
	return link;
}

static int introduce(struct link *link, const struct lease_intro *intro)
{
	link->is_told = true;
	link->owner = intro->owner;
	if (intro->owner)
		list_push_front(&intro->owner->links, &link->owner_node);
	return conn_send_first(&link->conn, intro->bytes);
}

// One that the configuration has no more is never spoken to in clear instead.
static bool use_tls(struct link *link)
{
	const struct upstream *upstream = link->upstream;
	u32 cell = link->cell;

	return cell < upstream->tls_count && upstream->tls[cell] &&
	       conn_use_tls_client(&link->conn, upstream->tls[cell]);
}

// Without memory for HTTP/2's own state, what HTTP/1 has is there, and the backend will refuse it.
static void use_session(struct link *link, const struct lease *lease)
{
	struct upstream *upstream = link->upstream;
	struct conn *conn = &link->conn;

	if (lease->raw) {
		conn_use_raw(conn, STREAM_CLIENT, &session_events);
		return;
	}
	link->is_h2 = lease->backend->is_h2 &&
		      conn_use_h2(conn, STREAM_CLIENT, upstream->h2, upstream->parser,
			      lease->backend->is_tls, &session_events) == 0;
	if (link->is_h2)
		return;
	conn_use_h1(conn, STREAM_CLIENT, upstream->parser, &session_events);
	if (link->has_socket)
		h1_see_it_out(&conn->h1);
}

bool link_connect(
	struct lease *lease, struct upstream *upstream, struct backend *backend, int *ret_error)
{
	struct link *link = new_link(upstream, backend, ret_error);

	if (!link) {
		if (backend->sockets_max) {
			cap_give(backend->sockets);
			queue_freed(upstream, backend->pool);
		}
		return false;
	}
	use_session(link, lease);
	if ((unlikely(backend->is_tls) && !use_tls(link)) ||
		(unlikely(lease->intro) && introduce(link, lease->intro) != 0)) {
		*ret_error = -ENOMEM;
		conn_close(&link->conn);
		return false;
	}
	lease_attach(lease, link);
	conn_connect(&link->conn, &backend->addr);
	if (link->is_h2)
		link_look_at_room(link);
	return true;
}
