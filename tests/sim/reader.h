// SPDX-License-Identifier: Apache-2.0
// What the scripted peers read with: a small and strict reader of HTTP/1 messages that shares
// nothing with src/proto. It takes only what weir itself may write, so anything ambiguous, loose or
// merely unusual is an error here.
#pragma once

#include "base/str.h"

enum {
	READER_TEXT_MAX = 24 * 1024, // a head, or a trailer section
	READER_FIELDS_MAX = 96,
};

enum reader_framing { READ_NONE, READ_LENGTH, READ_CHUNKED, READ_TO_END };

struct read_message {
	struct str method, target; // request
	u16 status;		   // response
	u8 minor;
	u8 framing; // enum reader_framing
	u64 length;
	bool has_length, close, keep_alive, upgrade;
	u16 count;
	struct {
		struct str name, value;
	} fields[READER_FIELDS_MAX];
};

struct reader;
struct reader_events {
	// The head is borrowed for the call. The owner of a response reader may set no_body before.
	void (*on_head)(struct reader *reader, const struct read_message *message);
	void (*on_body)(struct reader *reader, u64 at, const char *bytes, size_t len);
	// `trailers`: fields of the trailer section, or NULL.
	void (*on_end)(struct reader *reader, const struct read_message *trailers);
};

struct reader {
	const struct reader_events *events;
	const char *error; // set once; nothing is read after it
	u64 left, at;	   // of the body or chunk | body bytes so far
	u32 len;	   // of text
	u8 state;
	u8 framing;
	bool request, no_body, raw, paused;
	struct read_message message;
	char text[READER_TEXT_MAX];
};

void reader_init(struct reader *reader, bool request, const struct reader_events *events);

// Takes bytes; stops behind a message when the owner sets `paused`, and gives how many it took.
size_t reader_feed(struct reader *reader, const char *bytes, size_t len);

// The stream ended. True when that is a proper place: between messages, or behind a body that runs
// to the end.
bool reader_end(struct reader *reader);

// Between two messages, nothing of the next has come.
bool reader_is_idle(const struct reader *reader);

// Everything from here on goes to on_body without interpretation.
void reader_go_raw(struct reader *reader);

const struct str *message_find(const struct read_message *message, const char *name);
u32 message_count(const struct read_message *message, const char *name);
