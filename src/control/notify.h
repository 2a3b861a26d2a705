// SPDX-License-Identifier: Apache-2.0
// What a service manager wants to hear (sd_notify(3)), without its library: datagrams to the socket
// that NOTIFY_SOCKET names. Without that variable everything here succeeds and does nothing.
#pragma once

#include "base/base.h"

enum { NOTIFY_TEXT_MAX = 512 };

// The text of one message: lines of NAME=VALUE. `state` is a line or several; `status` is for
// people, one line, what is longer is cut; NULL: none.
size_t notify_format(
	char text[static NOTIFY_TEXT_MAX], const char *state, const char *status) must_check;

// "RELOADING=1" with the moment, which the caller has read from the monotonic clock.
size_t notify_format_reloading(char text[static NOTIFY_TEXT_MAX], u64 monotonic_us) must_check;

// The name under which the manager keeps a descriptor, from one that may have any bytes in it:
// printable, without ':', and beginning with NOTIFY_NAME_BEGIN.
#define NOTIFY_NAME_BEGIN "weir-"
enum { NOTIFY_NAME_MAX = 160 };
void notify_name(char name[static NOTIFY_NAME_MAX], const char *from);

// Sends it, with a copy of `fd` unless that is -1. 0 or negative errno; -ENOTCONN: nobody wants to
// hear. Never waits.
int notify_send(const char *socket_path, const char *text, size_t len, int fd);

// Gives a descriptor to the manager, to come back by LISTEN_FDS at the next start, or takes all of
// this name back.
int notify_store(const char *socket_path, const char *name, int fd);
int notify_unstore(const char *socket_path, const char *name);

// Microseconds between two signs of life at most, by WATCHDOG_USEC and WATCHDOG_PID (0: that of
// anybody); 0: none are wanted.
u64 notify_watchdog_us(const char *usec, const char *pid, i64 own_pid);
