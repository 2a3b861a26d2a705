// SPDX-License-Identifier: Apache-2.0
// Who may connect to a frontend, by the address of the connection itself, or the one that its PROXY
// header tells (what a trusted proxy says in fields of requests does not count here): the
// frontend's lists of networks, and how many connections one client address, with IPv6 one /64, may
// have at the same time over all workers. The peer of a unix socket always may. One whose address
// cannot be told never may: a connection that was reset has none any more, and still what it sent
// before could be read and acted upon.
//
// The lists are compared entry by entry: good for some dozens, which is what people write by hand,
// and not meant for thousands.
//
// The counts of all frontends stand in one table. It is in parts, each with a lock of its own that
// is held for a few dozen instructions, and has more than two slots for each connection that the
// process may have, so that neither searches nor waits are long.
#pragma once

#include "base/addr.h"

struct conf_frontend;
struct frontend;

enum guard_answer {
	GUARD_IN,
	GUARD_IN_COUNTED,  // guard_leave is due at the connection's end
	GUARD_GONE,	   // its end of the connection is gone, and its address with it
	GUARD_DENIED,	   // by `deny`
	GUARD_NOT_ALLOWED, // there is an `allow`, and nothing of it fits
	GUARD_UNTRUSTED,   // nobody believes its PROXY header
	GUARD_FULL,	   // has limits.per_ip_connections already
};

static inline bool guard_refuses(enum guard_answer answer)
{
	return answer >= GUARD_GONE;
}

struct guard;

// For up to `connections_max` connections at the same time, by `workers` threads. The seed is a
// secret, so that no client can aim at another's place.
struct guard *guard_new(u64 connections_max, u32 workers, u64 seed);
void guard_free(struct guard *guard);

// Has the frontend anything that guard_ask would look at?
bool guard_is_wanted(const struct conf_frontend *conf);
bool guard_counts(const struct conf_frontend *conf);

// Where connections begin with a PROXY header: may this peer send one? Who it tells of is asked
// about when it has come.
enum guard_answer guard_ask_sender(
	const struct frontend *frontend, const struct addr *peer) must_check;

// Any worker.
enum guard_answer guard_ask(const struct frontend *frontend, const struct addr *peer) must_check;

// What guard_ask would say now; nothing is counted.
enum guard_answer guard_look(const struct frontend *frontend, const struct addr *peer);

// Once for each GUARD_IN_COUNTED, with the same peer and the slot of the frontend.
void guard_leave(struct guard *guard, u32 frontend, const struct addr *peer);

// How many it has now.
u32 guard_count(const struct frontend *frontend, const struct addr *peer);

// For people: the client as it is counted ("192.0.2.7", "2001:db8:1:2::/64"), and the key of the
// configuration that refuses it ("frontends.web.deny").
enum { GUARD_TEXT_MAX = ADDR_TEXT_MAX + 8, GUARD_KEY_MAX = 128 };
void guard_client_text(const struct addr *peer, char text[static GUARD_TEXT_MAX]);
void guard_key_text(
	const struct frontend *frontend, enum guard_answer why, char text[static GUARD_KEY_MAX]);
