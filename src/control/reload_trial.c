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

static bool is_empty(const struct pool *pool)
{
	return pool && !atomic_load_explicit(&pool->eligible, memory_order_relaxed);
}

static void note_empty(struct text *names, const struct snapshot *snapshot)
{
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		if (!is_empty(snapshot->pools[i]))
			continue;
		text_add(names, snapshot->pools[i]->name);
		text_addc(names, '\n');
	}
}

static bool was_empty(const struct reload_trial *trial, struct str name)
{
	struct str rest = text_str(&trial->empty_before);

	while (rest.len)
		if (str_eq(str_cut(&rest, '\n'), name))
			return true;
	return false;
}

// How many pools have lost their last backend, and the first of them.
static u32 find_lost(const struct reload *reload, struct str *ret_first)
{
	const struct snapshot *snapshot = reload->reign->snapshot;
	u32 count = 0;

	for (u32 i = 0; i < snapshot->pool_count; i++) {
		const struct pool *pool = snapshot->pools[i];

		if (is_empty(pool) && !was_empty(&reload->trial, pool->name) && count++ == 0)
			*ret_first = pool->name;
	}
	return count;
}

static struct probation_counts count_requests(const struct reload *reload)
{
	const struct workers *workers = reload->config.workers;
	struct probation_counts counts = {0};

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

static void say_why(
	struct reload_trial *trial, enum probation_verdict verdict, u32 lost, struct str first)
{
	char more[32] = "";

	if (lost > 1)
		snprintf(more, sizeof(more), ", as %u more", lost - 1);
	if (verdict == PROBATION_IS_EMPTY)
		snprintf(trial->reason, sizeof(trial->reason),
			"pool '%.*s' has no backend left that may get requests%s",
			(int)MIN(first.len, sizeof(trial->reason) / 2), first.ptr, more);
	else
		snprintf(trial->reason, sizeof(trial->reason), "%s", probation_text(verdict));
}

static enum probation_verdict judge(struct reload *reload)
{
	struct probation_counts counts = count_requests(reload);
	struct str first = STR_EMPTY;
	enum probation_verdict verdict;

	counts.pools_lost = find_lost(reload, &first);
	verdict =
		probation_step(&reload->trial.probation, &counts, loop_now_ms(reload->config.loop));
	say_why(&reload->trial, verdict, counts.pools_lost, first);
	return verdict;
}

static void on_second(struct timer *timer)
{
	struct reload *reload = container_of(timer, struct reload, trial.timer);
	struct reload_trial *trial = &reload->trial;
	enum probation_verdict verdict;

	if (!trial->is_on || trial->is_reverting || reload->is_stopped)
		return;
	verdict = judge(reload);
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
	reload_revert(reload, trial->before, trial->reason);
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
	struct probation_counts counts = count_requests(reload);

	ASSERT(!trial->is_on && before->text);
	trial->is_on = true;
	trial->before = before->text;
	trial->before->users++;
	note_empty(&trial->empty_before, job->before);
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
	text_done(&trial->empty_before);
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
	text_done(&reload->trial.empty_before);
}
