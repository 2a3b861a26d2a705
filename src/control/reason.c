// SPDX-License-Identifier: Apache-2.0
#include "control/reason.h"

#include <stdio.h>

// Of a list that is too long, the first ones.
static const char *status_text(
	const struct conf_check *check, u16 status, char room[static REASON_BYTES])
{
	int len = snprintf(room, REASON_BYTES, "status %u instead of", status);

	for (u32 i = 0; i < check->expect.status_count; i++) {
		const struct conf_statuses *range = &check->expect.statuses[i];
		char one[24];
		int more =
			range->first == range->last
				? snprintf(one, sizeof(one), " %u", range->first)
				: snprintf(one, sizeof(one), " %u-%u", range->first, range->last);

		if (len + more + (int)sizeof(", ...") >= (int)REASON_BYTES) {
			(void)snprintf(room + len, REASON_BYTES - (size_t)len, ", ...");
			break;
		}
		len += snprintf(room + len, REASON_BYTES - (size_t)len, "%s%s", i ? "," : "", one);
	}
	return room;
}

const char *reason_of_change(const struct model_change *change, char room[static REASON_BYTES])
{
	return change->status ? status_text(&change->pool->conf->check, change->status, room)
			      : change->reason;
}

const char *reason_of_check(
	const struct backend *backend, const struct health *health, char room[static REASON_BYTES])
{
	return health->status ? status_text(&backend->pool->conf->check, health->status, room)
			      : health_reason_text((enum health_reason)health->reason);
}

// What somebody has ordered, and who.
static const char *by_order(const char *what, const char *who, char room[static REASON_BYTES])
{
	snprintf(room, REASON_BYTES, "%s by %s", what, who[0] ? who : "order");
	return room;
}

// In a panic: what it would be out for.
static const char *overruled_text(const struct model_state *state)
{
	if (state->ejection.why != EJECTION_NONE)
		return ejection_why_text((enum ejection_why)state->ejection.why);
	return state->breaker.state == BREAKER_OPEN ? "its circuit breaker is open"
						    : "its circuit breaker is half-open";
}

const char *reason_of_state(const struct backend *backend, const struct model_state *state,
	u8 order, char room[static REASON_BYTES])
{
	switch ((enum eligible_why)state->why) {
	case ELIGIBLE_DOWN:
		return reason_of_check(backend, &state->health, room);
	case ELIGIBLE_HELD_OPEN:
		return by_order("forced open", state->held_by, room);
	case ELIGIBLE_DRAINING:
		return by_order(
			order == MODEL_DISABLED ? "disabled" : "drained", state->ordered_by, room);
	case ELIGIBLE_PANIC:
		return overruled_text(state);
	case ELIGIBLE_REFUSES:
	case ELIGIBLE_EJECTED:
		return ejection_why_text((enum ejection_why)state->ejection.why);
	default:
		return eligible_why_text((enum eligible_why)state->why);
	}
}
