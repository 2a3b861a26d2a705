// SPDX-License-Identifier: Apache-2.0
// The access log: one line per exchange or tunnel, formatted by its worker without printf and put
// into the worker's ring. When the access log is off, the caller does nothing at all:
//
//	if (access_is_on(&access)) { fill an entry; access_write(log, &access, &entry); }
//
// What the forms mean by their fields is in docs/logs.md.
#pragma once

#include "base/log.h"
#include "conf/conf.h"
#include "proxy/outcome.h"

enum access_format { ACCESS_OFF, ACCESS_COMBINED, ACCESS_JSON, ACCESS_ECS, ACCESS_HAPROXY };

struct access_config {
	u8 format;	    // enum access_format
	bool is_thinned;    // not every request gets a line
	u16 status_min;	    // filter: 0: not asked for
	u32 outcomes;	    // a bit for each enum outcome_origin; 0: not asked for
	u64 slower_than_us; // UINT64_MAX: not asked for
	u64 sampled_below;  // of those that ended well; their chance is as trace_context_chance
};

enum {
	ACCESS_LINE_MAX = 8192,
	ACCESS_TARGET_MAX = 2048, // bytes written of each, escapes counted
	ACCESS_FIELD_MAX = 512,	  // user agent, referer, host
	ACCESS_NAME_MAX = 128,	  // everything else
};

enum { ACCESS_NO_TIME = UINT32_MAX }; // this moment was never reached

enum access_protocol { ACCESS_TCP, ACCESS_HTTP_1_0, ACCESS_HTTP_1_1, ACCESS_HTTP_2 };

// Texts are borrowed for the call; empty = not known. Spans are microseconds, ACCESS_NO_TIME where
// the exchange never came so far; those above 71 minutes belong into total_us only.
struct access_entry {
	i64 wall_ms;	   // when the request began
	struct str client; // an address without port
	struct str method, target, host;
	struct str request_id, user_agent, referer;
	struct str frontend, route, pool, backend;
	// What access_name_* made of those four; empty: it was not asked.
	struct str frontend_json, route_json, backend_json;
	struct str tls_version, tls_cipher, tls_name; // of the client's connection; empty: clear
	u64 bytes_in, bytes_out; // on the client's side, body bytes; a tunnel: all bytes
	u64 total_us;		 // from the first byte of the head to the last byte of the answer
	u64 trace_id[2];	 // zero: not known
	u64 span_id;		 // zero: there is none of ours
	u32 head_us;		 // reading the request head
	u32 queue_us;		 // waiting for a backend
	u32 connect_us;		 // of the last try; 0 when reused
	u32 first_byte_us;	 // from request sent to the answer's head
	u32 connections;	 // of clients, in this worker
	u16 client_port;	 // 0: not known
	u16 status;		 // 0: no answer was sent
	u8 protocol;		 // enum access_protocol
	u8 tries;		 // backends asked
	u8 outcome;		 // enum outcome
	bool reused;		 // the upstream connection had served before
};

void access_config_init(struct access_config *config, const struct conf_log *conf);

static inline bool access_is_on(const struct access_config *config)
{
	return config->format != ACCESS_OFF;
}

// Of a log that is thinned: whether such an end passes the filter; whether it gets its line
// whatever its chance is.
bool access_passes(
	const struct access_config *config, u16 status, enum outcome outcome, u64 total_us);
bool access_is_error(u16 status, enum outcome outcome);

// ,"key":"value" for many lines to come; empty when the value is.
struct str access_name_json(struct arena *arena, const char *key, struct str value);

// The two letters of HAProxy's that come closest to this end. Of an outcome alone the second may be
// '?': it says when, and that is another matter.
const char *access_termination_of(enum outcome outcome);
void access_termination(const struct access_entry *entry, char ret_state[static 2]);

// All give the length of the line, without newline. `clock` is the caller's cache. What follows
// '?' in target and referer is not logged: it may be a secret.
//
// Combined Log Format, then key=value: outcome, route, pool, backend, tries, reused, times in us,
// id.
size_t access_format_combined(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX]);

// HAProxy's HTTP or TCP log format, in UTC; counts that are not known are 0.
size_t access_format_haproxy(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX]);

// One flat object; names as OpenTelemetry's semantic conventions where it has one.
size_t access_format_json(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX]);

// The same with the names of the Elastic Common Schema.
size_t access_format_ecs(const struct access_entry *entry, struct log_clock *clock,
	char buffer[static ACCESS_LINE_MAX]);

// Formats and puts the line into the ring of `log` (whatever its level). A full ring drops it.
void access_write(
	struct log *log, const struct access_config *config, const struct access_entry *entry);

// ---- Inside of the access log -------------------------------------------------------------------

// What of a URL may be shown, and whether something was left out.
struct str access_shown(struct str url, bool *ret_hidden);
struct str access_protocol_text(u8 protocol);
