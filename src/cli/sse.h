// SPDX-License-Identifier: Apache-2.0
// Server-sent events out of the bytes of a text/event-stream, however they are cut (WHATWG HTML,
// section "Server-sent events"). Comments, ids and wishes about reconnecting are passed over.
#pragma once

#include "base/text.h"

// One event; "message" is the name of one that has none. Lines of its data are joined by \n. False:
// no more of them are wanted.
typedef bool sse_event_fn(void *owner, struct str event, struct str data);

struct sse {
	struct text line; // not complete yet
	struct text event, data;
	bool has_data;
	bool after_cr;	  // a line feed that comes next ends nothing
	size_t bytes_max; // of one event
};

void sse_init(struct sse *sse, size_t bytes_max);
void sse_done(struct sse *sse);

// 0; -EMSGSIZE: an event is too long; -ECANCELED: no more are wanted.
int sse_feed(struct sse *sse, struct str bytes, sse_event_fn *tell, void *owner) must_check;
