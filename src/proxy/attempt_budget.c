// SPDX-License-Identifier: Apache-2.0
// How much of a pool's requests may be sent again (decide/budget.h). The budget is one for all
// workers, under a lock; who is asked often keeps out of it, and tells it of its requests once in a
// slot of time, or when it asks.
#include "proxy/attempt_parts.h"

static void lock_budget(struct pool *pool)
{
	while (atomic_flag_test_and_set_explicit(&pool->budget_lock, memory_order_acquire))
		;
}

static void unlock_budget(struct pool *pool)
{
	atomic_flag_clear_explicit(&pool->budget_lock, memory_order_release);
}

static const struct budget_rules *budget_rules_of(const struct pool *pool)
{
	return &pool->conf->retry.rules.budget;
}

// A route may say how much, but over how long is the pool's.
static struct budget_rules budget_rules_for(const struct exchange *x)
{
	struct budget_rules rules = x->retry->rules.budget;

	rules.window_ms = budget_rules_of(x->pool)->window_ms;
	return rules;
}

// Under the lock: the budget hears of this worker's requests since the last time.
static void note_requests(struct picker *picker)
{
	u64 growth = picker->shared->requests - picker->noted;

	if (growth)
		budget_note_at(&picker->pool->budget, budget_rules_of(picker->pool),
			(u32)MIN(growth, (u64)UINT32_MAX), picker->requested_ms);
	picker->noted += growth;
}

static void charge(struct picker *picker)
{
	__atomic_store_n(&picker->shared->charged, picker->shared->charged + 1, __ATOMIC_RELAXED);
}

void attempt_count_request(struct exchange *x)
{
	struct picker *picker = upstream_picker(exchange_upstream(x), x->pool);
	u64 now_ms = exchange_now_ms(x);

	if (unlikely(now_ms >= picker->note_ms)) {
		lock_budget(x->pool);
		note_requests(picker);
		unlock_budget(x->pool);
		picker->note_ms = budget_slot_end_ms(budget_rules_of(x->pool), now_ms);
	}
	x->is_counted = true;
	picker->requested_ms = now_ms;
	__atomic_store_n(&picker->shared->requests, picker->shared->requests + 1, __ATOMIC_RELAXED);
}

static u32 chance(struct exchange *x)
{
	return (u32)(rng_u64(&x->proxy->rng) >> 32);
}

struct retry_answer attempt_ask_retry(struct exchange *x, struct retry_facts *facts)
{
	struct picker *picker = upstream_picker(exchange_upstream(x), x->pool);
	struct retry_rules rules = x->retry->rules;
	struct retry_answer answer;
	u64 now_ms = exchange_now_ms(x);

	if (unlikely(!picker->pool)) // gone, and forgotten
		return (struct retry_answer){
			.verdict = RETRY_GIVE_UP, .reason = RETRY_BECAUSE_NO_BUDGET};
	rules.budget = budget_rules_for(x);
	facts->refused_lately = now_ms < picker->refused_until_ms;
	lock_budget(picker->pool); // it may be newer than x->pool
	note_requests(picker);
	answer = retry_ask(&rules, &picker->pool->budget, facts, chance(x), now_ms);
	unlock_budget(picker->pool);
	if (answer.verdict == RETRY_GIVE_UP && retry_all_refuse(facts))
		picker->refused_until_ms = now_ms + RETRY_REFUSED_LATELY_MS;
	if (answer.is_charged)
		charge(picker);
	if (answer.reason == RETRY_BECAUSE_NO_BUDGET)
		metrics_inc(x->proxy->metrics, M_RETRIES_REFUSED);
	return answer;
}

bool attempt_may_hedge(struct exchange *x, const struct hedge_facts *facts)
{
	struct picker *picker = upstream_picker(exchange_upstream(x), x->pool);
	struct budget_rules rules = budget_rules_for(x);
	bool may;

	lock_budget(picker->pool);
	note_requests(picker);
	may = hedge_ask(facts, &picker->pool->budget, &rules, exchange_now_ms(x));
	unlock_budget(picker->pool);
	if (may)
		charge(picker);
	return may;
}
