// SPDX-License-Identifier: Apache-2.0
// One connection of the test backend and the request that runs on it.
#pragma once

#include "base/text.h"
#include "cli/origin.h"
#include "cli/origin_control.h"
#include "cli/origin_faults.h"
#include "cli/websocket.h"
#include "decide/balance_cost.h"
#include "net/conn.h"

struct origin {
	const struct origin_options *options;
	struct loop *loop;
	struct sock listener, signals;
	struct op accept, signal_op;
	struct timer resume; // accepting, after a pause for want of descriptors
	struct slab clients;
	struct list client_list;
	struct h1_parser parser;
	struct origin_faults faults;
	struct timer fault_over;
	struct origin_counts counts;
	u32 in_flight; // requests that count, whose answers are not complete
	struct balance_curve latency;
	u64 start_ms;
	bool stopping, refusing;
};

enum origin_kind {
	ORIGIN_MIRROR,	  // JSON about the request
	ORIGIN_HEALTH,	  // JSON about ourselves
	ORIGIN_LOAD,	  // JSON about our load
	ORIGIN_CONTROL,	  // JSON about faults and counts
	ORIGIN_WRONG,	  // JSON of an error
	ORIGIN_ECHO,	  // the request body; the kinds before it answer once it was read
	ORIGIN_TUNNEL,	  // 101 and all bytes back
	ORIGIN_WEBSOCKET, // 101 and all messages back
};

struct origin_client {
	struct origin *origin;
	struct list node;
	struct conn conn;
	struct stream *stream; // of the running request, or NULL
	struct timer delay;
	struct text json; // the answer so far, kept while the request body comes
	struct websocket websocket;
	u64 body_bytes; // of the request
	u64 answer_left, answer_bytes;
	u32 adler, queued; // answer bytes that have not left
	u32 delay_ms;
	u32 met;      // requests in flight when this one came
	u64 began_us; // 0: no request that counts is running
	u16 status;
	u8 kind;  // enum origin_kind
	u8 fault; // enum origin_fault
	bool has_size, chunked, to_head, request_ended, ended;
	bool awaits_continue; // before it sends its body
	bool is_counted;      // the request is one of those in the counts
	bool tells_load;      // its answer has the field
	bool is_control;      // the connection has asked for /-/fault
};

// What our load is: how much we work on, and how long a request takes that meets as much.
u32 origin_latency_us(const struct origin *origin);

// Takes over an accepted descriptor.
void origin_accept(struct origin *origin, int fd);

// After the faults have changed: ends the connection while the port is closed, and answers a
// request that was left to hang.
void origin_client_obey(struct origin_client *client);

// The faults as they are set now begin to hold.
void origin_obey(struct origin *origin);
