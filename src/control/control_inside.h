// SPDX-License-Identifier: Apache-2.0
// Inside of the control thread only. control.c is the order of its start and of its end,
// control_listeners.c the sockets, control_workers.c the workers, control_backends.c what is known
// of backends before the first request, control_end.c signals and draining, control_guest.c who
// looks from a thread of its own, control_keeper.c the processes before and after this one.
//
// All of it is the control thread's, but for what a face shows (control/control.h).
#pragma once

#include "control/control.h"
#include "control/estate.h"
#include "control/resolver.h"
#include "control/tickets.h"
#include "control/tunnels.h"
#include "control/watch.h"
#include "control/watchdog.h"

struct staples;

struct control {
	const struct conf *conf;    // the first one, with what was found and what was left
	const struct conf *written; // without
	struct arena *arena;
	const struct control_options *options;
	struct slots *slots;
	struct snapshot *snapshot; // the first one
	struct tickets tickets;	   // of TLS sessions
	struct loop *loop;
	struct logger *logger;
	struct log *log;
	struct watch *watch;
	struct desk *desk;
	struct staples *staples;
	struct reload *reload;
	struct estate estate; // of who served before
	struct shelf_file *shelf_file;
	u64 fd_limit, max_connections;
	u32 probes_max;
	u64 seed;
	i64 started_wall_ms;
	struct desk_life life;
	// Workers.
	struct workers workers;
	u32 workers_started, workers_running;
	struct span_ring **spans; // of each worker, where spans are wanted
	bool finished;		  // the last one has ended
	// Backends.
	struct resolver *resolver;
	u64 checks_until_ms; // the start waits for first results
	bool finds;	     // the finder is open
	bool is_collected;   // what it tells now goes below edits
	bool is_repeated;    // what it tells now is in the first configuration
	bool found_early;    // something changed before workers ran
	// Signals and the end.
	struct sock signals;
	struct op signal_op;
	struct timer drain_timer;
	_Atomic(bool) draining;
	bool aborting;
	u64 move_until_ms; // until then nothing is cut while tunnels go over
	// The guest.
	struct message guest_ended;
	bool guest_is_open, guest_runs, guest_stops;
	// The processes before and after.
	struct handover *handover;
	struct tunnels *tunnels;
	struct watchdog watchdog;
};

// ---- Listeners ----------------------------------------------------------------------------------

u32 control_count_binds(const struct conf *conf);

// How many addresses there may be one day, with those that later configurations bring.
u32 control_binds_max(const struct conf *conf);

// Binds every address of the configuration, for every worker. Workers are prepared. 0, or negative
// errno, and then the reason was printed; likewise the next one, which closes what nobody took of
// the sockets that were given.
int control_open_listeners(struct control *control) must_check;
int control_settle_listeners(struct control *control) must_check;

void control_say_listening(struct control *control);

// Names of unix sockets go, unless another process listens there now.
void control_unlink_listeners(struct control *control);

// ---- Workers ------------------------------------------------------------------------------------

// Makes them, without a thread yet: the snapshot, the watch and the reloads are there.
void control_prepare_workers(struct control *control);

// 0, or negative errno, and then the reason was printed, and some may run.
int control_start_workers(struct control *control) must_check;

// Those that run, at once, after a start that failed. In turns of the loop.
void control_end_workers(struct control *control);

// None of them runs.
void control_free_workers(struct control *control);

// ---- Backends -----------------------------------------------------------------------------------

// Lists from elsewhere, as far as they can be had soon, become part of the configuration.
void control_find_backends(struct control *control);

// What was found is told again: to the estate, so that edits of before are put on top of it; to
// reloads, which are to know what the first configuration has; to workers, where something has
// changed since.
void control_collect_backends(struct control *control);
void control_repeat_backends(struct control *control);
void control_catch_up_backends(struct control *control);

// Trouble that began before there was anybody to tell.
void control_note_trouble(struct control *control);

// First results come before the first request, and so do names; but neither is waited for long.
void control_await_backends(struct control *control);

void control_stop_finding(struct control *control);

// The `read` of struct reload_config.
void control_conf_read(void *owner, const struct conf *conf);

// ---- Signals and the end ------------------------------------------------------------------------

void control_end_init(struct control *control);

// Signals wait in a descriptor from here on | are followed, those that wait too | are not heard any
// more. 0 or negative errno.
int control_hear_signals(struct control *control) must_check;
void control_follow_signals(struct control *control);
void control_stop_hearing(struct control *control);

// As if this process had been sent it.
void control_on_signal(struct control *control, u32 number);

// Nothing new is taken; what runs may finish, for as long as shutdown_timeout.
void control_drain(struct control *control);

// An event of the process' own life; its line is written where it happens.
void control_note_life(struct control *control, const char *text, struct str to, struct str reason);

// ---- The guest ----------------------------------------------------------------------------------

// 0, or negative errno, and then the reason was printed. Without a guest there is nothing to do.
int control_open_guest(struct control *control) must_check;
int control_start_guest(struct control *control) must_check;

// It is asked to end; `end` waits for that, in turns of the loop.
void control_stop_guest(struct control *control);
void control_end_guest(struct control *control);

// ---- Processes before and after -----------------------------------------------------------------

// What lives on of those before: how often it was started again, and why.
void control_begin_life(struct control *control);

// Before anybody reads that this process serves: whoever ends it then, or asks for an upgrade,
// finds a keeper that knows it, its sockets and its configuration.
void control_meet_keeper(struct control *control);
void control_tell_ready(struct control *control);
