// SPDX-License-Identifier: Apache-2.0
// A tunnel on its way to another process: its two sockets, the bytes that were read and not yet
// written, and what has to be known about it (parcel.def) as lines of text. It belongs to whoever
// has it, and goes from thread to thread as a message.
#pragma once

#include "base/text.h"
#include "loop/loop.h"

enum {
	PARCEL_VERSION = 2, // what is sent makes sense to who knows this version
	PARCEL_WORDS_MAX = 64 * 1024,
	PARCEL_BYTES_MAX = 1024 * 1024, // in each direction
	PARCEL_TEXT_MAX = 4096,		// of one value; longer ones are cut
};

#define PARCEL_UNTOLD UINT64_MAX

struct parcel_facts {
#define PARCEL_TEXT(field, key)	  struct str field;
#define PARCEL_NUMBER(field, key) u64 field;
#include "proxy/parcel.def"
};

struct parcel {
	struct message message;
	void *owner;	     // the receiver's of the message
	u32 worker;	     // which worker gave it
	u64 number;	     // among those
	int client, backend; // its own copies of the descriptors; -1: none
	int claim;	     // one of them all: who takes it has the tunnel (parcel_claim)
	struct text words;
	struct text up, down; // towards the backend | towards the client
};

// NULL: no memory.
struct parcel *parcel_new(void) must_check;
void parcel_free(struct parcel *parcel); // with its descriptors

// Two processes have the sockets, and one of them may go on: the first that asks. A claim is a
// descriptor that both have; negative errno: there is none to be had. True: the tunnel is the
// caller's, once for all copies of the claim.
int parcel_claim_new(void) must_check;
bool parcel_claim(int claim) must_check;

// Nothing is told yet.
void parcel_facts_init(struct parcel_facts *facts);

// A value that cannot stand in a line (with a control character in it) is left out.
void parcel_write(const struct parcel_facts *facts, struct text *words);

// 0 or -EINVAL: a line has no value, or a number is none. The texts are borrowed from `words`.
int parcel_read(struct str words, struct parcel_facts *ret_facts) must_check;
