// SPDX-License-Identifier: Apache-2.0
// What follows from the counts in the workers' cells: breakers and outliers. Workers write while
// this reads, so a sum may be a moment old and a count of an older epoch may still come in; what
// could break a rule of decide/ is cut to what can be true.
#include "control/model_inside.h"

static const struct cell *cell_of(const struct model *model, u32 worker, u32 cell)
{
	return &model->snapshot->cells[worker][cell];
}

static struct model_sums sum_cells(const struct model *model, u32 cell)
{
	struct model_sums sums = {0};

	for (u32 worker = 0; worker < model->snapshot->worker_count; worker++) {
		const struct cell *from = cell_of(model, worker, cell);

		sums.good += cell_read(&from->good);
		sums.bad += cell_read(&from->bad);
		sums.trials_good += cell_read(&from->trials_good);
		sums.trials_bad += cell_read(&from->trials_bad);
		sums.trials_void += cell_read(&from->trials_void);
	}
	return sums;
}

static u32 *bad_seen(const struct model *model, u32 worker, u32 cell)
{
	return &model->bad[(size_t)worker * model->snapshot->slots->backends.max + cell];
}

void model_begin_counts(struct model *model, struct model_backend *one)
{
	one->seen = sum_cells(model, model_cell(one));
	one->interval_good = one->seen.good;
	one->interval_bad = one->seen.bad;
	for (u32 worker = 0; worker < model->snapshot->worker_count; worker++)
		*bad_seen(model, worker, model_cell(one)) =
			cell_read(&cell_of(model, worker, model_cell(one))->bad);
}

// Notes what each worker has of bad ones; gives how many at most of the new ones came last.
static u32 note_bad(struct model *model, u32 cell)
{
	u32 last = 0;

	for (u32 worker = 0; worker < model->snapshot->worker_count; worker++) {
		const struct cell *from = cell_of(model, worker, cell);
		u32 *seen = bad_seen(model, worker, cell);
		u32 bad = cell_read(&from->bad), streak = cell_read(&from->bad_streak);

		last += MIN(bad - *seen, streak);
		*seen = bad;
	}
	return last;
}

static u32 take_back_trials(struct model_backend *one)
{
	u32 left = atomic_exchange(&one->backend->trials, 0);
	u32 begun = one->trials_issued - MIN(left, one->trials_issued);

	one->trials_issued = 0;
	return begun;
}

// Trials that ended without having begun are of an older epoch.
static void clamp_trials(struct breaker_counts *counts, u32 running)
{
	u32 most = running + counts->trials_begun;

	counts->trials_bad = MIN(counts->trials_bad, most);
	most -= counts->trials_bad;
	counts->trials_good = MIN(counts->trials_good, most);
	most -= counts->trials_good;
	counts->trials_void = MIN(counts->trials_void, most);
}

// Only when none are out. A worker takes one and then reads the epoch (which is written before),
// so that a trial never carries an older epoch than its token.
static void issue_trials(struct model_backend *one)
{
	u32 free = breaker_trials_free(&one->state.breaker, &one->pool->conf->breaker);

	ASSERT(one->trials_issued == 0);
	one->trials_issued = free;
	if (free)
		atomic_store(&one->backend->trials, free);
}

// Tokens come back before the cells are read: whatever has ended by then had begun.
static struct breaker_counts take_counts(struct model *model, struct model_backend *one)
{
	u32 begun = one->trials_issued ? take_back_trials(one) : 0;
	struct model_sums now = sum_cells(model, model_cell(one)), *seen = &one->seen;
	struct breaker_counts counts = {
		.good = now.good - seen->good,
		.bad = now.bad - seen->bad,
		.trials_begun = begun,
		.trials_good = now.trials_good - seen->trials_good,
		.trials_bad = now.trials_bad - seen->trials_bad,
		.trials_void = now.trials_void - seen->trials_void,
	};

	*seen = now;
	if (counts.bad)
		counts.bad_at_the_end = MIN(note_bad(model, model_cell(one)), counts.bad);
	clamp_trials(&counts, one->state.breaker.trials);
	return counts;
}

void model_breaker_moved(
	struct model *model, struct model_backend *one, struct breaker_step step, u32 streak)
{
	const struct breaker *breaker = &one->state.breaker;
	struct model_change change = {.kind = MODEL_BREAKER,
		.pool = one->pool->pool,
		.backend = one->backend,
		.from = breaker_state_name((enum breaker_state)step.from),
		.to = breaker_state_name((enum breaker_state)step.to),
		.reason = breaker_cause_text((enum breaker_cause)step.cause),
		.streak = streak};

	if (!step.changed)
		return;
	if (step.to == BREAKER_OPEN && breaker->forced == BREAKER_AUTOMATIC)
		change.next_ms = breaker->until_ms - model->now_ms;
	if (step.to == BREAKER_OPEN)
		one->state.openings++;
	// From here on workers count for the new state; what they counted before is forgotten.
	atomic_store(&one->backend->epoch, breaker->epoch);
	(void)take_counts(model, one);
	issue_trials(one);
	model_tell(model, &change);
	model_touch(model, one);
}

static bool is_nothing(const struct breaker_counts *counts)
{
	return !(counts->good | counts->bad | counts->trials_begun | counts->trials_good |
		 counts->trials_bad | counts->trials_void);
}

// Failures in a row that led to this step, if that is what led to it.
static u32 streak_of(struct breaker_step step, const struct breaker_counts *counts, u32 before)
{
	if (step.cause != BREAKER_IN_A_ROW)
		return 0;
	return counts->good ? counts->bad_at_the_end : before + counts->bad;
}

void model_look(struct model *model, struct model_backend *one)
{
	struct breaker *breaker = &one->state.breaker;
	const struct breaker_rules *rules = &one->pool->conf->breaker;
	u32 before = breaker->in_a_row;
	struct breaker_counts counts;
	struct breaker_step step;

	if (!one->pool->has_breakers)
		return;
	step = breaker_tick(breaker, rules, model->now_ms);
	if (step.changed) { // half-open: what was counted is older
		model_breaker_moved(model, one, step, 0);
		return;
	}
	counts = take_counts(model, one);
	if (!is_nothing(&counts))
		step = breaker_apply(
			breaker, rules, &one->pool->judged.share, &counts, model->now_ms);
	if (step.changed)
		model_breaker_moved(model, one, step, streak_of(step, &counts, before));
	else
		issue_trials(one);
}

// ---- A pool -------------------------------------------------------------------------------------

// Which of its backends have failed with one worker that says that some have.
static void look_at_worker(struct model *model, struct model_pool *pool, u32 worker)
{
	for (u32 i = 0; i < pool->count; i++) {
		u32 cell = model_cell(pool->backends[i]);

		if (cell_read(&cell_of(model, worker, cell)->bad) != *bad_seen(model, worker, cell))
			model_look(model, pool->backends[i]);
	}
}

static void look_at_failures(struct model *model, struct model_pool *pool)
{
	for (u32 worker = 0; worker < model->snapshot->worker_count; worker++) {
		const u64 *from = &pool->pool->cells[worker].failures;
		u64 failures = __atomic_load_n(from, __ATOMIC_ACQUIRE); // counted last

		if (failures == pool->failures[worker])
			continue;
		pool->failures[worker] = failures;
		look_at_worker(model, pool, worker);
	}
}

// A share of failures needs the good ones as well, each in its slot of the window.
static void look_at_all(struct model *model, struct model_pool *pool)
{
	const struct breaker_rules *rules = &pool->conf->breaker;

	if (!rules->error_percent || model->now_ms < pool->window_ms)
		return;
	pool->window_ms = model->now_ms + rules->window_ms / BREAKER_SLOTS;
	for (u32 i = 0; i < pool->count; i++)
		model_look(model, pool->backends[i]);
}

static struct outlier_sample take_sample(struct model *model, struct model_backend *one)
{
	struct model_sums now = sum_cells(model, model_cell(one));
	u32 good = now.good - one->interval_good, bad = now.bad - one->interval_bad;

	one->interval_good = now.good;
	one->interval_bad = now.bad;
	bad = MIN(bad, UINT32_MAX - good);
	return (struct outlier_sample){.requests = good + bad, .successes = good};
}

static void look_for_outliers(struct model *model, struct model_pool *pool)
{
	if (!pool->conf->success_rate.enabled || model->now_ms < pool->outliers_ms)
		return;
	pool->outliers_ms = model->now_ms + pool->conf->success_rate.interval_ms;
	for (u32 i = 0; i < pool->count; i++)
		model->samples[i] = take_sample(model, pool->backends[i]);
	if (!outlier_find(&pool->conf->success_rate.rules, model->samples, pool->count,
		    model->is_outlier))
		return;
	for (u32 i = 0; i < pool->count; i++)
		if (model->is_outlier[i])
			model_eject(model, pool->backends[i], EJECTION_OUTLIER, 0);
}

void model_look_at_pool(struct model *model, struct model_pool *pool)
{
	if (pool->has_breakers) {
		look_at_failures(model, pool);
		look_at_all(model, pool);
	}
	look_for_outliers(model, pool);
}
