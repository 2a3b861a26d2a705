// SPDX-License-Identifier: Apache-2.0
#include "base/wheel.h"

enum { slot_bits = 6 };

void wheel_init(struct wheel *wheel, u64 now_ms)
{
	*wheel = (struct wheel){.now_ms = now_ms};
	for (int level = 0; level < WHEEL_LEVELS; level++)
		for (int slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
}

// The level is that of the highest six-bit digit in which deadline and clock differ, so a slot is
// reached before the clock passes it. Above the top level the digits are not slots any more: there
// the distance counts, and what is farther than one turn of the wheel waits in the last slot to be
// sorted again.
void wheel_insert(struct wheel *wheel, struct timer *timer)
{
	u64 at = MAX(timer->deadline_ms, wheel->now_ms + 1);
	u64 differs = at ^ wheel->now_ms;
	int level = (63 - __builtin_clzll(differs)) / slot_bits;
	u32 slot;

	if (unlikely(level >= WHEEL_LEVELS)) {
		const int shift = (WHEEL_LEVELS - 1) * slot_bits;
		u64 position = wheel->now_ms >> shift;
		u64 ahead = MIN((at >> shift) - position, (u64)WHEEL_SLOTS - 1);

		level = WHEEL_LEVELS - 1;
		slot = (u32)(position + ahead) & (WHEEL_SLOTS - 1);
	} else {
		slot = (u32)(at >> (level * slot_bits)) & (WHEEL_SLOTS - 1);
	}
	list_push_back(&wheel->slots[level][slot], &timer->node);
	wheel->occupied[level] |= 1ull << slot;
	wheel->count++;
}

static u64 rotate_right(u64 bits, u32 by)
{
	return by ? (bits >> by) | (bits << (64 - by)) : bits;
}

// When the given level next has an occupied slot, at the start of that slot.
static u64 level_next_ms(const struct wheel *wheel, int level)
{
	int shift = level * slot_bits;
	u64 position = wheel->now_ms >> shift;
	u32 next_slot = (u32)(position + 1) & (WHEEL_SLOTS - 1);
	u64 ahead;

	if (!wheel->occupied[level])
		return UINT64_MAX;
	ahead = rotate_right(wheel->occupied[level], next_slot);
	return (position + 1 + (u64)__builtin_ctzll(ahead)) << shift;
}

u64 wheel_next_ms(const struct wheel *wheel)
{
	u64 next = UINT64_MAX;

	if (wheel->count == 0)
		return UINT64_MAX;
	for (int level = 0; level < WHEEL_LEVELS; level++)
		next = MIN(next, level_next_ms(wheel, level));
	return next;
}

static void run_slot(struct wheel *wheel, int level, u32 slot)
{
	struct list *head = &wheel->slots[level][slot], due;

	wheel->occupied[level] &= ~(1ull << slot);
	if (list_is_empty(head))
		return;
	list_init(&due);
	list_insert_between(&due, head->prev, head->next);
	list_init(head);
	while (!list_is_empty(&due)) {
		struct timer *timer = list_first(&due, struct timer, node);

		list_remove(&timer->node);
		wheel->count--;
		if (timer->deadline_ms <= wheel->now_ms)
			timer->fire(timer);
		else
			wheel_insert(wheel, timer);
	}
}

bool wheel_advance(struct wheel *wheel, u64 now_ms)
{
	bool was_due = false;

	for (;;) {
		u64 next = wheel_next_ms(wheel);

		if (next > now_ms)
			break;
		was_due = true;
		wheel->now_ms = next;
		for (int level = WHEEL_LEVELS - 1; level >= 0; level--) {
			int shift = level * slot_bits;

			if ((next & ((1ull << shift) - 1)) == 0)
				run_slot(wheel, level, (u32)(next >> shift) & (WHEEL_SLOTS - 1));
		}
	}
	wheel->now_ms = MAX(wheel->now_ms, now_ms);
	return was_due;
}
