// SPDX-License-Identifier: Apache-2.0
// The control thread's part in handing tunnels to the process that follows at an upgrade
// (proxy/passing.h, docs/decisions/0027): a channel between the two processes, which their keeper
// makes when it tells one to begin and the other to leave, and what is said on it.
//
// The process that begins speaks first and says which versions of parcels it knows. One that knows
// none of this closes the channel, and then every tunnel stays where it is and drains.
#pragma once

#include "control/worker.h"

// Messages on that channel, each one datagram (control/channel.h) that begins with this letter. A
// parcel is one or more of WORDS, UP and DOWN, then CLIENT, BACKEND, CLAIM and WHOLE.
// X(NAME, letter)
#define TUNNELS_MESSAGES(X)                                                  \
	X(KNOWS, 'K')	/* from who begins: versions, with spaces between */ \
	X(WORDS, 'W')	/* a part of a parcel's words */                     \
	X(UP, 'U')	/* bytes for the backend */                          \
	X(DOWN, 'D')	/* bytes for the client */                           \
	X(CLIENT, 'C')	/* a descriptor */                                   \
	X(BACKEND, 'B') /* a descriptor */                                   \
	X(CLAIM, 'T')	/* a descriptor (parcel_claim) */                    \
	X(WHOLE, 'E')	/* worker and number: the parcel is complete */      \
	X(THROUGH, 'Z') /* what was there or to come and can go, has gone */ \
	X(TAKEN, 'Y')	/* worker and number, from who begins */             \
	X(REFUSED, 'N') /* worker and number and why, from who begins: it stays there */

enum tunnels_message {
#define X(name, letter) TUNNELS_##name = letter,
	TUNNELS_MESSAGES(X)
#undef X
};

struct tunnels;

// NULL: no memory. The log and the workers are borrowed, and so is the loop, the control thread's.
struct tunnels *tunnels_new(struct loop *loop, struct log *log, struct workers *workers);

// From now on tunnels are given to | taken from whoever has the other end. The descriptor is its
// own from here on. At most one of both in the life of a process, but taking may come before
// giving.
void tunnels_give(struct tunnels *tunnels, int fd);
void tunnels_take(struct tunnels *tunnels, int fd);

// Whether tunnels that were there from the start are still to be given, or may still come.
bool tunnels_is_moving(const struct tunnels *tunnels);

// Nothing more is taken: what comes stays where it is.
void tunnels_refuse(struct tunnels *tunnels);

// Nothing more is given or taken; what is on its way to workers comes back in turns of the loop.
void tunnels_stop(struct tunnels *tunnels);
bool tunnels_is_idle(const struct tunnels *tunnels);

// After that. NULL is fine.
void tunnels_free(struct tunnels *tunnels);
