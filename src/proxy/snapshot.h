// SPDX-License-Identifier: Apache-2.0
// The compiled configuration: what the data plane reads. Immutable and shared by all workers,
// except the atomics and cells of upstream/pool.h and the count of a limited frontend's clients.
//
// One configuration follows another (docs/decisions/0016). A pool that is in both of them and the
// same is the same object in both snapshots; frontends and routes are made anew. What is counted
// stays, because it stands under slots (upstream/slots.h).
#pragma once

#include "conf/conf.h"
#include "proto/http.h"
#include "proxy/guard.h"
#include "upstream/slots.h"

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
	u32 index; // its slot
	u32 place; // as a route's, of what no route took
	struct route *routes;
	u32 route_count;
	struct pool *pool;	       // what no route matched; NULL: 404
	u64 builtin_lengths;	       // bit of each length (modulo 64) that the path of a page has
	const struct builtin *builtin; // what these pages show
	_Atomic(u32) *clients;	      // open now, over all workers; NULL: there is no limit on them
	bool has_answer_lines;	      // answer.h
	bool asks_certificates;	      // clients may show one
	bool some_ask_certificates;   // of the configuration's frontends
	bool routes_ask_certificates; // some route goes by what it says
	bool is_guarded;	      // not everybody may connect (guard.h)
	bool expects_header;	      // its connections begin with a PROXY header
	struct guard *guard;	      // where connections of one address are counted; NULL: nowhere
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
	struct slots *slots;
	// By slot; NULL where there is none. The counts are of slots that were ever used.
	struct frontend **frontends;
	struct pool **pools;
	struct backend **backends;
	u32 frontend_count, pool_count, backend_count;
	u32 worker_count;
	u32 generation;		 // which configuration of this process it is
	struct cell **cells;	 // of each worker, an array by backend->cell
	struct str *access_json; // the names of pool and backend, by backend->cell; NULL without
	struct crowd crowd;
	struct secure **secure; // of each worker, and of the control thread; NULL: no TLS
	struct guard *guard;	// of all frontends that want one; lives on with the next snapshot
	bool owns_slots;
	bool tells_backends; // who the client is: some pool sends PROXY headers
};

// The first one of some process: with slots of its own, as many as it needs. Everything else lives
// in `arena`, next to `conf`, except for the views of pools and the guard.
struct snapshot *snapshot_build(const struct conf *conf, struct arena *arena, u32 worker_count);

// The same with room for more, in slots that outlive it.
struct snapshot *snapshot_begin(
	const struct conf *conf, struct arena *arena, struct slots *slots, u32 generation);

// The one after `before`, which is the newest one: in any thread, while nobody gives slots back.
// NULL: there is no room for so many pools, backends or frontends in this process, *ret_what says
// of which. What it took is given back by snapshot_cancel, else by snapshot_adopt it is in use.
struct snapshot *snapshot_follow(const struct snapshot *before, const struct conf *conf,
	struct arena *arena, u32 generation, const char **ret_what);
void snapshot_cancel(struct snapshot *snapshot);

// It is in use, its slots count as used | no more. By the control thread. `retired` hears of each
// slot that nobody uses any more (from then on it is its owner's to give back), and of each pool
// that no other snapshot has: its views are still there.
struct snapshot_heirs {
	void *owner;
	void (*backend)(void *owner, u32 slot);
	void (*pool)(void *owner, struct pool *pool);
	void (*pool_slot)(void *owner, u32 slot);
	void (*frontend)(void *owner, u32 slot);
};
void snapshot_adopt(struct snapshot *snapshot);
void snapshot_retire(struct snapshot *snapshot, const struct snapshot_heirs *heirs);

// Before any worker uses it: how many clients all of them together may have at the same time. The
// seed is as guard_new wants it.
void snapshot_guard(struct snapshot *snapshot, u64 clients_max, u64 seed);

// Opens what TLS needs, where it is wanted: of one that follows `before`, in any thread. False,
// with the reason. Before any worker uses it.
bool snapshot_secure(struct snapshot *snapshot, const struct snapshot *before,
	const struct tls_secret *secret, u64 clients_max, struct tls_error *ret_error) must_check;

// Gives back what TLS needs. By the control thread; no worker uses the snapshot. May be repeated.
void snapshot_unsecure(struct snapshot *snapshot);

// Frees the views, the guard and its own slots. No worker runs, and there is no other snapshot.
void snapshot_done(struct snapshot *snapshot);

// By name and id; NULL: there is none.
struct pool *snapshot_find_pool(const struct snapshot *snapshot, struct str name);

// Of this pool, which may be NULL.
struct backend *snapshot_find_backend(const struct pool *pool, struct str id);
const struct frontend *snapshot_find_frontend(const struct snapshot *snapshot, struct str name);
