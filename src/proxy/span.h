// SPDX-License-Identifier: Apache-2.0
// Spans of sampled requests, on their way from a worker to whoever tells a collector about them
// (admin/otlp.h): one for a request, one for each try at a backend. Records of a fixed size in a
// ring with one writer and one reader, so that a worker never waits and takes no memory: what finds
// no room is dropped and counted.
#pragma once

#include <stdatomic.h>

#include "proxy/snapshot.h"

enum span_kind { SPAN_SERVER, SPAN_CLIENT };

// Texts of strangers, each cut to its room. X(NAME, bytes)
#define SPAN_TEXTS(X)     \
	X(PATH, 128)      \
	X(HOST, 64)       \
	X(AGENT, 64)      \
	X(CLIENT_IP, 39)  \
	X(PEER, 39)       \
	X(REQUEST_ID, 32) \
	X(METHOD, 16)

enum span_text {
#define X(name, bytes) SPAN_##name,
	SPAN_TEXTS(X)
#undef X
		SPAN_TEXT_COUNT
};

enum {
#define X(name, bytes) bytes +
	SPAN_TEXT_BYTES = SPAN_TEXTS(X) 0
#undef X
};

// How a try ended that another one overtook; else an enum outcome.
enum { SPAN_OVERTAKEN = UINT8_MAX };

struct span {
	u64 trace_id[2], id;
	u64 parent_id; // 0: it is the first of its trace
	i64 begun_us;  // Unix time
	u64 took_us;
	// Borrowed from the snapshot, which must outlive the record.
	const struct frontend *frontend;
	const struct route *route;     // NULL: none
	const struct backend *backend; // NULL: none
	u64 bytes_in, bytes_out;       // SERVER
	u32 connect_us, first_byte_us; // CLIENT; UINT32_MAX: it did not come so far
	u16 status;		       // 0: no answer
	u16 client_port, peer_port;    // 0: not known
	u8 kind;		       // enum span_kind
	u8 flags;		       // of the trace context
	u8 outcome;
	u8 resends; // CLIENT: how often it had been sent before
	u8 method;  // enum http_method; SPAN_METHOD has the text of another
	u8 version_minor;
	bool parent_is_remote, is_hedge, is_reused;
	bool is_h2; // the request came by HTTP/2
	u8 lens[SPAN_TEXT_COUNT];
	char text[SPAN_TEXT_BYTES]; // one behind the other
};
_Static_assert(sizeof(struct span) <= 512, "a ring is so many times half a kilobyte");

// To be called in the order of enum span_text, on a span whose lens are zero.
void span_put(struct span *span, enum span_text which, struct str text);
struct str span_text(const struct span *span, enum span_text which);

struct span_ring {
	struct span *spans;
	u32 count; // a power of two

	// The writer's
	_Atomic(u64) written; // ever growing
	u64 read_seen;	      // its last look at `read`

	char apart[CACHE_LINE]; // so that neither disturbs the other
	_Atomic(u64) read;	// the reader's
	char apart_too[CACHE_LINE];
};

// `count`: a power of two.
void span_ring_init(struct span_ring *ring, u32 count);
void span_ring_done(struct span_ring *ring);

// Writer. The next place, to be filled and then committed; NULL: there is none.
struct span *span_ring_open(struct span_ring *ring) must_check;
void span_ring_commit(struct span_ring *ring);

// Reader. How many wait; the `at`th of them; gives the first `count` of them back.
u32 span_ring_waiting(const struct span_ring *ring);
const struct span *span_ring_peek(const struct span_ring *ring, u32 at);
void span_ring_take(struct span_ring *ring, u32 count);
