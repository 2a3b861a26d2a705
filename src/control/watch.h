// SPDX-License-Identifier: Apache-2.0
// What the control thread does about backends, as one object: the model of what is known of them,
// the checker that finds out, what workers report, the lines about changes, and the tick that lets
// time pass. Workers are nudged when something was published.
#pragma once

#include "base/log.h"
#include "control/changes.h"
#include "control/model.h"
#include "control/unwell.h"

struct watch;

struct watch_config {
	struct loop *loop; // the control thread's, with a large and a small block per probe
	struct log *log;
	struct snapshot *snapshot;
	u32 probes_max;
	u64 seed;
};

// How many backends may have to be probed at the same time.
u32 watch_count_checked(const struct conf *conf);

// How long a start waits at most for first results.
u64 watch_first_wait_ms(const struct conf *conf);

// Borrows all of it. The first probes begin in the loop's next turn.
struct watch *watch_new(const struct watch_config *config);

// Where workers report to.
struct report_to watch_reports(struct watch *watch);

// A backend's name has an address now (backend->addr is written), or cannot be resolved.
void watch_resolved(struct watch *watch, const struct backend *backend, bool resolved);

// Every backend that is checked has had a first result.
bool watch_is_complete(const struct watch *watch);

// One line about how the checks stand; none when nobody is checked.
void watch_say(const struct watch *watch);

// Orders. Who gave them is told to watch_changes by the caller, before.
void watch_order(struct watch *watch, struct backend *backend, enum model_order order);
void watch_reweigh(struct watch *watch, struct backend *backend, u32 weight);
void watch_force_breaker(struct watch *watch, struct backend *backend, enum breaker_forced forced);

// The next configuration: what is known carries over, and is published in it.
void watch_adopt(struct watch *watch, struct snapshot *snapshot);

// For looking at; and the changes to be told of what is not the model's.
struct model *watch_model(const struct watch *watch);
struct changes *watch_changes(const struct watch *watch);
struct unwell *watch_unwell(const struct watch *watch);

// Nudges no worker any more: before their loops go.
void watch_leave_workers(struct watch *watch);

// Ends everything. The loop must turn until watch_is_idle, and reports that were posted before must
// have been delivered; then watch_free.
void watch_stop(struct watch *watch);
bool watch_is_idle(const struct watch *watch);
void watch_free(struct watch *watch);
