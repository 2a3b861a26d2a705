// SPDX-License-Identifier: Apache-2.0
// One request and its answer, from client stream to server stream; or one TCP connection, which is
// the same without heads. A table of named steps (steps.def) run by one small loop: every move is
// checked against the table and traced, and no step waits without a deadline.
//
// What an exchange does to get an answer out of some backend is an attempt (attempt_parts.h): there
// is one at a time, or two while a slow request is hedged; the first final head wins.
#pragma once

#include "proxy/front.h"
#include "proxy/relay.h"
#include "proxy/router.h"
#include "proxy/tracing.h"
#include "upstream/pick.h"
#include "upstream/queue.h"

struct attempt {
	struct exchange *x;
	struct lease lease;	// the server stream
	struct pick pick;	// what it holds of its backend
	u64 leased_us, sent_us; // 0: not yet
	u64 span_id;		// of a recorded exchange; 0: there is none, or it was told of
	u8 resends; // sent so often before | the copy of a slow request; both as span_id
	bool is_hedge;
};

struct exchange {
	struct http_head *request;  // in the arena; NULL for TCP and for what could not be parsed
	struct http_head *response; // during ANSWER only
	const struct route *route;
	struct pool *pool;
	struct backend *backend; // of the running or last attempt
	struct backend *asked;	 // the last one that a try began at; NULL: none
	const struct conf_retry *retry;
	struct str path;	// normal form
	struct str server_name; // that TLS asked for, where it is passed through
	struct bytes replay;	// request body already sent, while it may be sent again
	struct attempt *second; // the copy of a hedged request, while it runs
	u64 wait_until_ms;	// in QUEUE and PAUSE
	u64 queued_ms;		// when it began to wait in QUEUE
	u64 key;		// of a pool that hashes
	u64 answered_us;
	struct trace_event *trace;	// of the run that goes on
	struct record_history *history; // what tries came to; NULL: nothing to tell
	struct hold *pool_hold;		// of x->pool, where it is of another snapshot than `hold`
	// From here to may_wait copied as they stand (record.c).
	u32 sticky;  // index of the backend that the client's cookie names
	u16 status;  // of the answer
	u8 refusal;  // enum http_refusal, for a local answer
	u8 failure;  // enum outcome of the last attempt that failed
	u8 no_retry; // enum retry_reason: why none followed it
	u8 attempts; // begun, without replays
	u8 pauses;   // waited
	u8 failovers;
	bool tcp, replayed, tunnelling;
	bool may_wait;	// waiter was made ready
	u8 asked_again; // of the attempts, those behind the first that are counted
	u8 step;	// enum step
	u8 outcome;	// enum outcome
	bool running, over;
	bool request_ended, request_has_body, response_end, replay_lost;
	bool tunnel_whole; // both directions of a tunnel ended in order
	bool answer_begun; // the client has (part of) an answer
	bool keep_request_id;
	bool names_no_host;    // an HTTP/1.0 request: each backend is called by its own name
	bool is_counted;       // in its pool's requests
	bool has_place;	       // of the pool's bounded requests
	bool is_next;	       // has waited for a place, and it is its turn
	bool may_hedge;	       // hedge_timer was made ready
	bool is_tried_shortly; // retry.try_timeout counts for the running attempt
	bool is_traced;	       // `tracing` is set
	bool is_recorded;      // it has spans
	bool stays;	       // a tunnel that cannot go to another process
	bool is_given;	       // another process has it: nothing is told of its end here
	// From here on new_exchange sets what is needed, one by one: zeroing all would show.
	struct timer timer;
	struct proxy *proxy;
	struct client *client;
	struct exchange *next_of_client, **at_client; // in client->exchanges
	const struct frontend *frontend;	      // the client's, of `hold`
	struct hold *hold;			      // on the snapshot of what it uses (proxy.h)
	struct stream *down;			      // the client's
	struct attempt *attempt;		      // the one that counts: one of the two
	struct attempt tries[2];
	struct queue_waiter waiter;
	struct timer hedge_timer;
	struct task free_task;
	struct list tunnel;	  // in proxy->tunnels
	struct passing *passing;  // of a tunnel that is on its way to another process, else NULL
	u64 deadline_ms;	  // of the whole request; UINT64_MAX: none
	u64 active_ms;		  // last progress; deadlines of silence count from it
	u64 began_us;		  // the head's first byte
	u64 headed_us;		  // its last one
	u64 queued_us, waited_us; // with may_wait: when it last began to wait | how long that was,
				  // 0: still
	i64 headed_wall_ms;
	u32 id;
	struct tracing tracing;
	struct half up, answer; // request body | response body
	struct arena arena;
	struct balance_tried tried;
	char request_id[32];
	struct pick_seen seen; // by the last pick of a pool
};

struct passing; // proxy/passing.c

// A parsed request; the stream is the exchange's until its end. False: no memory, nothing was
// taken.
bool exchange_begin_http(
	struct client *client, struct stream *down, struct http_head *head, bool end) must_check;

// A parsed request that is refused all the same, whatever it asks for.
bool exchange_begin_unwanted(struct client *client, struct stream *down, struct http_head *head,
	bool end, enum http_refusal why) must_check;

// A request that was refused by the parser: only an answer follows.
bool exchange_begin_refused(
	struct client *client, struct stream *down, enum http_refusal why) must_check;

bool exchange_begin_tcp(struct client *client, struct stream *down) must_check;

// TLS that is passed through, to this pool; `route` may be NULL. The name is copied.
bool exchange_begin_tls(struct client *client, struct stream *down, const struct route *route,
	struct pool *pool, struct str server_name) must_check;

// A connection that ends before anything could be sent anywhere: tells of that end, and is over.
bool exchange_tell_end(struct client *client, struct stream *down, enum outcome outcome,
	struct str server_name) must_check;

// The proxy has another snapshot than the exchange began with: goes over to it as far as it can,
// and lets go of the old one where that is whole. What it runs at goes on (rebind.c). False: it
// cannot pick in its pool any more.
bool exchange_rebind(struct exchange *x);

// A tunnel that another process has begun (passing.h): over `client`, whose session is raw, and a
// fresh attempt. The caller sets what is known of it, and then starts both connections.
struct exchange *exchange_new(struct client *client, struct stream *down) must_check;
void exchange_note_tunnel(struct exchange *x);

// Memory is short: a request that a backend has is not kept to be sent again.
void exchange_forget_replay(struct exchange *x);

// The client must go: ends the exchange with this outcome and resets its stream.
void exchange_abort(struct exchange *x, enum outcome outcome);
