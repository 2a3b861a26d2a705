// SPDX-License-Identifier: Apache-2.0
// Tunnels that another process goes on with, while both sockets of each stay open
// (docs/decisions/0027). One side gives: it brings some tunnels at a time to a stop, makes a parcel
// of each (parcel.h), and learns by passing_settle what became of it. The other side takes.
//
// Given are tunnels in clear on both sides, of TCP or behind a 101. Those through TLS or HTTP/2,
// whose state no other process can have, stay, and so does what the other side refuses.
#pragma once

#include "proxy/parcel.h"
#include "proxy/proxy.h"

struct exchange;

// To whom parcels go: a message to this loop, which owns them from there on.
struct passing_sink {
	struct loop *loop;
	message_fn *deliver;
	void *owner;
	// Whether a third process may still give tunnels to this proxy, to go on from here.
	const _Atomic(bool) *is_expecting;
	// Posted once to that loop: every tunnel that was there, or came while that was so, and may
	// go has gone, or the proxy ends.
	struct message *through;
};

enum passing_verdict {
	PASSING_TAKEN,
	PASSING_REFUSED,    // it goes on here
	PASSING_UNANSWERED, // it goes on here, unless the other process has claimed it
};

// From now on, tunnels that begin later too. Once for a proxy.
void passing_begin(struct proxy *proxy, const struct passing_sink *sink);

// What became of the parcel with this number: true when the tunnel is another process'. Harmless
// where it has ended meanwhile.
bool passing_settle(struct proxy *proxy, u64 number, enum passing_verdict verdict);

// NULL: the tunnel goes on here, and the descriptors are this proxy's. Else why not (static text),
// and they stay the parcel's.
const char *passing_take(struct proxy *proxy, struct parcel *parcel) must_check;

// ---- For the proxy and the exchange -------------------------------------------------------------

// This exchange is over before its parcel is settled. Where another process has claimed it already
// it is not over, but given.
void passing_forget(struct exchange *x);

// Its parcel is sent, and the answer has not come: nothing here decides about it.
bool passing_is_under_way(const struct exchange *x);

// With the proxy. No tunnel is there any more.
void passing_done(struct proxy *proxy);
