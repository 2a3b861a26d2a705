// SPDX-License-Identifier: Apache-2.0
#include "upstream/slots.h"

#include "base/mem.h"

static void set_init(struct slot_set *set, u32 max)
{
	*set = (struct slot_set){.max = max,
		.freed = mem_alloc(sizeof(u32) * MAX(max, 1)),
		.since = mem_alloc(sizeof(u32) * MAX(max, 1)),
		.users = mem_alloc(sizeof(u32) * MAX(max, 1))};
}

static void set_done(struct slot_set *set)
{
	mem_free(set->freed);
	mem_free(set->since);
	mem_free(set->users);
}

u32 slot_take(struct slot_set *set, u32 generation)
{
	u32 slot = set->count;

	if (set->freed_count) {
		slot = set->freed[set->freed_first];
		set->freed_first = (set->freed_first + 1) % set->max;
		set->freed_count--;
	} else if (set->count == set->max) {
		return SLOT_NONE;
	} else {
		set->count++;
	}
	__atomic_store_n(&set->since[slot], generation, __ATOMIC_RELAXED);
	return slot;
}

void slot_give(struct slot_set *set, u32 slot)
{
	ASSERT(slot < set->count && set->users[slot] == 0 && set->freed_count < set->max);
	set->freed[(set->freed_first + set->freed_count++) % set->max] = slot;
}

// Begins on a cache line, and ends on one. Not touched, so that it costs nothing until it is used.
static void *lines_of(size_t size, void **ret_memory)
{
	uintptr_t at;

	*ret_memory = mem_alloc(size + 2 * CACHE_LINE);
	at = (uintptr_t)*ret_memory + CACHE_LINE - 1;
	return (void *)(at & ~(uintptr_t)(CACHE_LINE - 1));
}

struct slots *slots_new(u32 worker_count, u32 backends, u32 pools, u32 frontends)
{
	struct slots *slots = mem_alloc(sizeof(*slots));

	slots->worker_count = worker_count;
	set_init(&slots->backends, backends);
	set_init(&slots->pools, pools);
	set_init(&slots->frontends, frontends);
	slots->cells = mem_alloc(sizeof(*slots->cells) * worker_count);
	slots->cell_memory = mem_alloc(sizeof(*slots->cell_memory) * worker_count);
	for (u32 i = 0; i < worker_count; i++)
		slots->cells[i] =
			lines_of(sizeof(struct cell) * MAX(backends, 1), &slots->cell_memory[i]);
	slots->seats = mem_alloc(sizeof(struct seat) * MAX(backends, 1));
	slots->pool_requests = mem_alloc(sizeof(struct cap) * MAX(pools, 1));
	slots->frontend_clients = mem_alloc(sizeof(*slots->frontend_clients) * MAX(frontends, 1));
	crowd_init(&slots->crowd, worker_count, backends);
	slots->crowd.cells = slots->cells;
	return slots;
}

void slots_free(struct slots *slots)
{
	if (!slots)
		return;
	crowd_done(&slots->crowd);
	mem_free(slots->frontend_clients);
	mem_free(slots->pool_requests);
	mem_free(slots->seats);
	for (u32 i = 0; i < slots->worker_count; i++)
		mem_free(slots->cell_memory[i]);
	mem_free(slots->cell_memory);
	mem_free(slots->cells);
	set_done(&slots->frontends);
	set_done(&slots->pools);
	set_done(&slots->backends);
	mem_free(slots);
}
