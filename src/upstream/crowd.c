// SPDX-License-Identifier: Apache-2.0
#include "upstream/crowd.h"

#include "base/mem.h"
#include "upstream/upstream.h"

void crowd_init(struct crowd *crowd, u32 count, u32 cell_max)
{
	*crowd = (struct crowd){.count = count,
		.cell_max = cell_max,
		.members = mem_alloc(sizeof(*crowd->members) * count)};
	if (count > 1)
		crowd->journals = mem_alloc_lines(sizeof(struct crowd_journal) * count);
}

void crowd_done(struct crowd *crowd)
{
	mem_free(crowd->journals);
	mem_free(crowd->members);
}

static void tell(struct upstream *upstream)
{
	struct crowd_ear *ear = &upstream->ear;
	struct crowd_journal *journal = &upstream->crowd->journals[upstream->number];
	u64 head = atomic_load_explicit(&journal->head, memory_order_relaxed);

	for (u32 i = 0; i < ear->dirty_count; i++) {
		u32 number = ear->dirty[i];

		upstream->cells[number].is_dirty = false;
		atomic_store_explicit(&journal->entries[head++ % CROWD_JOURNAL_MAX], number,
			memory_order_release);
		if (i % CROWD_BATCH_MAX == CROWD_BATCH_MAX - 1)
			atomic_store_explicit(&journal->head, head, memory_order_release);
	}
	ear->dirty_count = 0;
	atomic_store_explicit(&journal->head, head, memory_order_release);
}

static void on_tell(struct timer *timer)
{
	tell(container_of(timer, struct upstream, ear.tell));
}

void crowd_ear_init(struct crowd_ear *ear, const struct crowd *crowd)
{
	*ear = (struct crowd_ear){0};
	timer_init(&ear->tell, on_tell);
	if (!crowd->journals)
		return;
	ear->in_flight = mem_alloc(sizeof(u32) * MAX(crowd->cell_max, 1));
	ear->heard = mem_alloc(sizeof(u32) * MAX(crowd->cell_max, 1) * crowd->count);
	ear->dirty = mem_alloc(sizeof(u32) * MAX(crowd->cell_max, 1));
	ear->read = mem_alloc(sizeof(u64) * crowd->count);
}

void crowd_ear_done(struct crowd_ear *ear)
{
	mem_free(ear->in_flight);
	mem_free(ear->heard);
	mem_free(ear->dirty);
	mem_free(ear->read);
}

void crowd_mark(struct upstream *upstream, struct cell *cell, u32 number)
{
	struct crowd_ear *ear = &upstream->ear;

	if (!upstream->crowd->journals || cell->is_dirty)
		return;
	cell->is_dirty = true;
	ear->dirty[ear->dirty_count++] = number;
	if (!timer_is_set(&ear->tell))
		loop_timer_set(
			upstream->loop, &ear->tell, loop_now_ms(upstream->loop) + CROWD_TELL_MS);
}

static void take_in(struct upstream *upstream, u32 worker, u32 number, crowd_changed_fn *changed)
{
	const struct crowd *crowd = upstream->crowd;
	struct crowd_ear *ear = &upstream->ear;
	u32 *heard = &ear->heard[(size_t)worker * crowd->cell_max + number];
	u32 now = cell_read(&crowd->cells[worker][number].in_flight);

	if (now == *heard)
		return;
	ear->in_flight[number] += now - *heard;
	*heard = now;
	if (likely(number < upstream->backend_count && upstream->backends[number]))
		changed(upstream, upstream->backends[number]);
}

static bool has_missed(const struct crowd_journal *journal, u64 read)
{
	return atomic_load_explicit(&journal->head, memory_order_acquire) - read >
	       CROWD_JOURNAL_MAX - CROWD_BATCH_MAX;
}

static void hear_one(struct upstream *upstream, u32 worker, crowd_changed_fn *changed)
{
	const struct crowd *crowd = upstream->crowd;
	struct crowd_journal *journal = &crowd->journals[worker];
	u64 head = atomic_load_explicit(&journal->head, memory_order_acquire);
	u64 *read = &upstream->ear.read[worker];
	bool missed = has_missed(journal, *read);

	for (u64 at = *read; at < head && !missed; at++)
		take_in(upstream, worker,
			atomic_load_explicit(
				&journal->entries[at % CROWD_JOURNAL_MAX], memory_order_acquire),
			changed);
	// Entries may have been overwritten while they were read.
	missed |= has_missed(journal, *read);
	for (u32 number = 0; missed && number < upstream->backend_count; number++)
		take_in(upstream, worker, number, changed);
	*read = head;
}

void crowd_hear(struct upstream *upstream, crowd_changed_fn *changed)
{
	const struct crowd *crowd = upstream->crowd;
	u64 now_ms = loop_now_ms(upstream->loop);

	if (likely(!crowd->journals) || now_ms < upstream->ear.hear_ms)
		return;
	upstream->ear.hear_ms = now_ms + CROWD_HEAR_MS;
	for (u32 i = 0; i < crowd->count; i++)
		if (i != upstream->number)
			hear_one(upstream, i, changed);
}
