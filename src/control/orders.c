// SPDX-License-Identifier: Apache-2.0
#include "control/orders.h"

#include <stdio.h>

#include "base/mem.h"

void orders_init(struct orders *orders)
{
	list_init(&orders->notes);
	orders->count = 0;
}

static void drop(struct orders *orders, struct orders_note *note)
{
	list_remove(&note->node);
	orders->count--;
	mem_free(note);
}

void orders_done(struct orders *orders)
{
	while (orders->count)
		drop(orders, list_first(&orders->notes, struct orders_note, node));
}

static struct orders_note *find(const struct orders *orders, enum orders_kind kind, u32 cell)
{
	list_for_each (node, &orders->notes) {
		struct orders_note *note = list_entry(node, struct orders_note, node);

		if (note->kind == kind && note->cell == cell)
			return note;
	}
	return NULL;
}

const struct orders_note *orders_find(const struct orders *orders, enum orders_kind kind, u32 cell)
{
	return find(orders, kind, cell);
}

void orders_note(struct orders *orders, enum orders_kind kind, u32 cell, const char *who,
	i64 wall_ms, u64 event)
{
	struct orders_note *note = find(orders, kind, cell);

	if (note)
		drop(orders, note);
	if (orders->count == ORDERS_MAX)
		drop(orders, list_first(&orders->notes, struct orders_note, node));
	note = mem_alloc(sizeof(*note));
	note->kind = (u8)kind;
	note->cell = cell;
	note->wall_ms = wall_ms;
	note->event = event;
	snprintf(note->who, sizeof(note->who), "%s", who);
	list_init(&note->node);
	list_push_back(&orders->notes, &note->node);
	orders->count++;
}

void orders_adopt(struct orders *orders, const struct snapshot *snapshot)
{
	list_for_each_safe (node, &orders->notes) {
		struct orders_note *note = list_entry(node, struct orders_note, node);

		if (note->kind != ORDERS_LOG_LEVEL &&
			(note->cell >= snapshot->backend_count || !snapshot->backends[note->cell]))
			drop(orders, note);
	}
}
