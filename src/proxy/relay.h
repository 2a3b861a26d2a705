// SPDX-License-Identifier: Apache-2.0
// The only pump. It moves body bytes from one stream to another and credit back: the source is
// granted what the target has drained, so a slow reader costs one window. Long plain bodies between
// two sockets go by splice (net/mover), with the same accounting.
//
// The window is small until a whole one has passed, is shared by the streams of one client
// connection, and shrinks as the worker's blocks become few. What a window allows is not taken
// back: who holds much all the same and takes nothing is given up (proxy/evict.h).
//
// A relay has two halves, one per direction; each is OPEN until its end was passed on. The relay
// reports to its owner (the exchange) and never decides about it.
#pragma once

#include "net/mover.h"
#include "proto/stream.h"

enum half_state { HALF_IDLE, HALF_OPEN, HALF_ENDED };

struct half;

struct relay_events {
	// A mover failed or was stopped: the message of `half` cannot be completed.
	// `source_failed`: its source broke, else its target.
	void (*on_broken)(struct half *half, bool source_failed);
};

struct half {
	struct stream *source, *target;
	const struct relay_events *events;
	void *owner;		   // the receiver's of the events
	struct mover_pipes *pipes; // NULL: never splice
	u64 granted;		   // credit the source still has
	u64 undrained;		   // given to the target, not yet gone
	u64 total;		   // body bytes passed
	u64 run;		   // copied since the other direction last spoke
	u8 state;		   // enum half_state
	bool wants_move;
	struct mover mover;
};

enum {
	RELAY_WINDOW_BYTES = 128 * 1024,
	RELAY_WINDOW_FIRST_BYTES = 32 * 1024,
	RELAY_WINDOW_MIN_BYTES = 16 * 1024,
	RELAY_STREAMS_MAX = 8,		  // of a client connection, with a whole window each
	RELAY_MOVE_MIN_BYTES = 32 * 1024, // a body this long is spliced from its start
	RELAY_COPY_RUN_BYTES = 64 * 1024, // after so much one way in a row splicing begins
};

void half_init(struct half *half, void *owner, const struct relay_events *events,
	struct mover_pipes *pipes);

// Opens the direction and grants the first credit.
void half_open(struct half *half, struct stream *source, struct stream *target);

// From the source's on_body: passes the slice on. `other` is the opposite direction.
void half_body(struct half *half, struct half *other, struct slice slice, bool end);

// From the source's on_trailers.
void half_trailers(struct half *half, const struct http_field *fields, u16 count);

// `len` bytes came while there is no target: whoever calls keeps them.
void half_skip(struct half *half, size_t len, bool end);

// From the target's on_drained.
void half_drained(struct half *half, size_t len);

// The tunnel of this half is to go to another process: nothing is spliced any more, and what its
// source holds goes to the target's queue, whatever the credit. To be asked again in later turns
// until it is true: then neither a mover nor the source has any bytes.
void half_halt(struct half *half);
bool half_is_halted(struct half *half) must_check;

// It stays here after all.
void half_go_on(struct half *half, struct mover_pipes *pipes);

// Opens a direction in which another process has passed `total` bytes. Of them `left` were not
// sent, and are given to the target by half_left, in order; then half_resume grants the first
// credit, or passes on the end that had come.
void half_take_over(struct half *half, struct stream *source, struct stream *target, u64 total);
void half_left(struct half *half, struct slice slice);
void half_resume(struct half *half, bool has_ended);

// Nothing more in this direction; a running mover is dropped, what it has moved is counted.
void half_stop(struct half *half);
