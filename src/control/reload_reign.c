// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "control/reload_parts.h"
#include "upstream/view.h"

enum { rest_ms = 20 };

// ---- Papers and reigns --------------------------------------------------------------------------

struct paper *reload_paper_new(struct paper *below)
{
	struct paper *paper = mem_alloc(sizeof(*paper));

	arena_init(&paper->arena, CONF_ARENA_BYTES_MAX);
	paper->users = 1;
	paper->below = below;
	if (below)
		below->users++;
	return paper;
}

void reload_paper_drop(struct paper *paper)
{
	while (paper && --paper->users == 0) {
		struct paper *below = paper->below;

		arena_done(&paper->arena);
		mem_free(paper);
		paper = below;
	}
}

struct reign *reload_reign_new(
	struct reload *reload, struct snapshot *snapshot, struct paper *paper)
{
	struct reign *reign = mem_alloc(sizeof(*reign));

	reign->reload = reload;
	reign->snapshot = snapshot;
	reign->paper = paper;
	reign->generation = snapshot->generation;
	reign->workers_left = reload->config.workers->count;
	list_push_back(&reload->reigns, &reign->node);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		reign->pools_left +=
			snapshot->pools[i] && snapshot->pools[i]->since == reign->generation;
	return reign;
}

// Its memory goes with the last of the pools that were made with it.
static void maybe_free(struct reign *reign)
{
	if (!reign->is_retired || reign->pools_left)
		return;
	list_remove(&reign->node);
	reload_paper_drop(reign->paper);
	mem_free(reign);
}

static struct reign *find_reign(struct reload *reload, u32 generation)
{
	list_for_each (node, &reload->reigns) {
		struct reign *reign = list_entry(node, struct reign, node);

		if (reign->generation == generation)
			return reign;
	}
	return NULL;
}

// ---- What nobody uses any more ------------------------------------------------------------------

static void add_slot(struct slot_list *list, u32 slot)
{
	if (list->count == list->room) {
		list->room = MAX(2 * list->room, 16u);
		list->slots = mem_realloc(list->slots, sizeof(u32) * list->room);
	}
	list->slots[list->count++] = slot;
}

static void on_backend(void *owner, u32 slot)
{
	add_slot(&((struct reload *)owner)->resting.backends, slot);
}

static void on_pool_slot(void *owner, u32 slot)
{
	add_slot(&((struct reload *)owner)->resting.pools, slot);
}

static void on_frontend(void *owner, u32 slot)
{
	add_slot(&((struct reload *)owner)->resting.frontends, slot);
}

static void on_pool(void *owner, struct pool *pool)
{
	struct reign *maker = find_reign(owner, pool->since);

	view_done(pool);
	ASSERT(maker && maker->pools_left);
	maker->pools_left--;
	if (maker->is_retired)
		maybe_free(maker);
}

static void set_rest_timer(struct reload *reload)
{
	if (!timer_is_set(&reload->rest))
		loop_timer_set(reload->config.loop, &reload->rest,
			loop_now_ms(reload->config.loop) + rest_ms);
}

static void on_left(struct message *message)
{
	struct reign *reign = container_of(message, struct reign, left);

	reign->has_left = true;
	reload_maybe_retire(reign->reload, reign);
}

// Whether the follower uses it no more.
static bool leave(struct reload *reload, struct reign *reign)
{
	const struct reload_follower *follower = &reload->follower;

	if (!follower->leave || reign->has_left)
		return true;
	if (reign->is_leaving)
		return false;
	reign->is_leaving = true;
	reign->left = (struct message){.deliver = on_left};
	follower->leave(follower->owner, reign->snapshot, &reign->left);
	return false; // or this was called again, and it is over
}

void reload_maybe_retire(struct reload *reload, struct reign *reign)
{
	struct snapshot_heirs heirs = {.owner = reload,
		.backend = on_backend,
		.pool = on_pool,
		.pool_slot = on_pool_slot,
		.frontend = on_frontend};

	if (reign->is_retired || !reign->is_over || reign->workers_left || !leave(reload, reign))
		return;
	snapshot_retire(reign->snapshot, &heirs);
	reign->is_retired = true;
	maybe_free(reign);
	set_rest_timer(reload);
}

struct let_go {
	struct message message;
	struct reload *reload;
	u32 generation;
};

static void deliver_let_go(struct message *message)
{
	struct let_go *gone = container_of(message, struct let_go, message);
	struct reign *reign = find_reign(gone->reload, gone->generation);

	ASSERT(reign && reign->workers_left);
	reign->workers_left--;
	reload_maybe_retire(gone->reload, reign);
	mem_free(gone);
}

void reload_let_go(struct worker *worker, const struct snapshot *snapshot)
{
	struct let_go *gone = mem_alloc(sizeof(*gone));

	*gone = (struct let_go){.message = {.deliver = deliver_let_go},
		.reload = worker->config.reload,
		.generation = snapshot->generation};
	loop_post(worker->config.control_loop, &gone->message);
}

// ---- Slots at rest ------------------------------------------------------------------------------

static bool is_at_rest(const struct reload *reload, u32 slot)
{
	const struct snapshot *snapshot = reload->reign->snapshot;

	for (u32 i = 0; i < snapshot->worker_count; i++) {
		const struct cell *cell = &snapshot->cells[i][slot];

		if (cell_read(&cell->connections) || cell_read(&cell->in_flight))
			return false;
	}
	return true;
}

static void take_at_rest(struct reload *reload)
{
	struct slot_list *resting = &reload->resting.backends;
	u32 left = 0;

	for (u32 i = 0; i < resting->count; i++) {
		u32 slot = resting->slots[i];

		if (is_at_rest(reload, slot))
			add_slot(&reload->forgetting.backends, slot);
		else
			resting->slots[left++] = slot;
	}
	resting->count = left;
	for (u32 i = 0; i < reload->resting.pools.count; i++)
		add_slot(&reload->forgetting.pools, reload->resting.pools.slots[i]);
	for (u32 i = 0; i < reload->resting.frontends.count; i++)
		add_slot(&reload->forgetting.frontends, reload->resting.frontends.slots[i]);
	reload->resting.pools.count = reload->resting.frontends.count = 0;
}

static bool has_slots(const struct slot_lists *lists)
{
	return lists->backends.count + lists->pools.count + lists->frontends.count > 0;
}

static void run_forget(struct worker_call *call, struct proxy *proxy)
{
	const struct reload *reload = container_of(call, struct reload_call, call)->reload;
	const struct slot_lists *lists = &reload->forgetting;

	for (u32 i = 0; i < lists->backends.count; i++)
		proxy_forget_backend(proxy, lists->backends.slots[i]);
	for (u32 i = 0; proxy->stats && i < lists->pools.count; i++)
		stats_forget_pool(proxy->stats, lists->pools.slots[i]);
	for (u32 i = 0; proxy->stats && i < lists->frontends.count; i++)
		stats_forget_frontend(proxy->stats, lists->frontends.slots[i]);
}

void reload_call_all(struct reload *reload, struct reload_call *calls,
	void (*run)(struct worker_call *call, struct proxy *proxy), message_fn *answered)
{
	for (u32 i = 0; i < reload->config.workers->count; i++) {
		calls[i] = (struct reload_call){.reload = reload,
			.call = {.run = run, .asker = reload->config.loop, .answered = answered}};
		worker_call(&reload->config.workers->all[i], &calls[i].call);
	}
}

struct reload_call *reload_call_of(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);

	return container_of(call, struct reload_call, call);
}

void reload_give_slots(struct reload *reload)
{
	struct slots *slots = reload->reign->snapshot->slots;
	struct slot_lists *lists = &reload->forgetting;

	for (u32 i = 0; i < lists->backends.count; i++) {
		slots->seats[lists->backends.slots[i]] = (struct seat){0};
		slot_give(&slots->backends, lists->backends.slots[i]);
	}
	for (u32 i = 0; i < lists->pools.count; i++)
		slot_give(&slots->pools, lists->pools.slots[i]);
	for (u32 i = 0; i < lists->frontends.count; i++)
		slot_give(&slots->frontends, lists->frontends.slots[i]);
	lists->backends.count = lists->pools.count = lists->frontends.count = 0;
	reload->is_forgotten = false;
}

static void on_forgotten(struct message *message)
{
	struct reload *reload = reload_call_of(message)->reload;

	if (--reload->forgets_out)
		return;
	reload->is_forgotten = true;
	if (!reload->is_building)
		reload_give_slots(reload);
}

static void on_rest(struct timer *timer)
{
	struct reload *reload = container_of(timer, struct reload, rest);

	if (reload->is_stopped)
		return;
	if (!reload->forgets_out && !reload->is_forgotten) {
		take_at_rest(reload);
		if (has_slots(&reload->forgetting)) {
			reload->forgets_out = reload->config.workers->count;
			reload_call_all(reload, reload->forgets, run_forget, on_forgotten);
		}
	}
	if (has_slots(&reload->resting))
		set_rest_timer(reload);
}

// ---- Life ---------------------------------------------------------------------------------------

void reload_reigns_init(struct reload *reload)
{
	list_init(&reload->reigns);
	timer_init(&reload->rest, on_rest);
}

static void free_lists(struct slot_lists *lists)
{
	mem_free(lists->backends.slots);
	mem_free(lists->pools.slots);
	mem_free(lists->frontends.slots);
}

void reload_reigns_done(struct reload *reload)
{
	struct snapshot *last = reload->reign->snapshot;

	list_for_each_safe (node, &reload->reigns) {
		struct reign *reign = list_entry(node, struct reign, node);

		for (u32 i = 0; i < reign->snapshot->pool_count && !reign->is_retired; i++)
			if (reign->snapshot->pools[i])
				view_done(reign->snapshot->pools[i]);
		if (!reign->is_retired)
			snapshot_unsecure(reign->snapshot);
	}
	guard_free(last->guard);
	list_for_each_safe (node, &reload->reigns) {
		struct reign *reign = list_entry(node, struct reign, node);

		list_remove(&reign->node);
		reload_paper_drop(reign->paper);
		mem_free(reign);
	}
	free_lists(&reload->resting);
	free_lists(&reload->forgetting);
}
