// SPDX-License-Identifier: Apache-2.0
// HTTP/1 bytes to a typed head, and chunked framing to body bytes; strict by RFC 9112, and
// where it leaves a choice: what two readers could take differently is refused (docs/threats.md).
// Pure functions over a contiguous buffer: no allocation, no state but what the caller passes.
//
// A head is parsed in one pass, names and values validated while their ends are sought. When it is
// not complete the caller keeps the bytes and asks h1_head_end, which never looks at a byte twice,
// before it parses again: a head that drips in costs no more than one that comes at once.
#pragma once

#include "proto/http.h"

struct h1_limits {
	u32 head_bytes_max;   // start line and fields with the empty line
	u32 target_bytes_max; // request target; more is 414
};

// Parses a request head (with its rules) at the start of `buf`. `fields` has room for
// HTTP_FIELDS_MAX. Up to two empty lines (CRLF) before the request line are skipped (RFC 9112 2.2).
// > 0: bytes of the head; 0: not complete; -1: refused, *ret_why says why. A fault is reported as
// soon as it is seen, whether the head is complete or not. After a refusal *ret_head holds what was
// read before it, for the log: method_text and target (empty when not reached); nothing else in it
// may be used. limits->head_bytes_max is at most HTTP_HEAD_BYTES_MAX.
int h1_parse_request(const char *buf, size_t len, const struct h1_limits *limits,
	struct http_field *fields, struct http_head *ret_head,
	enum http_refusal *ret_why) must_check;

// The same for a response to a request of `method`; no empty lines before it. The space behind the
// status code may be missing when there is no reason.
int h1_parse_response(const char *buf, size_t len, const struct h1_limits *limits,
	enum http_method method, struct http_field *fields, struct http_head *ret_head,
	enum http_refusal *ret_why) must_check;

// Where the head that starts at `buf` ends (behind its empty line), searching from *scanned on (0
// at first), which is moved. 0 when not yet: then parsing is of no use, unless the head has reached
// its limit. Also given for a line that ends without CR, which parsing will refuse.
size_t h1_head_end(const char *buf, size_t len, size_t *scanned);

// The same for a trailer section, which may consist of the empty line alone.
size_t h1_trailers_end(const char *buf, size_t len, size_t *scanned);

enum { H1_EXTENSION_BYTES_MAX = 16 * 1024 };

// Chunked body (RFC 9112 7.1). One struct per body, zeroed at its start.
struct h1_chunked {
	u64 left;	     // bytes of the current chunk still to come
	u16 extension_bytes; // of all chunks so far, bounded
	u8 size_digits;	     // of the current chunk
	u8 state;
	bool trailers_follow; // with H1_CHUNK_TRAILERS: not only the final CRLF
};

enum h1_chunk_event {
	H1_CHUNK_MORE,	   // everything was consumed; feed the next bytes
	H1_CHUNK_DATA,	   // *ret_data is a part of the body (never empty)
	H1_CHUNK_TRAILERS, // the last chunk was seen and at least one byte behind it: *ret_used
			   // points at the trailer section, which the caller collects
			   // (h1_trailers_end) and parses with h1_parse_trailers. An empty one
			   // is the CRLF.
	H1_CHUNK_BAD,	   // *ret_why
};

// Looks at `buf` and says what comes next; *ret_used bytes are done with (data included). Sizes are
// at most 16 digits, below 2^63; all extensions of a body together at most H1_EXTENSION_BYTES_MAX.
enum h1_chunk_event h1_chunked_feed(struct h1_chunked *chunked, const char *buf, size_t len,
	size_t *ret_used, struct str *ret_data, enum http_refusal *ret_why);

// Trailer section at `buf`, up to and with its empty line. Results as h1_parse_request; fields that
// must not be trailers are refused. *ret_count fields were written to `fields`, which has room for
// HTTP_FIELDS_MAX.
int h1_parse_trailers(const char *buf, size_t len, const struct h1_limits *limits,
	struct http_field *fields, u16 *ret_count, enum http_refusal *ret_why) must_check;
