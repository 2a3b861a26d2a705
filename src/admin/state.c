// SPDX-License-Identifier: Apache-2.0
// Copies of what the control thread knows, fetched for those who ask. Calls that come while a
// question is on its way share its answer.
#include "admin/admin_inside.h"
#include "base/mem.h"

enum { fresh_ms = 100 }; // so long one answer serves others too

struct waiting {
	struct list node;
	struct admin_call *call;
	void (*then)(struct admin *admin, struct admin_call *call);
};

struct admin_state *state_new(struct admin *admin)
{
	struct admin_state *state = mem_alloc(sizeof(*state));
	const struct snapshot *snapshot = admin->face.snapshot;
	u32 backends = MAX(snapshot->slots->backends.max, 1);

	state->admin = admin;
	list_init(&state->waiting);
	state->ask.kind = DESK_STATE;
	state->ask.backends = mem_alloc(sizeof(struct desk_backend) * backends);
	state->facts = mem_alloc(sizeof(struct oddity_facts) * backends);
	state->findings = mem_alloc(sizeof(struct oddity_finding) * backends);
	state->pool_facts = mem_alloc(sizeof(struct oddity_facts) * backends);
	state->pool_findings = mem_alloc(sizeof(struct oddity_finding) * backends);
	state->room = mem_alloc(sizeof(u32) * backends);
	state->ask.pools = mem_alloc(sizeof(struct desk_pool) * MAX(snapshot->slots->pools.max, 1));
	state->ask.providers = mem_alloc(sizeof(struct desk_provider) * DESK_PROVIDERS_MAX);
	return state;
}

void state_free(struct admin_state *state)
{
	mem_free(state->room);
	mem_free(state->pool_findings);
	mem_free(state->pool_facts);
	mem_free(state->findings);
	mem_free(state->facts);
	mem_free(state->ask.backends);
	mem_free(state->ask.pools);
	mem_free(state->ask.providers);
	mem_free(state);
}

i64 state_wall_ms(const struct admin_state *state, u64 moment_ms)
{
	return state->ask.wall_ms + (i64)(moment_ms - state->ask.now_ms);
}

// ---- What is odd --------------------------------------------------------------------------------

static struct oddity_facts facts_of(const struct admin_state *state, const struct backend *backend)
{
	const struct desk_backend *one = &state->ask.backends[backend->cell];
	const struct figures_rate *rate = figures_of_backend(state->admin->figures, backend);

	return (struct oddity_facts){.takes = eligible_is_in((enum eligible_why)one->state.why),
		.requests = rate->requests,
		.requests_per_s = rate->requests_per_s,
		.errors_per_s = rate->errors_per_s,
		.p50_us = rate->p50_us,
		.p99_us = rate->p99_us,
		.changes = one->changes,
		.changes_span_ms = one->changes_span_ms};
}

static void judge_pool(struct admin_state *state, const struct pool *pool)
{
	for (u32 i = 0; i < pool->backend_count; i++)
		state->pool_facts[i] = facts_of(state, &pool->backends[i]);
	oddity_judge(state->pool_facts, pool->backend_count, state->room, state->pool_findings);
	for (u32 i = 0; i < pool->backend_count; i++) {
		state->facts[pool->backends[i].cell] = state->pool_facts[i];
		state->findings[pool->backends[i].cell] = state->pool_findings[i];
	}
}

static void judge(struct admin_state *state)
{
	const struct snapshot *snapshot = state->admin->face.snapshot;

	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			judge_pool(state, snapshot->pools[i]);
}

// ---- Fetching -----------------------------------------------------------------------------------

static void on_answer(struct desk_ask *ask)
{
	struct admin_state *state = container_of(ask, struct admin_state, ask);
	struct admin *admin = state->admin;
	struct list heard;

	state->asking = false;
	admin->asks_out--;
	state->asked_ms = loop_now_ms(admin->loop);
	judge(state);
	list_init(&heard);
	while (!list_is_empty(&state->waiting)) {
		struct list *node = state->waiting.next;

		list_remove(node);
		list_push_back(&heard, node);
	}
	while (!list_is_empty(&heard)) {
		struct waiting *waiting = list_first(&heard, struct waiting, node);

		list_remove(&waiting->node);
		waiting->then(admin, waiting->call);
		mem_free(waiting);
	}
}

void state_fetch(struct admin *admin, struct admin_call *call,
	void (*then)(struct admin *admin, struct admin_call *call))
{
	struct admin_state *state = admin->state;
	struct waiting *waiting;

	if (!state->asking && state->asked_ms &&
		loop_now_ms(admin->loop) - state->asked_ms < fresh_ms) {
		then(admin, call);
		return;
	}
	waiting = mem_alloc(sizeof(*waiting));
	waiting->call = call;
	waiting->then = then;
	list_push_back(&state->waiting, &waiting->node);
	if (state->asking)
		return;
	state->asking = true;
	admin->asks_out++;
	desk_ask(admin->face.desk, &state->ask, admin->loop, on_answer);
}
