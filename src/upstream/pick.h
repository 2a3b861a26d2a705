// SPDX-License-Identifier: Apache-2.0
// Which backend takes the next request, and what requests teach about backends. Who is eligible was
// decided by the control thread (decide/eligible.h) and is known here by the pool's view; this
// worker's own knowledge is who is full. The algorithm itself is decide/balance.h.
//
// The life of an attempt here: pick_backend reserves what is bounded, pick_begin counts it as in
// flight, pick_note says what it taught (once, as soon as that is certain), pick_end gives
// everything back. After pick_backend gave PICK_OK, either pick_begin or pick_cancel must follow.
#pragma once

#include "upstream/upstream.h"

enum pick_verdict {
	PICK_OK,
	PICK_FULL,   // the eligible ones that are left have no place now: wait, or give up
	PICK_TRIED,  // the eligible ones that are left were tried
	PICK_NOBODY, // nobody is eligible
};

// What a pick met, for people.
struct pick_seen {
	u16 eligible; // backends of the pool, by what the control thread says
	u16 full;     // of them, those that have no place as far as this worker knows
	struct balance_seen balance;
};

struct pick_ask {
	u64 key;
	u32 preferred; // index of a sticky client's backend; BALANCE_NONE: nobody
	bool is_next;  // has waited, and it is its turn: need not stand back for those who wait
	const struct balance_tried *tried;
	struct balance_seen *seen; // of what pick_seen_begin began; NULL: nobody wants to know
	u64 *peek;		   // pick_peek's: a position in place of the pool's; else NULL
};

// What an attempt holds of its backend.
struct pick {
	struct backend *backend;
	struct picker *picker; // of its pool
	struct cell *cell;     // this worker's of it
	u32 epoch;	       // of the breaker, at its beginning
	u32 met;	       // requests in flight at its beginning
	bool is_trial;	       // of a half-open breaker
	bool has_place;	       // of the adaptive limit
	bool is_begun, is_noted;
	int error; // of a connect that failed
};

enum pick_verdict pick_backend(struct upstream *upstream, struct pool *pool,
	const struct pick_ask *ask, struct pick *ret_pick) must_check;

// What pick_backend would answer now, by the same code, and nothing is reserved or counted: neither
// pick_begin nor pick_cancel follows. As any pick it takes up first what was published and what
// other workers told; what it would count, learn or advance stays as it is. Dice are drawn from
// upstream->rng, so that several peeks in a row draw what several picks would: the caller keeps a
// copy and puts it back.
enum pick_verdict pick_peek(struct upstream *upstream, struct pool *pool,
	const struct pick_ask *ask, struct pick *ret_pick) must_check;

static inline void pick_seen_begin(
	struct pick_seen *seen, const struct upstream *upstream, const struct pool *pool)
{
	seen->eligible = (u16)atomic_load_explicit(&pool->eligible, memory_order_relaxed);
	seen->full = (u16)upstream_picker(upstream, pool)->full_count;
	seen->balance.count = 0;
	seen->balance.by_weight = false;
	seen->balance.is_begun = true;
}

static inline void pick_seen_nothing(struct pick_seen *seen)
{
	zero_plain(seen, offsetof(struct pick_seen, balance.looks));
}

// How many eligible backends of the pool are not in `tried`.
u32 pick_others(const struct pool *pool, const struct balance_tried *tried);

void pick_begin(struct upstream *upstream, struct pick *pick);

// One that another process has begun, at this backend: as if picked and begun here. It counts in
// whatever bounds the backend, and has taught already what it may.
void pick_take(struct upstream *upstream, struct backend *backend, struct pick *ret_pick);

// It came to nothing before it began.
void pick_cancel(struct upstream *upstream, struct pick *pick);

// What it taught: an enum miss, or PICK_VOID where the backend is not to blame and not to praise.
// Only the first call counts. A success after successes is all there is to most of them.
enum { PICK_VOID = MISS_KIND_COUNT };
void pick_note_slowly(struct upstream *upstream, struct pick *pick, u32 miss);

static inline void pick_note(struct upstream *upstream, struct pick *pick, u32 miss)
{
	struct cell *cell = pick->cell;

	if (unlikely(pick->is_noted))
		return;
	if (unlikely(miss != MISS_NONE || pick->is_trial || cell->misses.connects ||
		     cell->misses.errors || cell->misses.timeouts || cell->bad_streak ||
		     pick->epoch !=
			     atomic_load_explicit(&pick->backend->epoch, memory_order_relaxed))) {
		pick_note_slowly(upstream, pick, miss);
		return;
	}
	pick->is_noted = true;
	cell_add(&cell->good, 1);
}

// How long the head of its answer took. Before pick_note.
void pick_note_latency(struct upstream *upstream, struct pick *pick, u64 latency_us);

void pick_end_slowly(struct upstream *upstream, struct pick *pick);

static inline void pick_end(struct upstream *upstream, struct pick *pick)
{
	if (unlikely(!pick->is_begun || !pick->is_noted || pick->has_place ||
		     pick->picker->has_costs)) {
		pick_end_slowly(upstream, pick);
		return;
	}
	pick->is_begun = false;
	cell_add(&pick->cell->in_flight, (u32)-1);
}

// ---- Inside of upstream/ ------------------------------------------------------------------------

void picker_init(struct picker *picker, struct upstream *upstream, struct pool *pool);
void picker_done(struct picker *picker);

// The pool has another object, and those who wait in its queue wait for places in that.
void picker_succeed(struct picker *picker, struct pool *pool);

// The object that this backend has now; NULL: the configuration has it no more.
struct backend *picker_backend_now(const struct upstream *upstream, const struct backend *backend);

// Takes up what the control thread has published since.
void picker_sync(struct picker *picker);

// Whether a pick would find somebody who was not tried, or find out that there is nobody to wait
// for any more.
bool picker_has_answer(struct picker *picker, const struct balance_tried *tried);

// Whether there is a place, as far as this worker knows.
bool picker_has_place(struct picker *picker);

// Requests in flight to a backend, as far as this worker knows.
u32 picker_in_flight(const struct upstream *upstream, const struct backend *backend);

// What `in_flight` requests mean for the algorithm; and that they are others now.
double picker_cost(const struct picker *picker, const struct backend *backend, u32 in_flight);
double picker_cost_now(const struct picker *picker, const struct backend *backend);
void picker_cost_changed(struct picker *picker, const struct backend *backend);

// This backend has no place: it is left out until it has.
void picker_mark_full(struct picker *picker, struct backend *backend);
