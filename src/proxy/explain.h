// SPDX-License-Identifier: Apache-2.0
// What would be done with a request, on the live proxy, and why: which frontend takes it, whether
// its client may connect, each route with the first condition that it does not meet, the answer of
// our own if there is one, else the pool with each backend and whether it may get requests, the
// pick, and the request as that backend would get to see it.
//
// It runs the code that requests run, on an exchange that nobody sees, with a pick that only asks
// (pick_peek): so it cannot say anything else than what happens. And it changes nothing: no turn of
// round robin, no dice, no counters, no budget. Dice are drawn from a copy, so that even where
// chance decides (`is_chance`) the answer is the true one as long as no other request comes in
// between.
//
// On the worker's thread, within a bounded time: lists have a limit, and what is left out is
// counted. All texts are copies in the arena of the result, which may go to another thread.
#pragma once

#include "proxy/outcome.h"
#include "proxy/router.h"
#include "upstream/pick.h"

struct proxy;

enum {
	EXPLAIN_BACKENDS_MAX = 64,
	EXPLAIN_ROUTES_MAX = 128,
	EXPLAIN_SHARES_MAX = 64,
	EXPLAIN_POOLS_MAX = 9, // the first one and those it fails over to
	EXPLAIN_HEAD_BYTES_MAX = 128 * 1024,
	EXPLAIN_CERT_BYTES_MAX = 2000,
};

struct explain_field {
	struct str name, value;
};

// Borrowed for the call. Empty is not given.
struct explain_ask {
	struct str method; // GET
	// "http://host:port/path?query", "host/path", "/path"; without a host, and without a field
	// Host, "localhost". Irrelevant for TCP.
	struct str url;
	const struct explain_field *fields;
	u32 field_count;
	struct addr from; // the peer; ADDR_NONE: 127.0.0.1
	// The certificate that the client shows, as match.client_cert sees it: its subject, and its
	// alternative names divided by commas. Both empty: none.
	struct str cert_subject, cert_sans;
	// Where it arrives: by the frontend's name, else by an address it is bound to
	// ("10.0.0.1:80",
	// ":80"), else by the port of the URL where some frontend has it, else at the first
	// frontend that speaks HTTP.
	struct str frontend, address;
};

struct explain_route {
	struct str name;
	u8 miss;	   // enum router_miss; ROUTER_MATCHES: this one takes it
	struct str wanted; // by that condition
	struct str got;	   // of the request; ptr NULL: it has no such field
};

struct explain_share {
	struct str pool;
	u32 weight;
};

struct explain_backend {
	struct str id, address;
	u32 index;
	u32 weight, in_flight; // as this worker knows
	u8 why;		       // enum eligible_why
	bool is_full;	       // had no place when that was last looked at
	bool has_cost;
	double cost; // for the algorithm
};

struct explain_look {
	struct str backend;
	u8 verdict; // enum balance_verdict
	double cost;
};

struct explain_pool {
	struct str name;
	u8 algorithm; // enum balance_kind
	u8 verdict;   // enum pick_verdict
	bool has_key, is_key_random;
	bool is_pool_full; // by limits.requests, or others wait already
	u64 key;
	struct str cookie; // the backend that its cookie names; empty: none
	u32 backend_total, eligible, full;
	u32 waiting, queue_max; // requests of this worker
	struct explain_backend *backends;
	u32 backend_count, backends_left_out;
	struct explain_look *looks;
	u32 look_count, looks_seen;
	bool by_weight; // as in struct balance_seen
};

enum explain_end {
	EXPLAIN_ERROR,	  // the question has no answer: `error`
	EXPLAIN_DENIED,	  // the connection is reset: `guard`
	EXPLAIN_ANSWERED, // by us: `outcome`
	EXPLAIN_WAITS,	  // for a place at a backend of the last pool
	EXPLAIN_SENT,	  // to `picked`
};

struct explain {
	struct arena arena;
	u8 end; // enum explain_end
	const char *error, *cure;
	u32 generation;
	// Where it arrives.
	struct str frontend;
	bool tcp;
	struct str peer, client; // addresses; the client as a trusted proxy tells of it
	bool is_trusted;	 // the peer
	u8 guard;		 // enum guard_answer
	char guard_key[128];	 // what of the configuration refuses it
	// Which way it takes.
	struct str method, host, path; // the path in its normal form
	struct explain_route *routes;
	u32 route_count, routes_left_out;
	struct str route; // that takes it; empty: none
	struct explain_share *shares;
	u32 share_count, shares_left_out;
	u8 outcome; // enum outcome | enum http_refusal | status (0: not known), of an answer of our
		    // own
	u8 refusal;
	u16 status;
	struct str location; // of a redirect
	// Where it goes.
	struct explain_pool pools[EXPLAIN_POOLS_MAX];
	u32 pool_count;
	struct str picked, picked_address;
	u32 picked_index;
	struct str picked_name; // that its certificate has to have, with TLS
	bool picked_h2, picked_tls, picked_verified;
	bool is_trial;	// of a half-open breaker
	bool is_chance; // dice were drawn
	struct str head;
	u64 connect_timeout_ms, response_timeout_ms, request_timeout_ms; // 0: none
	u64 queue_timeout_ms, body_bytes_max;				 // UINT64_MAX: no bound
	u32 attempts_max;
};

// Fills *ret_explain, which explain_done takes down.
void explain_run(struct explain *ret_explain, struct proxy *proxy, const struct explain_ask *ask);
void explain_done(struct explain *explain);
