// SPDX-License-Identifier: Apache-2.0
// The control thread: everything that is not data path. It opens the listeners, starts the workers,
// hears signals, resolves names, and brings everything to an orderly end.
#pragma once

#include "control/confine.h"
#include "control/desk.h"
#include "control/handover.h"
#include "control/reload.h"
#include "control/worker.h"

// What stands open to somebody who looks at the process from a thread of its own. All of it lives
// until that thread has said that it ended.
struct control_face {
	struct loop *loop; // for messages
	struct desk *desk;
	const struct conf *conf;
	const struct snapshot *snapshot;
	const struct workers *workers;
	struct logger *logger;
	const char *mode; // how the configuration was found
	const char *io;	  // the workers' engine
	u64 descriptors_max, connections_max;
	i64 started_wall_ms;
	struct span_ring *const *spans; // of each worker, to be read by one; NULL: nobody traces
	u64 seed;
	i64 keeper_pid; // signals go to it; 0: to this process
	struct handover *handover;
	const _Atomic(bool) *draining;
	struct reload *reload;
};

// Such a somebody. Calls come from the control thread, in this order; after a failed start only
// `done`.
struct control_guest {
	void *owner;
	// Before anything runs: opens what may be taken by others. 0, or negative errno, and then
	// the reason was printed.
	int (*open)(
		void *owner, const struct conf *conf, struct log *log, struct handover *handover);
	// Everything runs. 0 or negative errno.
	int (*start)(void *owner, const struct control_face *face);
	// As of struct reload_follower; from a successful start until `ended` has come. Behind
	// `stop` nothing need be adopted, and what is left then need not be let go of.
	void (*adopt)(void *owner, const struct snapshot *snapshot);
	void (*leave)(void *owner, const struct snapshot *snapshot, struct message *left);
	// To end soon, and then to post `ended` to the control loop.
	void (*stop)(void *owner, struct message *ended);
	void (*done)(void *owner);
};

// Something about a source itself that people want to know. Texts that do not apply are empty or
// NULL; `text`, `from` and `to` are static.
struct control_finding_news {
	const char *text, *from, *to;
	struct str provider, pool;
	const char *reason;
};

// Where backends come from that the configuration does not name. Calls come from the control
// thread.
struct control_finding {
	const struct conf *conf;
	struct loop *loop;
	struct log *log;
	u64 seed;
	void *control;
	// All backends of a pool that are known from now on; what is given lives as long as the
	// call.
	void (*changed)(void *control, struct str pool, const struct conf_edit_backend *backends,
		u32 count);
	void (*told)(void *control, const struct control_finding_news *news);
};

struct control_finder {
	void *owner;
	void (*open)(void *owner, const struct control_finding *finding);
	void (*follow)(void *owner, const struct conf *conf); // another configuration has come
	bool (*is_settled)(void *owner);		      // what can be known soon is known
	// The configuration with the backends that are known now. What is new of it lives in
	// `arena`.
	const struct conf *(*complete)(void *owner, const struct conf *conf, struct arena *arena);
	void (*repeat)(void *owner); // tells all pools again that were told
	desk_providers_fn *look;
	void (*close)(void *owner); // `changed` is not called any more
};

struct control_options {
	const char *mode;		   // how the configuration was found, for the start-up line
	const struct control_guest *guest; // NULL: nobody
	const struct control_finder *finder; // NULL: the configuration names all backends
	struct handover *handover;	     // set up; control_run ends it
	const struct confined *confined;     // what was given up before; NULL: nothing
	// Reads the configuration again, for reloads (control/reload.h). NULL: it cannot be.
	struct conf *(*load)(void *owner, struct arena *arena, struct errs *errs);
	void *load_owner;
	// The same of a text (struct reload_config). NULL: it cannot be.
	struct conf *(*load_text)(void *owner, const char *name, struct str text,
		struct arena *arena, struct errs *errs);
	const char *state_folder; // configurations of before are stored there; NULL: nowhere
	const char *source;  // where the configuration comes from, the same in each life; or NULL
	struct str greeting; // to standard error once everything is listened on; may be empty
};

// Runs until a signal ends it. The exit code of the process: 0, or 1 when it could not start (the
// reason was logged or printed). `conf` and `arena` outlive the call.
int control_run(
	const struct conf *conf, struct arena *arena, const struct control_options *options);
