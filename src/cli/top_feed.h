// SPDX-License-Identifier: Apache-2.0
// What comes from weir while weir top is shown: a thread that listens to the stream, asks again
// when it ends, and asks for the state once a second where there is no stream; and another one for
// an order. The terminal never waits for them: what they have is a message in a pipe, which hands
// it over.
#pragma once

#include "base/text.h"
#include "cli/ask.h"

struct top_feed;

enum top_news_kind {
	TOP_NEWS_STATE,
	TOP_NEWS_EVENTS,  // the answer of GET /api/v1/events
	TOP_NEWS_EVENT,	  // one more
	TOP_NEWS_TROUBLE, // nothing comes: why, in words
	TOP_NEWS_ORDER,	  // how an order went, in words
};

struct top_news {
	enum top_news_kind kind;
	struct text body;
};

// An order. Its texts are copied.
struct top_order_ask {
	const char *pool, *id, *etag;
	bool enables; // else it drains
};

// Whom to ask is copied. 0 or negative errno.
int top_feed_start(const struct ask_where *where, struct top_feed **ret_feed) must_check;
void top_feed_stop(struct top_feed *feed);

int top_feed_fd(const struct top_feed *feed); // readable while there are news

struct top_news *top_feed_take(struct top_feed *feed); // NULL: none now
void top_news_free(struct top_news *news);

// False: another one is on its way.
bool top_feed_order(struct top_feed *feed, const struct top_order_ask *order);
