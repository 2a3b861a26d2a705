// SPDX-License-Identifier: Apache-2.0
#include "control/watch.h"

#include "base/mem.h"
#include "control/checker.h"
#include "upstream/upstream.h"

enum { first_wait_ms_max = 1000 };

struct watch {
	struct watch_config config;
	struct model *model;
	struct checker *checker;
	struct changes *changes;
	struct unwell *unwell;
	struct timer tick;
	struct task follow; // nudges workers at the end of the turn
	u64 published;	    // model_published, of which workers were told
	bool is_left, stopped;
};

u32 watch_count_checked(const struct conf *conf)
{
	u32 count = 0;

	for (u32 i = 0; i < conf->pool_count; i++)
		if (conf->pools[i].check.type != CONF_CHECK_NONE)
			count += conf->pools[i].backend_count;
	return count;
}

u64 watch_first_wait_ms(const struct conf *conf)
{
	u64 longest_ms = 0;

	for (u32 i = 0; i < conf->pool_count; i++)
		if (conf->pools[i].check.type != CONF_CHECK_NONE)
			longest_ms = MAX(longest_ms, conf->pools[i].check.rules.timeout_ms);
	return MIN(longest_ms, (u64)first_wait_ms_max);
}

// ---- Telling workers ----------------------------------------------------------------------------

static void nudge(struct watch *watch)
{
	const struct crowd *crowd = &watch->config.snapshot->slots->crowd;

	for (u32 i = 0; i < crowd->count && !watch->is_left; i++) {
		struct upstream *member = atomic_load(&crowd->members[i]);

		if (member)
			upstream_nudge(member);
	}
}

static void follow(struct task *task)
{
	struct watch *watch = container_of(task, struct watch, follow);

	if (watch->published == model_published(watch->model))
		return;
	watch->published = model_published(watch->model);
	nudge(watch);
}

static void on_change(void *owner, const struct model_change *change)
{
	struct watch *watch = owner;

	changes_note(watch->changes, change);
	loop_defer(watch->config.loop, &watch->follow); // what is told is published
}

// ---- What happens -------------------------------------------------------------------------------

static void on_tick(struct timer *timer)
{
	struct watch *watch = container_of(timer, struct watch, tick);
	struct loop *loop = watch->config.loop;

	if (!model_tick(watch->model, loop_now_ms(loop)))
		nudge(watch); // whoever has not looked since keeps old tables alive
	loop_defer(loop, &watch->follow);
	checker_wake(watch->checker);
	loop_timer_set(loop, timer, loop_now_ms(loop) + MODEL_TICK_MS);
}

static void on_report(struct message *message)
{
	struct report *report = container_of(message, struct report, message);
	struct watch *watch = report->owner;

	if (!watch->stopped) {
		model_report(watch->model, report, loop_now_ms(watch->config.loop));
		checker_wake(watch->checker);
	}
	mem_free(report);
}

struct report_to watch_reports(struct watch *watch)
{
	return (struct report_to){.loop = watch->config.loop, .deliver = on_report, .owner = watch};
}

void watch_resolved(struct watch *watch, const struct backend *backend, bool resolved)
{
	if (watch->stopped)
		return;
	model_resolved(watch->model, backend, resolved, loop_now_ms(watch->config.loop));
	checker_wake(watch->checker);
	loop_defer(watch->config.loop, &watch->follow);
}

bool watch_is_complete(const struct watch *watch)
{
	return model_is_complete(watch->model);
}

void watch_say(const struct watch *watch)
{
	const struct snapshot *snapshot = watch->config.snapshot;
	u32 states[3] = {0}, checked = 0;

	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct model_state *state;

		if (!snapshot->backends[i])
			continue;
		state = model_state(watch->model, snapshot->backends[i]);
		states[state->health.state] += state->checked;
		checked += state->checked;
	}
	if (checked)
		LOG(watch->config.log, LOG_NOTICE, "backends are checked",
			LOG_U64("up", states[HEALTH_UP]), LOG_U64("down", states[HEALTH_DOWN]),
			LOG_U64("unknown", states[HEALTH_UNKNOWN]), LOG_U64("of", checked));
}

// ---- Orders -------------------------------------------------------------------------------------

static void after_order(struct watch *watch)
{
	nudge(watch); // kept connections may have to go, whatever was published
	checker_wake(watch->checker);
	loop_defer(watch->config.loop, &watch->follow);
}

void watch_order(struct watch *watch, struct backend *backend, enum model_order order)
{
	model_give_order(watch->model, backend, order, loop_now_ms(watch->config.loop));
	after_order(watch);
}

void watch_reweigh(struct watch *watch, struct backend *backend, u32 weight)
{
	model_reweigh(watch->model, backend, weight, loop_now_ms(watch->config.loop));
	after_order(watch);
}

void watch_force_breaker(struct watch *watch, struct backend *backend, enum breaker_forced forced)
{
	model_force_breaker(watch->model, backend, forced, loop_now_ms(watch->config.loop));
	after_order(watch);
}

struct model *watch_model(const struct watch *watch)
{
	return watch->model;
}

struct changes *watch_changes(const struct watch *watch)
{
	return watch->changes;
}

struct unwell *watch_unwell(const struct watch *watch)
{
	return watch->unwell;
}

// ---- Life ---------------------------------------------------------------------------------------

struct watch *watch_new(const struct watch_config *config)
{
	struct watch *watch = mem_alloc(sizeof(*watch));
	u64 now_ms = loop_now_ms(config->loop);

	watch->config = *config;
	watch->follow = (struct task){.run = follow};
	timer_init(&watch->tick, on_tick);
	watch->changes = changes_new(config->loop, config->log, config->snapshot);
	watch->model = model_new(config->snapshot, on_change, watch, config->seed, now_ms);
	watch->unwell = unwell_new(
		config->loop, config->log, config->snapshot, watch->model, watch->changes);
	watch->checker =
		checker_new(config->loop, watch->model, config->snapshot, config->probes_max);
	loop_timer_set(config->loop, &watch->tick, now_ms + MODEL_TICK_MS);
	checker_wake(watch->checker);
	return watch;
}

void watch_adopt(struct watch *watch, struct snapshot *snapshot)
{
	changes_adopt(watch->changes, snapshot);
	checker_adopt(watch->checker, snapshot);
	model_adopt(watch->model, snapshot, loop_now_ms(watch->config.loop));
	unwell_adopt(watch->unwell, snapshot);
	watch->config.snapshot = snapshot;
	checker_wake(watch->checker);
	loop_defer(watch->config.loop, &watch->follow);
}

void watch_leave_workers(struct watch *watch)
{
	watch->is_left = true;
}

void watch_stop(struct watch *watch)
{
	watch->stopped = true;
	loop_timer_cancel(watch->config.loop, &watch->tick);
	checker_stop(watch->checker);
}

bool watch_is_idle(const struct watch *watch)
{
	return checker_is_idle(watch->checker) && !watch->follow.next;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	checker_free(watch->checker);
	unwell_free(watch->unwell);
	model_free(watch->model);
	changes_free(watch->changes);
	mem_free(watch);
}
