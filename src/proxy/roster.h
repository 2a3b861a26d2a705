// SPDX-License-Identifier: Apache-2.0
// Who is connected: the client connections of one worker and what each of them does, for somebody
// who asks. On the worker's thread, and in slices: with a hundred thousand connections no turn
// takes longer than one slice does.
//
// Between slices connections come and go. One that is there all the time is seen once; one that
// came meanwhile is not seen by who begins with the newest. All texts are copies in the arena of
// the roster, which may go to another thread once it is over.
//
// Shown of a request is no more than the access log tells: no fields, and of its path no query.
#pragma once

#include "base/addr.h"
#include "base/list.h"

struct client;
struct proxy;

enum {
	ROSTER_ROWS_MAX = 1000,
	ROSTER_SLICE = 128,	    // connections looked at in a turn
	ROSTER_PATH_MAX = 200,	    // what is longer is cut
	ROSTER_RUNS_MAX = 128,	    // of one connection
	ROSTER_BYTES_MAX = 4 << 20, // of memory
};

// What a connection does. X(NAME, name, text)
#define ROSTER_STATES(X)                                                          \
	X(NEW, "new", "nothing has come yet")                                     \
	X(IDLE, "idle", "waits for its next request")                             \
	X(HEAD, "head", "a head has begun to come")                               \
	X(REQUEST, "request", "a request runs")                                   \
	X(TUNNEL, "tunnel", "a request has become a tunnel, such as a WebSocket") \
	X(TCP, "tcp", "bytes go both ways")                                       \
	X(ENDING, "ending", "the last bytes leave, or the end is on its way")

enum roster_state {
#define X(name, word, text) ROSTER_##name,
	ROSTER_STATES(X)
#undef X
		ROSTER_STATE_COUNT
};

extern const char *const roster_state_names[ROSTER_STATE_COUNT];

// Borrowed until the roster is over. Empty is every.
struct roster_ask {
	struct str frontend;	   // name
	struct str pool, backend;  // name and id, of a running request
	struct str client;	   // text of an address, as weir writes it ...
	struct addr_prefix prefix; // ... or a network, where `client` is empty; ADDR_NONE: every
	u32 state;		   // enum roster_state; ROSTER_STATE_COUNT: every
	u32 slice;		   // connections looked at in a turn; 0: ROSTER_SLICE
	u32 rows_max;		   // at most ROSTER_ROWS_MAX
	bool oldest_first;
};

// A request that runs, a tunnel, or a TCP connection.
struct roster_run {
	struct str id, method, path; // empty: none (TCP)
	struct str route, pool, backend, client;
	const char *step;
	u64 age_us;
	u8 attempts;
	bool path_is_cut;
};

struct roster_row {
	struct str frontend, client; // name | address, "unix:" by a unix socket
	u16 port;
	u8 state;     // enum roster_state
	i64 since_ms; // Unix time of its accept, in whole seconds
	u32 requests; // heads that came, or were refused
	u64 bytes_in, bytes_out;
	struct roster_run *runs; // at most one, with HTTP/1 and TCP
	u32 run_count;
};

struct roster {
	struct arena arena;
	struct roster_row *rows;
	u32 row_count;
	u32 total;    // connections when it began
	u32 matching; // of those that were looked at; all of them, where nothing is filtered
	u32 looked_at;
	// While it goes on.
	struct roster_ask ask;
	struct proxy *proxy;
	struct list node; // in proxy->rosters
	struct list *at;  // the client that comes next, or the list's head
};

// Looks at the first slice. True: it goes on, and roster_more looks at another one. Until then
// nobody but the worker touches it.
bool roster_begin(struct roster *ret_roster, struct proxy *proxy, const struct roster_ask *ask);
bool roster_more(struct roster *roster);

// Gives its memory back, in any thread; it is over, or its worker has ended.
void roster_done(struct roster *roster);

// To be called before a client leaves proxy->client_list.
cold void roster_client_leaves(struct proxy *proxy, const struct client *client);
