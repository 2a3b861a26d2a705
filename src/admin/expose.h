// SPDX-License-Identifier: Apache-2.0
// What /metrics answers: the families of base/metrics.def as text that Prometheus reads, made of
// what the caller shows. A pure function but for expose_process_read; it takes no lock and waits
// for nobody. Workers count meanwhile, so families may be apart by the requests that end while it
// runs; within a histogram the count is the sum of its buckets.
//
// How large: about 3.5 KB for each backend that gets requests.
#pragma once

#include "base/text.h"
#include "proxy/stats.h"

enum expose_format {
	EXPOSE_PROMETHEUS,  // text, version 0.0.4
	EXPOSE_OPENMETRICS, // 1.0.0, with units and exemplars
};

// Which one an Accept field asks for (empty: there was none), and what then goes into Content-Type.
enum expose_format expose_choose(struct str accept);
struct str expose_content_type(enum expose_format format);

// One backend. Sums over all workers, where it counts.
struct expose_backend {
	u64 checks_passed, checks_failed;
	u64 ejections;
	u64 breaker_openings, breaker_failures;
	u32 in_flight, connections, idle;
	u32 weight;
	u8 breaker; // enum breaker_state
	bool is_checked;
	bool healthy;  // not down by its checks, not ejected, and its name has an address
	bool eligible; // may get requests
};

struct expose_pool {
	u32 waiting; // for a place
	bool panic;
};

struct expose_worker {
	u64 busy_us;	   // ever
	u64 starved_us;	   // ever: ready to run, and not running
	double busy_ratio; // of the last second, 0 to 1
	struct histogram_classic turns;
};

struct expose_provider {
	struct str name, type;
	bool is_up, is_held;
	u32 rows, left_out;
	u64 reads, errors;
	i64 read_at_ms; // 0 = never
};

// Or an OCSP response.
struct expose_certificate {
	struct str name;
	i64 expires_at_s;
};

struct expose_process {
	u64 cpu_us;
	u64 resident_bytes, virtual_bytes;
	u64 fds, fds_max;
	i64 started_at_ms; // the caller's
};

// Fills in all but started_at_ms. What the kernel does not tell stays 0 and is not shown. Counting
// descriptors costs a millisecond for some ten thousand where the kernel is older than 6.2.
void expose_process_read(struct expose_process *process);

// All of it is borrowed for the call.
struct expose_source {
	const struct snapshot *snapshot;
	u32 worker_count;
	const struct stats *const *stats;	  // by worker; NULL: requests are not counted
	const struct metrics_cells *const *cells; // of workers, logger and whoever else counts
	u32 cells_count;
	const struct expose_worker *workers;
	const struct expose_pool *pools;       // by pool->index
	const struct expose_backend *backends; // by backend->cell
	const struct expose_certificate *certificates;
	u32 certificate_count;
	const struct expose_certificate *staples;
	u32 staple_count;
	const struct expose_provider *providers;
	u32 provider_count;
	struct expose_process process;
	u64 connections_max;
	u64 reloads, reloads_failed; // of the configuration, without the start
	i64 config_at_ms;	     // when the one in effect was taken
	u32 config_generation;
	bool config_refused; // the last reload failed
	u64 restarts, upgrades, upgrades_failed;
	bool draining;
	struct str version, io;
};

// Adds the document to `text`, which may be used again for the next one.
void expose_write(struct text *text, enum expose_format format, const struct expose_source *source);
