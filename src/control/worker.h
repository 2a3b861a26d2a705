// SPDX-License-Identifier: Apache-2.0
// One core: a thread with its loop, its proxy and its listeners. Workers share nothing but the
// snapshot and the messages they send each other.
//
// Listening descriptors are opened by the control thread, so that a port that is taken is one error
// before anything starts; each worker owns its own.
#pragma once

#include <pthread.h>
#include <semaphore.h>

#include "control/logger.h"
#include "proxy/proxy.h"

struct reload;
struct worker;

struct listener {
	struct worker *worker;
	const struct frontend *frontend;
	const struct conf_bind *bind;
	struct sock sock;
	struct op accept;
	struct timer resume;  // after a pause for want of descriptors or room
	struct list waiting;  // connections the kernel gave us before there was room for them
	int fd;		      // as opened by control; -1: this worker does not listen here
	struct hush droughts; // pauses because of an error
	bool paused, failed;  // accepting pauses | because of an error
	bool is_leaving;      // the configuration has it no more
};

// The same for all workers: by number of the listener, what it is in the next configuration.
struct listener_plan {
	const struct frontend *frontend; // NULL: it is gone, or there is none
	const struct conf_bind *bind;
	const int *fds; // of a new one, by worker; -1: this worker does not listen there. NULL: not
};

// The workers of one process, in an array.
struct workers {
	struct worker *all;
	u32 count;
};

struct worker_config {
	enum loop_kind io;
	struct loop_limits blocks;
	struct proxy_limits limits;
	void (*on_let_go)(struct worker *worker, const struct snapshot *snapshot);
	struct reload *reload; // whom that tells
	struct access_config access;
	struct snapshot *snapshot;
	struct logger *logger;
	struct loop *control_loop; // hears that the worker has ended
	message_fn *on_ended;
	struct report_to reports; // what it learns about backends
	bool pin;
	u64 seed;
};

struct worker {
	u32 index;
	struct workers *workers;
	struct worker_config config;
	struct listener *listeners; // by number, the same in all workers; worker NULL: none
	u32 listener_count;
	pthread_t thread;
	clockid_t busy_clock;	    // of its thread
	pid_t number;		    // of its thread
	_Atomic(u64) ended_busy_us; // 0: it runs
	_Atomic(u64) ended_starved_us;
	struct loop *loop; // valid between a successful worker_start and worker_join
	const char *loop_why;
	int start_error;
	bool draining;
	struct proxy proxy;
	struct metrics_cells metrics;
	struct histogram turns;	 // of its loop
	struct stats *stats;	 // what its proxy counts of requests; NULL: nothing. Control's
	struct records *records; // of its last requests; NULL: none are kept. Control's
	struct trace_ring trace;
	struct span_ring spans; // made before the worker starts, where spans are wanted; else zero
	struct message drain_message, abort_message, ended_message;
	sem_t may_free;
	_Atomic(bool) closed;	    // takes no connections from others: not yet, or no more
	_Atomic(bool) deaf;	    // answers no worker_call: not yet, or no more
	_Atomic(bool) is_expectant; // does not end while others may give it tunnels
	_Alignas(CACHE_LINE) _Atomic(u32) handed; // connections on their way to this worker
	_Atomic(u32) calls;			  // worker_calls on their way
};

// A question that only a worker can answer, because only its own thread may look at its proxy.
// Embedded in the asker's object, which with the call goes over to the worker, and comes back by
// `answered`, in any case and once.
struct worker_call {
	struct message message;
	void (*run)(struct worker_call *call, struct proxy *proxy); // on the worker's thread
	struct loop *asker;
	message_fn *answered; // on the asker's loop; container_of(message, struct worker_call, ...)
	struct worker *worker;
	bool again; // set by `run`: it runs once more, in a later turn
	bool gone;  // the worker is ending: `run` has not run, or not to its end
};

// Starts the thread and waits until its loop runs. 0 or negative errno.
int worker_start(struct worker *worker) must_check;

// From the control thread: finish what runs | end now. on_ended follows on the control loop.
void worker_drain(struct worker *worker);
void worker_abort(struct worker *worker);

// Processor time that its thread has used. From any thread, from worker_start on.
u64 worker_busy_us(const struct worker *worker);

// Time for which it had something to do and no processor. The same way; it opens a file.
u64 worker_starved_us(const struct worker *worker);

// From the asker's thread, from worker_start on as long as the struct worker is there, even after
// worker_join. `run`, `asker` and `answered` are set; `run` must take a short time, as everything
// does that a worker does, and what takes longer is done in several runs.
void worker_call(struct worker *worker, struct worker_call *call);

// On the worker's thread, as by worker_call. The next configuration: `plans` has `count` entries.
// Listeners that are gone close; new ones take no connections yet.
void worker_adopt(struct worker *worker, const struct snapshot *snapshot,
	const struct listener_plan *plans, u32 count);

// All workers have adopted it: new listeners begin. False: something that is gone is not closed
// yet, call it again.
bool worker_begin_listening(struct worker *worker);

// After on_ended of every worker: takes the thread back.
void worker_join(struct worker *worker);
