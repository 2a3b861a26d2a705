// SPDX-License-Identifier: Apache-2.0
// weir simulate: what each algorithm would make of a load, in virtual time, by the code that picks
// backends in the balancer (decide/balance.h). A model of arrivals, servers and workers, or the
// requests of an access log; the same seed gives the same run.
//
// The model. A server serves some requests at a time (slots), the others wait in its queue in the
// order of arrival. Its speed is its weight over the mean weight; a slow one has a part of that.
// Each request comes to one of the workers by chance; a worker knows its own requests at once and
// those of the others every `news_ms`; latencies it takes from its own only. Lost servers take no
// new request from one moment to another; what they have they still answer.
#pragma once

#include "base/text.h"
#include "decide/balance_cost.h"

enum {
	SIMULATE_SERVERS_MAX = 10000,
	SIMULATE_WEIGHTS_MAX = 64,
	SIMULATE_WORKERS_MAX = 64,
	SIMULATE_BUCKETS = 2100, // of latency, each 1 % wider than the one before, from 1 us on
};

enum simulate_arrival { ARRIVAL_POISSON, ARRIVAL_CONSTANT, ARRIVAL_BURST };
enum simulate_service { SERVICE_EXPONENTIAL, SERVICE_LOGNORMAL, SERVICE_CONSTANT, SERVICE_BIMODAL };

// One request of an access log.
struct simulate_request {
	double at_ms, service_ms;
	u32 client;
};

struct simulate_trace {
	struct simulate_request *requests; // by time
	u32 count;
	u64 *keys; // of each client
	u32 client_count;
	u32 skipped; // lines that are no requests with a time
};

struct simulate_options {
	u64 servers, requests, slow, workers, slots, clients, lose, bound, seed;
	double load, mean_ms, slow_factor, news_ms, lose_at, back_at;
	enum simulate_arrival arrival;
	enum simulate_service service;
	u32 weights[SIMULATE_WEIGHTS_MAX], weight_count;
	const struct simulate_trace *trace; // NULL: the model
};

struct simulate_latency {
	u64 count;
	u64 buckets[SIMULATE_BUCKETS];
};

struct simulate_result {
	enum balance_kind kind;
	struct simulate_latency all, while_lost; // of those that came while servers were lost
	double mean_ms;
	double busiest;	     // the most requests of a server to its fair part
	u64 longest;	     // the most requests at one server
	u64 returns, breaks; // requests of clients seen before; those that met another server
	u64 refused;	     // there was nobody to take them
};

// Called now and then with how far a run is.
typedef void simulate_progress_fn(void *context, enum balance_kind kind, double part);

void simulate_run(const struct simulate_options *options, enum balance_kind kind,
	simulate_progress_fn *progress, void *context, struct simulate_result *ret_result);

// In milliseconds, `part` from 0 to 1; 0 when there was no request.
double simulate_percentile(const struct simulate_latency *latency, double part);

void simulate_defaults(struct simulate_options *options);

// KEY=VALUE. NULL, or why not, in `arena`.
const char *simulate_word(struct simulate_options *options, const char *word, struct arena *arena);

// What must fit together. NULL, or why not.
const char *simulate_check(const struct simulate_options *options, struct arena *arena);

// One line for each key, with its default.
void simulate_list_words(struct text *text);

// Reads an access log of weir (JSON or combined). 0 or a negative errno; memory of mem.h until
// simulate_trace_done.
int simulate_trace_read(const char *path, struct simulate_trace *ret_trace) must_check;
void simulate_trace_done(struct simulate_trace *trace);

void simulate_print_table(struct text *text, const struct simulate_options *options,
	const struct simulate_result *results, u32 count);
void simulate_print_json(struct text *text, const struct simulate_options *options,
	const struct simulate_result *results, u32 count);
void simulate_print_svg(struct text *text, const struct simulate_options *options,
	const struct simulate_result *results, u32 count);
