// SPDX-License-Identifier: Apache-2.0
#include "control/throng.h"

enum { second_ms = 1000 };

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static void tell(struct throng *throng, struct throng_held *held)
{
	u32 count = held->count;

	held->count = 0;
	if (count)
		throng->tell(throng, &held->last, count, held->is_same);
}

static void tell_all(struct throng *throng)
{
	loop_timer_cancel(throng->loop, &throng->timer);
	for (u32 i = 0; i < throng->held_count; i++)
		tell(throng, &throng->held[i]);
	throng->held_count = 0;
}

static void on_timer(struct timer *timer)
{
	tell_all(container_of(timer, struct throng, timer));
}

void throng_init(
	struct throng *throng, struct loop *loop, u32 backends, u32 known, throng_tell_fn *tell_fn)
{
	*throng = (struct throng){
		.loop = loop, .tell = tell_fn, .backends = backends, .first = known};
	timer_init(&throng->timer, on_timer);
}

void throng_done(struct throng *throng)
{
	tell_all(throng);
}

static bool is_first(const struct model_change *change)
{
	return change->kind == MODEL_HEALTH && is(change->from, "unknown");
}

// Where those like it are held; NULL: nowhere yet.
static struct throng_held *find(struct throng *throng, const struct model_change *change)
{
	for (u32 i = 0; i < throng->held_count; i++) {
		const struct model_change *last = &throng->held[i].last;

		if (last->kind == change->kind && is(last->to, change->to) &&
			is_first(last) == is_first(change))
			return &throng->held[i];
	}
	return NULL;
}

static bool hold(struct throng *throng, struct throng_held *held, const struct model_change *change)
{
	if (!held) {
		if (throng->held_count == THRONG_KINDS)
			return false;
		held = &throng->held[throng->held_count++];
		*held = (struct throng_held){.is_same = true, .last = *change};
	}
	held->is_same &=
		is(held->last.reason, change->reason) && held->last.status == change->status;
	held->last = *change;
	held->count++;
	if (!timer_is_set(&throng->timer))
		loop_timer_set(
			throng->loop, &throng->timer, loop_now_ms(throng->loop) + THRONG_HOLD_MS);
	return true;
}

static bool may_stand_alone(struct throng *throng)
{
	u64 now_ms = loop_now_ms(throng->loop);

	if (now_ms - throng->second_ms >= second_ms) {
		throng->second_ms = now_ms;
		throng->single = 0;
	}
	return throng->single++ < THRONG_SINGLE_MAX;
}

bool throng_holds(struct throng *throng, const struct model_change *change)
{
	bool first = is_first(change), holds;
	struct throng_held *held = find(throng, change);

	if (first && is(change->to, "up"))
		holds = hold(throng, held, change);
	else
		holds = (held || !may_stand_alone(throng)) && hold(throng, held, change);
	if (first && ++throng->first >= throng->backends)
		tell_all(throng);
	return holds;
}
