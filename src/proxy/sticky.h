// SPDX-License-Identifier: Apache-2.0
// Sticky sessions by cookie. The cookie's value is a keyed tag of the backend's id (128 bits, as
// text), different for each backend and pool: opaque, not to be made by a client, the same after a
// restart and on every instance that has the same secret. A client whose cookie is unknown, or
// whose backend is gone or may get no requests, goes where the algorithm sends it and gets a new
// one.
//
// What it does not promise: a client may show a cookie that another client was given.
#pragma once

#include "proxy/exchange.h"

// The tags of one pool's backends, made once with the snapshot. NULL when the pool is not sticky.
struct sticky;
struct sticky *sticky_build(const struct pool *pool, struct arena *arena);

// The backend that the request's cookie names: its index in x->pool, or BALANCE_NONE. However many
// backends there are, it takes one look.
u32 sticky_find(const struct exchange *x);

// The line "Set-Cookie: ..." with its line end that binds the client to x->backend, which is of
// x->pool; empty when its cookie says so already (x->sticky, from sticky_find), or when the pool is
// not sticky. Ready-made: it lives as long as the pool.
struct str sticky_line(const struct exchange *x);
