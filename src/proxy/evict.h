// SPDX-License-Identifier: Apache-2.0
// When a worker's blocks or connections to backends become few, the clients that hold many of them
// and take nothing are ended, so that all others are served. Answers that nobody reads are what
// they hold, on many streams of HTTP/2 or many connections; or uploads that no backend reads.
//
// From half of either on all clients are looked at, four times a second. Who holds a block or more
// is a suspect; who has not moved a quarter of its bytes within a second holds on to it. From
// three quarters on, where clients' receives would wait, those are ended, the greatest first, until
// five eighths are left. A slow reader that reads moves what the kernel has for it, which counts.
#pragma once

#include "loop/loop.h"

struct client;
struct proxy;
struct suspect;

struct evict {
	struct timer timer;
	struct suspect *suspects;
	u32 count;
	u32 next; // where in the list of clients the next look begins
};

// Listens to the blocks of the proxy's loop until evict_done.
void evict_init(struct proxy *proxy);
void evict_done(struct proxy *proxy);

// The client is gone. It was a suspect (client.is_suspect).
void evict_forget(struct evict *evict, const struct client *client);
