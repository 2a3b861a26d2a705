// SPDX-License-Identifier: Apache-2.0
// weir simulate: what each algorithm would make of a load, in virtual time, by the code that picks
// backends in the balancer (decide/balance.h). A model of arrivals, servers and workers, or the
// requests of an access log; the same seed gives the same run.
//
// The model. A server serves some requests at a time (slots), the others wait in its queue in the
// order of arrival. Its speed is its weight over the mean weight, or what the log says; a slow one
// has a part of that. With max_connections a server that has so many gets no more, and who finds
// nobody waits in the balancer, in the order of arrival. Each request comes to one of the workers
// by chance. A worker knows its own requests in flight at once; every `news_ms` it tells its counts
// and reads those of the others, each worker at its own moment, so that what it knows of others is
// up to twice as old. Latencies it takes from its own requests only. Lost servers take no new
// request from one moment to another; what they have they still answer.
#pragma once

#include "base/text.h"
#include "decide/balance_cost.h"

enum {
	SIMULATE_SERVERS_MAX = 10000,
	SIMULATE_WEIGHTS_MAX = 64,
	SIMULATE_WORKERS_MAX = 64,
	SIMULATE_VALUES_MAX = 16, // of a series
	SIMULATE_BUCKETS = 2100,  // of latency, each 1 % wider than the one before, from 1 us on
	SIMULATE_SLICES = 40,	  // of a run, by arrivals
	SIMULATE_NAME_MAX = 64,
	SIMULATE_NO_BACKEND = UINT32_MAX,
};

enum simulate_arrival { ARRIVAL_POISSON, ARRIVAL_CONSTANT, ARRIVAL_BURST };
enum simulate_service { SERVICE_EXPONENTIAL, SERVICE_LOGNORMAL, SERVICE_CONSTANT, SERVICE_BIMODAL };
enum simulate_by { BY_CLIENT_IP, BY_PATH };

struct simulate_latency {
	u64 count;
	u32 buckets[SIMULATE_BUCKETS];
};

// One request of an access log. Times are from the first one's begin on.
struct simulate_request {
	double at_ms;		 // the client's
	double sent_ms, done_ms; // at its backend, by the log
	double service_ms;	 // what it asks of a server of speed 1: simulate_trace_prepare
	u32 client;
	u32 backend; // or SIMULATE_NO_BACKEND
};

struct simulate_backend {
	char name[SIMULATE_NAME_MAX];
	double speed; // 1 is the mean
};

struct simulate_trace {
	struct simulate_request *requests; // by time
	u32 count;
	u64 *keys; // of each client, or each path
	u32 client_count;
	struct simulate_backend *backends;
	u32 backend_count;
	double busy;			// servers of speed 1 that all requests keep busy on average
	struct simulate_latency logged; // whole times as the log has them
	u32 skipped;			// lines that are no requests with a time
	u32 unsent;			// requests that no backend got
};

// Several values of one word of the model, one run for each.
struct simulate_series {
	const char *key; // NULL: there is none
	const char *prose;
	u32 word;
	u32 count;
	double values[SIMULATE_VALUES_MAX]; // rising
};

struct simulate_options {
	u64 servers, requests, slow, workers, slots, clients, lose, bound, max_connections, seed;
	double load, mean_ms, slow_factor, news_ms, lose_at, back_at, skew, pace;
	enum simulate_arrival arrival;
	enum simulate_service service;
	enum simulate_by by;
	u32 weights[SIMULATE_WEIGHTS_MAX], weight_count;
	u32 given; // bit of each word that was
	struct simulate_series series;
	const struct simulate_trace *trace; // NULL: the model
};

struct simulate_result {
	enum balance_kind kind;
	double value;				 // of the series
	struct simulate_latency all, while_lost; // of those that came while servers were lost
	struct simulate_latency slices[SIMULATE_SLICES];
	double mean_ms;
	double busiest;	     // the most requests of a server to its fair part
	double deviation;    // of the servers' requests to their fair parts
	double busiest_left; // as busiest, of those that were left while servers were lost
	u64 longest;	     // the most requests at one server
	u64 returns, breaks; // requests of clients seen before; those that met another server
	u64 waited;	     // in the balancer, because every server had max_connections
	u32 taken[SIMULATE_SERVERS_MAX];
};

// Called now and then with how far something long is: an algorithm, or reading a log.
typedef void simulate_progress_fn(void *context, const char *what, double part);

void simulate_run(const struct simulate_options *options, enum balance_kind kind,
	simulate_progress_fn *progress, void *context, struct simulate_result *ret_result);

void simulate_count(struct simulate_latency *latency, double ms);

// In milliseconds, `part` from 0 to 1; 0 when there was no request.
double simulate_percentile(const struct simulate_latency *latency, double part);

// Weight of a server, and its part of all requests were they shared out by weight.
u32 simulate_weight(const struct simulate_options *options, u32 index);
double simulate_fair(const struct simulate_options *options, u32 index);

void simulate_defaults(struct simulate_options *options);

// KEY=VALUE, or for one key several values. NULL, or why not, in `arena`.
const char *simulate_word(struct simulate_options *options, const char *word, struct arena *arena);

// The options of one value of the series.
struct simulate_options simulate_of_series(const struct simulate_options *options, u32 value);

// Words that mean nothing for a log, or for a model. NULL, or which.
const char *simulate_check_scope(
	const struct simulate_options *options, bool from_log, struct arena *arena);

// What must fit together, for every value of the series. NULL, or why not.
const char *simulate_check(const struct simulate_options *options, struct arena *arena);

bool simulate_is_given(const struct simulate_options *options, const char *key);

// One line for each key, with its default.
void simulate_list_words(struct text *text);

// The model as members of a JSON object, {"servers":10,...}.
void simulate_print_words(struct text *text, const struct simulate_options *options);

// Reads an access log of weir (JSON or combined). 0 or a negative errno; memory of mem.h until
// simulate_trace_done.
int simulate_trace_read(const char *path, enum simulate_by by, simulate_progress_fn *progress,
	void *context, struct simulate_trace *ret_trace) must_check;
void simulate_trace_done(struct simulate_trace *trace);

// The fewest slots of each backend with which the log could have come about.
u32 simulate_trace_slots(struct simulate_trace *trace);

// Finds the requests' service times and the backends' speeds, given that each serves so many at a
// time. Gives the part of the requests that would have been done before they began.
double simulate_trace_prepare(struct simulate_trace *trace, u32 slots);

// What a log asks of the servers, to what they can do.
double simulate_trace_load(const struct simulate_options *options);

// What was simulated, in a line.
void simulate_describe(struct text *text, const struct simulate_options *options);

// Results stand by value of the series, then by algorithm: `kinds` for each value.
struct simulate_report {
	const struct simulate_options *options;
	const struct simulate_result *results;
	u32 kinds, count;
};

void simulate_print_table(struct text *text, const struct simulate_report *report);
void simulate_print_json(struct text *text, const struct simulate_report *report);

// What may be drawn, by its name: "latency", "time", "shares", or a measure over a series. NULL is
// what fits. NULL, or why that cannot be drawn.
const char *simulate_plot_check(const struct simulate_options *options, const char *plot);
void simulate_print_svg(struct text *text, const struct simulate_report *report, const char *plot);
