// SPDX-License-Identifier: Apache-2.0
// The terminal of weir top: its whole screen for frames, its keys one by one, and everything as it
// was before when it is left, by whatever end.
//
// Promises: nothing here waits for a terminal that takes no more; what it did not take is kept, and
// frames that come meanwhile are left out. Of a frame only the lines that changed are sent.
#pragma once

#include <termios.h>

#include "base/text.h"

enum { TOP_KEYS_MAX = 64 };

struct top_terminal {
	int fd;
	struct termios before;
	bool is_entered;
	u32 rows, columns;
	struct text shown; // the last frame
	struct text out;   // on its way to the terminal
	size_t sent;	   // of it
	char keys[TOP_KEYS_MAX];
	u32 key_bytes; // of keys that are not complete
};

// Of standard output. 0 or negative errno.
int top_terminal_open(struct top_terminal *terminal) must_check;
void top_terminal_close(struct top_terminal *terminal);

void top_terminal_enter(struct top_terminal *terminal);
void top_terminal_leave(struct top_terminal *terminal);

void top_terminal_measure(
	struct top_terminal *terminal); // after which the next frame is sent whole

// A frame of top_draw.
void top_terminal_show(struct top_terminal *terminal, struct str frame);

// Sends what is left; true while there is more, and the descriptor is to be polled for POLLOUT.
bool top_terminal_flush(struct top_terminal *terminal);

// How many keys (enum top_key and ASCII) were typed; -1: the terminal is gone. `waits`: the last
// bytes may be the beginning of a key, and if nothing follows soon, top_terminal_end_key is called.
int top_terminal_read(
	struct top_terminal *terminal, u32 ret_keys[TOP_KEYS_MAX], bool *ret_waits) must_check;
u32 top_terminal_end_key(struct top_terminal *terminal);

// The key at the front of these bytes: enum top_key or ASCII, and how many bytes it has; 0 bytes:
// more are needed to tell.
u32 top_key_decode(struct str bytes, size_t *ret_used);
