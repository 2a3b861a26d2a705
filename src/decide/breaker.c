// SPDX-License-Identifier: Apache-2.0
#include "decide/breaker.h"

const char *breaker_state_name(enum breaker_state state)
{
	static const char *const names[] = {[BREAKER_CLOSED] = "closed",
		[BREAKER_OPEN] = "open",
		[BREAKER_HALF_OPEN] = "half_open"};

	ASSERT((size_t)state < ARRAY_LEN(names));
	return names[state];
}

const char *breaker_cause_text(enum breaker_cause cause)
{
	static const char *const texts[BREAKER_CAUSE_COUNT] = {
#define X(name, text) [BREAKER_##name] = text,
		BREAKER_CAUSES(X)
#undef X
	};

	ASSERT(cause < BREAKER_CAUSE_COUNT);
	return texts[cause];
}

void breaker_init(struct breaker *breaker, u64 now_ms)
{
	*breaker = (struct breaker){.since_ms = now_ms};
}

static struct breaker_step unchanged(const struct breaker *breaker, enum breaker_cause cause)
{
	return (struct breaker_step){false, breaker->state, breaker->state, (u8)cause};
}

static struct breaker_step enter(
	struct breaker *breaker, enum breaker_state state, enum breaker_cause cause, u64 now_ms)
{
	struct breaker_step step = {true, breaker->state, (u8)state, (u8)cause};

	breaker->state = (u8)state;
	breaker->since_ms = now_ms;
	breaker->trials = breaker->passed = 0;
	breaker->epoch++;
	return step;
}

static void forget_counts(struct breaker *breaker)
{
	breaker->in_a_row = 0;
	for (u32 i = 0; i < BREAKER_SLOTS; i++)
		breaker->slots[i].good = breaker->slots[i].bad = 0;
}

static struct breaker_step open_now(struct breaker *breaker, const struct breaker_rules *rules,
	enum breaker_cause cause, u64 now_ms)
{
	u64 span = rules->open_ms;

	for (u32 i = 0; i < breaker->opened && span < rules->open_ms_max; i++)
		span *= 2;
	if (breaker->opened < UINT32_MAX)
		breaker->opened++;
	breaker->until_ms = now_ms + MIN(span, rules->open_ms_max);
	forget_counts(breaker);
	return enter(breaker, BREAKER_OPEN, cause, now_ms);
}

struct breaker_step breaker_tick(
	struct breaker *breaker, const struct breaker_rules *rules, u64 now_ms)
{
	if (breaker->forced != BREAKER_AUTOMATIC)
		return unchanged(breaker, BREAKER_UNCHANGED);
	if (breaker->state == BREAKER_OPEN && now_ms >= breaker->until_ms)
		return enter(breaker, BREAKER_HALF_OPEN, BREAKER_TIME, now_ms);
	// As long closed as it could have been open: what was before is forgiven.
	if (breaker->state == BREAKER_CLOSED && now_ms - breaker->since_ms >= rules->open_ms_max)
		breaker->opened = 0;
	return unchanged(breaker, BREAKER_UNCHANGED);
}

u32 breaker_trials_free(const struct breaker *breaker, const struct breaker_rules *rules)
{
	u32 wanted, room;

	if (breaker->state != BREAKER_HALF_OPEN || breaker->forced != BREAKER_AUTOMATIC)
		return 0;
	ASSERT(breaker->passed < rules->success_threshold);
	wanted = rules->success_threshold - breaker->passed;
	room = MIN(wanted, rules->trials_max);
	return room > breaker->trials ? room - breaker->trials : 0;
}

enum breaker_answer breaker_ask(
	struct breaker *breaker, const struct breaker_rules *rules, u32 *ret_ticket)
{
	*ret_ticket = breaker->epoch;
	if (breaker->state == BREAKER_CLOSED)
		return BREAKER_PASS;
	if (breaker_trials_free(breaker, rules) == 0)
		return BREAKER_REFUSE;
	breaker->trials++;
	return BREAKER_TRIAL;
}

// The slot of this moment, emptied when time has moved on.
static void turn_window(struct breaker *breaker, const struct breaker_rules *rules, u64 now_ms)
{
	u64 now_slot = now_ms * BREAKER_SLOTS / MAX(rules->window_ms, (u64)1);
	u64 passed;

	if (now_slot == breaker->slot)
		return;
	// A smaller number: the window was made longer, and the old slots mean nothing.
	passed = now_slot > breaker->slot ? now_slot - breaker->slot : BREAKER_SLOTS;
	passed = MIN(passed, (u64)BREAKER_SLOTS);
	for (u64 i = 0; i < passed; i++) {
		u64 at = (now_slot - i) % BREAKER_SLOTS;

		breaker->slots[at].good = breaker->slots[at].bad = 0;
	}
	breaker->slot = now_slot;
}

static bool is_share_too_large(const struct breaker *breaker, const struct breaker_rules *rules)
{
	u64 good = 0, bad = 0;

	for (u32 i = 0; i < BREAKER_SLOTS; i++) {
		good += breaker->slots[i].good;
		bad += breaker->slots[i].bad;
	}
	return rules->error_percent && bad && good + bad >= rules->requests_min &&
	       bad * 100 >= (good + bad) * rules->error_percent;
}

static u32 add_capped(u32 a, u32 b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static struct breaker_step count_closed(struct breaker *breaker, const struct breaker_rules *rules,
	const struct share *share, const struct breaker_counts *counts, u64 now_ms)
{
	enum breaker_cause cause = BREAKER_UNCHANGED;
	u32 *good, *bad;

	turn_window(breaker, rules, now_ms);
	good = &breaker->slots[breaker->slot % BREAKER_SLOTS].good;
	bad = &breaker->slots[breaker->slot % BREAKER_SLOTS].bad;
	*good = add_capped(*good, counts->good);
	*bad = add_capped(*bad, counts->bad);
	breaker->in_a_row =
		counts->good ? counts->bad_at_the_end : add_capped(breaker->in_a_row, counts->bad);
	if (counts->bad == 0)
		return unchanged(breaker, BREAKER_UNCHANGED);
	if (rules->failure_threshold && breaker->in_a_row >= rules->failure_threshold)
		cause = BREAKER_IN_A_ROW;
	else if (is_share_too_large(breaker, rules))
		cause = BREAKER_ERROR_SHARE;
	if (cause == BREAKER_UNCHANGED)
		return unchanged(breaker, BREAKER_UNCHANGED);
	if (!share_has_room(share, rules->share_percent))
		return unchanged(breaker, BREAKER_NO_ROOM);
	return open_now(breaker, rules, cause, now_ms);
}

static struct breaker_step count_trials(struct breaker *breaker, const struct breaker_rules *rules,
	const struct breaker_counts *counts, u64 now_ms)
{
	u32 ended = counts->trials_good + counts->trials_bad + counts->trials_void;

	breaker->trials += counts->trials_begun;
	ASSERT(ended <= breaker->trials);
	breaker->trials -= ended;
	breaker->passed += counts->trials_good;
	if (counts->trials_bad)
		return open_now(breaker, rules, BREAKER_TRIAL_BAD, now_ms);
	if (breaker->passed < rules->success_threshold)
		return unchanged(breaker, BREAKER_UNCHANGED);
	return enter(breaker, BREAKER_CLOSED, BREAKER_TRIALS_GOOD, now_ms);
}

struct breaker_step breaker_apply(struct breaker *breaker, const struct breaker_rules *rules,
	const struct share *share, const struct breaker_counts *counts, u64 now_ms)
{
	ASSERT(rules->success_threshold && rules->trials_max);
	ASSERT(rules->open_ms && rules->open_ms <= rules->open_ms_max);
	ASSERT(counts->bad_at_the_end <= counts->bad);
	if (breaker->forced != BREAKER_AUTOMATIC)
		return unchanged(breaker, BREAKER_UNCHANGED);
	switch ((enum breaker_state)breaker->state) {
	case BREAKER_CLOSED:
		return count_closed(breaker, rules, share, counts, now_ms);
	case BREAKER_HALF_OPEN:
		return count_trials(breaker, rules, counts, now_ms);
	case BREAKER_OPEN:
		break;
	}
	return unchanged(breaker, BREAKER_UNCHANGED);
}

struct breaker_step breaker_done(struct breaker *breaker, const struct breaker_rules *rules,
	const struct share *share, u32 ticket, enum breaker_outcome outcome, u64 now_ms)
{
	struct breaker_counts counts = {0};
	bool is_trial = breaker->state == BREAKER_HALF_OPEN;

	if (ticket != breaker->epoch)
		return unchanged(breaker, BREAKER_UNCHANGED);
	switch (outcome) {
	case BREAKER_GOOD:
		counts.good = !is_trial;
		counts.trials_good = is_trial;
		break;
	case BREAKER_BAD:
		counts.bad = counts.bad_at_the_end = !is_trial;
		counts.trials_bad = is_trial;
		break;
	case BREAKER_VOID:
		counts.trials_void = is_trial;
		break;
	}
	return breaker_apply(breaker, rules, share, &counts, now_ms);
}

struct breaker_step breaker_force(struct breaker *breaker, enum breaker_forced forced, u64 now_ms)
{
	enum breaker_state state = forced == BREAKER_FORCED_OPEN ? BREAKER_OPEN : BREAKER_CLOSED;

	breaker->forced = (u8)forced;
	breaker->opened = 0;
	forget_counts(breaker);
	if (breaker->state == state)
		return unchanged(breaker, BREAKER_FORCED);
	return enter(breaker, state, BREAKER_FORCED, now_ms);
}
