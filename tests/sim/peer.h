// SPDX-License-Identifier: Apache-2.0
// One end of a connection in the hands of a script: sends pieces when it likes, reads when it
// likes, and ends the connection in any of the ways a stranger may. With TLS the script still sends
// and reads plaintext; what is to be called clear below is then what the handshake makes possible.
#pragma once

#include "base/rng.h"
#include "loop/loop.h"

struct peer;
struct tls_wire;

// Errors beside negative errnos.
enum {
	PEER_CUT = -2000,      // TLS: the stream ended without close_notify
	PEER_BAD_TLS = -2001,  // an alert, or bytes that are no TLS
	PEER_BELIEVED = -2002, // the other side goes on though it must refuse this one
};

// How TLS is spoken; drawn in advance.
struct peer_ways {
	bool is_client, is_h2;
	bool flushes_first; // the end of its handshake goes out before anything else is looked at
	bool half_fin;	    // a half-close is one of TCP, too
	u8 act;		    // enum act in the handshake, behind `act_at` bytes that it has sent
	u32 act_at;
	u32 piece_max;	     // bytes of the wire given to the network at once
	u32 renew_one_in;    // new keys that often, when something was read; 0: never
	u32 leave_ms;	     // how long a close waits for close_notify to go out
	const char *refusal; // what the alert says that the other side owes to it; NULL: none
	u8 shows;	     // enum tls_cert_id, of a client
	bool is_strange;     // the session that it offers is of another place
};

struct peer_events {
	void (*on_connected)(struct peer *peer, int error);
	void (*on_bytes)(struct peer *peer, const char *bytes, size_t len);
	void (*on_end)(struct peer *peer);		 // the other side ended in order
	void (*on_broken)(struct peer *peer, int error); // reset, or a send that failed
	void (*on_sent)(struct peer *peer);		 // everything given was taken
	void (*on_closed)(struct peer *peer);		 // the last event; the peer may be freed
	void (*on_spoiled)(struct peer *peer);		 // it breaks its own handshake. May be NULL
};

struct peer {
	const struct peer_events *events;
	struct loop *loop;
	struct sock sock;
	struct op receive, send;
	struct bytes sending;
	struct task closing_task;
	struct timer read_timer;
	u32 read_pause_ms; // between two reads
	u64 bytes_in, bytes_out;
	bool open, connecting, connected, deaf, ended, broken, was_reset, shut, closing, closed;
	// Of TLS.
	struct tls_wire *tls; // NULL: clear
	struct peer_ways ways;
	struct rng *rng;
	u64 *renewed;		// counts new keys
	u64 wire_out, began_ms; // bytes | when its handshake did
	struct timer leave_timer;
	bool shaking; // the handshake is not over
	bool spoiled, cuts, leaving, fin_out;
};

void peer_init(struct peer *peer, struct loop *loop, const struct peer_events *events);
int peer_connect(struct peer *peer, const struct addr *address) must_check;
void peer_accept(struct peer *peer, int fd);

// Puts TLS on it, before it connects or accepts. Takes over the wire.
void peer_use_tls(struct peer *peer, struct tls_wire *tls, const struct peer_ways *ways,
	struct rng *rng, u64 *renewed);

// Only when nothing is being sent, which a handshake counts as.
void peer_send(struct peer *peer, const char *bytes, size_t len);
static inline bool peer_is_sending(const struct peer *peer)
{
	return op_is_out(&peer->send) || peer->shaking;
}

// Stop and go on reading.
void peer_set_deaf(struct peer *peer, bool deaf);

void peer_shut(struct peer *peer); // half-close
void peer_close(struct peer *peer);
void peer_reset(struct peer *peer);
void peer_cut(struct peer *peer); // TLS: a close without close_notify
