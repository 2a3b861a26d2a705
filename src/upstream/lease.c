// SPDX-License-Identifier: Apache-2.0
#include "upstream/lease.h"

#include <errno.h>

#include "upstream/queue.h"

void lease_attach(struct lease *lease, struct link *link)
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

static void take_stream(struct link *link, struct lease *lease)
{
	struct session *session = link->conn.session;

	link->stream_done = false;
	lease->heard_before = link->conn.bytes_in;
	lease->stream = session->ops->open(session);
}

// ---- A new connection ---------------------------------------------------------------------------

void lease_inherit(struct lease *lease, struct upstream *upstream)
{
	int error = 0;

	lease->link = NULL;
	if (!link_connect(lease, upstream, lease->backend, &error))
		lease->events->on_failed(lease, error);
}

static enum lease_result open_new(struct lease *lease, struct upstream *upstream, int *ret_error)
{
	struct backend *backend = lease->backend;
	struct link *idle;

	if (likely(!backend->sockets_max) || cap_take(backend->sockets, backend->sockets_max))
		return link_connect(lease, upstream, backend, ret_error) ? LEASE_WAIT
									 : LEASE_FAILED;
	idle = link_take_idle(upstream, backend);
	if (!idle)
		return LEASE_FULL;
	idle->heir = lease;
	lease->link = idle;
	link_let_go(idle);
	return LEASE_WAIT;
}

// ---- One that there is --------------------------------------------------------------------------

// It is a link of HTTP/2, and `lease` has taken its stream there.
static enum lease_result shared(struct link *link, struct lease *lease, int *ret_error)
{
	if (lease->stream) {
		link_look_at_room(link);
		return LEASE_READY;
	}
	detach(lease);
	if (!link->leases)
		link_park(link);
	*ret_error = -ENOMEM;
	return LEASE_FAILED;
}

// One that others use and that has room for another stream. NULL: there is none.
static struct link *find_open(struct upstream *upstream, const struct backend *backend)
{
	struct cell *cell = upstream_cell(upstream, backend);

	while (!list_is_empty(&cell->open)) {
		struct link *link = list_first(&cell->open, struct link, open_node);

		if (likely(link_suits(link, backend)))
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
	lease_attach(lease, link);
	if (!link->is_open) {
		link_look_at_room(link);
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
	lease_attach(lease, link);
	take_stream(link, lease);
	if (likely(!link->is_h2))
		return LEASE_READY;
	return shared(link, lease, ret_error);
}

// One that the owner keeps for this backend. There are no more of them than it has had requests at
// the same time.
static struct link *take_owned(struct lease_owner *owner, const struct backend *backend)
{
	list_for_each_safe (node, &owner->links) {
		struct link *link = list_entry(node, struct link, owner_node);

		if (link->cell != backend->cell || !list_is_linked(&link->node))
			continue;
		link_leave_idle(link);
		if (link_is_usable(link) && link_suits(link, backend))
			return link;
		conn_finish(&link->conn);
	}
	return NULL;
}

// ---- Those who wait for a connection ------------------------------------------------------------

void lease_link_ready(struct link *link)
{
	struct lease *lease = link->leases;

	take_stream(link, lease);
	lease->events->on_ready(lease);
}

void lease_link_failed(struct link *link, int error)
{
	while (link->leases) {
		struct lease *lease = link->leases;

		ASSERT(!lease->stream);
		detach(lease);
		lease->events->on_failed(lease, error);
	}
}

// A stream for who has waited for the backend's word; where it allows fewer than wait, another
// link.
static void serve_waiting(struct link *link, struct lease *lease)
{
	struct upstream *upstream = link->upstream;
	enum lease_result result = LEASE_FAILED;
	int error = -ENOMEM;

	if (link_room(link)) {
		take_stream(link, lease);
		if (lease->stream) {
			lease->events->on_ready(lease);
			return;
		}
		detach(lease);
	} else {
		detach(lease);
		link_look_at_room(link);
		result = find_other(lease, upstream, &error);
	}
	if (result == LEASE_READY)
		lease->events->on_ready(lease);
	else if (result != LEASE_WAIT)
		lease->events->on_failed(lease, result == LEASE_FULL ? -EAGAIN : error);
}

void lease_link_opened(struct link *link)
{
	for (;;) { // each call may change the list
		struct lease *lease = link->leases;

		while (lease && lease->stream)
			lease = lease->next;
		if (!lease)
			break;
		serve_waiting(link, lease);
	}
}

// ---- Taking one ---------------------------------------------------------------------------------

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
	link = may_reuse ? link_take_idle(upstream, backend) : NULL;
	while (unlikely(link && link->is_told)) { // from before the pool told nobody
		link_let_go(link);
		link = link_take_idle(upstream, backend);
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
	struct link *link = link_take_fd(upstream, backend, fd);

	*lease = (struct lease){.events = events, .backend = backend, .raw = true};
	if (!link)
		return false;
	lease_attach(lease, link);
	take_stream(link, lease);
	return true;
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

// ---- Connections of one owner -------------------------------------------------------------------

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
		link_leave_idle(link);
		link_let_go(link);
	}
}

// ---- Giving it back -----------------------------------------------------------------------------

// HTTP/2: one of its leases is over. The link goes on.
static void leave_shared(struct link *link, struct lease *lease)
{
	detach(lease);
	link_look_at_room(link);
	if (link->leases)
		return;
	if (link->is_open)
		link_park(link);
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
		link_park(link);
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
