// SPDX-License-Identifier: Apache-2.0
// The serving process' side of what outlives it: its keeper (control/keeper.h), the service
// manager, and the listening sockets that come from them and go to them. Without a keeper and
// without a manager every call is harmless, and sockets are simply opened.
//
// All calls are the control thread's.
#pragma once

#include "conf/conf.h"
#include "control/inherit.h"
#include "loop/loop.h"

// Messages on the channel, each one datagram that begins with this letter; and those of
// INHERIT_LEFT, with a descriptor. X(NAME, letter), to the keeper first, then from it
#define HANDOVER_MESSAGES(X)                                                                    \
	X(HOLD, 'H')	/* a name, and a descriptor: keep a copy */                             \
	X(FORGET, 'F')	/* a name: nobody listens there any more */                             \
	X(READY, 'R')	/* connections are accepted */                                          \
	X(NOTIFY, 'N')	/* a text for the service manager */                                    \
	X(UPGRADE, 'U') /* a path, or nothing: start this binary */                             \
	X(BROKEN, 'E')	/* a text: why the process that begins cannot */                        \
	X(BEGIN, 'B')	/* the one that served before is told to leave, and, as a descriptor, a \
			   channel to it */                                                     \
	X(LEAVE, 'L')	/* another process serves: drain, and leave names alone; and a channel  \
			   to that one */                                                       \
	X(SIGNAL, 'S')	/* a number: what the keeper was sent */                                \
	X(BEGUN, 'u')	/* a path: it is started */                                             \
	X(FAILED, 'x')	/* a text: why the upgrade came to nothing */                           \
	X(ORDERED, 'o') /* a descriptor: what the one before has ordered last (INHERIT_ORDERS) */

enum handover_message {
#define X(name, letter) HANDOVER_##name = letter,
	HANDOVER_MESSAGES(X)
#undef X
};

enum { HANDOVER_BYTES_MAX = 4096 };

// What is heard of the keeper.
struct handover_hears {
	void *owner;
	// Nobody else serves from here on. `channel` is one to who served before
	// (control/tunnels.h), and the receiver's; -1: there is none, as from a keeper of a version
	// that knows none.
	void (*begin)(void *owner, int channel);
	void (*leave)(void *owner, int channel); // ... to who serves now
	void (*signal)(void *owner, u32 number);
	void (*upgrade)(void *owner, const char *path, const char *failed); // one of them is NULL
	// The one before has left these orders; the descriptor is the receiver's.
	void (*ordered)(void *owner, int fd);
	void (*orphaned)(void *owner); // there is no keeper any more
};

struct handover {
	struct inherit inherit;
	i64 keeper;		 // its process; 0: none
	const char *notify_path; // without a keeper
	u64 watchdog_us;	 // a sign of life is wanted so often; 0: never
	struct loop *loop;
	struct sock channel;
	struct op op;
	struct handover_hears hears;
	bool left; // to another process
};

// Takes over what was inherited. `keeper` as above.
void handover_init(struct handover *handover, const struct inherit *inherit, i64 keeper);

// A listening descriptor for this place: a given one, or a new one, of which the keeper gets a
// copy. Negative errno when it cannot be opened; -ENOENT: this worker does not listen, since the
// only socket is the first worker's.
int handover_listen(struct handover *handover, enum inherit_role role, const struct addr *address,
	u32 index, bool shared) must_check;

// Whether others listened here before, so that the address need not be free.
bool handover_knows(
	const struct handover *handover, enum inherit_role role, const struct addr *address);

// Nobody listens there any more: the keeper's copy goes too.
void handover_release(
	struct handover *handover, enum inherit_role role, const struct addr *address, u32 index);

// Every listener is open: closes what nobody took. 0, or -EADDRNOTAVAIL when a socket unit gave a
// socket that is no address of the configuration; then *ret_stray is its address.
int handover_settle(struct handover *handover, const char **ret_stray);

// For the process that follows this one, in place of what was left before. It is the keeper's when
// the call returns.
void handover_leave(struct handover *handover, enum inherit_left left, struct str text);
bool handover_has_keeper(const struct handover *handover);

// What the process before has left, which is the caller's from then on; -1: nothing.
int handover_take_left(struct handover *handover, enum inherit_left left);

// From here on the keeper is heard.
void handover_hear(
	struct handover *handover, struct loop *loop, const struct handover_hears *hears);
void handover_ready(struct handover *handover);

// A text of control/notify.h.
void handover_notify(struct handover *handover, const char *state, const char *status);

// A configuration is read again | that is over, and the process serves as before or with it.
void handover_reloading(struct handover *handover, u64 monotonic_us);
void handover_reloaded(struct handover *handover, const char *status);

// Asks for another process of the binary at `path` ("": as it was started). -ENOTCONN: no keeper.
int handover_upgrade(struct handover *handover, const char *path);

void handover_done(struct handover *handover);
