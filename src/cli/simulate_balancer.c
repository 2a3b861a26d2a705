// SPDX-License-Identifier: Apache-2.0
// The balancer of a simulation: its workers, what each knows, and when it hears of the others.
#include <math.h>

#include "cli/simulate_inside.h"

nsec simulate_now_ns(const struct simulation *sim)
{
	return (nsec)(sim->now * (double)NSEC_PER_MS);
}

bool simulate_is_full(const struct simulation *sim, const struct server *server)
{
	u64 most = sim->options->max_connections;

	return most && server->in_flight >= most;
}

void simulate_tell(struct simulation *sim, struct worker *worker, u32 index)
{
	const struct server *server = &sim->servers[index];
	const struct view *view = &worker->views[index];
	struct balance_load load = {.in_flight = view->own + view->others,
		.slow_start = 1,
		.latency = view->latency,
		.now = simulate_now_ns(sim)};

	balance_change(worker->state, index, !server->is_lost && !simulate_is_full(sim, server),
		balance_cost(sim->table, index, &load));
	if (sim->kind == BALANCE_PREQUAL) {
		struct balance_ewma latency = curve_read(&view->curve, load.in_flight);

		balance_change_latency(worker->state, index, balance_latency_key(&latency));
	}
}

void simulate_tell_all(struct simulation *sim, u32 index)
{
	for (u32 w = 0; w < sim->options->workers; w++)
		simulate_tell(sim, &sim->workers[w], index);
}

void simulate_build(struct simulation *sim)
{
	const struct simulate_options *options = sim->options;
	struct balance_options balance = {
		.load_percent = (u32)options->bound, .seed = options->seed};
	u32 count = (u32)options->servers;

	for (u32 i = 0; i < count; i++) {
		bool is_out = sim->info->eligible_only && sim->servers[i].is_lost;

		sim->members[i].weight = is_out ? 0 : simulate_weight(options, i);
	}
	sim->table = balance_build(sim->kind, sim->members, count, &balance, &sim->arena);
	for (u32 w = 0; w < options->workers; w++) {
		sim->workers[w].state = balance_state_new(sim->table, w, &sim->arena);
		for (u32 i = 0; i < count; i++)
			simulate_tell(sim, &sim->workers[w], i);
	}
}

// One worker tells its counts and reads those of the others.
static void hear(struct simulation *sim)
{
	struct worker *worker = &sim->workers[sim->news % sim->options->workers];

	for (u32 index = 0; index < sim->options->servers; index++) {
		struct view *view = &worker->views[index];
		struct server *server = &sim->servers[index];
		u32 others = server->told - view->told;

		server->told += view->own - view->told;
		view->told = view->own;
		if (others == view->others)
			continue;
		view->others = others;
		simulate_tell(sim, worker, index);
	}
}

static double news_step(const struct simulation *sim)
{
	return sim->options->news_ms / (double)sim->options->workers;
}

// When all have heard twice of a standstill there is no news until something happens.
void simulate_turn_news(struct simulation *sim)
{
	hear(sim);
	sim->news++;
	sim->quiet++;
	sim->next_news = sim->quiet > 2 * sim->options->workers
				 ? INFINITY
				 : (double)(sim->news + 1) * news_step(sim);
}

void simulate_note_change(struct simulation *sim)
{
	sim->quiet = 0;
	if (!sim->hears_news || sim->next_news < INFINITY)
		return;
	sim->news = (u64)(sim->now / news_step(sim));
	sim->next_news = (double)(sim->news + 1) * news_step(sim);
}
