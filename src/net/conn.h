// SPDX-License-Identifier: Apache-2.0
// A byte stream with its socket and the session on it. It feeds what is received to the session,
// flushes the session's output once per turn, and carries out the end the session asks for. Towards
// clients and towards backends alike.
//
// Ownership: a conn is embedded in its owner (front's client, lease's link), which frees it only
// after on_closed. Nothing is freed before every operation was heard.
#pragma once

#include "loop/loop.h"
#include "proto/h1.h"
#include "proto/h2.h"
#include "proto/peek.h"
#include "proto/raw.h"

struct conn;
struct mover;

struct conn_events {
	// Everything is over and the descriptor closed; the owner may free the conn now.
	void (*on_closed)(struct conn *conn);
	// conn_connect has its result: 0 or negative errno (then the conn closes by itself).
	void (*on_connected)(struct conn *conn, int error);
	// The moment of conn_set_timer has come.
	void (*on_timer)(struct conn *conn);
};

struct conn {
	struct loop *loop;
	const struct conn_events *events;
	struct session *session; // one of those below, or of HTTP/2
	struct sock sock;
	struct op receive, send;
	struct task crank;
	struct bytes out, sending;
	struct mover *mover_in, *mover_out; // splicing from | to this conn
	u64 bytes_in, bytes_out;	    // over the life of the connection
	struct timer timer; // the owner's, by conn_set_timer; then it bounds the end
	u32 unsent;	    // when it was set
	bool connecting : 1, closing : 1, shut : 1, upstream : 1;
	bool lingering : 1; // our direction is shut, the rest is dropped
	bool bounded : 1;   // the timer bounds the end: until all is sent, until the peer is done
	bool failed : 1, was_reset : 1;	  // a send failed | because of a reset
	bool ready_in : 1, ready_out : 1; // the op that is out waits for readiness, for a mover
	union {
		struct h1 h1;
		struct raw raw;
		struct peek peek;
	};
};

// On an accepted descriptor (conn_init_fd) or on none yet (conn_init_new, then conn_connect).
void conn_init_fd(struct conn *conn, struct loop *loop, int fd, const struct conn_events *events);
int conn_init_new(struct conn *conn, struct loop *loop, const struct addr *address,
	const struct conn_events *events) must_check;

// An error of conn_init_new or on_connected that says nothing about the peer: this process or this
// machine is short of descriptors or memory.
bool conn_is_shortage(int error);

// Puts a session on it; `events` are the session's.
void conn_use_h1(struct conn *conn, enum stream_role role, struct h1_parser *parser,
	const struct session_events *events);
void conn_use_raw(struct conn *conn, enum stream_role role, const struct session_events *events);

// 0, or -ENOMEM: nothing was changed. `is_secure`: the scheme of requests is https. It may take the
// place of another session (h1's on_preface).
int conn_use_h2(struct conn *conn, enum stream_role role, struct h2_kit *kit,
	struct h1_parser *parser, bool is_secure, const struct session_events *events) must_check;
// One that only looks, until another one takes its place.
void conn_use_peek(struct conn *conn, const struct session_events *events,
	const struct peek_events *peek_events);

// Bytes of the peer that came before the present session was there. Takes over the slice.
void conn_feed(struct conn *conn, struct slice slice);

// Starts receiving (an accepted conn). A connecting one starts by itself.
void conn_start(struct conn *conn);
void conn_connect(struct conn *conn, const struct addr *address);

// Forget what is queued and close; on_closed follows from a later turn. May be repeated.
void conn_close(struct conn *conn);

// The same with a reset towards the peer.
void conn_abort(struct conn *conn);

// One timer per connection. Once the connection ends by itself the call does nothing.
static inline void conn_set_timer(struct conn *conn, u64 deadline_ms)
{
	if (!conn->bounded)
		loop_timer_set(conn->loop, &conn->timer, deadline_ms);
}

// To be called by on_poke of the session's owner.
static inline void conn_poke(struct conn *conn)
{
	loop_defer(conn->loop, &conn->crank);
}

static inline struct conn *conn_of_session(struct session *session)
{
	if (likely(session->ops == &h1_session_ops))
		return container_of(session, struct conn, h1.session);
	return session->ops == &raw_session_ops ? container_of(session, struct conn, raw.session)
						: h2_carrier(session);
}
_Static_assert(offsetof(struct conn, raw.session) == offsetof(struct conn, peek.session),
	"conn_of_session takes one for the other");

// Nothing queued and nothing being sent.
static inline bool conn_is_flushed(const struct conn *conn)
{
	return bytes_is_empty(&conn->out) && !op_is_out(&conn->send);
}
