// SPDX-License-Identifier: Apache-2.0
// Host, path, method and fields to a route. Routes are tried in the order of the configuration; the
// first that matches takes the request.
#pragma once

#include "proto/client_hello.h"
#include "proxy/snapshot.h"

// What the client's certificate says of it, in the words of the fields that backends get. Nothing
// is set where none was shown.
struct router_cert {
	bool is_verified;
	struct str subject;
	struct str sans; // divided by commas
};

// `path` is the normal form (http_path_normalize). NULL: none matches.
const struct route *router_find(
	const struct frontend *frontend, const struct http_head *head, struct str path);

// The same at a frontend some of whose routes ask for certificates (routes_ask_certificates).
const struct route *router_find_certified(const struct frontend *frontend,
	const struct http_head *head, struct str path, const struct router_cert *cert);

// The same by what a TLS client asks for: only routes without conditions take one that names
// nobody.
const struct route *router_find_hello(
	const struct frontend *frontend, const struct client_hello *hello);

// The first condition of a route that a request does not meet, as router_find asks them.
enum router_miss {
	ROUTER_MATCHES,
	ROUTER_MISS_HOST,
	ROUTER_MISS_PATH,
	ROUTER_MISS_METHOD,
	ROUTER_MISS_HEADER, // the one with the number *ret_header of its list
	ROUTER_MISS_VERIFIED,
	ROUTER_MISS_SUBJECT,
	ROUTER_MISS_SAN,
};
enum router_miss router_try(const struct route *route, const struct http_head *head,
	struct str path, const struct router_cert *cert, u32 *ret_header);

// The pool of a route's split for `random`, which is uniform over 32 bits.
struct pool *router_pool(const struct route *route, u32 random);

// The Location of a redirecting route, in the arena; empty when it is full.
struct str router_location(struct arena *arena, const struct route *route,
	const struct http_head *head, struct str path);

// The same URL with https://, at this port; empty when the arena is full. The request names a host.
struct str router_https_location(struct arena *arena, const struct http_head *head, u16 port);
