// SPDX-License-Identifier: Apache-2.0
// One provider: its source on a thread of its own, and the messages between that thread and the one
// that listens. The thread reads the stored list first, then opens the source; it writes the lists
// that it is given to the disk.
//
// Ownership: counted. The listener drops its part with feed_stop, the thread when it ends, each
// message when it was delivered; the last one frees.
#pragma once

#include "discover/source.h"

struct feed;

enum feed_news_kind { FEED_ROWS, FEED_STORED, FEED_TROUBLE, FEED_KEPT };

struct feed_news {
	u8 kind;	   // enum feed_news_kind
	struct rows *rows; // of FEED_ROWS and FEED_STORED: handed over; FEED_STORED: NULL = none
	const char *cause, *cure; // of FEED_TROUBLE
	int error;		  // of FEED_STORED and FEED_KEPT: a negative errno, or 0
};

struct feed_config {
	const struct conf_provider *provider; // these two and the folder are copied
	const struct conf_resolver *resolver;
	const char *state_folder; // NULL: nothing is kept
	u64 seed;
	struct loop *loop; // the listener's
	void *owner;
	void (*told)(void *owner, const struct feed_news *news); // on that loop
};

// 0, or a negative errno when there is no thread to be had; then *ret_feed is NULL.
int feed_start(const struct feed_config *config, struct feed **ret_feed) must_check;

// Writes the list to the disk, in the feed's thread; FEED_KEPT tells how that went. The list is
// handed over.
void feed_keep(struct feed *feed, struct rows *rows);

// Nothing is told after this, and the listener's loop may go.
void feed_stop(struct feed *feed);

// Waits until the thread has ended, at most so long; whether it has.
bool feed_await_end(struct feed *feed, u32 wait_ms);

// After feed_stop, the listener's last call. A thread that has not ended ends by itself.
void feed_leave(struct feed *feed);

const struct conf_provider *feed_provider(const struct feed *feed);
