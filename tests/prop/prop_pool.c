// SPDX-License-Identifier: Apache-2.0
// All rules about failure together, as a proxy would use them: a pool whose backends fall ill and
// recover in every way, in virtual time, over seeds. No request is sent to who cannot answer, no
// budget and no share is exceeded, and when all are well again the pool is whole again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "decide/eligible.h"
#include "decide/retry.h"

enum {
	seeds = 150,
	servers_max = 8,
	step_ms = 10,
	ill_steps = 6000,      // a minute of trouble
	recovery_steps = 7000, // longer than any time out, and the checks after it
	window_steps = 1000,
};

enum mood { FINE, REFUSING, FAILING, SILENT, FLAKY, MOOD_COUNT };

// "at seed N" in front of a failure.
#define SEEDED(seed, condition)                                                               \
	do {                                                                                  \
		if (!(condition))                                                             \
			fail_msg("at seed %llu: %s", (unsigned long long)(seed), #condition); \
	} while (0)

static const struct health_rules health_rules = {.healthy_threshold = 2,
	.unhealthy_threshold = 3,
	.interval_ms = 5000,
	.fast_interval_ms = 1000,
	.timeout_ms = 2000,
	.jitter_percent = 10};

static const struct ejection_rules ejection_rules = {.connect_failures = 3,
	.errors = 8,
	.timeouts = 4,
	.base_ms = 3000,
	.max_ms = 20000,
	.jitter_percent = 10,
	.share_percent = 50};

static const struct breaker_rules breaker_rules = {.failure_threshold = 5,
	.success_threshold = 2,
	.trials_max = 1,
	.open_ms = 3000,
	.open_ms_max = 20000,
	.share_percent = 50};

static const struct retry_rules retry_rules = {.attempts_max = 3,
	.causes = RETRY_CAUSE_BIT(RETRY_CONNECT) | RETRY_CAUSE_BIT(RETRY_RESET) |
		  RETRY_CAUSE_BIT(RETRY_TIMEOUT),
	.status_count = 1,
	.statuses = {500},
	.has_budget = true,
	.backoff_base_ms = 100,
	.backoff_max_ms = 1000,
	.budget = {.percent = 20, .least = 10, .window_ms = window_steps * step_ms}};

struct server {
	u8 mood; // enum mood
	struct health health;
	struct misses misses;
	struct ejection ejection;
	struct breaker breaker;
};

struct world {
	u64 seed, now_ms;
	struct rng rng;
	u32 count;
	struct server servers[servers_max];
	u8 why[servers_max];
	struct eligible_pool pool;
	struct budget budget;
	u32 step;
	u32 came[ill_steps + recovery_steps], again[ill_steps + recovery_steps];
	u32 failed, answered, refused; // requests: an error, an answer, nobody to ask
};

static void judge(struct world *w)
{
	struct eligible_facts facts[servers_max];

	for (u32 i = 0; i < w->count; i++)
		facts[i] = (struct eligible_facts){.enabled = true,
			.resolved = true,
			.checked = true,
			.health = w->servers[i].health.state,
			.ejection = w->servers[i].ejection.why,
			.breaker = w->servers[i].breaker.state};
	w->pool = eligible_judge(facts, w->count, 50, w->why);
	SEEDED(w->seed, (u64)w->pool.share.ejected * 100 <= (u64)w->pool.share.total * 50);
}

// ---- Time ---------------------------------------------------------------------------------------

static void probe(struct world *w, struct server *server)
{
	bool passes = server->mood == FINE || server->mood == FLAKY;
	struct health_event event = {.kind = HEALTH_EVENT_BEGIN};
	struct health_step step;

	(void)health_step(&server->health, &health_rules, &event, w->now_ms);
	event = (struct health_event){
		.kind = passes ? HEALTH_EVENT_PASS : HEALTH_EVENT_FAIL,
		.reason = passes ? HEALTH_NONE : HEALTH_STATUS,
		.pool_has_healthy = w->pool.up > (server->health.state == HEALTH_UP),
		.random = (u32)rng_u64(&w->rng),
	};
	step = health_step(&server->health, &health_rules, &event, w->now_ms);
	if (step.changed && step.to == HEALTH_UP)
		(void)ejection_forgive_connect(&server->ejection, w->now_ms);
}

static void pass_time(struct world *w)
{
	for (u32 i = 0; i < w->count; i++) {
		struct server *server = &w->servers[i];

		(void)ejection_tick(&server->ejection, &ejection_rules, w->now_ms);
		(void)breaker_tick(&server->breaker, &breaker_rules, w->now_ms);
		if (health_is_due(&server->health, w->now_ms))
			probe(w, server);
	}
	judge(w);
	for (u32 i = 0; i < w->count && w->pool.up == 0; i++)
		health_hurry(&w->servers[i].health, &health_rules, w->now_ms);
}

// ---- Requests -----------------------------------------------------------------------------------

static enum miss attempt(struct world *w, const struct server *server)
{
	switch ((enum mood)server->mood) {
	case REFUSING:
		return MISS_CONNECT;
	case FAILING:
		return MISS_STATUS;
	case SILENT:
		return MISS_TIMEOUT;
	case FLAKY:
		return rng_one_in(&w->rng, 5) ? MISS_RESET : MISS_NONE;
	default:
		return MISS_NONE;
	}
}

static void learn(struct world *w, struct server *server, enum miss miss)
{
	enum ejection_why why = misses_note(&server->misses, &ejection_rules, miss);
	struct health_event suspect = {
		.kind = HEALTH_EVENT_SUSPECT, .reason = HEALTH_CONNECT_FAILED};

	if (why == EJECTION_NONE || !ejection_begin(&server->ejection, &ejection_rules,
					    &w->pool.share, why, (u32)rng_u64(&w->rng), w->now_ms))
		return;
	if (why == EJECTION_CONNECT)
		(void)health_step(&server->health, &health_rules, &suspect, w->now_ms);
	judge(w);
}

// The next backend, with its breaker asked; servers_max when there is nobody.
static u32 pick(struct world *w, u32 tried, u32 *ret_ticket, bool *ret_asked)
{
	u32 from = rng_below(&w->rng, w->count);

	for (u32 n = 0; n < w->count; n++) {
		u32 i = (from + n) % w->count;

		if (tried >> i & 1 || !eligible_is_in((enum eligible_why)w->why[i]))
			continue;
		// In a panic nobody asks the breaker.
		*ret_asked = w->why[i] != ELIGIBLE_PANIC;
		if (!*ret_asked || breaker_ask(&w->servers[i].breaker, &breaker_rules,
					   ret_ticket) != BREAKER_REFUSE)
			return i;
	}
	return servers_max;
}

static u32 count_others(const struct world *w, u32 tried)
{
	u32 others = 0;

	for (u32 i = 0; i < w->count; i++)
		others += !(tried >> i & 1) && eligible_is_in((enum eligible_why)w->why[i]);
	return others;
}

static enum retry_cause cause_of(enum miss miss)
{
	static const u8 causes[MISS_KIND_COUNT] = {[MISS_CONNECT] = RETRY_CONNECT,
		[MISS_STATUS] = RETRY_STATUS,
		[MISS_TIMEOUT] = RETRY_TIMEOUT,
		[MISS_RESET] = RETRY_RESET};

	return (enum retry_cause)causes[miss];
}

// What was charged in the window that ends with this take.
static void check_window(const struct world *w)
{
	u32 from = w->step >= window_steps ? w->step - window_steps + 1 : 0;
	u64 came = 0, again = 0;

	for (u32 i = from; i <= w->step; i++) {
		came += w->came[i];
		again += w->again[i];
	}
	SEEDED(w->seed, again <= MAX(came * retry_rules.budget.percent / 100,
					 (u64)retry_rules.budget.least));
}

static void request(struct world *w)
{
	struct retry_facts facts = {.status = 500, .idempotent = true, .deadline_ms = UINT64_MAX};
	u32 tried = 0;

	budget_note(&w->budget, &retry_rules.budget, 1, w->now_ms);
	w->came[w->step]++;
	for (;;) {
		struct retry_answer answer;
		u32 ticket = 0, at;
		bool asked;
		enum miss miss;

		at = pick(w, tried, &ticket, &asked);
		if (at == servers_max) {
			w->refused += facts.attempts == 0;
			w->failed += facts.attempts > 0;
			return;
		}
		SEEDED(w->seed, w->servers[at].health.state != HEALTH_DOWN);
		SEEDED(w->seed, w->servers[at].ejection.why != EJECTION_CONNECT);
		miss = attempt(w, &w->servers[at]);
		if (asked)
			(void)breaker_done(&w->servers[at].breaker, &breaker_rules, &w->pool.share,
				ticket, miss == MISS_NONE ? BREAKER_GOOD : BREAKER_BAD, w->now_ms);
		judge(w);
		learn(w, &w->servers[at], miss);
		if (miss == MISS_NONE) {
			w->answered++;
			return;
		}
		tried |= 1u << at;
		facts.cause = (u8)cause_of(miss);
		facts.sent = miss != MISS_CONNECT;
		facts.attempts++;
		facts.others = count_others(w, tried);
		answer = retry_ask(
			&retry_rules, &w->budget, &facts, (u32)rng_u64(&w->rng), w->now_ms);
		SEEDED(w->seed, facts.attempts <= retry_rules.attempts_max);
		if (answer.verdict == RETRY_GIVE_UP) {
			w->failed++;
			return;
		}
		if (facts.sent) {
			w->again[w->step]++;
			check_window(w);
		}
		if (answer.verdict == RETRY_ANY)
			tried = 0;
	}
}

// ---- Runs ---------------------------------------------------------------------------------------

static void begin(struct world *w, u64 seed, u32 count)
{
	*w = (struct world){.seed = seed, .count = count, .now_ms = 1000 * seed};
	rng_init(&w->rng, seed);
	for (u32 i = 0; i < count; i++) {
		health_init(&w->servers[i].health, w->now_ms);
		breaker_init(&w->servers[i].breaker, w->now_ms);
	}
}

static void run(struct world *w, u32 steps, u32 requests_max)
{
	for (u32 i = 0; i < steps; i++, w->step++, w->now_ms += step_ms) {
		pass_time(w);
		for (u32 n = rng_below(&w->rng, requests_max + 1); n > 0; n--)
			request(w);
	}
}

static void change_moods(struct world *w)
{
	for (u32 i = 0; i < w->count; i++)
		if (rng_one_in(&w->rng, 3))
			w->servers[i].mood =
				(u8)(rng_one_in(&w->rng, 2) ? FINE
							    : rng_below(&w->rng, MOOD_COUNT));
}

static void no_rule_breaks_another(void **state)
{
	static struct world w;
	u64 failed = 0, answered = 0, refused = 0;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		begin(&w, seed, 0);
		w.count = 1 + rng_below(&w.rng, servers_max);
		begin(&w, seed, w.count);
		for (u32 i = 0; i < 12; i++) {
			change_moods(&w);
			run(&w, ill_steps / 12, 4);
		}
		for (u32 i = 0; i < w.count; i++)
			w.servers[i].mood = FINE;
		run(&w, recovery_steps, 4);
		for (u32 i = 0; i < w.count; i++)
			SEEDED(seed, w.why[i] == ELIGIBLE_OK);
		failed += w.failed;
		answered += w.answered;
		refused += w.refused;
	}
	// All kinds of ends were reached.
	assert_true(failed > seeds && answered > 1000 * seeds && refused > seeds);
}

// The promise of the whole: one bad backend of several costs no idempotent request.
static void one_bad_backend_costs_nothing(void **state)
{
	static struct world w;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		begin(&w, seed, 3 + (u32)(seed % 5));
		run(&w, window_steps, 4);
		w.servers[seed % w.count].mood = (u8)(REFUSING + seed % (FLAKY - REFUSING));
		run(&w, ill_steps, 4);
		SEEDED(seed, w.failed == 0 && w.refused == 0);
		SEEDED(seed, w.why[seed % w.count] != ELIGIBLE_OK);
	}
}

// With nobody to ask, every request is told so at once, and the pool is back when one is.
static void all_refuse_and_one_returns(void **state)
{
	static struct world w;

	(void)state;
	for (u64 seed = 1; seed <= seeds; seed++) {
		u32 refused;

		begin(&w, seed, 1 + (u32)(seed % servers_max));
		run(&w, window_steps, 4);
		SEEDED(seed, w.failed == 0);
		// The first one long ago, so that it is probed seldom until the others go too.
		w.servers[0].mood = REFUSING;
		run(&w, 2 * window_steps, 4);
		for (u32 i = 0; i < w.count; i++)
			w.servers[i].mood = REFUSING;
		run(&w, 20 + rng_below(&w.rng, 300), 4);
		SEEDED(seed, w.pool.eligible == 0);
		refused = w.refused;
		w.servers[0].mood = FINE;
		run(&w, 1 + 2 * 1000 / step_ms, 4);
		SEEDED(seed, w.refused > refused);
		SEEDED(seed, w.why[0] == ELIGIBLE_OK && w.pool.eligible == 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rule_breaks_another),
		cmocka_unit_test(one_bad_backend_costs_nothing),
		cmocka_unit_test(all_refuse_and_one_returns),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
