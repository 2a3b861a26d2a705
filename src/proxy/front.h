// SPDX-License-Identifier: Apache-2.0
// The client side: one struct client per accepted connection. It bounds how long a head may take
// and how long a connection may idle, and opens an exchange for each request.
#pragma once

#include "proxy/proxy.h"

struct exchange;

// Who is at the other end, where that is not the whole truth: connections that begin with a PROXY
// header, or that backends are told about by one.
struct origin {
	struct addr peer;	  // of the connection itself
	struct addr target;	  // where the client connected to; ADDR_NONE: not looked at yet
	bool is_told;		  // the client's address is from a PROXY header
	struct lease_owner links; // to backends that were told of this client
};

// A worker's side of a frontend: what its clients hold on to, so that none of them has to be told
// when the frontend has another object.
struct gate {
	const struct frontend *frontend; // NULL: nobody has this slot
	struct hold *hold;		 // of a frontend that is gone, as long as it has clients
	u32 clients;
	bool draining; // its answers end their connections
};

// What of the client is waited for.
enum client_waiting {
	WAITS_HANDSHAKE, // TLS comes first
	WAITS_OPENING,	 // for what comes before the session
	WAITS_FIRST,	 // nothing has come yet
	WAITS_HEAD,	 // a head has begun
	WAITS_NEXT,	 // idle keep-alive
	WAITS_NOT,	 // an exchange runs, or the connection ends by itself
};

struct client {
	struct conn conn;
	struct proxy *proxy;
	struct gate *gate;
	struct exchange *exchanges; // those that run, newest first (exchange.next_of_client)
	struct list node;	    // in proxy->client_list
	u64 head_began_us;	    // the running request's first byte (TCP: the accept)
	u32 requests;
	u32 opened_s; // the loop's clock at its accept
	u16 port;
	u8 waiting;	     // enum client_waiting
	bool trusted : 1;    // the peer may tell us who the client is
	bool is_shaking : 1; // among proxy->handshakes
	bool counted : 1;    // by the frontend's guard
	bool placed : 1;     // has one of a limited frontend's places
	bool is_long : 1;    // records have to look closer at who it is
	bool has_origin : 1;
	bool is_suspect : 1; // of proxy->evict
	u8 ip_len;
	char ip[39]; // the client's address as text: the peer's, or as told by a PROXY header
};

// What a client with `has_origin` is.
struct client_with_origin {
	struct client client;
	struct origin origin;
};

static inline struct origin *front_origin(struct client *client)
{
	ASSERT(client->has_origin);
	return &container_of(client, struct client_with_origin, client)->origin;
}

// An exchange of this client begins, or is over.
void front_exchange_begins(struct client *client, struct exchange *x);
void front_exchange_done(struct client *client, struct exchange *x);

// The peer's address as accepted (a unix peer has an empty path).
void front_peer(const struct client *client, struct addr *ret_addr);

// The client's: the same, or as its PROXY header has told.
void front_client(const struct client *client, struct addr *ret_addr);

// ---- For what comes before the session (proxy/opening.h) ----------------------------------------

// Waits for that, from now on, and proxy/opening.c is told when it is late; or waits no longer,
// because an exchange runs.
void front_wait_opening(struct client *client);
void front_wait_not(struct client *client);

// The client is this one, as its PROXY header says. False: it may not connect; the caller ends it.
bool front_rename(struct client *client, const struct addr *source) must_check;

// Puts the session on that the frontend's protocol asks for.
void front_begin_session(struct client *client);

// What proxy_has_room, proxy_offer and proxy_accept promise. Who may not connect (guard.h) is reset
// and told apart from what there is no room for: front_offer has taken the descriptor then.
bool front_has_room(const struct proxy *proxy, const struct frontend *frontend);
bool front_offer(struct proxy *proxy, const struct frontend *frontend, int fd) must_check;
void front_accept(struct proxy *proxy, const struct frontend *frontend, int fd);
void front_drain(struct proxy *proxy);

// A client of a tunnel that another process has begun: a raw session, not started. `addr` is the
// client's address, which a PROXY header may have told. Limits of the frontend count it, and only
// that of one address may refuse it, as the lists of networks may. NULL: it is refused, and the
// descriptor stays the caller's.
struct client *front_take(struct proxy *proxy, const struct frontend *frontend, int fd,
	const struct addr *addr) must_check;

// Gates for the frontends of the proxy's snapshot. Clients of frontends that are gone are drained,
// and hold on to the snapshot that was there before.
void front_adopt(struct proxy *proxy, struct hold *before);
void front_abort(struct proxy *proxy);

// Its requests end with this outcome, and it is reset.
void front_give_up(struct client *client, enum outcome outcome);
