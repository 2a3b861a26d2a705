// SPDX-License-Identifier: Apache-2.0
// Datagrams with a letter, a text and perhaps a descriptor, between a keeper and its serving
// processes (HANDOVER_MESSAGES).
#pragma once

#include "base/base.h"

enum { CHANNEL_TEXT_MAX = 4000 };

struct channel_message {
	char kind;
	int fd; // the receiver's from here on; -1: none
	size_t len;
	char text[CHANNEL_TEXT_MAX + 1]; // terminated
};

// Two ends, both closed by exec; messages arrive whole, and an end whose other end is gone is
// heard.
int channel_pair(int ends[2]) must_check;

// 0 or negative errno; -EAGAIN: the other end is not reading. A copy of `fd` goes along unless it
// is -1.
int channel_send(int channel, char kind, const char *text, size_t len, int fd);

// 1: a message; 0: the other end is gone; -EAGAIN: none now; or another negative errno. Never
// waits.
int channel_receive(int channel, struct channel_message *ret_message) must_check;
