// SPDX-License-Identifier: Apache-2.0
// Properties of the rules about failure over many seeds, each held against a slow and simple model:
// what a budget, a breaker, a health check, an ejection, a queue and a table promise holds whatever
// happens in whatever order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "decide/breaker.h"
#include "decide/client_cap.h"
#include "decide/ejection.h"
#include "decide/eligible.h"
#include "decide/gradient.h"
#include "decide/health.h"
#include "decide/latency.h"
#include "decide/retry.h"
#include "decide/waiters.h"

enum { seeds = 1000 };

// "at seed N" in front of a failure.
#define SEEDED(seed, condition)                                                               \
	do {                                                                                  \
		if (!(condition))                                                             \
			fail_msg("at seed %llu: %s", (unsigned long long)(seed), #condition); \
	} while (0)

static u32 between(struct rng *rng, u32 low, u32 high)
{
	return low + rng_below(rng, high - low + 1);
}

static u32 bits(struct rng *rng)
{
	return (u32)rng_u64(rng);
}

// ---- Budget -------------------------------------------------------------------------------------

enum { moments_max = 400 };

// Everything that ever happened to a budget.
struct diary {
	u64 at_ms[moments_max];
	u32 requests[moments_max], taken[moments_max];
	u32 count;
};

static u64 sum_since(const struct diary *diary, const u32 *what, u64 now_ms, u64 span_ms)
{
	u64 sum = 0;

	for (u32 i = 0; i < diary->count; i++)
		if (diary->at_ms[i] + span_ms > now_ms)
			sum += what[i];
	return sum;
}

static u64 allowed(const struct budget_rules *rules, u64 requests)
{
	return MAX((u64)rules->least, requests * rules->percent / 100);
}

static void check_take(const struct diary *diary, const struct budget_rules *rules, bool given,
	u64 now_ms, u64 seed)
{
	u64 window = rules->window_ms, slot = (window + BUDGET_SLOTS - 1) / BUDGET_SLOTS;
	u64 taken, requests = 0;

	if (given) {
		taken = sum_since(diary, diary->taken, now_ms, window);
		requests = sum_since(diary, diary->requests, now_ms, window);
		SEEDED(seed, taken <= allowed(rules, requests));
		return;
	}
	// Refused: then all slots together were full by what the whole slots in the window had
	// seen.
	taken = sum_since(diary, diary->taken, now_ms, (BUDGET_SLOTS + 1) * slot);
	if (window > 2 * slot)
		requests = sum_since(diary, diary->requests, now_ms, window - 2 * slot);
	SEEDED(seed, taken >= allowed(rules, requests));
}

static void no_budget_is_exceeded_in_any_window(void **state)
{
	u64 given = 0, refused = 0;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct diary diary = {0};
		struct budget budget = {0};
		struct budget_rules rules;
		struct rng rng;
		u64 now_ms;

		rng_init(&rng, seed);
		rules.percent = between(&rng, 0, 100);
		rules.least = between(&rng, 0, 12);
		rules.window_ms = between(&rng, 1, rng_one_in(&rng, 4) ? 50 : 10000);
		now_ms = bits(&rng);
		for (; diary.count < moments_max;
			now_ms +=
			rng_one_in(&rng, 3) ? 0 : between(&rng, 0, (u32)rules.window_ms / 15 + 1)) {
			u32 requests = rng_one_in(&rng, 3) ? between(&rng, 1, 40) : 0;
			bool yes;

			budget_note(&budget, &rules, requests, now_ms);
			yes = budget_take(&budget, &rules, now_ms);
			diary.at_ms[diary.count] = now_ms;
			diary.requests[diary.count] = requests;
			diary.taken[diary.count++] = yes;
			check_take(&diary, &rules, yes, now_ms, seed);
			given += yes;
			refused += !yes;
		}
	}
	assert_true(given > seeds * 10 && refused > seeds * 10);
}

// ---- Breaker ------------------------------------------------------------------------------------

enum { running_max = 12, breaker_steps = 600 };

struct call {
	u32 ticket, generation; // generation: how many changes of state there were before it
	bool is_trial;
};

// The breaker as one would write it down: all that counts, in plain numbers.
struct breaker_model {
	struct call running[running_max];
	u32 count, generation, trials, passed, in_a_row;
};

static void note_step(
	struct breaker_model *model, struct breaker_step step, const struct breaker *breaker)
{
	if (!step.changed)
		return;
	model->generation++;
	model->trials = model->passed = model->in_a_row = 0;
	assert_int_equal(step.to, breaker->state);
	assert_int_not_equal(step.from, step.to);
}

static void begin_call(struct breaker_model *model, struct breaker *breaker,
	const struct breaker_rules *rules, u64 seed)
{
	struct call *call = &model->running[model->count];
	enum breaker_answer answer;

	if (model->count == running_max)
		return;
	answer = breaker_ask(breaker, rules, &call->ticket);
	SEEDED(seed, (answer == BREAKER_PASS) == (breaker->state == BREAKER_CLOSED));
	if (breaker->state == BREAKER_HALF_OPEN) {
		bool room = model->trials < rules->trials_max &&
			    model->trials + model->passed < rules->success_threshold;

		SEEDED(seed, (answer == BREAKER_TRIAL) == room);
	}
	if (answer == BREAKER_REFUSE)
		return;
	call->is_trial = answer == BREAKER_TRIAL;
	call->generation = model->generation;
	model->trials += call->is_trial;
	model->count++;
	SEEDED(seed, model->trials <= rules->trials_max);
}

static void end_call(struct breaker_model *model, struct breaker *breaker,
	const struct breaker_rules *rules, const struct share *share, struct rng *rng,
	u32 bad_percent, u64 now_ms, u64 seed)
{
	u32 at = rng_below(rng, model->count);
	struct call call = model->running[at];
	enum breaker_outcome outcome = rng_one_in(rng, 8)		     ? BREAKER_VOID
				       : between(rng, 1, 100) <= bad_percent ? BREAKER_BAD
									     : BREAKER_GOOD;
	enum breaker_state before = (enum breaker_state)breaker->state;
	struct breaker_step step;

	model->running[at] = model->running[--model->count];
	step = breaker_done(breaker, rules, share, call.ticket, outcome, now_ms);
	if (call.generation != model->generation) {
		SEEDED(seed, !step.changed && step.cause == BREAKER_UNCHANGED);
		return;
	}
	if (call.is_trial) {
		model->trials--;
		model->passed += outcome == BREAKER_GOOD;
		SEEDED(seed, step.changed == (outcome == BREAKER_BAD ||
						     model->passed == rules->success_threshold));
	} else if (outcome != BREAKER_VOID) {
		model->in_a_row = outcome == BREAKER_BAD ? model->in_a_row + 1 : 0;
		if (rules->error_percent == 0)
			SEEDED(seed, step.changed ==
					     (model->in_a_row >= rules->failure_threshold &&
						     share_has_room(share, rules->share_percent)));
	}
	if (before == BREAKER_CLOSED && step.changed)
		SEEDED(seed, outcome == BREAKER_BAD && share_has_room(share, rules->share_percent));
	note_step(model, step, breaker);
}

static struct breaker_rules random_breaker(struct rng *rng)
{
	struct breaker_rules rules = {
		.failure_threshold = between(rng, 1, 6),
		.success_threshold = between(rng, 1, 5),
		.trials_max = between(rng, 1, 4),
		.open_ms = between(rng, 1, 500),
		.share_percent = 50,
	};

	rules.open_ms_max = rules.open_ms * between(rng, 1, 9);
	if (rng_one_in(rng, 2)) {
		rules.error_percent = between(rng, 1, 100);
		rules.requests_min = between(rng, 1, 20);
		rules.window_ms = between(rng, 1, 2000);
	}
	return rules;
}

static void a_breaker_lets_no_more_than_its_trials_through(void **state)
{
	u32 reached[3] = {0};

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct breaker_model model = {0};
		struct breaker_rules rules;
		struct breaker breaker;
		struct rng rng;
		u64 now_ms;
		u32 bad_percent;

		rng_init(&rng, seed);
		rules = random_breaker(&rng);
		now_ms = bits(&rng);
		bad_percent = between(&rng, 5, 80);
		breaker_init(&breaker, now_ms);
		for (int i = 0; i < breaker_steps; i++, now_ms += rng_below(&rng, 40)) {
			struct share share = {.total = 4, .ejected = rng_below(&rng, 3)};
			bool due = breaker.state == BREAKER_OPEN && now_ms >= breaker.until_ms;
			struct breaker_step step = breaker_tick(&breaker, &rules, now_ms);

			SEEDED(seed, step.changed == due);
			note_step(&model, step, &breaker);
			if (model.count && rng_one_in(&rng, 2))
				end_call(&model, &breaker, &rules, &share, &rng, bad_percent,
					now_ms, seed);
			else
				begin_call(&model, &breaker, &rules, seed);
			SEEDED(seed,
				breaker.state != BREAKER_OPEN ||
					breaker.until_ms - breaker.since_ms <= rules.open_ms_max);
			reached[breaker.state]++;
		}
	}
	for (int i = 0; i < 3; i++)
		assert_true(reached[i] > seeds * 10);
}

// ---- Health and ejections -----------------------------------------------------------------------

static void health_never_flips_before_its_threshold(void **state)
{
	u32 flips = 0;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct health_rules rules;
		struct health health;
		struct rng rng;
		u32 streak = 0;
		bool last = false, first = true;

		rng_init(&rng, seed);
		rules = (struct health_rules){.healthy_threshold = between(&rng, 1, 5),
			.unhealthy_threshold = between(&rng, 1, 5),
			.interval_ms = between(&rng, 1, 10000),
			.fast_interval_ms = between(&rng, 1, 2000),
			.timeout_ms = between(&rng, 1, 3000),
			.jitter_percent = between(&rng, 0, 100)};
		health_init(&health, bits(&rng));
		for (int i = 0; i < 100; i++) {
			u64 begun_ms = health.next_ms, took_ms;
			struct health_event event = {.kind = HEALTH_EVENT_BEGIN};
			bool passes = rng_below(&rng, 3) > 0;
			struct health_step step;

			took_ms = rng_below(&rng, (u32)rules.timeout_ms + 1);
			SEEDED(seed, health_is_due(&health, begun_ms));
			(void)health_step(&health, &rules, &event, begun_ms);
			event = (struct health_event){
				.kind = passes ? HEALTH_EVENT_PASS : HEALTH_EVENT_FAIL,
				.reason = passes ? HEALTH_NONE : HEALTH_RESPONSE_TIMEOUT,
				.pool_has_healthy = rng_one_in(&rng, 2),
				.random = bits(&rng)};
			step = health_step(&health, &rules, &event, begun_ms + took_ms);
			streak = !first && passes == last ? streak + 1 : 1;
			SEEDED(seed, step.streak == streak);
			SEEDED(seed, !step.changed || first ||
					     streak >= (passes ? rules.healthy_threshold
							       : rules.unhealthy_threshold));
			SEEDED(seed,
				!step.changed || step.to == (passes ? HEALTH_UP : HEALTH_DOWN));
			SEEDED(seed,
				streak < MAX(rules.healthy_threshold, rules.unhealthy_threshold) ||
					step.to == (passes ? HEALTH_UP : HEALTH_DOWN));
			SEEDED(seed, step.next_ms >= begun_ms + took_ms);
			SEEDED(seed,
				step.next_ms <=
					begun_ms + MAX(took_ms, MAX(rules.interval_ms,
									rules.fast_interval_ms)));
			flips += step.changed;
			last = passes;
			first = false;
		}
	}
	assert_true(flips > seeds * 5);
}

enum { backends_max = 20 };

// Several backends of one pool, each with both ways of being taken out.
struct pool_model {
	struct ejection ejections[backends_max];
	struct breaker breakers[backends_max];
	struct share share;
};

static void count_out(struct pool_model *pool)
{
	pool->share.ejected = pool->share.down = 0;
	for (u32 i = 0; i < pool->share.total; i++) {
		bool refuses = pool->ejections[i].why == EJECTION_CONNECT;

		pool->share.down += refuses;
		pool->share.ejected += !refuses && (ejection_is_out(&pool->ejections[i]) ||
							   breaker_is_out(&pool->breakers[i]));
	}
}

static void judge_one(struct pool_model *pool, const struct ejection_rules *rules,
	const struct breaker_rules *breaker_rules, struct rng *rng, u64 now_ms, u64 seed)
{
	struct breaker_counts counts = {.bad = 1, .bad_at_the_end = 1};
	u32 at = rng_below(rng, pool->share.total);
	struct ejection *ejection = &pool->ejections[at];
	struct breaker *breaker = &pool->breakers[at];
	enum ejection_why why = EJECTION_CONNECT + rng_below(rng, 4);
	bool counts_already = breaker_is_out(breaker) || ejection_is_out(ejection);

	(void)ejection_tick(ejection, rules, now_ms);
	(void)breaker_tick(breaker, breaker_rules, now_ms);
	count_out(pool);
	// Out for one reason already: a second one takes nothing more from the pool.
	if (counts_already && (breaker_is_out(breaker) || ejection_is_out(ejection)))
		return;
	if (rng_one_in(rng, 2)) {
		if (breaker->state == BREAKER_CLOSED)
			(void)breaker_apply(breaker, breaker_rules, &pool->share, &counts, now_ms);
		return;
	}
	if (ejection_begin(ejection, rules, &pool->share, why, bits(rng), now_ms)) {
		u64 span = ejection->until_ms - now_ms;
		u64 longest = MIN(rules->base_ms * ejection->times, rules->max_ms);

		SEEDED(seed, span <= longest && longest <= rules->max_ms);
		SEEDED(seed, span >= longest - longest * rules->jitter_percent / 100);
	}
}

static void no_more_than_the_share_is_ejected(void **state)
{
	u32 full = 0;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct pool_model pool = {0};
		struct breaker_rules breaker_rules;
		struct ejection_rules rules;
		struct rng rng;
		u64 now_ms;

		rng_init(&rng, seed);
		breaker_rules = random_breaker(&rng);
		rules = (struct ejection_rules){.base_ms = between(&rng, 1, 1000),
			.jitter_percent = between(&rng, 0, 100),
			.share_percent = between(&rng, 0, 100)};
		rules.max_ms = rules.base_ms * between(&rng, 1, 10);
		breaker_rules.share_percent = rules.share_percent;
		pool.share.total = between(&rng, 1, backends_max);
		now_ms = bits(&rng);
		for (int i = 0; i < 300; i++, now_ms += rng_below(&rng, 100)) {
			judge_one(&pool, &rules, &breaker_rules, &rng, now_ms, seed);
			count_out(&pool);
			SEEDED(seed, (u64)pool.share.ejected * 100 <=
					     (u64)pool.share.total * rules.share_percent);
			full += !share_has_room(&pool.share, rules.share_percent) &&
				pool.share.ejected;
		}
	}
	assert_true(full > seeds * 10);
}

static struct eligible_facts random_backend(struct rng *rng)
{
	return (struct eligible_facts){
		.enabled = rng_below(rng, 8) > 0,
		.draining = rng_one_in(rng, 8),
		.held_open = rng_one_in(rng, 8),
		.resolved = rng_below(rng, 8) > 0,
		.checked = rng_below(rng, 4) > 0,
		.backup = rng_one_in(rng, 4),
		.health = (u8)rng_below(rng, 3),
		.ejection = (u8)(rng_one_in(rng, 2) ? 0 : rng_below(rng, 5)),
		.breaker = (u8)(rng_one_in(rng, 2) ? 0 : rng_below(rng, 3)),
	};
}

static bool can_answer(const struct eligible_facts *facts)
{
	return facts->enabled && !facts->draining && !facts->held_open && facts->resolved &&
	       !(facts->checked && facts->health == HEALTH_DOWN) &&
	       facts->ejection != EJECTION_CONNECT;
}

static bool is_spotless(const struct eligible_facts *facts)
{
	return can_answer(facts) && !facts->backup && facts->ejection == EJECTION_NONE &&
	       facts->breaker == BREAKER_CLOSED && (!facts->checked || facts->health == HEALTH_UP);
}

static void only_those_who_can_answer_get_requests(void **state)
{
	u32 panics = 0, stand_ins = 0;

	(void)state;
	for (u64 seed = 1; seed <= 20 * seeds; seed++) {
		struct eligible_facts facts[backends_max];
		struct eligible_pool pool;
		struct rng rng;
		u8 why[backends_max];
		u32 count, in = 0, spotless = 0;

		rng_init(&rng, seed);
		count = rng_below(&rng, rng_one_in(&rng, 2) ? 5 : backends_max + 1);
		for (u32 i = 0; i < count; i++)
			facts[i] = random_backend(&rng);
		pool = eligible_judge(facts, count, rng_below(&rng, 101), why);
		for (u32 i = 0; i < count; i++) {
			bool is_in = eligible_is_in((enum eligible_why)why[i]);

			in += is_in;
			spotless += is_spotless(&facts[i]);
			SEEDED(seed, !is_in || can_answer(&facts[i]));
			SEEDED(seed, is_in || !is_spotless(&facts[i]));
			SEEDED(seed, why[i] != ELIGIBLE_PANIC || pool.panic);
			SEEDED(seed, why[i] != ELIGIBLE_OK ||
					     (facts[i].ejection == EJECTION_NONE &&
						     facts[i].breaker == BREAKER_CLOSED));
			stand_ins += is_in && facts[i].backup;
		}
		SEEDED(seed, in == pool.eligible);
		for (u32 i = 0; i < count; i++)
			SEEDED(seed, !spotless || !facts[i].backup ||
					     !eligible_is_in((enum eligible_why)why[i]));
		panics += pool.panic;
	}
	assert_true(panics > seeds && stand_ins > seeds);
}

// ---- Retries ------------------------------------------------------------------------------------

static struct retry_facts random_facts(struct rng *rng, u64 now_ms)
{
	struct retry_facts facts = {
		.cause = (u8)rng_below(rng, RETRY_CAUSE_COUNT),
		.status = (u16)between(rng, 500, 505),
		.attempts = between(rng, 1, 5),
		.backoffs = rng_below(rng, 8),
		.others = rng_below(rng, 3),
		.sent = rng_below(rng, 4) > 0,
		.answer_begun = rng_one_in(rng, 5),
		.idempotent = rng_below(rng, 3) > 0,
		.has_body = rng_one_in(rng, 2),
		.body_held = rng_one_in(rng, 2),
		.replayed = rng_one_in(rng, 2),
		.deadline_ms = rng_one_in(rng, 3) ? now_ms + rng_below(rng, 400) : UINT64_MAX,
	};

	return facts;
}

static void nothing_is_sent_again_that_must_not_be(void **state)
{
	u32 yes = 0, replays = 0;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct budget budget = {0};
		struct retry_rules rules = {.status_count = 1, .statuses = {503}};
		struct rng rng;

		rng_init(&rng, seed);
		rules.attempts_max = between(&rng, 1, 4);
		rules.causes = rng_below(&rng, 8);
		rules.any_method = rng_one_in(&rng, 4);
		rules.has_budget = rng_one_in(&rng, 2);
		rules.backoff_base_ms = rng_below(&rng, 200);
		rules.backoff_max_ms = rules.backoff_base_ms + rng_below(&rng, 1000);
		rules.budget = (struct budget_rules){20, between(&rng, 0, 10), 10000};
		for (u64 now_ms = 1000; now_ms < 1100; now_ms++) {
			struct retry_facts facts = random_facts(&rng, now_ms);
			u32 left = budget_left(&budget, &rules.budget, now_ms), after;
			struct retry_answer answer =
				retry_ask(&rules, &budget, &facts, bits(&rng), now_ms);

			after = budget_left(&budget, &rules.budget, now_ms);
			SEEDED(seed, answer.verdict == RETRY_GIVE_UP ||
					     answer.verdict == RETRY_REPLAY ||
					     retry_could_follow(&rules, &facts));
			SEEDED(seed, answer.verdict != RETRY_GIVE_UP ||
					     answer.reason == RETRY_BECAUSE_NO_TIME ||
					     answer.reason == RETRY_BECAUSE_NO_BUDGET ||
					     !retry_could_follow(&rules, &facts));
			SEEDED(seed, (answer.verdict == RETRY_GIVE_UP) ==
					     (answer.reason != RETRY_BECAUSE_OK));
			if (answer.verdict == RETRY_GIVE_UP) {
				SEEDED(seed, after == left);
				continue;
			}
			yes++;
			SEEDED(seed, !facts.answer_begun);
			SEEDED(seed, !facts.sent || facts.idempotent || rules.any_method ||
					     facts.cause == RETRY_NOT_PROCESSED ||
					     facts.cause == RETRY_CONNECT);
			SEEDED(seed, !facts.sent || !facts.has_body || facts.body_held);
			SEEDED(seed, answer.delay_ms < facts.deadline_ms - now_ms);
			if (answer.verdict == RETRY_REPLAY) {
				SEEDED(seed, facts.cause == RETRY_STALE && !facts.replayed);
				SEEDED(seed, answer.delay_ms == 0 && after == left);
				replays++;
				continue;
			}
			SEEDED(seed, facts.attempts < rules.attempts_max);
			SEEDED(seed, (answer.verdict == RETRY_ANOTHER) == (facts.others > 0));
			SEEDED(seed, left - after ==
					     (rules.has_budget &&
						     (facts.sent || facts.cause != RETRY_CONNECT)));
			SEEDED(seed, answer.delay_ms <=
					     MIN(rules.backoff_max_ms,
						     rules.backoff_base_ms << facts.backoffs));
		}
	}
	assert_true(yes > seeds * 5 && replays > seeds);
}

static void backoff_is_spread_over_its_whole_range(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds / 10; seed++) {
		struct retry_rules rules = {0};
		struct rng rng;
		u64 bound, sum = 0;
		u32 backoffs;

		rng_init(&rng, seed);
		rules.backoff_base_ms = between(&rng, 10, 1000);
		rules.backoff_max_ms = between(&rng, 1000, 20000);
		backoffs = rng_below(&rng, 12);
		bound = MIN(rules.backoff_max_ms, rules.backoff_base_ms << backoffs);
		for (int i = 0; i < 1000; i++) {
			u64 delay = retry_backoff_ms(&rules, backoffs, bits(&rng));

			SEEDED(seed, delay > 0 && delay <= bound);
			sum += delay;
		}
		// Mean of 1,000 uniform draws: five sigmas are 4.6 % of the bound.
		SEEDED(seed, sum > bound * 450 && sum < bound * 550 + 1000);
	}
}

// ---- Queues and tables --------------------------------------------------------------------------

enum { waiters_max = 30 };

static void the_queue_keeps_its_order(void **state)
{
	u32 served = 0;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct waiter all[waiters_max];
		struct waiters waiters;
		struct rng rng;
		u32 model[waiters_max], count = 0, count_max;
		u64 now_ms = 0;

		rng_init(&rng, seed);
		count_max = between(&rng, 0, waiters_max);
		waiters_init(&waiters, now_ms);
		for (u32 i = 0; i < waiters_max; i++)
			waiter_init(&all[i]);
		for (int i = 0; i < 300; i++, now_ms += rng_below(&rng, 10)) {
			u32 who = rng_below(&rng, waiters_max), at = 0;

			while (at < count && model[at] != who)
				at++;
			if (rng_one_in(&rng, 2) && at == count) {
				bool in = waiters_push(&waiters, &all[who], count_max,
					now_ms + between(&rng, 1, 200), now_ms);

				SEEDED(seed, in == (count < count_max));
				if (in)
					model[count++] = who;
				continue;
			}
			if (rng_one_in(&rng, 3)) {
				waiters_leave(&waiters, &all[who], now_ms);
			} else {
				struct waiter *first = waiters_next(&waiters, NULL, now_ms);

				if (first)
					waiters_leave(&waiters, first, now_ms);
				for (at = 0; at < count && all[model[at]].deadline_ms <= now_ms;)
					at++;
				SEEDED(seed, first == (at < count ? &all[model[at]] : NULL));
				served += first != NULL;
			}
			for (; at + 1 < count; at++)
				model[at] = model[at + 1];
			count = waiters.count;
		}
	}
	assert_true(served > seeds * 10);
}

enum { clients = 40, table_slots = 64 };

static void a_clients_count_is_right_whatever_comes_and_goes(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct client_slot slots[table_slots];
		struct client_cap cap;
		struct rng rng;
		u32 counts[clients] = {0}, max, used = 0;

		rng_init(&rng, seed);
		max = between(&rng, 1, 4);
		client_cap_init(&cap, slots, table_slots, seed);
		for (int i = 0; i < 500; i++) {
			u32 who = rng_below(&rng, clients);
			struct client_key key = {.network = who / 2, .family = who % 2 + ADDR_V4};

			if (rng_one_in(&rng, 2)) {
				enum client_cap_answer answer = client_cap_take(&cap, &key, max);

				SEEDED(seed, answer == (counts[who] < max ? CLIENT_CAP_OK
									  : CLIENT_CAP_REFUSED));
				counts[who] += answer == CLIENT_CAP_OK;
			} else if (counts[who]) {
				client_cap_give(&cap, &key);
				counts[who]--;
			}
		}
		for (u32 who = 0; who < clients; who++) {
			struct client_key key = {.network = who / 2, .family = who % 2 + ADDR_V4};

			SEEDED(seed, client_cap_count(&cap, &key) == counts[who]);
			used += counts[who] > 0;
		}
		SEEDED(seed, cap.used == used);
	}
}

// ---- Estimates ----------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
	u64 left = *(const u64 *)a, right = *(const u64 *)b;

	return left < right ? -1 : left > right;
}

static void quantiles_are_within_an_eighth(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct latency latency = {0};
		struct rng rng;
		u64 values[500];
		u32 permille, rank;
		u64 estimate;

		rng_init(&rng, seed);
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			values[i] = rng_u64(&rng) >> between(&rng, 36, 60);
			latency_add(&latency, values[i]);
		}
		qsort(values, ARRAY_LEN(values), sizeof(values[0]), compare);
		permille = between(&rng, 1, 1000);
		rank = (permille * (u32)ARRAY_LEN(values) + 999) / 1000;
		estimate = latency_quantile(&latency, permille);
		SEEDED(seed, estimate >= values[rank - 1]);
		SEEDED(seed, estimate <= values[rank - 1] + values[rank - 1] / 8 + 7);
	}
}

static void an_adaptive_limit_keeps_its_bounds(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		struct gradient_rules rules;
		struct gradient gradient;
		struct rng rng;

		rng_init(&rng, seed);
		rules.limit_min = between(&rng, 1, 50);
		rules.limit_start = rules.limit_min + rng_below(&rng, 50);
		rules.limit_max = rules.limit_start + rng_below(&rng, 500);
		gradient_init(&gradient, &rules);
		for (int i = 0; i < 200; i++) {
			u32 limit;

			gradient_note(&gradient, &rules, rng_u64(&rng) >> between(&rng, 30, 64 - 1),
				rng_below(&rng, 600));
			limit = gradient_limit(&gradient);
			SEEDED(seed, limit >= rules.limit_min && limit <= rules.limit_max);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_budget_is_exceeded_in_any_window),
		cmocka_unit_test(a_breaker_lets_no_more_than_its_trials_through),
		cmocka_unit_test(health_never_flips_before_its_threshold),
		cmocka_unit_test(no_more_than_the_share_is_ejected),
		cmocka_unit_test(only_those_who_can_answer_get_requests),
		cmocka_unit_test(nothing_is_sent_again_that_must_not_be),
		cmocka_unit_test(backoff_is_spread_over_its_whole_range),
		cmocka_unit_test(the_queue_keeps_its_order),
		cmocka_unit_test(a_clients_count_is_right_whatever_comes_and_goes),
		cmocka_unit_test(quantiles_are_within_an_eighth),
		cmocka_unit_test(an_adaptive_limit_keeps_its_bounds),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
