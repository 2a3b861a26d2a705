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
struct tls;
struct tls_client;
struct tls_server;

struct conn_events {
	// Everything is over and the descriptor closed; the owner may free the conn now.
	void (*on_closed)(struct conn *conn);
	// conn_connect has its result, which with TLS is that of the handshake: 0, a negative errno
	// or a fault of TLS (then the conn closes by itself).
	void (*on_connected)(struct conn *conn, int error);
	// The handshake of a client is over: 0, a negative errno or a fault of TLS (then the conn
	// closes by itself, and says why to the client). NULL without TLS.
	void (*on_secured)(struct conn *conn, int error);
	// What the peer does with TLS behind the handshake ends the connection: the fault of
	// conn_tls, one of tls_is_excess. NULL: nobody wants to know.
	void (*on_excess)(struct conn *conn);
	// The handshake of on_connected was over for us only: the backend has refused it since, and
	// has sent nothing else. `error` as there. What the session hears of it (STREAM_UNWELCOME)
	// follows. NULL: that is enough.
	void (*on_unwelcome)(struct conn *conn, int error);
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
	// Splicing from | to this conn, which is for clear ones only; of others what makes them so.
	union {
		struct mover *mover_in;
		struct tls *tls;
	};
	struct mover *mover_out;
	u64 bytes_in, bytes_out; // of the session, over the life of the connection
	struct timer timer;	 // the owner's, by conn_set_timer; then it bounds the end
	u32 unsent;		 // when it was set
	bool connecting : 1, closing : 1, shut : 1, upstream : 1;
	bool lingering : 1; // our direction is shut, the rest is dropped
	bool bounded : 1;   // the timer bounds the end: until all is sent, until the peer is done
	bool failed : 1, was_reset : 1;	  // a send failed | because of a reset
	bool is_secure : 1;		  // `tls` is the one that is there
	bool is_copied : 1;		  // another process has the socket, too, or will
	bool ready_in : 1, ready_out : 1; // the op that is out waits for readiness, for a mover
	bool parts : 1;			  // conn_part: the peer's end is not waited for
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

// Puts TLS between socket and session, before conn_start or conn_connect. A server's needs a
// session of no use until on_secured chooses the real one. False: no memory.
bool conn_use_tls_server(struct conn *conn, struct tls_server *server) must_check;
bool conn_use_tls_client(struct conn *conn, struct tls_client *client) must_check;

// NULL: clear.
static inline struct tls *conn_tls(const struct conn *conn)
{
	return conn->is_secure ? conn->tls : NULL;
}

// Of one whose session heard STREAM_UNWELCOME: why, as on_connected would say it.
int conn_unwelcome_error(const struct conn *conn);

// From on_secured, when the client does not speak TLS: goes on in clear. Gives what it has sent.
struct slice conn_drop_tls(struct conn *conn) must_check;

// Until the connection stands.
bool conn_is_connecting(const struct conn *conn);
// 0, or -ENOMEM: nothing was changed. `is_secure`: the scheme of requests is https. It may take the
// place of another session (h1's on_preface).
int conn_use_h2(struct conn *conn, enum stream_role role, struct h2_kit *kit,
	struct h1_parser *parser, bool is_secure, const struct session_events *events) must_check;
// One that only looks, until another one takes its place.
void conn_use_peek(struct conn *conn, const struct session_events *events,
	const struct peek_events *peek_events);

// Puts bytes on the wire before whatever the session has queued, and below TLS: behind
// conn_use_tls_…, before conn_connect. 0 or -ENOMEM.
int conn_send_first(struct conn *conn, struct str bytes) must_check;

// Bytes of the peer that came before the present session, or TLS, was there. Takes over the slice.
void conn_feed(struct conn *conn, struct slice slice);

// Starts receiving (an accepted conn). A connecting one starts by itself.
void conn_start(struct conn *conn);
void conn_connect(struct conn *conn, const struct addr *address);

// What conn_init_new made goes at once and without an event: it has no session, and is not
// connected.
void conn_cancel(struct conn *conn);

// Forget what is queued and close; on_closed follows from a later turn. May be repeated.
void conn_close(struct conn *conn);

// The same, but with TLS the peer is told before: for a connection on which nothing is under way.
void conn_finish(struct conn *conn);

// The same with a reset towards the peer.
void conn_abort(struct conn *conn);

// The same, but a session that has a word for it (HTTP/2: GOAWAY, and a reset of each stream) says
// it first. That is not waited for: what does not leave within CONN_PART_MS is lost.
enum { CONN_PART_MS = 100 };

void conn_part(struct conn *conn);

// Brings a clear connection to a stop, so that its descriptor can go to another process: what was
// received is fed to the session, and nothing more is received or sent. To be asked again and again
// in later turns, until conn_is_still: then all that is not sent stands in `sending` and behind it
// in `out`, and nothing waits inside the loop; it asks the session for room to get there. Movers
// have to end first (mover_halt).
void conn_freeze(struct conn *conn);
bool conn_is_still(struct conn *conn) must_check;

// It goes on as if nothing had been. At any time behind conn_freeze. `is_copied`: the copy is still
// there, with somebody who does nothing with it; so its end has to be said by more than a close.
void conn_thaw(struct conn *conn, bool is_copied);

// A copy of the descriptor of one that is still, or negative errno.
int conn_copy_fd(struct conn *conn) must_check;

// Another process has the copy: this end of it is closed without a word to the peer, and what is
// queued is forgotten.
void conn_forsake(struct conn *conn);

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
	if (session->ops == &raw_session_ops || session->ops == &peek_session_ops)
		return container_of(session, struct conn, raw.session);
	return h2_carrier(session);
}
_Static_assert(offsetof(struct conn, raw.session) == offsetof(struct conn, peek.session),
	"conn_of_session takes one for the other");

// Nothing queued and nothing being sent.
static inline bool conn_is_flushed(const struct conn *conn)
{
	return bytes_is_empty(&conn->out) && !op_is_out(&conn->send);
}
