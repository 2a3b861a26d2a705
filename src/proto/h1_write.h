// SPDX-License-Identifier: Apache-2.0
// Heads and trailers as HTTP/1.1 text, built from parsed values only. Fields marked `hop` are left
// out; the framing and connection fields are written from the form, never copied (RFC 9112 6 and
// 9).
#pragma once

#include "base/bytes.h"
#include "proto/http.h"

struct h1_head_form {
	bool server;	   // a response; else a request
	bool peer_minor_0; // the answer goes to an HTTP/1.0 client
	bool chunked;	   // body follows in chunks
	bool keep_alive;   // the connection may go on after this message
};

// 0 or -ENOMEM.
int h1_write_head(struct block_pool *pool, struct bytes *out, const struct http_head *head,
	const struct h1_head_form *form) must_check;

// The last chunk and the trailer section that ends a chunked body. 0 or -ENOMEM.
int h1_write_trailers(struct block_pool *pool, struct bytes *out, const struct http_field *fields,
	u16 count) must_check;
