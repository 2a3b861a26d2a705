// SPDX-License-Identifier: Apache-2.0
// What the control thread knows about every backend, and the one place where it changes: active
// checks, ejections, breakers, outliers, slow start. From all of it follows who may get requests
// (decide/eligible.h), which is published to the workers (upstream/view.h).
//
// The model does no I/O. The checker (checker.h) asks it which backend to probe and tells it how
// that went; workers tell by reports (upstream/report.h) and by what they count in their cells;
// time passes by model_tick. Everything that changes is told to one listener, once: the log line
// and the event.
//
// What a call changes is published before it returns, with one exception: judging a pool costs time
// in proportion to its size, so a pool that was judged less than a millisecond per
// MODEL_JUDGED_PER_MS backends ago waits for the next tick. A thousand backends that fail within
// one turn are judged together, not a thousand times. The listener hears with the publication.
//
// One thread, the control thread's. Everything it looks at outlives it.
#pragma once

#include "base/rng.h"
#include "proxy/snapshot.h"
#include "upstream/report.h"

struct model;

enum model_change_kind {
	MODEL_HEALTH,	  // an active check changed a backend's state
	MODEL_EJECTED,	  // a backend is out for a while by what requests met
	MODEL_RETURNED,	  // ... and back, by time or because a check passed
	MODEL_BREAKER,	  // a breaker opened, closed, or lets trials through
	MODEL_PANIC,	  // a pool ignores its ejections | no longer does
	MODEL_POOL,	  // a pool has lost its last backend | has one again
	MODEL_CHECK_TYPE, // `auto` has decided how a pool is checked
};

// One change. Which fields mean something depends on `kind`. All texts are static.
struct model_change {
	u8 kind; // enum model_change_kind
	const struct pool *pool;
	const struct backend *backend; // NULL for MODEL_PANIC, _POOL, _CHECK_TYPE
	const char *from, *to;	       // names of states: "up", "down", "open", "in", "panic", ...
	const char *reason;	       // why, for people; with the figures: reason_of_change
	u16 status;		       // of the answer that is the reason; 0 = there is none
	u32 streak;		       // results in a row that led to it; 0 = does not apply
	u64 next_ms;  // when it is looked at again, from now on; 0 = does not apply
	u32 eligible; // of the pool, after the change
};

// Must not call the model.
typedef void model_listener_fn(void *owner, const struct model_change *change);

// Borrows the snapshot. `now_ms` is the control loop's. All backends with a check begin as unknown
// and due at once. What follows from the configuration alone is published, and told to nobody.
struct model *model_new(const struct snapshot *snapshot, model_listener_fn *listener, void *owner,
	u64 seed, u64 now_ms);
void model_free(struct model *model);

// The next configuration. What is known of a backend that is in both stays known, and so do orders;
// what follows is published in the new pools before it returns, and what has changed is told. One
// that is reached in another way (secure_reaches_alike) is tried anew whatever it has done. Of
// one that is in the new one only nothing is known; it begins as unknown and due. Running probes of
// pools whose object has changed were given up.
void model_adopt(struct model *model, const struct snapshot *snapshot, u64 now_ms);

// Lets time pass: ends ejections, opens half, sums what workers counted, looks for outliers, moves
// slow starts on, publishes. Cheap when nothing moved. Call it about every MODEL_TICK_MS.
enum { MODEL_TICK_MS = 100, MODEL_JUDGED_PER_MS = 128 };

// False: tables of old views are left (view_collect), because a worker has not looked since; nudge
// the workers.
bool model_tick(struct model *model, u64 now_ms);

// Grows with each publication: workers with requests that wait want to be nudged.
u64 model_published(const struct model *model);

// A report of a worker, in the control thread. model_tick's share of it is done at once.
void model_report(struct model *model, const struct report *report, u64 now_ms);

// A backend's name has an address now (backend->addr is written), or has lost it, or cannot be
// resolved.
void model_resolved(struct model *model, const struct backend *backend, bool resolved, u64 now_ms);

// By order of somebody (the API).
enum model_order {
	MODEL_ENABLED,
	MODEL_DRAINED,	// no new requests
	MODEL_DISABLED, // ... and kept connections are closed
};

void model_give_order(
	struct model *model, struct backend *backend, enum model_order order, u64 now_ms);

// Who gave the order that is about to come; cut where it is longer than MODEL_WHO_MAX.
enum { MODEL_WHO_MAX = 47 };

void model_sign(
	struct model *model, const struct backend *backend, bool of_breaker, struct str who);

// Its weight from now on, 0 to 1000.
void model_reweigh(struct model *model, struct backend *backend, u32 weight, u64 now_ms);

// Breakers: breaker_force.
void model_force_breaker(
	struct model *model, const struct backend *backend, enum breaker_forced forced, u64 now_ms);

// ---- For the checker ----------------------------------------------------------------------------

// Is this backend checked at all, and how: CONF_CHECK_HTTP, _TCP or _GRPC (`auto` is decided
// here; a pool that only TCP frontends send to is never asked for a page); CONF_CHECK_NONE: not, or
// it has no address yet.
enum conf_check_type model_check_type(const struct model *model, const struct backend *backend);

// When this backend has to be probed next; a probe runs: when it is over at the latest. UINT64_MAX:
// never.
u64 model_check_wake_ms(const struct model *model, const struct backend *backend);

// Grows whenever some backend's next probe may have become due sooner than it was, for another
// reason than the end of its own probe: then model_check_wake_ms is to be asked anew for all.
u64 model_checks_moved(const struct model *model);

// A probe begins now; it is due (health_is_due) and none runs.
void model_check_begin(struct model *model, const struct backend *backend, u64 now_ms);

// How it went: HEALTH_NONE is a pass. `status` is the answer's, 0 without one (`auto` looks at it:
// pass what the page said, the model judges).
void model_check_end(struct model *model, const struct backend *backend, enum health_reason reason,
	u32 status, u64 latency_us, u64 now_ms);

// Every backend that is checked and has an address has had a first result.
bool model_is_complete(const struct model *model);

// ---- For looking at -----------------------------------------------------------------------------

struct model_state {
	struct health health;
	struct ejection ejection;
	struct breaker breaker;
	u8 why;	       // enum eligible_why, as last published
	u8 ejected_by; // enum health_reason, of the last EJECTION_CONNECT; HEALTH_NONE: unknown
	bool checked;
	u64 latency_us; // of the last probe that had an answer
	u64 checked_ms; // when it ended; 0 = never
	u64 checks_passed, checks_failed, ejections, openings; // ever; openings: of its breaker
	u64 why_since_ms;				       // when `why` became what it is
	u64 slow_start_ms; // when it became eligible and began to warm up; 0 = whole
	// Who gave the last order about taking requests | about its breaker; "": nobody yet.
	char ordered_by[MODEL_WHO_MAX + 1], held_by[MODEL_WHO_MAX + 1];
};

const struct model_state *model_state(const struct model *model, const struct backend *backend);

struct model_orders {
	u64 revision; // moves with each order
	u8 order;     // enum model_order
	bool resolved;
};

struct model_orders model_orders(const struct model *model, const struct backend *backend);

// As last published.
struct model_pool_state {
	struct eligible_pool judged;
	u8 check_type; // enum conf_check_type; AUTO: not decided yet
};

struct model_pool_state model_pool_state(const struct model *model, const struct pool *pool);
