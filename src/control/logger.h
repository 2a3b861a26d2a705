// SPDX-License-Identifier: Apache-2.0
// The thread that writes logs. It takes lines from the rings of all threads, puts the date in
// front, and sends them to their sinks in batches. A sink that is slow, full, gone or stuck costs
// lines, which are counted and reported, never time of those who log.
//
// Threads get their log from logger_log and may use it until logger_stop, so all of them must have
// ended or gone silent before that.
#pragma once

#include "base/log.h"
#include "base/metrics.h"

enum logger_kind {
	LOGGER_NONE, // lines are thrown away
	LOGGER_STDERR,
	LOGGER_STDOUT,
	LOGGER_FILE,	    // appended, created 0640, reopened by logger_reopen
	LOGGER_SYSLOG_UNIX, // RFC 5424 datagrams to a local socket
	LOGGER_SYSLOG_UDP,  // RFC 5424 over UDP (RFC 5426)
};

struct logger_output {
	u8 kind;	     // enum logger_kind
	const char *path;    // file, or unix socket (NULL: /dev/log); copied
	struct addr address; // UDP: an IPv4 or IPv6 address with port
	u8 facility;	     // of syslog, as RFC 5424 numbers them
	struct str app_name; // of syslog; empty: "weir"; copied
};

enum { LOGGER_APP_NAME_MAX = 48 }; // RFC 5424 6; longer ones are cut

struct logger_config {
	enum log_level level;
	bool format_auto;	// human on a terminal, else JSON; `format` is not looked at
	enum log_format format; // of log lines; a syslog sink always gets logfmt
	struct logger_output log, access;
	u32 ring_bytes;	  // per thread, a power of two; 0 = 256 KiB
	u32 flush_max_ms; // how long logger_stop may take to write the rest; 0 = 2,000
};

struct logger;

// Opens the sinks and starts the thread. 0, or negative errno and *ret_failed: the output that
// could not be opened. A syslog socket that is missing is no error: it is tried again once a
// second.
int logger_start(const struct logger_config *config, struct logger **ret_logger,
	const struct logger_output **ret_failed) must_check;

// Writes what is left (bounded by flush_max_ms), ends the thread and frees all logs. NULL is fine.
void logger_stop(struct logger *logger);

// A log for one thread; the logger's until logger_stop. `wall_ms` is read by that thread only.
// Any thread may ask.
struct log *logger_log(struct logger *logger, const i64 *wall_ms);

// For all threads' logs, now and later.
void logger_set_level(struct logger *logger, enum log_level level);

// Opens log files again by name (after rotation), once the lines before this call are written. A
// file that cannot be opened is reported and the old one kept. Returns at once.
void logger_reopen(struct logger *logger);

// M_LOG_DROPPED only: lines lost in rings and at sinks. The logger's thread is the writer.
const struct metrics_cells *logger_metrics(const struct logger *logger);
