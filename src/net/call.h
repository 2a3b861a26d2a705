// SPDX-License-Identifier: Apache-2.0
// One request and its answer over HTTP/1.1 or HTTP/2, on a connection of its own: how weir itself
// asks for something that is no client's request. Or only a connection, to see whether there is
// one.
//
// A body is copied into the loop's blocks a piece at a time, however long it is.
//
// Ownership: a call is embedded in its owner, who may free it after on_closed. What the request
// points to is borrowed until then.
#pragma once

#include "net/conn.h"

struct call;

enum call_fault {
	CALL_CONNECT_FAILED,   // `error` says why
	CALL_CONNECT_LATE,     // the deadline passed
	CALL_ANSWER_LATE,      // the same, once connected
	CALL_CLOSED,	       // before the answer was complete
	CALL_ANSWER_MALFORMED, // or larger than we may hold
};

// Nothing but on_closed follows after call_end, on_failed, or the end of the answer.
struct call_events {
	void (*on_connected)(struct call *call); // NULL: nobody wants to know
	// Fields of the final head, before on_answer, and trailers, before the end of the body.
	// NULL: nobody wants to know.
	void (*on_fields)(struct call *call, const struct http_field *fields, u16 count);
	// The final head. `end`: there is no body.
	void (*on_answer)(struct call *call, u16 status, bool end);
	// Part of its body, perhaps nothing when it ends. NULL: it is read and dropped, and its
	// end is not told.
	void (*on_body)(struct call *call, struct str bytes, bool end);
	void (*on_failed)(struct call *call, enum call_fault fault, int error);
	void (*on_closed)(struct call *call);
};

struct call_request {
	enum http_method method;
	struct str method_text;
	struct str path, host;
	struct str lines;     // more fields, each with its line end
	struct str body;      // may be empty
	bool announces_body;  // an empty one is said to be empty
	u32 answer_bytes_max; // of its body that are delivered; 0: the body is not asked for
	struct h2_kit *h2;    // it is sent by HTTP/2; NULL: by HTTP/1.1
};

struct call {
	struct conn conn;
	const struct call_events *events;
	const struct call_request *request; // NULL: only a connection
	struct addr addr;
	size_t body_sent;      // given to the session
	size_t body_under_way; // of that, not yet out of the process
	struct stream *stream; // of its request; NULL: there is none
	u32 rest;	       // bytes of an answer nobody waits for that are still read
	bool over;	       // what it came to is known; the connection is still closing
};

// Whom it is with.
struct call_peer {
	struct addr addr;
	struct tls_client *tls; // NULL: in clear
	struct str intro;	// goes first, below TLS; may be empty
};

// Begins. 0, or negative errno when there is no descriptor, no memory or no way to the address:
// then nothing follows. `request` may be NULL; without one, on_connected is the end, by call_end.
int call_begin(struct call *call, struct loop *loop, const struct call_peer *peer,
	const struct call_request *request, struct h1_parser *parser,
	const struct call_events *events) must_check;

// When all of it must be over; to be set behind call_begin.
static inline void call_set_deadline(struct call *call, u64 deadline_ms)
{
	conn_set_timer(&call->conn, deadline_ms);
}

// Enough has been heard: closes. May be repeated.
void call_end(struct call *call);

// The same in good order, for an answer of which the body is still to come: what is closed with
// bytes that nobody has read is a reset for the other side. So up to CALL_REST_BYTES_MAX of it are
// read and dropped first, until deadline_ms at the latest.
enum { CALL_REST_BYTES_MAX = 64 * 1024 };

void call_end_in_order(struct call *call, u64 deadline_ms);
