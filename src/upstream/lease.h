// SPDX-License-Identifier: Apache-2.0
// The right to use one stream to a backend: on an idle connection, on one of HTTP/2 that has room
// for another, or on a new one (link.h).
//
// What differs between the versions of HTTP is here and nowhere above: a connection of HTTP/1
// carries one lease and goes with a lease that is abandoned; one of HTTP/2 carries as many as the
// backend allows (and H2_STREAMS_MAX), is given to them when the backend has said how many that
// are, and goes when the backend says so, or when it has been idle for long.
//
// A lease is embedded in its holder (an attempt of an exchange). It ends by lease_release (the
// message pair is complete, the connection may serve again) or lease_abandon (it may not).
#pragma once

#include "upstream/link.h"

struct lease_events {
	void (*on_ready)(struct lease *lease);		   // lease->stream is set
	void (*on_failed)(struct lease *lease, int error); // no connection; the lease is over
};

// One for whom connections are made that nobody else may use: those that it keeps, and those that
// it uses.
struct lease_owner {
	struct list links;
};

// What goes first on a fresh connection, a PROXY header. Borrowed until the lease is ready or over.
struct lease_intro {
	struct str bytes;
	struct lease_owner *owner; // may use the connection again; NULL: nobody may
};

struct lease {
	const struct lease_events *events;
	const struct lease_intro *intro; // NULL: none
	struct link *link;		 // NULL: no lease
	struct stream *stream;
	struct backend *backend;
	struct lease *next, **at; // among its link's
	bool reused;		  // the connection served before
	bool was_idle;		  // ... and nobody else: its backend may just have closed it
	bool raw;		  // without HTTP
	u64 heard_before;	  // bytes that had come on it when the stream was taken
};

// FULL: the backend has as many sockets as it may; nothing was begun.
enum lease_result { LEASE_READY, LEASE_WAIT, LEASE_FAILED, LEASE_FULL };

// A stream to `backend`. `may_reuse`: an idle connection will do. READY: lease->stream can be used
// now. WAIT: one of the events follows in a later turn. FAILED: *ret_error says why; no event
// follows. A backend's bound on sockets holds at every moment: where only an idle connection stands
// in the way of a fresh one, it is closed first.
enum lease_result lease_open(struct upstream *upstream, struct lease *lease,
	struct backend *backend, bool may_reuse, const struct lease_events *events, int *ret_error);

// The same for bytes without HTTP: always a new connection, never kept.
enum lease_result lease_open_raw(struct upstream *upstream, struct lease *lease,
	struct backend *backend, const struct lease_events *events, int *ret_error);

// For bytes without HTTP, a connection that another process has opened: it stands, and is counted
// where sockets are bounded, whatever the bound. Nothing is received before conn_start. False: no
// memory, and the descriptor stays the caller's.
bool lease_take_raw(struct upstream *upstream, struct lease *lease, struct backend *backend, int fd,
	const struct lease_events *events) must_check;

// The same, with HTTP or without (`raw`), for a connection that begins with an introduction.
// `may_reuse`: one that its owner keeps will do.
enum lease_result lease_open_told(struct upstream *upstream, struct lease *lease,
	struct backend *backend, const struct lease_intro *intro, bool raw, bool may_reuse,
	const struct lease_events *events, int *ret_error);

// The owner is gone: what it keeps is closed, and what is in use ends with its use.
void lease_owner_init(struct lease_owner *owner);
void lease_owner_done(struct lease_owner *owner);

// Has any byte of an answer come?
static inline bool lease_has_heard(const struct lease *lease)
{
	const struct stream *stream = lease->stream;

	return stream && stream->ops->heard ? stream->ops->heard(stream)
					    : lease->link->conn.bytes_in != lease->heard_before;
}

// A request on it may come back untouched (STREAM_NOT_PROCESSED, STREAM_UNWELCOME), whatever was
// sent of it.
static inline bool lease_may_be_refused(const struct lease *lease)
{
	return lease->link->is_h2 || (!lease->reused && lease->link->conn.is_secure);
}

void lease_release(struct lease *lease);
void lease_abandon(struct lease *lease);

// The same, because the connection was not there in time: those who wait for it may still get it,
// and nobody else joins them.
void lease_expire(struct lease *lease);

// Abandons the connection for a fresh one to the same backend. True: its place is bounded, and the
// lease has inherited it; one of the events follows. False: the lease is over, open another one.
bool lease_renew(struct lease *lease) must_check;

// ---- Inside of upstream/: for links (link.h) ----------------------------------------------------

void lease_attach(struct lease *lease, struct link *link);

// Of a link that connects: its backend has said how many streams there may be, and those who wait
// get one, or another link; of HTTP/1 or without HTTP the one lease gets its stream; or there is no
// connection, and all who wait hear of that. Whoever has a stream has heard of its end by then.
void lease_link_opened(struct link *link);
void lease_link_ready(struct link *link);
void lease_link_failed(struct link *link, int error);

// The link whose heir it was is gone, and its place is this lease's.
void lease_inherit(struct lease *lease, struct upstream *upstream);
