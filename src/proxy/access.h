// SPDX-License-Identifier: Apache-2.0
// The access log: one line per exchange or tunnel, formatted by its worker without printf and put
// into the worker's ring. When the access log is off, the caller does nothing at all:
//
//	if (access_is_on(&access)) { fill an entry; access_write(log, &access, &entry); }
#pragma once

#include "base/addr.h"
#include "base/log.h"
#include "proxy/outcome.h"

enum access_format { ACCESS_OFF, ACCESS_COMBINED, ACCESS_JSON };

struct access_config {
	u8 format; // enum access_format
};

enum {
	ACCESS_LINE_MAX = 8192,
	ACCESS_TARGET_MAX = 2048, // bytes written of each, escapes counted
	ACCESS_FIELD_MAX = 512,	  // user agent, referer, host
	ACCESS_NAME_MAX = 128,	  // everything else
};

enum { ACCESS_NO_TIME = UINT32_MAX }; // this moment was never reached

// Texts are borrowed for the call; empty = not known. Spans are microseconds, ACCESS_NO_TIME where
// the exchange never came so far; those above 71 minutes belong into total_us only.
struct access_entry {
	i64 wall_ms; // when the request began
	struct addr client;
	struct str method, target, host;
	struct str protocol; // "HTTP/1.1", "TCP"
	struct str request_id, user_agent, referer;
	struct str frontend, route, pool, backend;
	u64 bytes_in, bytes_out; // on the client's side, body bytes; a tunnel: all bytes
	u64 total_us;		 // from the first byte of the head to the last byte of the answer
	u32 head_us;		 // reading the request head
	u32 queue_us;		 // waiting for a backend
	u32 connect_us;		 // of the last try; 0 when reused
	u32 first_byte_us;	 // from request sent to the answer's head
	u16 status;		 // 0: no answer was sent
	u8 tries;		 // backends asked
	u8 outcome;		 // enum outcome
	bool reused;		 // the upstream connection had served before
};

static inline bool access_is_on(const struct access_config *config)
{
	return config->format != ACCESS_OFF;
}

// Both give the length of the line, without newline. `clock` is the caller's cache. What follows
// '?' in target and referer is not logged: it may be a secret.
//
// Combined Log Format, then key=value: outcome, route, pool, backend, tries, reused, times in us,
// id.
size_t access_format_combined(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX]);

// One flat object; names as OpenTelemetry's semantic conventions where it has one.
size_t access_format_json(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX]);

// Formats and puts the line into the ring of `log` (whatever its level). A full ring drops it.
void access_write(
	struct log *log, const struct access_config *config, const struct access_entry *entry);
