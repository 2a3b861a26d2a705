// SPDX-License-Identifier: Apache-2.0
// The client side: one struct client per accepted connection. It bounds how long a head may take
// and how long a connection may idle, and opens an exchange for each request.
#pragma once

#include "proxy/proxy.h"

struct exchange;

// What of the client is waited for.
enum client_waiting {
	WAITS_FIRST,	 // nothing has come yet
	WAITS_HEAD,	 // a head has begun
	WAITS_NEXT,	 // idle keep-alive
	WAITS_NOT,	 // an exchange runs, or the connection ends by itself
	WAITS_HANDSHAKE, // TLS comes first
};

struct client {
	struct conn conn;
	struct proxy *proxy;
	const struct frontend *frontend;
	struct exchange *exchange; // the one that runs, or NULL
	struct list node;	   // in proxy->client_list
	u64 head_began_us;	   // the running request's first byte (TCP: the accept)
	u32 requests;
	u32 opened_s; // the loop's clock at its accept
	u16 port;
	u8 waiting;	  // enum client_waiting
	bool trusted : 1; // the peer may tell us who the client is
	bool counted : 1; // by frontend->guard
	bool is_shaking : 1; // among proxy->handshakes
	bool is_long : 1; // records have to look closer at who it is
	u8 ip_len;
	char ip[39]; // the peer's address as text
};

// An exchange of this client is over.
void front_exchange_done(struct client *client);

// The peer's address as accepted (a unix peer has an empty path).
void front_peer(const struct client *client, struct addr *ret_addr);

// What proxy_has_room, proxy_offer and proxy_accept promise. Who may not connect (guard.h) is reset
// and told apart from what there is no room for: front_offer has taken the descriptor then.
bool front_has_room(const struct proxy *proxy, const struct frontend *frontend);
bool front_offer(struct proxy *proxy, const struct frontend *frontend, int fd) must_check;
void front_accept(struct proxy *proxy, const struct frontend *frontend, int fd);
void front_drain(struct proxy *proxy);
void front_abort(struct proxy *proxy);
