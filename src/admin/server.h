// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 for those who look at weir and steer it, on one thread's loop: listeners, connections,
// who may do what, and a table of routes. What is answered is the handlers' business.
//
// Promises: everything is bounded (connections, heads, bodies, unsent text, time), so that whoever
// asks too much is refused and disturbs nobody else. Over TCP a request must name an address or a
// configured host (a page of another site cannot reach it by a name of its own), and what changes
// something must carry a field that such a page cannot send.
//
// Ownership: a call belongs to the server; a handler may keep it until it has answered, which it
// does exactly once: now or from a later turn, whether or not the client is still there.
#pragma once

#include "base/log.h"
#include "base/text.h"
#include "loop/loop.h"
#include "proto/http.h"

struct admin_server;
struct admin_call;
struct added;

enum admin_role { ADMIN_NOBODY, ADMIN_READER, ADMIN_OPERATOR };

enum {
	ADMIN_CLIENTS_MAX = 128,
	ADMIN_STREAMS_MAX = 32,		 // answers without an end, of those
	ADMIN_BODY_BYTES_MAX = 1 << 20,	 // of a request
	ADMIN_CONF_BYTES_MAX = 16 << 20, // of a configuration, by who may change things
	ADMIN_UNSENT_BYTES_MAX = 4 << 20,
	ADMIN_PARAMS_MAX = 4,
	ADMIN_WHO_BYTES = 80,
	ADMIN_TOKEN_BYTES_MAX = 256,
};

typedef void admin_handler_fn(void *owner, struct admin_call *call);

struct admin_route {
	u8 method;	  // enum http_method; GET answers HEAD too
	u8 role;	  // enum admin_role: the least that is needed; NOBODY: everybody
	bool changes;	  // needs X-Weir-Request over TCP
	const char *path; // "{}" stands for one segment, and at the end "*" for the rest
	admin_handler_fn *handle;
};

struct admin_token {
	struct str name, secret;
	u8 role; // enum admin_role
};

struct admin_server_config {
	struct loop *loop;
	struct log *log;
	const struct admin_route *routes;
	u32 route_count;
	void *owner; // of the handlers
	const struct admin_token *tokens;
	u32 token_count;
	const struct str *hosts; // names that Host may have besides localhost
	u32 host_count;
	u8 without_token; // enum admin_role of those who come from this machine without a token
};

struct admin_call {
	struct http_head *head; // in the arena
	struct str path;	// decoded, without query
	struct str query;	// as sent
	struct str body;
	struct str params[ADMIN_PARAMS_MAX]; // decoded, for each "{}" and "*" of the route
	u8 param_count;
	u8 role;		   // enum admin_role
	char who[ADMIN_WHO_BYTES]; // "token NAME", "unix uid 0", "127.0.0.1"
	struct arena arena;	   // dies with the call
	void *owner;		   // the handler's, from the configuration
	// For a handler that keeps it.
	void *context;
	void (*on_gone)(struct admin_call *call); // the client has left; it must still be answered
	void (*on_room)(struct admin_call *call); // of a stream: everything was sent
	struct list node;			  // the handler's
	struct admin_client *client;		  // NULL: gone
	struct admin_server *server;
	struct added *added; // fields for the answer
	struct text out;
	size_t sent, queued; // of `out`, handed to the session | of that, not left yet
	bool answered, streams, over;
};

// Borrows all of the configuration.
struct admin_server *admin_server_new(const struct admin_server_config *config);

// Serves on a listening descriptor, which becomes the server's. `only_metrics`: nothing but the
// route of that path, and without a token.
void admin_server_listen(
	struct admin_server *server, int fd, const struct addr *address, const char *only_path);

// Takes nothing new and ends all connections. Calls that handlers keep must be answered. The loop
// turns until admin_server_is_idle, then admin_server_free.
void admin_server_stop(struct admin_server *server);
bool admin_server_is_idle(const struct admin_server *server);
void admin_server_free(struct admin_server *server);

// ---- For handlers -------------------------------------------------------------------------------

// The value of a field of the request, or an empty text.
struct str admin_field(const struct admin_call *call, const char *name);

// The decoded value of a parameter of the query, in the call's arena. False: it is not there.
bool admin_query(struct admin_call *call, const char *name, struct str *ret_value);

// The same as a number from min to max, or `otherwise` when it is absent. False: it is none, and
// the call was answered with 422.
bool admin_query_number(struct admin_call *call, const char *name, u64 min, u64 max, u64 otherwise,
	u64 *ret_number);

// A line for the answer's head; to be called before the answer. Both texts outlive the call or are
// in its arena.
void admin_add_field(struct admin_call *call, const char *name, struct str value);

// Takes over `body`.
void admin_answer(struct admin_call *call, u16 status, const char *content_type, struct text *body);

// The same for what outlives everything.
void admin_answer_static(
	struct admin_call *call, u16 status, const char *content_type, struct str body);

// application/problem+json. `cure` may be NULL.
void admin_problem(struct admin_call *call, u16 status, const char *cure, const char *format, ...)
	printf_like(4, 5);

// An answer without an end. False: too many run, and the call was answered with 503.
bool admin_stream_begin(struct admin_call *call, const char *content_type) must_check;

// Takes nothing over. False: so much is unsent already that this was left out.
bool admin_stream_send(struct admin_call *call, struct str piece);
void admin_stream_end(struct admin_call *call);
