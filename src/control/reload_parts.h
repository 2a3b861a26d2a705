// SPDX-License-Identifier: Apache-2.0
// Inside of reloads only: reload.c is the way of a job, reload_build.c what its thread makes,
// reload_reign.c the configurations that somebody still uses and the slots that nobody does,
// reload_journal.c what jobs ask for and what of that stays, reload_binds.c the addresses.
#pragma once

#include <pthread.h>

#include "base/json.h"
#include "base/text.h"
#include "control/estate.h"
#include "control/reload.h"
#include "control/shelf.h"
#include "decide/probation.h"
#include "net/tls_ticket.h"

// The memory of a configuration. The one below it has texts that it points to.
struct paper {
	struct arena arena;
	_Atomic(u32) users; // a builder adds one while others go
	struct paper *below;
};

// A snapshot, from when it is taken until nobody uses it.
struct reign {
	struct reload *reload;
	struct list node; // oldest first
	struct snapshot *snapshot;
	struct paper *paper;
	u32 generation;
	u32 workers_left;	  // have not let go
	u32 pools_left;		  // objects that were made with it, which may live on in later ones
	bool is_over, is_retired; // all workers have a newer one | nobody uses it
	bool is_leaving, has_left; // the follower was told | and uses it no more
	struct message left;
};

struct paper *reload_paper_new(struct paper *below);
void reload_paper_drop(struct paper *paper);

// The newest one. It takes the paper over.
struct reign *reload_reign_new(
	struct reload *reload, struct snapshot *snapshot, struct paper *paper);

// To be called when one reason less is left to keep it.
void reload_maybe_retire(struct reload *reload, struct reign *reign);

// Slots that every worker has forgotten can be had again. Not while a builder takes some.
void reload_give_slots(struct reload *reload);

void reload_reigns_init(struct reload *reload);
void reload_reigns_done(struct reload *reload);

struct slot_list {
	u32 *slots;
	u32 count, room;
};

struct slot_lists {
	struct slot_list backends, pools, frontends;
};

// ---- Jobs ---------------------------------------------------------------------------------------

struct job {
	struct list node;
	struct reload *reload;
	struct reload_ask *ask; // NULL: nobody waits for it
	u8 kind;		// enum reload_kind
	char who[RELOAD_WHO_BYTES];
	struct conf_edit edit; // with its texts in `texts`
	struct arena texts;
	struct conf_edit *edits; // all that there are with this one
	u32 edit_count;
	struct conf_edit_backend was;	       // of a REMOVE, for its undo
	const struct conf_edit_backend *under; // REMOVE: what an earlier one took away; or NULL
	u64 undoes;			 // ADD: the event of a removal, which it takes back; or 0
	struct shelf_text *text;	 // that the base is made of, instead of files
	const struct conf_edit *shelved; // ROLLBACK: the edits of then, in `texts`
	u32 shelved_count, number;
	u64 confirm_ms;
	i64 wall_ms;	      // when it was ordered; 0: now
	u8 syntax;	      // EXPORT: enum conf_syntax
	struct text left_out; // EXPORT: what cannot be written down, a comment in each line
	bool only_looks;
	const char *reason; // of a REVERT; the trial has it
	const struct snapshot *before;
	struct tls_secret tls_secret; // of when it began; wiped by the builder
	// Of the builder, until `built`.
	pthread_t thread;
	struct message built;
	const struct conf *base;
	struct paper *base_paper, *paper;
	struct snapshot *snapshot;
	struct errs errs;
	bool has_errs;
	struct shelf_text *kept; // of the base
	struct str restart, diff, changes, exported;
	char what[256]; // went wrong besides `errs`; empty: nothing
	u64 event;
	struct text undo_path;
};

struct job *reload_job_new(enum reload_kind kind, const char *who, struct str pool,
	const struct conf_edit_backend *backends, u32 count);
void reload_job_free(struct job *job);

// Of one or all backends of a pool, on top of what is written.
static inline bool reload_job_is_edit(const struct job *job)
{
	return job->kind == RELOAD_ADD || job->kind == RELOAD_REMOVE || job->kind == RELOAD_LIST;
}

// Another text is what everything else stands on.
static inline bool reload_job_has_base(const struct job *job)
{
	return !reload_job_is_edit(job) && job->kind != RELOAD_EXPORT;
}

// The call that takes it back.
void reload_add_undo(struct job *job, struct event_said *said);
void reload_undo_done(struct job *job);

// ---- The journal --------------------------------------------------------------------------------

// One edit that is in force, with its memory.
struct journal_entry {
	struct list node;
	struct conf_edit edit;
	struct arena texts;
	i64 wall_ms; // when it was ordered
	u64 event;   // that says so
	char who[RELOAD_WHO_BYTES];
};

struct journal {
	struct list entries; // lists first; else in the order in which they came
	struct list removed; // what the last removals took away, each as an ADD, oldest first
	u32 removed_count;
	bool is_made;
};

// What an ADD brings back, in the job's edit. False: of so old a removal nothing is known any more.
bool reload_journal_recall(struct journal *journal, struct job *job) must_check;

// Whether the job makes sense for what is in force.
enum reload_result reload_journal_check(
	struct journal *journal, struct job *job, const struct snapshot *snapshot);

// All edits with the job's, in job->edits.
void reload_journal_list(struct journal *journal, struct job *job);

// The job was done: its edit stays, and its texts are the journal's.
void reload_journal_take(struct journal *journal, struct job *job, i64 wall_ms);

// ... and its event has a number.
void reload_journal_sign(struct journal *journal, const struct job *job);

// One of a process before this one, which is in the first snapshot.
void reload_journal_put(struct journal *journal, const struct bequest_edit *edit, u64 event);
void reload_journal_done(struct journal *journal);

struct conf_edit *reload_edits_copy(struct arena *arena, const struct conf_edit *edits, u32 count);

// Copies of the edits that somebody ordered, without lists from elsewhere.
struct conf_edit *reload_journal_copy(
	const struct journal *journal, struct arena *arena, u32 *ret_count);

// ---- Told and written down ----------------------------------------------------------------------

// An array of {"kind", "pool", "backend", "value", "by", "at_ms", "event"}: what was ordered and is
// in force.
struct str reload_journal_json(const struct reload *reload, struct arena *arena);

// In the control thread all that there is, as edits of the job; in its builder the text.
void reload_export_list(const struct reload *reload, struct job *job);
void reload_export_write(struct job *job);

// ---- Taken over, and left -----------------------------------------------------------------------

// The configurations of before, and the one that serves first.
void reload_take_shelf(struct reload *reload, struct estate *estate);

// Another list has come, or another configuration: orders that wait for it.
void reload_take_waiting(struct reload *reload);
u32 reload_count_waiting(const struct reload *reload);

// The configuration in effect, and those before it.
void reload_leave_conf(struct reload *reload);

// An edit to be made again, or to be taken back, as a job for which nobody waits.
void reload_edit(struct reload *reload, const struct bequest_edit *edit, bool back);

// ---- Besides ------------------------------------------------------------------------------------

// Names of the sections in which the two differ and which a running process does not take over.
struct str reload_restart_sections(
	const struct conf *first, const struct conf *conf, struct arena *arena);

// ---- Addresses ----------------------------------------------------------------------------------

struct bind_slot {
	bool is_used, is_new, is_gone;
	struct addr addr;
	int *fds; // of a new one, by worker
};

// By number of the listener.
struct reload_binds {
	struct bind_slot *slots;
	struct listener_plan *plans;
	u32 count, max;
	struct handover *handover; // NULL: nobody else has them
};

// The one object of a process, to be filled by whoever opens the first ones.
struct reload_binds *reload_binds(struct reload *reload);
void reload_binds_init(struct reload_binds *binds, u32 max, struct handover *handover);
void reload_binds_done(struct reload_binds *binds);

// Numbers for the addresses of the snapshot; new ones are opened. False, and nothing is changed:
// one cannot be, `what` says why.
bool reload_binds_plan(struct reload_binds *binds, const struct snapshot *snapshot, u32 workers,
	char *what, size_t size) must_check;

// All workers have what was planned.
void reload_binds_settle(struct reload_binds *binds);

// ---- On probation -------------------------------------------------------------------------------

struct reload_trial {
	bool is_on, is_reverting;
	struct timer timer;
	struct probation probation;
	struct shelf_text *before; // what comes again
	struct text empty_before;  // names of pools, each with a line end
	char reason[256];	   // why it is taken back
};

void reload_trial_init(struct reload *reload);
void reload_trial_done(struct reload *reload);

// The configuration in effect is on probation from now on.
void reload_trial_begin(
	struct reload *reload, const struct job *job, const struct shelf_entry *before);

// It is not any more, whatever comes of it.
void reload_trial_end(struct reload *reload);

// By order of somebody. Gives the number of the event.
u64 reload_trial_confirm(struct reload *reload, const char *who);

// A job of reload.c's: what is written in `text`.
void reload_revert(struct reload *reload, struct shelf_text *text, const char *reason);

// ---- The whole ----------------------------------------------------------------------------------

struct reload_call {
	struct worker_call call;
	struct reload *reload;
	bool is_pending;
};

void reload_call_all(struct reload *reload, struct reload_call *calls,
	void (*run)(struct worker_call *call, struct proxy *proxy), message_fn *answered);
struct reload_call *reload_call_of(struct message *message);

// The thread of a job. While it runs nobody gives slots back, and the newest snapshot stays. In the
// end job->built is posted.
void *reload_build(void *job);

struct reload {
	struct reload_config config;
	struct reload_follower follower;
	pthread_mutex_t lock; // over `status`
	struct reload_status status;
	struct list jobs;
	struct job *job; // the one that runs
	struct journal journal;
	struct shelf shelf;
	struct reload_trial trial;
	struct bequest taken; // of the process before, as last heard
	struct reload_binds binds;
	// What the files say; the process' own at the start.
	const struct conf *base;
	struct paper *base_paper;
	struct list reigns;
	struct reign *reign, *before;	     // in effect | while workers swap
	struct reload_call *calls, *forgets; // by worker
	u32 calls_out, forgets_out;
	bool is_pending; // some worker's listener is not closed yet
	bool is_building, is_forgotten, is_stopped, is_upgrading, is_on_trial;
	bool is_told; // workers have the newest one, and the follower was told
	struct slot_lists resting, forgetting;
	struct timer rest, again;
};
