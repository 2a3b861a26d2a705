// SPDX-License-Identifier: Apache-2.0
// Another configuration now and then: it says the same, so nothing that is promised changes, but
// pools, frontends and routes are other objects. Drawn from dice of its own, so that a seed's plan
// is the same without it.
#include "base/mem.h"
#include "control/checker.h"
#include "sim.h"
#include "upstream/view.h"

enum { gap_ms_max = 3000, snapshots_max = 64, arena_bytes_max = 16 << 20 };

struct again {
	struct world *world;
	struct rng rng;
	struct timer timer;
	struct arena arena;
	struct snapshot *all[snapshots_max];
	bool is_gone[snapshots_max];
	u32 count;
};

static void on_let_go(struct proxy *proxy, const struct snapshot *snapshot)
{
	struct again *again = container_of(proxy->snapshot->arena, struct again, arena);

	for (u32 i = 0; i < again->count; i++) {
		if (again->all[i] != snapshot)
			continue;
		if (again->is_gone[i])
			world_fail(again->world, "a configuration was let go twice");
		again->is_gone[i] = true;
		snapshot_unsecure(again->all[i]); // what connections need of it they keep
		return;
	}
	world_fail(again->world, "a configuration was let go that nobody knows");
}

// Half of the time pools that say the same are known to do so, and stay the same objects.
static const struct conf *another(struct again *again)
{
	const struct conf *conf = again->world->conf;
	struct conf *other = arena_alloc(&again->arena, sizeof(*other));

	if (rng_one_in(&again->rng, 2) && conf->tree)
		return conf;
	*other = *conf;
	other->tree = NULL;
	return other;
}

static void adopt(struct again *again)
{
	struct world *world = again->world;
	const char *what = NULL;
	struct snapshot *next = snapshot_follow(world->snapshot, another(again), &again->arena,
		world->snapshot->generation + 1, &what);

	if (!next) {
		world_fail(world, "no room for %s", what);
		return;
	}
	tls_secure(world, next);
	world_fault(world, FAULT_RELOAD);
	world_say(world, "configuration %u", next->generation);
	snapshot_adopt(next);
	snapshot_guard(next, 64, 1);
	judge_adopt(world, next);
	again->all[again->count++] = next;
	world->snapshot = next;
	world_listen_for(world, next);
	proxy_adopt(world->proxy, next);
}

static void on_time(struct timer *timer)
{
	struct again *again = container_of(timer, struct again, timer);
	struct world *world = again->world;

	if (world->drained_ms || again->count == snapshots_max)
		return;
	adopt(again);
	loop_timer_set(
		world->loop, timer, world_now_ms(world) + 1 + rng_below(&again->rng, gap_ms_max));
}

void again_begin(struct world *world)
{
	struct again *again = mem_alloc(sizeof(*again));

	world->again = again;
	again->world = world;
	rng_init(&again->rng, world->seed ^ 0x7e10ad);
	arena_init(&again->arena, arena_bytes_max);
	timer_init(&again->timer, on_time);
	again->all[again->count++] = world->snapshot;
	if (rng_one_in(&again->rng, 2))
		return;
	world->proxy->on_let_go = on_let_go;
	loop_timer_set(world->loop, &again->timer,
		world_now_ms(world) + rng_below(&again->rng, gap_ms_max));
}

void again_stop(struct world *world)
{
	loop_timer_cancel(world->loop, &world->again->timer);
}

// Nothing runs any more: nobody holds on to what is old.
void again_check_end(struct world *world)
{
	struct again *again = world->again;

	for (u32 i = 0; i + 1 < again->count; i++)
		if (!again->is_gone[i])
			world_fail(world, "configuration %u is never let go",
				again->all[i]->generation);
}

void again_free(struct world *world)
{
	struct again *again = world->again;
	struct snapshot *first = again->all[0];

	for (u32 i = 0; i + 1 < again->count; i++)
		for (u32 p = 0; p < again->all[i]->pool_count; p++)
			if (again->all[i]->pools[p])
				view_done(again->all[i]->pools[p]);
	world->snapshot->owns_slots = first->owns_slots;
	snapshot_done(world->snapshot);
	arena_done(&again->arena);
	mem_free(again);
}
