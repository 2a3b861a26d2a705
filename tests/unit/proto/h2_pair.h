// SPDX-License-Identifier: Apache-2.0
// Two sessions of HTTP/2, one in each role, with a wire between them that a test moves as it likes;
// and one session whose peer is a test that writes frames by hand.
#pragma once

#include "proto/h2.h"

enum { PAIR_STREAMS_MAX = 300, PAIR_TEXT_MAX = 512 };

// What was heard of one stream, and how it is answered.
struct heard {
	struct stream *stream;
	struct end *end;
	char head[PAIR_TEXT_MAX]; // "GET /path authority name=value ..." or "200 name=value ..."
	char trailers[PAIR_TEXT_MAX]; // "name=value ..."
	u64 body_bytes, drained_bytes;
	u32 body_sum; // of its bytes
	u64 head_sum; // of all that heads say, and where they say it
	u32 heads;
	bool has_head, has_end, was_reset, framed_by_length;
	u8 fault;    // enum stream_fault
	u64 left;    // bytes of body to send yet
	bool stalls; // grants nothing
};

struct end {
	struct session *session;
	struct bytes out, sending;
	struct heard streams[PAIR_STREAMS_MAX];
	u32 count, done_count, open_limits, goaways, excesses, pokes;
	bool (*on_request)(struct heard *heard, struct http_head *head); // true: it answered
};

struct pair {
	struct block_pool pool;
	u64 now_us;
	struct h2_kit *kit;
	struct h1_parser parser;
	struct end client, server;
	size_t piece; // bytes that one feed carries at most
};

void pair_init(struct pair *pair, bool has_client);
void pair_done(struct pair *pair);

// Moves bytes both ways until nothing moves; gives whether anything did.
bool pair_run(struct pair *pair);

// Feeds bytes of a test's own.
void pair_feed(struct pair *pair, struct end *end, const void *bytes, size_t len);

// A turn of the connection without the peer: what is to be sent is taken and sent; gives its bytes
// to `ret_bytes` (up to `max`), and their number.
size_t pair_take(struct pair *pair, struct end *end, char *ret_bytes, size_t max);

struct heard *pair_ask(struct pair *pair, const char *method, const char *path, u64 body_bytes);
struct heard *pair_ask_head(struct pair *pair, struct http_head *head, u64 body_bytes);

// Fields of a test's own head.
struct maker {
	struct http_field fields[32];
	struct http_head head;
};
void maker_request(struct maker *maker, const char *method, const char *path);
void maker_websocket(struct maker *maker); // a request for one, at /chat
void maker_answer(struct maker *maker, u16 status);
void maker_add(struct maker *maker, const char *name, const char *value);

void pair_answer(struct heard *heard, u16 status, u64 body_bytes);
void pair_send_some(struct heard *heard);
