// SPDX-License-Identifier: Apache-2.0
// One end of a connection in the hands of a script: sends pieces when it likes, reads when it
// likes, and ends the connection in any of the ways a stranger may.
#pragma once

#include "loop/loop.h"

struct peer;

struct peer_events {
	void (*on_connected)(struct peer *peer, int error);
	void (*on_bytes)(struct peer *peer, const char *bytes, size_t len);
	void (*on_end)(struct peer *peer);		 // the other side ended in order
	void (*on_broken)(struct peer *peer, int error); // reset, or a send that failed
	void (*on_sent)(struct peer *peer);		 // everything given was taken
	void (*on_closed)(struct peer *peer);		 // the last event; the peer may be freed
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
};

void peer_init(struct peer *peer, struct loop *loop, const struct peer_events *events);
int peer_connect(struct peer *peer, const struct addr *address) must_check;
void peer_accept(struct peer *peer, int fd);

// Only when nothing is being sent.
void peer_send(struct peer *peer, const char *bytes, size_t len);
static inline bool peer_is_sending(const struct peer *peer)
{
	return op_is_out(&peer->send);
}

// Stop and go on reading.
void peer_set_deaf(struct peer *peer, bool deaf);

void peer_shut(struct peer *peer); // half-close
void peer_close(struct peer *peer);
void peer_reset(struct peer *peer);
