// SPDX-License-Identifier: Apache-2.0
// The simulated twin: a virtual network in one thread, with virtual time and seeded faults. A
// worker under test and the scripted clients and servers around it use the words of loop.h alone,
// on one loop or on several; whatever happens is decided by the seed, so a failure is repeated by
// repeating its number.
//
// Time stands still while any loop has something to do and then jumps to the next event. A loop
// that waits lets the other loops of its network take their turns inside its own wait, so a
// loop_turn of any one of them drives all. When nothing can ever happen any more, waits return at
// once and sim_net_is_stuck is true.
//
// Streams keep their bytes in order. An orderly end comes after them; a reset makes both ends fail
// and may throw away bytes that had arrived unread. Descriptors are not the kernel's: everything
// on them goes through loop.h, and nothing can be spliced.
#pragma once

#include "base/rng.h"
#include "loop/loop.h"

struct sim_net;

// "one_in": the fault strikes once in so many chances on average; 0 = never.
struct sim_config {
	u32 latency_us_min, latency_us_max; // of each piece of data, each way
	u32 window_bytes;		    // under way and unread in one direction, at most

	u32 short_read_one_in;	 // per receive: gives less than there is
	u32 partial_send_one_in; // per piece sent: a part goes now, the rest later
	u32 delay_one_in;	 // per piece: up to delay_us_max longer
	u32 delay_us_max;
	u32 refuse_one_in;	    // per connect: refused though somebody listens
	u32 connect_timeout_one_in; // per connect: nothing, then -ETIMEDOUT
	u32 connect_timeout_us;
	u32 reset_one_in;     // per piece: the connection is reset at one of its bytes
	u32 early_end_one_in; // per piece sent by a loop that plays the outside world
			      // (sim_loop_set_outside): its direction ends at one of its bytes
	u32 accept_limit_one_in; // per connection accepted: -EMFILE ends the accept first
};

// How often each fault has struck, so that a test can say what it has been through.
struct sim_counts {
	u64 short_reads, partial_sends, delays, refusals, connect_timeouts, resets, early_ends,
		accept_limits;
	u64 discards;	 // resets that threw unread bytes away
	u64 block_waits; // receives that had to wait for a block
	u64 connects;	 // established
	u64 bytes;	 // delivered
	u64 events;
};

// No faults, 20 to 500 microseconds, windows of 64 KiB.
struct sim_config sim_config_calm(void);

// All faults, at rates that let most exchanges of a few pieces pass.
struct sim_config sim_config_rough(void);

struct sim_net *sim_net_new(u64 seed, const struct sim_config *config);

// Every loop of it must be freed before. Descriptors that nobody opened are closed.
void sim_net_free(struct sim_net *net);

// A loop on this network. Its virtual clock is the network's.
struct loop *sim_loop_new(struct sim_net *net, const struct loop_limits *limits);

// What this loop sends may end early (early_end_one_in): a peer may die at any byte, but the worker
// under test does not.
void sim_loop_set_outside(struct loop *loop);

// A listening descriptor for sock_open. 0.0.0.0 or :: takes every address with this port. The path
// of a unix address is borrowed for as long as the network lives.
int sim_listen(struct sim_net *net, const struct addr *address);

// Two ends of one connection, as sock_open takes them.
void sim_pair(struct sim_net *net, int ret_fds[2]);

// May be changed at any time, for example to let a test end calmly.
struct sim_config *sim_net_config(struct sim_net *net);
const struct sim_counts *sim_net_counts(const struct sim_net *net);
u64 sim_net_now_us(const struct sim_net *net);

// Nothing is under way, no timer is set, no loop has anything to do.
bool sim_net_is_stuck(const struct sim_net *net);

// Runs all loops until `until_ms` of virtual time or until the network is stuck.
void sim_net_run(struct sim_net *net, u64 until_ms);
