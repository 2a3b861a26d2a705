// SPDX-License-Identifier: Apache-2.0
// One request and its answer, from client stream to server stream; or one TCP connection, which is
// the same without heads. A table of named steps (steps.def) run by one small loop: every move is
// checked against the table and traced, and no step waits without a deadline.
#pragma once

#include "proxy/front.h"
#include "proxy/relay.h"
#include "proxy/router.h"

struct exchange {
	struct http_head *request;  // in the arena; NULL for TCP and for what could not be parsed
	struct http_head *response; // during ANSWER only
	const struct route *route;
	struct pool *pool;
	struct backend *backend; // of the running or last attempt
	struct str path;	 // normal form
	struct bytes replay;	 // request body already sent, while it may be sent again
	u64 leased_us, sent_us, answered_us;
	struct trace_event *trace; // of the run that goes on
	u16 status;		   // of the answer
	u8 step;		   // enum step
	u8 outcome;		   // enum outcome
	u8 refusal;		   // enum http_refusal, for a local answer
	u8 connect_failure;	   // enum outcome of the last try that found no connection
	u8 attempts;
	bool tcp, running, over;
	bool request_ended, request_has_body, response_end, replay_lost;
	bool tunnelling, tunnel_whole; // a tunnel | both its directions ended in order
	bool replayed;
	bool answer_begun; // the client has (part of) an answer
	bool keep_request_id;
	bool names_no_host; // an HTTP/1.0 request: each backend is called by its own name
	// From here on new_exchange sets what is needed, one by one: zeroing all would show.
	struct timer timer;
	struct proxy *proxy;
	struct client *client;
	struct stream *down; // the client's
	struct lease lease;  // the attempt's server stream
	struct task free_task;
	u64 active_ms; // last progress; deadlines count from it
	u64 began_us;  // the head's first byte
	u64 headed_us; // its last one
	i64 headed_wall_ms;
	u32 id;
	struct half up, answer; // request body | response body
	struct arena arena;
	struct balance_tried tried;
	char request_id[32];
};

// A parsed request; the stream is the exchange's until its end. False: no memory, nothing was
// taken.
bool exchange_begin_http(
	struct client *client, struct stream *down, struct http_head *head, bool end) must_check;

// A request that was refused by the parser: only an answer follows.
bool exchange_begin_refused(
	struct client *client, struct stream *down, enum http_refusal why) must_check;

bool exchange_begin_tcp(struct client *client, struct stream *down) must_check;

// The client must go: ends the exchange with this outcome and resets its stream.
void exchange_abort(struct exchange *x, enum outcome outcome);
