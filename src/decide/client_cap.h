// SPDX-License-Identifier: Apache-2.0
// How many connections (or requests) one client address has at the same time. A table of fixed size
// in memory of the caller, keyed by a secret hash, so that no client can aim at another's place. An
// IPv6 client is its /64, because it owns all of that.
//
// One owner; where several threads count together, each part of the table has its lock, chosen by
// client_cap_part.
//
// Promises: a key is in the table only while its count is not 0, so a table with more slots than
// there can be connections is never full. When it is full all the same, new clients are let in
// without being counted: the limit fails open, and says so.
#pragma once

#include "base/addr.h"

struct client_key {
	u64 network; // IPv4: the address; IPv6: its first 64 bits
	u32 family;  // enum addr_family
	u32 group;   // the caller's: the same client has a count in each
};

struct client_slot {
	struct client_key key; // of family ADDR_NONE: free
	u32 count;
};

struct client_cap {
	struct client_slot *slots;
	u32 slot_count; // a power of two
	u32 used;
	u64 seed;
};

enum client_cap_answer {
	CLIENT_CAP_OK,	      // counted: client_cap_give is due later
	CLIENT_CAP_REFUSED,   // has `max` already
	CLIENT_CAP_UNCOUNTED, // the table is full, or the address is no IP: let in, nothing is due
};

// slot_count is a power of two; slots are zeroed here.
void client_cap_init(struct client_cap *cap, struct client_slot *slots, u32 slot_count, u64 seed);

// In group 0.
struct client_key client_cap_key(const struct addr *addr);

// Which of `parts` tables (1 or more) this client belongs to.
u32 client_cap_part(const struct client_key *key, u32 parts, u64 seed);

enum client_cap_answer client_cap_take(
	struct client_cap *cap, const struct client_key *key, u32 max) must_check;

// Ends what client_cap_take counted.
void client_cap_give(struct client_cap *cap, const struct client_key *key);

u32 client_cap_count(const struct client_cap *cap, const struct client_key *key);
