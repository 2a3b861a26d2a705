// SPDX-License-Identifier: Apache-2.0
// What may stand in front of a backend's address, and how it is spoken to then. The same wherever
// an address comes from: the configuration, an order, a row of a database.
#pragma once

#include "conf/conf.h"

struct scheme_address {
	enum conf_scheme scheme;
	bool is_h2;
	struct str address; // what is behind it; zero-terminated
};

// "https://a.example/" -> "a.example:443". Says nothing about whether it is an address. The text
// lives in the arena, or is `text`.
struct scheme_address scheme_take(struct arena *arena, struct str text);

// "https://a.example" -> "a.example"; no port is added.
struct str scheme_strip(struct str text);

bool scheme_has_port(struct str address);

// The canonical word; empty where nothing is in front.
struct str scheme_text(enum conf_scheme scheme, bool is_h2);

// "https://10.0.0.1:443": what scheme_take took apart, in the arena.
struct str scheme_url(struct arena *arena, struct scheme_address address);

// Of one whose pool made it HTTP/2, nothing stands in front.
static inline struct scheme_address scheme_of(const struct conf_backend *backend)
{
	return (struct scheme_address){backend->scheme, backend->is_h2, backend->address};
}

// How a backend is spoken to, by what is in front of its address and by its pool's protocol and
// tls, where it has no tls of its own.
void scheme_settle(struct conf_backend *backend, const struct conf_pool *pool, struct arena *arena);
