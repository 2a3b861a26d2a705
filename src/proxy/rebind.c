// SPDX-License-Identifier: Apache-2.0
// An exchange goes over to the configuration of now, so that the one it began with can go: before
// it picks a backend, and when it lives long. What it needs is found again by slot
// (upstream/slots.h), or by name; where something is gone, it keeps what it has.
#include "proxy/exchange_parts.h"

static const struct route *find_route(const struct frontend *frontend, const struct route *route)
{
	for (u32 i = 0; i < frontend->route_count; i++)
		if (str_eq(frontend->routes[i].conf->name, route->conf->name) &&
			str_eq(frontend->routes[i].pattern, route->pattern))
			return &frontend->routes[i];
	return NULL;
}

static struct backend *find_backend(const struct snapshot *snapshot, const struct backend *backend)
{
	return snapshot->backends[backend->cell];
}

static bool has_backend(const struct snapshot *snapshot, const struct backend *backend)
{
	return !backend || find_backend(snapshot, backend);
}

// Of an attempt that does not run nothing is looked at any more.
static bool is_running(const struct attempt *attempt)
{
	return attempt && attempt->pick.is_begun;
}

static bool has_backends(const struct snapshot *snapshot, const struct attempt *attempt)
{
	return !is_running(attempt) || has_backend(snapshot, attempt->pick.backend);
}

static void move_attempt(const struct snapshot *snapshot, struct attempt *attempt)
{
	if (is_running(attempt))
		attempt->pick.backend = attempt->lease.backend =
			find_backend(snapshot, attempt->pick.backend);
}

// Places in the pool's order mean others in the next object.
static void move_tried(struct exchange *x, const struct pool *from, const struct snapshot *snapshot)
{
	struct balance_tried before = x->tried;

	x->tried.count = 0;
	for (u32 i = 0; i < before.count; i++) {
		const struct backend *now =
			find_backend(snapshot, &from->backends[before.index[i]]);

		if (now && now->pool == x->pool)
			x->tried.index[x->tried.count++] = now->index;
	}
}

static void move_pool(struct exchange *x, struct pool *to, const struct snapshot *snapshot)
{
	const struct pool *from = x->pool;

	if (to == from)
		return;
	x->pool = to;
	move_tried(x, from, snapshot);
	if (x->is_counted)
		attempt_look(x);
}

static void swap_hold(struct exchange *x, struct hold **at, struct hold *to)
{
	struct hold *from = *at;

	to->count++;
	*at = to;
	if (from)
		proxy_let_go(x->proxy, from);
}

static void move_whole(struct exchange *x, const struct frontend *frontend,
	const struct route *route, struct pool *pool, const struct snapshot *snapshot)
{
	x->frontend = frontend;
	x->route = route;
	if (pool)
		move_pool(x, pool, snapshot);
	if (x->retry) // it may be the old route's
		attempt_look(x);
	if (x->backend)
		x->backend = find_backend(snapshot, x->backend);
	if (x->asked)
		x->asked = find_backend(snapshot, x->asked);
	move_attempt(snapshot, x->attempt);
	move_attempt(snapshot, x->second);
	swap_hold(x, &x->hold, x->proxy->hold);
	if (x->pool_hold)
		proxy_let_go(x->proxy, x->pool_hold);
	x->pool_hold = NULL;
}

bool exchange_rebind(struct exchange *x)
{
	const struct snapshot *snapshot = x->proxy->hold->snapshot;
	const struct frontend *frontend = snapshot->frontends[x->frontend->index];
	const struct route *route = x->route && frontend ? find_route(frontend, x->route) : NULL;
	struct pool *pool = x->pool ? snapshot->pools[x->pool->index] : NULL;

	if (frontend && (route || !x->route) && (pool || !x->pool) &&
		has_backend(snapshot, x->backend) && has_backend(snapshot, x->asked) &&
		has_backends(snapshot, x->attempt) && has_backends(snapshot, x->second)) {
		move_whole(x, frontend, route, pool, snapshot);
	} else if (pool && pool != x->pool) {
		move_pool(x, pool, snapshot);
		swap_hold(x, &x->pool_hold, x->proxy->hold);
	}
	// A pool that is gone has the last object that it had.
	return !x->pool || upstream_picker(exchange_upstream(x), x->pool)->pool == x->pool;
}
