// SPDX-License-Identifier: Apache-2.0
// A farm of servers in virtual time, each with one queue, in front of it one or several workers
// that balance requests over them by the real code. Arrivals are Poisson, service times exponential
// with mean 1 on a server of speed 1. Deterministic by seed.
#pragma once

#include "decide/balance_cost.h"

enum { FARM_SERVERS_MAX = 1000, FARM_WORKERS_MAX = 16 };

struct farm_options {
	enum balance_kind kind;
	struct balance_options balance;
	u32 servers;
	double load;	 // requests per unit of time and unit of speed
	double duration; // in mean service times; the first fifth is not counted
	u64 seed;
	u32 slow_servers;  // the first ones
	double slow_speed; // theirs
	// Each worker knows its own requests at once and the others' every `sync` units of time. 0
	// workers are one.
	u32 workers;
	double sync;
	bool blind;	  // workers never hear of each other
	bool own_latency; // a worker's latencies are of its own requests only, and by what it knew
	double unit_ns;	  // a unit of time for the code that wants nanoseconds; 0: 10 ms
};

struct farm_result {
	u64 requests;
	double mean, p50, p99, p999; // time from arrival to departure
	double slow_share;	     // of the requests that slow servers got
	u32 longest;		     // most requests at one server
	double requests_of_first;    // part of the requests that server 0 got
};

void farm_run(const struct farm_options *options, struct farm_result *ret_result);

// Times of what happens next, the earliest on top. One entry for each name at most.
struct event {
	double at;
	u32 name;
};

struct event_queue {
	struct event *events;
	u32 count;
};

static inline void event_push(struct event_queue *queue, struct event event)
{
	u32 at = queue->count++;

	while (at > 0 && event.at < queue->events[(at - 1) / 4].at) {
		queue->events[at] = queue->events[(at - 1) / 4];
		at = (at - 1) / 4;
	}
	queue->events[at] = event;
}

// Puts `event` in the place of the earliest.
static inline void event_replace(struct event_queue *queue, struct event event)
{
	struct event *events = queue->events;
	u32 at = 0;

	for (;;) {
		u32 child = 4 * at + 1, best = child, end = MIN(child + 4, queue->count);

		if (child >= queue->count)
			break;
		for (u32 i = child + 1; i < end; i++)
			best = events[i].at < events[best].at ? i : best;
		if (events[best].at >= event.at)
			break;
		events[at] = events[best];
		at = best;
	}
	events[at] = event;
}

static inline void event_pop(struct event_queue *queue)
{
	struct event last = queue->events[--queue->count];

	if (queue->count > 0)
		event_replace(queue, last);
}
