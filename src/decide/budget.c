// SPDX-License-Identifier: Apache-2.0
#include "decide/budget.h"

enum { slots = BUDGET_SLOTS + 1 };

// A slot is no shorter than window / BUDGET_SLOTS, so that BUDGET_SLOTS whole slots before the
// newest one cover the window.
static u64 slot_ms(const struct budget_rules *rules)
{
	return (rules->window_ms + BUDGET_SLOTS - 1) / BUDGET_SLOTS;
}

static void turn(struct budget *budget, const struct budget_rules *rules, u64 now_ms)
{
	u64 now_slot, passed;

	ASSERT(rules->window_ms);
	now_slot = now_ms / slot_ms(rules);
	if (now_slot == budget->slot)
		return;
	// A smaller number: the window was made longer, and the old slots mean nothing.
	passed = now_slot > budget->slot ? now_slot - budget->slot : slots;
	passed = MIN(passed, (u64)slots);
	for (u64 i = 0; i < passed; i++)
		budget->requests[(now_slot + slots - i) % slots] =
			budget->taken[(now_slot + slots - i) % slots] = 0;
	budget->slot = now_slot;
}

static void add(struct budget *budget, u64 slot, u32 requests)
{
	u32 *sum = &budget->requests[slot % slots];

	*sum = *sum > UINT32_MAX - requests ? UINT32_MAX : *sum + requests;
}

void budget_note(struct budget *budget, const struct budget_rules *rules, u32 requests, u64 now_ms)
{
	turn(budget, rules, now_ms);
	add(budget, budget->slot, requests);
}

void budget_note_at(
	struct budget *budget, const struct budget_rules *rules, u32 requests, u64 at_ms)
{
	u64 slot = at_ms / slot_ms(rules);

	if (slot > budget->slot)
		turn(budget, rules, at_ms);
	if (budget->slot - slot < slots)
		add(budget, slot, requests);
}

u64 budget_slot_end_ms(const struct budget_rules *rules, u64 now_ms)
{
	return (now_ms / slot_ms(rules) + 1) * slot_ms(rules);
}

u32 budget_left(struct budget *budget, const struct budget_rules *rules, u64 now_ms)
{
	u64 requests = 0, taken = 0, allowed, whole;

	turn(budget, rules, now_ms);
	for (u32 i = 0; i < slots; i++)
		taken += budget->taken[i];
	// Only slots that lie in the window as a whole.
	whole = rules->window_ms / slot_ms(rules);
	for (u64 i = 0; i < MIN(whole, (u64)BUDGET_SLOTS) && i <= budget->slot; i++)
		requests += budget->requests[(budget->slot - i) % slots];
	allowed = MAX(requests * rules->percent / 100, (u64)rules->least);
	return allowed > taken ? (u32)MIN(allowed - taken, (u64)UINT32_MAX) : 0;
}

bool budget_take(struct budget *budget, const struct budget_rules *rules, u64 now_ms)
{
	if (budget_left(budget, rules, now_ms) == 0)
		return false;
	budget->taken[budget->slot % slots]++;
	return true;
}
