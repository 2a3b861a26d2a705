// SPDX-License-Identifier: Apache-2.0
#include "decide/eligible.h"

const char *eligible_why_text(enum eligible_why why)
{
	static const char *const texts[ELIGIBLE_REASON_COUNT] = {
#define X(name, text) [ELIGIBLE_##name] = text,
		ELIGIBLE_REASONS(X)
#undef X
	};

	ASSERT(why < ELIGIBLE_REASON_COUNT);
	return texts[why];
}

// What no panic overrules.
static enum eligible_why find_fault(const struct eligible_facts *facts, u32 up)
{
	if (!facts->enabled)
		return ELIGIBLE_DISABLED;
	if (facts->draining)
		return ELIGIBLE_DRAINING;
	if (facts->held_open)
		return ELIGIBLE_HELD_OPEN;
	if (!facts->resolved)
		return ELIGIBLE_UNRESOLVED;
	if (facts->checked && !health_lets_in((enum health_state)facts->health, up))
		return facts->health == HEALTH_DOWN ? ELIGIBLE_DOWN : ELIGIBLE_UNCHECKED;
	if (ejection_is_connect((enum ejection_why)facts->ejection))
		return ELIGIBLE_REFUSES;
	return ELIGIBLE_OK;
}

static enum eligible_why find_blame(const struct eligible_facts *facts)
{
	if (facts->ejection != EJECTION_NONE &&
		!ejection_is_connect((enum ejection_why)facts->ejection))
		return ELIGIBLE_EJECTED;
	if (facts->breaker == BREAKER_OPEN)
		return ELIGIBLE_BREAKER_OPEN;
	return facts->breaker == BREAKER_HALF_OPEN ? ELIGIBLE_TRIAL : ELIGIBLE_OK;
}

// Backups, and those that nobody expects to serve, are no part of what a pool can lose.
static bool counts_in_share(const struct eligible_facts *facts)
{
	return facts->enabled && !facts->draining && !facts->held_open && facts->resolved &&
	       !facts->backup;
}

bool eligible_counts_ejected(const struct eligible_facts *facts)
{
	return counts_in_share(facts) && find_blame(facts) != ELIGIBLE_OK;
}

static void count_share(
	const struct eligible_facts *facts, enum eligible_why fault, struct share *share)
{
	bool blamed = find_blame(facts) != ELIGIBLE_OK;

	if (!counts_in_share(facts))
		return;
	share->total++;
	share->down += fault != ELIGIBLE_OK;
	share->ejected += blamed;
	share->left += fault == ELIGIBLE_OK && !blamed;
}

bool eligible_counts_up(const struct eligible_facts *facts)
{
	return facts->enabled && !facts->draining && facts->checked && facts->health == HEALTH_UP;
}

static u32 count_up(const struct eligible_facts *facts, u32 count)
{
	u32 up = 0;

	for (u32 i = 0; i < count; i++)
		up += eligible_counts_up(&facts[i]);
	return up;
}

static enum eligible_why judge(
	const struct eligible_facts *facts, enum eligible_why fault, bool panic)
{
	enum eligible_why blame;

	if (fault != ELIGIBLE_OK)
		return fault;
	blame = find_blame(facts);
	return blame != ELIGIBLE_OK && panic ? ELIGIBLE_PANIC : blame;
}

// Backups stand in while no other backend takes requests without reserve.
static void place_backups(
	const struct eligible_facts *facts, u32 count, u8 *why, struct eligible_pool *pool)
{
	bool needed = true;

	for (u32 i = 0; i < count; i++)
		needed &= facts[i].backup || (why[i] != ELIGIBLE_OK && why[i] != ELIGIBLE_PANIC);
	for (u32 i = 0; i < count; i++) {
		if (facts[i].backup && !needed && eligible_is_in((enum eligible_why)why[i]))
			why[i] = ELIGIBLE_BACKUP;
		pool->eligible += eligible_is_in((enum eligible_why)why[i]);
	}
}

struct eligible_pool eligible_judge(
	const struct eligible_facts *facts, u32 count, u32 panic_percent, u8 *why)
{
	struct eligible_pool pool = {.up = count_up(facts, count)};

	for (u32 i = 0; i < count; i++) {
		why[i] = (u8)find_fault(&facts[i], pool.up);
		count_share(&facts[i], (enum eligible_why)why[i], &pool.share);
	}
	pool.panic = share_is_panic(&pool.share, panic_percent);
	for (u32 i = 0; i < count; i++)
		why[i] = (u8)judge(&facts[i], (enum eligible_why)why[i], pool.panic);
	place_backups(facts, count, why, &pool);
	return pool;
}
