// SPDX-License-Identifier: Apache-2.0
// HTTP/2 (RFC 9113) on a byte stream, either role: many streams, each of them what h1.h has one of.
// Framing, header compression and the checks of a message's form are libnghttp2's, which nothing
// outside of proto/h2* sees.
//
// Flow control is the credit of stream.h. A stream's window is 256 KiB, and what its reader has
// drained is given back; the connection's window is given back on receipt, so that one stream whose
// reader stands still never stops its siblings. No more DATA is framed than the connection is about
// to send.
//
// A request becomes a typed head by being written as the HTTP/1.1 request that says the same, which
// the parser of h1_parse.h then reads: what is refused there is refused here, and no sequence of
// fields means one thing in HTTP/2 and another in HTTP/1 (RFC 9113 section 8, RFC 9110). In the
// other direction fields are named one by one from the typed head.
//
// Ownership: a session and its streams come from the slabs of a kit, and go back by the session's
// `done`. A stream is its owner's until reset or release.
#pragma once

#include "proto/h1.h"
#include "proto/stream.h"

struct h2;
struct h2_kit;

// What a peer may not do too often, since each of these costs it nothing. X(NAME, how many in a
// second, how many at once, word for log and metric)
#define H2_FLOODS(X)                                   \
	X(RESETS, 50, 200, "resets")                   \
	X(SETTINGS, 5, 50, "settings")                 \
	X(PINGS, 20, 200, "pings")                     \
	X(PRIORITIES, 100, 500, "priorities")          \
	X(EMPTY_DATA, 50, 200, "empty_data")           \
	X(WINDOW_UPDATES, 500, 5000, "window_updates") \
	X(UNKNOWN_FRAMES, 50, 200, "unknown_frames")

// What ends a connection for its peer's conduct: a flood, or one of these. X(NAME, word)
#define H2_OTHER_EXCESSES(X)              \
	X(CONTINUATIONS, "continuations") \
	X(HEADER_LIST, "header_list")     \
	X(PROTOCOL_ERROR, "protocol_error")

enum h2_excess {
#define X(name, rate, burst, word) H2_##name,
	H2_FLOODS(X)
#undef X
#define X(name, word) H2_##name,
		H2_OTHER_EXCESSES(X)
#undef X
			H2_EXCESS_COUNT,
	H2_FLOOD_COUNT = H2_CONTINUATIONS,
};

const char *h2_excess_word(enum h2_excess excess); // static

enum {
	H2_STREAMS_MAX = 100,	       // of a peer at the same time; and of ours on a connection
	H2_STREAM_WINDOW = 256 * 1024, // bytes that a stream's reader may be behind
	H2_CONN_WINDOW = 1024 * 1024,  // under way on a connection
	H2_CONTINUATIONS_MAX = 8,      // frames behind HEADERS
	H2_CODE_NO_ERROR = 0x0,	       // RFC 9113 section 7
};

// Tables and memory for the HTTP/2 of one thread. `now_us` is read whenever a rate is judged.
// `seed`: what strangers must not guess.
struct h2_kit *h2_kit_new(
	struct block_pool *pool, const u64 *now_us, u32 sessions_max, u32 streams_max, u64 seed);
void h2_kit_free(struct h2_kit *kit); // asserts that no session is left; NULL is fine

// A session that writes to `out`. `carrier` is whoever owns the byte stream (h2_carrier). `parser`
// has the limits of heads. Server role: the peer's preface is expected. NULL: no memory.
struct session *h2_new(struct h2_kit *kit, enum stream_role role, struct h1_parser *parser,
	struct bytes *out, void *carrier, bool is_secure,
	const struct session_events *events) must_check;

void *h2_carrier(const struct session *session);

// Bytes with which every HTTP/2 connection of a client begins (RFC 9113 3.4).
extern const struct str h2_preface;

// What ended the session, for on_excess.
enum h2_excess h2_excess_of(const struct session *session);
