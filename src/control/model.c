// SPDX-License-Identifier: Apache-2.0
#include "control/model.h"

#include "control/model_inside.h"
#include "control/reason.h"
#include "upstream/view.h"

// ---- Telling ------------------------------------------------------------------------------------

static void hear(struct model *model)
{
	for (u32 i = 0; i < model->told_count; i++) {
		struct model_change *change = &model->told[i];

		change->eligible = model->pools[change->pool->index].judged.eligible;
		model->listener(model->owner, change);
	}
	model->told_count = 0;
}

void model_tell(struct model *model, const struct model_change *change)
{
	if (model->told_count == MODEL_CHANGES_MAX)
		hear(model);
	model->told[model->told_count++] = *change;
}

void model_tell_pool(struct model *model, const struct model_pool *pool,
	enum model_change_kind kind, const char *from, const char *to, const char *reason)
{
	struct model_change change = {
		.kind = (u8)kind, .pool = pool->pool, .from = from, .to = to, .reason = reason};

	model_tell(model, &change);
}

// ---- What follows from one backend --------------------------------------------------------------

static void make_dirty(struct model *model, struct model_pool *pool)
{
	if (!list_is_linked(&pool->dirty))
		list_push_back(&model->dirty, &pool->dirty);
}

static u64 warm_up_ms(const struct model_backend *one)
{
	u64 own_ms = one->backend->conf->slow_start_ms;

	return own_ms ? own_ms : one->pool->conf->slow_start_ms;
}

static u64 warm_ms(const struct model *model, const struct model_backend *one)
{
	u64 since_ms = one->state.slow_start_ms;

	return model->now_ms > since_ms ? model->now_ms - since_ms : 0;
}

// When its share takes the next step; a step that is not published yet waits for nothing.
static u64 step_due_ms(const struct model *model, const struct model_backend *one)
{
	u64 since_ms = warm_ms(model, one), window_ms = warm_up_ms(one);

	if (one->pool->shares[one->backend->index] != slow_start_share(since_ms, window_ms))
		return model->now_ms;
	return model->now_ms + slow_start_next_ms(since_ms, window_ms);
}

// When time alone will change something about it; UINT64_MAX: never.
static u64 due_ms(const struct model *model, const struct model_backend *one)
{
	const struct model_state *state = &one->state;
	u64 due = UINT64_MAX;

	if (ejection_is_out(&state->ejection))
		due = state->ejection.until_ms;
	if (state->breaker.forced == BREAKER_AUTOMATIC && state->breaker.state == BREAKER_OPEN)
		due = MIN(due, state->breaker.until_ms);
	if (state->breaker.forced == BREAKER_AUTOMATIC && state->breaker.state == BREAKER_HALF_OPEN)
		due = model->now_ms; // trials end at any time
	if (state->slow_start_ms)
		due = MIN(due, step_due_ms(model, one));
	return due;
}

void model_rest(const struct model *model, struct model_backend *one)
{
	u64 due = due_ms(model, one);

	if (due == UINT64_MAX) {
		list_remove(&one->node);
		return;
	}
	if (!list_is_linked(&one->node))
		list_push_back(&one->pool->restless, &one->node);
	one->pool->due_ms = MIN(one->pool->due_ms, due);
}

struct eligible_facts model_facts_of(const struct model_backend *one)
{
	return (struct eligible_facts){
		.enabled = one->backend->weight > 0,
		.draining = one->order != MODEL_ENABLED,
		.resolved = one->resolved,
		.checked = one->state.checked,
		.backup = one->backend->conf->is_backup,
		.health = one->state.health.state,
		.ejection = one->state.ejection.why,
		.breaker = one->state.breaker.state,
		.held_open = one->state.breaker.forced == BREAKER_FORCED_OPEN,
	};
}

void model_touch(struct model *model, struct model_backend *one)
{
	struct eligible_facts *before = &one->pool->facts[one->backend->index],
			      now = model_facts_of(one);
	struct model_pool *pool = one->pool;
	u32 up = pool->judged.up;

	model_rest(model, one);
	if (memcmp(before, &now, sizeof(now)) == 0)
		return;
	pool->judged.up += (u32)eligible_counts_up(&now) - (u32)eligible_counts_up(before);
	pool->judged.share.ejected +=
		(u32)eligible_counts_ejected(&now) - (u32)eligible_counts_ejected(before);
	*before = now;
	make_dirty(model, pool);
	if (up && !pool->judged.up)
		model_hurry(model, pool);
}

// ---- Judging a pool -----------------------------------------------------------------------------

// Was it out for a reason that may have left it cold or weak?
static bool was_ill(enum eligible_why why)
{
	switch (why) {
	case ELIGIBLE_TRIAL:
	case ELIGIBLE_DRAINING:
	case ELIGIBLE_HELD_OPEN:
	case ELIGIBLE_DOWN:
	case ELIGIBLE_REFUSES:
	case ELIGIBLE_EJECTED:
	case ELIGIBLE_BREAKER_OPEN:
		return true;
	default:
		return false;
	}
}

static void set_share(struct model *model, struct model_backend *one, u32 share)
{
	u8 *now = &one->pool->shares[one->backend->index];

	if (*now == share)
		return;
	*now = (u8)share;
	one->pool->shares_moved = true;
	make_dirty(model, one->pool);
}

static void step_warm_up(struct model *model, struct model_backend *one)
{
	u32 share = SLOW_START_WHOLE;

	if (one->state.slow_start_ms)
		share = slow_start_share(warm_ms(model, one), warm_up_ms(one));
	if (share == SLOW_START_WHOLE)
		one->state.slow_start_ms = 0;
	set_share(model, one, share);
}

static void judge_anew(struct model *model, struct model_backend *one, enum eligible_why why)
{
	enum eligible_why before = (enum eligible_why)one->state.why;

	one->state.why = (u8)why;
	one->state.why_since_ms = model->now_ms;
	one->pool->why[one->backend->index] = (u8)why;
	if (why == ELIGIBLE_OK && was_ill(before) && warm_up_ms(one))
		one->state.slow_start_ms = MAX(model->now_ms, (u64)1);
	else if (!eligible_is_in(why) || why == ELIGIBLE_TRIAL)
		one->state.slow_start_ms = 0;
	step_warm_up(model, one);
	model_rest(model, one);
}

void model_publish(struct model *model, struct model_pool *pool)
{
	view_publish(pool->pool, pool->why, pool->shares, pool->judged.eligible);
	pool->shares_moved = false;
	pool->uncollected = true;
	model->published++;
}

void model_tell_of_judgement(
	struct model *model, struct model_pool *pool, const struct eligible_pool *before)
{
	const struct eligible_pool *now = &pool->judged;

	if (now->panic && !before->panic)
		model_tell_pool(model, pool, MODEL_PANIC, "normal", "panic",
			"too few are left that were not ejected");
	if (!now->panic && before->panic)
		model_tell_pool(
			model, pool, MODEL_PANIC, "panic", "normal", "enough are left again");
	if (!now->eligible && before->eligible) {
		pool->was_lost = true;
		model_tell_pool(model, pool, MODEL_POOL, "available", "unavailable",
			"no backend may get requests");
	}
	if (now->eligible && pool->was_lost) {
		pool->was_lost = false;
		model_tell_pool(model, pool, MODEL_POOL, "unavailable", "available",
			"a backend may get requests again");
	}
}

struct eligible_pool model_judge(struct model *model, struct model_pool *pool)
{
	struct eligible_pool before = pool->judged;
	bool changed = false;

	list_remove(&pool->dirty);
	pool->judged_ms = model->now_ms;
	pool->judged = eligible_judge(
		pool->facts, pool->count, pool->conf->panic_percent, model->fresh_why);
	for (u32 i = 0; i < pool->count; i++) {
		if (model->fresh_why[i] == pool->why[i])
			continue;
		judge_anew(model, pool->backends[i], (enum eligible_why)model->fresh_why[i]);
		changed = true;
	}
	if (changed || pool->shares_moved)
		model_publish(model, pool);
	list_remove(&pool->dirty); // by the shares, which are published
	return before;
}

static bool may_wait(const struct model *model, const struct model_pool *pool)
{
	return model->now_ms - pool->judged_ms < pool->count / MODEL_JUDGED_PER_MS;
}

void model_settle(struct model *model, bool all)
{
	list_for_each_safe (node, &model->dirty) {
		struct model_pool *pool = list_entry(node, struct model_pool, dirty);
		struct eligible_pool before;

		if (!all && may_wait(model, pool))
			continue;
		before = model_judge(model, pool);
		model_tell_of_judgement(model, pool, &before);
	}
	if (list_is_empty(&model->dirty))
		hear(model);
}

// ---- Ejections ----------------------------------------------------------------------------------

void model_tell_returned(struct model *model, const struct model_backend *one, const char *reason)
{
	struct model_change change = {.kind = MODEL_RETURNED,
		.pool = one->pool->pool,
		.backend = one->backend,
		.from = "ejected",
		.to = "in",
		.reason = reason};

	model_tell(model, &change);
}

// Its last check failed, though not often enough yet to take it to be down.
static bool is_doubted(const struct model_backend *one)
{
	const struct health *health = &one->state.health;

	return one->state.checked && health->state == HEALTH_UP && health->streak > 0 &&
	       health->reason != HEALTH_NONE;
}

static void tick_ejection(struct model *model, struct model_backend *one)
{
	const struct ejection_rules *rules = &one->pool->conf->ejection;
	struct ejection *ejection = &one->state.ejection;

	// Who does not answer checks either does not come back by time.
	if (ejection_is_out(ejection) && model->now_ms >= ejection->until_ms && is_doubted(one))
		ejection->until_ms = model->now_ms + one->pool->conf->check.rules.fast_interval_ms;
	if (ejection_tick(&one->state.ejection, rules, model->now_ms))
		model_tell_returned(model, one, "its time is over");
}

void model_eject(struct model *model, struct model_backend *one, enum ejection_why why, u32 streak)
{
	struct model_change change = {.kind = MODEL_EJECTED,
		.pool = one->pool->pool,
		.backend = one->backend,
		.from = "in",
		.to = "ejected",
		.reason = reason_of_ejection(why, one->state.ejected_by),
		.streak = streak};
	struct ejection *ejection = &one->state.ejection;

	tick_ejection(model, one);
	if (ejection_begin(ejection, &one->pool->conf->ejection, &one->pool->judged.share, why,
		    model_chance(model), model->now_ms)) {
		one->state.ejections++;
		change.next_ms = ejection->until_ms - model->now_ms;
		model_tell(model, &change);
		// A check soon tells whether it is worse than that.
		if (model_is_probed(one))
			health_hurry(
				&one->state.health, &one->pool->conf->check.rules, model->now_ms);
		model->checks_moved++;
	}
	model_touch(model, one);
}

static u32 streak_of(const struct ejection_rules *rules, enum ejection_why why)
{
	switch (why) {
	case EJECTION_REFUSED:
	case EJECTION_CONNECT:
		return rules->connect_failures;
	case EJECTION_ERRORS:
		return rules->errors;
	case EJECTION_TIMEOUTS:
		return rules->timeouts;
	case EJECTION_NONE:
	case EJECTION_OUTLIER:
		break;
	}
	return 0;
}

// ---- Calls --------------------------------------------------------------------------------------

static void tick_backend(struct model *model, struct model_backend *one)
{
	u64 due = due_ms(model, one);

	if (due > model->now_ms) {
		one->pool->due_ms = MIN(one->pool->due_ms, due);
		return;
	}
	if (ejection_is_out(&one->state.ejection))
		tick_ejection(model, one);
	if (breaker_is_out(&one->state.breaker))
		model_look(model, one);
	if (one->state.slow_start_ms)
		step_warm_up(model, one);
	model_touch(model, one);
}

static void tick_restless(struct model *model, struct model_pool *pool)
{
	if (model->now_ms < pool->due_ms)
		return;
	pool->due_ms = UINT64_MAX; // model_touch finds it anew
	list_for_each_safe (node, &pool->restless)
		tick_backend(model, list_entry(node, struct model_backend, node));
}

static bool collect(struct model *model)
{
	bool all = true;

	for (u32 i = 0; i < model->snapshot->pool_count; i++) {
		struct model_pool *pool = &model->pools[i];

		if (pool->pool && pool->uncollected)
			pool->uncollected = !view_collect(pool->pool);
		all &= !pool->uncollected;
	}
	return all;
}

bool model_tick(struct model *model, u64 now_ms)
{
	model->now_ms = now_ms;
	for (u32 i = 0; i < model->snapshot->pool_count; i++) {
		if (!model->pools[i].pool)
			continue;
		tick_restless(model, &model->pools[i]);
		model_look_at_pool(model, &model->pools[i]);
	}
	model_settle(model, true);
	return collect(model);
}

u64 model_published(const struct model *model)
{
	return model->published;
}

void model_report(struct model *model, const struct report *report, u64 now_ms)
{
	struct model_backend *one = model_of(model, report->backend);
	enum ejection_why why = (enum ejection_why)report->why;
	enum health_reason cause = why == EJECTION_REFUSED ? HEALTH_CONNECTION_REFUSED
							   : reason_of_connect(report->error);

	if (!one->backend) // the configuration has it no more
		return;
	model->now_ms = now_ms;
	// Of the object before: it may have been reached in another way.
	if (one->backend != report->backend && report->kind == REPORT_EJECT)
		return;
	switch ((enum report_kind)report->kind) {
	case REPORT_EJECT:
		if (why == EJECTION_CONNECT)
			one->state.ejected_by = (u8)cause;
		if (ejection_is_connect(why) && model_is_probed(one))
			model_suspect(model, one, cause);
		else
			model_eject(model, one, why, streak_of(&one->pool->conf->ejection, why));
		break;
	case REPORT_LOOK:
		model_look(model, one);
		break;
	}
	model_settle(model, false);
}

void model_resolved(struct model *model, const struct backend *backend, bool resolved, u64 now_ms)
{
	struct model_backend *one = model_of(model, backend);

	model->now_ms = now_ms;
	if (one->resolved || resolved)
		model_forget_health(model, one, HEALTH_UNRESOLVED);
	one->resolved = resolved;
	model_no_longer_new(model, one);
	one->is_new = model_is_probed(one);
	model->new_count += one->is_new;
	model->checks_moved++;
	model_touch(model, one);
	model_settle(model, false);
}

void model_give_order(
	struct model *model, struct backend *backend, enum model_order order, u64 now_ms)
{
	struct model_backend *one = model_of(model, backend);

	model->now_ms = now_ms;
	if (order == MODEL_DISABLED && one->order != MODEL_DISABLED)
		atomic_fetch_add(&one->pool->pool->disabled, 1);
	if (order != MODEL_DISABLED && one->order == MODEL_DISABLED)
		atomic_fetch_sub(&one->pool->pool->disabled, 1);
	one->order = (u8)order;
	one->revision++;
	atomic_store_explicit(&backend->is_disabled, order == MODEL_DISABLED, memory_order_relaxed);
	model_touch(model, one);
	model_settle(model, false);
}

void model_sign(struct model *model, const struct backend *backend, bool of_breaker, struct str who)
{
	struct model_state *state = &model_of(model, backend)->state;
	char *to = of_breaker ? state->held_by : state->ordered_by;
	size_t len = MIN(who.len, (size_t)MODEL_WHO_MAX);

	memcpy(to, who.ptr, len);
	to[len] = '\0';
}

void model_reweigh(struct model *model, struct backend *backend, u32 weight, u64 now_ms)
{
	struct model_backend *one = model_of(model, backend);

	model->now_ms = now_ms;
	one->revision++;
	view_reweigh(backend, weight);
	one->pool->shares_moved = true; // so that it is published whatever it changes
	make_dirty(model, one->pool);
	model_touch(model, one);
	model_settle(model, false);
}

struct model_orders model_orders(const struct model *model, const struct backend *backend)
{
	const struct model_backend *one = model_of(model, backend);

	return (struct model_orders){
		.revision = one->revision, .order = one->order, .resolved = one->resolved};
}

void model_force_breaker(
	struct model *model, const struct backend *backend, enum breaker_forced forced, u64 now_ms)
{
	struct model_backend *one = model_of(model, backend);
	struct breaker_step step;

	model->now_ms = now_ms;
	one->revision++;
	step = breaker_force(&one->state.breaker, forced, now_ms);
	model_breaker_moved(model, one, step, 0);
	model_touch(model, one);
	model_settle(model, false);
}

const struct model_state *model_state(const struct model *model, const struct backend *backend)
{
	return &model_of(model, backend)->state;
}

struct model_pool_state model_pool_state(const struct model *model, const struct pool *pool)
{
	const struct model_pool *one = &model->pools[pool->index];
	enum conf_check_type type = one->conf->check.type;

	if (type == CONF_CHECK_AUTO && one->automatic.mode != HEALTH_AUTO_OPEN)
		type = one->automatic.mode == HEALTH_AUTO_HTTP ? CONF_CHECK_HTTP : CONF_CHECK_TCP;
	return (struct model_pool_state){.judged = one->judged, .check_type = (u8)type};
}
