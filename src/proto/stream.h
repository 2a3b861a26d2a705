// SPDX-License-Identifier: Apache-2.0
// Sessions and streams: the one interface every protocol speaks, on both sides of the proxy.
//
// A session is a protocol on a byte stream; a stream is one message pair inside it. Sessions do no
// I/O: they are fed received slices and append to `out`; net/conn flushes once per turn. Calls go
// down (send, grant, reset), events come up through two tables. The client and the server role
// speak the same words.
//
// Back-pressure is credit: a stream delivers no more body bytes than it was granted. Whoever takes
// the body grants the source what its target has drained, so a slow reader costs one window and no
// more.
#pragma once

#include <errno.h>

#include "base/bytes.h"
#include "proto/http.h"

struct h1_parser;
struct session;
struct stream;

enum stream_role {
	STREAM_SERVER, // requests come in, answers go out (towards clients)
	STREAM_CLIENT, // requests go out, answers come in (towards backends)
};

// Why a stream ended before its message was complete.
enum stream_fault {
	STREAM_PEER_CLOSED,   // the peer ended the byte stream
	STREAM_PEER_RESET,    // the connection broke
	STREAM_MALFORMED,     // the peer's bytes were refused; session->refusal says why
	STREAM_NO_MEMORY,     // a queue or block could not grow
	STREAM_NOT_PROCESSED, // the peer says that it has done nothing with the request, which may
			      // be sent again whatever its method (RFC 9113 8.7)
	STREAM_UNWELCOME,  // the same, because it does not take this connection (SESSION_UNWELCOME)
	STREAM_NO_UPGRADE, // nothing was sent: the peer does not take what it asks for (RFC 8441 3)
};

struct stream_events {
	// A message head, borrowed for the call. The receiver may change it and append fields
	// (there is room for HTTP_FIELDS_EXTRA). Interim (1xx) heads come before the final one.
	// `end`: there is no body.
	void (*on_head)(struct stream *stream, struct http_head *head, bool end);
	// Body bytes (possibly none together with end). The slice is the receiver's.
	void (*on_body)(struct stream *stream, struct slice slice, bool end);
	// The trailer section; ends the message. Borrowed for the call.
	void (*on_trailers)(struct stream *stream, const struct http_field *fields, u16 count);
	// `len` body bytes handed to send_body have left the process (0: only the head has).
	void (*on_drained)(struct stream *stream, size_t len);
	// The peer's half is over before its end. Nothing follows.
	void (*on_reset)(struct stream *stream, enum stream_fault fault);
};

struct stream_ops {
	void (*send_head)(struct stream *stream, const struct http_head *head, bool end);
	void (*send_body)(struct stream *stream, struct slice slice, bool end);
	void (*send_trailers)(struct stream *stream, const struct http_field *fields, u16 count);
	void (*grant)(struct stream *stream, size_t len);
	// The owner loses interest: no event comes any more, and the stream is not the owner's. A
	// message cut short is visibly so: HTTP/1 ends the connection, HTTP/2 the stream.
	void (*reset)(struct stream *stream);
	// The same where the whole message pair has passed.
	void (*release)(struct stream *stream);
	// Server role, from on_request or on_refused: nobody can take this request. It is done
	// with.
	void (*refuse)(struct stream *stream);
	// Client role: the answer to the request that is about to be sent has these limits.
	void (*use_parser)(struct stream *stream, struct h1_parser *parser);
	// Client role: has anything of an answer come? NULL: what the connection received says so.
	bool (*heard)(const struct stream *stream);
	// Bytes of the incoming body that pass unchanged and were not delivered yet (0: none,
	// encoded, unknown); UINT64_MAX: all until the end of the byte stream.
	u64 (*raw_left)(const struct stream *stream);
	// Bytes received and not delivered for want of credit.
	size_t (*held)(const struct stream *stream);
	// May `len` body bytes be put on the wire unchanged?
	bool (*raw_fits)(const struct stream *stream);
	// `len` bytes went past the session, read from (in) or written to (out) its socket.
	// `end`: the byte stream ended there (raw_left was UINT64_MAX).
	void (*moved_in)(struct stream *stream, u64 len, bool end);
	void (*moved_out)(struct stream *stream, u64 len);
};

struct stream {
	const struct stream_ops *ops;
	const struct stream_events *events; // NULL: nobody listens
	void *owner;
	struct session *session;
};

struct session_events {
	// Server role: a request head arrived. The owner sets stream->events and owner before it
	// returns.
	void (*on_request)(
		struct session *session, struct stream *stream, struct http_head *head, bool end);
	// Server role: bytes that are no request. session->refusal says why; the owner answers
	// through the stream (send_head with end, keep_alive false) or resets it.
	void (*on_refused)(struct session *session, struct stream *stream);
	// Both halves of the stream are over, and nobody reset it (HTTP/2: or it was). Client role:
	// the session may be reused when session->end is SESSION_GOES_ON. Server role: the next
	// request may come when session->busy says so.
	void (*on_stream_done)(struct session *session, struct stream *stream);
	// Something for the connection to do: output to flush, input wanted, an end to carry out.
	void (*on_poke)(struct session *session);
	// Server role of HTTP/1: a first request that is HTTP/2's preface, or its beginning. True:
	// another session has taken over the bytes (and owns the slice now), and this one hears
	// nothing more. NULL or false: it is a request like others.
	bool (*on_preface)(struct session *session, struct slice *held);
	// HTTP/2 only. Client role: how many streams may be open was told, at first or anew
	// (session_ops.room). NULL: nobody wants to know.
	void (*on_open_limit)(struct session *session);
	// Client role: the peer takes no more requests; those that run may go on.
	void (*on_goaway)(struct session *session);
	// The peer's conduct ends the connection (h2_excess_of).
	void (*on_excess)(struct session *session);
};

enum session_end {
	SESSION_GOES_ON,
	SESSION_SHUT,	// half-close when flushed, go on receiving (tunnels)
	SESSION_LINGER, // half-close when flushed, then read and drop until the peer is done
	SESSION_CLOSE,	// close when the output is flushed
	SESSION_ABORT,	// reset at once
};

// The end of a byte stream below which something knows whether all of it came (TLS), and not all
// may have come: whoever needs the end to know that a message is complete must not believe it.
enum { SESSION_CUT = -EPROTO };

// The end of a byte stream whose peer says, below the session and before anything else, that it
// does not take the connection.
enum { SESSION_UNWELCOME = -EKEYREJECTED };

// What a session's end by an error is to a stream.
static inline enum stream_fault stream_fault_of_end(int error)
{
	if (error == SESSION_UNWELCOME)
		return STREAM_UNWELCOME;
	return error == -ENOMEM ? STREAM_NO_MEMORY : STREAM_PEER_RESET;
}

struct session_ops {
	// Takes over the slice (len 0: look again at what was held, as asked by `again`). The
	// caller looks afterwards at `end` and `again`, and asks wants_input.
	void (*feed)(struct session *session, struct slice slice);
	// The peer ended (error 0), or without the word that it should have said before
	// (SESSION_CUT), or the connection broke (negative errno).
	void (*ended)(struct session *session, int error);
	// Should a receive be posted?
	bool (*wants_input)(const struct session *session);
	// `out` was taken for sending | everything taken has left.
	void (*taken)(struct session *session);
	void (*sent)(struct session *session);
	// Client role: a new stream, where `room` says that there may be one. HTTP/2: NULL when
	// there is no memory.
	struct stream *(*open)(struct session *session);
	// Client role: how many streams may be opened now.
	u32 (*room)(const struct session *session);
	// Finish what runs, take nothing new (Connection: close, GOAWAY).
	void (*drain)(struct session *session);
	// No further request is taken; what was answered leaves, then the connection ends. No
	// stream is open.
	void (*finish)(struct session *session);
	// Server role: a request head has begun to arrive but is not complete.
	bool (*head_is_partial)(const struct session *session);
	// ... and it takes too long: it is refused, and the connection with it.
	void (*refuse_late)(struct session *session);
	// To be called from time to time: a peer from which nothing came since the last call is
	// asked for a sign of life, and given up at the next call if there was none. HTTP/1 cannot
	// ask. An answer that was released and of which nothing left between two calls is reset.
	void (*check_alive)(struct session *session);
	// Body bytes that its streams were given and that are not in `out` yet; to *ret_held comes
	// what bytes_held says of them. NULL: there are never any.
	u64 (*queued)(const struct session *session, u64 *ret_held);
	void (*done)(struct session *session);
};

struct session {
	const struct session_ops *ops;
	const struct session_events *events;
	struct block_pool *pool;
	struct bytes *out;
	u8 role;	       // enum stream_role
	u8 end;		       // enum session_end
	u8 refusal;	       // enum http_refusal
	bool busy;	       // a stream is open (HTTP/2: at least one)
	bool again;	       // held input may go on: feed an empty slice at the end of the turn
	bool small;	       // the last messages were short (a hint for the receive)
	bool sees_it_out : 1;  // after a last message the peer's own end comes before we close
	bool says_goodbye : 1; // `finish` has something to say, also when nothing is under way
	u8 streams;	       // server role of HTTP/2: so many are open (255: or more)
};
