// SPDX-License-Identifier: Apache-2.0
// What the files of the model share: model.c (states, judging, publishing), model_life.c (which
// pools and backends there are, from configuration to configuration), model_health.c (what follows
// from checks) and model_counts.c (what follows from the counts of workers). Nobody else includes
// it.
#pragma once

#include "control/model.h"
#include "decide/health_auto.h"

enum { MODEL_CHANGES_MAX = 64 }; // told together

// Sums over all workers' cells of one backend; they wrap, so only differences mean something.
struct model_sums {
	u32 good, bad, trials_good, trials_bad, trials_void;
};

struct model_backend {
	struct model_state state;
	struct backend *backend;
	struct model_pool *pool;
	struct list node;	// in pool->restless, while time alone will change something
	struct model_sums seen; // at the last look
	u32 trials_issued;	// tokens handed out then
	u32 interval_good, interval_bad; // sums when the outliers' interval began
	u8 answer;			 // enum health_auto_answer, the last one
	bool resolved;
	u8 order;	 // enum model_order
	u64 revision;	 // moves with each order
	bool is_new;	 // checked, and has had no result
	bool probe_void; // the running probe began before its address was known
};

struct model_pool {
	struct pool *pool; // NULL: no pool has this slot
	const struct conf_pool *conf;
	u32 count;
	// By index in the pool.
	struct model_backend **backends;
	struct eligible_facts *facts;
	u8 *why, *shares; // as published, or about to be
	struct health_auto automatic;
	struct eligible_pool judged; // its share and `up` are kept right between judgements
	struct list dirty;	     // in model->dirty: has to be judged
	struct list restless;
	u64 judged_ms;
	u64 due_ms;		    // of the first of `restless`
	u64 window_ms, outliers_ms; // when the breakers' windows | the outliers need sums again
	u64 *failures;		    // by worker: pool_cell.failures at the last look
	bool shares_moved;
	bool uncollected; // views are left
	bool was_lost;	  // told so
	bool has_breakers;
	bool serves_http, serves_tcp; // frontends that send to it
};

struct model {
	const struct snapshot *snapshot;
	model_listener_fn *listener;
	void *owner;
	struct rng rng;
	u64 now_ms;
	u64 checks_moved, published;
	u32 new_count;		   // backends that are checked and have had no result
	struct model_pool *pools;  // by slot
	struct list dirty;	   // pools
	struct model_change *told; // [MODEL_CHANGES_MAX], not heard by the listener yet
	u32 told_count;
	// By slot.
	struct model_backend *backends; // with backend NULL: nobody has this slot
	u32 *bad; // [worker * slots of backends + slot]: cell.bad at the last look
	// For one pool at a time, of at most so many backends.
	u32 room;
	u8 *fresh_why;
	struct outlier_sample *samples;
	bool *is_outlier;
};

static inline u32 model_cell(const struct model_backend *one)
{
	return one->backend->cell;
}

static inline struct model_backend *model_of(
	const struct model *model, const struct backend *backend)
{
	return &model->backends[backend->cell];
}

static inline bool model_is_probed(const struct model_backend *one)
{
	return one->state.checked && one->resolved;
}

static inline u32 model_chance(struct model *model)
{
	return (u32)(rng_u64(&model->rng) >> 32);
}

// Notes a change for the listener.
void model_tell(struct model *model, const struct model_change *change);
void model_tell_pool(struct model *model, const struct model_pool *pool,
	enum model_change_kind kind, const char *from, const char *to, const char *reason);
void model_tell_returned(struct model *model, const struct model_backend *one, const char *reason);

// To be called after anything about a backend has changed: what follows for its pool until it is
// judged, and when time has to look at it.
void model_touch(struct model *model, struct model_backend *one);

// Judges the pools about which something has changed, and lets the listener hear. Not `all`: those
// that were judged just now may wait.
void model_settle(struct model *model, bool all);

// What stands about a backend in its pool's facts | when time has to look at it.
struct eligible_facts model_facts_of(const struct model_backend *one);
void model_rest(const struct model *model, struct model_backend *one);

// Judges this pool now, and publishes what has changed; gives what was known before, which is then
// to be told of. `publish`: even if nothing has.
struct eligible_pool model_judge(struct model *model, struct model_pool *pool);
void model_publish(struct model *model, struct model_pool *pool);
void model_tell_of_judgement(
	struct model *model, struct model_pool *pool, const struct eligible_pool *before);

// Takes it out for a while, unless its pool's share is used up.
void model_eject(struct model *model, struct model_backend *one, enum ejection_why why, u32 streak);

// ---- model_health.c -----------------------------------------------------------------------------

// The pool has lost its last healthy backend: the others are probed soon.
void model_hurry(struct model *model, struct model_pool *pool);

// Requests could not connect to a backend whose checks will bring it back.
void model_suspect(struct model *model, struct model_backend *one, enum health_reason reason);

// Its address is another one now, or none, or it is reached in another way.
void model_forget_health(struct model *model, struct model_backend *one, enum health_reason reason);

// It has had a result, or will have none.
void model_no_longer_new(struct model *model, struct model_backend *one);

// ---- model_counts.c -----------------------------------------------------------------------------

// Lets time pass for its breaker, and looks at what workers counted.
void model_look(struct model *model, struct model_backend *one);

// The same for all backends of a pool of which there is news; and its outliers, when it is time.
void model_look_at_pool(struct model *model, struct model_pool *pool);

// What its cells have so far is not its own doing.
void model_begin_counts(struct model *model, struct model_backend *one);

// Its state changed by this step. `streak`: failures in a row that led to it.
void model_breaker_moved(
	struct model *model, struct model_backend *one, struct breaker_step step, u32 streak);
