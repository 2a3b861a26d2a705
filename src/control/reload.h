// SPDX-License-Identifier: Apache-2.0
// Another configuration for a process that serves (docs/decisions/0016). A thread reads and checks
// it, by the same code as at the start, and compiles it; where anything is wrong the old one stays
// as a whole. Else addresses that are new are opened, what is known of backends goes over, workers
// swap between two turns, and the old one is freed when nobody uses it any more.
//
// Changes to the backends of pools (somebody adds or removes one, or a list comes from elsewhere)
// are edits on top of what the files say. They stay over the next reading of the files.
//
// Jobs are done one after the other. What may be asked of other threads says so.
#pragma once

#include "base/err.h"
#include "conf/edit.h"
#include "control/handover.h"
#include "control/watch.h"
#include "control/worker.h"

struct desk;
struct reload;
struct reload_ask;
struct resolver;

enum { RELOAD_WHO_BYTES = 80 };

enum reload_kind {
	RELOAD_FILES,	 // read them again
	RELOAD_ADD,	 // a backend
	RELOAD_REMOVE,	 // a backend
	RELOAD_LIST,	 // all backends of a pool
	RELOAD_TEXT,	 // `text` instead of the files, as conf_keep writes it
	RELOAD_ROLLBACK, // what was in effect as generation `number`, edits too; 0: the one before
	RELOAD_REVERT,	 // nobody asks for it: what was on probation is taken back
	// Nothing becomes another for these.
	RELOAD_EXPORT,	// `text`: what is written with all that was ordered on top, in `syntax`
	RELOAD_CONFIRM, // what is on probation stays
	RELOAD_SHELF,	// which generations are kept: `text` has them as a JSON array
	RELOAD_JOURNAL, // what was ordered and is in force: `text` has it as a JSON array
};

enum reload_result {
	RELOAD_DONE,
	RELOAD_REFUSED,	      // `errors` says why
	RELOAD_NO_POOL,	      // of this name
	RELOAD_NO_BACKEND,    // of this id in the pool
	RELOAD_EXISTS,	      // a backend of this id
	RELOAD_NO_GENERATION, // of this number is kept
	RELOAD_NO_TRIAL,      // nothing is on probation
	RELOAD_TRIAL,	      // something is, and has to be confirmed or taken back first
	RELOAD_UPGRADING,     // another process is about to take over with the files as they are
	RELOAD_GONE,	      // the process ends; nothing was done
};

// Owned by the asker again when it was answered; then it calls reload_ask_done.
struct reload_ask {
	struct message message;
	struct reload *reload;
	struct loop *from;			  // the asker's
	void (*answered)(struct reload_ask *ask); // on the asker's thread
	u8 kind;				  // enum reload_kind
	char who[RELOAD_WHO_BYTES];
	struct str pool; // the asker's memory, as are the texts of backends
	const struct conf_edit_backend *backends;
	u32 count;
	u64 undoes;	 // ADD: the event of a removal that is taken back; 0: what `backends` has
	struct str sent; // TEXT: the configuration; the asker's memory
	u64 confirm_ms;	 // TEXT: it is on probation for so long; 0: it stays
	bool only_looks; // TEXT: nothing is done but to say what would be
	u32 number;	 // ROLLBACK
	u8 syntax;	 // EXPORT: enum conf_syntax
	// Filled in.
	u8 result;	// enum reload_result
	u32 generation; // of the configuration in effect
	u64 event;	// number of the event that says so
	u32 error_count;
	struct arena arena; // of the following
	struct str errors;  // one JSON array, as errs_format_json
	struct str text;    // the same for people
	struct str diff;    // TEXT, ROLLBACK: what it changes, as conf_diff_json
	struct str changes; // the same for people
	struct str restart; // sections that have changed and count from the next start on: "log"
	u32 dropped;	    // JOURNAL: orders of earlier processes that did not apply any more
	u32 waiting;	    // JOURNAL: those that wait for a list of backends
};

// From any thread that has a loop.
void reload_ask(struct reload *reload, struct reload_ask *ask, struct loop *from,
	void (*answered)(struct reload_ask *ask));
void reload_ask_done(struct reload_ask *ask);

// ---- The control thread's -----------------------------------------------------------------------

// For sources of backends: from now on these are all that the pool has besides those that are
// written. Copied. Nothing is
// answered; a list with which the configuration would be wrong is refused with a line of the log,
// and the last one stays.
void reload_set_backends(struct reload *reload, struct str pool,
	const struct conf_edit_backend *backends, u32 count);

// The same about what the first snapshot has already: it only stays over the next reading of the
// files.
void reload_know_backends(struct reload *reload, struct str pool,
	const struct conf_edit_backend *backends, u32 count);

// Read the files again, by order of somebody ("HUP").
void reload_now(struct reload *reload, const char *who);

// What has to know of another configuration besides workers and the watch. `leave`: no worker uses
// this one any more; `left` is to be posted to the control thread's loop (or delivered at once)
// when it is not used there either.
struct reload_follower {
	void *owner;
	void (*adopt)(void *owner, const struct snapshot *snapshot);
	void (*leave)(void *owner, const struct snapshot *snapshot, struct message *left);
};

struct estate;
struct shelf_file;
struct staples;
struct tls_secret;

struct reload_config {
	struct loop *loop;
	struct log *log;
	struct watch *watch;
	struct desk *desk;
	struct workers *workers;
	struct snapshot *snapshot; // the first one
	const struct conf *conf;   // its
	// Reads the configuration again, in any thread. What it gives lives in `arena`. NULL: there
	// is nothing to read.
	struct conf *(*load)(void *owner, struct arena *arena, struct errs *errs);
	void *load_owner;
	// A text that conf_keep has written, as a configuration, in any thread; `name` stands in
	// places. NULL: nobody can.
	struct conf *(*load_text)(void *owner, const char *name, struct str text,
		struct arena *arena, struct errs *errs);
	// The files say this from now on; it lives until the next one comes. May be NULL.
	void (*read)(void *owner, const struct conf *conf);
	void *read_owner;
	struct resolver **resolver; // what looks names up; another one with each configuration
	struct handover *handover;  // NULL: listeners are nobody else's
	struct estate *estate;	    // whose shelf is taken over
	struct shelf_file *file;    // NULL: nothing is stored
	struct staples *staples;    // NULL: nobody minds
	u64 clients_max;	    // of all workers
	const struct tls_secret *tls_secret; // of now, read in the control thread
	u64 seed;
};

// Borrows all of it, and owns the snapshot from now on.
struct reload *reload_new(const struct reload_config *config);

// From now on. What is to follow begins with reload_snapshot of the same moment.
const struct snapshot *reload_snapshot(const struct reload *reload);
void reload_follow(struct reload *reload, const struct reload_follower *follower);

// Orders and edits of the process before, by the code that takes those of the API, when lists that
// are known are known here. The edits are in the first snapshot already.
void reload_take_over(struct reload *reload, struct estate *estate, bool upgrades);

// What the process before has ordered since then, while this one began; and the same once more.
void reload_take_late(struct reload *reload, struct str text);

// Everything, to the process that follows this one; reload.c does so with each configuration.
// `on_trial`: another one serves yet, and what is on the disk is its.
void reload_leave(struct reload *reload, bool on_trial);

// Orders only, after one was carried out.
void reload_leave_orders(struct reload *reload);

// Another process is about to take over | it did not: meanwhile configurations are refused, which
// would be forgotten.
void reload_set_upgrading(struct reload *reload, bool upgrading);

// An answer of proxy->on_let_go: to be set at each worker.
void reload_let_go(struct worker *worker, const struct snapshot *snapshot);

// Begins nothing more; asks are answered with RELOAD_GONE. The loop must turn until
// reload_is_idle. When no worker runs and nobody follows any more: reload_free.
void reload_stop(struct reload *reload);
bool reload_is_idle(const struct reload *reload);
void reload_free(struct reload *reload);

// ---- For looking at, from any thread ------------------------------------------------------------

struct reload_status {
	u32 generation;
	u64 successes, failures; // of reloads
	bool last_succeeded;	 // or there was none
	i64 taken_wall_ms;	 // when the configuration in effect was taken
	// What is on probation; generation 0: nothing.
	struct {
		u32 generation, before; // which would come again
		i64 until_wall_ms;
		char who[RELOAD_WHO_BYTES];
	} trial;
};

struct reload_status reload_status(const struct reload *reload);
