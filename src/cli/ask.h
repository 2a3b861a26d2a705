// SPDX-License-Identifier: Apache-2.0
// Asks a running weir, or any server that speaks HTTP/1.1, for the commands that look at a process
// from outside. The calls wait; there is one connection for each question, closed with its answer.
//
// Promises: nothing waits longer than timeout_ms (but the system's look-up of names) and nothing
// grows beyond ASK_ANSWER_BYTES_MAX. What fails says in words what failed and what to do about it;
// a token never stands there.
//
// Ownership: what is given is borrowed for the call; what is given back lives in the arena.
#pragma once

#include "base/addr.h"

struct cli;

enum {
	ASK_PLACES_MAX = 8,
	ASK_TIMEOUT_MS = 5000,
	ASK_ANSWER_BYTES_MAX = 64 << 20, // of one body, and of one event
};

struct ask_place {
	struct str text;   // as it was written
	struct addr addr;  // family ADDR_NONE: `name` has to be looked up
	const char *name;  // and then has addr.port
	struct str host;   // for the Host field
	struct str target; // path and query of a URL; empty: none was given
};

struct ask_where {
	struct ask_place
		places[ASK_PLACES_MAX]; // in this order; the first that takes the connection
	u32 count;
	struct str token;   // empty: none is sent
	u64 timeout_ms;	    // for the whole answer; of a stream, between two pieces of it
	const int *stop_fd; // once it is readable, whatever waits gives up: -ECANCELED; NULL: none
};

struct ask_question {
	const char *method;
	const char *path;   // with query; NULL: the target of the place
	struct str body;    // JSON, or empty
	const char *fields; // more lines of the head, each with its line end; NULL: none
};

struct ask_answer {
	u16 status;
	struct str content_type; // empty: none
	struct str body;
	struct str from; // text of the place that answered
};

// Two sentences for people.
struct ask_trouble {
	const char *cause, *cure;
};

// ---- Where (ask_where.c) ------------------------------------------------------------------------

// "unix:/path", "/path", "127.0.0.1:9900", "[::1]:9900", ":9900" (on this machine), "name:9900",
// "http://host:port/path". 0, or -EINVAL and trouble.
int ask_parse(struct str text, struct arena *arena, struct ask_place *ret_place,
	struct ask_trouble *ret_trouble) must_check;

// The admin address of a weir, by --admin, else where one is by default; with the token of
// --token-file or $WEIR_TOKEN, and --timeout. 0, or -EINVAL and trouble.
int ask_where_admin(const struct cli *cli, struct ask_where *ret_where,
	struct ask_trouble *ret_trouble) must_check;

// ---- Questions (ask.c) --------------------------------------------------------------------------

// One question and its whole answer, whatever its status is. 0, or negative errno and trouble:
// there was no place to connect to, or no answer, or not all of it, or not in time.
int ask(const struct ask_where *where, const struct ask_question *question, struct arena *arena,
	struct ask_answer *ret_answer, struct ask_trouble *ret_trouble) must_check;

// ---- Server-sent events (ask.c) -----------------------------------------------------------------

struct ask_stream;

// One event. Its texts are borrowed. False: no more of them are wanted.
typedef bool ask_event_fn(void *owner, struct str event, struct str data);

// 0: *ret_stream is open; or it is NULL, because the answer is no stream of events: then it is in
// *ret_answer. Negative errno and trouble as above.
int ask_stream_open(const struct ask_where *where, const struct ask_question *question,
	struct arena *arena, struct ask_stream **ret_stream, struct ask_answer *ret_answer,
	struct ask_trouble *ret_trouble) must_check;

// To be polled for POLLIN beside other descriptors, when ask_stream_read may not wait. The first
// read comes before the first poll: something may have come with the head.
int ask_stream_fd(const struct ask_stream *stream);

// Reads what has come, and tells each event that is complete with it. `may_wait`: for the next
// bytes, when there are none. 1: there may be more. 0: the stream is over, or no more is wanted.
// Negative errno and trouble. The trouble lives in the arena that the stream was opened with.
int ask_stream_read(struct ask_stream *stream, bool may_wait, ask_event_fn *tell, void *owner,
	struct ask_trouble *ret_trouble) must_check;

void ask_stream_close(struct ask_stream *stream); // NULL is fine
