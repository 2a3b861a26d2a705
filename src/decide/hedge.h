// SPDX-License-Identifier: Apache-2.0
// Hedging: when an idempotent request takes longer than most do, a second copy goes to another
// backend, the first answer wins and the loser is cancelled (Dean and Barroso, The Tail at Scale,
// 2013). Copies draw from the pool's retry budget, so that they can never become the load.
//
// One struct hedge per pool and thread: it learns how long answers take.
#pragma once

#include "decide/budget.h"
#include "decide/latency.h"

struct hedge_rules {
	u32 percent;	  // the quantile to wait for: 95 = p95; 1 to 99, 0 = no hedging
	u32 samples_min;  // before that many answers no copy is sent; 1 to 2,000
	u64 delay_min_ms; // never earlier
};

struct hedge {
	struct latency latency; // microseconds
	u64 delay_us;		// as of the last refresh
	u32 since;		// answers since then
};

#define HEDGE_NEVER UINT64_MAX

struct hedge_facts {
	bool idempotent;
	bool has_body; // requests with a body are not copied
	u32 attempts;  // running or made; only the first one is ever doubled
	u32 others;    // eligible backends that were not tried for this request
	bool answer_begun;
};

// An answer began latency_us after its request had been sent. Answers of copies and of lost races
// count as well, or the estimate would drift downwards.
void hedge_note(struct hedge *hedge, const struct hedge_rules *rules, u64 latency_us);

// How long after sending to wait before hedge_ask; HEDGE_NEVER: not this request, or nothing is
// known yet.
u64 hedge_delay_us(const struct hedge *hedge, const struct hedge_rules *rules,
	const struct hedge_facts *facts);

// The delay has passed without an answer: may the copy go now? Takes from the budget when so.
bool hedge_ask(const struct hedge_facts *facts, struct budget *budget,
	const struct budget_rules *rules, u64 now_ms) must_check;
