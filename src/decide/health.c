// SPDX-License-Identifier: Apache-2.0
#include "decide/health.h"

#include "decide/jitter.h"

const char *health_state_name(enum health_state state)
{
	static const char *const names[] = {
		[HEALTH_UNKNOWN] = "unknown", [HEALTH_UP] = "up", [HEALTH_DOWN] = "down"};

	ASSERT((size_t)state < ARRAY_LEN(names));
	return names[state];
}

const char *health_reason_text(enum health_reason reason)
{
	static const char *const texts[HEALTH_REASON_COUNT] = {
#define X(name, text) [HEALTH_##name] = text,
		HEALTH_REASONS(X)
#undef X
	};

	ASSERT(reason < HEALTH_REASON_COUNT);
	return texts[reason];
}

void health_init(struct health *health, u64 now_ms)
{
	*health = (struct health){.next_ms = now_ms, .since_ms = now_ms};
}

static bool last_passed(const struct health *health)
{
	return health->reason == HEALTH_NONE;
}

// A streak runs when the last result speaks against the present state.
static bool is_in_transition(const struct health *health)
{
	return health->streak > 0 && last_passed(health) != (health->state == HEALTH_UP);
}

static void schedule(struct health *health, const struct health_rules *rules,
	const struct health_event *event, u64 now_ms)
{
	bool alone = health->state != HEALTH_UP && !event->pool_has_healthy;
	u64 span = is_in_transition(health) || alone
			   ? MIN(rules->fast_interval_ms, rules->interval_ms)
			   : rules->interval_ms;
	u64 next = health->begun_ms + jitter_shorten(span, rules->jitter_percent, event->random);

	health->next_ms = MAX(next, now_ms);
}

static void set_state(struct health *health, enum health_state state, u64 now_ms)
{
	if (health->state == state)
		return;
	health->state = (u8)state;
	health->since_ms = now_ms;
}

static void judge(struct health *health, const struct health_rules *rules,
	const struct health_event *event, u64 now_ms)
{
	bool passed = event->kind == HEALTH_EVENT_PASS;
	bool same_kind = health->streak > 0 && last_passed(health) == passed;
	u32 needed = passed ? rules->healthy_threshold : rules->unhealthy_threshold;

	health->streak = same_kind && health->streak < UINT32_MAX ? health->streak + 1 : 1;
	health->reason = event->reason;
	health->status = event->reason == HEALTH_STATUS ? event->status : 0;
	if (health->state == HEALTH_UNKNOWN || health->streak >= needed)
		set_state(health, passed ? HEALTH_UP : HEALTH_DOWN, now_ms);
}

// Requests are better evidence than probes: nobody could connect.
static void suspect(struct health *health, const struct health_rules *rules,
	const struct health_event *event, u64 now_ms)
{
	u64 soon = now_ms +
		   jitter_shorten(rules->fast_interval_ms, rules->jitter_percent, event->random);

	health->streak = 1;
	health->reason = event->reason;
	health->status = 0;
	set_state(health, HEALTH_DOWN, now_ms);
	health->next_ms = MIN(health->next_ms, soon);
}

void health_hurry(struct health *health, const struct health_rules *rules, u64 now_ms)
{
	health->next_ms = MIN(health->next_ms, now_ms + rules->fast_interval_ms);
}

struct health_step health_step(struct health *health, const struct health_rules *rules,
	const struct health_event *event, u64 now_ms)
{
	enum health_state from = (enum health_state)health->state;

	ASSERT(rules->healthy_threshold && rules->unhealthy_threshold && rules->timeout_ms);
	switch ((enum health_event_kind)event->kind) {
	case HEALTH_EVENT_BEGIN:
		ASSERT(!health->probing);
		health->probing = true;
		health->begun_ms = now_ms;
		health->deadline_ms = now_ms + rules->timeout_ms;
		break;
	case HEALTH_EVENT_PASS:
	case HEALTH_EVENT_FAIL:
		ASSERT(health->probing);
		ASSERT((event->kind == HEALTH_EVENT_PASS) == (event->reason == HEALTH_NONE));
		health->probing = false;
		judge(health, rules, event, now_ms);
		schedule(health, rules, event, now_ms);
		break;
	case HEALTH_EVENT_SUSPECT:
		ASSERT(event->reason != HEALTH_NONE);
		suspect(health, rules, event, now_ms);
		break;
	}
	return (struct health_step){
		.changed = health->state != from,
		.from = (u8)from,
		.to = health->state,
		.reason = health->reason,
		.streak = health->streak,
		.next_ms = health->next_ms,
	};
}
