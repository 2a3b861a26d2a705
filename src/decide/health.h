// SPDX-License-Identifier: Apache-2.0
// Active health checks as arithmetic: when to probe a backend next, and what its answers mean.
// Whoever probes (the control thread) asks health_is_due, says HEALTH_EVENT_BEGIN, probes, and says
// how it went. One struct health per backend, of one owner; it outlives reloads with the backend.
//
// Promises: a backend that was never seen enters after one pass and is out after one failure; from
// then on it changes only after a whole streak (unhealthy_threshold failures or healthy_threshold
// passes in a row). It is probed at its fast interval while a streak against its state runs and
// while nothing in its pool is healthy; so a return takes at most healthy_threshold x fast_interval
// from its first pass on or, while nothing is healthy, from any moment. Chance only ever shortens
// an interval.
#pragma once

#include "base/base.h"

enum health_state {
	HEALTH_UNKNOWN, // not probed yet
	HEALTH_UP,
	HEALTH_DOWN,
};

// Why a probe failed, or requests could not connect. X(NAME, text)
#define HEALTH_REASONS(X)                                       \
	X(NONE, "passed")                                       \
	X(CONNECTION_REFUSED, "connection refused")             \
	X(CONNECT_FAILED, "connect failed")                     \
	X(CONNECTION_TIMEOUT, "no connection in time")          \
	X(RESPONSE_TIMEOUT, "no answer in time")                \
	X(CONNECTION_RESET, "connection closed without answer") \
	X(MALFORMED, "the answer is not valid HTTP")            \
	X(STATUS, "unexpected status")                          \
	X(BODY, "unexpected body")                              \
	X(GRPC_NOT_SERVING, "gRPC: it is not serving")          \
	X(GRPC_UNKNOWN, "gRPC: its status is unknown")          \
	X(GRPC_SERVICE, "gRPC: it does not know the service")   \
	X(GRPC_UNIMPLEMENTED, "gRPC: it has no health service") \
	X(GRPC_STATUS, "gRPC: it answered with an error")       \
	X(GRPC_MALFORMED, "the answer is not valid gRPC")       \
	X(UNRESOLVED, "its name has no address")                \
	X(RECONFIGURED, "it is reached in another way now")

enum health_reason {
#define X(name, text) HEALTH_##name,
	HEALTH_REASONS(X)
#undef X
		HEALTH_REASON_COUNT // from here on: reasons that only the prober has words for
};

struct health_rules {
	u32 healthy_threshold, unhealthy_threshold; // streaks, 1 or more
	u64 interval_ms, fast_interval_ms;	    // from one probe's begin to the next, 1 or more
	u64 timeout_ms;				    // for a whole probe, 1 or more
	u32 jitter_percent;			    // 0 to 100
};

struct health {
	u64 next_ms;	 // begin of the next probe
	u64 begun_ms;	 // of the running or last probe
	u64 deadline_ms; // of the running probe
	u64 since_ms;	 // of the present state
	u32 streak;	 // results in a row of the kind of the last one
	u8 state;	 // enum health_state
	u8 reason;	 // enum health_reason of the last result
	u16 status;	 // of the last answer, where HEALTH_STATUS is the reason
	bool probing;
};

enum health_event_kind {
	HEALTH_EVENT_BEGIN, // a probe begins
	HEALTH_EVENT_PASS,
	HEALTH_EVENT_FAIL,
	HEALTH_EVENT_SUSPECT, // requests could not connect: out at once, and probed soon. Not for
			      // backends that nobody probes: nothing would bring them back.
};

struct health_event {
	u8 kind;	       // enum health_event_kind
	u8 reason;	       // enum health_reason of a failure, and of the suspicion
	u16 status;	       // of the answer, where that is why it failed
	bool pool_has_healthy; // another backend of the pool is HEALTH_UP
	u32 random;
};

// What one event did. `changed`: `from` and `to` differ.
struct health_step {
	bool changed;
	u8 from, to, reason;
	u32 streak;
	u64 next_ms;
};

const char *health_state_name(enum health_state state);	   // "unknown", "up", "down"
const char *health_reason_text(enum health_reason reason); // below HEALTH_REASON_COUNT

// The first probe is due at once.
void health_init(struct health *health, u64 now_ms);

// Whether a probe should begin; never while one runs.
static inline bool health_is_due(const struct health *health, u64 now_ms)
{
	return !health->probing && now_ms >= health->next_ms;
}

// The moment to look again: a running probe's deadline, or the begin of the next one.
static inline u64 health_wake_ms(const struct health *health)
{
	return health->probing ? health->deadline_ms : health->next_ms;
}

// Applies one event. BEGIN needs that no probe runs; PASS and FAIL end the running probe (a probe
// whose deadline has passed is a FAIL of the prober's making).
struct health_step health_step(struct health *health, const struct health_rules *rules,
	const struct health_event *event, u64 now_ms);

// This one is probed soon: the pool has lost its last healthy backend, or requests fared badly.
void health_hurry(struct health *health, const struct health_rules *rules, u64 now_ms);

// Whether the backend may get requests: it is up, or nothing is known about it while nothing in
// its pool is known to be up (pool_up: how many are).
static inline bool health_lets_in(enum health_state state, u32 pool_up)
{
	return state == HEALTH_UP || (state == HEALTH_UNKNOWN && pool_up == 0);
}
