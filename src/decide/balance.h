// SPDX-License-Identifier: Apache-2.0
// Which backend is next: every algorithm behind one way in. No I/O, no clock, no randomness of its
// own: what time it is, the dice, who is eligible and what a backend costs come from the caller, so
// that the same code runs in a proxy and in a simulation.
//
// Two parts with two owners. A *table* is built from the members of a pool and is never changed
// again: any number of workers may pick from one. A *state* belongs to one worker: who is eligible
// now, what each member costs, and cursors. Nothing here is atomic.
//
// When what changes:
//  - a member's health, its load, its latency: balance_change in the state of each worker, at most
//    O(log n). No table is rebuilt, except round robin's (balance_kind_info.eligible_only): its
//    order is spread out over the members that are in it, so whoever owns it builds a new one over
//    the eligible set (weight 0 for all others) and until then the order skips the ineligible.
//  - requests that begin and end: a worker tells its state of its own requests at once, when they
//  begin and end, and of those of
//    other workers every few milliseconds, for the members whose sums changed. What that costs is
//    measured in tests/prop/prop_queueing.c: with 16 workers that hear every half a mean service
//    time, p99 grows by some 5 % under two choices, 20 % under Prequal and 65 % under
//    least_connections. Latencies a worker takes from its own requests: nearly as good as all.
//  - members or weights: a new table and a new state for each worker; loads are carried over by
//    member (balance_change once for each).
//  - the tables of hashes (ring, Maglev, rendezvous) hold every member, healthy or not, and a pick
//    steps over the ineligible. So a member that falls ill moves its own keys only, and gets just
//    those back.
//  - slow start is a factor of the cost (balance_cost.h). round_robin and the random kinds know no
//    cost: their tables are rebuilt with scaled weights. Hashed kinds have no slow start.
#pragma once

#include "base/arena.h"
#include "base/rng.h"
#include "decide/quantile.h"

enum {
	BALANCE_NONE = UINT32_MAX,
	BALANCE_WEIGHT_MAX = 65535,
	BALANCE_TRIED_MAX = 16,
	BALANCE_MEMBERS_MAX = 65535,
};

// Backends a request was already sent to.
struct balance_tried {
	u32 count;
	u32 index[BALANCE_TRIED_MAX];
};

bool balance_was_tried(const struct balance_tried *tried, u32 index);

// False when the list is full: no further try.
bool balance_try(struct balance_tried *tried, u32 index) must_check;

enum balance_kind {
	BALANCE_ROUND_ROBIN, // smooth weighted
	BALANCE_RANDOM,	     // weights do not count, but 0 is nobody
	BALANCE_WEIGHTED_RANDOM,
	BALANCE_POWER_OF_TWO,	     // the cheaper of two, drawn by weight
	BALANCE_LEAST_CONNECTIONS,   // the cheapest of all, in turn among equals
	BALANCE_LEAST_RESPONSE_TIME, // two choices over peak EWMA
	BALANCE_IP_HASH,	     // a ring without bounded load; its key is the client's address
	BALANCE_CONSISTENT_HASH,     // a ring
	BALANCE_MAGLEV,
	BALANCE_RENDEZVOUS, // linear in the number of members
	BALANCE_FIRST,	    // the first eligible
	BALANCE_PREQUAL,    // few choices by the hot and cold rule (see also prequal.h)
	BALANCE_KINDS,
};

// What number balance_change wants for a member; balance_cost (balance_cost.h) makes it.
enum balance_cost_kind {
	BALANCE_COST_NONE,	  // none: pass 0
	BALANCE_COST_CONNECTIONS, // (in flight + 1) / weight, so light members wait for a busy pool
	BALANCE_COST_LATENCY,	  // decaying latency x (in flight + 1) / weight, as a logarithm
	BALANCE_COST_IN_FLIGHT,	  // in flight as it is: bounded load
	BALANCE_COST_RELATIVE,	  // in flight x largest weight / weight: Prequal
};

struct balance_kind_info {
	const char *name;
	bool keyed;	     // picks by balance_ask.key
	bool eligible_only;  // its table wants to be rebuilt when the eligible set changes
	bool may_be_bounded; // balance_options.load_percent counts
	enum balance_cost_kind cost;
};

const struct balance_kind_info *balance_kind_info(enum balance_kind kind);

// `id` is the member's identity across reloads, restarts and machines (balance_id of its name): the
// hashed kinds put it in its place by that alone. Two members of a pool have different ids. Weight
// 0 is never picked.
struct balance_member {
	u64 id;
	u32 weight; // 0 to BALANCE_WEIGHT_MAX
};

u64 balance_id(struct str name);

// Zeroes are the defaults.
struct balance_options {
	// Of the hashed kinds. The same on every instance and after every restart, or keys move.
	u64 seed;
	// Bounded load: nobody may have more than this part of the even share of what is in flight:
	// ceil(percent/100 x (all in flight + 1) x weight / all weights), over eligible members. 0:
	// no bound, else above 100 (125 is a good one).
	u32 load_percent;
	// Points on the ring for each unit of weight. 160: the share of a member of weight 1 then
	// deviates by 1/sqrt(160) = 7.9 %.
	u32 ring_points;
	u32 maglev_size; // a prime; by default the next from 65537 that is 100 x members
	u32 choices;	 // Prequal's: members looked at for each pick
	u32 hot_percent; // Prequal's: above this quantile of requests in flight a member is hot
};

struct balance_table; // immutable, shared
struct balance_state; // one worker's

// At most BALANCE_MEMBERS_MAX members; their order gives the indexes. The table lives in the arena.
const struct balance_table *balance_build(enum balance_kind kind,
	const struct balance_member *members, u32 count, const struct balance_options *options,
	struct arena *arena);

// Everybody with a weight is eligible and idle. The table must outlive the state. `worker` is the
// worker's number, from 0: each goes through equals in an order of its own, so that workers that do
// not know of each other's last picks seldom make the same one.
struct balance_state *balance_state_new(
	const struct balance_table *table, u32 worker, struct arena *arena);

// O(log n) at most, and O(1) where eligibility stays and the kind keeps no tree (all but
// least_connections and bounded load). `cost` is what balance_cost gives for the table.
void balance_change(struct balance_state *state, u32 index, bool eligible, double cost);

// The cost that was set last, where the state keeps it whether a member is eligible or not; else
// `otherwise`.
double balance_kept_cost(const struct balance_state *state, u32 index, double otherwise);

// Prequal's second number: the latency as balance_latency_key gives it. O(1).
void balance_change_latency(struct balance_state *state, u32 index, double latency_key);

// The state goes over to a newer table of the same kind and members, for instance because weights
// are others; a random kind may become the weighted one. Takes no memory. Who is eligible stays as
// it was; where a kind has costs, they are to be told anew by balance_change.
void balance_retable(struct balance_state *state, const struct balance_table *table);

bool balance_is_eligible(const struct balance_state *state, u32 index);
bool balance_has_eligible(const struct balance_state *state); // anybody
bool balance_has_untried(const struct balance_state *state, const struct balance_tried *tried);
enum balance_kind balance_kind_of(const struct balance_table *table);
u32 balance_weight(const struct balance_table *table, u32 index);
enum balance_cost_kind balance_cost_kind_of(const struct balance_table *table);

// How many of a bounded table's requests `index` may have in flight while all have `total`.
u32 balance_capacity(const struct balance_state *state, u32 index, u64 total);

// What became of a member that a pick looked at.
enum balance_verdict {
	BALANCE_COMPARED, // with others, by its cost
	BALANCE_HOT,	  // the same, where Prequal found it to have unusually much in flight
	BALANCE_SKIPPED,  // not eligible, or tried already
	BALANCE_AT_BOUND, // has its part of a bounded load already
	BALANCE_NO_PLACE, // was chosen, and had no place (upstream/pick.h)
};

struct balance_look {
	u16 index;
	u8 verdict; // enum balance_verdict
	u8 spare;   // 0
	float cost; // as the algorithm saw it, of BALANCE_COMPARED and _HOT; else 0
};

enum { BALANCE_LOOKS_MAX = 8 };

// What a pick looked at, for people. Only what it had in its hands anyway, so that it costs next to
// nothing: a kind that takes whom its order or its hash names has looked at nobody else, and
// least_connections at the cheapest only.
struct balance_seen {
	u16 count;	// of looks; only the first BALANCE_LOOKS_MAX are kept
	bool by_weight; // nobody near the place in the order or the hash could be taken
	bool is_begun;	// the caller's
	struct balance_look looks[BALANCE_LOOKS_MAX];
};

static inline void balance_look(
	struct balance_seen *seen, u32 index, enum balance_verdict verdict, double cost)
{
	u16 count = seen->count;

	if (likely(count < BALANCE_LOOKS_MAX))
		seen->looks[count] = (struct balance_look){
			.index = (u16)index, .verdict = (u8)verdict, .cost = (float)cost};
	else if (count == UINT16_MAX)
		return;
	seen->count = (u16)(count + 1);
}

struct balance_ask {
	u64 key;	 // keyed kinds: key_hash.h of what the configuration names
	u64 position;	 // round robin: from one counter for all workers
	struct rng *rng; // random, two choices, Prequal; not NULL
	const struct balance_tried *tried; // not NULL
	struct balance_seen *seen;	   // NULL: nobody wants to know. Looks are added
};

// An eligible index that was not tried, or BALANCE_NONE when there is none. O(log n) at most;
// hashed kinds step over ineligible and full members, O(1) expected while few are; rendezvous is
// linear. Bounded load holds for every pick for which nothing was tried; a retry goes to a full
// member rather than to nobody.
u32 balance_pick(struct balance_state *state, const struct balance_ask *ask);

// What picks leave behind in a state: where the next one begins, and what Prequal has learnt.
// Kept before, and put back after picks that only ask.
struct balance_memory {
	u32 cursor;
	struct quantile heat;
};
void balance_keep(const struct balance_state *state, struct balance_memory *ret_memory);
void balance_put_back(struct balance_state *state, const struct balance_memory *memory);

// A smooth weighted order: each member as often as its weight says, spread out as nginx's smooth
// weighted round robin does it ({5,1,1} gives a a b a c a a). Weight 0 never appears.
struct balance_order {
	u32 *index;
	u32 len; // 0: nobody
};

// weights[i] is member i's, at most BALANCE_WEIGHT_MAX. The order lives in the arena. Very long
// orders (weights without a common divisor over many members) are shortened to order_len_max with
// shares rounded, everybody with a weight keeping at least one place.
void balance_order_build(
	struct arena *arena, const u32 *weights, u32 count, struct balance_order *ret_order);

// The member at `position` or, when it was tried already, the next one behind it that was not.
// BALANCE_NONE when every member was tried.
u32 balance_order_pick(
	const struct balance_order *order, u64 position, const struct balance_tried *tried);
