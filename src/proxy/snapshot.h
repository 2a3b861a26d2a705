// SPDX-License-Identifier: Apache-2.0
// The compiled configuration: what the data plane reads. Immutable and shared by all workers,
// except the atomics and cells of upstream/pool.h and the count of a limited frontend's clients.
// Built by the control thread, freed when no worker uses it.
#pragma once

#include "conf/conf.h"
#include "proto/http.h"
#include "proxy/guard.h"
#include "upstream/crowd.h"

struct target {
	struct pool *pool;
	u32 weight;
};

struct route {
	const struct conf_route *conf;
	struct target *targets; // of a split; one for a plain pool
	u32 target_count;
	u32 weight_sum;
	u32 place;		 // for records: the frontend's index, and above it its own
	u64 response_timeout_ms; // 0: the pool's
	struct str pattern;	 // of the path, as "/v1/*"; empty: any path
	struct str access_json;	 // its name for access lines (access.h); empty without them
};

struct builtin; // proxy/builtin.h

struct frontend {
	const struct conf_frontend *conf;
	u32 index;
	u32 place; // as a route's, of what no route took
	struct route *routes;
	u32 route_count;
	struct pool *pool;	       // what no route matched; NULL: 404
	u64 builtin_lengths;	       // bit of each length (modulo 64) that the path of a page has
	const struct builtin *builtin; // what these pages show
	_Atomic(u32) *clients; // open now, over all workers; NULL: there is no limit on them
	bool has_answer_lines; // answer.h
	bool asks_certificates; // clients may show one
	bool is_guarded;       // not everybody may connect (guard.h)
	struct guard *guard;   // where connections of one address are counted; NULL: nowhere
	// Ready-made lines with their line ends: X-Forwarded-Proto and X-Forwarded-By, as far as
	// the configuration wants them; the first proto_line_len bytes are the former's.
	struct str forwarded_lines;
	u32 proto_line_len;
	struct str request_id_prefix; // name, colon and space
	struct str scheme;
	struct str access_json; // as a route's
	enum http_known request_id_known;
};

struct secure; // proxy/secure.h
struct tls_error;
struct tls_secret;

struct snapshot {
	const struct conf *conf;
	struct arena *arena;
	struct frontend *frontends;
	u32 frontend_count;
	struct pool *pools;
	u32 pool_count;
	u32 backend_count; // over all pools: cells of each worker
	u32 worker_count;
	u32 generation;		 // which configuration of this process it is
	struct cell **cells;	 // of each worker, an array by backend->cell
	struct str *access_json; // the names of pool and backend, by backend->cell; NULL without
	struct guard *guard;	 // of all frontends that want one
	struct crowd crowd;
	struct secure **secure; // of each worker, and of the control thread; NULL: no TLS
};

// Everything lives in `arena`, next to `conf`, except for the views of pools and the guard.
struct snapshot *snapshot_build(const struct conf *conf, struct arena *arena, u32 worker_count);

// Before any worker runs: how many clients all of them together may have at the same time. The seed
// is as guard_new wants it.
void snapshot_guard(struct snapshot *snapshot, u64 clients_max, u64 seed);

// Opens what TLS needs, where it is wanted. False, with the reason. Before any worker runs.
bool snapshot_secure(struct snapshot *snapshot, const struct tls_secret *secret, u64 clients_max,
	struct tls_error *ret_error) must_check;

// Frees the views, the guard and what TLS needed. No worker runs.
void snapshot_done(struct snapshot *snapshot);
