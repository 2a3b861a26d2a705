// SPDX-License-Identifier: Apache-2.0
#include "upstream/lease.h"

#include <errno.h>

#include "net/tls.h"
#include "upstream/queue.h"

enum { alive_check_ms = 30 * 1000 };

static struct link *of_session(struct session *session)
{
	return container_of(conn_of_session(session), struct link, conn);
}

static struct cell *cell_of(const struct link *link)
{
	return &link->upstream->cells[link->cell];
}

static struct picker *picker_of(const struct link *link)
{
	return &link->upstream->pickers[link->pool];
}

// NULL: the configuration has no such backend any more.
static struct backend *backend_of(const struct link *link)
{
	return link->upstream->backends[link->cell];
}

static void leave_idle(struct link *link)
{
	if (!list_is_linked(&link->node))
		return;
	list_remove(&link->node);
	cell_add(&cell_of(link)->idle_count, (u32)-1);
	link->upstream->idle_count--;
	metrics_dec(link->upstream->metrics, M_BACKEND_CONNECTIONS_IDLE);
	if (link->has_socket) {
		list_remove(&link->bound_node);
		atomic_fetch_sub(&picker_of(link)->shared->idle_bounded, 1);
	}
}

static bool is_usable(const struct link *link)
{
	return link->conn.session->end == SESSION_GOES_ON && !link->conn.closing &&
	       !link->conn.failed && likely(!link->retires);
}

static void attach(struct link *link, struct lease *lease)
{
	lease->link = link;
	lease->next = link->leases;
	lease->at = &link->leases;
	if (unlikely(lease->next))
		lease->next->at = &lease->next;
	link->leases = lease;
}

static void detach(struct lease *lease)
{
	*lease->at = lease->next;
	if (unlikely(lease->next))
		lease->next->at = lease->at;
	lease->link = NULL;
}

// ---- Links of HTTP/2 that are in use ------------------------------------------------------------

static u32 room_of(const struct link *link)
{
	u32 waiting = 0;

	if (link->is_open)
		return link->conn.session->ops->room(link->conn.session);
	for (const struct lease *lease = link->leases; lease; lease = lease->next)
		waiting++;
	return H2_STREAMS_MAX - MIN(waiting, (u32)H2_STREAMS_MAX);
}

// To be called whenever something changes that it depends on. Where somebody waits for a place and
// this is one, it is told.
static void look_at_room(struct link *link)
{
	// One that was told whom it is for is shared by nobody.
	bool has_room = !link->is_told && link->leases && is_usable(link) && room_of(link) > 0;

	if (has_room == list_is_linked(&link->open_node))
		return;
	if (!has_room) {
		list_remove(&link->open_node);
		return;
	}
	list_push_front(&cell_of(link)->open, &link->open_node);
	if (picker_of(link)->pool)
		queue_freed(link->upstream, picker_of(link)->pool);
}

// An idle link goes. Where sockets are bounded the backend must have seen the last one go before it
// sees the next one come: its end is waited for.
static void let_go(struct link *link)
{
	if (link->has_socket && is_usable(link))
		link->conn.session->ops->finish(link->conn.session);
	else
		conn_finish(&link->conn);
}

// It serves the next request in the order in which they came, in this worker or in another one.
static void offer_idle(struct link *link)
{
	struct picker *picker = picker_of(link);

	list_push_front(&picker->idle, &link->bound_node);
	atomic_fetch_add(&picker->shared->idle_bounded, 1);
	if (atomic_load(&picker->pool->waiting) == 0)
		return;
	if (picker->queue.count && queue_others(picker) == 0) {
		loop_defer(picker->upstream->loop, &picker->serve);
		return;
	}
	leave_idle(link);
	let_go(link);
}

static bool is_disabled(const struct backend *backend)
{
	return unlikely(atomic_load_explicit(&backend->pool->disabled, memory_order_relaxed)) &&
	       atomic_load_explicit(&backend->is_disabled, memory_order_relaxed);
}

// It was verified, and was shown what a new connection would be shown. Kept apart, so that suits is
// small enough to be no call for clear ones.
static __attribute__((noinline)) bool is_believed(const struct link *link)
{
	const struct upstream *upstream = link->upstream;
	const struct tls_client *now =
		link->cell < upstream->tls_count ? upstream->tls[link->cell] : NULL;

	return now && tls_client_is_same(link->conn.tls->client, now);
}

// It is spoken to as the present configuration wants: links outlive the one they were made by.
static bool suits(const struct link *link, const struct backend *backend)
{
	return link->is_h2 == backend->is_h2 && link->conn.is_secure == backend->is_tls &&
	       (likely(!link->conn.is_secure) || is_believed(link));
}

// Keeps a free link for the next request, or lets it go.
static void park(struct link *link)
{
	struct cell *cell = cell_of(link);
	const struct backend *backend = backend_of(link);
	u64 now_ms = loop_now_ms(link->conn.loop);

	if (link->conn.session->end != SESSION_GOES_ON) {
		conn_poke(&link->conn); // it ends by itself, when its output has left
		return;
	}
	if (!is_usable(link) || (link->is_told && !link->owner) || link->upstream->draining ||
		!backend || is_disabled(backend) ||
		(unlikely(link->conn.is_secure) && !suits(link, backend)) ||
		cell->idle_count >= backend->pool->idle_connections_max ||
		link->upstream->idle_count >= link->upstream->idle_max) {
		let_go(link);
		return;
	}
	ASSERT(!list_is_linked(&link->node));
	list_push_front(&cell->idle, &link->node);
	cell_add(&cell->idle_count, 1);
	link->upstream->idle_count++;
	metrics_inc(link->upstream->metrics, M_BACKEND_CONNECTIONS_IDLE);
	link->idle_until_ms = now_ms + backend->pool->upstream_idle_ms;
	conn_set_timer(&link->conn, link->idle_until_ms);
	if (unlikely(link->has_socket))
		offer_idle(link);
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	struct link *link = of_session(session);

	(void)stream;
	if (unlikely(link->is_h2)) {
		look_at_room(link);
		return;
	}
	link->stream_done = true;
	if (!link->leases)
		park(link);
}

static void on_poke(struct session *session)
{
	struct link *link = of_session(session);

	if (session->end != SESSION_GOES_ON && !link->leases)
		leave_idle(link);
	else if (unlikely(session->end != SESSION_GOES_ON && link->is_h2))
		list_remove(&link->open_node);
	conn_poke(&link->conn);
}

static void on_open_limit(struct session *session);

// The backend will answer what it has taken, and no more.
static void on_goaway(struct session *session)
{
	struct link *link = of_session(session);

	link->retires = true;
	list_remove(&link->open_node);
	if (!link->leases && list_is_linked(&link->node)) {
		leave_idle(link);
		let_go(link);
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
	leave_idle(link);
	let_go(link);
}

static void connect_heir(struct lease *lease, struct upstream *upstream, struct backend *backend);

// The place goes to who waits for just this one, else to whoever waits longest.
static void give_socket(struct upstream *upstream, u32 cell, u32 pool, struct lease *heir)
{
	if (heir) {
		connect_heir(heir, upstream, heir->backend);
		return;
	}
	cap_give(&upstream->slots->seats[cell].sockets);
	if (upstream->pickers[pool].pool)
		queue_freed(upstream, upstream->pickers[pool].pool);
}

// Those who wait for the link hear that there is none. Whoever has a stream has heard of its end by
// then.
static void fail_waiting(struct link *link, int error)
{
	while (link->leases) {
		struct lease *lease = link->leases;

		ASSERT(!lease->stream);
		detach(lease);
		lease->events->on_failed(lease, error);
	}
}

static void on_closed(struct conn *conn)
{
	struct link *link = container_of(conn, struct link, conn);
	struct upstream *upstream = link->upstream;
	struct lease *heir = link->heir;
	u32 cell = link->cell, pool = link->pool;
	bool had_socket = link->has_socket;

	fail_waiting(link, -ECONNRESET);
	ASSERT(!link->leases);
	if (link->owner)
		list_remove(&link->owner_node);
	leave_idle(link);
	list_remove(&link->open_node);
	cell_add(&cell_of(link)->connections, (u32)-1);
	metrics_dec(upstream->metrics, M_BACKEND_CONNECTIONS_ACTIVE);
	metrics_add(upstream->metrics, M_BACKEND_BYTES_IN, conn->bytes_in);
	metrics_add(upstream->metrics, M_BACKEND_BYTES_OUT, conn->bytes_out);
	slab_put(&upstream->links, link);
	if (had_socket)
		give_socket(upstream, cell, pool, heir);
}

static void take_stream(struct link *link, struct lease *lease)
{
	struct session *session = link->conn.session;

	link->stream_done = false;
	lease->heard_before = link->conn.bytes_in;
	lease->stream = session->ops->open(session);
}

static enum lease_result find_other(struct lease *lease, struct upstream *upstream, int *ret_error);

// A stream for who has waited for the backend's word; where it allows fewer than wait, another
// link.
static void serve_waiting(struct link *link, struct lease *lease)
{
	struct upstream *upstream = link->upstream;
	enum lease_result result = LEASE_FAILED;
	int error = -ENOMEM;

	if (room_of(link)) {
		take_stream(link, lease);
		if (lease->stream) {
			lease->events->on_ready(lease);
			return;
		}
		detach(lease);
	} else {
		detach(lease);
		look_at_room(link);
		result = find_other(lease, upstream, &error);
	}
	if (result == LEASE_READY)
		lease->events->on_ready(lease);
	else if (result != LEASE_WAIT)
		lease->events->on_failed(lease, result == LEASE_FULL ? -EAGAIN : error);
}

static void on_open_limit(struct session *session)
{
	struct link *link = of_session(session);

	if (link->is_open) {
		look_at_room(link);
		return;
	}
	link->is_open = true;
	for (;;) { // each call may change the list
		struct lease *lease = link->leases;

		while (lease && lease->stream)
			lease = lease->next;
		if (!lease)
			break;
		serve_waiting(link, lease);
	}
	look_at_room(link);
	if (!link->leases)
		park(link);
}

static void on_connected(struct conn *conn, int error)
{
	struct link *link = container_of(conn, struct link, conn);
	struct lease *lease = link->leases;

	if (error)
		metrics_inc(link->upstream->metrics, M_CONNECT_FAILURES);
	if (!lease) { // nobody waits any more
		conn_close(conn);
		return;
	}
	if (error) {
		list_remove(&link->open_node);
		fail_waiting(link, error);
		return;
	}
	if (unlikely(link->is_h2)) { // on_open_limit follows
		conn_set_timer(conn, loop_now_ms(conn->loop) + alive_check_ms);
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

static struct link *take_idle(struct upstream *upstream, struct backend *backend)
{
	struct cell *cell = upstream_cell(upstream, backend);

	while (!list_is_empty(&cell->idle)) {
		struct link *link = list_first(&cell->idle, struct link, node);

		leave_idle(link);
		if (is_usable(link) && suits(link, backend) &&
			(likely(!link->is_h2) || room_of(link)))
			return link;
		conn_finish(&link->conn);
	}
	return NULL;
}

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
	cell_add(&cell_of(link)->connections, 1);
	metrics_inc(upstream->metrics, M_BACKEND_CONNECTIONS_ACTIVE);
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
	init_link(link, upstream, backend);
	metrics_inc(upstream->metrics, M_CONNECTS);
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

// The place at the backend, where they are bounded, was taken.
static enum lease_result connect_link(
	struct lease *lease, struct upstream *upstream, struct backend *backend, int *ret_error)
{
	struct link *link = new_link(upstream, backend, ret_error);

	if (!link) {
		if (backend->sockets_max) {
			cap_give(backend->sockets);
			queue_freed(upstream, backend->pool);
		}
		return LEASE_FAILED;
	}
	use_session(link, lease);
	if ((unlikely(backend->is_tls) && !use_tls(link)) ||
		(unlikely(lease->intro) && introduce(link, lease->intro) != 0)) {
		*ret_error = -ENOMEM;
		conn_close(&link->conn);
		return LEASE_FAILED;
	}
	attach(link, lease);
	conn_connect(&link->conn, &backend->addr);
	if (link->is_h2)
		look_at_room(link);
	return LEASE_WAIT;
}

static void connect_heir(struct lease *lease, struct upstream *upstream, struct backend *backend)
{
	int error = 0;

	lease->link = NULL;
	if (connect_link(lease, upstream, backend, &error) == LEASE_FAILED)
		lease->events->on_failed(lease, error);
}

static enum lease_result open_new(struct lease *lease, struct upstream *upstream, int *ret_error)
{
	struct backend *backend = lease->backend;
	struct link *idle;

	if (likely(!backend->sockets_max) || cap_take(backend->sockets, backend->sockets_max))
		return connect_link(lease, upstream, backend, ret_error);
	idle = take_idle(upstream, backend);
	if (!idle)
		return LEASE_FULL;
	idle->heir = lease;
	lease->link = idle;
	let_go(idle);
	return LEASE_WAIT;
}

// It is a link of HTTP/2, and `lease` has taken its stream there.
static enum lease_result shared(struct link *link, struct lease *lease, int *ret_error)
{
	if (lease->stream) {
		look_at_room(link);
		return LEASE_READY;
	}
	detach(lease);
	if (!link->leases)
		park(link);
	*ret_error = -ENOMEM;
	return LEASE_FAILED;
}

// One that others use and that has room for another stream. NULL: there is none.
static struct link *find_open(struct upstream *upstream, const struct backend *backend)
{
	struct cell *cell = upstream_cell(upstream, backend);

	while (!list_is_empty(&cell->open)) {
		struct link *link = list_first(&cell->open, struct link, open_node);

		if (likely(suits(link, backend)))
			return link;
		link->retires = true;
		list_remove(&link->open_node);
	}
	return NULL;
}

// Others use it now, so that it is not a connection that went stale.
static enum lease_result share(
	struct link *link, struct lease *lease, struct upstream *upstream, int *ret_error)
{
	metrics_inc(upstream->metrics, M_REUSE_HITS);
	attach(link, lease);
	if (!link->is_open) {
		look_at_room(link);
		return LEASE_WAIT;
	}
	lease->reused = true;
	take_stream(link, lease);
	return shared(link, lease, ret_error);
}

static enum lease_result find_other(struct lease *lease, struct upstream *upstream, int *ret_error)
{
	struct link *link = lease->intro ? NULL : find_open(upstream, lease->backend);

	if (!link)
		return open_new(lease, upstream, ret_error);
	return share(link, lease, upstream, ret_error);
}

static enum lease_result reuse(
	struct upstream *upstream, struct lease *lease, struct link *link, int *ret_error)
{
	metrics_inc(upstream->metrics, M_REUSE_HITS);
	lease->reused = lease->was_idle = true;
	attach(link, lease);
	take_stream(link, lease);
	if (likely(!link->is_h2))
		return LEASE_READY;
	return shared(link, lease, ret_error);
}

enum lease_result lease_open(struct upstream *upstream, struct lease *lease,
	struct backend *backend, bool may_reuse, const struct lease_events *events, int *ret_error)
{
	struct link *link;

	*lease = (struct lease){.events = events, .backend = backend};
	if (unlikely(backend->is_h2)) {
		link = find_open(upstream, backend);
		if (link)
			return share(link, lease, upstream, ret_error);
	}
	link = may_reuse ? take_idle(upstream, backend) : NULL;
	while (unlikely(link && link->is_told)) { // from before the pool told nobody
		let_go(link);
		link = take_idle(upstream, backend);
	}
	if (link)
		return reuse(upstream, lease, link, ret_error);
	metrics_inc(upstream->metrics, M_REUSE_MISSES);
	return open_new(lease, upstream, ret_error);
}

enum lease_result lease_open_raw(struct upstream *upstream, struct lease *lease,
	struct backend *backend, const struct lease_events *events, int *ret_error)
{
	*lease = (struct lease){.events = events, .backend = backend, .raw = true};
	return open_new(lease, upstream, ret_error);
}

bool lease_take_raw(struct upstream *upstream, struct lease *lease, struct backend *backend, int fd,
	const struct lease_events *events)
{
	struct link *link = slab_get(&upstream->links);

	*lease = (struct lease){.events = events, .backend = backend, .raw = true};
	if (!link)
		return false;
	conn_init_fd(&link->conn, upstream->loop, fd, &conn_events);
	link->conn.upstream = true;
	init_link(link, upstream, backend);
	if (link->has_socket)
		(void)cap_take(backend->sockets, 0); // it was there before the bound
	conn_use_raw(&link->conn, STREAM_CLIENT, &session_events);
	attach(link, lease);
	take_stream(link, lease);
	return true;
}

// One that the owner keeps for this backend. There are no more of them than it has had requests at
// the same time.
static struct link *take_owned(struct lease_owner *owner, const struct backend *backend)
{
	list_for_each_safe (node, &owner->links) {
		struct link *link = list_entry(node, struct link, owner_node);

		if (link->cell != backend->cell || !list_is_linked(&link->node))
			continue;
		leave_idle(link);
		if (is_usable(link) && suits(link, backend))
			return link;
		conn_finish(&link->conn);
	}
	return NULL;
}

enum lease_result lease_open_told(struct upstream *upstream, struct lease *lease,
	struct backend *backend, const struct lease_intro *intro, bool raw, bool may_reuse,
	const struct lease_events *events, int *ret_error)
{
	struct link *link = may_reuse && intro->owner ? take_owned(intro->owner, backend) : NULL;

	*lease = (struct lease){.events = events, .backend = backend, .intro = intro, .raw = raw};
	if (link)
		return reuse(upstream, lease, link, ret_error);
	if (!raw)
		metrics_inc(upstream->metrics, M_REUSE_MISSES);
	return open_new(lease, upstream, ret_error);
}

void lease_owner_init(struct lease_owner *owner)
{
	list_init(&owner->links);
}

void lease_owner_done(struct lease_owner *owner)
{
	list_for_each_safe (node, &owner->links) {
		struct link *link = list_entry(node, struct link, owner_node);

		list_remove(node);
		link->owner = NULL;
		if (!list_is_linked(&link->node))
			continue;
		leave_idle(link);
		let_go(link);
	}
}

void lease_close_idle(struct upstream *upstream, struct cell *cell)
{
	(void)upstream;
	while (!list_is_empty(&cell->idle)) {
		struct link *link = list_first(&cell->idle, struct link, node);

		leave_idle(link);
		conn_finish(&link->conn);
	}
}

void lease_close_unfit(struct upstream *upstream, u32 cell)
{
	list_for_each_safe (node, &upstream->cells[cell].idle) {
		struct link *link = list_entry(node, struct link, node);

		if (suits(link, upstream->backends[cell]))
			continue;
		leave_idle(link);
		let_go(link);
	}
}

void lease_yield_idle(struct picker *picker)
{
	struct link *link;

	if (list_is_empty(&picker->idle))
		return;
	link = list_entry(picker->idle.prev, struct link, bound_node);
	leave_idle(link);
	let_go(link);
}

// HTTP/2: one of its leases is over. The link goes on.
static void leave_shared(struct link *link, struct lease *lease)
{
	detach(lease);
	look_at_room(link);
	if (link->leases)
		return;
	if (link->is_open)
		park(link);
	else // it may never be: nobody waits for that any more
		conn_abort(&link->conn);
}

void lease_release(struct lease *lease)
{
	struct link *link = lease->link;

	if (!link)
		return;
	if (unlikely(link->is_h2)) {
		lease->stream->ops->release(lease->stream);
		leave_shared(link, lease);
		return;
	}
	detach(lease);
	if (link->stream_done)
		park(link);
}

void lease_abandon(struct lease *lease)
{
	struct link *link = lease->link;

	if (!link)
		return;
	if (link->heir == lease) { // it goes anyway
		lease->link = NULL;
		link->heir = NULL;
		return;
	}
	if (lease->stream)
		lease->stream->ops->reset(lease->stream);
	if (unlikely(link->is_h2)) {
		leave_shared(link, lease);
		return;
	}
	detach(lease);
	conn_abort(&link->conn);
}

void lease_expire(struct lease *lease)
{
	struct link *link = lease->link;

	if (link && link->is_h2 && !link->is_open) {
		link->retires = true;
		list_remove(&link->open_node);
	}
	lease_abandon(lease);
}

bool lease_renew(struct lease *lease)
{
	struct link *link = lease->link;
	bool goes = !link->is_h2 || link->conn.session->end != SESSION_GOES_ON;

	lease_abandon(lease);
	if (!link->has_socket || !goes || link->heir)
		return false;
	*lease = (struct lease){.events = lease->events,
		.link = link,
		.backend = lease->backend,
		.intro = lease->intro,
		.raw = lease->raw};
	link->heir = lease;
	return true;
}
