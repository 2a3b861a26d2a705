// SPDX-License-Identifier: Apache-2.0
#include "control/reason.h"

#include <errno.h>
#include <stdio.h>

#include "net/tls.h"

_Static_assert((int)HEALTH_REASON_COUNT + (int)TLS_FAULT_COUNT <= 255, "a byte holds each reason");

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

enum health_reason reason_of_connect(int error)
{
	enum tls_fault fault = tls_error_fault(error);

	if (fault != TLS_FAULT_NONE)
		return (enum health_reason)(HEALTH_REASON_COUNT + (int)fault);
	switch (-error) {
	case ECONNREFUSED:
		return HEALTH_CONNECTION_REFUSED;
	case ETIMEDOUT:
		return HEALTH_CONNECTION_TIMEOUT;
	default:
		return HEALTH_CONNECT_FAILED;
	}
}

const char *reason_of_health(u8 reason)
{
	return reason < HEALTH_REASON_COUNT
		       ? health_reason_text((enum health_reason)reason)
		       : tls_fault_info((enum tls_fault)(reason - HEALTH_REASON_COUNT))->cause.ptr;
}

const char *reason_of_ejection(enum ejection_why why, u8 ejected_by)
{
	return why == EJECTION_CONNECT && ejected_by != HEALTH_NONE ? reason_of_health(ejected_by)
								    : ejection_why_text(why);
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
			      : reason_of_health(health->reason);
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
		return reason_of_ejection(
			(enum ejection_why)state->ejection.why, state->ejected_by);
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
		return reason_of_ejection(
			(enum ejection_why)state->ejection.why, state->ejected_by);
	default:
		return eligible_why_text((enum eligible_why)state->why);
	}
}
