// SPDX-License-Identifier: Apache-2.0
// One message as a scripted peer sends it: a head written in advance, a body made on the fly, and
// what goes wrong on the way.
#pragma once

#include "base/rng.h"
#include "reader.h"

// What the sender does instead of going on.
enum act {
	ACT_NONE,
	ACT_CLOSE, // orderly end of the whole connection
	ACT_RESET,
	ACT_STALL, // nothing more, until the other side has had enough
	ACT_SHUT,  // half-close, and go on receiving
};

enum flaw {
	FLAW_NONE,
	FLAW_CHUNK_SIZE, // a size that is no number
	FLAW_CHUNK_END,	 // data not followed by CRLF
	FLAW_CHUNK_LF,	 // a size line ended by LF alone
	FLAW_EXTENSION,	 // an endless chunk extension
	FLAW_TRAILER,	 // framing in the trailer section
	FLAW_COUNT,
};

enum { ACT_AT_LAST = 1u << 31 }; // before what makes the message complete

struct script {
	struct str head; // whoever made it keeps it
	u64 key;	 // of the body's pattern
	u32 body_len;
	u8 framing; // enum reader_framing
	u8 act;	    // enum act
	u8 flaw;    // enum flaw, in a chunked body
	bool trailers, extensions;
	u32 act_at; // in bytes on the wire, or ACT_AT_LAST
	u32 chunk_max;

	// Where it stands.
	struct str literal; // goes out first
	u64 wire;
	u32 body_at, chunk_left;
	u8 phase;
	bool act_due, flawed;
	char line[64];
};

// Ready to be pulled; the fields in the upper part are set.
void script_start(struct script *script);

// The next bytes, about `max` at most (more, up to `room`, when much was sent already). 0: nothing
// comes any more, or what the script acts is due.
size_t script_pull(struct script *script, struct rng *rng, char *to, size_t room, size_t max);

static inline bool script_head_is_out(const struct script *script)
{
	return script->wire >= script->head.len;
}

// Everything that makes the message complete went out (a body without a length never is).
bool script_is_whole(const struct script *script);

bool script_is_done(const struct script *script);
