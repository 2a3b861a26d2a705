// SPDX-License-Identifier: Apache-2.0
// A configuration on probation: once a second it is asked whether it may stay (decide/probation.h).
// Until somebody confirms it, the keeper and everything else that outlives this process know of the
// one before only.
#include <stdio.h>

#include "base/mem.h"
#include "control/handover.h"
#include "control/reload_parts.h"
#include "upstream/view.h"

enum { second_ms = 1000 };

static u32 count_pools_without(const struct snapshot *snapshot)
{
	u32 count = 0;

	for (u32 i = 0; i < snapshot->pool_count; i++)
		count += snapshot->pools[i] &&
			 !atomic_load_explicit(&snapshot->pools[i]->eligible, memory_order_relaxed);
	return count;
}

static struct probation_counts count_now(
	const struct reload *reload, const struct snapshot *snapshot)
{
	const struct workers *workers = reload->config.workers;
	struct probation_counts counts = {.pools_without = count_pools_without(snapshot)};

	for (u32 i = 0; i < workers->count; i++) {
		const struct stats *stats = workers->all[i].stats;
		struct stats_sum *sum;

		if (!stats)
			continue;
		sum = mem_alloc(sizeof(*sum));
		stats_sum_all(&stats, 1, sum);
		counts.requests += sum->requests;
		counts.errors += sum->errors;
		mem_free(sum);
	}
	return counts;
}

static void set_timer(struct reload *reload)
{
	u64 now_ms = loop_now_ms(reload->config.loop);
	u64 until_ms = MAX(reload->trial.probation.until_ms, now_ms + 1);

	loop_timer_set(
		reload->config.loop, &reload->trial.timer, MIN(now_ms + second_ms, until_ms));
}

static void on_second(struct timer *timer)
{
	struct reload *reload = container_of(timer, struct reload, trial.timer);
	struct reload_trial *trial = &reload->trial;
	struct probation_counts counts = count_now(reload, reload->reign->snapshot);
	enum probation_verdict verdict =
		probation_step(&trial->probation, &counts, loop_now_ms(reload->config.loop));

	if (!trial->is_on || trial->is_reverting || reload->is_stopped)
		return;
	if (reload->job && reload_job_has_base(reload->job)) { // a decision that is on its way
		loop_timer_set(
			reload->config.loop, timer, loop_now_ms(reload->config.loop) + second_ms);
		return;
	}
	if (verdict == PROBATION_GOES_ON) {
		set_timer(reload);
		return;
	}
	trial->is_reverting = true;
	reload_revert(reload, trial->before, probation_text(verdict));
}

static void set_status(
	struct reload *reload, u32 generation, u32 before, const char *who, u64 for_ms)
{
	struct reload_status *status = &reload->status;

	pthread_mutex_lock(&reload->lock);
	status->trial.generation = generation;
	status->trial.before = before;
	status->trial.until_wall_ms = loop_wall_ms(reload->config.loop) + (i64)for_ms;
	snprintf(status->trial.who, sizeof(status->trial.who), "%s", who);
	pthread_mutex_unlock(&reload->lock);
}

void reload_trial_begin(
	struct reload *reload, const struct job *job, const struct shelf_entry *before)
{
	struct reload_trial *trial = &reload->trial;
	// Errors up to now and pools as they were are the old one's doing.
	struct probation_counts counts = count_now(reload, job->before);

	ASSERT(!trial->is_on && before->text);
	trial->is_on = true;
	trial->before = before->text;
	trial->before->users++;
	probation_begin(
		&trial->probation, &counts, loop_now_ms(reload->config.loop) + job->confirm_ms);
	set_status(reload, reload->reign->generation, before->number, job->who, job->confirm_ms);
	set_timer(reload);
}

void reload_trial_end(struct reload *reload)
{
	struct reload_trial *trial = &reload->trial;

	if (!trial->is_on)
		return;
	loop_timer_cancel(reload->config.loop, &trial->timer);
	shelf_text_drop(trial->before);
	trial->before = NULL;
	trial->is_on = trial->is_reverting = false;
	set_status(reload, 0, 0, "", 0);
}

u64 reload_trial_confirm(struct reload *reload, const char *who)
{
	char generation[16];
	struct event_said said = {
		.kind = EVENT_STEERING, .text = "configuration is confirmed", .by = str_from(who)};

	snprintf(generation, sizeof(generation), "%u", reload->status.trial.generation);
	said.to = str_from(generation);
	reload_trial_end(reload);
	reload_leave_conf(reload);
	return changes_say(watch_changes(reload->config.watch), &said);
}

void reload_trial_init(struct reload *reload)
{
	timer_init(&reload->trial.timer, on_second);
}

void reload_trial_done(struct reload *reload)
{
	loop_timer_cancel(reload->config.loop, &reload->trial.timer);
	shelf_text_drop(reload->trial.before);
	reload->trial.before = NULL;
}
