// SPDX-License-Identifier: Apache-2.0
// Inside of weir simulate only: a run in virtual time as its files share it. simulate_model.c has
// its events, simulate_balancer.c what the workers know and tell each other, simulate_draw.c the
// dice.
#pragma once

#include "cli/simulate.h"

struct job {
	double arrival, service_ms;
	u32 next, worker, met, server, client;
	u16 slice;
	bool in_loss; // it came while servers were lost
};

struct queue {
	u32 first, last; // jobs
};

struct server {
	struct queue queue;
	u32 in_flight, in_service;
	u32 told;	   // in flight, by what the workers have told
	u32 taken_in_loss; // while others were lost
	double speed;
	bool is_lost;
};

// Of one server, as one worker knows it.
struct view {
	u32 own, others; // requests in flight
	u32 told;	 // of its own, what it has told
	struct balance_ewma latency;
	struct balance_curve curve;
};

struct worker {
	struct balance_state *state;
	struct view *views; // by server
};

struct departure {
	double at;
	u32 job;
};

struct simulation {
	const struct simulate_options *options;
	enum balance_kind kind;
	const struct balance_kind_info *info;
	struct rng rng;	     // arrivals and services: the same for every algorithm
	struct rng pick_rng; // the balancer's
	struct arena arena;
	const struct balance_table *table;
	struct balance_member *members;
	struct server *servers;
	struct worker workers[SIMULATE_WORKERS_MAX];
	struct departure *departures; // a heap
	u32 departure_count, departure_room;
	struct job *jobs;
	u32 job_count, job_room, free_job;
	struct queue waiting; // in the balancer: every server is full
	u64 *keys;
	u32 *last_server; // of each client
	double *popular;  // how many requests are of a client up to this one, of the sum of all
	double now, next_arrival, next_news, next_mood, mean_gap;
	u64 news;	 // moments of news so far
	u32 quiet;	 // of them since the last request began or ended
	bool hears_news; // it makes a difference
	bool in_burst, are_lost, was_lost;
	u64 arrived, total, position, arrived_in_loss;
	double sum_ms;
	struct simulate_result *result;
};

// ---- simulate_balancer.c ------------------------------------------------------------------------

// The table, and each worker's state of it: at the start, and again when round robin has to spread
// out over other servers.
void simulate_build(struct simulation *sim);

// It has as many connections as it may.
bool simulate_is_full(const struct simulation *sim, const struct server *server);

nsec simulate_now_ns(const struct simulation *sim);

// Something about a server has changed: for one worker | for all of them.
void simulate_tell(struct simulation *sim, struct worker *worker, u32 index);
void simulate_tell_all(struct simulation *sim, u32 index);

// The moment of the next news has come.
void simulate_turn_news(struct simulation *sim);

// A request began or ended: there is something to hear of again.
void simulate_note_change(struct simulation *sim);

// ---- simulate_draw.c ----------------------------------------------------------------------------

double simulate_uniform(struct rng *rng);     // above 0, at most 1
double simulate_exponential(struct rng *rng); // of mean 1

// Of the model: how long a request takes, and how long it is until the next one comes.
double simulate_draw_service(struct simulation *sim);
double simulate_draw_gap(struct simulation *sim);

// A burst begins or ends.
void simulate_turn_mood(struct simulation *sim);
