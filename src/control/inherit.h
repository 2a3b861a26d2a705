// SPDX-License-Identifier: Apache-2.0
// What a process was given when it began: listening sockets of whoever was there before it, a
// channel to its keeper, and what the process before has left. There are two givers: the keeper
// (control/keeper.h), by a text in memory whose descriptor INHERIT_VARIABLE names, and a service
// manager, by LISTEN_FDS (sd_listen_fds(3)).
//
// The text has one thing in each line; lines that are not known are left alone, for keepers of
// other versions. Descriptors that nobody takes are closed by inherit_done.
#pragma once

#include "base/addr.h"
#include "base/base.h"

#define INHERIT_VARIABLE "_WEIR_INHERIT"
enum { INHERIT_SOCKETS_MAX = 4096, INHERIT_WHY_MAX = 128 };

// Who listens on a socket. X(NAME, word)
#define INHERIT_ROLES(X)      \
	X(TRAFFIC, "traffic") \
	X(ADMIN, "admin")     \
	X(ANY, "any") // a manager does not say

enum inherit_role {
#define X(name, word) INHERIT_##name,
	INHERIT_ROLES(X)
#undef X
};

// What a process leaves to the one that follows: texts in memory that the keeper holds, of each
// kind the last one. X(NAME, word, letter of its message to the keeper)
#define INHERIT_LEFT(X)                                                                      \
	X(CONF, "conf", 'C')		   /* the last good configuration, without orders */ \
	X(ORDERS, "orders", 'O')	   /* what was ordered on top of it */               \
	X(GENERATIONS, "generations", 'G') /* the configurations of before */                \
	X(TICKETS, "tickets", 'T')	   /* what keys of session tickets are made of */

enum inherit_left {
#define X(name, word, letter) INHERIT_##name,
	INHERIT_LEFT(X)
#undef X
		INHERIT_LEFT_COUNT
};

const char *inherit_left_word(enum inherit_left left);

// Names of sockets between serving process and keeper: "traffic 0 127.0.0.1:8080".
enum { INHERIT_NAME_MAX = ADDR_TEXT_MAX + 24 };
void inherit_name(char name[static INHERIT_NAME_MAX], enum inherit_role role, u32 index,
	const struct addr *address);

struct inherit_socket {
	int fd; // -1: taken
	u8 role;
	u32 index; // of the worker
	char address[ADDR_TEXT_MAX];
	bool is_shared; // SO_REUSEPORT: others may be opened beside it
	bool from_unit; // a socket unit asked for it: not to take it is an error
};

struct inherit {
	struct inherit_socket *sockets;
	u32 count;
	int channel;		      // to the keeper; -1: none
	int left[INHERIT_LEFT_COUNT]; // files; -1: none
	bool upgrades;		      // another process serves until this one is ready
	u32 restarts;		      // how often the keeper has started one that was not asked for
	char why[INHERIT_WHY_MAX];    // the end of the last one; empty: none ended
	u32 upgraded;	     // how many other binaries have taken over since the keeper began
	u32 upgrades_failed; // and how many could not
	struct addr single;  // of a given socket that cannot be shared and was taken
};

const char *inherit_role_word(enum inherit_role role);

void inherit_init(struct inherit *inherit); // nothing was given

// Reads and takes away the variables. 0, or negative errno: what was given makes no sense.
int inherit_read(struct inherit *ret_inherit);

// The socket for this place, which is the caller's from then on, or -ENOENT.
int inherit_take(
	struct inherit *inherit, enum inherit_role role, u32 index, const struct addr *address);

// Whether a socket for this address was given and not taken yet.
bool inherit_has(const struct inherit *inherit, enum inherit_role role, const struct addr *address);

// The first that a socket unit asked for and nobody took; NULL: none.
const struct inherit_socket *inherit_stray(const struct inherit *inherit);

void inherit_done(struct inherit *inherit);
