// SPDX-License-Identifier: Apache-2.0
// One place log lines go to: a descriptor and the lines that wait for it. Nothing here blocks, save
// a write to a file on a disk. Used by the logger's thread alone.
//
// Trouble has three forms. Blocked: the reader is slow; lines wait, and those beyond the buffer are
// lost and counted. Resting: a write failed (disk full, syslog gone); what waits is kept and tried
// again after log_sink_wake. Dead: the reader of a pipe or socket that we were given has gone for
// good; lines are counted and forgotten.
#pragma once

#include "base/addr.h"
#include "base/str.h"
#include "control/logger.h"

enum { LOG_SINK_BYTES = 256 * 1024 };

struct log_sink {
	u8 kind; // enum logger_kind
	char *path;
	struct addr address;
	int fd;	      // -1: none now
	bool whole;   // a regular file: any size at once
	bool blocked; // waits until fd is writable
	bool resting, dead;
	int error;	// what put it to rest, an errno
	u64 lost;	// lines, ever growing
	char *buffer;	// datagrams: each behind its length (u32)
	u32 start, end; // the bytes that wait
};

// Opens. 0 or negative errno (then the sink is empty and needs no log_sink_done). A syslog socket
// that is missing only puts the sink to rest.
int log_sink_open(struct log_sink *sink, const struct logger_output *output) must_check;

// What still waits is counted as lost.
void log_sink_done(struct log_sink *sink);

// Queues one line (two pieces, and a newline where the sink wants it), and writes others first when
// there is no room. False: still none, counted.
bool log_sink_put(struct log_sink *sink, struct str prefix, struct str body);

// Writes what the descriptor takes now.
void log_sink_flush(struct log_sink *sink);

// Ends a rest. The next flush tries again.
void log_sink_wake(struct log_sink *sink);

// Opens a file again by its name; on failure the old one stays. Other kinds: nothing. 0 or negative
// errno.
int log_sink_reopen(struct log_sink *sink) must_check;

// Do both write to the same file, pipe or terminal?
bool log_sink_same(const struct log_sink *a, const struct log_sink *b);

static inline bool log_sink_is_syslog(const struct log_sink *sink)
{
	return sink->kind == LOGGER_SYSLOG_UNIX || sink->kind == LOGGER_SYSLOG_UDP;
}

// Could it write at once?
static inline bool log_sink_is_well(const struct log_sink *sink)
{
	return sink->fd >= 0 && !sink->blocked && !sink->resting;
}
