// SPDX-License-Identifier: Apache-2.0
// A scripted client of HTTP/2: makes its calls on streams of one connection, several at a time, and
// writes down what came back, as caller.c does for HTTP/1.
#pragma once

#include "sim.h"

// Requests that must be refused. X(NAME)
#define H2_BAD_HEADS(X) \
	X(UPPER_CASE)   \
	X(CONNECTION)   \
	X(TE)           \
	X(NO_PATH)      \
	X(TWO_PATHS)    \
	X(LATE_PSEUDO)  \
	X(TWO_LENGTHS)  \
	X(OTHER_HOST)   \
	X(LINE_END)     \
	X(NO_METHOD)

enum h2_bad_head {
	H2_BAD_NONE,
#define X(name) H2_BAD_##name,
	H2_BAD_HEADS(X)
#undef X
		H2_BAD_COUNT
};

struct h2_caller;

// `calls` is the caller's, and grows.
struct h2_caller *h2_caller_new(struct world *world, struct caller *caller, u32 index, u32 frontend,
	u32 depth, struct call **calls, const u32 *count);
void h2_caller_free(struct h2_caller *c);
void h2_caller_start(struct h2_caller *c);
void h2_caller_release(struct h2_caller *c);
bool h2_caller_is_done(const struct h2_caller *c);
bool h2_caller_is_late(const struct h2_caller *c);
const struct addr *h2_caller_addr(const struct h2_caller *c);
void h2_caller_describe(const struct h2_caller *c, char *text, size_t size);
