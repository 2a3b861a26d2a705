// SPDX-License-Identifier: Apache-2.0
// Inside of proto/h1* only. h1.c is the session, h1_recv.c what comes from the peer, h1_stream.c
// the calls on the stream and what is sent; h1_parse.c, h1_chunked.c and h1_write.c know the text.
#pragma once

#include "proto/h1.h"

enum {
	H1_LINGER_BYTES_MAX = 1024 * 1024,
	H1_CLOGGED_BYTES = 16 * 1024, // answers not sent: no further request is taken
};

enum h1_state {
	H1_HEAD,	// in: waiting for a head; out: nothing sent yet
	H1_LENGTH,	// body of in_left / out_left bytes
	H1_CHUNKS,	// chunked body
	H1_TRAILERS,	// in: behind the last chunk
	H1_UNTIL_CLOSE, // body to the end of the byte stream
	H1_RAW,		// tunnel
	H1_ENDED,	// this half is complete
	H1_DROPPED,	// in: whatever comes is dropped
};

extern const struct stream_ops h1_stream_ops;

static inline struct h1 *h1_of_session(struct session *session)
{
	return container_of(session, struct h1, session);
}

static inline struct h1 *h1_of_stream(struct stream *stream)
{
	return container_of(stream, struct h1, stream);
}

static inline void h1_poke(struct h1 *h1)
{
	h1->session.events->on_poke(&h1->session);
}

static inline void h1_look_again(struct h1 *h1)
{
	if (!h1->running) // else the loop in h1_run goes on by itself
		h1->session.again = true;
	h1_poke(h1);
}

// A client that sends requests and takes no answers must not fill our memory.
static inline bool h1_is_clogged(const struct h1 *h1)
{
	return h1->session.role == STREAM_SERVER && h1->session.out->len >= H1_CLOGGED_BYTES;
}

// Ends only ever grow more final.
void h1_end(struct h1 *h1, enum session_end end);

void h1_tell_reset(struct h1 *h1, enum stream_fault fault);
void h1_no_memory(struct h1 *h1);

// When both halves are over, the session is free for the next message, or ends.
void h1_maybe_done(struct h1 *h1);

// ---- Receiving ----------------------------------------------------------------------------------

// The peer's half of the message is complete.
void h1_in_ended(struct h1 *h1);
void h1_tunnel_begins(struct h1 *h1);
void h1_refuse_request(struct h1 *h1, enum http_refusal why);

// Takes over the slice and puts it behind what is held: 0 or -ENOMEM.
int h1_hold(struct h1 *h1, struct slice more) must_check;

// Consumes what is held, as far as it goes.
void h1_run(struct h1 *h1);
void h1_deliver(struct h1 *h1, struct slice slice, bool end);

// The peer's end of stream, once everything before it was consumed.
void h1_take_end(struct h1 *h1);
