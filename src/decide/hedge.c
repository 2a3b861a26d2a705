// SPDX-License-Identifier: Apache-2.0
#include "decide/hedge.h"

enum { answers_per_refresh = 32 };

void hedge_note(struct hedge *hedge, const struct hedge_rules *rules, u64 latency_us)
{
	if (rules->percent == 0)
		return;
	latency_add(&hedge->latency, latency_us);
	if (latency_count(&hedge->latency) < rules->samples_min)
		return;
	if (hedge->delay_us && ++hedge->since < answers_per_refresh)
		return;
	hedge->since = 0;
	hedge->delay_us = MAX(latency_quantile(&hedge->latency, rules->percent * 10), (u64)1);
}

static bool may_double(const struct hedge_facts *facts)
{
	return facts->idempotent && !facts->has_body && facts->attempts == 1 && facts->others > 0 &&
	       !facts->answer_begun;
}

u64 hedge_delay_us(
	const struct hedge *hedge, const struct hedge_rules *rules, const struct hedge_facts *facts)
{
	if (!may_double(facts) || hedge->delay_us == 0 || rules->percent == 0)
		return HEDGE_NEVER;
	return MAX(hedge->delay_us, rules->delay_min_ms * 1000);
}

bool hedge_ask(const struct hedge_facts *facts, struct budget *budget,
	const struct budget_rules *rules, u64 now_ms)
{
	return may_double(facts) && budget_take(budget, rules, now_ms);
}
