// SPDX-License-Identifier: Apache-2.0
// What follows from active checks, and what the checker asks.
#include "control/model_inside.h"
#include "control/reason.h"
#include "upstream/view.h"

static const struct health_rules *health_rules(const struct model_backend *one)
{
	return &one->pool->conf->check.rules;
}

void model_hurry(struct model *model, struct model_pool *pool)
{
	for (u32 i = 0; i < pool->count; i++) {
		struct model_backend *one = pool->backends[i];

		if (model_is_probed(one) && one->state.health.state != HEALTH_UP)
			health_hurry(&one->state.health, health_rules(one), model->now_ms);
	}
	model->checks_moved++;
}

static void tell_health(struct model *model, const struct model_backend *one,
	const struct health_step *step, u32 streak)
{
	struct model_change change = {.kind = MODEL_HEALTH,
		.pool = one->pool->pool,
		.backend = one->backend,
		.from = health_state_name((enum health_state)step->from),
		.to = health_state_name((enum health_state)step->to),
		.reason = reason_of_health(step->reason),
		.status = one->state.health.status,
		.streak = streak,
		.next_ms = step->next_ms > model->now_ms ? step->next_ms - model->now_ms : 0};

	if (step->changed)
		model_tell(model, &change);
}

static struct health_step step_health(struct model *model, struct model_backend *one,
	enum health_event_kind kind, enum health_reason reason, u32 status)
{
	bool is_up = eligible_counts_up(&one->pool->facts[one->backend->index]);
	struct health_event event = {.kind = (u8)kind,
		.reason = (u8)reason,
		.status = (u16)status,
		.pool_has_healthy = one->pool->judged.up > is_up,
		.random = model_chance(model)};

	return health_step(&one->state.health, health_rules(one), &event, model->now_ms);
}

void model_suspect(struct model *model, struct model_backend *one, enum health_reason reason)
{
	struct health_step step = step_health(model, one, HEALTH_EVENT_SUSPECT, reason, 0);

	tell_health(model, one, &step, one->pool->conf->ejection.connect_failures);
	model->checks_moved++;
	model_touch(model, one);
}

void model_no_longer_new(struct model *model, struct model_backend *one)
{
	model->new_count -= one->is_new;
	one->is_new = false;
}

static void tell_check_type(struct model *model, const struct model_pool *pool)
{
	bool http = pool->automatic.mode == HEALTH_AUTO_HTTP;

	model_tell_pool(model, pool, MODEL_CHECK_TYPE, "auto", http ? "http" : "tcp",
		http ? "a backend has the page" : "every backend answers, and none has the page");
}

// What a result means where the kind of check is found out by trying.
static enum health_reason judge_auto(
	struct model *model, struct model_backend *one, enum health_reason reason, u32 status)
{
	struct health_auto *automatic = &one->pool->automatic;
	bool answered = reason == HEALTH_NONE || reason == HEALTH_STATUS || reason == HEALTH_BODY;
	enum health_auto_answer answer = health_auto_classify(answered ? status : 0);

	if (automatic->mode != HEALTH_AUTO_TCP) {
		if (health_auto_note(automatic, (enum health_auto_answer)one->answer, answer))
			tell_check_type(model, one->pool);
		one->answer = (u8)answer;
	}
	if (reason == HEALTH_STATUS && answer == HEALTH_AUTO_NO_PAGE &&
		health_auto_judge(automatic, answer))
		return HEALTH_NONE;
	return reason;
}

static void end_check(
	struct model *model, struct model_backend *one, enum health_reason reason, u32 status)
{
	enum health_event_kind kind;
	struct health_step step;

	if (one->pool->conf->check.type == CONF_CHECK_AUTO)
		reason = judge_auto(model, one, reason, status);
	kind = reason == HEALTH_NONE ? HEALTH_EVENT_PASS : HEALTH_EVENT_FAIL;
	++*(reason == HEALTH_NONE ? &one->state.checks_passed : &one->state.checks_failed);
	step = step_health(model, one, kind, reason, status);
	tell_health(model, one, &step, step.streak);
	model_no_longer_new(model, one);
	if (step.changed && step.to == HEALTH_UP &&
		ejection_forgive_connect(&one->state.ejection, model->now_ms))
		model_tell_returned(model, one, "its checks pass");
	model_touch(model, one);
}

void model_forget_health(struct model *model, struct model_backend *one, enum health_reason reason)
{
	struct health *health = &one->state.health;
	struct health_step step = {.changed = health->state != HEALTH_UNKNOWN,
		.from = health->state,
		.to = HEALTH_UNKNOWN,
		.reason = (u8)reason};

	tell_health(model, one, &step, 0);
	one->probe_void = health->probing;
	health_init(health, model->now_ms);
	health->probing = one->probe_void;
	one->answer = HEALTH_AUTO_NO_ANSWER;
}

// ---- For the checker ----------------------------------------------------------------------------

enum conf_check_type model_check_type(const struct model *model, const struct backend *backend)
{
	const struct model_backend *one = model_of(model, backend);
	enum conf_check_type type = one->pool->conf->check.type;

	if (!model_is_probed(one))
		return CONF_CHECK_NONE;
	if (type != CONF_CHECK_AUTO)
		return type;
	return one->pool->automatic.mode == HEALTH_AUTO_TCP ? CONF_CHECK_TCP : CONF_CHECK_HTTP;
}

u64 model_check_wake_ms(const struct model *model, const struct backend *backend)
{
	const struct model_backend *one = model_of(model, backend);

	return model_is_probed(one) ? health_wake_ms(&one->state.health) : UINT64_MAX;
}

u64 model_checks_moved(const struct model *model)
{
	return model->checks_moved;
}

void model_check_begin(struct model *model, const struct backend *backend, u64 now_ms)
{
	model->now_ms = now_ms;
	step_health(model, model_of(model, backend), HEALTH_EVENT_BEGIN, HEALTH_NONE, 0);
}

void model_check_end(struct model *model, const struct backend *backend, enum health_reason reason,
	u32 status, u64 latency_us, u64 now_ms)
{
	struct model_backend *one = model_of(model, backend);

	model->now_ms = now_ms;
	if (one->probe_void) { // it says nothing about where the backend is now
		one->state.health.probing = one->probe_void = false;
		return;
	}
	one->state.checked_ms = now_ms;
	if (reason == HEALTH_NONE || status)
		one->state.latency_us = latency_us;
	view_checked(one->backend, now_ms, reason == HEALTH_NONE || status ? latency_us : 0);
	end_check(model, one, reason, status);
	model_settle(model, false);
}

bool model_is_complete(const struct model *model)
{
	return model->new_count == 0;
}
