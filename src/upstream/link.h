// SPDX-License-Identifier: Apache-2.0
// One connection to a backend, from connecting to its end. Inside of upstream/ only: who wants to
// use one has a lease (lease.h).
//
// link.c is its life: how it is made, what it hears, and what becomes of its place where sockets
// are bounded. link_idle.c keeps those that nobody uses, newest first, so that the warm ones are
// used and the rest grow old and go.
//
// A link belongs to its worker's slab and gives itself back when its conn has closed; by then no
// lease has it. What names its backend are slots, since it may outlive the configuration that it
// was made by; whether it still suits the present one is asked before it is used again.
#pragma once

#include "net/conn.h"
#include "upstream/upstream.h"

struct lease;
struct lease_owner;
struct lease_intro;

struct link {
	struct conn conn;
	struct upstream *upstream;
	u32 cell, pool;		// slots of its backend: it may outlive what names them
	struct lease *leases;	// NULL: idle or closing; of HTTP/1 it is one at most
	struct lease *heir;	// waits for this link to be gone, to have its place
	struct list node;	// in its cell's idle list
	struct list bound_node; // in its picker's idle list, where sockets are bounded
	struct list owner_node; // in its owner's list
	struct lease_owner *owner;
	struct list open_node; // HTTP/2: in its cell's list of those in use that have room
	u64 idle_until_ms;
	bool stream_done;
	bool has_socket; // holds one of its seat's sockets
	bool is_h2;
	bool is_open; // HTTP/2: the backend has said how many streams there may be
	bool retires; // HTTP/2: nothing new is begun on it
	bool is_told; // whom it is for: nobody but its owner may use it
};

static inline struct cell *link_cell(const struct link *link)
{
	return &link->upstream->cells[link->cell];
}

static inline struct picker *link_picker(const struct link *link)
{
	return &link->upstream->pickers[link->pool];
}

static inline bool link_is_usable(const struct link *link)
{
	return link->conn.session->end == SESSION_GOES_ON && !link->conn.closing &&
	       !link->conn.failed && likely(!link->retires);
}

// ---- Life (link.c) ------------------------------------------------------------------------------

// Begins a connection for this lease, which is its first one. The place at the backend, where they
// are bounded, was taken. False: *ret_error says why, and the place is given back.
bool link_connect(struct lease *lease, struct upstream *upstream, struct backend *backend,
	int *ret_error) must_check;

// One without HTTP that another process has opened. NULL: no memory, and the descriptor stays the
// caller's.
struct link *link_take_fd(struct upstream *upstream, struct backend *backend, int fd) must_check;

// How many streams more it takes; of one whose backend has not said so yet, how many it may.
u32 link_room(const struct link *link);

// To be called whenever something changes that its room depends on. Where somebody waits for a
// place and this is one, it is told.
void link_look_at_room(struct link *link);

// ---- Idle ones (link_idle.c) --------------------------------------------------------------------

// Keeps a free link for the next request, or lets it go.
void link_park(struct link *link);

// It is not idle any more, if it was: somebody uses it, or it goes.
void link_leave_idle(struct link *link);

// An idle link goes. Where sockets are bounded the backend must have seen the last one go before it
// sees the next one come: its end is waited for.
void link_let_go(struct link *link);

// It is spoken to as the present configuration wants: links outlive the one they were made by.
bool link_suits(const struct link *link, const struct backend *backend);

// The newest one, which is idle no more. NULL: there is none.
struct link *link_take_idle(struct upstream *upstream, struct backend *backend);

void link_close_idle(struct cell *cell);

// Of this cell's backend, those that are not as a new connection to it would be.
void link_close_unfit(struct upstream *upstream, u32 cell);

// Others wait for a place in this pool: the longest idle of its bounded connections is closed.
void link_yield_idle(struct picker *picker);
