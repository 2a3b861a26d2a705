// SPDX-License-Identifier: Apache-2.0
// What the files of the admin server share: server.c (connections and bytes) and server_call.c
// (what a request asks for, who may, and answers). Nobody else includes it.
#pragma once

#include "admin/server.h"
#include "net/conn.h"

struct admin_door {
	struct admin_server *server;
	struct list node;
	struct sock sock;
	struct op accept;
	struct timer resume; // accepting, after a pause for want of descriptors
	struct addr address;
	const char *only_path; // NULL: everything is served
};

struct admin_client {
	struct admin_server *server;
	const struct admin_door *door;
	struct list node;
	struct conn conn;
	struct admin_call *call; // that runs, or NULL
	struct stream *stream;	 // of the call
	struct addr peer;
	u64 active_ms; // last progress
	bool request_ended, to_head, refuses_body;
	u32 body_max; // of the call
	u32 uid;      // of a unix socket's other end
	struct text body;
};

struct admin_server {
	struct admin_server_config config;
	struct list doors, clients;
	u32 client_count, call_count, stream_count;
	struct h1_parser parser;
	bool stopping;
};

// The request is complete (or refused): finds its route and has it handled.
void admin_call_serve(struct admin_call *call);

// How long its body may be, by who asks for what.
u32 admin_call_body_max(struct admin_call *call);

// Sends a head for what is in call->out, and as much of it as may be on its way. `len` is the
// content's; UINT64_MAX for a stream.
void admin_call_send(struct admin_call *call, u16 status, const char *content_type, u64 len);

// More of call->out.
void admin_call_pump(struct admin_call *call);

// After the answer: nothing more follows, and the call may go.
void admin_call_over(struct admin_call *call);
