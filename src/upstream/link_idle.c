// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"
#include "upstream/lease.h"
#include "upstream/queue.h"

// NULL: the configuration has no such backend any more.
static struct backend *backend_of(const struct link *link)
{
	return link->upstream->backends[link->cell];
}

void link_leave_idle(struct link *link)
{
	if (!list_is_linked(&link->node))
		return;
	list_remove(&link->node);
	cell_add(&link_cell(link)->idle_count, (u32)-1);
	link->upstream->idle_count--;
	metrics_dec(link->upstream->metrics, M_BACKEND_CONNECTIONS_IDLE);
	if (link->has_socket) {
		list_remove(&link->bound_node);
		atomic_fetch_sub(&link_picker(link)->shared->idle_bounded, 1);
	}
}

void link_let_go(struct link *link)
{
	if (link->has_socket && link_is_usable(link))
		link->conn.session->ops->finish(link->conn.session);
	else
		conn_finish(&link->conn);
}

// It serves the next request in the order in which they came, in this worker or in another one.
static void offer_idle(struct link *link)
{
	struct picker *picker = link_picker(link);

	list_push_front(&picker->idle, &link->bound_node);
	atomic_fetch_add(&picker->shared->idle_bounded, 1);
	if (atomic_load(&picker->pool->waiting) == 0)
		return;
	if (picker->queue.count && queue_others(picker) == 0) {
		loop_defer(picker->upstream->loop, &picker->serve);
		return;
	}
	link_leave_idle(link);
	link_let_go(link);
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

bool link_suits(const struct link *link, const struct backend *backend)
{
	return link->is_h2 == backend->is_h2 && link->conn.is_secure == backend->is_tls &&
	       (likely(!link->conn.is_secure) || is_believed(link));
}

void link_park(struct link *link)
{
	struct cell *cell = link_cell(link);
	const struct backend *backend = backend_of(link);
	u64 now_ms = loop_now_ms(link->conn.loop);

	if (link->conn.session->end != SESSION_GOES_ON) {
		conn_poke(&link->conn); // it ends by itself, when its output has left
		return;
	}
	if (!link_is_usable(link) || (link->is_told && !link->owner) || link->upstream->draining ||
		!backend || is_disabled(backend) ||
		(unlikely(link->conn.is_secure) && !link_suits(link, backend)) ||
		cell->idle_count >= backend->pool->idle_connections_max ||
		link->upstream->idle_count >= link->upstream->idle_max) {
		link_let_go(link);
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

struct link *link_take_idle(struct upstream *upstream, struct backend *backend)
{
	struct cell *cell = upstream_cell(upstream, backend);

	while (!list_is_empty(&cell->idle)) {
		struct link *link = list_first(&cell->idle, struct link, node);

		link_leave_idle(link);
		if (link_is_usable(link) && link_suits(link, backend) &&
			(likely(!link->is_h2) || link_room(link)))
			return link;
		conn_finish(&link->conn);
	}
	return NULL;
}

void link_close_idle(struct cell *cell)
{
	while (!list_is_empty(&cell->idle)) {
		struct link *link = list_first(&cell->idle, struct link, node);

		link_leave_idle(link);
		conn_finish(&link->conn);
	}
}

void link_close_unfit(struct upstream *upstream, u32 cell)
{
	list_for_each_safe (node, &upstream->cells[cell].idle) {
		struct link *link = list_entry(node, struct link, node);

		if (link_suits(link, upstream->backends[cell]))
			continue;
		link_leave_idle(link);
		link_let_go(link);
	}
}

void link_yield_idle(struct picker *picker)
{
	struct link *link;

	if (list_is_empty(&picker->idle))
		return;
	link = list_entry(picker->idle.prev, struct link, bound_node);
	link_leave_idle(link);
	link_let_go(link);
}
