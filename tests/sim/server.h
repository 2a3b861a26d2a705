// SPDX-License-Identifier: Apache-2.0
// Inside of the scripted backends only: server.c is a backend and its connections of HTTP/1,
// h2_server.c its connections of HTTP/2.
#pragma once

#include "sim.h"

enum { SERVER_ADDRESS_MAX = 48 };

struct server {
	struct world *world;
	u32 index, pool;
	bool tcp, h2, tls, listening, released;
	bool tls_1_2, is_verified;
	u8 wrong_cert;	  // enum tls_cert_id, which it must not show; 0: it never does
	u32 wrong_one_in; // on so many of its connections
	struct addr addr;
	char address[SERVER_ADDRESS_MAX], path[SERVER_ADDRESS_MAX];
	struct sock sock;
	struct op accept;
	struct timer timer;	      // going down and up
	u64 down_from_ms, down_to_ms; // 0, 0 = never
	u32 idle_close_ms;	      // closes kept connections after this time; 0 = never
	u32 speaks_ms;		      // says something unasked on them; 0 = never
	u64 hang_from_ms, hang_to_ms; // takes requests and answers none; 0, 0 = never
	u64 sick_from_ms, sick_to_ms; // its health page says so
	bool dies;		      // when it goes down, with all its connections
	u64 idle_closed_ms[64];	      // when it did either, a ring
	u32 idle_closed_count;
	u64 spoiled_ms[64]; // when it broke a handshake, a ring
	u32 spoiled_count;
	struct list services; // or h2_service
};

static inline bool server_is_between(const struct world *world, u64 from_ms, u64 to_ms)
{
	return world_now_ms(world) >= from_ms && world_now_ms(world) < to_ms;
}

// It did something that may cost a request.
void server_note_trouble(const struct server *server);

// A kept connection ends while a request may be on its way to it.
void server_note_idle_close(struct server *server);

// Nobody could connect to it for a moment | that connection is over.
void server_note_spoiled(struct server *server);
void server_end_spoiled(struct server *server, const struct peer *peer);

// The call that a request belongs to; NULL: a failure, told.
struct call *server_call_of(struct world *world, const struct read_message *message);
bool server_is_probe(const struct read_message *message);

// h2_server.c: a connection was accepted | all of them are reset | they are reset in the end.
void h2_service_new(struct server *server, int fd);
void h2_services_die(struct server *server);
void h2_services_release(struct server *server);
