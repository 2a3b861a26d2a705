// SPDX-License-Identifier: Apache-2.0
// Log lines of one thread. LOG() builds an array of typed fields on the stack, formats it, and puts
// the line into the thread's ring; the logger's thread (control/logger.h) takes it out, writes the
// date in front and sends it off. Nobody here ever waits: a full ring drops the line and counts it.
//
// A level that is off costs a load, a compare and a branch. A zeroed struct log is silent, for
// tests and simulations.
#pragma once

#include <stdatomic.h>

#include "base/addr.h"
#include "base/log_text.h"
#include "base/str.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG, LOG_TRACE };

enum log_format {
	LOG_HUMAN,  // spans{key=value}: module: message key=value
	LOG_LOGFMT, // msg="message" key=value
	LOG_JSON,   // one object per line
};

enum {
	LOG_LINE_MAX = 4096,  // bytes of a formatted line, without its date
	LOG_VALUE_MAX = 1024, // of one value in it, escapes counted
};

// ---- Fields -------------------------------------------------------------------------------------

enum log_kind {
	LOG_KIND_STR,
	LOG_KIND_U64,
	LOG_KIND_I64,
	LOG_KIND_BOOL,
	LOG_KIND_ADDR,
	LOG_KIND_ERRNO,
	LOG_KIND_SPAN,
};

struct log_field {
	const char *key; // our own word: letters, digits, '_' and '.'
	u8 kind;	 // enum log_kind
	union {
		struct str text;
		u64 u;
		i64 i;
		const struct addr *addr;
	};
};

#define LOG_STR(name, value) \
	((struct log_field){.key = (name), .kind = LOG_KIND_STR, .text = (value)})
#define LOG_CSTR(name, value) LOG_STR(name, str_from(value))
#define LOG_U64(name, value) \
	((struct log_field){.key = (name), .kind = LOG_KIND_U64, .u = (u64)(value)})
#define LOG_I64(name, value) \
	((struct log_field){.key = (name), .kind = LOG_KIND_I64, .i = (i64)(value)})
#define LOG_BOOL(name, value) \
	((struct log_field){.key = (name), .kind = LOG_KIND_BOOL, .u = (value) ? 1 : 0})
#define LOG_ADDR(name, value) \
	((struct log_field){.key = (name), .kind = LOG_KIND_ADDR, .addr = (value)})

// An errno, positive or negative, as the system's words for it. The key is "error".
#define LOG_ERRNO(value) \
	((struct log_field){.key = "error", .kind = LOG_KIND_ERRNO, .i = (i64)(value)})

// Opens a span: the fields behind it tell what the line is about. Spans come last and nest:
// LOG(log, LOG_INFO, "opened", LOG_U64("tries", 1), LOG_SPAN("handle"), LOG_ADDR("peer_address",
// &a))
#define LOG_SPAN(name) ((struct log_field){.key = (name), .kind = LOG_KIND_SPAN})

// ---- The ring -----------------------------------------------------------------------------------

// How a producer wakes the one consumer of many rings: only when it sleeps, or when a ring fills.
struct log_wake {
	_Atomic(bool) asleep; // set by the consumer before it checks the rings a last time
	int fd;		      // an eventfd, -1 = nobody to wake
};

enum log_record_kind { LOG_RECORD_LINE, LOG_RECORD_ACCESS };

struct log_record {
	u8 kind;  // enum log_record_kind
	u8 level; // enum log_level
	i64 wall_ms;
	struct str body; // borrowed from the ring until log_ring_next; no newline in it
};

// Bytes from one thread to one other. Records are contiguous and aligned to 16.
struct log_ring {
	char *data;
	u32 bytes; // a power of two
	struct log_wake *wake;

	// The producer's
	_Atomic(u64) written; // ever growing
	u64 read_seen;	      // its last look at `read`
	_Atomic(u64) dropped; // records that found no room

	char apart[CACHE_LINE]; // so that neither disturbs the other
	_Atomic(u64) read;	// the consumer's
	char apart_too[CACHE_LINE];
};

// `bytes`: a power of two, at least 1,024. `wake` may be NULL.
void log_ring_init(struct log_ring *ring, u32 bytes, struct log_wake *wake);
void log_ring_done(struct log_ring *ring);

// Producer. Copies `body`. False: no room, and counted. A body longer than a quarter of the ring
// never finds room.
bool log_ring_put(struct log_ring *ring, enum log_record_kind kind, enum log_level level,
	i64 wall_ms, struct str body);

// Consumer. The oldest record, or false when there is none.
bool log_ring_peek(struct log_ring *ring, struct log_record *ret_record);

// Consumer. Gives back the record of the last peek.
void log_ring_next(struct log_ring *ring);

bool log_ring_is_empty(const struct log_ring *ring); // for the consumer, before it sleeps
u64 log_ring_dropped(const struct log_ring *ring);   // since the beginning; any thread

// ---- The log of one thread ----------------------------------------------------------------------

struct log {
	_Atomic(u8) level;	// enum log_level: lines above it are not made
	u8 format;		// enum log_format
	const i64 *wall_ms;	// the thread's own, usually &loop->wall_ms
	struct log_clock clock; // for access lines
	struct log *next;	// the logger's
	struct log_ring ring;
};

void log_init(struct log *log, enum log_level level, enum log_format format, const i64 *wall_ms,
	u32 ring_bytes, struct log_wake *wake);
void log_done(struct log *log);

// Any thread.
static inline void log_set_level(struct log *log, enum log_level level)
{
	atomic_store_explicit(&log->level, (u8)level, memory_order_relaxed);
}

static inline bool log_is_on(const struct log *log, enum log_level level)
{
	return atomic_load_explicit(&log->level, memory_order_relaxed) >= level;
}

// Formats a line without its date into `buffer`; gives its length. `file` is __FILE__, from which
// the module is named at info and finer. A field that does not fit is left out as a whole and the
// line says truncated=true.
size_t log_format_line(enum log_format format, enum log_level level, const char *file,
	const char *message, const struct log_field *fields, size_t field_count,
	char buffer[static LOG_LINE_MAX]);

// What stands in front of a line of `format` with date and level; gives its length.
enum { LOG_PREFIX_MAX = 96 };
size_t log_format_prefix(enum log_format format, enum log_level level, struct log_clock *clock,
	i64 wall_ms, bool color, char buffer[static LOG_PREFIX_MAX]);

void log_write(struct log *log, enum log_level level, const char *file, const char *message,
	const struct log_field *fields, size_t field_count);

// LOG(log, LOG_INFO, "message", LOG_U64("key", 1), ...). The message is our own text in plain ASCII
// without quotes or backslashes. Fields are not evaluated when the level is off.
#define LOG(log, log_level, message, ...)                                               \
	do {                                                                            \
		if (unlikely(log_is_on((log), (log_level)))) {                          \
			const struct log_field log_fields_[] = {__VA_ARGS__};           \
			log_write((log), (log_level), __FILE__, (message), log_fields_, \
				ARRAY_LEN(log_fields_));                                \
		}                                                                       \
	} while (0)

// "error", "warn", "notice", "info", "debug", "trace", "off".
const char *log_level_name(enum log_level level);
int log_level_parse(struct str text, enum log_level *ret_level) must_check; // 0 or -EINVAL
