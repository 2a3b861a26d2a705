// SPDX-License-Identifier: Apache-2.0
// The PROXY protocol, versions 1 and 2: what a balancer tells about a connection before its first
// byte (proxy-protocol.txt by HAProxy). Reading and writing, without memory of its own.
//
// Reading is strict: a header is either exactly what the specification allows or refused, since
// whoever sends one is believed about who the client is. Type-length-values that nobody here knows
// are skipped; those that are known may come once. A checksum is verified where there is one.
#pragma once

#include "base/addr.h"

enum {
	PROXY_HEADER_V1_BYTES_MAX = 107,
	PROXY_HEADER_BYTES_MAX = 4096, // of version 2; larger ones are refused
	PROXY_HEADER_WRITTEN_MAX = 1536,
	PROXY_HEADER_UNIQUE_ID_MAX = 128,
	PROXY_HEADER_TEXT_MAX = 255, // of any other text that is written
};

// Headers that speak for nobody (UNKNOWN, LOCAL), as texts.
#define PROXY_HEADER_V1_NOBODY "PROXY UNKNOWN\r\n"
#define PROXY_HEADER_V2_NOBODY "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

// X(ENUM, why it is refused); of the last two those know who wait for it
#define PROXY_HEADER_FAULTS(X)                                              \
	X(OK, "")                                                           \
	X(NOT_ONE, "the connection does not begin with a PROXY header")     \
	X(LINE, "its line is malformed")                                    \
	X(LINE_TOO_LONG, "its line is longer than 107 bytes")               \
	X(VERSION, "its version is neither 1 nor 2")                        \
	X(COMMAND, "its command is neither LOCAL nor PROXY")                \
	X(FAMILY, "its family or transport is not defined")                 \
	X(DATAGRAM, "its client came by UDP, and what comes here is TCP")   \
	X(TOO_LARGE, "it is larger than 4 KiB")                             \
	X(ADDRESSES_CUT, "it is too short for its addresses")               \
	X(TLV_CUT, "a type-length-value in it is cut")                      \
	X(TLV_BAD, "a type-length-value in it is malformed or there twice") \
	X(CHECKSUM, "its checksum is wrong")                                \
	X(ENDED, "the connection ended in the middle of it")                \
	X(LATE, "it did not come in time")

enum proxy_header_fault {
#define X(name, text) PROXY_HEADER_##name,
	PROXY_HEADER_FAULTS(X)
#undef X
		PROXY_HEADER_FAULT_COUNT
};

const char *proxy_header_fault_text(enum proxy_header_fault fault);

// What is said of the client's TLS (type 0x20). Texts are empty where nothing is said.
struct proxy_header_tls {
	bool is_set; // something was said
	u8 client;   // bits: 1 over TLS, 2 a certificate on this connection, 4 in this session
	u32 verify;  // 0: a certificate was verified
	struct str version, cn, cipher;
};

struct proxy_header {
	u8 version; // 1 or 2
	// The connection is the sender's own (a health check), and nothing is said about a client.
	bool is_local;
	// ADDR_NONE: nothing is said. A unix socket is an ADDR_UNIX without a path.
	struct addr source, target;
	struct str alpn, authority, unique_id; // empty: nothing is said; version 2 only
	struct proxy_header_tls tls;
	bool has_checksum; // version 2: it was there and is right | it is to be written
};

// The header that `bytes`, the beginning of a connection, starts with. OK with *ret_len > 0: it is
// complete and that long; its texts are borrowed from `bytes`. OK with *ret_len = 0: more has to
// come, at least up to *ret_need bytes in all (never above PROXY_HEADER_BYTES_MAX). Else why it is
// refused; nothing else is set then. How the bytes were cut into pieces does not matter.
enum proxy_header_fault proxy_header_read(struct str bytes, struct proxy_header *ret_header,
	size_t *ret_len, size_t *ret_need) must_check;

// Writes one; gives its length. Addresses of two families become two of IPv6; where one is not IP,
// nothing is said about either (UNKNOWN, UNSPEC). Texts above PROXY_HEADER_TEXT_MAX (an identifier:
// above PROXY_HEADER_UNIQUE_ID_MAX) are left out.
size_t proxy_header_write(
	const struct proxy_header *header, char buffer[static PROXY_HEADER_WRITTEN_MAX]);
