// SPDX-License-Identifier: Apache-2.0
// Several workers' upstream sides on one simulated network, the control thread's side of them, and
// backends that answer. There is no proxy: guests (guest.h) play the exchanges.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop_sim.h"
#include "peer.h"
#include "proxy/snapshot.h"
#include "upstream/lease.h"
#include "upstream/pick.h"
#include "upstream/queue.h"
#include "upstream/view.h"

enum { TOWN_BACKENDS_MAX = 64, TOWN_LINKS_MAX = 64 };

// "at seed N" in front of a failure.
#define SEEDED(seed, condition)                                                               \
	do {                                                                                  \
		if (!(condition))                                                             \
			fail_msg("at seed %llu: %s", (unsigned long long)(seed), #condition); \
	} while (0)

// A backend: answers each request after a while with 200 and no body, closes when weir does.
struct server {
	struct town *town;
	struct sock sock;
	struct op accept;
	u32 think_ms;
	bool is_mute;			    // answers nothing
	bool closes_slowly;		    // not before it is told to
	u32 sockets, sockets_most, accepts; // open now, at most so far, of all times
	u32 requests;
	struct list services;
};

// One worker.
struct resident {
	struct loop *loop;
	struct upstream upstream;
	struct metrics_cells metrics;
	struct h1_parser parser;
};

struct town {
	u64 seed;
	struct sim_net *net;
	struct arena arena;
	struct snapshot *snapshot;
	struct pool *pool; // the first one, "app"
	u32 worker_count;
	struct resident *workers;
	struct loop *control, *outside;
	struct server servers[TOWN_BACKENDS_MAX]; // of the first pool, by index
	u32 server_count;
	// Of dry guests: places held, by backend | more of them at some moment than there are.
	_Atomic(u32) held[TOWN_BACKENDS_MAX];
	_Atomic(bool) was_exceeded;
	u32 looks, ejections; // reports that came
};

// `pools` is the value of `pools`, as JSON; the first one is named "app". Backends are called
// 10.0.0.1:80 and so on (town_backends); the first addresses of the
// first pool have a server.
struct town *town_new(u64 seed, u32 workers, const char *pools);

// The same without network, loops and servers, for threads that bring loops of their own.
struct town *town_new_bare(u64 seed, u32 workers, const char *pools);
void town_start_worker(struct town *town, u32 number, struct loop *loop);
void town_free_bare(struct town *town);

// Closes what idles and takes everything down. Nothing may be in use.
void town_free(struct town *town);

// "[{address: 10.0.0.1:80, FIELDS}, ...]" as JSON, in memory of the town's caller that lives until
// the next call. `fields` begins with a comma, or is empty.
const char *town_backends(u32 count, const char *fields);

// Lets time pass, and everything happen that happens meanwhile.
void town_run(struct town *town, u64 ms);

static inline u64 town_now_ms(const struct town *town)
{
	return sim_net_now_us(town->net) / 1000;
}

static inline struct upstream *town_upstream(struct town *town, u32 worker)
{
	return &town->workers[worker].upstream;
}

static inline struct picker *town_picker(struct town *town, u32 worker)
{
	return upstream_picker(town_upstream(town, worker), town->pool);
}

// As the control thread: these are in (a bit for each backend), the others are ejected; all have
// their whole share.
void town_publish(struct town *town, u64 in);

// The same with a share for each backend.
void town_publish_shares(struct town *town, u64 in, const u8 *shares);

// One backend's state, the others' stay.
void town_set_why(struct town *town, u32 backend, enum eligible_why why);

// Picks for a request that nothing is known of, begins and ends it at once: the index of the
// backend, or BALANCE_NONE.
u32 town_pick(struct town *town, u32 worker);

// ... and leaves it running.
enum pick_verdict town_begin(struct town *town, u32 worker, struct pick *ret_pick);
