// SPDX-License-Identifier: Apache-2.0
// What other threads ask of the control thread: copies of what it knows, and orders. A question is
// a message that the control thread answers by sending it back; whoever asked owns it again then.
//
// Every answer is of one moment. Orders go through the model like everything else that changes a
// backend, so what follows from one (who may get requests, the event, the log line) is done when
// the answer comes.
#pragma once

#include "control/orders.h"
#include "control/watch.h"

struct desk;

enum desk_kind {
	DESK_STATE,  // copies of what is known of all backends and pools
	DESK_EVENTS, // events behind a number
	DESK_ORDER,  // a change
	DESK_LOOK,   // what was found about all backends
};

// What the control thread knows of one backend.
struct desk_backend {
	struct model_state state;
	u64 revision; // moves with every order
	bool resolved;
	u8 order;    // enum model_order
	u32 weight;  // now
	bool probed; // active checks reach it
	// changes_flaps, and since when it flaps, fails, is slow (unwell_since_ms).
	u32 changes;
	u64 changes_span_ms, odd_since_ms[ODDITY_COUNT];
};

struct desk_pool {
	struct model_pool_state state;
};

enum { DESK_WHY_BYTES = 128 };

// What befell weir since its keeper began, of which this process may be the newest part only.
struct desk_life {
	u32 restarts;			  // after a process that served was gone by itself
	u32 upgrades, upgrades_failed;	  // to another binary
	char restart_why[DESK_WHY_BYTES]; // how the last one ended; empty: none did
	char upgrade_why[DESK_WHY_BYTES]; // why the last one failed, as far as this process knows
};

enum {
	DESK_PROVIDERS_MAX = 64,
	DESK_NAME_BYTES = 65,
	DESK_CAUSE_BYTES = 256,
	DESK_FAULTS_MAX = 8,
	DESK_FAULT_BYTES = 160
};

// A source of backends.
struct desk_provider {
	char name[DESK_NAME_BYTES], pool[DESK_NAME_BYTES];
	const char *type; // static
	bool is_up;	  // its last attempt went well
	bool is_stored;	  // what serves is from the disk
	bool is_held;	  // less is there than is believed
	u32 rows, left_out;
	u64 reads, errors;
	i64 read_wall_ms;	      // the last time that went well; 0 = never
	char cause[DESK_CAUSE_BYTES]; // of the trouble, while not up
	i64 since_wall_ms;	      // since when it is up, or in trouble; 0 = it has not told yet
	u32 fault_count;	      // findings about its last list; the first are kept
	char faults[DESK_FAULTS_MAX][DESK_FAULT_BYTES];
};

struct desk_ask;

// Fills in what is known of them, at most `max`; gives how many there are.
typedef u32 desk_providers_fn(void *owner, struct desk_provider *providers, u32 max);

enum desk_order_kind {
	DESK_ENABLE,
	DESK_DRAIN,
	DESK_DISABLE,
	DESK_WEIGHT,	// value: 0 to 1000
	DESK_BREAKER,	// value: enum breaker_forced
	DESK_LOG_LEVEL, // value: enum log_level; no backend
};

enum desk_result {
	DESK_DONE,
	DESK_NO_CHANGE, // it was so already
	DESK_STALE,	// the revision is another one
	DESK_UNKNOWN,	// there is no such backend any more
	DESK_GONE,	// the process ends; nothing was done
};

enum { DESK_WHO_BYTES = 80 };

struct desk_order {
	u8 kind;  // enum desk_order_kind
	u32 cell; // the backend's
	u32 value;
	u64 revision; // that it must have; UINT64_MAX: any
	char who[DESK_WHO_BYTES];
	i64 wall_ms;	    // when it was given; 0: now
	bool is_taken_over; // from a process before this one
	bool is_silent;	    // ... and too many are for an event of its own
	u32 before;	    // filled in: the value that would take it back, of the kind `undo`
	u8 undo;	    // filled in: enum desk_order_kind
	u64 event;	    // filled in: the number of the event that says so
};

struct desk_ask {
	struct message message;
	struct desk *desk;
	struct loop *from;			// the asker's
	void (*answered)(struct desk_ask *ask); // on the asker's thread
	u8 kind;				// enum desk_kind
	u8 result;				// enum desk_result
	// DESK_STATE: the asker's memory, an entry for each slot that there may be.
	struct desk_backend *backends;
	struct desk_pool *pools;
	struct desk_provider *providers; // DESK_PROVIDERS_MAX of them; NULL: not wanted
	u32 provider_count;
	struct desk_life life;
	u64 now_ms; // of the control thread's clock, to which all moments in the copies refer
	i64 wall_ms;
	u8 log_level; // enum log_level
	// DESK_EVENTS
	u64 after, newest;
	struct event_copy *events; // the asker's memory
	u32 events_max, event_count;
	// DESK_ORDER
	struct desk_order order;
	// DESK_LOOK: by slot, of the configuration with this number; the asker's memory.
	u64 generation;
	const struct oddity_facts *facts;
	const struct oddity_finding *findings;
};

struct desk_config {
	struct loop *loop; // the control thread's
	struct watch *watch;
	const struct snapshot *snapshot;
	struct logger *logger;
	u8 log_level;		      // enum log_level, at the start
	desk_providers_fn *providers; // NULL: there are none
	void *providers_owner;
	const struct desk_life *life;
	// Somebody's order was carried out; it is answered after that.
	void (*ordered)(void *owner);
	void *ordered_owner;
};

// Borrows all of it.
struct desk *desk_new(const struct desk_config *config);
void desk_free(struct desk *desk); // nobody asks any more

// From any thread that has a loop.
void desk_ask(struct desk *desk, struct desk_ask *ask, struct loop *from,
	void (*answered)(struct desk_ask *ask));

// An order of the control thread's own, by the way that all go. The result as of DESK_ORDER.
enum desk_result desk_give(struct desk *desk, struct desk_order *order);

// The control thread's: who gave what order; the level of the log, as enum log_level.
const struct orders *desk_orders(const struct desk *desk);
u8 desk_log_level(const struct desk *desk);

// The next configuration.
void desk_adopt(struct desk *desk, const struct snapshot *snapshot);

// From now on orders are answered with DESK_GONE.
void desk_close(struct desk *desk);
