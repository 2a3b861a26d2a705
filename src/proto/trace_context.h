// SPDX-License-Identifier: Apache-2.0
// The fields traceparent and tracestate (W3C Trace Context, with the flag for random ids of its
// level 2): what they say, and what is said on. Strict: what is malformed is as good as not there.
//
// Ids are the bytes as the field has them, first byte first in memory: nothing here does arithmetic
// with them but trace_context_chance.
#pragma once

#include "base/str.h"

enum {
	TRACE_PARENT_BYTES = 55,	// of a traceparent as we write it
	TRACE_STATE_BYTES = 512,	// of a tracestate that everybody passes on
	TRACE_STATE_MEMBERS = 32,	// of a list; a longer one is malformed
	TRACE_STATE_MEMBER_BYTES = 128, // of a member that is not the first to go
};

enum trace_flags {
	TRACE_SAMPLED = 1, // the caller may have recorded it
	TRACE_RANDOM = 2,  // the last seven bytes of the trace id are random
};

struct trace_context {
	u64 trace_id[2];
	u64 parent_id; // of the span that this is said to be below of
	u8 flags;      // those of enum trace_flags; others are not passed on
};

// Of a whole value, without white space around it. A version above 00 is read as far as 00 goes.
// False: malformed, or an id is zero.
bool trace_context_parse(struct str value, struct trace_context *ret_context) must_check;

// As version 00.
void trace_context_write(const struct trace_context *context, char text[static TRACE_PARENT_BYTES]);

// Where the id of the span stands in that text, to be written anew for each that is sent.
enum { TRACE_PARENT_ID_AT = 36, TRACE_PARENT_ID_BYTES = 16 };

// The random part of the trace id, 0 to 2^56 - 1: the same for everybody who sees this trace.
u64 trace_context_chance(const u64 trace_id[static 2]);

enum { TRACE_CHANCE_BITS = 56 };

// A tracestate, which may stand in several fields. Members borrow from them. Start with {0}.
struct trace_state {
	struct str members[TRACE_STATE_MEMBERS];
	u32 count;
	size_t bytes; // of all of them with commas between
};

// Adds the members of one more field. False: malformed, and so is the whole.
bool trace_state_add(struct trace_state *state, struct str value) must_check;

// Leaves members out until the rest has TRACE_STATE_BYTES at most, as the recommendation has it:
// first those with more than TRACE_STATE_MEMBER_BYTES, then others, each from the end on.
void trace_state_shorten(struct trace_state *state);

// Writes state->bytes to `text`; gives where they end.
char *trace_state_write(const struct trace_state *state, char *text);
