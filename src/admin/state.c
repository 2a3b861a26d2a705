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

	state->admin = admin;
	list_init(&state->waiting);
	state->ask.kind = DESK_STATE;
	state->ask.backends =
		mem_alloc(sizeof(struct desk_backend) * MAX(snapshot->backend_count, 1));
	state->ask.pools = mem_alloc(sizeof(struct desk_pool) * MAX(snapshot->pool_count, 1));
	state->ask.providers = mem_alloc(sizeof(struct desk_provider) * DESK_PROVIDERS_MAX);
	return state;
}

void state_free(struct admin_state *state)
{
	mem_free(state->ask.backends);
	mem_free(state->ask.pools);
	mem_free(state->ask.providers);
	mem_free(state);
}

i64 state_wall_ms(const struct admin_state *state, u64 moment_ms)
{
	return state->ask.wall_ms + (i64)(moment_ms - state->ask.now_ms);
}

static void on_answer(struct desk_ask *ask)
{
	struct admin_state *state = container_of(ask, struct admin_state, ask);
	struct admin *admin = state->admin;
	struct list heard;

	state->asking = false;
	admin->asks_out--;
	state->asked_ms = loop_now_ms(admin->loop);
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
