// SPDX-License-Identifier: Apache-2.0
#include "decide/ejection.h"

#include "decide/jitter.h"

const char *ejection_why_text(enum ejection_why why)
{
	static const char *const texts[] = {
		[EJECTION_NONE] = "none",
		[EJECTION_REFUSED] = "connection refused",
		[EJECTION_CONNECT] = "connect failed",
		[EJECTION_ERRORS] = "server errors",
		[EJECTION_TIMEOUTS] = "time-outs",
		[EJECTION_OUTLIER] = "success rate below the others'",
	};

	ASSERT((size_t)why < ARRAY_LEN(texts));
	return texts[why];
}

static bool is_complete(u32 *streak, u32 needed)
{
	if (*streak < UINT32_MAX)
		++*streak;
	if (needed == 0 || *streak < needed)
		return false;
	*streak = 0;
	return true;
}

enum ejection_why misses_note(
	struct misses *misses, const struct ejection_rules *rules, enum miss miss)
{
	ASSERT(miss < MISS_KIND_COUNT);
	switch (miss) {
	case MISS_NONE:
		*misses = (struct misses){0};
		return EJECTION_NONE;
	case MISS_REFUSED:
	case MISS_CONNECT:
		if (!is_complete(&misses->connects, rules->connect_failures))
			return EJECTION_NONE;
		return miss == MISS_REFUSED ? EJECTION_REFUSED : EJECTION_CONNECT;
	case MISS_STATUS:
	case MISS_RESET:
		misses->connects = 0; // it accepts
		return is_complete(&misses->errors, rules->errors) ? EJECTION_ERRORS
								   : EJECTION_NONE;
	case MISS_TIMEOUT:
		misses->connects = 0;
		return is_complete(&misses->timeouts, rules->timeouts) ? EJECTION_TIMEOUTS
								       : EJECTION_NONE;
	case MISS_KIND_COUNT:
		break;
	}
	return EJECTION_NONE;
}

bool ejection_begin(struct ejection *ejection, const struct ejection_rules *rules,
	const struct share *share, enum ejection_why why, u32 random, u64 now_ms)
{
	u64 span;

	ASSERT(why != EJECTION_NONE && rules->base_ms && rules->base_ms <= rules->max_ms);
	if (ejection_is_out(ejection))
		return false;
	if (!ejection_is_connect(why) && !share_has_room(share, rules->share_percent))
		return false;
	if (ejection->times * rules->base_ms < rules->max_ms)
		ejection->times++;
	span = MIN(rules->base_ms * ejection->times, rules->max_ms);
	ejection->until_ms = now_ms + jitter_shorten(span, rules->jitter_percent, random);
	ejection->why = (u8)why;
	return true;
}

static void come_back(struct ejection *ejection, u64 now_ms)
{
	ejection->why = EJECTION_NONE;
	ejection->calm_ms = now_ms;
}

bool ejection_tick(struct ejection *ejection, const struct ejection_rules *rules, u64 now_ms)
{
	u64 steps;

	if (ejection_is_out(ejection)) {
		if (now_ms < ejection->until_ms)
			return false;
		come_back(ejection, ejection->until_ms);
		return true;
	}
	steps = (now_ms - ejection->calm_ms) / rules->base_ms;
	ejection->times -= (u32)MIN(steps, (u64)ejection->times);
	ejection->calm_ms += steps * rules->base_ms;
	return false;
}

bool ejection_forgive_connect(struct ejection *ejection, u64 now_ms)
{
	if (!ejection_is_connect((enum ejection_why)ejection->why))
		return false;
	come_back(ejection, now_ms);
	return true;
}
