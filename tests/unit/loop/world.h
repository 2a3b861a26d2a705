// SPDX-License-Identifier: Apache-2.0
// What a contract test stands on: one loop of the twin under test, and pairs of connected socks
// made the way that twin makes them. A test talks to both ends through loop.h, so that one test
// serves all twins.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "loop/loop.h"
#include "loop/loop_sim.h"

// Which twin this run is about.
extern enum loop_kind world_kind;

// In the simulated twin: the seed before that of the next world.
extern u64 world_seed;

struct world {
	struct loop *loop;
	struct sim_net *net; // sim only
};

enum { WORLD_LARGE_BLOCKS = 64, WORLD_SMALL_BLOCKS = 4096 };

struct world *world_new(u32 large_blocks_max);
void world_free(struct world *world);

// A second loop; in the simulated twin on the network of the first, which must outlive it.
struct world *world_new_beside(struct world *first);
void world_free_beside(struct world *world);

// Makes test_NAME for cmocka out of NAME(world). A test that fails leaves its world standing, so
// that the failure is printed and not the assertion about what is still out.
#define WORLD_TEST(name)                                             \
	static void test_##name(void **state)                        \
	{                                                            \
		struct world *world = world_new(WORLD_LARGE_BLOCKS); \
                                                                     \
		(void)state;                                         \
		name(world);                                         \
		world_free(world);                                   \
	}

// Ends a test that this twin cannot serve.
_Noreturn void world_skip(struct world *world);

static inline bool world_is_real(void)
{
	return world_kind != LOOP_SIM;
}

// Two ends of one connection, opened in `loop`.
void world_pair(struct world *world, struct sock *a, struct sock *b);

// A listening descriptor, not opened yet, and its address.
int world_listen(struct world *world, struct addr *ret_addr);

// One end of a connection with what a test usually wants to know about it.
struct end {
	struct sock sock;
	struct op recv, send;
	struct world *world;
	struct bytes in, out;	      // received; to be sent
	u32 recvs_heard, sends_heard; // callbacks seen
	i32 recv_result, send_result;
	u32 hints;	 // for receives
	bool keep_going; // submit the next receive from the callback while data comes
	bool discard;	 // count only
	u64 received_bytes;
};

void end_init(struct end *end, struct world *world);
void ends_pair(struct world *world, struct end *a, struct end *b);
void end_recv(struct end *end);
void end_send(struct end *end, const void *data, size_t len);
void end_close(struct end *end);      // no op may be out
void end_close_hard(struct end *end); // cancels, waits, closes

// Turns until *what reaches `count`; fails the test when it does not within reason.
void turn_until(struct world *world, const u32 *what, u32 count);
// A few turns that give things a chance to happen that must not.
void turn_idly(struct world *world, u32 turns);

// Fills and checks a pattern that depends on the position in the stream.
void pattern_fill(char *to, u64 position, size_t len);
bool pattern_matches(const char *data, u64 position, size_t len);

// The tests of both files.
extern const struct CMUnitTest contract_tests[], contract_life_tests[];
extern const size_t contract_tests_count, contract_life_tests_count;
