// SPDX-License-Identifier: Apache-2.0
#include "decide/retry.h"

#include "decide/jitter.h"

const char *retry_reason_text(enum retry_reason reason)
{
	static const char *const texts[RETRY_REASON_COUNT] = {
#define X(name, text) [RETRY_BECAUSE_##name] = text,
		RETRY_REASONS(X)
#undef X
	};

	ASSERT(reason < RETRY_REASON_COUNT);
	return texts[reason];
}

bool retry_names_status(const struct retry_rules *rules, u32 status)
{
	for (u32 i = 0; i < rules->status_count; i++)
		if (rules->statuses[i] == status)
			return true;
	return false;
}

u64 retry_backoff_ms(const struct retry_rules *rules, u32 backoffs, u32 random)
{
	u64 span = rules->backoff_base_ms;

	for (u32 i = 0; i < backoffs && span < rules->backoff_max_ms && span; i++)
		span *= 2;
	return jitter_shorten(MIN(span, rules->backoff_max_ms), 100, random);
}

bool retry_wants_body(const struct retry_rules *rules, bool idempotent, bool connection_reused)
{
	bool resent =
		rules->attempts_max > 1 &&
		(rules->causes & (RETRY_CAUSE_BIT(RETRY_RESET) | RETRY_CAUSE_BIT(RETRY_TIMEOUT)) ||
			rules->status_count);

	return (idempotent || rules->any_method) && (connection_reused || resent);
}

static bool is_wanted(const struct retry_rules *rules, const struct retry_facts *facts)
{
	switch ((enum retry_cause)facts->cause) {
	case RETRY_STATUS:
		return retry_names_status(rules, facts->status);
	case RETRY_NOT_PROCESSED:
		return true;
	case RETRY_STALE: // no longer a replay: then it is a reset like others
		return rules->causes & RETRY_CAUSE_BIT(RETRY_RESET);
	default:
		return rules->causes & RETRY_CAUSE_BIT(facts->cause);
	}
}

static bool may_repeat(const struct retry_rules *rules, const struct retry_facts *facts)
{
	return !facts->sent || facts->cause == RETRY_NOT_PROCESSED ||
	       facts->cause == RETRY_CONNECT || facts->idempotent || rules->any_method;
}

static bool is_charged(const struct retry_rules *rules, const struct retry_facts *facts)
{
	return rules->has_budget && (facts->sent || facts->cause != RETRY_CONNECT);
}

static struct retry_answer no(enum retry_reason reason)
{
	return (struct retry_answer){.verdict = RETRY_GIVE_UP, .reason = (u8)reason};
}

// What forbids any second sending, whatever the configuration allows.
static enum retry_reason find_obstacle(
	const struct retry_rules *rules, const struct retry_facts *facts)
{
	if (facts->answer_begun)
		return RETRY_BECAUSE_ANSWER_BEGUN;
	if (!may_repeat(rules, facts))
		return RETRY_BECAUSE_NOT_IDEMPOTENT;
	if (facts->has_body && !facts->body_held && facts->sent)
		return RETRY_BECAUSE_BODY_LOST;
	return RETRY_BECAUSE_OK;
}

bool retry_all_refuse(const struct retry_facts *facts)
{
	return facts->cause == RETRY_CONNECT && !facts->others;
}

static u64 delay_of(const struct retry_rules *rules, const struct retry_facts *facts, u32 random)
{
	if (facts->cause == RETRY_CONNECT && facts->others)
		return 0; // the other backend has done nothing wrong
	return retry_backoff_ms(rules, facts->backoffs, random);
}

bool retry_could_follow(const struct retry_rules *rules, const struct retry_facts *facts)
{
	return find_obstacle(rules, facts) == RETRY_BECAUSE_OK && is_wanted(rules, facts) &&
	       facts->attempts < rules->attempts_max;
}

struct retry_answer retry_ask(const struct retry_rules *rules, struct budget *budget,
	const struct retry_facts *facts, u32 random, u64 now_ms)
{
	enum retry_reason obstacle = find_obstacle(rules, facts);
	struct retry_answer yes = {.reason = RETRY_BECAUSE_OK};

	ASSERT(facts->cause < RETRY_CAUSE_COUNT && rules->attempts_max);
	ASSERT(!facts->tcp || facts->cause == RETRY_CONNECT);
	if (obstacle != RETRY_BECAUSE_OK)
		return no(obstacle);
	if (now_ms >= facts->deadline_ms)
		return no(RETRY_BECAUSE_NO_TIME);
	if (facts->cause == RETRY_STALE && !facts->replayed) {
		yes.verdict = RETRY_REPLAY;
		return yes;
	}
	if (!is_wanted(rules, facts))
		return no(RETRY_BECAUSE_NOT_WANTED);
	if (facts->attempts >= rules->attempts_max)
		return no(RETRY_BECAUSE_NO_ATTEMPTS);
	if (retry_all_refuse(facts) && facts->refused_lately)
		return no(RETRY_BECAUSE_ALL_REFUSE);
	yes.delay_ms = delay_of(rules, facts, random);
	if (yes.delay_ms >= facts->deadline_ms - now_ms)
		return no(RETRY_BECAUSE_NO_TIME);
	yes.is_charged = is_charged(rules, facts);
	if (yes.is_charged && !budget_take(budget, &rules->budget, now_ms))
		return no(RETRY_BECAUSE_NO_BUDGET);
	yes.verdict = facts->others ? RETRY_ANOTHER : RETRY_ANY;
	return yes;
}
